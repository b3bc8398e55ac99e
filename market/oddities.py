"""How odd each bar is beside its neighbours: moves, spans, pauses, repetitions, surges of volume.

Measures alone, one number a bar. Looks forward as well as back, so it is for data at rest and never for a feature;
knows no limits: those stand in `quality.Rules`.
"""

import numpy as np
from numpy.typing import NDArray

from .bars import Bars, Floats, Ints

AROUND = 5  # bars whose median close a close is held against
BLOCK = 64  # the rolling median of the volume spans three blocks, and moves by one

Rows = NDArray[np.intp]


def moves(close: Floats) -> Floats:
    """Distance of each close from the one before it, as a share of that; 0 for the first."""
    return np.append(0.0, np.abs(_ratio(close[1:], close[:-1]) - 1.0))


def spans(bars: Bars) -> Floats:
    """How far each bar's high lies above its low, as a share of that."""
    return _ratio(bars.high, bars.low) - 1.0


def pauses(bars: Bars) -> Ints:
    """Bars that are missing before each one; 0 for the first."""
    return np.append(0, np.diff(bars.opened_at) // bars.interval_ms - 1)


def dislocations(close: Floats) -> Floats:
    """Distance of each close from the median of the five around it, as a share of that; 0 for two bars at each end."""
    apart = np.zeros(len(close))
    if len(close) >= AROUND:
        inner = AROUND // 2
        a, b, c, d, e = (close[k : len(close) - AROUND + 1 + k] for k in range(AROUND))
        middle = _median_of_five(a, b, c, d, e)
        apart[inner:-inner] = np.abs(_ratio(c, middle) - 1.0)
    return apart


def stale_runs(bars: Bars) -> tuple[Rows, Rows]:
    """(starts, stops) of runs of two and more bars equal in prices, and in volume unless that is 0."""
    same = np.ones(max(len(bars) - 1, 0), np.bool_)
    for values in (bars.open, bars.high, bars.low, bars.close):
        same &= values[1:] == values[:-1]
    same &= (bars.volume[1:] == bars.volume[:-1]) | (bars.volume[1:] == 0.0)
    edges = np.diff(np.concatenate([[False], same, [False]]).astype(np.int8))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) + 1


def surges(volume: Floats) -> Floats:
    """Each volume as a multiple of the median around it; 0 where that is 0."""
    usual = rolling_volume(volume)
    return np.where(usual > 0.0, _ratio(volume, np.where(usual > 0.0, usual, 1.0)), 0.0)


def rolling_volume(volume: Floats) -> Floats:
    """Median volume around each bar: of its block of 64 and both neighbouring blocks, as far as they exist."""
    blocks = max(len(volume) // BLOCK, 1)
    medians = [
        float(np.median(volume[max(k - 1, 0) * BLOCK : (k + 2) * BLOCK if k + 2 < blocks else len(volume)]))
        for k in range(blocks)
    ]
    return np.repeat(medians, [BLOCK] * (blocks - 1) + [len(volume) - BLOCK * (blocks - 1)])


def _ratio(a: Floats, b: Floats) -> Floats:
    with np.errstate(over="ignore"):  # of a price near 0 everything is infinitely far
        ratio: Floats = a / b
    return ratio


def _median_of_five(a: Floats, b: Floats, c: Floats, d: Floats, e: Floats) -> Floats:
    low, high = np.minimum(a, b), np.maximum(a, b)
    other_low, other_high = np.minimum(c, d), np.maximum(c, d)
    x, y = np.maximum(low, other_low), np.minimum(high, other_high)  # neither least nor greatest of four
    return np.maximum(np.minimum(x, y), np.minimum(np.maximum(x, y), e))
