"""What one bar adds to every window that it lies in: worked out once a bar, not once a row.

All logarithms of prices, so that no level survives a difference. A number of bar i comes of bars i−1 and i alone, and
the passes over a window never ask for the move into its first bar: a row's bits are those of its window alone. Knows
nothing of windows.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..market.jit import lean_kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class PerBar(NamedTuple):
    """Columns (T,), float64 but for `opened_at`: logarithms of high, low, close and of the typical price between them;
    `move` into the close, per root of elapsed intervals; `body` from open to close; `inside`, where the bar closed
    between its low (−1) and its high (1)."""

    opened_at: Ints
    move: Floats
    high: Floats
    low: Floats
    close: Floats
    typical: Floats
    body: Floats
    inside: Floats
    volume: Floats


def per_bar(
    opened_at: Ints, opened: Floats, high: Floats, low: Floats, close: Floats, volume: Floats, interval_ms: int
) -> PerBar:
    """Work the columns out; the first bar, and one after a gap, has a move that no whole window contains."""
    move, top, bottom, end, typical, body, inside = np.empty((7, len(close)))
    columns = PerBar(opened_at, move, top, bottom, end, typical, body, inside, volume)
    _fill(opened_at, opened, high, low, close, interval_ms, columns)
    return columns


@lean_kernel
def _fill(
    opened_at: Ints, opened: Floats, high: Floats, low: Floats, close: Floats, interval_ms: int, columns: PerBar
) -> None:
    for i in range(close.shape[0]):
        top, bottom, end = math.log(float(high[i])), math.log(float(low[i])), math.log(float(close[i]))
        columns.high[i], columns.low[i], columns.close[i] = top, bottom, end
        columns.typical[i] = (top + bottom + end) / 3.0
        columns.body[i] = end - math.log(float(opened[i]))
        columns.inside[i] = (2.0 * end - top - bottom) / (top - bottom) if top > bottom else 0.0
        columns.move[i] = 0.0
        if i > 0:
            steps = float(opened_at[i] - opened_at[i - 1]) / float(interval_ms)
            columns.move[i] = (end - float(columns.close[i - 1])) / math.sqrt(max(1.0, steps))
