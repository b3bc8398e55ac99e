"""What an action means: a target exposure in [-1, 1] itself, or one of three levels."""

import numpy as np

KINDS = ("box", "discrete")
LEVELS = np.array([-1.0, 0.0, 1.0])  # discrete actions: 0 short, 1 flat, 2 long


def exposure_of(action: float, kind: str) -> float:
    """Target exposure of one action as a policy gives it; ValueError where the action space does not hold it."""
    if kind == "box":
        if not -1.0 <= action <= 1.0:
            raise ValueError(f"action {action} is not a number in [-1, 1]")
        return action
    if kind != "discrete":
        raise ValueError(f"actions {kind!r} must be one of {', '.join(KINDS)}")
    if action not in (0.0, 1.0, 2.0):
        raise ValueError(f"action {action} is not one of 0, 1, 2")
    return float(LEVELS[int(action)])
