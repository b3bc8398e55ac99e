"""What is measured of a storm, against arrays small enough to work the answer out on paper."""

import math
from typing import Any

import numpy as np
import pytest

from wavetank.simulators import storm_measures as measures
from wavetank.simulators.world import Label

# Bars 0 … 7: calm at 100, an onset at bar 2, a low of 80 in bar 3, then back to 95.
HIGH = np.array([101.0, 101.0, 100.0, 90.0, 86.0, 91.0, 95.0, 96.0])
LOW = np.array([99.0, 99.0, 88.0, 80.0, 82.0, 85.0, 90.0, 94.0])
CLOSE = np.array([100.0, 100.0, 89.0, 82.0, 85.0, 90.0, 94.0, 95.0])


def rows(*told: tuple[int, int, int, int, int, int], maker_label: int = 0) -> Any:
    """Trades of (step, ticks, lots, side, taker, label), the maker always owner 9."""
    names = ("step", "ticks", "lots", "side", "taker", "label", "maker", "maker_label")
    table = np.zeros(len(told), [(name, np.int64) for name in names])
    for name, column in zip(names, zip(*told, strict=True), strict=False):
        table[name] = column
    table["maker"], table["maker_label"] = 9, maker_label
    return table


def test_a_fall_counts_from_the_last_close_before_the_onset_to_the_lowest_trade() -> None:
    assert measures.fall(HIGH, LOW, CLOSE, 2, 6, -1) == pytest.approx(0.2)
    assert measures.fall(HIGH, LOW, CLOSE, 2, 1, -1) == pytest.approx(0.12)
    assert measures.furthest(HIGH, LOW, 2, 6, -1) == 3


def test_an_upward_storm_falls_upwards() -> None:
    flipped = 200.0 - LOW, 200.0 - HIGH, 200.0 - CLOSE
    assert measures.fall(*flipped, 2, 6, 1) == pytest.approx(0.2)
    assert measures.recovered(*flipped, 2, 6, 1, 4) == pytest.approx(0.75)


def test_recovery_is_the_best_close_since_the_low_and_standing_the_close_so_much_later() -> None:
    assert measures.recovered(HIGH, LOW, CLOSE, 2, 6, -1, 4) == pytest.approx(0.75)  # 95 of 80 … 100
    assert measures.recovered(HIGH, LOW, CLOSE, 2, 6, -1, 1) == pytest.approx(0.25)  # 85
    assert measures.standing(HIGH, LOW, CLOSE, 2, 6, -1, 2) == pytest.approx(0.5)  # 90
    assert math.isnan(measures.standing(HIGH, LOW, CLOSE, 2, 6, -1, 5))  # the record ends before


def test_a_storm_that_moved_nothing_has_no_recovery() -> None:
    flat = np.full(8, 100.0)
    assert math.isnan(measures.recovered(flat, flat, flat, 2, 4, -1, 2))


def test_volatility_counts_the_mean_too_and_is_a_ratio() -> None:
    close = np.exp(np.cumsum([0.0, 0.02, 0.02, -0.02, 0.02]))
    returns = measures.returns_of(close, 1, 5)
    assert returns == pytest.approx([0.02, 0.02, -0.02, 0.02])
    assert measures.volatility_ratio(returns, np.array([0.01, -0.01])) == pytest.approx(2.0)
    assert math.isnan(measures.volatility_ratio(returns, np.zeros(3)))


def test_the_largest_move_is_told_in_standard_deviations() -> None:
    assert measures.largest_move(np.array([1.0, -1.0, 1.0, -1.0])) == pytest.approx(1.0)
    assert measures.largest_move(np.array([0.0, 0.0, 0.0, 4.0])) == pytest.approx(4.0 / math.sqrt(3.0))


def test_ratios_are_of_the_extreme_to_the_calm_median_and_see_past_what_is_not_there() -> None:
    assert measures.peak_ratio(np.array([3.0, np.nan, 9.0]), np.array([1.0, 3.0, 50.0])) == pytest.approx(3.0)
    assert measures.trough_ratio(np.array([3.0, 1.5, 9.0]), np.array([1.0, 3.0, 50.0])) == pytest.approx(0.5)
    assert measures.change_of(np.array([10.0, 10.0, 9.0, 9.5]), 1, 3) == pytest.approx(0.1)


