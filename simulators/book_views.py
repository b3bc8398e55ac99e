"""What is seen of an order book from outside: best prices, depth, every order, every event; all of them copies.

Level 1, 2 and 3 in the words of the data vendors. Changes nothing.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import ladder
from .ladder import Book, Ints, next_above, next_below
from .order_log import whole

EVENT_NAMES = "sequence kind at side ticks lots owner order_id maker maker_id label maker_label"
EVENT_DTYPE = np.dtype([(name, np.int64) for name in EVENT_NAMES.split()])
ORDER_NAMES = "order_id owner side ticks shown lots trigger reduce_only label"  # lots: hidden ones too
ORDER_DTYPE = np.dtype([(name, np.int64) for name in ORDER_NAMES.split()])


class Level1(NamedTuple):
    """Best prices in ticks with the lots shown there, and the price of the last trade; 0 where there is none."""

    bid: int
    bid_lots: int
    ask: int
    ask_lots: int
    last: int


def level1(book: Book) -> Level1:
    """The top of the book."""
    bid, ask = int(book.head[ladder.BEST_BID]), int(book.head[ladder.BEST_ASK])
    return Level1(bid, _queued(book, bid), ask, _queued(book, ask), int(book.head[ladder.LAST]))


def depth(book: Book, count: int) -> tuple[Ints, Ints]:
    """The best `count` levels of bids and of asks, each (≤ count, 2) int64 of ticks and lots shown, best first."""
    sides = []
    for prices in (_bid_prices(book), _ask_prices(book)):
        rows = [(price, _queued(book, price)) for price, _ in zip(prices, range(count), strict=False)]
        sides.append(np.array(rows, np.int64).reshape(-1, 2))
    return sides[0], sides[1]


def order_rows(book: Book) -> NDArray[np.void]:
    """Every resting order, bids then asks, best price first, in the order of the queue."""
    rows = []
    for prices in (_bid_prices(book), _ask_prices(book)):
        for price in prices:
            slot = int(book.levels[price, ladder.FRONT])
            while slot:
                rows.append(_order_row(book, slot, 0))
                slot = int(book.orders[slot, ladder.NEXT])
    return np.array(rows, ORDER_DTYPE)


def stop_rows(book: Book) -> NDArray[np.void]:
    """Every waiting stop, those to buy first, the next to be triggered first."""
    rows = []
    for row, place in enumerate((ladder.BUY_STOPS, ladder.SELL_STOPS)):
        for slot in book.stops[row, : int(book.head[place])][::-1].tolist():
            rows.append(_order_row(book, slot, int(book.details[slot, ladder.TRIGGER])))
    return np.array(rows, ORDER_DTYPE)


def event_rows(book: Book) -> NDArray[np.void]:
    """The logged events as a structured copy, one field a column."""
    logged = book.events[: int(book.head[ladder.LOGGED])].copy()
    return logged.view(EVENT_DTYPE).reshape(-1)


def _order_row(book: Book, slot: int, trigger: int) -> tuple[int, ...]:
    row = book.orders[slot]
    side, traits = (1 if row[ladder.SIDE] > 0 else -1), abs(int(row[ladder.SIDE])) - 1
    shown = 0 if trigger else int(row[ladder.LOTS])
    named = (int(row[ladder.ID]), int(row[ladder.OWNER]), side, int(row[ladder.PRICE]))
    return (*named, shown, whole(book, slot), trigger, traits & 1, int(row[ladder.LABEL]))


def _queued(book: Book, price: int) -> int:
    return int(book.levels[price, ladder.QUEUED]) if price else 0


def _bid_prices(book: Book) -> Iterator[int]:
    price = int(book.head[ladder.BEST_BID])
    while price:
        yield price
        price = int(next_below(book, price))


def _ask_prices(book: Book) -> Iterator[int]:
    price = int(book.head[ladder.BEST_ASK])
    while price:
        yield price
        price = int(next_above(book, price))
