"""Rewards as a named sum of parts, each a scalar function of the account before and after one bar."""

import math

import numpy as np
from numpy.typing import NDArray

from ..market.jit import inlined_kernel
from ..market.ledger import Account

PARTS = ("log_growth", "cost", "turnover", "drawdown")
N_PARTS = len(PARTS)
RUIN_SHARE = 1e-4  # growth is floored where this share is left, so that ruin costs 9.2 and not infinity


def reward_weights(weights: dict[str, float]) -> NDArray[np.float64]:
    """(4,) float64: the weight of each part; raises ValueError on an unknown one."""
    for name, weight in weights.items():
        if name not in PARTS:
            raise ValueError(f"there is no reward part {name!r}; known are {', '.join(PARTS)}")
        if not math.isfinite(weight):
            raise ValueError(f"reward part {name} has weight {weight}")
    if not any(weights.values()):
        raise ValueError("a reward needs at least one part with a weight")
    return np.array([weights.get(name, 0.0) for name in PARTS], np.float64)


@inlined_kernel
def reward_parts(before: Account, after: Account) -> tuple[float, float, float, float]:
    """Parts in the order of `PARTS`: log growth; minus fees and funding paid, minus turnover (shares of the equity
    before); minus the growth of the drawdown."""
    equity = before.equity
    if equity <= 0.0:
        return 0.0, 0.0, 0.0, 0.0
    growth = math.log(max(after.equity / equity, RUIN_SHARE))
    cost = -(after.fees - before.fees + after.funding - before.funding) / equity
    turnover = -(after.turnover - before.turnover) / equity
    fallen = max(1.0 - after.equity / after.peak, 0.0) - max(1.0 - equity / before.peak, 0.0)
    return growth, cost, turnover, -max(fallen, 0.0)
