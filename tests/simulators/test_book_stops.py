"""Stops, halts, self-trades, views and counts of the order book, by hand."""

import pytest

from wavetank.simulators.book import OrderBook
from wavetank.simulators.ladder import MESSAGES
from wavetank.simulators.matching import Event, Reject

from .book_by_hand import ALICE, BOB, BUY, CAROL, SELL, quoted_book, resting, told, traded


@pytest.fixture
def book() -> OrderBook:
    """Bob asks 3 lots at 101 and 5 at 103; Carol bids 4 at 99 and 6 at 97."""
    return quoted_book()


# stops


def test_a_stop_waits_until_a_trade_prints_at_its_trigger_and_then_goes_to_market(book: OrderBook) -> None:
    assert book.stop(order_id=1, owner=ALICE, side=SELL, trigger=97, lots=5) == 0
    assert book.waiting_stops()[["order_id", "trigger", "lots"]].tolist() == [(1, 97, 5)]
    book.market(order_id=2, owner=BOB, side=SELL, lots=4)  # prints 99
    assert book.live_orders == 4
    since = len(book.events())
    assert book.market(order_id=3, owner=BOB, side=SELL, lots=1) == 1  # prints 97
    assert told(book, since) == [
        ("ACCEPTED", 3, 0, 1),
        ("TRADE", 3, 97, 1),
        ("TRIGGERED", 1, 0, 5),
        ("TRADE", 1, 97, 5),
    ]
    assert book.position(ALICE) == -5


@pytest.mark.parametrize(("side", "trigger"), [(BUY, 101), (BUY, 100), (SELL, 101), (SELL, 102), (BUY, 0), (BUY, 1000)])
def test_a_stop_whose_trigger_is_passed_or_off_the_grid_is_refused(book: OrderBook, side: int, trigger: int) -> None:
    book.market(order_id=1, owner=ALICE, side=BUY, lots=1)  # prints 101
    assert book.stop(order_id=2, owner=ALICE, side=side, trigger=trigger, lots=1) == -Reject.BAD_TRIGGER


def test_a_stop_limit_order_rests_at_its_limit_once_triggered(book: OrderBook) -> None:
    book.stop_limit(order_id=1, owner=ALICE, side=BUY, trigger=101, ticks=102, lots=5)
    book.market(order_id=2, owner=CAROL, side=BUY, lots=1)
    assert traded(book) == [(101, 1, 2, 901), (101, 2, 1, 901)]
    assert resting(book)[0] == (1, 102, 3, 3)


def test_stops_cascade_nearest_first_then_oldest_each_after_the_one_before() -> None:
    book = OrderBook(6, levels=1000, capacity=20, room=512)
    for order_id, ticks in ((1, 100), (2, 99), (3, 98), (4, 97), (5, 96)):
        book.limit(order_id=order_id, owner=0, side=BUY, ticks=ticks, lots=2)
    book.stop(order_id=11, owner=1, side=SELL, trigger=97, lots=1)
    book.stop(order_id=12, owner=2, side=SELL, trigger=99, lots=2)
    book.stop(order_id=13, owner=3, side=SELL, trigger=98, lots=2)
    book.stop(order_id=14, owner=4, side=SELL, trigger=99, lots=1)
    book.market(order_id=20, owner=5, side=SELL, lots=3)  # 100, 100, 99
    rows = book.events()
    assert rows[rows["kind"] == Event.TRIGGERED]["order_id"].tolist() == [12, 14, 13, 11]
    assert traded(book) == [
        (100, 2, 20, 1),
        (99, 1, 20, 2),
        (99, 1, 12, 2),
        (98, 1, 12, 3),  # triggers 13
        (98, 1, 14, 3),
        (97, 2, 13, 4),  # triggers 11
        (96, 1, 11, 5),
    ]


def test_a_sweep_triggers_what_its_first_print_reached_though_its_last_did_not(book: OrderBook) -> None:
    book.stop(order_id=1, owner=ALICE, side=SELL, trigger=101, lots=1)  # nothing has printed yet
    book.market(order_id=2, owner=CAROL, side=BUY, lots=4)  # prints 101, then 103
    assert traded(book)[-1] == (99, 1, 1, 903)