def test_forced_volume_is_told_as_a_share_and_by_its_heavier_side() -> None:
    forced = int(Label.LIQUIDATION)
    trades = rows((0, 100, 5, 1, 1, 0), (1, 99, 9, -1, 2, forced), (2, 99, 3, 1, 2, forced), (9, 90, 99, -1, 2, forced))
    inside = measures.within_steps(trades, 0, 9)
    assert measures.labelled_share(inside, forced) == pytest.approx(12 / 17)
    assert measures.one_sided(inside, forced) == pytest.approx(9 / 12)
    assert math.isnan(measures.one_sided(inside[:1], forced))


def test_profit_is_cash_plus_what_is_held_at_the_last_price() -> None:
    trades = rows((0, 100, 2, 1, 1, 0), (1, 110, 1, -1, 1, 0), (2, 120, 4, 1, 9, 0))
    assert measures.profit(trades, range(1, 2), 105.0) == pytest.approx(2 * 5 + 5)  # bought at 100, sold at 110
    assert measures.profit(trades, range(9, 10), 105.0) == pytest.approx(-15.0)  # the maker; with itself nothing
    assert measures.profit(trades, range(1, 10), 105.0) == pytest.approx(0.0)


def test_holdings_add_up_bar_by_bar() -> None:
    trades = rows((0, 100, 2, 1, 1, 0), (59, 100, 1, -1, 1, 0), (60, 100, 4, 1, 1, 0), (200, 100, 7, -1, 1, 0))
    assert measures.holdings(trades, range(1, 2), 60, 4).tolist() == [1, 5, 5, -2]
    assert measures.holdings(trades, range(9, 10), 60, 4).tolist() == [-1, -5, -5, 2]


def test_a_spoofers_fills_are_those_of_its_shown_orders_alone() -> None:
    shown = rows((0, 99, 50, 1, 3, int(Label.SPOOF)), (0, 98, 50, 1, 3, int(Label.SPOOF)), (1, 100, 8, -1, 3, 6))
    filled = rows((2, 99, 4, -1, 7, 0), maker_label=int(Label.SPOOF))
    assert measures.filled_share(filled, shown, int(Label.SPOOF)) == pytest.approx(0.04)
    assert math.isnan(measures.filled_share(filled, shown[2:], int(Label.SPOOF)))


def test_a_shows_shift_is_what_the_mid_did_less_what_it_did_in_the_twin() -> None:
    spoof = int(Label.SPOOF)
    orders = rows((3, 99, 5, 1, 3, spoof), (4, 98, 5, 1, 3, spoof), (30, 105, 5, -1, 3, spoof), (31, 1, 1, -1, 4, 0))
    shows = measures.shows_of(orders, spoof, 10)
    assert shows == [(3, 4, 1), (30, 30, -1)]
    mids, calm = np.full(60, 100.0), np.full(60, 100.0)
    mids[3:] += 3.0  # up with the bids …
    mids[30:] -= 2.0  # … down with the asks
    calm[3:] += 1.0
    assert measures.shift(mids, calm, shows, 8, 2.0) == pytest.approx((2.0 + 2.0) / 2 / 2.0)
    assert math.isnan(measures.shift(mids, calm, [], 8, 2.0))
    assert measures.shows_of(orders[3:], spoof, 10) == []


def test_a_reopening_gap_reaches_from_the_last_trade_to_the_mean_of_those_after() -> None:
    trades = rows((9, 1000, 5, 1, 1, 0), (20, 1000, 1, 1, 1, 0), (21, 1020, 3, 1, 1, 0), (90, 2000, 9, 1, 1, 0))
    assert measures.reopen_gap(trades, 10, 20, 60, 0.01) == pytest.approx(math.log(1.015) / 0.01)
    assert math.isnan(measures.reopen_gap(trades[:1], 10, 20, 60, 0.01))
