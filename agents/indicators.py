"""Indicators that rules look at, as streaming kernels: one value in, one value out, in constant time a bar.

Each keeps its state in a stretch of the caller's float64 row, from `at` on, all zeros at first; `…_size` says how long.
Until as many values as its window have come, what it returns means nothing. Knows no bars and no rules.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ..market.jit import inlined_kernel

State = NDArray[np.float64]

_PLACE, _SUM, _SPREAD, _RING = 0, 1, 2, 3  # of a window
_FIRST, _COUNT, _PAIRS = 0, 1, 2  # of a queue


@inlined_kernel
def window_size(window: int) -> int:
    """Floats of a `moving_mean` or a `moving_band`."""
    return _RING + window


@inlined_kernel
def queue_size(window: int) -> int:
    """Floats of a queue for `push_highest`."""
    return _PAIRS + 2 * window


@inlined_kernel
def moving_mean(state: State, at: int, window: int, value: float) -> float:
    """Mean of the last `window` values. The sum is taken anew once a round, so that rounding does not grow."""
    place = int(state[at + _PLACE])
    total = float(state[at + _SUM]) + (value - float(state[at + _RING + place]))
    state[at + _RING + place] = value
    place += 1
    if place == window:
        place = 0
        total = _ring_sum(state, at, window)
    state[at + _PLACE] = place
    state[at + _SUM] = total
    return total / window


@inlined_kernel
def moving_band(state: State, at: int, window: int, value: float) -> tuple[float, float]:
    """Mean and population deviation of the last `window` values, by Welford's update, exact once a round."""
    place = int(state[at + _PLACE])
    old = float(state[at + _RING + place])
    mean = float(state[at + _SUM])
    state[at + _RING + place] = value
    place += 1
    if place == window:
        place = 0
        mean = _ring_sum(state, at, window) / window
        spread = 0.0
        for i in range(window):
            away = float(state[at + _RING + i]) - mean
            spread += away * away
    else:
        after = mean + (value - old) / window
        spread = float(state[at + _SPREAD]) + (value - old) * (value - after + old - mean)
        mean = after
    state[at + _PLACE] = place
    state[at + _SUM] = mean
    state[at + _SPREAD] = spread
    return mean, math.sqrt(max(spread, 0.0) / window)


@inlined_kernel
def smoothed(state: State, at: int, span: float, value: float, is_first: bool) -> float:
    """Exponential average of weight 2 ÷ (span + 1), beginning at the first value."""
    before = value if is_first else float(state[at])
    after = before + 2.0 / (span + 1.0) * (value - before)
    state[at] = after
    return after


@inlined_kernel
def relative_strength(state: State, at: int, window: float, value: float, changes: float) -> float:
    """Wilder's RSI, 0 to 100, after as many `changes` before this value; 50 where nothing has moved.

    State: last value, average gain, average loss. The first `window` changes weigh alike, as Wilder began.
    """
    change = value - float(state[at]) if changes > 0.0 else 0.0
    weight = 1.0 / min(max(changes, 1.0), window)
    gain = float(state[at + 1]) + weight * (max(change, 0.0) - float(state[at + 1]))
    loss = float(state[at + 2]) + weight * (max(-change, 0.0) - float(state[at + 2]))
    state[at] = value
    state[at + 1] = gain
    state[at + 2] = loss
    total = gain + loss
    return 100.0 * gain / total if total > 0.0 else 50.0


@inlined_kernel
def highest(state: State, at: int) -> float:
    """The largest value in the queue at `at`, which is not empty; for the lowest, negate every value."""
    return float(state[at + _PAIRS + 2 * int(state[at + _FIRST]) + 1])


@inlined_kernel
def push_highest(state: State, at: int, window: int, number: float, value: float) -> None:
    """Add the value of bar `number` to a queue that knows the largest of the last `window` bars.

    A ring of (number, value), oldest first, values falling: what is smaller than a newer one can never be the largest
    again, so every value enters and leaves once.
    """
    first, count = int(state[at + _FIRST]), int(state[at + _COUNT])
    pairs = at + _PAIRS
    if count > 0 and float(state[pairs + 2 * first]) <= number - window:
        first = first + 1 if first + 1 < window else 0
        count -= 1
    end = first + count if first + count < window else first + count - window
    while count > 0:
        newest = end - 1 if end > 0 else window - 1
        if float(state[pairs + 2 * newest + 1]) > value:
            break
        end = newest
        count -= 1
    state[pairs + 2 * end] = number
    state[pairs + 2 * end + 1] = value
    state[at + _FIRST] = first
    state[at + _COUNT] = count + 1


@inlined_kernel
def _ring_sum(state: State, at: int, window: int) -> float:
    total = 0.0
    for i in range(window):
        total += float(state[at + _RING + i])
    return total
