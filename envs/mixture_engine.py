"""Recorded bars and a crowd under one roof: N rows whose next episode may come from either.

A row has a place in both halves. The half that it is not in costs next to nothing: an unseen episode on recorded bars
walks on with no position, and an unwanted arena rests. Knows nothing of gymnasium.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..market.ledger import open_account, write_account
from ..simulators.storms import Role
from .arena_engine import Arenas
from .arena_field import DONE as RESTS
from .arena_setup import SEED_BITS, ArenaSetup
from .curriculum import Curriculum
from .episodes import Episodes, put_back
from .rewards import Reward
from .starts import signed
from .world import Columns, Flags, Floats, Ints, Step

STORMY, EPISODE, DONE = range(3)  # columns of `clock`


class Storms(Arenas):
    """Arenas that rest, each after its episode, until they are asked for by `reset`."""

    def __init__(self, curriculum: Curriculum, setup: ArenaSetup, role: Role, count: int) -> None:
        super().__init__(curriculum.scenarios, setup, role, count, same_step=False)
        self.lottery = curriculum
        self._asked = np.zeros(count, np.bool_)
        self.field.closes[:] = 1.0
        for i in range(count):  # a row that has never begun is observed too, and looked at by nobody
            write_account(self.field.money, self.field.counts, i, open_account(1.0))
        self.rest(np.ones(count, np.bool_))

    def rest(self, mask: Flags) -> None:
        """End the episodes of these rows."""
        self.field.clock[mask, RESTS] = 1

    def reset(self, observations: Columns, mask: Flags, starts: Ints) -> None:
        """Begin an episode where `mask` is set."""
        self._asked = mask
        super().reset(observations, mask, starts)
        self._asked = np.zeros(self.count, np.bool_)

    def _begin(self, i: int) -> None:
        if self._asked[i]:
            super()._begin(i)


class Mixed:
    """N rows over a half of recorded bars and a half of storms, each episode from the half that `curriculum` draws.

    `clock` (N, 3) int64 says whether a row is in a storm, how many episodes it has begun, and whether it rests before
    the next one; `streams` (N,) the seeds.
    """

    def __init__(self, history: Episodes, storms: Storms, curriculum: Curriculum, *, same_step: bool) -> None:
        self.history, self.storms, self.curriculum, self._same_step = history, storms, curriculum, same_step
        self.count = history.count
        self.clock = np.zeros((self.count, 3), np.int64)
        self.streams = np.zeros(self.count, np.int64)
        self.parts: Floats = np.zeros_like(history.parts)
        self._recorded, self._lived = history.fresh_step(), storms.fresh_step()
        self._anywhere = np.full(self.count, -1, np.int64)

    @property
    def reward(self) -> Reward:
        return self.history.reward

    @property
    def stormy(self) -> Flags:
        """(N,) whether each row is in a storm."""
        stormy: Flags = self.clock[:, STORMY] != 0
        return stormy

    def fresh_step(self) -> Step:
        """Arrays for one step."""
        return self.history.fresh_step()

    def seed(self, base: int) -> None:
        """Give row i the seed base + i in both halves, and start counting episodes from 0."""
        self.streams[:] = [signed(base + i) for i in range(self.count)]
        self.clock[:, EPISODE] = 0
        self.history.seed(base)
        self.storms.seed(base)

    def reset(self, observations: Columns, mask: Flags, starts: Ints) -> None:
        """Begin a new episode where `mask` is set."""
        self.history.reset(self._recorded.observations, mask, starts)
        self.storms.rest(mask)
        observations[mask] = self._recorded.observations[mask]
        self._begin(mask, mask, observations)

    def step(self, targets: Floats, step: Step, parallel: bool) -> int:
        """Walk every row one bar towards its target in the half it is in; returns how many episodes ended."""
        stormy, resting = self.stormy, self.clock[:, DONE] != 0
        self.history.step(np.where(stormy, 0.0, targets), self._recorded, parallel)
        if stormy.any():
            self.storms.step(np.where(stormy, targets, 0.0), self._lived, True)
        self._take(np.flatnonzero(stormy), step)
        over = step.terminated | step.truncated
        begins = over if self._same_step else resting
        if not self._same_step:
            self.clock[:, DONE] = over
        if begins.any():
            self._begin(begins, begins & ~stormy, step.observations)
        return int(over.sum())

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of all that the next step depends on, by name."""
        told = {f"history/{name}": array for name, array in self.history.state().items()}
        told |= {f"storms/{name}": array for name, array in self.storms.state().items()}
        return told | {name: array.copy() for name, array in self._own().items()}

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up the rows that `state` told of; ValueError where they are another number or kind of rows."""
        own = self._own()
        put_back(own, state)
        self.curriculum.done = int(own["done"][0])
        for half in ("history", "storms"):
            told = {name.partition("/")[2]: array for name, array in state.items() if name.startswith(f"{half}/")}
            getattr(self, half).set_state(told)

    def _own(self) -> dict[str, NDArray[Any]]:
        return {"clock": self.clock, "streams": self.streams, "done": np.array([self.curriculum.done], np.int64)}

    def _take(self, rows: Ints, step: Step) -> None:
        """Tell of each row what its half told; an arena's last observation is still its observation."""
        for name in Step._fields:
            ours = getattr(step, name)
            ours[:] = getattr(self._recorded, name)
            ours[rows] = getattr(self._lived, name)[rows]
        step.finals[rows] = self._lived.observations[rows]
        self.parts[:] = self.history.parts
        self.parts[rows] = self.storms.parts[rows]

    def _begin(self, mask: Flags, fresh: Flags, observations: Columns) -> None:
        """Draw where the rows in `mask` go on; `fresh` are those whose half of recorded bars has begun anew already."""
        calm = np.zeros(self.count, np.bool_)
        for i in np.flatnonzero(mask).tolist():
            seed, episode = int(self.streams[i]) & SEED_BITS, int(self.clock[i, EPISODE])
            calm[i] = self.curriculum.draws_history(seed, episode)
        self.clock[mask, EPISODE] += 1
        self.clock[mask, STORMY] = ~calm[mask]
        stormy, recorded = mask & ~calm, calm & ~fresh
        if stormy.any():
            self.storms.reset(self._lived.observations, stormy, self._anywhere)
            observations[stormy] = self._lived.observations[stormy]
        if recorded.any():
            self.history.reset(self._recorded.observations, recorded, self._anywhere)
            observations[recorded] = self._recorded.observations[recorded]
