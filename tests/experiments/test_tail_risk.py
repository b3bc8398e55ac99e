import math

import empyrical
import numpy as np
import pytest
from scipy import integrate, stats

from wavetank.experiments.ratios import Shape
from wavetank.experiments.tail_risk import (
    LEVELS,
    METHODS,
    cornish_fisher_cvar,
    cornish_fisher_holds,
    cornish_fisher_var,
    historical_cvar,
    historical_var,
    kupiec,
    var_test,
    walk_forward_var,
)

RETURNS = 0.001 + 0.01 * np.random.default_rng(4).standard_t(6, 1501)


def corrected(z: float, skew: float, excess: float) -> float:
    return (
        z
        + (z**2 - 1) * skew / 6
        + (z**3 - 3 * z) * excess / 24
        - (2 * z**3 - 5 * z) * skew**2 / 36
    )  # fmt: skip


def test_var_and_cvar_of_twenty_one_returns_are_those_on_paper() -> None:
    returns = np.arange(-10, 11) / 100  # the 5 % quantile is the second lowest
    assert historical_var(returns, 0.95) == pytest.approx(0.09)
    assert historical_cvar(returns, 0.95) == pytest.approx(0.095)
    assert historical_var(returns, 0.99) == pytest.approx(0.098)  # a fifth of the way from -0.10 to -0.09
    assert historical_cvar(returns, 0.99) == pytest.approx(0.10)
    # one tenth of the way through eleven is the second lowest, though 1 - 0.9 is a little less than 0.1
    assert historical_cvar(returns[:11], 0.9) == pytest.approx(0.095)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("count", [2, 20, 21, 100, 101, 1501])
def test_the_historical_figures_are_those_of_another_library(level: float, count: int) -> None:
    sample = RETURNS[:count]
    assert historical_var(sample, level) == pytest.approx(-empyrical.value_at_risk(sample, 1 - level), rel=1e-12)
    expected = -empyrical.conditional_value_at_risk(sample, 1 - level)
    assert historical_cvar(sample, level) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("level", LEVELS)
def test_cornish_fisher_is_its_formula_on_scipys_moments(level: float) -> None:
    z = stats.norm.ppf(1 - level)
    skew, excess = stats.skew(RETURNS), stats.kurtosis(RETURNS)
    quantile = RETURNS.mean() + RETURNS.std() * corrected(z, skew, excess)

    assert cornish_fisher_var(RETURNS, level) == pytest.approx(-quantile, rel=1e-12)
    assert cornish_fisher_var(RETURNS, level) != pytest.approx(-(RETURNS.mean() + RETURNS.std() * z), rel=1e-3)


@pytest.mark.parametrize("level", LEVELS)
def test_what_lies_beyond_is_the_mean_of_the_corrected_quantiles(level: float) -> None:
    skew, excess, tail = stats.skew(RETURNS), stats.kurtosis(RETURNS), 1 - level
    area, _ = integrate.quad(lambda p: corrected(stats.norm.ppf(p), skew, excess), 0.0, tail, epsabs=1e-12)
    expected = -(RETURNS.mean() + RETURNS.std() * area / tail)

    assert cornish_fisher_cvar(RETURNS, level) == pytest.approx(expected, rel=1e-6)


def test_on_normal_returns_the_correction_changes_nothing() -> None:
    normal = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000) * 0.02
    assert cornish_fisher_var(normal, 0.99) == pytest.approx(0.02 * 2.3263479, rel=1e-3)
    assert historical_var(normal, 0.99) == pytest.approx(0.02 * 2.3263479, rel=1e-3)
    assert cornish_fisher_cvar(normal, 0.99) == pytest.approx(0.02 * stats.norm.pdf(2.3263479) / 0.01, rel=1e-3)


