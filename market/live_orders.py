"""Live orders: a table of the orders that rest now, found by id in constant time, in plain arrays.

Open addressing with linear probing; a removal moves later entries up, so nothing is ever marked as deleted. Whoever
puts an order in has made sure that at least half of the table is free. Knows no rule of the book.
"""

import numpy as np
from numpy.typing import NDArray

from .jit import kernel

Ints = NDArray[np.int64]

ID, SIDE, LOTS, AT = range(4)
ORDER_COLUMNS = 4
SPREAD = 0x9E3779B1  # Knuth's multiplicative hash: neighbouring ids lie far apart


def new_orders(room: int) -> Ints:
    """An empty table for at most `room` orders, (a power of two, ORDER_COLUMNS) int64; id 0 is an empty place."""
    return np.zeros((1 << max(4, (2 * room - 1).bit_length()), ORDER_COLUMNS), np.int64)


def regrown(table: Ints, room: int) -> Ints:
    """The same orders in a table for `room`."""
    larger = new_orders(room)
    for row in table[table[:, ID] != 0]:
        larger[find_order(larger, int(row[ID]))] = row
    return larger


@kernel
def find_order(table: Ints, order_id: int) -> int:
    """The place of the order, or the empty place where it would stand."""
    last = len(table) - 1
    at = _home(order_id, last)
    while table[at, ID] != 0 and table[at, ID] != order_id:
        at = (at + 1) & last
    return at


@kernel
def remove_order(table: Ints, at: int) -> None:
    """Take the order at place `at` out, and move up those that only stood behind it for want of room."""
    last = len(table) - 1
    hole, following = at, (at + 1) & last
    while table[following, ID] != 0:
        home = _home(int(table[following, ID]), last)
        if ((following - home) & last) >= ((following - hole) & last):
            table[hole] = table[following]
            hole = following
        following = (following + 1) & last
    table[hole] = 0


@kernel
def _home(order_id: int, last: int) -> int:
    return ((order_id & 0x7FFFFFFF) * SPREAD >> 12) & last
