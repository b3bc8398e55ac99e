import math
from itertools import pairwise
from typing import Any

import empyrical
import numpy as np
import pytest
from scipy import stats

from wavetank.experiments.ratios import (
    LARGEST_ANNUAL,
    LOSSLESS,
    annual_return,
    gain_to_loss,
    growth_leverage,
    omega,
    rolling_sharpe,
    shape_of,
    sharpe,
    sortino,
    tail_ratio,
    volatility,
    vwr,
)

YEAR = 8760.0
RETURNS = 0.0004 + 0.01 * np.random.default_rng(2).standard_t(5, 2500)


def vwr_of_the_article(equity: list[float], per_year: float, tau: float, most: float) -> float:
    """Step by step as the article does it, in plain Python; per cent as a share."""
    count = len(equity) - 1
    mean_log = sum(math.log(b / a) for a, b in pairwise(equity)) / count
    strays = [equity[i] / (equity[0] * math.exp(mean_log * i)) - 1.0 for i in range(1, count + 1)]
    middle = sum(strays) / count
    sdev = math.sqrt(sum((stray - middle) ** 2 for stray in strays) / (count - 1))
    return (math.exp(mean_log * per_year) - 1.0) * (1.0 - (sdev / most) ** tau if sdev <= most else 0.0)


def test_the_ratios_are_those_of_another_library() -> None:
    assert sharpe(RETURNS, YEAR) == pytest.approx(empyrical.sharpe_ratio(RETURNS, annualization=YEAR), rel=1e-12)
    assert sortino(RETURNS, YEAR) == pytest.approx(empyrical.sortino_ratio(RETURNS, annualization=YEAR), rel=1e-12)
    assert omega(RETURNS) == pytest.approx(empyrical.omega_ratio(RETURNS), rel=1e-12)
    assert tail_ratio(RETURNS) == pytest.approx(empyrical.tail_ratio(RETURNS), rel=1e-12)
    annual = volatility(RETURNS) * math.sqrt(YEAR)
    assert annual == pytest.approx(empyrical.annual_volatility(RETURNS, annualization=YEAR), rel=1e-12)
    total = float(np.prod(1.0 + RETURNS)) - 1.0
    grown = empyrical.annual_return(RETURNS, annualization=YEAR)
    assert annual_return(total, len(RETURNS) / YEAR) == pytest.approx(grown, rel=1e-9)


def test_the_shape_is_scipys() -> None:
    shape = shape_of(RETURNS)
    assert shape.skew == pytest.approx(stats.skew(RETURNS), rel=1e-10)
    assert shape.excess == pytest.approx(stats.kurtosis(RETURNS), rel=1e-10)
    assert (shape.mean, shape.deviation) == pytest.approx((RETURNS.mean(), RETURNS.std()), rel=1e-12)


def test_ratios_of_four_returns_are_those_on_paper() -> None:
    returns = np.array([0.02, -0.01, 0.03, -0.02])
    assert omega(returns) == pytest.approx(0.05 / 0.03)
    # mean 0.005; squares from it 0.000225, 0.000225, 0.000625, 0.000625 over 3
    assert sharpe(returns, 4.0) == pytest.approx(2 * 0.005 / math.sqrt(0.0017 / 3))
    assert growth_leverage(returns) == pytest.approx(0.005 / (0.0017 / 3))


def test_the_growth_leverage_is_the_one_that_grows_fastest_for_small_returns() -> None:
    small = (RETURNS - RETURNS.mean()) / 10.0
    small += 3.0 * small.var()
    tried = np.linspace(0.0, 6.0, 1201)
    growth = [float(np.mean(np.log1p(leverage * small))) for leverage in tried]
    assert growth_leverage(small) == pytest.approx(float(tried[int(np.argmax(growth))]), rel=0.01)


@pytest.mark.parametrize("order", [slice(None, None, -1), np.random.default_rng(1).permutation(2500)])
def test_ratios_do_not_know_the_order_of_the_bars(order: Any) -> None:
    for one in (omega, tail_ratio, growth_leverage, volatility):
        assert one(RETURNS[order]) == pytest.approx(one(RETURNS), rel=1e-9)
    assert sortino(RETURNS[order], YEAR) == pytest.approx(sortino(RETURNS, YEAR), rel=1e-9)
    assert shape_of(RETURNS[order]) == pytest.approx(shape_of(RETURNS), rel=1e-9)


