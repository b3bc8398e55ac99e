"""Bars refuse what cannot be true, and cut a history where it is broken."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from wavetank.market.bars import CROSSED_GAP, DAY_MS, INTERVALS, YEAR_2100_MS, Bar, Bars

from .handmade import HOUR, MIDNIGHT, drawn_bars, hourly

ROWS = [
    (100.0, 102.0, 99.0, 101.0, 10.0),
    (101.0, 101.5, 100.0, 100.5, 12.0),
    (100.5, 104.0, 100.5, 103.0, 7.0),
]


def _columns(**changed: Any) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "opened_at": np.array([0, 1, 2]) * HOUR + MIDNIGHT,
        "open": np.array([row[0] for row in ROWS]),
        "high": np.array([row[1] for row in ROWS]),
        "low": np.array([row[2] for row in ROWS]),
        "close": np.array([row[3] for row in ROWS]),
        "volume": np.array([row[4] for row in ROWS]),
    }
    return columns | changed


def test_a_bar_is_known_at_its_last_millisecond() -> None:
    bars = hourly(ROWS)
    assert list(bars.closed_at - bars.opened_at) == [HOUR - 1] * 3
    assert int(bars.closed_at[0]) == MIDNIGHT + 3_599_999


def test_rows_come_back_as_they_went_in() -> None:
    rows = [Bar(MIDNIGHT + i * HOUR, *row, taker_buy_volume=row[4] / 2, trades=3 + i) for i, row in enumerate(ROWS)]
    bars = Bars.from_rows("1h", rows, "BTC")
    assert list(bars) == rows
    assert bars.symbol == "BTC"
    assert all(type(value) in (int, float) for value in bars.bar(1))


def test_unknown_taker_volume_and_trades_stay_unknown() -> None:
    half_known = [
        Bar(MIDNIGHT, *ROWS[0], taker_buy_volume=1.0, trades=4),
        Bar(MIDNIGHT + HOUR, *ROWS[1]),
    ]
    bars = Bars.from_rows("1h", half_known)
    assert bars.taker_buy_volume is None
    assert bars.trades is None
    assert bars.bar(0)[6:] == (-1.0, -1)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"open": np.array([100.0, np.nan, 100.5])}, "bar 1: open nan must be a price above 0"),
        ({"close": np.array([101.0, 100.5, np.inf])}, "bar 2: close inf must be a price above 0"),
        ({"low": np.array([0.0, 100.0, 100.5])}, "bar 0: low 0.0 must be a price above 0"),
        ({"high": np.array([102.0, -1.0, 104.0])}, "bar 1: high -1.0 must be a price above 0"),
        ({"volume": np.array([10.0, -0.5, 7.0])}, "bar 1: volume -0.5 must be 0 or more"),
        ({"volume": np.array([10.0, 0.0, np.nan])}, "bar 2: volume nan must be 0 or more"),
        ({"low": np.array([100.5, 100.0, 100.5])}, "bar 0: low 100.5 lies above open or close"),
        ({"high": np.array([102.0, 101.5, 102.0])}, "bar 2: high 102.0 lies below open or close"),
        (
            {"opened_at": np.array([0, 1, 1]) * HOUR + MIDNIGHT},
            f"bar 2 opened at {MIDNIGHT + HOUR} ms repeats the one before it",
        ),
        (
            {"opened_at": np.array([0, 2, 1]) * HOUR + MIDNIGHT},
            f"bar 2 opened at {MIDNIGHT + HOUR} ms is older than the one before it",
        ),
        (
            {"opened_at": np.array([0, 1, 2]) * HOUR + MIDNIGHT + 7},
            f"bar 0 opens at {MIDNIGHT + 7} ms, which is not on the 1h grid",
        ),
        ({"close": np.array([101.0, 100.5])}, "column close has shape (2,), the bars are 3"),
        ({"volume": np.ones((3, 1))}, "column volume has shape (3, 1), the bars are 3"),
        ({"taker_buy_volume": np.array([1.0, 13.0, 1.0])}, "bar 1: taker_buy_volume 13.0 is more than the volume"),
        ({"taker_buy_volume": np.array([1.0, 2.0, np.nan])}, "bar 2: taker_buy_volume nan must be 0 or more"),
        ({"trades": np.array([1, 2, -3])}, "bar 2: trades -3 must be 0 or more"),
        ({"trades": np.array([1, 2.5, 3])}, "bar 1: trades 2.5 is not a whole number"),
        ({"opened_at": np.array([MIDNIGHT, np.nan, 0.0])}, "bar 1: opened_at nan is not a whole number"),
        *(
            (
                {"opened_at": (np.array([0, 1, 2]) * HOUR + MIDNIGHT) * factor},
                f"bar 0 opens at {MIDNIGHT * factor}, which is not in milliseconds since 1970",
            )
            for factor in (1_000, 1_000_000)
        ),
        *(
            (
                {"opened_at": (np.array([0, 1, 2]) * HOUR + MIDNIGHT).astype("M8[ms]").astype(f"M8[{unit}]")},
                f"column opened_at holds datetime64[{unit}], not whole milliseconds since 1970",
            )
            for unit in ("ms", "us", "ns")
        ),
        ({"open": np.array([100, 101, 100.5 + 1j])}, "column open holds complex128, not numbers"),
        ({"close": np.array(["101", "100.5", "103"])}, "column close holds <U5, not numbers"),
        ({"volume": np.array([10, 12, None])}, "column volume holds object, not numbers"),
        ({"trades": np.array([1, 2, 3]).astype("m8[s]")}, "column trades holds timedelta64[s], not numbers"),
    ],
)
def test_a_bar_that_cannot_be_true_is_refused_with_its_value_and_place(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Bars("1h", **_columns(**changed))


def test_an_unknown_interval_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"interval '7m' is not one of 1m, 3m, .*1d"):
        Bars("7m", **_columns())


@pytest.mark.parametrize("first", [-50 * 365 * 24 * HOUR, YEAR_2100_MS, 1_000 * 365 * 24 * HOUR])
def test_old_shares_and_invented_markets_may_lie_far_from_today(first: int) -> None:
    opened_at = first + np.arange(3) * HOUR
    assert list(Bars("1h", **_columns(opened_at=opened_at)).opened_at) == list(opened_at)


def test_no_bars_are_refused() -> None:
    with pytest.raises(ValueError, match="there are no bars"):
        Bars.from_rows("1h", [])


@pytest.mark.parametrize("column", ["opened_at", "open", "high", "low", "close", "volume"])
def test_a_column_cannot_be_written(column: str) -> None:
    bars = hourly(ROWS)
    with pytest.raises(ValueError, match="read-only"):
        getattr(bars, column)[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(bars, column, None)


def test_what_the_caller_writes_afterwards_reaches_no_bar() -> None:
    columns = _columns()
    bars = Bars("1h", **columns)
    columns["close"][:] = np.nan
    columns["opened_at"][:] = 0
    assert bars.close.tolist() == [101.0, 100.5, 103.0]
    assert int(bars.opened_at[0]) == MIDNIGHT


def test_all_intervals_divide_a_day() -> None:
    assert all(DAY_MS % length == 0 for length in INTERVALS.values())


@pytest.mark.parametrize(("missing", "stretches"), [(0, 1), (1, 1), (CROSSED_GAP, 1), (CROSSED_GAP + 1, 2), (500, 2)])
def test_a_gap_of_three_bars_is_crossed_and_one_of_four_ends_the_segment(missing: int, stretches: int) -> None:
    bars = drawn_bars(np.random.default_rng(1), 10, gaps={6: missing})
    assert bars.segments() == ([(0, 10)] if stretches == 1 else [(0, 6), (6, 10)])


def test_segments_cover_all_bars_in_order() -> None:
    bars = drawn_bars(np.random.default_rng(2), 40, gaps={1: 9, 2: 9, 20: 4, 21: 3, 39: 100})
    assert bars.segments() == [(0, 1), (1, 2), (2, 20), (20, 39), (39, 40)]


def test_a_slice_holds_the_same_rows() -> None:
    bars = drawn_bars(np.random.default_rng(3), 30)
    part = bars.slice(7, 19)
    assert [part.bar(i) for i in range(len(part))] == [bars.bar(i) for i in range(7, 19)]
    assert (part.interval, part.symbol) == (bars.interval, bars.symbol)
    assert np.shares_memory(part.close, bars.close)
