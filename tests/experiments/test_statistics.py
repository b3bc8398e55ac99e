import math
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

from wavetank.experiments.statistics import (
    Floats,
    Moments,
    deflated_sharpe,
    expected_max_sharpe,
    mean_difference,
    moments_of,
    optimal_block,
    paired_comparison,
    probabilistic_sharpe,
    sharpe_difference,
    stationary_indices,
    trial_variance,
)


def autoregressive(rng: np.random.Generator, count: int, rho: float) -> Floats:
    series = rng.normal(size=count)
    for t in range(1, count):
        series[t] += rho * series[t - 1]
    return series


def test_moments_are_those_worked_out_on_paper() -> None:
    moments = moments_of(np.array([0.01, -0.01, 0.03, 0.01]))
    assert moments.mean == pytest.approx(0.01)
    assert moments.deviation == pytest.approx(math.sqrt(0.0008 / 3))
    assert moments.skew == pytest.approx(0.0, abs=1e-12)
    assert moments.kurtosis == pytest.approx(2.0)  # m4 = 8e-8, m2² = 4e-8
    assert moments.sharpe == pytest.approx(0.01 / math.sqrt(0.0008 / 3))


def test_higher_moments_are_those_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    sample = np.random.default_rng(3).standard_t(5, 400) * 0.01
    moments = moments_of(sample)
    assert moments.skew == pytest.approx(stats.skew(sample))
    assert moments.kurtosis == pytest.approx(stats.kurtosis(sample, fisher=False))


# The worked example of Bailey and López de Prado, "The Deflated Sharpe Ratio" (2014): five years of days
# with an annual ratio of 2.5, skew −3, kurtosis 10; the best of N trials whose annual ratios have variance ½.
@pytest.mark.parametrize(
    "trials, skew, kurtosis, published",
    [(100, -3.0, 10.0, 0.9004), (46, -3.0, 10.0, 0.9505), (88, 0.0, 3.0, 0.9505)],
)
def test_deflated_sharpe_is_that_of_the_paper(trials: Any, skew: Any, kurtosis: Any, published: Any) -> None:
    daily = 2.5 / math.sqrt(250)
    moments = Moments(1250, daily, 1.0, skew, kurtosis)
    assert deflated_sharpe(moments, trials, 0.5 / 250) == pytest.approx(published, abs=5e-5)


def test_expected_maximum_is_that_of_the_paper() -> None:
    assert expected_max_sharpe(100, 0.5 / 250) == pytest.approx(0.1132, abs=5e-5)


def test_expected_maximum_is_close_to_the_mean_maximum_of_many_draws() -> None:
    drawn = np.random.default_rng(0).normal(size=(20_000, 50)).max(axis=1).mean()
    assert expected_max_sharpe(50, 1.0) == pytest.approx(drawn, rel=0.02)


def test_a_single_trial_is_not_deflated() -> None:
    moments = Moments(500, 0.05, 1.0, 0.1, 4.0)
    assert deflated_sharpe(moments, 1, 0.01) == probabilistic_sharpe(moments)


def test_more_trials_never_raise_the_deflated_ratio() -> None:
    moments = Moments(500, 0.12, 1.0, 0.0, 3.0)
    values = [deflated_sharpe(moments, trials, 1 / 499) for trials in (1, 2, 5, 20, 100, 1000)]
    assert all(later < earlier for earlier, later in pairwise(values))


def test_probabilistic_sharpe_is_the_normal_test_where_returns_are_normal() -> None:
    moments = Moments(101, 0.2, 1.0, 0.0, 3.0)
    z = 0.2 * 10 / math.sqrt(1 + 0.5 * 0.04)
    assert probabilistic_sharpe(moments) == pytest.approx(0.5 * (1 + math.erf(z / math.sqrt(2))))


def test_trial_variance_never_falls_below_what_luck_gives() -> None:
    assert trial_variance([], 101) == trial_variance([0.3, 0.3], 101) == pytest.approx(0.01)
    assert trial_variance([0.0, 1.0], 101) == pytest.approx(0.5)


@pytest.mark.parametrize("rho, count", [(0.0, 300), (0.5, 300), (0.9, 1000), (-0.4, 1000), (0.2, 40)])
def test_optimal_block_is_that_of_arch(rho: Any, count: Any) -> None:
    arch = pytest.importorskip("arch.bootstrap")
    series = autoregressive(np.random.default_rng(11), count, rho)
    expected = float(arch.optimal_block_length(series)["stationary"].iloc[0])
    assert optimal_block(series) == pytest.approx(max(expected, 1.0), rel=1e-9)


def test_resampled_blocks_are_geometric_and_wrap() -> None:
    indices = stationary_indices(50, 10.0, 400, np.random.default_rng(1))
    assert indices.shape == (400, 50)
    assert set(np.unique(indices)) == set(range(50))
    follows = (indices[:, 1:] - indices[:, :-1]) % 50 == 1
    chance = 0.9 + 0.1 / 50  # 1 − 1/block, and a fresh start may follow too
    assert follows.mean() == pytest.approx(chance, abs=0.01)
    assert np.any((indices[:, :-1] == 49) & (indices[:, 1:] == 0))


