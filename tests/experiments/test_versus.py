import empyrical
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from wavetank.experiments.evaluate import Track
from wavetank.experiments.versus import VERSUS, versus

from .hand_tracks import HOUR, times, track_of, walk_of

YEAR = 8760.0
MARKET = walk_of(1, 2000, spread=0.006)
Floats = NDArray[np.float64]


def grown(returns: Floats, first: float = 500.0) -> Track:
    return track_of(first * np.cumprod(np.concatenate([[1.0], 1.0 + returns])))


def blended() -> Track:
    noise = 0.003 * np.random.default_rng(3).standard_normal(len(MARKET.returns))
    return grown(0.6 * MARKET.returns + 0.0002 + noise)


def test_the_figures_are_those_of_another_library() -> None:
    ours = blended()
    r, b = ours.returns, MARKET.returns
    found = versus(ours, MARKET)
    alpha, beta = empyrical.alpha_beta_aligned(r, b, annualization=1)

    assert set(found) == set(VERSUS)
    assert found["beta"] == pytest.approx(beta, rel=1e-9)
    assert found["alpha"] == pytest.approx(YEAR * alpha, rel=1e-9)
    assert found["correlation"] == pytest.approx(stats.pearsonr(r, b).statistic, rel=1e-9)
    assert found["information_ratio"] == pytest.approx(empyrical.excess_sharpe(r, b) * YEAR**0.5, rel=1e-9)
    assert found["tracking_error"] == pytest.approx(np.std(r - b, ddof=1) * YEAR**0.5, rel=1e-9)
    assert found["up_capture"] == pytest.approx(empyrical.up_capture(r, b, period="yearly"), rel=1e-6)
    assert found["down_capture"] == pytest.approx(empyrical.down_capture(r, b, period="yearly"), rel=1e-6)
    excess = empyrical.cum_returns_final(r) - empyrical.cum_returns_final(b)
    assert found["excess_return"] == pytest.approx(excess, rel=1e-9)
    assert found["bars_ahead"] == pytest.approx(empyrical.batting_average(r, b)["batting average"], abs=1e-12)


def test_four_bars_on_paper() -> None:
    found = versus(grown(np.array([0.02, -0.01, 0.00, 0.03])), grown(np.array([0.01, -0.02, 0.01, 0.02])))
    # means 0.01 and 0.005; products (0.5, 5, -0.5, 3) over squares (0.25, 6.25, 0.25, 2.25), both in 1e-4
    assert found["beta"] == pytest.approx(0.0008 / 0.0009)
    assert found["alpha"] == pytest.approx(YEAR * (0.01 - 0.0008 / 0.0009 * 0.005))
    assert found["bars_ahead"] == 0.75
    assert found["excess_return"] == pytest.approx(1.02 * 0.99 * 1.03 - 1.01 * 0.98 * 1.01 * 1.02)
    assert found["down_capture"] == pytest.approx(0.5)
    up = (1.02 * 1.00 * 1.03) ** (1 / 3) - 1
    assert found["up_capture"] == pytest.approx(up / ((1.01 * 1.01 * 1.02) ** (1 / 3) - 1))


def test_the_benchmark_against_itself_is_itself() -> None:
    found = versus(times(MARKET, 7.0), MARKET)
    assert (found["beta"], found["correlation"], found["up_capture"], found["down_capture"]) == pytest.approx([1.0] * 4)
    for name in ("alpha", "excess_return", "tracking_error", "information_ratio"):
        assert found[name] == pytest.approx(0.0, abs=1e-9)


def test_twice_the_market_has_beta_two_and_the_opposite_one_minus_one() -> None:
    assert versus(grown(2.0 * MARKET.returns), MARKET)["beta"] == pytest.approx(2.0)
    opposite = versus(grown(-MARKET.returns), MARKET)
    assert (opposite["beta"], opposite["correlation"]) == pytest.approx((-1.0, -1.0))


def test_cash_has_no_beta_and_a_market_that_stands_still_explains_nothing() -> None:
    cash = track_of([500.0] * len(MARKET))
    ours, theirs = versus(cash, MARKET), versus(MARKET, cash)
    assert (ours["beta"], ours["correlation"], ours["up_capture"], ours["alpha"]) == (0.0, 0.0, 0.0, 0.0)
    assert (theirs["beta"], theirs["correlation"], theirs["up_capture"], theirs["down_capture"]) == (0.0,) * 4
    assert ours["excess_return"] == pytest.approx(-theirs["excess_return"])


def test_a_track_that_ended_in_ruin_earns_nothing_afterwards_while_the_market_goes_on() -> None:
    dead = track_of([100.0, 50.0, 0.0])
    market = track_of([100.0, 100.0, 110.0, 121.0, 133.1])
    found = versus(dead, market)

    assert found["excess_return"] == pytest.approx(-1.331)
    assert found["up_capture"] == pytest.approx(-1.0 / 0.1)
    padded = track_of([100.0, 50.0, 0.0, 0.0, 0.0])
    assert versus(padded, market) == found


def test_one_bar_is_enough_to_be_finite() -> None:
    found = versus(track_of([100.0, 101.0]), track_of([100.0, 99.0]))
    assert found["excess_return"] == pytest.approx(0.02)
    assert all(np.isfinite(value) for value in found.values())


def test_tracks_that_do_not_begin_together_are_refused() -> None:
    late = track_of([1.0, 2.0], closed_at=[HOUR, 2 * HOUR])
    with pytest.raises(ValueError, match="do not begin on the same bar: 3600000 and 0 ms"):
        versus(late, track_of([1.0, 2.0]))
