"""The order book by hand: twenty lines of messages whose outcome can be worked out on paper."""

import numpy as np
import pytest

from wavetank.simulators.book import OrderBook
from wavetank.simulators.matching import Event, Reject

ALICE, BOB, CAROL = 0, 1, 2


@pytest.fixture
def book() -> OrderBook:
    return OrderBook(3, levels=1000, capacity=6, room=256)


def trades(book: OrderBook) -> list[tuple[int, int, int, int]]:
    """(ticks, lots, taker's id, maker's id) of every trade."""
    rows = book.events()
    return [
        (int(row["ticks"]), int(row["lots"]), int(row["order_id"]), int(row["maker_id"]))
        for row in rows[rows["kind"] == Event.TRADE]
    ]


def test_better_price_trades_first_and_at_one_price_the_older_order(book: OrderBook) -> None:
    book.limit(order_id=1, owner=ALICE, side=-1, ticks=102, lots=5)
    book.limit(order_id=2, owner=BOB, side=-1, ticks=101, lots=2)
    book.limit(order_id=3, owner=ALICE, side=-1, ticks=101, lots=2)
    assert book.market(order_id=4, owner=CAROL, side=1, lots=6) == 6
    assert trades(book) == [(101, 2, 4, 2), (101, 2, 4, 3), (102, 2, 4, 1)]
    assert (book.best_bid, book.best_ask) == (0, 102)


def test_a_partly_filled_order_keeps_its_place_in_the_queue(book: OrderBook) -> None:
    book.limit(order_id=1, owner=ALICE, side=1, ticks=50, lots=10)
    book.limit(order_id=2, owner=BOB, side=1, ticks=50, lots=10)
    book.market(order_id=3, owner=CAROL, side=-1, lots=4)
    book.market(order_id=4, owner=CAROL, side=-1, lots=8)
    assert trades(book) == [(50, 4, 3, 1), (50, 6, 4, 1), (50, 2, 4, 2)]


def test_a_crossing_limit_order_trades_at_the_resting_price_and_rests_what_is_left(book: OrderBook) -> None:
    book.limit(order_id=1, owner=ALICE, side=-1, ticks=100, lots=3)
    book.limit(order_id=2, owner=ALICE, side=-1, ticks=105, lots=3)
    assert book.limit(order_id=3, owner=BOB, side=1, ticks=102, lots=5) == 3
    bids, asks = book.depth(5)
    assert bids.tolist() == [[102, 2]]
    assert asks.tolist() == [[105, 3]]


def test_a_market_order_takes_what_is_there_and_the_rest_expires(book: OrderBook) -> None:
    book.limit(order_id=1, owner=ALICE, side=1, ticks=3, lots=2)
    assert book.market(order_id=2, owner=BOB, side=-1, lots=9) == 2
    last = book.events()[-1]
    assert (last["kind"], last["lots"], last["order_id"]) == (Event.EXPIRED, 7, 2)
    assert book.live_orders == 0


def test_money_and_lots_only_change_hands(book: OrderBook) -> None:
    book.limit(order_id=1, owner=ALICE, side=-1, ticks=100, lots=3)
    book.market(order_id=2, owner=BOB, side=1, lots=2)
    assert [book.position(who) for who in (ALICE, BOB, CAROL)] == [-2, 2, 0]
    assert [book.cash(who) for who in (ALICE, BOB, CAROL)] == [200, -200, 0]


def test_an_order_that_meets_its_own_owner_takes_the_resting_one_out(book: OrderBook) -> None:
    book.limit(order_id=1, owner=ALICE, side=-1, ticks=100, lots=3)
    book.limit(order_id=2, owner=BOB, side=-1, ticks=101, lots=3)
    assert book.market(order_id=3, owner=ALICE, side=1, lots=2) == 2
    assert trades(book) == [(101, 2, 3, 2)]
    assert [row["order_id"] for row in book.events() if row["kind"] == Event.SELF_TRADE] == [1]
    assert book.position(ALICE) == 2


