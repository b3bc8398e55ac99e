"""How much of a result is luck: Sharpe ratios that count every trial, and intervals from resampled returns.

Returns are simple returns per bar, Sharpe ratios are per bar and not annualised. Knows no policy and no run.
A statistic that the sample cannot carry (fewer than three returns, no spread, NaN) is a ValueError, never a
number.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EULER = 0.5772156649015329
EXACT_PAIRS = 16  # up to here all 2^n sign flips are tried, beyond it they are drawn
_NORMAL = NormalDist()


class Moments(NamedTuple):
    """What the Sharpe statistics need of `size` returns. `kurtosis` is 3 for normal ones."""

    size: int
    mean: float
    deviation: float
    skew: float
    kurtosis: float

    @property
    def sharpe(self) -> float:
        return self.mean / self.deviation


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval."""

    estimate: float
    low: float
    high: float
    level: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Paired runs, ours against theirs: mean difference, its interval, and how often luck does as well.

    `p_value` is two-sided, from flipping the signs of the differences; `share_better` counts a tie as half.
    """

    difference: Interval
    p_value: float
    share_better: float
    pairs: int


def moments_of(returns: Floats) -> Moments:
    """Count, mean, sample deviation, skew and kurtosis of `returns`."""
    sample = _sample(returns)
    mean = float(sample.mean())
    centred = sample - mean
    variance = float((centred * centred).mean())
    if variance <= (1e-12 * mean) ** 2:  # rounding alone: the ratio would be huge and mean nothing
        raise ValueError(f"{len(sample)} returns without any spread have no Sharpe ratio")
    third, fourth = float((centred**3).mean()), float((centred**4).mean())
    count = len(sample)
    deviation = math.sqrt(variance * count / (count - 1))
    return Moments(count, mean, deviation, third / variance**1.5, fourth / variance**2)


def sharpe_error(moments: Moments) -> float:
    """Standard error of the Sharpe ratio under skew and fat tails (Mertens 2002)."""
    ratio = moments.sharpe
    spread = 1.0 - moments.skew * ratio + (moments.kurtosis - 1.0) / 4.0 * ratio * ratio
    return math.sqrt(max(spread, 0.0) / (moments.size - 1))


def probabilistic_sharpe(moments: Moments, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio lies above `benchmark` (Bailey and López de Prado 2012)."""
    error = sharpe_error(moments)
    if error == 0.0:
        raise ValueError(f"a Sharpe ratio of {moments.sharpe} with skew {moments.skew} has no standard error")
    return _NORMAL.cdf((moments.sharpe - benchmark) / error)


def expected_max_sharpe(trials: int, variance: float) -> float:
    """The best Sharpe ratio that `trials` trials without any skill show on average; 0 for a single one."""
    if trials < 1 or variance < 0.0:
        raise ValueError(f"{trials} trials with a variance of {variance} have no expected maximum")
    if trials == 1:
        return 0.0
    high = _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    higher = _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * ((1.0 - EULER) * high + EULER * higher)


def deflated_sharpe(moments: Moments, trials: int, variance: float) -> float:
    """Probability that the true Sharpe ratio beats the best of `trials` lucky ones.

    `variance` is that of the trials' Sharpe ratios per bar (Bailey and López de Prado 2014).
    """
    return probabilistic_sharpe(moments, expected_max_sharpe(trials, variance))


def trial_variance(sharpes: list[float], count: int) -> float:
    """Variance of the trials' Sharpe ratios per bar, never below what luck alone gives over `count` returns.

    Trials on the same data resemble one another, and a handful of them says little about their spread: the
    variance of a skill-less ratio, 1/(count − 1), is the floor.
    """
    floor = 1.0 / (count - 1)
    if len(sharpes) < 2:
        return floor
    return max(float(np.var(np.asarray(sharpes, np.float64), ddof=1)), floor)


def optimal_block(returns: Floats) -> float:
    """Mean block length of the stationary bootstrap for a mean (Politis and White 2004, corrected 2009).

    The bandwidth rule is that of the `arch` package, whose figures these are.
    """
    sample = _sample(returns)
    count = len(sample)
    centred = sample - sample.mean()
    quiet = max(5, int(math.log10(count)))  # so many insignificant lags in a row end the memory
    longest = min(math.ceil(math.sqrt(count)) + quiet, count - 2)
    covariances = [float(centred[lag:] @ centred[: count - lag]) / count for lag in range(longest + 1)]
    bandwidth = min(2 * _memory(centred, covariances, quiet), longest)
    slope, density = 0.0, covariances[0]
    for lag in range(1, bandwidth + 1):
        weight = min(1.0, 2.0 * (1.0 - lag / bandwidth))  # flat-top kernel
        slope += 2.0 * weight * lag * covariances[lag]
        density += 2.0 * weight * covariances[lag]
    if density == 0.0:
        return 1.0
    length = float((slope * slope / (density * density) * count) ** (1.0 / 3.0))
    return max(1.0, min(length, math.ceil(min(3.0 * math.sqrt(count), count / 3.0))))


def stationary_indices(count: int, block: float, draws: int, rng: np.random.Generator) -> Ints:
    """(draws, count) int64: positions resampled in blocks of geometric length, mean `block`, that wrap."""
    if block < 1.0:
        raise ValueError(f"a mean block length of {block} is below 1")
    begins = rng.random((draws, count)) < 1.0 / block
    begins[:, 0] = True
    starts = rng.integers(0, count, (draws, count))
    places = np.arange(count)
    begun = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
    indices: Ints = (np.take_along_axis(starts, begun, axis=1) + places - begun) % count
    return indices


