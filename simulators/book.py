"""OrderBook: a price-time-priority limit order book with a Python face over the compiled rules.

One message at a time for tests and tinkering, whole batches for speed. The rules stand in docs/book.md, the kernels in
`matching` and `order_*`, the arrays in `ladder`, what is seen from outside in `book_views`. Knows nothing of traders,
time or bars.
"""

from array import array

import numpy as np
from numpy.typing import NDArray

from . import book_views, ladder, matching
from .book_views import EVENT_DTYPE, ORDER_DTYPE, Level1, depth, event_rows
from .ladder import Book, Ints, empty_book
from .matching import MESSAGE_WIDTH, REDUCE_ONLY

__all__ = ["EVENT_DTYPE", "ORDER_DTYPE", "Level1", "OrderBook", "depth", "event_rows"]

NONSENSE = -(1 << 63)


class OrderBook:
    """Bids and asks of `owners` accounts at prices 1 … levels−1 ticks.

    Orders answer with the lots filled at once, `cancel` with the lots taken out; a wrong message is answered with minus
    its `matching.Reject` code, never with an exception. `side` is +1 to buy, −1 to sell. Order ids are the caller's,
    above 0, unique among live orders. A `reduce_only` order never takes its owner's position past zero.

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
        self._message = np.zeros((1, MESSAGE_WIDTH), np.int64)
        self._answer = np.zeros(1, np.int64)

    def limit(
        self, *, order_id: int, owner: int, side: int, ticks: int, lots: int, label: int = 0, reduce_only: bool = False
    ) -> int:
        """Trade up to `ticks`, rest what is left."""
        return self._order(matching.LIMIT, order_id, owner, side, ticks, lots, label, 0, reduce_only)

    def market(
        self, *, order_id: int, owner: int, side: int, lots: int, label: int = 0, reduce_only: bool = False
    ) -> int:
        """Take what is there; the rest expires."""
        return self._order(matching.MARKET, order_id, owner, side, 0, lots, label, 0, reduce_only)

    def ioc(
        self, *, order_id: int, owner: int, side: int, ticks: int, lots: int, label: int = 0, reduce_only: bool = False
    ) -> int:
        """Immediate or cancel: trade up to `ticks`; the rest expires."""
        return self._order(matching.IOC, order_id, owner, side, ticks, lots, label, 0, reduce_only)

    def fok(
        self, *, order_id: int, owner: int, side: int, ticks: int, lots: int, label: int = 0, reduce_only: bool = False
    ) -> int:
        """Fill or kill: all of it up to `ticks`, or nothing at all."""
        return self._order(matching.FOK, order_id, owner, side, ticks, lots, label, 0, reduce_only)

    def post_only(
        self, *, order_id: int, owner: int, side: int, ticks: int, lots: int, label: int = 0, reduce_only: bool = False
    ) -> int:
        """Rest at `ticks`; refused where it would meet the other side."""
        return self._order(matching.POST_ONLY, order_id, owner, side, ticks, lots, label, 0, reduce_only)

    def post_slide(
        self, *, order_id: int, owner: int, side: int, ticks: int, lots: int, label: int = 0, reduce_only: bool = False
    ) -> int:
        """Rest at `ticks`, or one tick off the other side's best where it would meet that."""
        return self._order(matching.POST_SLIDE, order_id, owner, side, ticks, lots, label, 0, reduce_only)

    def iceberg(
        self,
        *,
        order_id: int,
        owner: int,
        side: int,
        ticks: int,
        lots: int,
        peak: int,
        label: int = 0,
        reduce_only: bool = False,
    ) -> int:
        """A limit order that shows `peak` lots at a time; each new piece joins the back of the queue."""
        return self._order(matching.ICEBERG, order_id, owner, side, ticks, lots, label, peak, reduce_only)

    def stop(
        self,
        *,
        order_id: int,
        owner: int,
        side: int,
        trigger: int,
        lots: int,
        label: int = 0,
        reduce_only: bool = False,
    ) -> int:
        """Wait for a trade at or beyond `trigger` (above the last price to buy, below to sell), then go to market."""
        return self._order(matching.STOP, order_id, owner, side, 0, lots, label, trigger, reduce_only)

    def stop_limit(
        self,
        *,
        order_id: int,
        owner: int,
        side: int,
        trigger: int,
        ticks: int,
        lots: int,
        label: int = 0,
        reduce_only: bool = False,
    ) -> int:
        """Wait for a trade at or beyond `trigger`, then be a limit order at `ticks`."""
        return self._order(matching.STOP_LIMIT, order_id, owner, side, ticks, lots, label, trigger, reduce_only)

    def cancel(self, *, order_id: int, owner: int) -> int:
        """Take a resting order or a waiting stop out."""
        return self._order(matching.CANCEL, order_id, owner, 0, 0, 0, 0, 0, False)

    def replace(self, *, order_id: int, owner: int, ticks: int, lots: int) -> int:
        """New price or open size for a resting order; its place is kept only where the size alone shrinks."""
        return self._order(matching.REPLACE, order_id, owner, 0, ticks, lots, 0, 0, False)

    def process(self, messages: Ints) -> Ints:
        """Run many messages in one call: (n, 8) int64, columns `matching.MESSAGE_*` -> (n,) answers."""
        if messages.ndim != 2 or messages.shape[1] != MESSAGE_WIDTH or messages.dtype != np.int64:
            raise ValueError(f"messages are {messages.dtype} {messages.shape}, they must be int64 (n, {MESSAGE_WIDTH})")
        answers = np.zeros(len(messages), np.int64)
        matching.process(self.arrays, np.ascontiguousarray(messages), len(messages), answers)
        return answers

    def halt(self) -> None:
        """Refuse new orders from now on; cancels go through."""
        self.arrays.head[ladder.HALTED] = 1

    def resume(self) -> None:
        """Take orders again."""
        self.arrays.head[ladder.HALTED] = 0

    @property
    def is_halted(self) -> bool:
        """Whether new orders are refused."""
        return bool(self.arrays.head[ladder.HALTED] != 0)

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
        """How many orders rest in the book or wait for their trigger."""
        counts = (ladder.BIDS, ladder.ASKS, ladder.BUY_STOPS, ladder.SELL_STOPS)
        return sum(int(self.arrays.head[count]) for count in counts)

    @property
    def capacity(self) -> int:
        """How many orders can live at a time; one more is refused as `BOOK_FULL`."""
        return len(self.arrays.orders) - 1

    def level1(self) -> Level1:
        """Best prices and the lots shown there, and the last trade's price."""
        return book_views.level1(self.arrays)

    def depth(self, count: int) -> tuple[Ints, Ints]:
        """The best `count` levels of bids and of asks, each (≤ count, 2) int64 of ticks and lots shown, best first."""
        return depth(self.arrays, count)

    def orders(self) -> NDArray[np.void]:
        """Every resting order, bids then asks, best price first, in the order of the queue: rows of `ORDER_DTYPE`."""
        return book_views.order_rows(self.arrays)

    def waiting_stops(self) -> NDArray[np.void]:
        """Every stop that waits, those to buy first, nearest trigger first: rows of `ORDER_DTYPE`."""
        return book_views.stop_rows(self.arrays)

    def events(self) -> NDArray[np.void]:
        """Everything that happened, in order (a copy): structured rows with the names of `EVENT_DTYPE`."""
        return event_rows(self.arrays)

    def position(self, owner: int) -> int:
        """Lots held by `owner`, negative where short."""
        return int(self.arrays.accounts[owner, ladder.POSITION])

    def cash(self, owner: int) -> int:
        """Cash of `owner` in ticks × lots, from 0."""
        return int(self.arrays.accounts[owner, ladder.CASH])

    def rejects(self) -> dict[matching.Reject, int]:
        """How many messages were refused, by reason."""
        return {code: int(self.arrays.head[ladder.REJECTS + code]) for code in matching.Reject}

    def _order(
        self,
        kind: int,
        order_id: int,
        owner: int,
        side: int,
        ticks: int,
        lots: int,
        label: int,
        extra: int,
        reduce: bool,
    ) -> int:
        words = (kind | REDUCE_ONLY if reduce else kind, order_id, owner, side, ticks, lots, label, extra)
        try:
            self._message[0] = array("q", words)  # takes whole numbers only
        except OverflowError:  # beyond int64: nowhere valid, and refused as whatever it is
            self._message[0] = array("q", [word if NONSENSE <= word < -NONSENSE else NONSENSE for word in words])
        matching.process(self.arrays, self._message, 1, self._answer)
        return int(self._answer[0])