def test_a_waiting_stop_can_be_cancelled_and_holds_its_id_and_a_place_in_the_book(book: OrderBook) -> None:
    for order_id in range(1, 9):
        assert book.stop(order_id=order_id, owner=ALICE, side=BUY, trigger=150 + order_id % 3, lots=1) == 0
    assert book.limit(order_id=9, owner=BOB, side=BUY, ticks=5, lots=1) == -Reject.BOOK_FULL
    assert book.limit(order_id=3, owner=BOB, side=BUY, ticks=5, lots=1) == -Reject.DUPLICATE_ID
    assert book.replace(order_id=3, owner=ALICE, ticks=5, lots=1) == -Reject.NOT_RESTING
    assert book.cancel(order_id=4, owner=ALICE) == 1
    assert book.limit(order_id=9, owner=BOB, side=BUY, ticks=5, lots=1) == 0
    assert book.waiting_stops()["order_id"].tolist() == [3, 6, 1, 7, 2, 5, 8]


def test_a_reduce_only_stop_is_cut_when_it_is_triggered(book: OrderBook) -> None:
    book.stop(order_id=1, owner=ALICE, side=SELL, trigger=98, lots=9, reduce_only=True)  # flat as yet: a bracket
    book.market(order_id=2, owner=ALICE, side=BUY, lots=2)
    book.market(order_id=3, owner=BOB, side=SELL, lots=5)  # prints 99 and 97
    assert book.position(ALICE) == 0
    assert ("REDUCED", 1, 0, 7) in told(book)


# halts


def test_a_halted_book_refuses_orders_and_takes_cancels(book: OrderBook) -> None:
    book.halt()
    assert book.is_halted
    assert book.market(order_id=1, owner=ALICE, side=BUY, lots=1) == -Reject.HALTED
    assert book.limit(order_id=1, owner=ALICE, side=BUY, ticks=5, lots=1) == -Reject.HALTED
    assert book.replace(order_id=903, owner=CAROL, ticks=99, lots=1) == -Reject.HALTED
    assert book.stop(order_id=1, owner=ALICE, side=BUY, trigger=500, lots=1) == -Reject.HALTED
    assert book.cancel(order_id=903, owner=CAROL) == 4
    book.resume()
    assert book.market(order_id=1, owner=ALICE, side=BUY, lots=1) == 1
    assert book.rejects()[Reject.HALTED] == 4


# self-trades, views, counts


def test_whatever_its_kind_an_order_takes_its_owners_resting_orders_out_whole(book: OrderBook) -> None:
    book.iceberg(order_id=1, owner=ALICE, side=SELL, ticks=100, lots=6, peak=2)
    since = len(book.events())
    assert book.ioc(order_id=2, owner=ALICE, side=BUY, ticks=101, lots=1) == 1
    assert told(book, since) == [("ACCEPTED", 2, 101, 1), ("SELF_TRADE", 1, 100, 6), ("TRADE", 2, 101, 1)]


def test_the_three_levels_of_data_agree(book: OrderBook) -> None:
    book.iceberg(order_id=1, owner=ALICE, side=BUY, ticks=99, lots=7, peak=2)
    assert book.level1() == (99, 6, 101, 3, 0)
    bids, asks = book.depth(2)
    assert bids.tolist() == [[99, 6], [97, 6]]
    assert asks.tolist() == [[101, 3], [103, 5]]
    assert resting(book) == [(903, 99, 4, 4), (1, 99, 2, 7), (904, 97, 6, 6), (901, 101, 3, 3), (902, 103, 5, 5)]


def test_accepted_messages_are_counted_and_refused_ones_by_reason(book: OrderBook) -> None:
    book.cancel(order_id=901, owner=BOB)
    book.cancel(order_id=901, owner=BOB)
    book.ioc(order_id=5, owner=99, side=BUY, ticks=5, lots=1)
    assert int(book.arrays.head[MESSAGES]) == 5
    assert {code: count for code, count in book.rejects().items() if count} == {
        Reject.UNKNOWN_ID: 1,
        Reject.UNKNOWN_OWNER: 1,
    }
