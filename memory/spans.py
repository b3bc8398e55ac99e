"""Statistics of the last 1/16, 1/8, 1/4, 3/8, 1/2 and all of a window: moves, ranges, volume.

Each kernel walks once from the newest bar back and writes a span's columns as it passes the span's end. Spans of two
to eight bars have the statistics that say something about so few. Volatility stands here as logarithms of what moved a
bar, not as ratios to the window's: moments of one level are what outcomes of one size followed. Knows nothing of where
its columns begin.
"""

import math

from ..market.jit import inlined_kernel, lean_kernel
from .per_bar import Floats

SPANS: tuple[str, ...] = ("16th", "8th", "4th", "3_8ths", "half", "all")
SHORT = 2  # of the spans, the first ones: autocorrelation or skew of two bars would be noise
ALL = len(SPANS) - 1

STILL = 1e-7  # volatility per bar below which a market counts as not moving: keeps a logarithm finite
TINY = STILL * STILL
GARMAN_KLASS = 2.0 * math.log(2.0) - 1.0
VOLUME_FLOOR = 0.01  # of the mean volume: keeps the logarithm of an empty stretch finite


def names(short: tuple[str, ...], long: tuple[str, ...]) -> tuple[str, ...]:
    """Columns in the order in which a pass writes them: span by span."""
    return tuple(f"{name}_{span}" for k, span in enumerate(SPANS) for name in (short if k < SHORT else long))


MOVE_COLUMNS = names(
    ("return_sum", "volatility"),
    ("return_sum", "volatility", "up_share", "efficiency", "autocorrelation", "skew", "largest_move"),
)
RANGE_COLUMNS = names(("range", "place"), ("range", "place", "extent", "aroon", "close_in_bar", "garman_klass"))
VOLUME_COLUMNS = (
    "volume_last",
    *(name for name in names(("volume",), ("volume", "volume_direction", "volume_movement")) if name != "volume_all"),
)


@inlined_kernel
def bars_in(part: int, window: int) -> int:
    """Bars of a span, by its place in SPANS."""
    if part < 3:
        return window >> (4 - part)
    return 3 * window // 8 if part == 3 else window >> (5 - part)


@lean_kernel
def move_columns(move: Floats, last: int, window: int, inverse: float, out: Floats, row: int, column: int) -> int:
    """MOVE_COLUMNS; `inverse` of the window's volatility per bar scales the sums of returns."""
    done = 0  # a window has one move less than bars
    total, squares, cubes, products, ups, absolute, largest, newer = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for part in range(ALL + 1):
        count = min(bars_in(part, window), window - 1)
        for back in range(done, count):
            value = float(move[last - back])
            square = value * value
            total += value
            squares += square
            cubes += square * value
            products += value * newer
            ups += 1.0 if value > 0.0 else 0.0
            absolute += abs(value)
            largest = max(largest, abs(value))
            newer = value
        done = count
        mean = squares / float(count)
        out[row, column] = total * inverse / math.sqrt(float(count))
        out[row, column + 1] = 0.5 * math.log(mean + TINY)
        column += 2
        if part < SHORT:
            continue
        moved = squares > 0.0
        out[row, column] = ups / float(count)
        out[row, column + 1] = abs(total) / absolute if moved else 0.0
        out[row, column + 2] = products / squares if moved else 0.0
        out[row, column + 3] = cubes / float(count) / (mean * math.sqrt(mean)) if moved else 0.0
        out[row, column + 4] = math.log(largest + STILL)
        column += 5
    return column


@lean_kernel
def mean_square(move: Floats, last: int, window: int) -> float:
    """The squared volatility per bar of a window."""
    squares = 0.0
    for back in range(window - 1):
        value = float(move[last - back])
        squares += value * value
    return squares / float(window - 1)


@lean_kernel
def range_columns(
    high: Floats,
    low: Floats,
    close: Floats,
    inside: Floats,
    body: Floats,
    last: int,
    window: int,
    out: Floats,
    row: int,
    column: int,
) -> int:
    """RANGE_COLUMNS: of two equally high bars the newer one counts as the high, of two low ones as the low.
    Volatility by Garman and Klass: from extremes and bodies, several times surer than that of as many closes."""
    end, done = float(close[last]), 0
    highest, lowest, since_high, since_low = float(high[last]), float(low[last]), 0, 0
    ranges, places, squares = 0.0, 0.0, 0.0
    for part in range(ALL + 1):
        span = bars_in(part, window)
        for back in range(done, span):
            top, bottom = float(high[last - back]), float(low[last - back])
            reach, gain = top - bottom, float(body[last - back])
            ranges += reach
            squares += 0.5 * reach * reach - GARMAN_KLASS * gain * gain
            places += float(inside[last - back])
            if top > highest:
                highest, since_high = top, back
            if bottom < lowest:
                lowest, since_low = bottom, back
        done = span
        extent = highest - lowest
        out[row, column] = math.log(ranges / float(span) + STILL)
        out[row, column + 1] = (end - lowest) / extent if extent > 0.0 else 0.5
        column += 2
        if part < SHORT:
            continue
        out[row, column] = math.log(extent + STILL)
        out[row, column + 1] = float(since_low - since_high) / float(span - 1)
        out[row, column + 2] = places / float(span)
        out[row, column + 3] = 0.5 * math.log(max(squares, 0.0) / float(span) + TINY)
        column += 4
    return column


@lean_kernel
def volume_columns(volume: Floats, move: Floats, last: int, window: int, out: Floats, row: int, column: int) -> int:
    """VOLUME_COLUMNS: how much was traded, whether with rising closes, whether with large moves."""
    whole = 0.0
    for back in range(window):
        whole += float(volume[last - back])
    mean = whole / float(window)
    out[row, column] = _volume_ratio(float(volume[last]), mean)
    column += 1
    total, directed, weighted, absolute, done = 0.0, 0.0, 0.0, 0.0, 0
    for part in range(ALL + 1):
        count = min(bars_in(part, window), window - 1)
        for back in range(done, count):
            traded, value = float(volume[last - back]), float(move[last - back])
            total += traded
            directed += traded if value > 0.0 else (-traded if value < 0.0 else 0.0)
            weighted += traded * abs(value)
            absolute += abs(value)
        done = count
        if part < ALL:
            out[row, column] = _volume_ratio(total / float(count), mean)
            column += 1
        if part < SHORT:
            continue
        even = total * absolute / float(count)
        out[row, column] = directed / total if total > 0.0 else 0.0
        out[row, column + 1] = weighted / even if even > 0.0 else 1.0
        column += 2
    return column


@inlined_kernel
def _volume_ratio(recent: float, mean: float) -> float:
    ratio = recent / mean if mean > 0.0 else 1.0
    return math.log((ratio + VOLUME_FLOOR) / (1.0 + VOLUME_FLOOR))
