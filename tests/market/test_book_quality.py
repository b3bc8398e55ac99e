"""A book rebuilt from deltas equals a slow twin and the venue's own best quotes; what cannot be true of it is told."""

import math
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavetank.market.book_quality import ASK, BID, BookDeltas, BookRules, check_book, rebuild
from wavetank.market.store import data_folder

Delta = tuple[int, int, float, float, bool]  # update, side, price, size, is_snapshot

SNAPSHOT: list[Delta] = [
    (10, BID, 99.0, 2.0, True),
    (10, BID, 98.0, 5.0, True),
    (10, ASK, 100.0, 1.0, True),
    (10, ASK, 101.0, 4.0, True),
]


def deltas(rows: list[Delta], told_at: list[int] | None = None) -> BookDeltas:
    update, side, price, qty, is_snapshot = (np.array(column) for column in zip(*rows, strict=True))
    return BookDeltas(update, side, price, qty, is_snapshot, None if told_at is None else np.array(told_at))


def test_a_sound_book_has_no_findings() -> None:
    assert check_book(deltas([*SNAPSHOT, (11, BID, 99.5, 1.0, False), (12, BID, 99.5, 0.0, False)])) == []


def test_the_book_is_the_one_on_paper() -> None:
    touch = rebuild(deltas([*SNAPSHOT, (11, BID, 99.0, 0.0, False), (11, ASK, 99.5, 5.0, False)]), levels=1)
    assert touch.rows.tolist() == [3, 5]
    assert touch.bid.tolist() == [99.0, 98.0]
    assert touch.ask.tolist() == [100.0, 99.5]
    assert touch.bid_share.tolist() == [2 / 3, 5 / 10]


def test_a_snapshot_replaces_the_book_at_its_update_wherever_it_lies() -> None:
    early: list[Delta] = [(9, BID, 99.9, 7.0, False), (11, BID, 99.0, 3.0, False)]
    touch = rebuild(deltas([*early, *SNAPSHOT]), levels=1)  # 9 is in the snapshot already, 11 comes after it
    assert touch.rows.tolist() == [5, 1]
    assert touch.bid_share.tolist() == [2 / 3, 3 / 4]
    again: list[Delta] = [(12, ASK, 99.5, 1.0, False), (12, BID, 90.0, 1.0, True), (12, ASK, 91.0, 1.0, True)]
    later = rebuild(deltas([*SNAPSHOT, *again]), levels=1)
    assert (later.bid.tolist(), later.ask.tolist()) == ([99.0, 99.0, 90.0], [100.0, 99.5, 91.0])


def test_nothing_of_the_book_before_a_snapshot_comes_back_after_it() -> None:
    fresh: list[Delta] = [(12, BID, 99.5, 1.0, True), (12, ASK, 99.8, 1.0, True)]
    emptied: list[Delta] = [(13, BID, 99.5, 0.0, False), (13, ASK, 99.8, 0.0, False)]
    touch = rebuild(deltas([*SNAPSHOT, *fresh, *emptied]), levels=9)
    assert touch.bid_share[1] == 0.5
    assert np.isnan([touch.bid[2], touch.ask[2], touch.bid_share[2]]).all()


def test_a_crossed_book_is_an_error_with_both_prices() -> None:
    rows: list[Delta] = [*SNAPSHOT, (11, BID, 100.5, 1.0, False), (12, BID, 100.5, 0.0, False)]
    (told,) = check_book(deltas(rows, told_at=[5, 5, 5, 5, 6, 7]))
    assert (told.check, told.severity, told.rows, told.instant, told.value) == ("book crossed", "error", (4,), 6, 0.5)
    assert told.message == ("after update 11 the best bid 100.5 is not below the best ask 100; so after 1 message of 3")


def test_a_locked_book_is_crossed_and_a_message_in_the_making_is_not() -> None:
    (told,) = check_book(deltas([*SNAPSHOT, (11, BID, 100.0, 1.0, False)]))
    assert told.check == "book crossed"
    moved: list[Delta] = [(11, BID, 100.0, 1.0, False), (11, ASK, 100.0, 0.0, False)]
    assert check_book(deltas([*SNAPSHOT, *moved])) == []


def test_an_empty_side_is_an_error() -> None:
    rows: list[Delta] = [*SNAPSHOT, (11, ASK, 100.0, 0.0, False), (11, ASK, 101.0, 0.0, False)]
    told = {finding.check: finding for finding in check_book(deltas(rows), BookRules(lopsided=0.5))}
    assert list(told) == ["book empty"]
    assert told["book empty"].message == "after update 11 there is no ask"


