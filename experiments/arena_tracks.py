"""A policy's tracks through many markets of a crowd at once, each to the last bit the one that `follow` would write.

A frozen network answers all markets in one batch; of a rule, which remembers one market, every market has a copy.
Knows no course: whoever judges says which markets these are.
"""

from copy import deepcopy
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..agents.policy import Policy
from ..envs.actions import exposure_of
from ..envs.arena import BatchArenaEnv
from ..envs.info import account_info
from .evaluate import Row, Track, row_of, track_of
from .shown import SeesBars

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def follow_all(policy: Policy, env: BatchArenaEnv, *, name: str, seed: int, actions: str = "box") -> list[Track]:
    """One episode in each of the markets of seeds `seed`, `seed` + 1, …; a track each, as long as its episode was.

    `actions` are the policy's; `env` takes target exposures (box), a bar a step, with NEXT_STEP autoreset: an account
    that has ended must stand until it is read.
    """
    setup = env.setup
    if setup.actions != "box" or setup.wakes_inside or env.metadata["autoreset_mode"].name != "NEXT_STEP":
        raise ValueError("tracks are followed in arenas of actions box, a bar a step, with autoreset NEXT_STEP")
    observations, _ = env.reset(seed=seed)
    deciding = _Rules(policy, env) if isinstance(policy, SeesBars) else _Network(policy, actions, env.num_envs)
    rows: list[list[Row]] = [[_row(env, i, 0.0)] for i in range(env.num_envs)]
    running = np.ones(env.num_envs, np.bool_)
    while running.any():
        exposures = np.where(running, deciding.exposures(observations, running), 0.0)
        observations, _, terminated, truncated, _ = env.step(exposures)
        for i in np.flatnonzero(running).tolist():
            rows[i].append(_row(env, i, float(exposures[i])))
        running &= ~(terminated | truncated)
    return [track_of(name, setup.interval_ms, each) for each in rows]


class _Rule(SeesBars, Policy, Protocol):
    """A policy that is shown bars."""


class _Network:
    """One policy that answers every market from its own row, and keeps a state for each."""

    def __init__(self, policy: Policy, actions: str, count: int) -> None:
        self._policy, self._actions = policy, actions
        self._state: NDArray[np.float32] | None = None
        self._starts = np.ones(count, np.bool_)

    def exposures(self, observations: NDArray[np.float32], running: Flags) -> Floats:
        decision = self._policy.act(observations, self._state, self._starts)
        self._state, self._starts = decision.state, np.zeros(len(observations), np.bool_)
        return np.array([exposure_of(action, self._actions) for action in decision.action[:, 0].tolist()])


class _Rules:
    """A copy of a rule for every market, each shown the bars of its own."""

    def __init__(self, rule: _Rule, env: BatchArenaEnv) -> None:
        self._env, self._rules = env, [deepcopy(rule) for _ in range(env.num_envs)]
        self._begun = False

    def exposures(self, observations: NDArray[np.float32], running: Flags) -> Floats:
        arenas, told = self._env.arenas, np.zeros(len(observations))
        for i in np.flatnonzero(running).tolist():
            rule = self._rules[i]
            if self._begun:
                rule.see(arenas.last_bar(i), arenas.account(i))
            else:
                rule.begin(arenas.bars(i), arenas.account(i))
            told[i] = exposure_of(float(rule.act(observations[i : i + 1]).action[0, 0]), "box")
        self._begun = True
        return told


def _row(env: BatchArenaEnv, i: int, exposure: float) -> Row:
    bar, account = env.arenas.last_bar(i), env.arenas.account(i)
    closed_at = bar.opened_at + env.setup.interval_ms - 1
    return row_of(account_info(account, env.arenas.terms.lot, bar.close, closed_at, 0), account, exposure)