@pytest.mark.parametrize("seed, tau, most", [(1, 2.0, 0.2), (2, 2.0, 0.1), (3, 0.5, 0.3), (4, 1.0, 2.0)])
def test_vwr_is_the_formula_of_its_article(seed: int, tau: float, most: float) -> None:
    steps = 0.0003 + 0.003 * np.random.default_rng(seed).standard_normal(300)
    equity = 5e4 * np.exp(np.cumsum(np.concatenate([[0.0], steps])))
    expected = vwr_of_the_article(equity.tolist(), 365.0, tau, most)

    assert expected != 0.0
    assert vwr(equity, 365.0, tau=tau, sdev_max=most) == pytest.approx(expected, rel=1e-9)


def test_vwr_on_paper() -> None:
    # From 100 to 121 in two bars: steady growth passes 110, the account stood at 99: strays -0.1 and 0, σ = √0.005.
    found = vwr(np.array([100.0, 99.0, 121.0]), 2.0, tau=2.0, sdev_max=0.2)
    assert found == pytest.approx(0.21 * (1.0 - 0.005 / 0.04))


def test_steady_growth_keeps_its_whole_return_and_wild_growth_none() -> None:
    steady = 100.0 * np.power(1.001, np.arange(50.0))
    assert vwr(steady, 365.0) == pytest.approx(1.001**365 - 1, rel=1e-9)
    wild = steady * np.where(np.arange(50) % 2 == 1, 1.8, 1.0)
    assert vwr(wild, 365.0) == 0.0
    assert vwr(wild[::-1] / 100.0, 365.0) == 0.0  # nor does a loss that strays come out as a gain


def test_vwr_is_the_same_on_every_second_bar_of_a_smooth_walk() -> None:
    steps = 0.0002 + 0.0002 * np.random.default_rng(5).standard_normal(4000)
    equity = np.exp(np.cumsum(np.concatenate([[0.0], steps])))
    assert vwr(equity[::2], 365.0 / 2) == pytest.approx(vwr(equity, 365.0), rel=1e-2)


@pytest.mark.parametrize("tau, most", [(0.0, 0.2), (2.0, 0.0), (2.0, -1.0)])
def test_vwr_without_a_scale_is_refused(tau: float, most: float) -> None:
    with pytest.raises(ValueError, match="both must be above 0"):
        vwr(np.array([1.0, 2.0, 3.0]), 365.0, tau=tau, sdev_max=most)


@pytest.mark.parametrize("window", [2, 24, 720, 2500])
def test_a_rolling_ratio_is_the_ratio_of_each_stretch(window: int) -> None:
    found = rolling_sharpe(RETURNS, YEAR, window)

    assert len(found) == len(RETURNS) - window + 1
    for start in (0, len(found) // 2, len(found) - 1):
        assert found[start] == pytest.approx(sharpe(RETURNS[start : start + window], YEAR), rel=1e-6)


def test_a_stretch_in_which_nothing_moves_has_a_rolling_ratio_of_nought() -> None:
    returns = np.concatenate([RETURNS[:100], np.zeros(50), np.full(50, 0.003), RETURNS[100:200]])
    found = rolling_sharpe(returns, YEAR, 20)
    assert (found[105:125] == 0.0).all()
    assert (found[152:180] == 0.0).all()
    assert (found[:80] != 0.0).all()


@pytest.mark.parametrize("window", [0, 1, 2501])
def test_a_rolling_window_that_does_not_fit_is_refused(window: int) -> None:
    with pytest.raises(ValueError, match=f"window of {window} bars does not fit 2500"):
        rolling_sharpe(RETURNS, YEAR, window)


def test_what_is_not_defined_is_nought_and_what_is_endless_has_a_bound() -> None:
    still, rising, one = np.zeros(5), np.full(5, 0.01), np.array([0.01])
    for returns in (still, rising, one):
        assert sharpe(returns, YEAR) == sortino(returns, YEAR) == growth_leverage(returns) == 0.0
        assert shape_of(returns)[2:] == (0.0, 0.0)
    assert (omega(still), omega(rising), omega(-rising)) == (0.0, LOSSLESS, 0.0)
    assert tail_ratio(still) == 0.0
    assert (gain_to_loss(1.0, 1e-300), gain_to_loss(0.0, 0.0)) == (LOSSLESS, 0.0)
    assert (annual_return(2.0, 1e-4), annual_return(-1.0, 1.0), annual_return(-1.2, 1.0)) == (LARGEST_ANNUAL, -1, -1)
    assert vwr(np.array([1.0, 2.0]), YEAR) == vwr(np.array([1.0, 0.5, 0.0]), YEAR) == 0.0