def mean_difference(
    ours: Floats,
    theirs: Floats,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    draws: int = 2000,
    block: float | None = None,
) -> Interval:
    """Interval of the difference of mean returns, both sides resampled at the same bars."""
    return _resampled(_row_mean_differences, _paired(ours, theirs), rng, level, draws, block)


def sharpe_difference(
    ours: Floats,
    theirs: Floats,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    draws: int = 2000,
    block: float | None = None,
) -> Interval:
    """Interval of the difference of Sharpe ratios per bar; a side without any spread counts as ratio 0."""
    return _resampled(_row_sharpe_differences, _paired(ours, theirs), rng, level, draws, block)


def paired_comparison(
    ours: Floats, theirs: Floats, *, rng: np.random.Generator, level: float = 0.95, draws: int = 10_000
) -> Comparison:
    """Compare runs of the same seeds, one value a seed; more is better.

    The interval resamples pairs. Its quantiles are widened as Hesterberg (2015) proposes for few pairs, where
    a plain percentile interval is too narrow by √((n−1)/n) and by the normal quantile in place of Student's.
    """
    mine, other = (np.asarray(side, np.float64) for side in (ours, theirs))
    if mine.shape != other.shape or mine.ndim != 1 or len(mine) < 3:
        raise ValueError(f"a paired comparison needs three or more pairs, got {mine.shape} and {other.shape}")
    differences = mine - other
    if not np.all(np.isfinite(differences)):
        raise ValueError("a paired comparison needs finite values")
    count = len(differences)
    means = differences[rng.integers(0, count, (draws, count))].mean(axis=1)
    tail = _expanded_tail(count, 1.0 - level)
    low, high = np.quantile(means, [tail, 1.0 - tail])
    better = float((differences > 0.0).mean() + 0.5 * (differences == 0.0).mean())
    interval = Interval(float(differences.mean()), float(low), float(high), level)
    return Comparison(interval, _sign_flip(differences, rng, draws), better, count)


def _sign_flip(differences: Floats, rng: np.random.Generator, draws: int) -> float:
    count = len(differences)
    if count <= EXACT_PAIRS:
        codes = np.arange(1 << count, dtype=np.int64)
        signs = 1.0 - 2.0 * ((codes[:, None] >> np.arange(count)) & 1)
    else:
        signs = 1.0 - 2.0 * rng.integers(0, 2, (draws, count))
    seen = abs(float(differences.sum()))
    as_extreme = np.abs(signs @ differences) >= seen * (1.0 - 1e-12)
    if count <= EXACT_PAIRS:
        return float(as_extreme.mean())
    return float((as_extreme.sum() + 1) / (draws + 1))


def _expanded_tail(count: int, alpha: float) -> float:
    from scipy.stats import t  # 0.5 s, needed by this statistic alone

    return _NORMAL.cdf(math.sqrt(count / (count - 1)) * float(t.ppf(alpha / 2.0, count - 1)))


def _resampled(
    statistic: Callable[[list[Floats]], Floats],
    columns: list[Floats],
    rng: np.random.Generator,
    level: float,
    draws: int,
    block: float | None,
) -> Interval:
    count = len(columns[0])
    length = max(optimal_block(column) for column in columns) if block is None else block
    values = []
    per_batch = max(1, 4_000_000 // count)  # 32 MB of indices at a time
    for first, last in pairwise([*range(0, draws, per_batch), draws]):
        indices = stationary_indices(count, length, last - first, rng)
        values.append(statistic([column[indices] for column in columns]))
    low, high = np.quantile(np.concatenate(values), [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    estimate = float(statistic([column[None, :] for column in columns])[0])
    return Interval(estimate, float(low), float(high), level)


def _row_mean_differences(columns: list[Floats]) -> Floats:
    means: Floats = columns[0].mean(axis=1) - columns[1].mean(axis=1)
    return means


def _row_sharpe_differences(columns: list[Floats]) -> Floats:
    return _row_sharpes(columns[0]) - _row_sharpes(columns[1])


def _row_sharpes(rows: Floats) -> Floats:
    deviations = rows.std(axis=1, ddof=1)
    means = rows.mean(axis=1)
    ratios: Floats = np.divide(means, deviations, out=np.zeros_like(means), where=deviations > 0.0)
    return ratios


def _memory(centred: Floats, covariances: list[float], quiet: int) -> int:
    """The first lag from which `quiet` autocorrelations in a row are insignificant, else the longest one."""
    count = len(centred)
    threshold = 2.0 * math.sqrt(math.log10(count) / count)
    in_a_row = 0
    for lag, covariance in enumerate(covariances):
        if in_a_row == quiet:
            return max(lag - quiet, 1)
        ahead, behind = centred[lag + 1 :], centred[: -(lag + 1)]
        scale = math.sqrt(float(ahead @ ahead) * float(behind @ behind))
        in_a_row = in_a_row + 1 if abs(covariance) * count < threshold * scale else 0
    return len(covariances) - 1


def _paired(ours: Floats, theirs: Floats) -> list[Floats]:
    mine, other = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if mine.shape != other.shape:
        raise ValueError(f"{len(mine)} and {len(other)} returns are not of the same bars")
    return [_sample(mine), _sample(other)]


def _sample(returns: Floats) -> Floats:
    sample = np.asarray(returns, np.float64)
    if sample.ndim != 1 or len(sample) < 3:
        raise ValueError(f"a statistic needs three or more returns, got {sample.shape}")
    if not np.all(np.isfinite(sample)):
        raise ValueError(f"return {int(np.argmin(np.isfinite(sample)))} is not finite")
    return sample
