"""What the last W bars looked like, as numbers: the raw columns of an embedding, before any fitting.

Each row is computed from its own window alone, by one kernel, so that a row of a long history and the same
window alone give the same bits. Scale-free: no column holds a price. Knows nothing of scalers or neighbours.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ..market.bars import DAY_MS, Bars
from ..market.jit import kernel

VERSION = 1
LAGS = 16
SHORTEST_WINDOW = 32  # the smallest span is a sixteenth of the window: two bars

STATISTICS: tuple[str, ...] = (
    *(f"return_lag_{lag}" for lag in range(LAGS)),
    *(f"return_sum_{part}" for part in ("16th", "8th", "4th", "half", "all")),
    *(f"volatility_{part}" for part in ("16th", "8th", "4th", "half")),
    "log_volatility",
    *(f"range_{part}" for part in ("8th", "all")),
    *(f"place_{part}" for part in ("8th", "4th", "half", "all")),
    *(f"volume_{part}" for part in ("last", "16th", "8th", "4th", "half")),
    "volume_with_movement",
    "volume_with_direction",
    "up_share",
    "autocorrelation",
    "skew",
    "day_sine",
    "day_cosine",
    "week_sine",
    "week_cosine",
)
LOG_VOLATILITY = STATISTICS.index("log_volatility")

_STILL = 1e-7  # volatility per bar below which a market counts as not moving
_TINY = 1e-14  # its square: keeps the logarithm of a variance finite
_WEEK_MS = 7 * DAY_MS
_VOLUME_FLOOR = 0.01  # of the mean volume: keeps the logarithm of an empty stretch finite

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def raw_statistics(bars: Bars, window: int) -> Floats:
    """(T, len(STATISTICS)) float64; row t uses bars t−window+1 … t, NaN where these are not one segment."""
    out = np.full((len(bars), len(STATISTICS)), np.nan)
    returns = np.empty(window)
    for start, stop in bars.segments():
        _fill_rows(
            bars.opened_at,
            bars.high,
            bars.low,
            bars.close,
            bars.volume,
            start + window - 1,
            stop,
            window,
            bars.interval_ms,
            returns,
            out,
        )
    return out


@kernel
def _fill_rows(
    opened_at: Ints,
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    first_row: int,
    stop: int,
    window: int,
    interval_ms: int,
    returns: Floats,
    out: Floats,
) -> None:
    for last in range(first_row, stop):
        first = last - window + 1
        squares = _fill_returns(opened_at, close, first, window, interval_ms, returns)
        volatility = math.sqrt(squares / float(window - 1))
        inverse = 1.0 / volatility if volatility > _STILL else 0.0
        column = _return_columns(returns, window, inverse, out, last, 0)
        column = _volatility_columns(returns, window, squares, out, last, column)
        column = _range_columns(high, low, close, last, window, inverse, out, column)
        column = _volume_columns(volume, returns, last, window, out, column)
        column = _shape_columns(returns, window, squares, inverse, out, last, column)
        _time_columns(opened_at[last], out, last, column)


@kernel
def _fill_returns(opened_at: Ints, close: Floats, first: int, window: int, interval_ms: int, returns: Floats) -> float:
    """Write log returns per root of elapsed intervals to returns[1:window]; return the sum of squares."""
    squares = 0.0
    returns[0] = 0.0
    for i in range(1, window):
        steps = float(opened_at[first + i] - opened_at[first + i - 1]) / float(interval_ms)
        move = math.log(float(close[first + i]) / float(close[first + i - 1])) / math.sqrt(steps)
        returns[i] = move
        squares += move * move
    return squares


@kernel
def _return_columns(returns: Floats, window: int, inverse: float, out: Floats, row: int, column: int) -> int:
    for lag in range(LAGS):
        out[row, column] = float(returns[window - 1 - lag]) * inverse
        column += 1
    for part in range(5):
        span = window >> (4 - part) if part < 4 else window - 1
        total = 0.0
        for i in range(window - span, window):
            total += float(returns[i])
        out[row, column] = total * inverse / math.sqrt(float(span))
        column += 1
    return column


@kernel
def _volatility_columns(returns: Floats, window: int, squares: float, out: Floats, row: int, column: int) -> int:
    variance = squares / float(window - 1) + _TINY
    for part in range(4):
        span = window >> (4 - part)
        total = 0.0
        for i in range(window - span, window):
            total += float(returns[i]) * float(returns[i])
        out[row, column] = 0.5 * math.log((total / float(span) + _TINY) / variance)
        column += 1
    out[row, column] = 0.5 * math.log(variance)
    return column + 1


@kernel
def _range_columns(
    high: Floats, low: Floats, close: Floats, last: int, window: int, inverse: float, out: Floats, column: int
) -> int:
    for part in (3, 0):
        span = window >> part
        total = 0.0
        for i in range(last - span + 1, last + 1):
            total += math.log(float(high[i]) / float(low[i]))
        out[last, column] = total * inverse / float(span)
        column += 1
    for part in (3, 2, 1, 0):
        highest, lowest = float(high[last]), float(low[last])
        for i in range(last - (window >> part) + 1, last):
            highest = max(highest, float(high[i]))
            lowest = min(lowest, float(low[i]))
        out[last, column] = (float(close[last]) - lowest) / (highest - lowest) if highest > lowest else 0.5
        column += 1
    return column


@kernel
def _volume_columns(volume: Floats, returns: Floats, last: int, window: int, out: Floats, column: int) -> int:
    first = last - window + 1
    total, movement, with_movement, with_direction = 0.0, 0.0, 0.0, 0.0
    for i in range(window):
        traded, move = float(volume[first + i]), float(returns[i])
        total += traded
        movement += abs(move)
        with_movement += traded * abs(move)
        with_direction += traded if move > 0.0 else (-traded if move < 0.0 else 0.0)
    mean = total / float(window)
    for part in range(5):
        span = 1 if part == 0 else window >> (5 - part)
        recent = 0.0
        for i in range(last - span + 1, last + 1):
            recent += float(volume[i])
        ratio = recent / float(span) / mean if mean > 0.0 else 1.0
        out[last, column] = math.log((ratio + _VOLUME_FLOOR) / (1.0 + _VOLUME_FLOOR))
        column += 1
    weight = movement * mean
    out[last, column] = with_movement / weight if weight > 0.0 else 1.0
    out[last, column + 1] = with_direction / total if total > 0.0 else 0.0
    return column + 2


@kernel
def _shape_columns(
    returns: Floats, window: int, squares: float, inverse: float, out: Floats, row: int, column: int
) -> int:
    ups, products, cubes = 0.0, 0.0, 0.0
    for i in range(1, window):
        move = float(returns[i])
        ups += 1.0 if move > 0.0 else 0.0
        products += move * float(returns[i - 1])
        scaled = move * inverse
        cubes += scaled * scaled * scaled
    out[row, column] = ups / float(window - 1)
    out[row, column + 1] = products / squares if inverse > 0.0 else 0.0
    out[row, column + 2] = cubes / float(window - 1)
    return column + 3


@kernel
def _time_columns(opened_at: int, out: Floats, row: int, column: int) -> None:
    day = 2.0 * math.pi * (float(opened_at % DAY_MS) / float(DAY_MS))
    week = 2.0 * math.pi * (float(opened_at % _WEEK_MS) / float(_WEEK_MS))
    out[row, column] = math.sin(day)
    out[row, column + 1] = math.cos(day)
    out[row, column + 2] = math.sin(week)
    out[row, column + 3] = math.cos(week)
