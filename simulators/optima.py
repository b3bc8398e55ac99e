"""Right answers: what the best policy earns, or pays, where that can be computed.

Three of them: the growth of whoever foresees every return (a dynamic programme over positions), the best rule on a
mean-reverting price (value iteration over deviation and position), and the best way to sell a parent order (Almgren
and Chriss 2000, in closed form). Costs are linear in what is traded. Knows no trainer and no environment.
"""

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .processes import MeanReversion

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SIDES = (-1.0, 0.0, 1.0)  # with linear costs nothing between fully short, flat and fully long is ever better
REACH = 5.0  # stationary deviations that the grid of value iteration spans on either side
CELLS = 161  # of that grid; doubling it moves the rate by less than one part in a thousand
SWEEPS = 20_000
RATE_TOLERANCE = 1e-10  # a bar


@dataclass(frozen=True, eq=False)
class Foresight:
    """`growth` (n,) log growth of n accounts over T bars; `plan` (n, T) the target held through each bar."""

    growth: Floats
    plan: Floats


def foresight(returns: ArrayLike, cost: float, levels: ArrayLike = SIDES) -> Foresight:
    """The most that simple `returns` (n, T) allow an account that begins flat and pays `cost` a unit traded.

    Held through bar t is a target share of equity out of `levels`; the account grows by log(1 + target × return −
    cost × change of target). Ends as it likes, at no cost.
    """
    steps, targets = np.atleast_2d(np.asarray(returns, np.float64)), np.asarray(levels, np.float64)
    _check_cost(cost)
    if 0.0 not in targets:
        raise ValueError(f"levels {targets.tolist()} hold no 0, where an account begins")
    count, bars = steps.shape
    toll = cost * np.abs(targets[:, None] - targets[None, :])  # [to, from]
    best = np.where(targets == 0.0, 0.0, -np.inf) * np.ones((count, 1))
    came_from = np.empty((bars, count, len(targets)), np.int8 if len(targets) < 128 else np.int64)
    for t in range(bars):
        grown = np.log1p(targets[:, None] * steps[:, t, None, None] - toll)
        ways = best[:, None, :] + grown
        came_from[t] = ways.argmax(axis=2)
        best = ways.max(axis=2)
    plan, at = np.empty((count, bars)), best.argmax(axis=1)
    for t in range(bars - 1, -1, -1):
        plan[:, t] = targets[at]
        at = came_from[t, np.arange(count), at]
    return Foresight(best.max(axis=1), plan)


@dataclass(frozen=True, eq=False)
class ReversionRule:
    """The best target for a deviation (in stationary standard deviations) and a position, and what it earns.

    `cells` (k,) deviations, `levels` (m,) positions, `choice` (k, m) the index of the target, `rate` the log growth a
    bar in the long run.
    """

    cells: Floats
    levels: Floats
    choice: Ints
    rate: float

    def targets(self, deviation: ArrayLike, position: ArrayLike) -> Floats:
        """Target exposures (n,) at deviations (n,) with positions (n,); each is taken to the nearest known one."""
        rows = _nearest(self.cells, np.asarray(deviation, np.float64))
        columns = _nearest(self.levels, np.asarray(position, np.float64))
        found: Floats = self.levels[self.choice[rows, columns]]
        return found


