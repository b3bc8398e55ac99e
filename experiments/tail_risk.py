"""Value at risk and what lies beyond it, one bar ahead; and Kupiec's test of whether yesterday's figure held today.

A VaR is a positive share of equity where it is a loss, negative where even the bad bars earn. It is of the account's
own returns: a policy that held nothing in the window had none. Knows returns, not positions.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .ratios import LEAST_SPREAD, Shape, shape_of

LEVELS = (0.95, 0.99)
METHODS = ("historical", "cornish_fisher")
REACH = 3.09  # deviations: one bar in a thousand
BATCH = 250_000  # floats of past windows at a time: 2 MB stay in the cache

Floats = NDArray[np.float64]
_NORMAL = NormalDist()


class Kupiec(NamedTuple):
    """How often a VaR was exceeded over `bars`, and how often chance alone strays as far from `expected`."""

    bars: int
    violations: int
    expected: float
    likelihood_ratio: float
    p_value: float


def historical_var(returns: Floats, level: float) -> float:
    """−(1 − level) quantile of the returns, between order statistics by straight line."""
    return 0.0 - float(_quantiles(returns[None, :], _tail(level))[0])


def historical_cvar(returns: Floats, level: float) -> float:
    """−mean of the returns up to that quantile, the worst one at least: the ⌊(n − 1)(1 − level)⌋ + 1 lowest."""
    last = _place(len(returns), _tail(level))[0]
    return 0.0 - float(np.mean(np.partition(returns, last)[: last + 1]))


def cornish_fisher_var(returns: Floats, level: float) -> float:
    """−(μ + σ·w), w the normal quantile z corrected for skew S and excess kurtosis K.

    w = z + (z² − 1)S/6 + (z³ − 3z)K/24 − (2z³ − 5z)S²/36 (Cornish and Fisher 1938), population moments.
    """
    return _corrected(shape_of(returns), _tail(level))


def cornish_fisher_cvar(returns: Floats, level: float) -> float:
    """−(μ + σ·E[w | Z ≤ z]) = −μ + σ·φ(z)/(1 − level)·(1 + zS/6 + (z² − 1)K/24 − (2z² − 1)S²/36)."""
    shape, tail = shape_of(returns), _tail(level)
    z = _NORMAL.inv_cdf(tail)
    skewed = z * shape.skew / 6.0 - (2.0 * z * z - 1.0) * shape.skew * shape.skew / 36.0
    beyond = _NORMAL.pdf(z) / tail * (1.0 + skewed + (z * z - 1.0) * shape.excess / 24.0)
    return shape.deviation * beyond - shape.mean


def cornish_fisher_holds(shape: Shape) -> bool:
    """Whether w rises with z over −REACH … REACH; where it does not (Maillard 2012), it is a number and no quantile.

    w' is a parabola in z: a·z² + S/3·z + c with a = K/8 − S²/6 and c = 1 − K/8 + 5S²/36.
    """
    slope = shape.skew / 3.0
    a = shape.excess / 8.0 - shape.skew * shape.skew / 6.0
    c = 1.0 - shape.excess / 8.0 + 5.0 * shape.skew * shape.skew / 36.0
    least = a * REACH * REACH - abs(slope) * REACH + c
    if a > 0.0 and abs(slope) < 2.0 * a * REACH:  # its lowest point lies within
        least = c - slope * slope / (4.0 * a)
    return least > 0.0


def walk_forward_var(returns: Floats, level: float, *, window: int, method: str = "historical") -> Floats:
    """(n − window,) float64: for each return from the `window`-th on, the VaR of the `window` returns before it."""
    if window < 2:
        raise ValueError(f"a VaR window of {window} bars has no tail; it needs 2 or more")
    if method not in METHODS:
        raise ValueError(f"VaR method {method!r} is not one of {', '.join(METHODS)}")
    if len(returns) <= window:
        return np.empty(0)
    tail, pasts = _tail(level), sliding_window_view(returns[:-1], window)
    step = max(1, BATCH // window)
    found = []
    for start in range(0, len(pasts), step):
        rows = pasts[start : start + step]
        found.append(0.0 - _quantiles(rows, tail) if method == "historical" else _corrected_rows(rows, tail))
    return np.concatenate(found)


def kupiec(violations: int, bars: int, level: float) -> Kupiec:
    """Kupiec's (1995) proportion of failures: `violations` in `bars` against an expected share p = 1 − level.

    LR = −2·ln[(1 − p)^(n − x)·p^x ÷ ((1 − x/n)^(n − x)·(x/n)^x)] is χ² with one degree of freedom where the VaR is
    right, so its p-value is erfc(√(LR/2)). No bars: LR 0, p-value 1.
    """
    if not 0 <= violations <= bars:
        raise ValueError(f"{violations} violations in {bars} bars cannot be")
    p = _tail(level)
    if bars == 0:
        return Kupiec(0, 0, 0.0, 0.0, 1.0)
    share = violations / bars
    kept = bars - violations
    seen = (kept * math.log(1.0 - share) if kept else 0.0) + (violations * math.log(share) if violations else 0.0)
    meant = kept * math.log(1.0 - p) + violations * math.log(p)
    found = max(0.0, 2.0 * (seen - meant))
    return Kupiec(bars, violations, p * bars, found, math.erfc(math.sqrt(found / 2.0)))


def var_test(returns: Floats, level: float, *, window: int, method: str = "historical") -> Kupiec:
    """Kupiec's test of the walk-forward VaR; a bar that loses more than its VaR is a violation.

    A bar whose VaR is 0 and that moved nothing is no evidence: an account that holds nothing would pass for too
    careful.
    """
    foretold = walk_forward_var(returns, level, window=window, method=method)
    seen = returns[len(returns) - len(foretold) :]
    judged = (foretold != 0.0) | (seen != 0.0)
    return kupiec(int(np.count_nonzero(seen < -foretold)), int(np.count_nonzero(judged)), level)


def _tail(level: float) -> float:
    if not 0.5 < level < 1.0:
        raise ValueError(f"a VaR level of {level} is not between 0.5 and 1")
    return round(1.0 - level, 12)  # 1 − 0.9 would fall short of 0.1, and its quantile of its order statistic


def _place(count: int, tail: float) -> tuple[int, float]:
    """Order statistic at or below the quantile, and how far towards the next one it lies."""
    where = (count - 1) * tail
    return math.floor(where), where - math.floor(where)


def _quantiles(rows: Floats, tail: float) -> Floats:
    """(n,) float64: the quantile of each row of (n, window)."""
    low, share = _place(rows.shape[1], tail)
    high = min(low + 1, rows.shape[1] - 1)
    ordered = np.partition(rows, (low, high), axis=1)
    found: Floats = ordered[:, low] + share * (ordered[:, high] - ordered[:, low])
    return found


def _corrected(shape: Shape, tail: float) -> float:
    moments = (np.array([value]) for value in shape)
    return float(_var_of_moments(*moments, tail=tail)[0])


def _corrected_rows(rows: Floats, tail: float) -> Floats:
    mean = rows.mean(axis=1)
    centred = rows - mean[:, None]
    square = centred * centred
    variance = square.mean(axis=1)
    spread = variance > LEAST_SPREAD * LEAST_SPREAD
    safe = np.where(spread, variance, 1.0)
    skew = np.where(spread, (square * centred).mean(axis=1) / safe**1.5, 0.0)
    excess = np.where(spread, (square * square).mean(axis=1) / safe**2 - 3.0, 0.0)
    return _var_of_moments(mean, np.sqrt(np.where(spread, variance, 0.0)), skew, excess, tail=tail)


def _var_of_moments(mean: Floats, deviation: Floats, skew: Floats, excess: Floats, *, tail: float) -> Floats:
    z = _NORMAL.inv_cdf(tail)
    cube = z * z * z
    heavy = (cube - 3.0 * z) / 24.0 * excess - (2.0 * cube - 5.0 * z) / 36.0 * skew * skew
    return 0.0 - (mean + deviation * (z + (z * z - 1.0) / 6.0 * skew + heavy))
