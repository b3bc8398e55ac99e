"""Whether two slices of a market look alike: population stability index (PSI) and Kolmogorov–Smirnov (KS).

Knows no thresholds and no bars' quality; a sample is a plain array of finite float64.
"""

import math

import numpy as np

from .bars import Bars, Floats

LEAST_SHARE = 1e-4  # a bin that one side never visits counts as this share, so the index stays finite


def populations(bars: Bars) -> dict[str, Floats]:
    """The samples that are compared: log returns of neighbouring bars, log ranges, logs of volumes above 0."""
    neighbours = np.flatnonzero(np.diff(bars.opened_at) == bars.interval_ms)
    close = np.log(bars.close)
    return {
        "log return": close[neighbours + 1] - close[neighbours],
        "log range": np.log(bars.high) - np.log(bars.low),
        "log volume": np.log(bars.volume[bars.volume > 0.0]),
    }


def psi(reference: Floats, sample: Floats, bins: int = 10) -> float:
    """Population stability index over the reference's quantile bins: Σ (q − p) ln(q / p), 0 where shares are equal.

    Bins are open on the old side and closed on the new; their edges are values of the reference, equal ones merged.
    """
    if bins < 2:
        raise ValueError(f"{bins} bins cannot tell two samples apart")
    ordered = _ordered("reference", reference)
    ranks = [-(-len(ordered) * k // bins) - 1 for k in range(1, bins)]
    edges = np.unique(ordered[ranks])
    expected = _shares(ordered, edges)
    found = _shares(_ordered("sample", sample), edges)
    return float(np.sum((found - expected) * np.log(found / expected)))


def ks(reference: Floats, sample: Floats) -> tuple[float, float]:
    """Two-sample Kolmogorov–Smirnov: the largest distance of the two distributions, and its asymptotic p-value."""
    a, b = _ordered("reference", reference), _ordered("sample", sample)
    both = np.concatenate([a, b])
    below_a = np.searchsorted(a, both, "right") / len(a)
    below_b = np.searchsorted(b, both, "right") / len(b)
    distance = float(np.max(np.abs(below_a - below_b)))
    return distance, kolmogorov(distance * math.sqrt(len(a) * len(b) / (len(a) + len(b))))


def kolmogorov(x: float) -> float:
    """The chance that the supremum of a Brownian bridge exceeds `x`; each of its two series where it converges fast."""
    if x <= 0.0:
        return 1.0
    if x < 1.0:
        rate = -math.pi * math.pi / (8.0 * x * x)
        return 1.0 - math.sqrt(2.0 * math.pi) / x * sum(math.exp(rate * k * k) for k in (1, 3, 5, 7))
    return 2.0 * sum((1.0 if k % 2 else -1.0) * math.exp(-2.0 * k * k * x * x) for k in range(1, 8))


def _ordered(name: str, values: Floats) -> Floats:
    if not len(values):
        raise ValueError(f"the {name} is empty")
    ordered = np.sort(np.asarray(values, np.float64))
    if not (math.isfinite(ordered[0]) and math.isfinite(ordered[-1])):
        bad = np.flatnonzero(~np.isfinite(values))
        raise ValueError(f"the {name} holds {values[bad[0]]} at {bad[0]}")
    return ordered


def _shares(ordered: Floats, edges: Floats) -> Floats:
    """Share of the values in (−∞, e0], (e0, e1], …, (e_last, ∞), none below `LEAST_SHARE`."""
    below = np.searchsorted(ordered, edges, "right")
    counts = np.diff(below, prepend=0, append=len(ordered))
    return np.maximum(counts / len(ordered), LEAST_SHARE)
