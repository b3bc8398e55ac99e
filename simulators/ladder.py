"""The memory of one order book: its arrays, what their columns mean, and how an order id or the next price is found.

A resting order is one cache line of 64 bytes, linked in arrival order under its price level; occupied levels are
counted in blocks, so that the next best price is found in a bounded walk. Slot, order id and price 0 mean "none": a
book of zeros is an empty book. Knows nothing of the rules by which orders meet.
"""

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ..market.jit import inlined_kernel

Ints = NDArray[np.int64]


def codes(start: int, stop: int) -> tuple[int, ...]:
    """start … stop−1 for kernels: numba compiles a copy of a kernel for every literal int that it is called with."""
    return cast("tuple[int, ...]", tuple(np.arange(start, stop)))


# columns of an order row; SIDE is +1 or −1 for a plain order, its magnitude − 1 the bits of what it is beyond
PRICE, LOTS, SIDE, OWNER, ID, LABEL, NEXT, PREVIOUS, ORDER_WIDTH = range(9)
# columns of the row beside it, for orders that are more than plain: lots not shown, the piece shown, a stop's trigger,
# and how many events it may still cause
HIDDEN, PEAK, TRIGGER, OWED, DETAIL_WIDTH = range(5)
# columns of a level row, an account row
FRONT, BACK, QUEUED, LEVEL_WIDTH = 0, 1, 2, 4
POSITION, CASH, ACCOUNT_WIDTH = range(3)
ID_WIDTH = 2  # an id and its slot
# places in the head; from REJECTS on: messages refused, by code
BEST_BID, BEST_ASK, BIDS, ASKS, FREE, FRESH, SEQUENCE, LOGGED, NOW, LOG_KINDS = range(10)
LAST, TRADED, TAKER_BOUGHT, TRADES, HALTED, MESSAGES = range(10, 16)
BURDEN, BUY_STOPS, SELL_STOPS, PRINT_LOW, PRINT_HIGH = range(16, 21)
REJECTS, HEAD_WIDTH = 32, 64
# columns of an event row; the maker's are 0 where no resting order is concerned
EVENT_SEQUENCE, EVENT_KIND, EVENT_AT, EVENT_SIDE, EVENT_PRICE, EVENT_LOTS, EVENT_OWNER, EVENT_ID = range(8)
EVENT_MAKER, EVENT_MAKER_ID, EVENT_LABEL, EVENT_MAKER_LABEL, EVENT_WIDTH = range(8, 13)

BLOCK_BITS, SPAN_BITS = 6, 12  # 64 levels a counted block, 64 blocks a counted span
BLOCK_END, SPAN_END = (1 << BLOCK_BITS) - 1, (1 << SPAN_BITS) - 1
LINE = 8  # cells a cache line


class Book(NamedTuple):
    """The arrays of one order book, all int64."""

    head: Ints  # (64,)
    orders: Ints  # (capacity + 1, 8); row 0 is nobody
    levels: Ints  # (levels, 4): first and last slot in the queue, lots shown in it
    ids: Ints  # (a power of two, 2): hash table of live order ids and their slots
    accounts: Ints  # (owners, 2): position in lots, cash in ticks × lots
    events: Ints  # (room, 12)
    occupied: Ints  # (2, …): occupied levels in each block, and in each span
    details: Ints  # (capacity + 1, 4)
    stops: Ints  # (2, capacity + 1): slots of waiting stops to buy and to sell, the next to be triggered last


def empty_book(levels: int, capacity: int, owners: int, room: int) -> Book:
    """A book for prices 1 … levels−1, at most `capacity` orders at a time, and `room` rows of events."""
    table = 1 << (2 * capacity).bit_length()  # at most half full, so that probes stay short
    return Book(
        head=_on_lines(1, HEAD_WIDTH).reshape(-1),
        orders=_on_lines(capacity + 1, ORDER_WIDTH),
        levels=_on_lines(levels, LEVEL_WIDTH),
        ids=_on_lines(table, ID_WIDTH),
        accounts=_on_lines(owners, ACCOUNT_WIDTH),
        events=_on_lines(room, EVENT_WIDTH),
        occupied=np.zeros((2, (levels >> BLOCK_BITS) + 1), np.int64),
        details=_on_lines(capacity + 1, DETAIL_WIDTH),
        stops=np.zeros((2, capacity + 1), np.int64),
    )


def _on_lines(rows: int, columns: int) -> Ints:
    """Zeros that begin at a cache line, so that no order row lies on two."""
    cells = np.zeros(rows * columns + LINE, np.int64)
    first = -(cells.ctypes.data // 8) % LINE
    return cells[first : first + rows * columns].reshape(rows, columns)


@inlined_kernel
def count_level(book: Book, price: int, change: int) -> None:
    """Note that the level at `price` became occupied (+1) or empty (−1)."""
    book.occupied[0, price >> BLOCK_BITS] += change
    book.occupied[1, price >> SPAN_BITS] += change


@inlined_kernel
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


@inlined_kernel
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
def home(book: Book, order_id: int) -> int:
    """Where an id is looked for first: ids given one after the other lie side by side."""
    return (order_id ^ (order_id >> 15)) & (len(book.ids) - 1)


@inlined_kernel
def find(book: Book, order_id: int) -> int:
    """The slot of a live order, or 0."""
    mask = len(book.ids) - 1
    place = home(book, order_id)
    while book.ids[place, 0] != 0:
        if book.ids[place, 0] == order_id:
            return int(book.ids[place, 1])
        place = (place + 1) & mask
    return 0


@inlined_kernel
def remember(book: Book, order_id: int, slot: int) -> None:
    """Put a live order id into the hash table; it must not be there."""
    mask = len(book.ids) - 1
    place = home(book, order_id)
    while book.ids[place, 0] != 0:
        place = (place + 1) & mask
    book.ids[place, 0] = order_id
    book.ids[place, 1] = slot


@inlined_kernel
def forget(book: Book, order_id: int) -> None:
    """Delete a live order id and close the gap, so that no tombstones pile up (Knuth 6.4, algorithm R)."""
    ids, mask = book.ids, len(book.ids) - 1
    gap = home(book, order_id)
    while ids[gap, 0] != order_id:
        gap = (gap + 1) & mask
    place = (gap + 1) & mask
    while ids[place, 0] != 0:
        wanted = home(book, int(ids[place, 0]))
        if (place - wanted) & mask >= (place - gap) & mask:
            ids[gap, 0] = ids[place, 0]
            ids[gap, 1] = ids[place, 1]
            gap = place
        place = (place + 1) & mask
    ids[gap, 0] = 0