@pytest.mark.parametrize("skew", [0.0, -0.5, 1.0, 2.5])
@pytest.mark.parametrize("excess", [-1.0, 0.0, 1.0, 4.0, 7.9, 9.0, 40.0])
def test_the_correction_is_called_a_quantile_only_where_it_rises(skew: float, excess: float) -> None:
    grid = np.linspace(-3.09, 3.09, 60_001)
    rises = bool(np.all(np.diff(corrected(grid, skew, excess)) > 0.0))  # type: ignore[arg-type]  # an array for a float
    assert cornish_fisher_holds(Shape(0.0, 1.0, skew, excess)) is rises


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("method", METHODS)
def test_the_walk_forward_var_at_a_bar_is_that_of_the_window_before_it(level: float, method: str) -> None:
    one = {"historical": historical_var, "cornish_fisher": cornish_fisher_var}[method]
    found = walk_forward_var(RETURNS, level, window=120, method=method)

    assert len(found) == len(RETURNS) - 120
    for at in (120, 121, 700, 1500):
        assert found[at - 120] == pytest.approx(one(RETURNS[at - 120 : at], level), rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_changed_future_changes_no_var_before_it(method: str) -> None:
    changed = RETURNS.copy()
    changed[800:] = -0.5
    before, after = (walk_forward_var(each, 0.99, window=250, method=method) for each in (RETURNS, changed))

    assert before[: 801 - 250].tobytes() == after[: 801 - 250].tobytes()  # that of bar 800 knows nothing of bar 800
    assert before[801 - 250] != after[801 - 250]


def test_the_batches_of_a_long_track_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = walk_forward_var(RETURNS, 0.95, window=100)
    monkeypatch.setattr("wavetank.experiments.tail_risk.BATCH", 700)
    assert walk_forward_var(RETURNS, 0.95, window=100).tobytes() == whole.tobytes()


@pytest.mark.parametrize(
    "violations, bars, level",
    [
        (0, 250, 0.99),
        (1, 250, 0.99),
        (2, 250, 0.99),
        (9, 250, 0.99),
        (13, 250, 0.95),
        (250, 250, 0.95),
        (30, 255, 0.95),
    ],
)
def test_kupiecs_test_is_a_likelihood_ratio_of_binomials(violations: int, bars: int, level: float) -> None:
    found = kupiec(violations, bars, level)
    meant = stats.binom.logpmf(violations, bars, 1 - level)
    seen = stats.binom.logpmf(violations, bars, violations / bars)

    assert found.likelihood_ratio == pytest.approx(2 * (seen - meant), abs=1e-9)
    assert found.p_value == pytest.approx(stats.chi2.sf(found.likelihood_ratio, 1), rel=1e-9)
    assert found.expected == pytest.approx(bars * (1 - level))


def test_kupiecs_published_bounds_hold() -> None:
    # Kupiec's table for 255 days, test size 5 %: N < 7 at p = 0.01 (0 is as unlikely as 7), 6 < N < 21 at p = 0.05
    assert [x for x in range(60) if kupiec(x, 255, 0.99).p_value > 0.05] == list(range(1, 7))
    assert [x for x in range(60) if kupiec(x, 255, 0.95).p_value > 0.05] == list(range(7, 21))


def test_no_bars_prove_nothing_and_impossible_counts_are_refused() -> None:
    assert kupiec(0, 0, 0.95) == (0, 0, 0.0, 0.0, 1.0)
    assert var_test(RETURNS[:100], 0.95, window=100) == (0, 0, 0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="7 violations in 5 bars cannot be"):
        kupiec(7, 5, 0.95)


def test_violations_are_counted_bar_by_bar() -> None:
    found = var_test(RETURNS, 0.95, window=250)
    slow = sum(RETURNS[t] < np.quantile(RETURNS[t - 250 : t], 0.05) for t in range(250, len(RETURNS)))

    assert (found.bars, found.violations) == (1251, slow)


def test_a_var_that_is_right_passes_and_one_from_calmer_times_does_not() -> None:
    rng = np.random.default_rng(8)
    calm = 0.01 * rng.standard_normal(3000)
    growing = calm * np.linspace(1.0, 12.0, 3000)

    assert var_test(calm, 0.95, window=500).p_value > 0.05
    assert var_test(growing, 0.95, window=500).p_value < 0.01


def test_an_account_that_never_moved_has_no_risk_and_no_violation() -> None:
    still = np.zeros(700)
    for level in LEVELS:
        assert historical_var(still, level) == cornish_fisher_var(still, level) == 0.0
        assert historical_cvar(still, level) == cornish_fisher_cvar(still, level) == 0.0
        for method in METHODS:
            assert var_test(still, level, window=250, method=method) == kupiec(0, 0, level)


def test_one_return_alone_is_its_own_tail() -> None:
    one = np.array([-0.03])
    assert historical_var(one, 0.95) == historical_cvar(one, 0.99) == cornish_fisher_var(one, 0.95) == 0.03


def test_wrong_levels_windows_and_methods_are_named() -> None:
    with pytest.raises(ValueError, match="level of 5 is not between"):
        historical_var(RETURNS, 5)
    with pytest.raises(ValueError, match="window of 1 bars has no tail"):
        walk_forward_var(RETURNS, 0.95, window=1)
    with pytest.raises(ValueError, match="'luck' is not one of historical, cornish_fisher"):
        walk_forward_var(RETURNS, 0.95, window=50, method="luck")
    assert math.isfinite(cornish_fisher_cvar(RETURNS, 0.999))
