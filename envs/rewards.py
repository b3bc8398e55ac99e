"""Rewards as a named sum of parts, each a scalar function of the account before and after one bar.

The parts that stand here are compiled into the walk; a part of a user's own is `own_parts`' business. A part with
weight 0 is watched: summed and told, not rewarded.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..market.addresses import is_own
from ..market.jit import inlined_kernel
from ..market.ledger import Account
from .own_parts import OwnPart, own_part

PARTS = ("log_growth", "cost", "turnover", "drawdown", "downside", "differential_sharpe")
GROWTH, COST, TURNOVER, DRAWDOWN, DOWNSIDE, SHARPE = (1 << k for k in range(len(PARTS)))
ABOUT_PARTS = (
    "log of equity over the equity before",
    "minus fees, funding and borrow paid, as a share of the equity before",
    "minus what was traded, in multiples of the equity before",
    "minus the growth of the fall from the peak",
    "minus the square of a negative log growth",
    "what the bar adds to an exponential Sharpe ratio (Moody and Saffell 2001)",
)
ALWAYS = ("log_growth", "cost", "turnover", "drawdown")  # watched even where they are not named
RUIN_SHARE = 1e-4  # growth is floored where this share is left, so that ruin costs 9.2 and not infinity
SHARPE_DECAY = 0.01  # weight of the newest bar in the moments of the differential Sharpe ratio
LEAST_VARIANCE = 1e-12  # of log growth a bar; below it the ratio has no slope worth telling
N_MOMENTS = 2  # running mean and mean square of log growth

Floats = NDArray[np.float64]


class Rule(NamedTuple):
    """Built-in parts as kernels read them: `watched` (1,) int64, a bit a part, and `weights` (P,) float64."""

    watched: NDArray[np.int64]
    weights: Floats


@dataclass(frozen=True, eq=False)
class Reward:
    """Which parts there are, with which weights; built-in ones first, in the order of `PARTS`."""

    names: tuple[str, ...]
    rule: Rule
    own: tuple[OwnPart, ...] = ()

    @classmethod
    def of(cls, weights: Mapping[str, float] | None = None) -> "Reward":
        """Read the weights by name; ValueError on an unknown part, or where nothing is rewarded."""
        given = dict(weights if weights is not None else {"log_growth": 1.0})
        for name, weight in given.items():
            if name not in PARTS and not is_own(name):
                raise ValueError(
                    f"there is no reward part {name!r}; known are {', '.join(PARTS)}, and your own as my.module:part"
                )
            if not math.isfinite(weight):
                raise ValueError(f"reward part {name} has weight {weight}")
        if not any(given.values()):
            raise ValueError("a reward needs at least one part with a weight")
        built = [name for name in PARTS if name in given or name in ALWAYS]
        own = tuple(own_part(name, weight) for name, weight in given.items() if is_own(name))
        watched = np.array([sum(1 << PARTS.index(name) for name in built)], np.int64)
        rule = Rule(watched, np.array([given.get(name, 0.0) for name in built], np.float64))
        return cls((*built, *(part.name for part in own)), rule, own)

    @property
    def built_in(self) -> int:
        """How many of the parts are built in."""
        return len(self.rule.weights)


@inlined_kernel
def reward_into(
    i: int, before: Account, after: Account, rule: Rule, parts: Floats, sums: Floats, moments: Floats
) -> float:
    """Write the parts of one bar to `parts[i]`, add them to `sums[i]`, move `moments[i]`, return their weighted sum.

    An account that had nothing is given 0 for every part.
    """
    weights, watched = rule.weights, int(rule.watched[0])
    equity = before.equity
    alive = equity > 0.0
    share = 1.0 / equity if alive else 0.0
    growth = log_near_one(max(after.equity / equity, RUIN_SHARE)) if alive else 0.0
    reward, k = 0.0, 0
    if watched & GROWTH:
        reward += _part(i, k, growth, weights, parts, sums)
        k += 1
    if watched & COST:
        paid = after.fees - before.fees + after.funding - before.funding + after.borrow - before.borrow
        reward += _part(i, k, -paid * share, weights, parts, sums)
        k += 1
    if watched & TURNOVER:
        reward += _part(i, k, -(after.turnover - before.turnover) * share, weights, parts, sums)
        k += 1
    if watched & DRAWDOWN:
        fallen = max(1.0 - after.equity / after.peak, 0.0) - max(1.0 - before.equity / before.peak, 0.0)
        reward += _part(i, k, -max(fallen, 0.0) if alive else 0.0, weights, parts, sums)
        k += 1
    if watched & DOWNSIDE:
        loss = min(growth, 0.0)
        reward += _part(i, k, -loss * loss, weights, parts, sums)
        k += 1
    if watched & SHARPE:
        sharpe = _differential_sharpe(i, growth, moments) if alive else 0.0
        reward += _part(i, k, sharpe, weights, parts, sums)
    return reward


@inlined_kernel
def _part(i: int, k: int, value: float, weights: Floats, parts: Floats, sums: Floats) -> float:
    parts[i, k] = value
    sums[i, k] += value
    return float(weights[k]) * value


@inlined_kernel
def log_near_one(ratio: float) -> float:
    """The natural logarithm, for ratios mostly near 1: there by its series in (ratio − 1) / (ratio + 1), inlined."""
    step = ratio - 1.0
    if not -0.1 < step < 0.1:
        return math.log(ratio)
    s = step / (2.0 + step)
    q = s * s
    qq = q * q  # the terms in pairs, which do not wait for each other
    tail = (1.0 / 3.0 + q * (1.0 / 5.0)) + qq * ((1.0 / 7.0 + q * (1.0 / 9.0)) + qq * (1.0 / 11.0 + q * (1.0 / 13.0)))
    return 2.0 * (s + s * q * tail)


@inlined_kernel
def _differential_sharpe(i: int, growth: float, moments: Floats) -> float:
    """(B ΔA − A ΔB / 2) / (B − A²)^1.5, with A and B the running mean and mean square of log growth."""
    mean, square = float(moments[i, 0]), float(moments[i, 1])
    step, step_square = growth - mean, growth * growth - square
    variance = square - mean * mean
    moments[i, 0] = mean + SHARPE_DECAY * step
    moments[i, 1] = square + SHARPE_DECAY * step_square
    if variance <= LEAST_VARIANCE:
        return 0.0
    return (square * step - 0.5 * mean * step_square) / (variance * math.sqrt(variance))