def test_the_next_best_price_is_found_across_a_wide_empty_stretch() -> None:
    book = OrderBook(2, levels=1 << 17)
    for order_id, ticks in ((1, 60_000), (2, 60_001), (3, 131_071), (4, 64_000)):
        book.limit(order_id=order_id, owner=0, side=-1, ticks=ticks, lots=1)
    for order_id, ticks in ((5, 59_999), (6, 4_095), (7, 1), (8, 4_096)):
        book.limit(order_id=order_id, owner=0, side=1, ticks=ticks, lots=1)
    asks = [book.best_ask]
    for order_id in (11, 12, 13):
        book.market(order_id=order_id, owner=1, side=1, lots=1)
        asks.append(book.best_ask)
    assert asks == [60_000, 60_001, 64_000, 131_071]
    bids = [book.best_bid]
    for order_id in (21, 22, 23, 24):
        book.market(order_id=order_id, owner=1, side=-1, lots=1)
        bids.append(book.best_bid)
    assert bids == [59_999, 4_096, 4_095, 1, 0]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"owner": 3}, Reject.UNKNOWN_OWNER),
        ({"owner": -1}, Reject.UNKNOWN_OWNER),
        ({"order_id": 0}, Reject.BAD_ID),
        ({"side": 2}, Reject.UNKNOWN_SIDE),
        ({"lots": 0}, Reject.BAD_SIZE),
        ({"lots": 2**36 + 1}, Reject.BAD_SIZE),
        ({"ticks": 0}, Reject.PRICE_OFF_RANGE),
        ({"ticks": 1000}, Reject.PRICE_OFF_RANGE),
        ({"ticks": -(2**62)}, Reject.PRICE_OFF_RANGE),
        ({"order_id": 1}, Reject.DUPLICATE_ID),
    ],
)
def test_a_wrong_order_gets_a_code_and_changes_nothing(book: OrderBook, change: dict[str, int], code: Reject) -> None:
    book.limit(order_id=1, owner=ALICE, side=1, ticks=10, lots=1)
    order = {"order_id": 2, "owner": BOB, "side": -1, "ticks": 20, "lots": 1, "label": 0} | change
    assert book.limit(**order, reduce_only=False) == -code
    assert book.rejects()[code] == 1
    assert (book.live_orders, book.best_bid, book.best_ask) == (1, 10, 0)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"owner": 2**70}, Reject.UNKNOWN_OWNER),
        ({"order_id": 2**63}, Reject.BAD_ID),
        ({"side": -(2**80)}, Reject.UNKNOWN_SIDE),
        ({"lots": 2**64}, Reject.BAD_SIZE),
        ({"ticks": 2**64 + 20}, Reject.PRICE_OFF_RANGE),
    ],
)
def test_numbers_beyond_64_bits_are_refused_like_any_others(
    book: OrderBook, change: dict[str, int], code: Reject
) -> None:
    order = {"order_id": 2, "owner": BOB, "side": -1, "ticks": 20, "lots": 1, "label": 0} | change
    assert book.limit(**order, reduce_only=False) == -code
    assert book.live_orders == 0


def test_half_a_lot_is_an_error_and_not_cut_in_silence(book: OrderBook) -> None:
    with pytest.raises(TypeError):
        book.limit(order_id=1, owner=ALICE, side=1, ticks=10, lots=1.5)  # type: ignore[arg-type]  # on purpose
    assert book.live_orders == 0


def test_cancel_gives_back_the_lots_and_refuses_what_is_not_there_or_not_yours(book: OrderBook) -> None:
    book.limit(order_id=1, owner=ALICE, side=1, ticks=10, lots=4)
    assert book.cancel(order_id=1, owner=BOB) == -Reject.NOT_YOURS
    assert book.cancel(order_id=9, owner=ALICE) == -Reject.UNKNOWN_ID
    assert book.cancel(order_id=1, owner=ALICE) == 4
    assert book.cancel(order_id=1, owner=ALICE) == -Reject.UNKNOWN_ID
    assert book.best_bid == 0


def test_a_full_book_refuses_limits_aloud_and_takes_them_again_once_there_is_room(book: OrderBook) -> None:
    for order_id in range(1, 7):
        book.limit(order_id=order_id, owner=ALICE, side=1, ticks=order_id, lots=1)
    assert book.limit(order_id=7, owner=BOB, side=1, ticks=9, lots=1) == -Reject.BOOK_FULL
    assert book.rejects()[Reject.BOOK_FULL] == 1
    book.cancel(order_id=3, owner=ALICE)
    assert book.limit(order_id=7, owner=BOB, side=1, ticks=9, lots=1) == 0
    assert book.best_bid == 9


def test_a_full_event_log_refuses_instead_of_losing_events() -> None:
    book = OrderBook(2, levels=100, capacity=4, room=8)
    assert book.limit(order_id=1, owner=0, side=1, ticks=5, lots=1) == 0
    assert book.limit(order_id=2, owner=0, side=1, ticks=6, lots=1) == 0
    assert book.limit(order_id=3, owner=0, side=1, ticks=7, lots=1) == -Reject.LOG_FULL
    assert book.rejects()[Reject.LOG_FULL] == 1
    assert (len(book.events()), book.live_orders) == (4, 2)


def test_events_are_numbered_without_gaps(book: OrderBook) -> None:
    book.limit(order_id=1, owner=ALICE, side=1, ticks=10, lots=4)
    book.market(order_id=2, owner=BOB, side=-1, lots=5)
    book.cancel(order_id=1, owner=ALICE)
    assert book.events()["sequence"].tolist() == list(range(1, 7))


def test_messages_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="int64"):
        OrderBook(2).process(np.zeros((3, 7), np.int64))
