"""Recorded order books through ours: Binance's level by level, Bitstamp's order by order."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from wavetank.market.book_quality import BookDeltas
from wavetank.market.store import data_folder
from wavetank.simulators.matching import Event
from wavetank.simulators.replay_book import (
    CHANGED,
    CREATED,
    DELETED,
    OrderEvents,
    Outcome,
    replay_levels,
    replay_orders,
    whole_lots,
)

SATOSHI = 1e-8


def recorded(name: str) -> dict[str, Any]:
    """The columns of a recorded file; skips the test where there are none."""
    folder = data_folder() / "book"
    if not folder.is_dir():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    return columns(folder / f"{name}.parquet")


def columns(path: Path) -> dict[str, Any]:
    table = pq.ParquetFile(path).read()
    return {name: table.column(name).to_numpy() for name in table.column_names}


@pytest.mark.parametrize(
    ("venue", "lot", "least"),
    [
        ("binance_spot", SATOSHI, 476),  # seven sizes far off the market are no multiples of the venue's lot, 1e-5
        ("binanceusdm", 1e-3, 263),
    ],
)
def test_a_book_rebuilt_level_by_level_equals_the_venues_best_quotes(venue: str, lot: float, least: int) -> None:
    told, quotes = recorded(f"{venue}_BTCUSDT_l2_2024-08-08"), recorded(f"{venue}_BTCUSDT_bbo_2024-08-08")
    replayed = replay_levels(BookDeltas(told["u"], told["side"], told["price"], told["qty"], told["is_snapshot"]), lot)
    _, ours, theirs = np.intersect1d(replayed.update, quotes["u"], return_indices=True)
    assert len(ours) >= least
    touch = replayed.touch[ours]
    assert np.array_equal(replayed.prices[touch[:, 0] - 1], quotes["bid"][theirs])
    assert np.array_equal(replayed.prices[touch[:, 2] - 1], quotes["ask"][theirs])
    assert np.array_equal(touch[:, 1], whole_lots(quotes["bid_qty"][theirs], lot))
    assert np.array_equal(touch[:, 3], whole_lots(quotes["ask_qty"][theirs], lot))
    assert len(replayed.book.events()) == 0  # a sound feed never lets two levels meet
    assert np.all(replayed.touch[:, 0] < replayed.touch[:, 2])


def test_recorded_orders_end_in_our_book_as_they_did_at_the_venue() -> None:
    told = recorded("bitstamp_BTCUSD_l3_2015-05-01")
    action = np.select([told["action"] == "created", told["action"] == "changed"], [CREATED, CHANGED], DELETED)
    ticks, side = np.round(told["price"] * 100).astype(np.int64), np.where(told["direction"] == "bid", 1, -1)
    events = OrderEvents(action, told["id"], side, ticks, told["volume_satoshi"])
    replayed = replay_orders(events, capacity=1 << 12, room=1 << 14)
    created, deleted = replayed.counts(events, [CREATED]), replayed.counts(events, [DELETED])
    assert sum(created.values()) == 0  # no order was refused
    judged = sum(deleted.values()) - deleted[Outcome.UNKNOWN]
    assert judged > 24_000
    assert deleted[Outcome.AGREED] / judged > 0.995  # filled, or taken out with the very satoshis the venue says
    assert deleted[Outcome.LOST] / judged < 0.002  # every other deletion finds its order
    sided = (replayed.touch[:, 0] > 0) & (replayed.touch[:, 2] > 0)
    assert sided.mean() > 0.99
    assert np.all(replayed.touch[sided, 0] < replayed.touch[sided, 2])
    trades = replayed.book.events()
    assert set(trades["kind"]) == {Event.TRADE}
    filled = (events.action == DELETED) & (events.lots == 0) & (replayed.outcomes == Outcome.AGREED)
    assert np.isin(events.order_id[filled], [*trades["order_id"], *trades["maker_id"]]).all()
    assert replayed.book.arrays.accounts.sum(axis=0).tolist() == [0, 0]


def test_a_level_feed_by_hand_is_rebuilt_through_a_snapshot_and_a_crossing_move() -> None:
    update = np.array([5, 7, 7, 9, 9, 9, 9])
    side = np.array([1, 1, -1, 1, -1, -1, 1])
    price = np.array([1.0, 10.0, 11.0, 11.0, 11.0, 12.0, 10.0])
    qty = np.array([9.0, 2.0, 3.0, 1.5, 0.0, 4.0, 0.5])  # update 9: the market moves up, the bid is told before the ask
    is_snapshot = np.array([False, True, True, False, False, False, False])
    replayed = replay_levels(BookDeltas(update, side, price, qty, is_snapshot), 0.5)
    assert replayed.prices.tolist() == [10.0, 11.0, 12.0]
    assert replayed.update.tolist() == [7, 9]
    assert replayed.touch.tolist() == [[1, 4, 2, 6], [2, 3, 3, 8]]
    assert replayed.book.depth(9)[0].tolist() == [[2, 3], [1, 1]]
    assert len(replayed.book.events()) == 0


def test_a_second_snapshot_replaces_the_book() -> None:
    update, side = np.array([1, 1, 4, 4]), np.array([1, -1, 1, -1])
    price, qty = np.array([10.0, 12.0, 12.0, 13.0]), np.array([1.0, 1.0, 2.0, 2.0])
    replayed = replay_levels(BookDeltas(update, side, price, qty, np.ones(4, np.bool_)), 1.0)
    assert replayed.touch.tolist() == [[1, 1, 2, 1], [2, 2, 3, 2]]
    assert replayed.book.live_orders == 2


def test_level_changes_without_a_snapshot_or_of_half_a_lot_are_refused() -> None:
    one, first = np.ones(1), np.ones(1, np.int64)
    with pytest.raises(ValueError, match="no snapshot"):
        replay_levels(BookDeltas(first, first, one, one, np.zeros(1, np.bool_)), 1.0)
    with pytest.raises(ValueError, match="1.5 in row 0 is no multiple"):
        replay_levels(BookDeltas(first, first, one, 1.5 * one, np.ones(1, np.bool_)), 1.0)


def test_an_order_feed_by_hand_comes_out_event_by_event() -> None:
    rows = [
        (CREATED, 1, -1, 101, 5, -1),
        (CREATED, 2, -1, 102, 5, -1),
        (CREATED, 3, 1, 102, 8, -1),  # takes 5 and 3
        (CHANGED, 3, 1, 102, 3, Outcome.AHEAD),  # the feed tells the first fill: ours has none left
        (DELETED, 1, -1, 101, 0, Outcome.AGREED),
        (DELETED, 3, 1, 102, 0, Outcome.AGREED),
        (CHANGED, 2, -1, 102, 2, Outcome.AGREED),
        (CHANGED, 9, -1, 102, 2, Outcome.UNKNOWN),
        (CHANGED, 2, -1, 102, 1, Outcome.CORRECTED),
        (DELETED, 2, -1, 102, 1, Outcome.AGREED),
        (CREATED, 4, 1, 0, 1, Outcome.REFUSED),
        (CREATED, 5, 1, 90, 1, -1),
        (CREATED, 6, -1, 90, 1, -1),
        (DELETED, 5, 1, 90, 1, Outcome.LOST),
    ]
    *told, expected = np.array(rows, np.int64).T
    replayed = replay_orders(OrderEvents(*told), capacity=8, room=64)
    assert replayed.outcomes.tolist() == expected.tolist()
    assert replayed.touch[[1, 2, 8, 9]].tolist() == [[0, 0, 101, 5], [0, 0, 102, 2], [0, 0, 102, 1], [0, 0, 0, 0]]
    assert [tuple(row) for row in replayed.book.events()[["ticks", "lots"]].tolist()] == [(101, 5), (102, 3), (90, 1)]


def test_a_record_that_needs_a_larger_book_is_refused() -> None:
    rows = np.array([(CREATED, i, 1, 5, 1) for i in range(1, 9)], np.int64).T
    with pytest.raises(ValueError, match="BOOK_FULL"):
        replay_orders(OrderEvents(*rows), capacity=4, room=64)
