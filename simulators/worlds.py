"""Many markets side by side, as compiled loops reach them: N worlds of one cast behind one table of addresses.

A compiled call takes apart every array that it is given, thirty a market; a table of addresses is one. Knows nothing
of who trades.
"""

from typing import Any

import numpy as np

from ..market.jit import COMPILED, address_of, code_of, inlined_kernel, matrix_at, vector_at
from .cast import rules_of, seats_of, stage_of
from .ladder import Book, Ints
from .population import Population
from .stepping import advance
from .world import World

ARRAYS = len(Book._fields) + len(World._fields) - 1  # of one world


class Worlds:
    """N empty worlds of a crowd, with room for `bars` bars each; the table is good as long as this lives."""

    def __init__(self, crowd: Population, count: int, bars: int) -> None:
        self.seats, self.rules = seats_of(crowd), rules_of(crowd)
        self.each: list[World] = [_with_room(stage_of(self.seats), bars) for _ in range(count)]
        self.table = self._addresses()

    def __getstate__(self) -> dict[str, Any]:
        """Everything but addresses, which are this copy's alone."""
        return {name: value for name, value in self.__dict__.items() if name != "table"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.table = self._addresses()

    def code(self) -> Any:
        """What `call_at` calls to advance one of them."""
        return code_of(advance, self.each[0], self.rules, 1)

    @property
    def told(self) -> Any:
        """The worlds as `world_at` reads them: the table or, interpreted, the worlds themselves."""
        return self.table if COMPILED else self.each

    def _addresses(self) -> Ints:
        addresses = [address_of(array) for world in self.each for array in (*world.book, *world[1:])]
        return np.array(addresses, np.int64)


def _with_room(world: World, bars: int) -> World:
    if bars <= len(world.bars):
        return world
    room, notes = np.zeros((bars, world.bars.shape[1]), np.int64), np.zeros((bars, world.notes.shape[1]))
    return world._replace(bars=room, notes=notes)


@inlined_kernel
def _by_table(table: Ints, i: int) -> World:
    k = i * ARRAYS
    book = Book(
        vector_at(table, k, np.int64),
        matrix_at(table, k + 1, np.int64),
        matrix_at(table, k + 2, np.int64),
        matrix_at(table, k + 3, np.int64),
        matrix_at(table, k + 4, np.int64),
        matrix_at(table, k + 5, np.int64),
        matrix_at(table, k + 6, np.int64),
        matrix_at(table, k + 7, np.int64),
        matrix_at(table, k + 8, np.int64),
    )
    return World(
        book,
        vector_at(table, k + 9, np.int64),
        vector_at(table, k + 10, np.float64),
        vector_at(table, k + 11, np.float64),
        matrix_at(table, k + 12, np.int64),
        vector_at(table, k + 13, np.int64),
        matrix_at(table, k + 14, np.float64),
        matrix_at(table, k + 15, np.float64),
        matrix_at(table, k + 16, np.int64),
        matrix_at(table, k + 17, np.float64),
        matrix_at(table, k + 18, np.int64),
        matrix_at(table, k + 19, np.int64),
        matrix_at(table, k + 20, np.int64),
        matrix_at(table, k + 21, np.int64),
        matrix_at(table, k + 22, np.int64),
        vector_at(table, k + 23, np.int64),
        vector_at(table, k + 24, np.int64),
        matrix_at(table, k + 25, np.int64),
        matrix_at(table, k + 26, np.int64),
        matrix_at(table, k + 27, np.int64),
        matrix_at(table, k + 28, np.float64),
        matrix_at(table, k + 29, np.int64),
    )


def _by_list(worlds: list[World], i: int) -> World:
    return worlds[i]


world_at: Any = _by_table if COMPILED else _by_list  # of World i, from what `told` gives
