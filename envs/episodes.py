"""N episodes on one tape, stepped by one compiled call: the engine inside the scalar and the batch environment.

Lays out the arrays that `walk` walks over, seeds and resets episodes, and adds the reward parts that are not built
in. Knows nothing of gymnasium.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..market.bars import DAY_MS
from ..market.jit import entry_of
from ..market.ledger import N_COUNTS, N_MONEY, Account, read_account
from ..market.terms import Terms, terms_rows
from . import walk
from .buffers import new_step
from .desk import N_ACCOUNT
from .rewards import N_MOMENTS, Reward
from .starts import check_start, signed
from .tape import Tape
from .world import DONE, EPISODE, IDLE_LOGS, RETURN, Columns, Flags, Floats, Ints, Running, Step, Witness, World

PARALLEL_FROM = 256  # below this many episodes the threads' fork and join cost more than they give


@dataclass(frozen=True)
class Plan:
    """How episodes go: `cash` at the start, bars an episode lasts (None: to the segment's end), whether it starts at
    random, whether it begins anew in the step that ends it, and the largest factor on its costs (1: none)."""

    cash: float = 100_000.0
    episode_bars: int | None = None
    random_start: bool = True
    same_step: bool = True
    vary_costs: float = 1.0

    def __post_init__(self) -> None:
        if self.episode_bars is not None and self.episode_bars < 1:
            raise ValueError(f"episode_bars {self.episode_bars} must be 1 or more")
        if not (math.isfinite(self.cash) and self.cash > 0):
            raise ValueError(f"an account cannot open with {self.cash} in cash")
        if not (math.isfinite(self.vary_costs) and self.vary_costs >= 1.0):
            raise ValueError(f"vary_costs {self.vary_costs} must be 1 (costs as they are) or a larger factor")


@dataclass(frozen=True, eq=False)
class Episodes:
    """N episodes on one tape."""

    tape: Tape
    reward: Reward
    world: World
    running: Running
    witness: Witness
    count: int

    @classmethod
    def of(cls, tape: Tape, terms: Terms, reward: Reward, plan: Plan, count: int) -> "Episodes":
        """Lay out `count` episodes; none has begun."""
        if count < 1:
            raise ValueError(f"num_envs {count} must be 1 or more")
        witnessed = count if reward.own else 0
        return cls(
            tape,
            reward,
            _world(tape, terms, reward, plan, count),
            _nothing_running(count, len(reward.names), tape.spec.window),
            Witness(
                np.zeros((witnessed, N_MONEY)),
                np.zeros((witnessed, N_COUNTS), np.int64),
                np.zeros((witnessed, N_MONEY)),
                np.zeros((witnessed, N_COUNTS), np.int64),
            ),
            count,
        )

    @cached_property
    def _serial(self) -> Callable[..., int]:
        return entry_of(walk.walk_serial, *self._arguments())

    @cached_property
    def _parallel(self) -> Callable[..., int]:
        return entry_of(walk.walk_parallel, *self._arguments())

    def __getstate__(self) -> dict[str, object]:
        """Everything but the compiled entries, which belong to this process."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_serial", "_parallel")}

    def _arguments(self) -> tuple[object, ...]:
        return self.world, self.running, self.witness, np.zeros(self.count), self.fresh_step()

    @property
    def cells(self) -> int:
        """Numbers in one observation: its columns, times the bars of a window."""
        return (self.tape.width + N_ACCOUNT) * self.tape.spec.window

    @property
    def parts(self) -> Floats:
        """Reward parts of the last step, (N, P) float64."""
        return self.running.parts

    def fresh_step(self) -> Step:
        """Arrays for one step."""
        return new_step(self.count, self.cells, len(self.reward.names))

    def seed(self, base: int) -> None:
        """Give episode stream i the seed base + i, and start counting episodes from 0."""
        self.running.streams[:] = np.array([signed(base + i) for i in range(self.count)], np.int64)
        self.running.clock[:, EPISODE] = 0

    def reset(self, observations: Columns, mask: Flags, starts: Ints) -> None:
        """Begin a new episode where `mask` is set, at `starts[i]` or, where that is -1, by the env's own rule."""
        for start in starts[mask & (starts != -1)]:
            check_start(int(start), self.tape.segments, "bar")
        walk.begin_many(self.world, self.running, mask, starts, observations)

    def step(self, exposures: Floats, step: Step, parallel: bool) -> int:
        """Walk every episode one bar towards its target exposure; fills `step`, returns how many episodes ended."""
        resting = self.running.clock[:, DONE] != 0 if self.reward.own else None
        stride = self._parallel if parallel else self._serial
        ended = int(stride(self.world, self.running, self.witness, exposures, step))
        if resting is not None:
            add_own_parts(self.reward, self.witness, self.running.parts, self.running.sums, step, resting)
        return ended

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of all that the next step depends on, by name; what the tape holds is not among it."""
        return {name: array.copy() for name, array in self._stateful().items()}

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up the episodes that `state` told of; ValueError where they are another number or kind of episodes."""
        put_back(self._stateful(), state)

    def _stateful(self) -> dict[str, NDArray[Any]]:
        varied = {} if self.world.terms is self.world.base else {"terms": self.world.terms}
        return self.running._asdict() | varied

    def account(self, i: int) -> Account:
        """Account of episode `i`."""
        return read_account(self.running.money, self.running.counts, i)