def test_mean_difference_is_that_of_arch() -> None:
    arch = pytest.importorskip("arch.bootstrap")
    series = autoregressive(np.random.default_rng(5), 400, 0.4)
    ours = mean_difference(series, 0.0 * series, rng=np.random.default_rng(1), draws=8000, block=8.0)
    boot = arch.StationaryBootstrap(8, series, seed=np.random.default_rng(2))
    low, high = boot.conf_int(np.mean, reps=8000, method="percentile").ravel()
    width = high - low
    assert ours.estimate == pytest.approx(series.mean())
    assert ours.low == pytest.approx(low, abs=0.04 * width)
    assert ours.high == pytest.approx(high, abs=0.04 * width)


def test_blocks_widen_the_interval_of_returns_that_depend_on_one_another() -> None:
    series = autoregressive(np.random.default_rng(5), 2000, 0.8)
    nothing = np.zeros(2000)
    apart = mean_difference(series, nothing, rng=np.random.default_rng(1), block=1.0)
    blocks = mean_difference(series, nothing, rng=np.random.default_rng(1))
    # In closed form the standard error grows by √((1+ρ)/(1−ρ)) = 3.
    assert 2.2 < (blocks.high - blocks.low) / (apart.high - apart.low) < 3.4


def test_mean_difference_sees_through_what_both_sides_share() -> None:
    rng = np.random.default_rng(9)
    market = rng.normal(0.0, 0.02, 500)
    ours = market + 0.001 + rng.normal(0.0, 0.001, 500)
    interval = mean_difference(ours, market, rng=np.random.default_rng(1))
    assert interval.low > 0.0
    assert interval.estimate == pytest.approx(float((ours - market).mean()))
    alone = mean_difference(ours, np.zeros(500), rng=np.random.default_rng(1))
    assert interval.high - interval.low < 0.2 * (alone.high - alone.low)


def test_sharpe_difference_of_a_series_with_itself_is_nothing() -> None:
    series = np.random.default_rng(4).normal(size=200)
    interval = sharpe_difference(series, series, rng=np.random.default_rng(1), draws=200)
    assert (interval.low, interval.estimate, interval.high) == (0.0, 0.0, 0.0)


def test_sharpe_difference_is_that_of_arch() -> None:
    arch = pytest.importorskip("arch.bootstrap")
    rng = np.random.default_rng(6)
    ours, theirs = rng.normal(0.1, 1.0, 300), rng.normal(0.0, 2.0, 300)
    interval = sharpe_difference(ours, theirs, rng=np.random.default_rng(1), draws=6000, block=5.0)

    def statistic(a: Floats, b: Floats) -> float:
        return float(a.mean() / a.std(ddof=1) - b.mean() / b.std(ddof=1))

    boot = arch.StationaryBootstrap(5, ours, theirs, seed=np.random.default_rng(2))
    low, high = boot.conf_int(statistic, reps=6000, method="percentile").ravel()
    assert interval.estimate == pytest.approx(statistic(ours, theirs))
    assert interval.low == pytest.approx(low, abs=0.05 * (high - low))
    assert interval.high == pytest.approx(high, abs=0.05 * (high - low))


def test_flat_beside_a_policy_counts_as_ratio_nought() -> None:
    series = np.random.default_rng(4).normal(0.3, 1.0, 200)
    interval = sharpe_difference(series, np.zeros(200), rng=np.random.default_rng(1), draws=200)
    assert interval.estimate == pytest.approx(moments_of(series).sharpe)


def test_sign_flips_are_counted_as_on_paper() -> None:
    ours, theirs = np.array([3.0, 2.0, 1.0, 4.0]), np.zeros(4)
    comparison = paired_comparison(ours, theirs, rng=np.random.default_rng(0))
    as_extreme = [abs(float(np.dot(signs, ours))) >= 10 for signs in product((1, -1), repeat=4)]
    assert comparison.p_value == sum(as_extreme) / 16 == 0.125
    assert comparison.share_better == 1.0


def test_sign_flips_of_many_pairs_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(8)
    ours, theirs = rng.normal(0.4, 1.0, 30), rng.normal(0.0, 1.0, 30)
    drawn = stats.permutation_test(
        (ours, theirs),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    )
    comparison = paired_comparison(ours, theirs, rng=np.random.default_rng(2), draws=20_000)
    assert comparison.p_value == pytest.approx(float(drawn.pvalue), abs=0.01)


def test_interval_of_ten_pairs_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(12)
    held = 0
    for _ in range(400):
        ours = rng.normal(0.5, 1.0, 10)
        interval = paired_comparison(ours, np.zeros(10), rng=rng, draws=1000).difference
        held += interval.low <= 0.5 <= interval.high
    assert 0.925 <= held / 400 <= 0.975  # a plain percentile interval holds it in about 0.90


def test_ties_count_as_half_better() -> None:
    comparison = paired_comparison(np.array([1.0, 0.0, -1.0, 0.0]), np.zeros(4), rng=np.random.default_rng(0))
    assert comparison.share_better == 0.5
    assert comparison.p_value == 1.0


@pytest.mark.parametrize(
    "returns, complaint",
    [
        ([0.1, 0.2], "three or more"),
        ([0.1, float("nan"), 0.2], "return 1 is not finite"),
        ([0.1, 0.1, 0.1, 0.1], "without any spread"),
    ],
)
def test_a_sample_that_carries_no_statistic_is_refused(returns: Any, complaint: Any) -> None:
    with pytest.raises(ValueError, match=complaint):
        moments_of(np.array(returns))


def test_sides_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="not of the same bars"):
        mean_difference(np.zeros(5), np.zeros(6), rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="three or more pairs"):
        paired_comparison(np.zeros(5), np.zeros(6), rng=np.random.default_rng(0))
