"""Three columns as the first policies learnt them: their sums are made anew each bar, in an order that has to stay.

A spec that has trained a policy is never edited, and another order of addition is another last bit. Newer specs take
`realised_…`, `realised_ratio_…` and `surge_…` of `envs/indicators.py`, which cost the same for every window.
"""

import math

from ..market.jit import inlined_kernel
from .rings import RING_HEAD, State, push


@inlined_kernel
def volatility(ring: State, step: float) -> float:
    """Root mean square of the ring's one-bar log returns."""
    push(ring, step)
    return math.sqrt(_mean_square(ring, len(ring) - RING_HEAD))


@inlined_kernel
def volatility_ratio(ring: State, step: float) -> float:
    """log of the last 10 bars' volatility over that of the ring, between -5 and 5."""
    push(ring, step)
    long = _mean_square(ring, len(ring) - RING_HEAD)
    short = _mean_square(ring, 10)
    if long <= 0.0 or short <= 0.0:
        return 0.0
    return min(max(0.5 * math.log(short / long), -5.0), 5.0)


@inlined_kernel
def volume_surge(ring: State, volume: float) -> float:
    """log of (1 + volume / mean) / 2 with the ring's mean volume."""
    push(ring, volume)
    total = 0.0
    count = int(ring[0])
    for i in range(count):
        total += float(ring[RING_HEAD + i])
    mean = total / count
    return math.log((1.0 + volume / mean) / 2.0) if mean > 0.0 else 0.0


@inlined_kernel
def _mean_square(ring: State, newest: int) -> float:
    size = len(ring) - RING_HEAD
    count = min(newest, int(ring[0]))
    at = int(ring[1])
    total = 0.0
    for _ in range(count):
        at = at - 1 if at > 0 else size - 1
        value = float(ring[RING_HEAD + at])
        total += value * value
    return total / count if count > 0 else 0.0