@pytest.mark.parametrize(
    "wrong",
    [
        (11, 0, 99.0, 1.0, False),
        (11, BID, 0.0, 1.0, False),
        (11, BID, 1e6, 1.0, False),
        (11, BID, math.nan, 1.0, False),
        (11, BID, 99.0, -1.0, False),
        (11, BID, 99.0, math.inf, False),
        (10, ASK, 102.0, 0.0, True),
    ],
)
def test_a_row_that_is_no_level_is_an_error_and_left_out_of_the_book(wrong: Delta) -> None:
    (told,) = check_book(deltas([*SNAPSHOT, wrong]))
    assert (told.check, told.severity, told.rows) == ("book level", "error", (4,))
    assert f"row 4 is no level: side {wrong[1]}, price {wrong[2]:g}, size {wrong[3]:g}" in told.message


def test_a_side_that_holds_almost_nothing_for_long_is_a_warning() -> None:
    thin: list[Delta] = [(11, BID, 99.0, 0.01, False), (11, BID, 98.0, 0.0, False), (12, ASK, 100.0, 2.0, False)]
    (told,) = check_book(deltas([*SNAPSHOT, *thin]))
    assert (told.check, told.severity) == ("book balance", "warning")
    assert told.rows == (5, 6)
    assert told.value == pytest.approx(2 / 3)
    assert told.message == "66.7% of 3 messages leave a side less than 5% of the size in the best 20 levels"


def test_changes_without_a_snapshot_are_refused() -> None:
    with pytest.raises(ValueError, match="1 rows of deltas hold no snapshot"):
        check_book(deltas([(11, BID, 99.0, 1.0, False)]))


def test_columns_of_another_length_and_rules_without_sense_are_refused() -> None:
    with pytest.raises(ValueError, match=r"column qty has shape \(1,\)"):
        BookDeltas(np.zeros(2, np.int64), np.ones(2), np.ones(2), np.ones(1), np.ones(2, np.bool_))
    with pytest.raises(ValueError, match="0 levels"):
        BookRules(levels=0)
    with pytest.raises(ValueError, match="least_share is 0.7"):
        BookRules(least_share=0.7)
    with pytest.raises(ValueError, match="prices between 3.0 and 1.0"):
        BookRules(price_low=3.0, price_high=1.0)


drawn = st.tuples(
    st.integers(5, 20), st.sampled_from([BID, ASK]), st.integers(1, 9).map(float), st.sampled_from([0.0, 0.3, 1.1, 2.7])
)


@given(st.lists(drawn, max_size=30), st.integers(5, 20), st.integers(1, 4))
def test_the_rebuilt_book_equals_a_slow_twin(rows: list[tuple[Any, ...]], update: int, levels: int) -> None:
    changes: list[Delta] = sorted(((*row, False) for row in rows), key=lambda row: row[0])
    snapshot: list[Delta] = [(update, side, price, 1.7, True) for side, price in ((BID, 4.0), (BID, 2.0), (ASK, 6.0))]
    touch = rebuild(deltas([*changes, *snapshot]), levels)
    books: dict[int, dict[float, float]] = {BID: {4.0: 1.7, 2.0: 1.7}, ASK: {6.0: 1.7}}
    expected = [_touch_of(books, levels)]
    for message in sorted({row[0] for row in changes if row[0] > update}):
        for _, side, price, size, _ in (row for row in changes if row[0] == message):
            books[side][price] = size
        expected.append(_touch_of(books, levels))
    told = np.column_stack([touch.bid, touch.ask, touch.bid_share])
    assert np.array_equal(told, np.array(expected), equal_nan=True)


def _touch_of(books: dict[int, dict[float, float]], levels: int) -> tuple[float, float, float]:
    bids = sorted(((p, q) for p, q in books[BID].items() if q), reverse=True)
    asks = sorted((p, q) for p, q in books[ASK].items() if q)
    sizes = [sum(q for _, q in side[:levels]) for side in (bids, asks)]
    share = sizes[0] / sum(sizes) if sum(sizes) else math.nan
    return bids[0][0] if bids else math.nan, asks[0][0] if asks else math.nan, share


@pytest.mark.parametrize("venue", ["binance_spot", "binanceusdm"])
def test_recorded_books_are_sound_and_agree_with_the_venues_best_quotes(venue: str) -> None:
    folder = data_folder() / "book"
    if not folder.is_dir():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    told = _columns(folder / f"{venue}_BTCUSDT_l2_2024-08-08.parquet")
    book = BookDeltas(told["u"], told["side"], told["price"], told["qty"], told["is_snapshot"])
    assert check_book(book) == []
    quotes = _columns(folder / f"{venue}_BTCUSDT_bbo_2024-08-08.parquet")
    touch = rebuild(book, levels=20)
    _, ours, theirs = np.intersect1d(book.update[touch.rows], quotes["u"], return_indices=True)
    assert len(ours) > 200
    assert np.array_equal(touch.bid[ours], quotes["bid"][theirs])
    assert np.array_equal(touch.ask[ours], quotes["ask"][theirs])


def _columns(path: Any) -> dict[str, Any]:
    table = pq.ParquetFile(path).read()
    return {name: table.column(name).to_numpy() for name in table.column_names}
