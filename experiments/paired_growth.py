"""How much faster one account grew than another over the same bars: log growth by day, and intervals of differences.

Knows tracks, not what their policies saw. A difference has two kinds of luck: the days, which hang together, and what
was drawn or trained by seed. An interval counts both.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..market.bars import DAY_MS
from .evaluate import Track
from .statistics import Interval, optimal_block, stationary_indices

DAY, BAR = "day", "bar"
FEWEST_DAYS = 60  # of fewer an interval would rest on a handful of blocks: then bars are compared
NOTHING_LEFT = 1e-4  # share of the first equity that ruin counts as: the logarithm of nothing has no mean

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Growth(NamedTuple):
    """`values` (tracks, periods) float64: log growth of equity over every period, a `unit`: "day" (UTC) or "bar"."""

    unit: str
    values: Floats


def growth_of(tracks: Sequence[Track], *, before_fees: bool = False) -> Growth:
    """Log growth of tracks that begin on the same bar, by day where there are enough of them; one that ended early
    stays as it was. `before_fees` gives every bar's fees back. ValueError where they do not begin together.
    """
    first = tracks[0]
    for track in tracks:
        if (track.closed_at[0], track.interval_ms) != (first.closed_at[0], first.interval_ms):
            raise ValueError(
                f"tracks {first.name} and {track.name} do not begin on the same bar: "
                f"{first.closed_at[0]} and {track.closed_at[0]} ms"
            )
    closes = max((track.closed_at for track in tracks), key=len)[1:]
    by_bar = np.zeros((len(tracks), len(closes)))
    for row, track in zip(by_bar, tracks, strict=True):
        row[: len(track) - 1] = _log_growth(track, before_fees)
    days, starts = np.unique(closes // DAY_MS, return_index=True)
    if len(days) < FEWEST_DAYS:
        return Growth(BAR, by_bar)
    return Growth(DAY, np.add.reduceat(by_bar, starts, axis=1))


def crossed_growth(
    differences: Floats,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    draws: int = 2000,
    block: float | None = None,
) -> Interval:
    """The mean of (seeds, periods) float64 and its interval under the luck of both.

    Periods are resampled in blocks of geometric length (`block` its mean, else as long as the seeds' mean demands), the
    same for every seed, and seeds one by one. How far seeds lie from their mean is widened by √(n/(n−1)) and by
    Student's quantile over the normal one: a plain bootstrap of few is too narrow. With one seed nothing is said of
    others, and this is the stationary bootstrap of a mean.
    """
    if differences.ndim != 2 or not len(differences):
        raise ValueError(f"differences of seeds and periods are needed, got {differences.shape}")
    seeds, count = differences.shape
    length = optimal_block(differences.mean(axis=0)) if block is None else block
    estimate = float(differences.mean())
    widened = differences + (_widening(seeds, level) - 1.0) * (differences.mean(axis=1, keepdims=True) - estimate)
    means = []
    per_batch = max(1, 4_000_000 // count)  # 32 MB of indices at a time
    for first, last in pairwise([*range(0, draws, per_batch), draws]):
        indices = stationary_indices(count, length, last - first, rng)
        of_seed = np.stack([row[indices].mean(axis=1) for row in widened])
        means.append((_shares(seeds, last - first, rng).T * of_seed).sum(axis=0))
    low, high = np.quantile(np.concatenate(means), [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(estimate, float(low), float(high), level)


def _log_growth(track: Track, before_fees: bool) -> Floats:
    least = NOTHING_LEFT * float(track.equity[0])
    given_back = np.diff(track.fees) if before_fees else 0.0
    after, before = np.maximum(track.equity[1:] + given_back, least), np.maximum(track.equity[:-1], least)
    growth: Floats = np.log(after / before)
    return growth


def _shares(seeds: int, draws: int, rng: np.random.Generator) -> Floats:
    """(draws, seeds) float64: how often each seed is drawn, as a share."""
    if seeds == 1:
        return np.ones((draws, 1))
    counts: Floats = rng.multinomial(seeds, np.full(seeds, 1.0 / seeds), draws) / seeds
    return counts


def _widening(seeds: int, level: float) -> float:
    if seeds == 1:
        return 1.0
    from scipy.stats import t  # 0.5 s, needed by this statistic alone

    tail = (1.0 + level) / 2.0
    return math.sqrt(seeds / (seeds - 1)) * float(t.ppf(tail, seeds - 1)) / NormalDist().inv_cdf(tail)
