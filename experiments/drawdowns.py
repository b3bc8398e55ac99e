"""Falls from a peak: how deep, how much money, how long, and whether made good. Knows equity and time alone."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..market.bars import DAY_MS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Drawdowns:
    """What the falls of an equity were.

    `depth` is the deepest fall as a positive share of its peak; `money` the largest one in quote currency, which may
    be another fall. The longest stretch below a peak runs from the peak to the bar that reaches it again, or to the
    end: `longest_bars`, `longest_days`. `recovery_bars` run from the deepest point to the bar that reaches its peak
    again; where none does, to the end, and `is_recovered` is False. `ulcer` is the root mean square of the share
    below the peak over all bars (Martin and McCann 1989).
    """

    depth: float
    money: float
    longest_bars: int
    longest_days: float
    recovery_bars: int
    is_recovered: bool
    ulcer: float


def drawdowns_of(equity: Floats, closed_at: Ints) -> Drawdowns:
    """The falls of `equity` (T,), marked at `closed_at` (T,) ms UTC."""
    below = underwater(equity)
    peaks = np.maximum.accumulate(equity)
    trough = int(np.argmax(below))
    recovery, is_recovered = _recovery(equity, peaks, trough)
    peak_row, end_row = _longest(equity, peaks, closed_at)
    return Drawdowns(
        depth=float(below[trough]),
        money=float(np.max(peaks - equity)),
        longest_bars=end_row - peak_row,
        longest_days=float(closed_at[end_row] - closed_at[peak_row]) / DAY_MS,
        recovery_bars=recovery,
        is_recovered=is_recovered,
        ulcer=math.sqrt(float(np.mean(below * below))),
    )


def underwater(equity: Floats) -> Floats:
    """(T,) float64: how far each value stands below the highest so far, as a positive share of that."""
    return 1.0 - equity / np.maximum.accumulate(equity)


def _recovery(equity: Floats, peaks: Floats, trough: int) -> tuple[int, bool]:
    back = np.flatnonzero(equity[trough:] >= peaks[trough])
    return (int(back[0]), True) if len(back) else (len(equity) - 1 - trough, False)


def _longest(equity: Floats, peaks: Floats, closed_at: Ints) -> tuple[int, int]:
    """Rows of the peak and of the end of the stretch below it that lasted longest by the clock."""
    at_peak = np.flatnonzero(equity >= peaks)
    ends = np.append(at_peak[1:], len(equity) - 1)
    fell = (ends - at_peak > 1) | (equity[ends] < peaks[ends])  # two peaks in a row have no fall between them
    if not fell.any():
        return 0, 0
    lasted = np.where(fell, closed_at[ends] - closed_at[at_peak], -1)
    longest = int(np.argmax(lasted))
    return int(at_peak[longest]), int(ends[longest])
