"""The walk of one episode, called with one number: what a single environment pays for its step.

A compiled call takes apart every array that it is given; with thirty of them that costs more than the step. Here the
kernel is handed a table of addresses once and for all, and tells what the environment wants to know in two rows. The
walk itself is `walk`'s. An address is good as long as the array lives where it lived: a Single is never copied nor
pickled, its owner makes it anew.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..market.jit import COMPILED, address_of, entry_of, lean_kernel, matrix_at, vector_at
from .episodes import Episodes
from .tape import CLOSE
from .walk import walk_block
from .world import AT, FILLED, ORDERED, Floats, Ints, Running, Step, Witness, World

EQUITY, FEES, FUNDING, BORROW, EXPOSURE, MARK, REWARD, FIRST_PART = range(8)  # of `amounts`; parts follow
INDEX, LOTS, STATE, RUIN, ASKED, DONE, TERMINATED, TRUNCATED = range(8)  # of `counts`
_LOT = 1  # column of a terms row


class Single:
    """One episode of an engine that has no other. After `step`, `amounts` and `counts` say how it stands."""

    def __init__(self, episodes: Episodes) -> None:
        if episodes.count != 1:
            raise ValueError(f"a single walk has one episode, not {episodes.count}")
        self._episodes, self._step, self._exposures = episodes, episodes.fresh_step(), np.zeros(1)
        self._told = np.zeros(FIRST_PART + len(episodes.reward.names)), np.zeros(8, np.int64)
        kept = (episodes.world, episodes.running, episodes.witness, self._step, (self._exposures, *self._told))
        self._arrays: list[NDArray[Any]] = [array for group in kept for array in group]
        self._table = np.array([address_of(array) for array in self._arrays], np.int64)
        self._walk = entry_of(_walk_by_table, self._table) if COMPILED and not episodes.reward.own else self._plainly

    def step(self, exposure: float) -> int:
        """Walk one bar towards a target exposure that is known to be one; 1 where the episode ends."""
        self._exposures[0] = exposure
        return int(self._walk(self._table))

    def tell(self) -> None:
        """Say how the episode stands, without a step."""
        _tell(self._episodes.world, self._episodes.running, self._step, *self._told)

    @property
    def amounts(self) -> list[float]:
        """By the names of this file; from FIRST_PART on the reward's parts."""
        return self._told[0].tolist()

    @property
    def counts(self) -> list[int]:
        """By the names of this file."""
        return self._told[1].tolist()

    @property
    def observation(self) -> NDArray[np.float32]:
        """(cells,) float32, the caller's own."""
        own: NDArray[np.float32] = self._step.observations[0].copy()
        return own

    def _plainly(self, table: Ints) -> int:
        ended = self._episodes.step(self._exposures, self._step, parallel=False)
        self.tell()
        return ended


@lean_kernel
def _tell(world: World, running: Running, step: Step, amounts: Floats, counts: Ints) -> None:
    t = int(running.clock[0, AT])
    equity, lots = float(running.money[0, 2]), int(running.counts[0, 0])
    close = float(world.prices[t, CLOSE])
    amounts[EQUITY] = equity
    amounts[FEES] = running.money[0, 5]
    amounts[FUNDING] = running.money[0, 6]
    amounts[BORROW] = running.money[0, 7]
    amounts[EXPOSURE] = lots * float(world.base[0, _LOT]) * close / equity if equity > 0.0 else 0.0
    amounts[MARK] = close
    amounts[REWARD] = step.rewards[0]
    for k in range(running.parts.shape[1]):
        amounts[FIRST_PART + k] = running.parts[0, k]
    counts[INDEX] = t
    counts[LOTS] = lots
    counts[STATE] = running.counts[0, 1]
    counts[RUIN] = running.counts[0, 4]
    counts[ASKED] = running.lots[0, ORDERED]
    counts[DONE] = running.lots[0, FILLED]
    counts[TERMINATED] = 1 if step.terminated[0] else 0
    counts[TRUNCATED] = 1 if step.truncated[0] else 0


@lean_kernel
def _walk_by_table(table: Ints) -> int:
    """The arrays in the order in which `Single` wrote their addresses down: world, running, witness, step, and its
    own exposures, amounts and counts."""
    world = World(
        matrix_at(table, 0, np.float64),
        matrix_at(table, 1, np.float32),
        matrix_at(table, 2, np.int64),
        matrix_at(table, 3, np.float64),
        matrix_at(table, 4, np.float64),
        vector_at(table, 5, np.int64),
        vector_at(table, 6, np.float64),
        vector_at(table, 7, np.int64),
        vector_at(table, 8, np.float64),
        vector_at(table, 9, np.float64),
    )
    running = Running(
        matrix_at(table, 10, np.float64),
        matrix_at(table, 11, np.int64),
        matrix_at(table, 12, np.int64),
        vector_at(table, 13, np.int64),
        matrix_at(table, 14, np.float64),
        matrix_at(table, 15, np.float64),
        matrix_at(table, 16, np.float64),
        matrix_at(table, 17, np.float32),
        matrix_at(table, 18, np.int64),
    )
    witness = Witness(
        matrix_at(table, 19, np.float64),
        matrix_at(table, 20, np.int64),
        matrix_at(table, 21, np.float64),
        matrix_at(table, 22, np.int64),
    )
    step = Step(
        matrix_at(table, 23, np.float32),
        vector_at(table, 24, np.float64),
        vector_at(table, 25, np.bool_),
        vector_at(table, 26, np.bool_),
        matrix_at(table, 27, np.float32),
        matrix_at(table, 28, np.float64),
    )
    ended = walk_block(0, 1, world, running, witness, vector_at(table, 29, np.float64), step)
    _tell(world, running, step, vector_at(table, 30, np.float64), vector_at(table, 31, np.int64))
    return ended
