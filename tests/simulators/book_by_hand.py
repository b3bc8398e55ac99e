"""A small book with a quote on each side, and what it has told, for tests that are worked out on paper."""

from wavetank.simulators.book import OrderBook
from wavetank.simulators.matching import Event

ALICE, BOB, CAROL = 0, 1, 2
BUY, SELL = 1, -1


def quoted_book() -> OrderBook:
    """Bob asks 3 lots at 101 and 5 at 103; Carol bids 4 at 99 and 6 at 97."""
    book = OrderBook(4, levels=1000, capacity=12, room=1024)
    book.limit(order_id=901, owner=BOB, side=SELL, ticks=101, lots=3)
    book.limit(order_id=902, owner=BOB, side=SELL, ticks=103, lots=5)
    book.limit(order_id=903, owner=CAROL, side=BUY, ticks=99, lots=4)
    book.limit(order_id=904, owner=CAROL, side=BUY, ticks=97, lots=6)
    return book


def told(book: OrderBook, since: int = 0) -> list[tuple[str, int, int, int]]:
    """(event, id, ticks, lots) of everything after the first `since` events."""
    rows = book.events()[since:]
    return [(Event(row["kind"]).name, int(row["order_id"]), int(row["ticks"]), int(row["lots"])) for row in rows]


def traded(book: OrderBook) -> list[tuple[int, int, int, int]]:
    """(ticks, lots, taker's id, maker's id) of every trade."""
    rows = book.events()
    kept = rows[rows["kind"] == Event.TRADE][["ticks", "lots", "order_id", "maker_id"]]
    return [tuple(row) for row in kept.tolist()]


def resting(book: OrderBook) -> list[tuple[int, int, int, int]]:
    """(id, ticks, shown, lots) of every resting order, bids first, best first."""
    return [tuple(row) for row in book.orders()[["order_id", "ticks", "shown", "lots"]].tolist()]
