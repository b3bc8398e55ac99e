"""What an action means: a target exposure in [-1, 1] itself ("box"), or one of n levels ("discrete:n").

Levels are evenly spaced from short to long: "discrete" is "discrete:3", 0 short, 1 flat, 2 long.
"""

import re
from functools import cache

import numpy as np
from numpy.typing import NDArray

BOX = "box"
LEAST_LEVELS, MOST_LEVELS = 2, 201
_DISCRETE = re.compile(r"discrete(?::(\d+))?")


@cache
def levels_of(kind: str) -> NDArray[np.float64] | None:
    """(n,) float64: the target exposure of each discrete action; None for "box". ValueError on any other word."""
    if kind == BOX:
        return None
    found = _DISCRETE.fullmatch(kind)
    count = int(found.group(1) or 3) if found else 0
    if not LEAST_LEVELS <= count <= MOST_LEVELS:
        raise ValueError(
            f"actions {kind!r} must be box, discrete, or discrete:n with n from {LEAST_LEVELS} to {MOST_LEVELS}"
        )
    levels = np.linspace(-1.0, 1.0, count)
    levels.flags.writeable = False
    return levels


def exposure_of(action: float, kind: str) -> float:
    """Target exposure of one action as a policy gives it; ValueError where the action space does not hold it."""
    levels = levels_of(kind)
    if levels is None:
        if not -1.0 <= action <= 1.0:
            raise ValueError(f"action {action} is not a number in [-1, 1]")
        return action
    if not (0.0 <= action < len(levels) and action == int(action)):
        raise ValueError(f"action {action} is not one of 0 … {len(levels) - 1}")
    return float(levels[int(action)])
