"""The seventeen stylised facts of a market, each one number, measured on one window of returns and volumes.

Definitions are those of the table in `docs/realism.md`. r is the log return of bar closes, a its absolute value. A fact
that the window does not allow (a market that never moved, an exponent without points to fit) is NaN, which lies in no
band. Knows nothing of bands, of null models, or of how the window came about.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..market.jit import kernel

Floats = NDArray[np.float64]

FACTS = (
    "return_acf_1",  # 1
    "return_acf_2_10",  # 2: mean of the absolute values
    "kurtosis",  # 3: excess, as every kurtosis here
    "gaussianity",  # 4: kurtosis of sums ÷ kurtosis
    "tail_exponent",  # 5: Hill
    "volatility_acf_1",  # 6: of a
    "volatility_acf_10",  # 7
    "volatility_acf_50",  # 8
    "volatility_decay",  # 9: acf(a) ~ lag ** −this
    "return_hurst",  # 10
    "volatility_hurst",  # 11: of a
    "scaled_kurtosis",  # 12: of r ÷ what volatility had been
    "burstiness",  # 13: Fano factor of the largest moves
    "time_asymmetry",  # 14
    "volume_volatility",  # 15
    "variance_ratio",  # 16
    "leverage",  # 17
)

SHORTEST = 1_024  # returns: two of the largest boxes
SUMMED_LAGS = range(2, 11)  # fact 2
DECAY_LAGS = (1, 2, 3, 5, 8, 12, 20, 32, 50, 80, 100)
SMALLEST_ACF = 0.005  # of fact 9: what lies below is noise, and has no logarithm to speak of
MIN_KURTOSIS = 0.5  # of fact 4: below it there is nothing to fall
TAIL_SHARE, BURST_SHARE = 0.05, 0.01
BURST_CELL, BLOCK, RATIO_BARS, LEVERAGE_LAGS = 60, 5, 20, 10
HALF_LIVES_DROPPED = 3  # of fact 12
BOXES = tuple(round(16 * 2 ** (half / 2)) for half in range(11))  # 16 … 512 in half octaves


class Pace(NamedTuple):
    """What a time unit changes, in bars: the window, the sums of fact 4, the half-life of fact 12."""

    window: int
    aggregate: int
    half_life: int


PACES = {"1m": Pace(2_880, 15, 60), "1h": Pace(2_160, 4, 24)}


def returns_of(closes: Floats) -> Floats:
    """Log returns of bar closes, one fewer than closes."""
    return np.diff(np.log(closes))


def facts_of(returns: Floats, volume: Floats, pace: Pace) -> Floats:
    """The facts of one window in the order of `FACTS`, (17,) float64; `volume` is that of the returns' own bars."""
    _check(returns, volume)
    a = np.abs(returns)
    acf_r, acf_a = acf(returns, range(11)), acf(a, (0, 1, 10, 50))
    tails = excess_kurtosis(returns)
    return np.array(
        [
            acf_r[1],
            np.mean(np.abs(acf_r[SUMMED_LAGS])),
            tails,
            excess_kurtosis(block_sums(returns, pace.aggregate)) / tails if tails > MIN_KURTOSIS else math.nan,
            tail_exponent(a, TAIL_SHARE),
            *acf_a[1:],
            decay_exponent(a),
            hurst(returns),
            hurst(a),
            excess_kurtosis(_scaled(returns, pace.half_life)),
            _burstiness(a),
            _time_asymmetry(returns, a),
            correlation(volume, a),
            _variance_ratio(returns),
            float(np.mean([correlation(returns[:-lag], a[lag:]) for lag in range(1, LEVERAGE_LAGS + 1)])),
        ]
    )


def acf(x: Floats, lags: range | tuple[int, ...]) -> Floats:
    """Autocorrelations at `lags`, with the mean and the variance of the whole series; NaN where it never moves."""
    centred = x - x.mean()
    power = float(centred @ centred)
    if power <= _noise(x):
        return np.full(len(lags), math.nan)
    return np.array([float(centred[: len(x) - lag] @ centred[lag:]) / power for lag in lags])


def excess_kurtosis(x: Floats) -> float:
    """Fourth moment over the square of the second, less the normal's 3."""
    squares = (x - x.mean()) ** 2
    variance = float(squares.mean())
    if variance * len(x) <= _noise(x):
        return math.nan
    return float(np.mean(squares * squares)) / (variance * variance) - 3.0


def tail_exponent(x: Floats, share: float) -> float:
    """Hill's estimate of the exponent of the upper tail, from the largest `share` of `x`."""
    count = int(share * len(x))
    highest = np.partition(x, len(x) - count - 1)[len(x) - count - 1 :]  # the first is the largest that is left out
    if highest[0] <= 0.0:
        return math.nan
    excess = float(np.mean(np.log(highest[1:] / highest[0])))
    return 1.0 / excess if excess > 0.0 else math.nan