def reversion_rule(
    law: MeanReversion, cost: float, levels: ArrayLike = SIDES, cells: int = CELLS, reach: float = REACH
) -> ReversionRule:
    """Solve the mean-reverting market for the highest long-run growth, by relative value iteration.

    The deviation lives on a grid of `cells`; its next place has the exact normal law, summed over each cell.
    """
    _check_cost(cost)
    grid, targets = np.linspace(-reach, reach, cells), np.asarray(levels, np.float64)
    moves = _transition(grid, law.keep)
    returns = np.expm1(law.stationary_sd * (grid[None, :] - grid[:, None]))
    reward = np.empty((cells, len(targets), len(targets)))  # [deviation, from, to]
    for k, target in enumerate(targets):
        for j, held in enumerate(targets):
            grown = np.log1p(np.maximum(target * returns - cost * abs(target - held), -0.99))
            reward[:, j, k] = (moves * grown).sum(axis=1)
    value = np.zeros((cells, len(targets)))
    for _ in range(SWEEPS):
        ways = reward + (moves @ value)[:, None, :]
        step = ways.max(axis=2) - value
        if np.ptp(step) < RATE_TOLERANCE:
            return ReversionRule(grid, targets, ways.argmax(axis=2), float(step.mean()))
        value = value + step - step[cells // 2, 0]
    raise ValueError(f"value iteration has not settled after {SWEEPS} sweeps: half-life {law.half_life_bars} bars")


@dataclass(frozen=True, slots=True)
class ParentOrder:
    """An order for one unit, to be sold in equal `slices` of a horizon of length 1.

    Selling n in a slice of length τ costs `impact` × n² / τ; what is left then runs the risk of a price with standard
    deviation `sigma` over the horizon. The seller minds `risk_aversion` × variance as much as cost.
    """

    slices: int = 20
    impact: float = 1.0
    sigma: float = 1.0
    risk_aversion: float = 9.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"parent order: {field.name} {value} must be above 0")
        if self.slices < 2:
            raise ValueError(f"parent order: slices {self.slices} must be 2 or more")

    @property
    def urgency(self) -> float:
        """κτ of Almgren and Chriss: 2 cosh κτ = 2 + λσ²τ² / η."""
        return math.acosh(1.0 + 0.5 * self.risk_aversion * self.sigma**2 / (self.impact * self.slices**2))

    def slice_cost(self, sold: ArrayLike, left: ArrayLike) -> Floats:
        """What one slice adds to the objective, expected cost + risk aversion × variance."""
        impact = self.impact * self.slices * np.square(np.asarray(sold, np.float64))
        risk = self.risk_aversion * self.sigma**2 / self.slices * np.square(np.asarray(left, np.float64))
        return np.asarray(impact + risk, np.float64)

    def objective(self, left: ArrayLike) -> float:
        """Expected cost + risk aversion × variance of a schedule: `left` (slices + 1,) runs from 1 to 0."""
        path = np.asarray(left, np.float64)
        if path.shape != (self.slices + 1,) or path[0] != 1.0 or path[-1] != 0.0:
            raise ValueError(f"a schedule of {self.slices} slices has {self.slices + 1} points from 1 to 0")
        return float(self.slice_cost(-np.diff(path), path[1:]).sum())


def best_schedule(order: ParentOrder) -> Floats:
    """What is left after 0 … `slices` slices of the best way to sell: sinh κ(T − t) / sinh κT."""
    to_go = order.urgency * np.arange(order.slices, -1, -1)
    return np.asarray(np.sinh(to_go) / np.sinh(to_go[0]), np.float64)


def even_schedule(order: ParentOrder) -> Floats:
    """The same for equal slices, TWAP."""
    return np.arange(order.slices, -1, -1) / order.slices


def _transition(grid: Floats, keep: float) -> Floats:
    """(k, k) probabilities that an AR(1) of unit variance goes from one cell to another; the outer cells are open."""
    spread = math.sqrt(1.0 - keep * keep)
    edges = 0.5 * (grid[1:] + grid[:-1])
    scores = (edges[None, :] - keep * grid[:, None]) / (spread * math.sqrt(2.0))
    below = 0.5 * (1.0 + np.array([[math.erf(score) for score in row] for row in scores]))
    whole = np.hstack([np.zeros((len(grid), 1)), below, np.ones((len(grid), 1))])
    return np.asarray(np.diff(whole, axis=1), np.float64)


def _nearest(known: Floats, wanted: Floats) -> Ints:
    edges = 0.5 * (known[1:] + known[:-1])
    return np.searchsorted(edges, wanted).astype(np.int64)


def _check_cost(cost: float) -> None:
    if not 0.0 <= cost < 0.5:
        raise ValueError(f"cost {cost} a unit traded must lie in [0, 0.5)")
