"""Every kind of order by hand: a handful of messages whose outcome can be worked out on paper."""

import pytest

from wavetank.simulators.book import OrderBook
from wavetank.simulators.matching import Reject

from .book_by_hand import ALICE, BOB, BUY, CAROL, SELL, quoted_book, resting, told, traded


@pytest.fixture
def book() -> OrderBook:
    """Bob asks 3 lots at 101 and 5 at 103; Carol bids 4 at 99 and 6 at 97."""
    return quoted_book()


# immediate or cancel, fill or kill


def test_an_ioc_order_trades_up_to_its_limit_and_its_rest_expires(book: OrderBook) -> None:
    since = len(book.events())
    assert book.ioc(order_id=1, owner=ALICE, side=BUY, ticks=102, lots=5) == 3
    assert told(book, since) == [("ACCEPTED", 1, 102, 5), ("TRADE", 1, 101, 3), ("EXPIRED", 1, 102, 2)]
    assert (book.best_bid, book.best_ask) == (99, 103)


def test_a_fill_or_kill_order_takes_everything_across_levels(book: OrderBook) -> None:
    assert book.fok(order_id=1, owner=ALICE, side=BUY, ticks=103, lots=8) == 8
    assert traded(book) == [(101, 3, 1, 901), (103, 5, 1, 902)]


def test_a_fill_or_kill_order_that_lacks_one_lot_trades_nothing(book: OrderBook) -> None:
    before = resting(book)
    since = len(book.events())
    assert book.fok(order_id=1, owner=ALICE, side=BUY, ticks=102, lots=4) == 0
    assert told(book, since) == [("ACCEPTED", 1, 102, 4), ("EXPIRED", 1, 102, 4)]
    assert resting(book) == before
    assert sum(book.rejects().values()) == 0


def test_a_fill_or_kill_order_counts_hidden_lots_but_neither_its_owners_nor_reduce_only_ones(book: OrderBook) -> None:
    book.market(order_id=1, owner=ALICE, side=BUY, lots=3)  # Alice is long 3
    book.iceberg(order_id=2, owner=BOB, side=SELL, ticks=100, lots=4, peak=1)
    book.limit(order_id=3, owner=ALICE, side=SELL, ticks=100, lots=2, reduce_only=True)
    book.limit(order_id=4, owner=CAROL, side=SELL, ticks=100, lots=9)
    assert book.fok(order_id=5, owner=CAROL, side=BUY, ticks=100, lots=5) == 0
    assert book.fok(order_id=6, owner=CAROL, side=BUY, ticks=100, lots=4) == 4
    assert traded(book)[1:] == [(100, 1, 6, 2), (100, 2, 6, 3), (100, 1, 6, 2)]


# post-only


@pytest.mark.parametrize(("side", "ticks"), [(BUY, 101), (BUY, 150), (SELL, 99), (SELL, 1)])
def test_a_post_only_order_that_would_cross_is_refused(book: OrderBook, side: int, ticks: int) -> None:
    before = resting(book)
    assert book.post_only(order_id=1, owner=ALICE, side=side, ticks=ticks, lots=1) == -Reject.WOULD_CROSS
    assert resting(book) == before


def test_a_post_only_order_one_tick_off_rests(book: OrderBook) -> None:
    assert book.post_only(order_id=1, owner=ALICE, side=BUY, ticks=100, lots=1) == 0
    assert book.best_bid == 100


@pytest.mark.parametrize(("side", "ticks", "slid"), [(BUY, 150, 100), (BUY, 98, 98), (SELL, 50, 100), (SELL, 104, 104)])
def test_a_post_slide_order_steps_back_to_one_tick_off_the_other_side(
    book: OrderBook, side: int, ticks: int, slid: int
) -> None:
    assert book.post_slide(order_id=1, owner=ALICE, side=side, ticks=ticks, lots=1) == 0
    assert (1, slid, 1, 1) in resting(book)
    assert traded(book) == []


