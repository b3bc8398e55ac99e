"""The memory of one order book: its arrays, what their columns mean, and how an order id or the next price is found.

A resting order is one 64-byte row, linked in arrival order under its price level; occupied levels are counted in
blocks, so that the next best price is found in a bounded walk. Slot, order id and price 0 mean "none": a book of
zeros is an empty book. Knows nothing of the rules by which orders meet.
"""

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ..market.jit import inlined_kernel, kernel

Ints = NDArray[np.int64]


def codes(start: int, stop: int) -> tuple[int, ...]:
    """start … stop−1 for kernels: numba compiles a copy of a kernel for every literal int that it is called with."""
    return cast("tuple[int, ...]", tuple(np.arange(start, stop)))


# columns of an order row, a level row, an account row
PRICE, LOTS, SIDE, OWNER, ID, LABEL, NEXT, PREVIOUS, ORDER_WIDTH = range(9)
FRONT, BACK, QUEUED, LEVEL_WIDTH = range(4)
POSITION, CASH, ACCOUNT_WIDTH = range(3)
# places in the head; from REJECTS on: messages refused, by code
BEST_BID, BEST_ASK, BIDS, ASKS, FREE, FRESH, SEQUENCE, LOGGED, NOW, LOG_KINDS = range(10)
LAST, TRADED, TAKER_BOUGHT, TRADES, REJECTS, HEAD_WIDTH = 10, 11, 12, 13, 16, 32
# columns of an event row; the maker's are 0 where no resting order is concerned
EVENT_SEQUENCE, EVENT_KIND, EVENT_AT, EVENT_SIDE, EVENT_PRICE, EVENT_LOTS, EVENT_OWNER, EVENT_ID = range(8)
EVENT_MAKER, EVENT_MAKER_ID, EVENT_LABEL, EVENT_MAKER_LABEL, EVENT_WIDTH = range(8, 13)

BLOCK_BITS, SPAN_BITS = 6, 12  # 64 levels a counted block, 64 blocks a counted span
BLOCK_END, SPAN_END = (1 << BLOCK_BITS) - 1, (1 << SPAN_BITS) - 1


class Book(NamedTuple):
    """The arrays of one order book, all int64."""

    orders: Ints  # (capacity + 1, 8); row 0 is nobody
    levels: Ints  # (levels, 3): first and last slot in the queue, lots in it
    occupied: Ints  # (2, …): occupied levels in each block, and in each span
    ids: Ints  # (a power of two, 2): hash table of live order ids and their slots
    accounts: Ints  # (owners, 2): position in lots, cash in ticks × lots
    events: Ints  # (room, 12)
    head: Ints  # (32,)


def empty_book(levels: int, capacity: int, owners: int, room: int) -> Book:
    """A book for prices 1 … levels−1, at most `capacity` resting orders, and `room` rows of events."""
    table = 1 << (2 * capacity).bit_length()  # at most half full, so that probes stay short
    return Book(
        np.zeros((capacity + 1, ORDER_WIDTH), np.int64),
        np.zeros((levels, LEVEL_WIDTH), np.int64),
        np.zeros((2, (levels >> BLOCK_BITS) + 1), np.int64),
        np.zeros((table, 2), np.int64),
        np.zeros((owners, ACCOUNT_WIDTH), np.int64),
        np.zeros((room, EVENT_WIDTH), np.int64),
        np.zeros(HEAD_WIDTH, np.int64),
    )


@inlined_kernel
def count_level(book: Book, price: int, change: int) -> None:
    """Note that the level at `price` became occupied (+1) or empty (−1)."""
    book.occupied[0, price >> BLOCK_BITS] += change
    book.occupied[1, price >> SPAN_BITS] += change


@kernel
def next_below(book: Book, price: int) -> int:
    """The highest occupied level under `price`, or 0."""
    price -= 1
    while price > 0:
        if price & SPAN_END == SPAN_END and book.occupied[1, price >> SPAN_BITS] == 0:
            price -= SPAN_END + 1
        elif price & BLOCK_END == BLOCK_END and book.occupied[0, price >> BLOCK_BITS] == 0:
            price -= BLOCK_END + 1
        elif book.levels[price, FRONT] != 0:
            return price
        else:
            price -= 1
    return 0


@kernel
def next_above(book: Book, price: int) -> int:
    """The lowest occupied level over `price`, or 0."""
    price += 1
    while price < len(book.levels):
        if price & SPAN_END == 0 and book.occupied[1, price >> SPAN_BITS] == 0:
            price += SPAN_END + 1
        elif price & BLOCK_END == 0 and book.occupied[0, price >> BLOCK_BITS] == 0:
            price += BLOCK_END + 1
        elif book.levels[price, FRONT] != 0:
            return price
        else:
            price += 1
    return 0


@inlined_kernel
def _home(book: Book, order_id: int) -> int:
    return (order_id ^ (order_id >> 15)) & (len(book.ids) - 1)


@kernel
def find(book: Book, order_id: int) -> int:
    """The slot of a live order, or 0."""
    mask = len(book.ids) - 1
    place = _home(book, order_id)
    while book.ids[place, 0] != 0:
        if book.ids[place, 0] == order_id:
            return int(book.ids[place, 1])
        place = (place + 1) & mask
    return 0


@kernel
def remember(book: Book, order_id: int, slot: int) -> None:
    """Put a live order id into the hash table; it must not be there."""
    mask = len(book.ids) - 1
    place = _home(book, order_id)
    while book.ids[place, 0] != 0:
        place = (place + 1) & mask
    book.ids[place, 0] = order_id
    book.ids[place, 1] = slot


@kernel
def forget(book: Book, order_id: int) -> None:
    """Delete a live order id and close the gap, so that no tombstones pile up (Knuth 6.4, algorithm R)."""
    ids, mask = book.ids, len(book.ids) - 1
    gap = _home(book, order_id)
    while ids[gap, 0] != order_id:
        gap = (gap + 1) & mask
    place = (gap + 1) & mask
    while ids[place, 0] != 0:
        home = _home(book, int(ids[place, 0]))
        if (place - home) & mask >= (place - gap) & mask:
            ids[gap, 0] = ids[place, 0]
            ids[gap, 1] = ids[place, 1]
            gap = place
        place = (place + 1) & mask
    ids[gap, 0] = 0