def put_back(arrays: Mapping[str, NDArray[Any]], state: Mapping[str, NDArray[Any]]) -> None:
    """Fill `arrays` with what `state` holds under their names; nothing is touched where one does not fit."""
    for name, array in arrays.items():
        told = state.get(name)
        if told is None or told.shape != array.shape or told.dtype != array.dtype:
            raise ValueError(f"the state's {name} does not fit these episodes")
    for name, array in arrays.items():
        array[:] = state[name]


def add_own_parts(reward: Reward, witness: Witness, parts: Floats, sums: Floats, step: Step, resting: Flags) -> None:
    """Add the reward parts that are not built in, from the accounts before and after a step.

    None is given where an episode was `resting`: NEXT_STEP autoreset only began the next one.
    """
    money = np.stack([witness.money, witness.money_after])
    counts = np.stack([witness.counts, witness.counts_after])
    over = step.terminated | step.truncated
    going = ~over & ~resting
    for k, part in enumerate(reward.own, start=reward.built_in):
        value = np.where(resting, 0.0, part.over(money, counts))
        rewarded = part.weight * value
        parts[:, k] = value
        np.add(step.rewards, rewarded, out=step.rewards)
        for column, amount in ((k, value), (len(reward.names) + RETURN, rewarded)):
            sums[going, column] += amount[going]
            step.final_sums[over, column] += amount[over]


def _world(tape: Tape, terms: Terms, reward: Reward, plan: Plan, count: int) -> World:
    varied = plan.vary_costs > 1.0
    base = terms_rows(terms, 1)
    return World(
        tape.table.view(np.float64),
        tape.table,
        tape.segments,
        base,
        terms_rows(terms, count) if varied else base,
        reward.rule.watched,
        reward.rule.weights,
        np.array(
            [
                plan.episode_bars or 0,
                plan.random_start,
                plan.same_step,
                tape.spec.window,
                varied,
                bool(reward.own),
                tape.width,
            ],
            np.int64,
        ),
        np.array([plan.cash, tape.bars.interval_ms / DAY_MS, math.log(plan.vary_costs)]),
        IDLE_LOGS,
    )


def _nothing_running(count: int, parts: int, window: int) -> Running:
    return Running(
        np.zeros((count, N_MONEY)),
        np.zeros((count, N_COUNTS), np.int64),
        np.zeros((count, 5), np.int64),
        np.zeros(count, np.int64),
        np.zeros((count, parts + 3)),
        np.zeros((count, parts)),
        np.zeros((count, N_MOMENTS)),
        np.zeros((count, window * N_ACCOUNT if window > 1 else 0), np.float32),
        np.zeros((count, 2), np.int64),
    )
