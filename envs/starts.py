"""Where episodes begin: a start among the rows of all segments, drawn by seed and episode number alone.

Counter-based, so that scalar and batch, any thread count and any order of resets draw the same. Knows no prices.
"""

import numpy as np
from numpy.typing import NDArray

from ..market.draws import below
from ..market.jit import inlined_kernel
from .tape import FIRST, GAP, STOP

Ints = NDArray[np.int64]


def signed(seed: int) -> int:
    """The 64 bits of a seed as an int64."""
    seed &= 0xFFFFFFFFFFFFFFFF
    return seed - (1 << 64) if seed >= 1 << 63 else seed


def check_start(start: int, segments: Ints, what: str) -> None:
    """Raise ValueError where no episode can begin at that row; `what` a row is called."""
    for first, stop, _ in segments:
        if first <= start < stop - 1:
            return
    ranges = ", ".join(f"{first}…{stop - 2}" for first, stop, _ in segments[:3])
    raise ValueError(f"an episode cannot start at {what} {start}; {what}s {ranges} can be observed and traded")


@inlined_kernel
def stretch_of(
    start: int, segments: Ints, length: int, random_start: int, stream: int, episode: int
) -> tuple[int, int, int]:
    """First row, last row, and whether a long gap ends the episode that begins at `start`; -1: at the rule's choice.

    `length` 0 walks to the end of the segment.
    """
    segment = 0
    if start >= 0:
        for s in range(len(segments)):
            if segments[s, FIRST] <= start:
                segment = s
    elif random_start != 0:
        total = 0
        for s in range(len(segments)):
            total += _room(segments, s, length)
        place = below(total, stream, episode, 0)
        while place >= _room(segments, segment, length):
            place -= _room(segments, segment, length)
            segment += 1
        start = int(segments[segment, FIRST]) + place
    else:
        start = int(segments[0, FIRST])
    last = int(segments[segment, STOP]) - 1
    until = last if length == 0 else min(start + length, last)
    return start, until, 1 if until == last and segments[segment, GAP] != 0 else 0


@inlined_kernel
def _room(segments: Ints, s: int, length: int) -> int:
    """Rows of a segment at which an episode may start: with room for its whole length where there is such room."""
    steps = int(segments[s, STOP]) - 1 - int(segments[s, FIRST])
    if length == 0:
        return steps
    return max(steps - length + 1, 1)