def decay_exponent(x: Floats) -> float:
    """β of acf(x) ~ lag^−β, a straight line through the logarithms where the acf is above noise."""
    seen = acf(x, DECAY_LAGS)
    kept = seen > SMALLEST_ACF  # never where it is NaN
    if np.count_nonzero(kept) < 3:
        return math.nan
    return -_slope(np.log(np.array(DECAY_LAGS)[kept]), np.log(seen[kept]))


def hurst(x: Floats) -> float:
    """Exponent of detrended fluctuation analysis of order 1: ½ without memory, above it with."""
    profile = np.cumsum(x - x.mean())
    fluctuation = np.array([_fluctuation(profile, box) for box in BOXES])
    if np.any(fluctuation <= 0.0):
        return math.nan
    return 0.5 * _slope(np.log(np.array(BOXES, np.float64)), np.log(fluctuation))


def block_sums(x: Floats, bars: int) -> Floats:
    """Sums of whole blocks of `bars`, side by side from the first; the rest is left out."""
    blocks = len(x) // bars
    sums: Floats = x[: blocks * bars].reshape(blocks, bars).sum(axis=1)
    return sums


def correlation(x: Floats, y: Floats) -> float:
    """Pearson's correlation; NaN where one of the two never moves."""
    dx, dy = x - x.mean(), y - y.mean()
    xx, yy = float(dx @ dx), float(dy @ dy)
    if xx <= _noise(x) or yy <= _noise(y):
        return math.nan
    return float(dx @ dy) / math.sqrt(xx * yy)


def _fluctuation(profile: Floats, box: int) -> float:
    """Mean square of what a straight line leaves of the profile in each box."""
    boxes = len(profile) // box
    pieces = profile[: boxes * box].reshape(boxes, box)
    pieces = pieces - pieces.mean(axis=1, keepdims=True)
    time = np.arange(box) - (box - 1) / 2.0
    slopes = pieces @ time
    return float((np.sum(pieces * pieces) - slopes @ slopes / (time @ time)) / (boxes * box))


def _scaled(returns: Floats, half_life: int) -> Floats:
    """r_t over the root of the EWMA of r² up to t − 1, without the first half-lives."""
    begin = HALF_LIVES_DROPPED * half_life
    variance = _ewma(returns * returns, 0.5 ** (1.0 / half_life))[begin - 1 : -1]
    if np.any(variance <= 0.0):
        return np.zeros(1)
    return returns[begin:] / np.sqrt(variance)


@kernel
def _ewma(x: Floats, keep: float) -> Floats:
    out = np.empty(len(x))
    level = float(x[0])
    for t in range(len(x)):
        level = keep * level + (1.0 - keep) * float(x[t])
        out[t] = level
    return out


def _burstiness(a: Floats) -> float:
    """Variance over mean of how many of the largest moves fall into each cell."""
    count = int(BURST_SHARE * len(a))
    threshold = np.partition(a, len(a) - count)[len(a) - count]
    if threshold <= 0.0:
        return math.nan
    counts = block_sums((a >= threshold).astype(np.float64), BURST_CELL)
    return float(counts.var() / counts.mean()) if counts.any() else math.nan


def _time_asymmetry(returns: Floats, a: Floats) -> float:
    """How much better a block's net move foretells the next one's activity than the other way about (Zumbach)."""
    coarse, fine = np.abs(block_sums(returns, BLOCK)), block_sums(a, BLOCK)
    return correlation(coarse[:-1], fine[1:]) - correlation(fine[:-1], coarse[1:])


def _variance_ratio(returns: Floats) -> float:
    total = float(returns.var())
    if total * len(returns) <= _noise(returns):
        return math.nan
    return float(block_sums(returns, RATIO_BARS).var()) / (RATIO_BARS * total)


def _slope(x: Floats, y: Floats) -> float:
    dx = x - x.mean()
    return float(dx @ y / (dx @ dx))


def _noise(x: Floats) -> float:
    """A sum of squares that rounding alone can make of a series that never moves."""
    return float(len(x) * (1e-12 * np.max(np.abs(x))) ** 2)


def _check(returns: Floats, volume: Floats) -> None:
    if returns.ndim != 1 or returns.shape != volume.shape:
        raise ValueError(f"returns have shape {returns.shape}, volumes {volume.shape}: one of each a bar is wanted")
    if len(returns) < SHORTEST:
        raise ValueError(f"a window of {len(returns)} returns is too short, it must have {SHORTEST} or more")
    for name, values in (("return", returns), ("volume", volume)):
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise ValueError(f"{name} {int(bad[0])} is {values[bad[0]]}, it must be a number")
    if np.any(volume < 0):
        raise ValueError(f"volume {int(np.argmax(volume < 0))} is {volume[volume < 0][0]}, it must be 0 or more")
