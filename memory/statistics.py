"""What the last W bars looked like, as 128 numbers: the raw columns of an embedding, before any fitting.

Each row is computed from its own window alone, by kernels, so that a row of a long history and the same window alone
give the same bits. Scale-free: no column holds a price. Knows nothing of scalers or neighbours.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..market.bars import CROSSED_GAP, DAY_MS, Bars
from ..market.jit import lean_kernel
from .per_bar import Floats, Ints, PerBar, per_bar
from .profile import INDICATOR_COLUMNS, PROFILE_COLUMNS, indicator_columns, profile_columns
from .spans import (
    MOVE_COLUMNS,
    RANGE_COLUMNS,
    STILL,
    VOLUME_COLUMNS,
    mean_square,
    move_columns,
    range_columns,
    volume_columns,
)

VERSION = 2
SHORTEST_WINDOW = 32  # the shortest span is a sixteenth of the window: two bars
LAGS = SHORTEST_WINDOW - 1  # every return of the shortest window

# Half a day has the hours of three sessions. The minute of the hour is no column: it would stand still on hourly bars.
TIME_COLUMNS = tuple(f"{period}_{wave}" for period in ("half_day", "day", "week") for wave in ("sine", "cosine"))
STATISTICS: tuple[str, ...] = (
    *(f"return_lag_{lag}" for lag in range(LAGS)),
    *MOVE_COLUMNS,
    *RANGE_COLUMNS,
    *VOLUME_COLUMNS,
    *PROFILE_COLUMNS,
    *INDICATOR_COLUMNS,
    *TIME_COLUMNS,
)
LOG_VOLATILITY = STATISTICS.index("volatility_all")  # of the whole window


def raw_statistics(bars: Bars, window: int) -> Floats:
    """(T, len(STATISTICS)) float64; row t uses bars t−window+1 … t, NaN where these are not one segment."""
    out = np.full((len(bars), len(STATISTICS)), np.nan)
    rows = whole_rows(bars, window)
    out[rows] = statistics_at(columns_of(bars), rows, window)
    return out


def whole_rows(bars: Bars, window: int) -> Ints:
    """The rows at which a window ends that lies inside one segment."""
    ends = [np.arange(start + window - 1, stop, dtype=np.int64) for start, stop in bars.segments()]
    return np.concatenate(ends)


def columns_of(bars: Bars) -> PerBar:
    """What each bar of a history adds to the windows over it."""
    return per_bar(bars.opened_at, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.interval_ms)


def statistics_at(columns: PerBar, rows: Ints, window: int) -> Floats:
    """(n, len(STATISTICS)) float64 of the windows that end at `rows`, all of them whole."""
    out = np.empty((len(rows), len(STATISTICS)))
    _fill_rows(columns, rows, window, out)
    return out


def last_statistics(histories: Sequence[Bars], window: int, interval_ms: int) -> tuple[Floats, Ints]:
    """(m, len(STATISTICS)) float64 at the last bar of each history whose last window is whole, and which these are."""
    long = [k for k, bars in enumerate(histories) if len(bars) >= window]
    if not long:
        return np.empty((0, len(STATISTICS))), np.empty(0, np.int64)
    names = ("opened_at", "open", "high", "low", "close", "volume")
    opened_at, opened, high, low, close, volume = (
        _in_line([getattr(histories[k], name)[-window:] for k in long]) for name in names
    )
    steps = opened_at.reshape(-1, window)
    whole = np.flatnonzero((steps[:, 1:] - steps[:, :-1]).max(axis=1) <= (CROSSED_GAP + 1) * interval_ms)
    columns = per_bar(opened_at, opened, high, low, close, volume, interval_ms)
    return statistics_at(columns, whole * window + (window - 1), window), np.array(long, np.int64)[whole]


def _in_line(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    """Read-only, as the columns of bars are: a kernel is compiled once for each kind of array."""
    if len(arrays) == 1:
        return arrays[0]
    joined = np.concatenate(arrays)
    joined.flags.writeable = False
    return joined


@lean_kernel
def _fill_rows(columns: PerBar, rows: Ints, window: int, out: Floats) -> None:
    opened_at, move, high, low, close, typical, body, inside, volume = columns
    for row in range(rows.shape[0]):
        last = rows[row]
        volatility = math.sqrt(mean_square(move, last, window))
        inverse = 1.0 / volatility if volatility > STILL else 0.0
        for lag in range(LAGS):
            out[row, lag] = float(move[last - lag]) * inverse
        at = move_columns(move, last, window, inverse, out, row, LAGS)
        at = range_columns(high, low, close, inside, body, last, window, out, row, at)
        at = volume_columns(volume, move, last, window, out, row, at)
        at = profile_columns(high, low, close, typical, volume, last, window, inverse, out, row, at)
        at = indicator_columns(close, inside, last, window, inverse, out, row, at)
        _time_columns(opened_at[last], out, row, at)


@lean_kernel
def _time_columns(opened_at: int, out: Floats, row: int, column: int) -> None:
    for k in range(3):
        period = DAY_MS // 2 if k == 0 else (DAY_MS if k == 1 else 7 * DAY_MS)
        angle = 2.0 * math.pi * (float(opened_at % period) / float(period))
        out[row, column + 2 * k] = math.sin(angle)
        out[row, column + 2 * k + 1] = math.cos(angle)
