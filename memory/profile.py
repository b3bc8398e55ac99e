"""Where in a window's range its volume was traded, and the indicators that traders read off it.

The profile has BINS prices from the window's low to its high; a bar's volume lies at its typical price and is shared
between the two nearest bins, so that no bar jumps from one to the next. Knows nothing of where its columns begin.
"""

import math

from ..market.jit import lean_kernel
from .per_bar import Floats
from .spans import TINY, bars_in

BINS = 10
FAST, SLOW, SIGNAL = 12.0 / 64.0, 26.0 / 64.0, 9.0 / 64.0  # of the window: the usual 12, 26 and 9 bars where it is 64
BAND = 3  # place in SPANS of Bollinger's bars: 24 of 64
STRENGTH = 14.0 / 64.0  # of the window: Wilder's 14 bars

PROFILE_COLUMNS = (*(f"volume_profile_{k}" for k in range(BINS)), "vwap_distance")
INDICATOR_COLUMNS = ("ema_fast", "ema_slow", "macd_histogram", "bollinger", "rsi", "close_in_last_bar")


@lean_kernel
def profile_columns(
    high: Floats,
    low: Floats,
    close: Floats,
    typical: Floats,
    volume: Floats,
    last: int,
    window: int,
    inverse: float,
    out: Floats,
    row: int,
    column: int,
) -> int:
    """PROFILE_COLUMNS: roots of shares (their distances are Hellinger's, and ten of them do not sum to one), and how
    many volatilities the close lies above the mean price paid."""
    highest, lowest = float(high[last]), float(low[last])
    for back in range(1, window):
        highest = max(highest, float(high[last - back]))
        lowest = min(lowest, float(low[last - back]))
    per_bin = float(BINS) / (highest - lowest) if highest > lowest else 0.0
    for k in range(BINS):
        out[row, column + k] = 0.0
    total, paid, end = 0.0, 0.0, float(close[last])
    for back in range(window):
        price, traded = float(typical[last - back]), float(volume[last - back])
        place = min(max((price - lowest) * per_bin - 0.5, 0.0), float(BINS - 1))
        k = min(int(place), BINS - 2)
        upper = traded * (place - float(k))
        out[row, column + k] += traded - upper
        out[row, column + k + 1] += upper
        total += traded
        paid += traded * (price - end)
    for k in range(BINS):
        share = float(out[row, column + k]) / total if total > 0.0 else 1.0 / float(BINS)
        out[row, column + k] = math.sqrt(max(share, 0.0))
    out[row, column + BINS] = -paid / total * inverse if total > 0.0 else 0.0
    return column + BINS + 1


@lean_kernel
def indicator_columns(
    close: Floats, inside: Floats, last: int, window: int, inverse: float, out: Floats, row: int, column: int
) -> int:
    """INDICATOR_COLUMNS: the close above two exponential means and MACD's histogram, in volatilities; Bollinger's z;
    Wilder's strength as a share. All means are of logarithms and begin at the window's first close."""
    first, length = last - window + 1, float(window)
    start, value = float(close[first]), 0.0
    fast_share, slow_share = 2.0 / (FAST * length + 1.0), 2.0 / (SLOW * length + 1.0)
    signal_share, strength_share = 2.0 / (SIGNAL * length + 1.0), 1.0 / (STRENGTH * length)
    fast, slow, signal, gains, losses = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(first, last + 1):
        before, value = value, float(close[i]) - start
        fast += fast_share * (value - fast)
        slow += slow_share * (value - slow)
        signal += signal_share * (fast - slow - signal)
        gains += strength_share * (max(value - before, 0.0) - gains)
        losses += strength_share * (max(before - value, 0.0) - losses)
    out[row, column] = (value - fast) * inverse
    out[row, column + 1] = (value - slow) * inverse
    out[row, column + 2] = (fast - slow - signal) * inverse
    out[row, column + 3] = _bollinger(close, last, bars_in(BAND, window))
    out[row, column + 4] = gains / (gains + losses) if gains + losses > 0.0 else 0.5
    out[row, column + 5] = float(inside[last])
    return column + 6


@lean_kernel
def _bollinger(close: Floats, last: int, count: int) -> float:
    """How many standard deviations of the last `count` closes the newest lies above their mean."""
    total, squares, end = 0.0, 0.0, float(close[last])
    for back in range(1, count):
        away = end - float(close[last - back])
        total += away
        squares += away * away
    mean = total / float(count)
    variance = squares / float(count) - mean * mean
    return mean / math.sqrt(variance) if variance > TINY else 0.0
