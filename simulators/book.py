"""OrderBook: a price-time-priority limit order book with a Python face over the compiled rules.

One message at a time for tests and tinkering, whole batches for speed. What the rules are stands in `matching.py`,
how the arrays lie in `ladder.py`. Knows nothing of traders, time or bars.
"""

import numpy as np
from numpy.typing import NDArray

from . import ladder, matching
from .ladder import Book, Ints, empty_book, next_above, next_below

EVENT_DTYPE = np.dtype(
    [
        (name, np.int64)
        for name in (
            "sequence",
            "kind",
            "at",
            "side",
            "ticks",
            "lots",
            "owner",
            "order_id",
            "maker",
            "maker_id",
            "label",
            "maker_label",
        )
    ]
)


class OrderBook:
    """Bids and asks of `owners` accounts at prices 1 … levels−1 ticks.

    `limit`, `market` and `cancel` return lots (filled at once, or taken out), or minus a `matching.Reject` code: a
    wrong message is an answer, never an exception. Order ids are the caller's, above 0, unique among live orders.

    >>> book = OrderBook(owners=2)
    >>> book.limit(order_id=1, owner=0, side=-1, ticks=101, lots=5)
    0
    >>> book.market(order_id=2, owner=1, side=1, lots=3), book.best_ask, book.position(1)
    (3, 101, 3)
    """

    def __init__(self, owners: int, *, levels: int = 1 << 17, capacity: int = 1 << 13, room: int = 1 << 16) -> None:
        for name, value in (("owners", owners), ("levels", levels), ("capacity", capacity), ("room", room)):
            if value < 2 and not (name == "owners" and value == 1):
                raise ValueError(f"an order book of {value} {name} cannot hold a market")
        self.arrays: Book = empty_book(levels, capacity, owners, room)
        self.arrays.head[ladder.LOG_KINDS] = matching.ALL_EVENTS

    def limit(self, *, order_id: int, owner: int, side: int, ticks: int, lots: int, label: int = 0) -> int:
        """Trade up to `ticks`, rest what is left; side is +1 to buy, −1 to sell."""
        return int(matching.submit_limit(self.arrays, order_id, owner, side, ticks, lots, label))

    def market(self, *, order_id: int, owner: int, side: int, lots: int, label: int = 0) -> int:
        """Take what is there; the rest expires."""
        return int(matching.submit_market(self.arrays, order_id, owner, side, lots, label))

    def cancel(self, *, order_id: int, owner: int) -> int:
        """Take a resting order out."""
        return int(matching.cancel(self.arrays, order_id, owner))

    def process(self, messages: Ints) -> Ints:
        """Run many messages in one call: (n, 7) int64 of kind, id, owner, side, ticks, lots, label -> (n,) answers."""
        if messages.ndim != 2 or messages.shape[1] != 7 or messages.dtype != np.int64:
            raise ValueError(f"messages are {messages.dtype} {messages.shape}, they must be int64 (n, 7)")
        answers = np.zeros(len(messages), np.int64)
        matching.process(self.arrays, messages, answers)
        return answers

    @property
    def best_bid(self) -> int:
        """Highest bid in ticks, 0 where nobody bids."""
        return int(self.arrays.head[ladder.BEST_BID])

    @property
    def best_ask(self) -> int:
        """Lowest ask in ticks, 0 where nobody asks."""
        return int(self.arrays.head[ladder.BEST_ASK])

    @property
    def live_orders(self) -> int:
        """How many orders rest in the book."""
        return int(self.arrays.head[ladder.BIDS] + self.arrays.head[ladder.ASKS])

    def position(self, owner: int) -> int:
        """Lots held by `owner`, negative where short."""
        return int(self.arrays.accounts[owner, ladder.POSITION])

    def cash(self, owner: int) -> int:
        """Cash of `owner` in ticks × lots, from 0."""
        return int(self.arrays.accounts[owner, ladder.CASH])

    def rejects(self) -> dict[matching.Reject, int]:
        """How many messages were refused, by reason."""
        return {code: int(self.arrays.head[ladder.REJECTS + code]) for code in matching.Reject}

    def depth(self, count: int) -> tuple[Ints, Ints]:
        """The best `count` levels of bids and of asks, each (≤ count, 2) int64 of ticks and lots, best first."""
        return depth(self.arrays, count)

    def events(self) -> NDArray[np.void]:
        """Everything that happened, in order (a copy): structured rows with the names of `EVENT_DTYPE`."""
        return event_rows(self.arrays)


def depth(book: Book, count: int) -> tuple[Ints, Ints]:
    """The best `count` levels of bids and of asks, each (≤ count, 2) int64 of ticks and lots, best first."""
    bids: list[tuple[int, int]] = []
    asks: list[tuple[int, int]] = []
    price = int(book.head[ladder.BEST_BID])
    while price and len(bids) < count:
        bids.append((price, int(book.levels[price, ladder.QUEUED])))
        price = int(next_below(book, price))
    price = int(book.head[ladder.BEST_ASK])
    while price and len(asks) < count:
        asks.append((price, int(book.levels[price, ladder.QUEUED])))
        price = int(next_above(book, price))
    return np.array(bids, np.int64).reshape(-1, 2), np.array(asks, np.int64).reshape(-1, 2)


def event_rows(book: Book) -> NDArray[np.void]:
    """The logged events as a structured copy, one field a column."""
    logged = book.events[: int(book.head[ladder.LOGGED])].copy()
    return logged.view(EVENT_DTYPE).reshape(-1)
