"""Random draws inside kernels: counter-based streams that give the same numbers compiled, interpreted, stepped or run.

A stream is named by a key (two 32-bit words), a step and a lane, so what one trader draws never depends on how often
another drew: with and without an external trader the crowd draws the same. Knows nothing of traders.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..market.jit import inlined_kernel, kernel

Ints = NDArray[np.int64]

WORD = 0xFFFFFFFF
WEYL = 0x9E3779B9  # 2^32 divided by the golden ratio: steps of a counter that fill the circle evenly
TO_UNIT = 2.0**-32
TWO_PI = 2.0 * math.pi
POISSON_CEILING = 30.0  # arrivals a step: beyond it the market is broken, and exp(-rate) would lose its bits

FIRST, SECOND, COUNT = 0, 1, 2  # a stream's columns: two key words and the draws taken
STREAM_WIDTH = 3


def keys_of(seeds: Sequence[np.random.SeedSequence]) -> Ints:
    """Key words, (n, 2) int64, of one stream a seed sequence."""
    return np.array([seed.generate_state(2, np.uint32) for seed in seeds], np.int64).reshape(-1, 2)


@inlined_kernel
def _mix(word: int) -> int:
    """Scramble 32 bits one to one (Wellons' triple32); products may wrap beyond 64 bits, the low 32 are the same."""
    word ^= word >> 17
    word = (word * 0xED5AD4BB) & WORD
    word ^= word >> 11
    word = (word * 0xAC4C1B51) & WORD
    word ^= word >> 15
    word = (word * 0x31848BAB) & WORD
    return word ^ (word >> 14)


@kernel
def rekey(stream: Ints, keys: Ints, row: int, step: int, lane: int) -> None:
    """Point `stream` at the first draw of (keys[row], step, lane)."""
    first = _mix((int(keys[row, 0]) + int(step) * WEYL) & WORD)
    second = _mix((int(keys[row, 1]) ^ first) & WORD)
    first = _mix((first + int(lane) * WEYL) & WORD)
    stream[FIRST] = first
    stream[SECOND] = _mix((second + first) & WORD)
    stream[COUNT] = 0


@inlined_kernel
def uniform(stream: Ints) -> float:
    """Draw from the open interval (0, 1)."""
    count = int(stream[COUNT]) + 1
    stream[COUNT] = count
    inner = _mix((int(stream[SECOND]) + count * WEYL) & WORD)
    return (_mix(int(stream[FIRST]) ^ inner) + 0.5) * TO_UNIT


@inlined_kernel
def normal(stream: Ints) -> float:
    """Draw a standard normal from two uniforms (Box and Muller)."""
    radius = math.sqrt(-2.0 * math.log(uniform(stream)))
    return radius * math.sin(TWO_PI * uniform(stream))


@inlined_kernel
def pareto(stream: Ints, exponent: float) -> float:
    """Draw from 1 upwards with tail exponent `exponent`, at least 0.1."""
    return math.exp(-math.log(uniform(stream)) / max(exponent, 0.1))


@inlined_kernel
def index_below(stream: Ints, count: int) -> int:
    """Draw one of 0 … count−1, for count ≥ 1."""
    return min(count - 1, int(uniform(stream) * count))


@kernel
def poisson(stream: Ints, rate: float) -> int:
    """Draw a count with mean `rate`, cut at a mean of 30."""
    product, count = uniform(stream), 0
    if product <= 1.0 - rate:  # below exp(-rate) anyhow: most streams of a step end here
        return 0
    left = math.exp(-min(max(rate, 0.0), POISSON_CEILING))
    while product > left:
        count += 1
        product *= uniform(stream)
    return count