def test_a_post_slide_order_with_no_price_to_step_back_to_is_refused(book: OrderBook) -> None:
    book.limit(order_id=1, owner=BOB, side=SELL, ticks=100, lots=1)
    book.cancel(order_id=903, owner=CAROL)
    book.cancel(order_id=904, owner=CAROL)
    book.limit(order_id=2, owner=BOB, side=SELL, ticks=1, lots=1)
    assert book.post_slide(order_id=3, owner=ALICE, side=BUY, ticks=5, lots=1) == -Reject.PRICE_OFF_RANGE


# replace


def test_an_order_that_only_shrinks_keeps_its_place(book: OrderBook) -> None:
    book.limit(order_id=1, owner=ALICE, side=BUY, ticks=99, lots=4)
    assert book.replace(order_id=903, owner=CAROL, ticks=99, lots=1) == 0
    assert resting(book)[:2] == [(903, 99, 1, 1), (1, 99, 4, 4)]
    assert book.depth(1)[0].tolist() == [[99, 5]]


@pytest.mark.parametrize(("ticks", "lots"), [(99, 5), (98, 4)])
def test_an_order_that_grows_or_moves_goes_to_the_back(book: OrderBook, ticks: int, lots: int) -> None:
    book.limit(order_id=1, owner=ALICE, side=BUY, ticks=ticks, lots=4)
    assert book.replace(order_id=903, owner=CAROL, ticks=ticks, lots=lots) == 0
    assert resting(book)[:2] == [(1, ticks, 4, 4), (903, ticks, lots, lots)]


def test_a_replaced_order_that_crosses_trades_at_once(book: OrderBook) -> None:
    since = len(book.events())
    assert book.replace(order_id=904, owner=CAROL, ticks=101, lots=7) == 3
    assert told(book, since) == [("REPLACED", 904, 101, 7), ("TRADE", 904, 101, 3), ("RESTED", 904, 101, 4)]
    assert book.best_bid == 101


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"order_id": 77}, Reject.UNKNOWN_ID),
        ({"order_id": -1}, Reject.BAD_ID),
        ({"owner": ALICE}, Reject.NOT_YOURS),
        ({"owner": 4}, Reject.UNKNOWN_OWNER),
        ({"lots": 0}, Reject.BAD_SIZE),
        ({"ticks": 1000}, Reject.PRICE_OFF_RANGE),
    ],
)
def test_a_wrong_replace_changes_nothing(book: OrderBook, change: dict[str, int], code: Reject) -> None:
    before = resting(book)
    order = {"order_id": 903, "owner": CAROL, "ticks": 98, "lots": 9} | change
    assert book.replace(**order) == -code
    assert resting(book) == before


# icebergs


def test_an_iceberg_shows_its_peak_and_each_new_piece_joins_the_back_of_the_queue(book: OrderBook) -> None:
    book.iceberg(order_id=1, owner=ALICE, side=SELL, ticks=100, lots=5, peak=2)
    book.limit(order_id=2, owner=BOB, side=SELL, ticks=100, lots=3)
    assert book.level1()[2:4] == (100, 5)
    book.market(order_id=3, owner=CAROL, side=BUY, lots=2)
    assert resting(book)[2:4] == [(2, 100, 3, 3), (1, 100, 2, 3)]
    book.market(order_id=4, owner=CAROL, side=BUY, lots=6)
    assert traded(book) == [(100, 2, 3, 1), (100, 3, 4, 2), (100, 2, 4, 1), (100, 1, 4, 1)]
    assert book.best_ask == 101


def test_an_arriving_iceberg_takes_with_all_its_lots_and_rests_the_others(book: OrderBook) -> None:
    assert book.iceberg(order_id=1, owner=ALICE, side=BUY, ticks=101, lots=9, peak=2) == 3
    assert resting(book)[0] == (1, 101, 2, 6)
    assert book.cancel(order_id=1, owner=ALICE) == 6


def test_a_shrinking_iceberg_loses_hidden_lots_first(book: OrderBook) -> None:
    book.iceberg(order_id=1, owner=ALICE, side=BUY, ticks=100, lots=9, peak=4)
    book.replace(order_id=1, owner=ALICE, ticks=100, lots=5)
    assert resting(book)[0] == (1, 100, 4, 5)
    book.replace(order_id=1, owner=ALICE, ticks=100, lots=3)
    assert resting(book)[0] == (1, 100, 3, 3)
    book.replace(order_id=1, owner=ALICE, ticks=100, lots=8)
    assert resting(book)[0] == (1, 100, 4, 8)


