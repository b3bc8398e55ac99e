import math

import empyrical
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavetank.experiments.drawdowns import Drawdowns, drawdowns_of, underwater

DAY = 86_400_000
AMOUNTS = st.lists(st.floats(0.01, 1e6), min_size=1, max_size=40)


def falls_of(values: list[float], days: list[int] | None = None) -> Drawdowns:
    at = np.array(days if days is not None else range(len(values)), np.int64) * DAY
    return drawdowns_of(np.array(values, np.float64), at)


def test_falls_of_nine_days_are_those_on_paper() -> None:
    # a fall of 10 % made good after 3 bars, then one of 20 %, deepest two bars after its peak, made good two later
    found = falls_of([100.0, 90.0, 95.0, 100.0, 200.0, 180.0, 160.0, 190.0, 210.0])

    assert found.depth == pytest.approx(0.2)
    assert found.money == 40.0
    assert (found.longest_bars, found.longest_days) == (4, 4.0)
    assert (found.recovery_bars, found.is_recovered) == (2, True)
    squares = 0.1**2 + 0.05**2 + 0.1**2 + 0.2**2 + 0.05**2
    assert found.ulcer == pytest.approx(math.sqrt(squares / 9))


def test_the_deepest_fall_in_money_may_be_another_than_the_deepest_in_share() -> None:
    found = falls_of([100.0, 50.0, 1000.0, 900.0])
    assert (found.depth, found.money) == (0.5, 100.0)


def test_a_fall_that_is_not_made_good_lasts_to_the_end() -> None:
    found = falls_of([100.0, 120.0, 60.0, 80.0, 90.0])
    assert (found.recovery_bars, found.is_recovered, found.longest_bars) == (2, False, 3)


def test_the_longest_stretch_is_so_by_the_clock() -> None:
    found = falls_of([100.0, 99.0, 98.0, 100.0, 99.0, 101.0], days=[0, 1, 2, 3, 4, 20])
    assert (found.longest_bars, found.longest_days) == (2, 17.0)


@pytest.mark.parametrize("values", [[5.0, 5.0], [1.0, 2.0, 3.0], [2.0, 2.0, 2.0, 2.0]])
def test_what_never_falls_has_no_drawdown(values: list[float]) -> None:
    assert falls_of(values) == Drawdowns(0.0, 0.0, 0, 0.0, 0, True, 0.0)


def test_ruin_is_the_whole() -> None:
    found = falls_of([100.0, 50.0, 0.0, 0.0])
    assert (found.depth, found.money, found.recovery_bars, found.is_recovered) == (1.0, 100.0, 1, False)


def test_depth_is_that_of_another_library_and_stretches_are_those_of_a_slow_walk() -> None:
    rng = np.random.default_rng(6)
    equity = np.exp(np.cumsum(np.concatenate([[0.0], 0.01 * rng.standard_normal(1500)])))
    found = falls_of(equity.tolist())
    returns = pd.Series(equity).pct_change().iloc[1:]
    assert found.depth == pytest.approx(-empyrical.max_drawdown(returns), rel=1e-12)

    longest, since, peak = 0, 0, equity[0]
    for row, value in enumerate(equity):
        longest = max(longest, row - since) if value < peak or row - since > 1 else longest
        if value >= peak:
            peak, since = value, row
    assert found.longest_bars == longest


@given(first=AMOUNTS, second=AMOUNTS)
def test_the_deepest_fall_of_two_tracks_in_a_row_is_in_one_of_them_or_between(
    first: list[float], second: list[float]
) -> None:
    whole, one, two = (float(np.max(underwater(np.array(part)))) for part in (first + second, first, second))
    between = 1.0 - min(second) / max(first)
    assert whole == pytest.approx(max(one, two, between), abs=1e-12)


@given(values=AMOUNTS)
def test_money_has_no_scale(values: list[float]) -> None:
    one, seven = falls_of(values), falls_of([7.0 * value for value in values])
    assert seven.money == pytest.approx(7.0 * one.money, rel=1e-9, abs=1e-9)
    assert (seven.depth, seven.ulcer) == pytest.approx((one.depth, one.ulcer), abs=1e-9)
    assert 0.0 <= one.ulcer <= one.depth + 1e-12


@given(values=AMOUNTS)
def test_backwards_and_upside_down_a_track_falls_as_deep(values: list[float]) -> None:
    flipped = [1.0 / value for value in reversed(values)]
    assert falls_of(flipped).depth == pytest.approx(falls_of(values).depth, abs=1e-9)
