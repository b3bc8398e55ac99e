"""Windows that slide over a stream: the last values, and their sum, highest, lowest or mean, for one step a bar.

A window of W is cut into blocks of W values. The block that is full is turned, back to front, into what its last
1, 2, … W values come to; each new value takes the place of the one that leaves. What the window comes to is the rest
of the old block and the beginning of the new: every value is added once and none is ever taken away, so nothing drifts
and nothing that left the window is left in it (van Herk 1992; Gil and Werman 1993). Knows arrays, no bars.

State is a slice of float64, zeros at the start: a head, and W cells.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ..market.jit import inlined_kernel

State = NDArray[np.float64]

RING_HEAD = 2  # how many values it holds, where the next one goes
BLOCK_HEAD = 3  # where the next value goes, what the new block comes to so far, whether there is an old block
MOMENTS_HEAD = 4  # the same, with mean and sum of squared differences of the new block


def ring_size(window: int) -> int:
    """Floats of a plain ring of the last `window` values."""
    return RING_HEAD + window


def block_size(window: int) -> int:
    """Floats of a sliding sum, highest or lowest."""
    return BLOCK_HEAD + window


def moments_size(window: int) -> int:
    """Floats of a sliding mean and variance."""
    return MOMENTS_HEAD + 2 * window


@inlined_kernel
def push(ring: State, value: float) -> None:
    """Put a value into a plain ring."""
    at = int(ring[1])
    ring[RING_HEAD + at] = value
    at += 1
    if at == len(ring) - RING_HEAD:
        at = 0
    ring[1] = at
    if ring[0] < len(ring) - RING_HEAD:
        ring[0] += 1.0


@inlined_kernel
def oldest(ring: State) -> float:
    """The value that has been longest in a plain ring."""
    if ring[0] < len(ring) - RING_HEAD:
        return float(ring[RING_HEAD])
    return float(ring[RING_HEAD + int(ring[1])])


@inlined_kernel
def sliding_sum(block: State, value: float) -> float:
    """The sum of the last W values, this one included."""
    at, new = int(block[0]), float(block[1]) + value
    block[BLOCK_HEAD + at] = value
    at += 1
    if at < len(block) - BLOCK_HEAD:
        block[0], block[1] = at, new
        return float(block[BLOCK_HEAD + at]) + new  # an old block that is not there yet is zeros
    last = 0.0
    for i in range(len(block) - 1, BLOCK_HEAD, -1):
        last += float(block[i])
        block[i] = last
    block[0], block[1] = 0.0, 0.0
    return new


@inlined_kernel
def sliding_highest(block: State, value: float) -> float:
    """The highest of the last W values, this one included."""
    at = int(block[0])
    new = value if at == 0 else max(float(block[1]), value)
    block[BLOCK_HEAD + at] = value
    at += 1
    if at < len(block) - BLOCK_HEAD:
        block[0], block[1] = at, new
        return max(float(block[BLOCK_HEAD + at]), new) if block[2] > 0.0 else new
    last = -math.inf
    for i in range(len(block) - 1, BLOCK_HEAD, -1):
        last = max(float(block[i]), last)
        block[i] = last
    block[0], block[2] = 0.0, 1.0
    return new


@inlined_kernel
def sliding_moments(block: State, value: float) -> tuple[float, float]:
    """Mean of the last W values and the sum of their squared differences from it.

    Blocks are merged as Chan, Golub and LeVeque (1979) do, so a high price with little variance loses no digits.
    """
    window = (len(block) - MOMENTS_HEAD) // 2
    at = int(block[0])
    mean, squares = _with_one_more(float(block[1]), float(block[2]), value, at + 1.0)
    block[MOMENTS_HEAD + at] = value
    at += 1
    if at == window:
        block[0], block[1], block[2], block[3] = 0.0, 0.0, 0.0, 1.0
        _turn_moments(block, window)
        return mean, squares
    block[0], block[1], block[2] = at, mean, squares
    if block[3] == 0.0:
        return mean, squares
    gap = mean - float(block[MOMENTS_HEAD + at])
    share = at / window
    merged = squares + float(block[MOMENTS_HEAD + window + at]) + gap * gap * share * (window - at)
    return float(block[MOMENTS_HEAD + at]) + gap * share, merged


@inlined_kernel
def _turn_moments(block: State, window: int) -> None:
    mean, squares = 0.0, 0.0
    for i in range(window - 1, 0, -1):
        mean, squares = _with_one_more(mean, squares, float(block[MOMENTS_HEAD + i]), float(window - i))
        block[MOMENTS_HEAD + i] = mean
        block[MOMENTS_HEAD + window + i] = squares


@inlined_kernel
def _with_one_more(mean: float, squares: float, value: float, count: float) -> tuple[float, float]:
    """Welford's step (1962): mean and squared differences of `count` values, the last of which is `value`."""
    gap = value - mean
    mean = mean + gap / count
    return mean, squares + gap * (value - mean)