@pytest.mark.parametrize("peak", [0, -1, 11, 2**62])
def test_an_iceberg_with_a_peak_that_cannot_be_is_refused(book: OrderBook, peak: int) -> None:
    answer = book.iceberg(order_id=1, owner=ALICE, side=BUY, ticks=100, lots=10, peak=peak)
    assert answer == -Reject.BAD_PEAK


def test_an_iceberg_of_more_than_a_hundred_pieces_is_refused(book: OrderBook) -> None:
    assert book.iceberg(order_id=1, owner=ALICE, side=BUY, ticks=100, lots=201, peak=2) == -Reject.BAD_PEAK
    assert book.iceberg(order_id=1, owner=ALICE, side=BUY, ticks=100, lots=200, peak=2) == 0
    assert book.replace(order_id=1, owner=ALICE, ticks=99, lots=201) == -Reject.BAD_PEAK


# reduce-only


def test_a_reduce_only_order_is_cut_to_what_reduces_when_it_arrives(book: OrderBook) -> None:
    book.market(order_id=1, owner=ALICE, side=BUY, lots=2)
    since = len(book.events())
    assert book.market(order_id=2, owner=ALICE, side=SELL, lots=5, reduce_only=True) == 2
    assert told(book, since) == [("ACCEPTED", 2, 0, 5), ("REDUCED", 2, 0, 3), ("TRADE", 2, 99, 2)]
    assert book.position(ALICE) == 0


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_reduce_only_order_of_someone_flat_is_refused(book: OrderBook, side: int) -> None:
    answer = book.limit(order_id=1, owner=ALICE, side=side, ticks=100, lots=1, reduce_only=True)
    assert answer == -Reject.REDUCES_NOTHING
    assert book.rejects()[Reject.REDUCES_NOTHING] == 1


def test_a_resting_reduce_only_order_never_turns_a_position_round(book: OrderBook) -> None:
    book.market(order_id=1, owner=ALICE, side=BUY, lots=3)
    book.limit(order_id=2, owner=ALICE, side=SELL, ticks=102, lots=3, reduce_only=True)
    book.market(order_id=3, owner=ALICE, side=SELL, lots=2)  # long 1 now
    since = len(book.events())
    assert book.ioc(order_id=4, owner=BOB, side=BUY, ticks=102, lots=3) == 1
    assert told(book, since)[1:] == [("REDUCED", 2, 102, 2), ("TRADE", 4, 102, 1), ("EXPIRED", 4, 102, 2)]
    assert book.position(ALICE) == 0


def test_a_resting_reduce_only_order_that_reduces_nothing_any_more_is_taken_out_when_met(book: OrderBook) -> None:
    book.market(order_id=1, owner=ALICE, side=BUY, lots=3)
    book.limit(order_id=2, owner=ALICE, side=SELL, ticks=101, lots=3, reduce_only=True)
    book.market(order_id=3, owner=ALICE, side=SELL, lots=3)
    since = len(book.events())
    assert book.ioc(order_id=4, owner=BOB, side=BUY, ticks=102, lots=1) == 0
    assert told(book, since)[1:] == [("REDUCED", 2, 101, 3), ("EXPIRED", 4, 102, 1)]
    assert book.cancel(order_id=2, owner=ALICE) == -Reject.UNKNOWN_ID


def test_two_reduce_only_orders_together_do_not_turn_a_position_round(book: OrderBook) -> None:
    book.market(order_id=1, owner=ALICE, side=BUY, lots=3)
    book.limit(order_id=2, owner=ALICE, side=SELL, ticks=102, lots=2, reduce_only=True)
    book.limit(order_id=3, owner=ALICE, side=SELL, ticks=102, lots=2, reduce_only=True)
    assert book.ioc(order_id=4, owner=CAROL, side=BUY, ticks=102, lots=9) == 3
    assert traded(book)[1:] == [(102, 2, 4, 2), (102, 1, 4, 3)]
    assert book.position(ALICE) == 0
