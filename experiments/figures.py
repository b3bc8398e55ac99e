"""The figures of a track: returns, risk, turnover and cost, each by a formula that fits on paper.

Knows arrays, not policies; whether a figure is luck is asked in `statistics`.
"""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..market.bars import DAY_MS

YEAR_MS = 365 * DAY_MS  # markets that never close
LARGEST_ANNUAL = 1e6  # a few lucky bars, annualised, say nothing; and infinity is not a figure
METRICS = (
    "total_return",
    "annual_return",
    "sharpe",
    "sortino",
    "max_drawdown",
    "calmar",
    "turnover_per_day",
    "cost_share",
    "exposure_mean",
    "trades",
    "bars",
    "final_equity",
)

Floats = NDArray[np.float64]


class Walked(Protocol):
    """What figures need of a track; see `evaluate.Track` for the meaning of its columns."""

    @property
    def interval_ms(self) -> int: ...
    @property
    def returns(self) -> Floats: ...
    @property
    def equity(self) -> Floats: ...
    @property
    def exposure(self) -> Floats: ...
    @property
    def fees(self) -> Floats: ...
    @property
    def funding(self) -> Floats: ...
    @property
    def turnover(self) -> Floats: ...
    @property
    def trades(self) -> NDArray[np.int64]: ...


def metrics_of(track: Walked) -> dict[str, float]:
    """Figures of a track. Ratios are annualised over 365 days and 0 where they are not defined (no spread, no loss).

    `max_drawdown` is positive; `turnover_per_day` in multiples of equity; `cost_share` fees and funding paid as a
    share of the first equity (spread and impact are inside the prices); `exposure_mean` of the absolute exposure.
    """
    returns, equity = track.returns, track.equity
    per_year = YEAR_MS / track.interval_ms
    years = len(returns) / per_year
    total = float(equity[-1] / equity[0] - 1.0)
    annual, drawdown = _annual(total, years), max_drawdown(equity)
    traded = np.diff(track.turnover) / np.maximum(equity[:-1], 1e-9)
    cost = (track.fees[-1] - track.fees[0] + track.funding[-1] - track.funding[0]) / equity[0]
    downside = math.sqrt(float(np.mean(np.square(np.minimum(returns, 0.0)))))
    spread = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    mean = float(np.mean(returns))
    return {
        "total_return": total,
        "annual_return": annual,
        "sharpe": _ratio(mean, spread) * math.sqrt(per_year),
        "sortino": _ratio(mean, downside) * math.sqrt(per_year),
        "max_drawdown": drawdown,
        "calmar": _ratio(annual, drawdown),
        "turnover_per_day": float(np.sum(traded)) / (years * 365.0),
        "cost_share": float(cost),
        "exposure_mean": float(np.mean(np.abs(track.exposure))),
        "trades": float(track.trades[-1] - track.trades[0]),
        "bars": float(len(returns)),
        "final_equity": float(equity[-1]),
    }


def max_drawdown(equity: Floats) -> float:
    """Deepest fall from a peak, as a positive share of that peak."""
    return float(np.max(1.0 - equity / np.maximum.accumulate(equity)))


def _annual(total: float, years: float) -> float:
    if total <= -1.0:
        return -1.0
    growth = math.log1p(total) / years
    return math.expm1(growth) if growth < math.log1p(LARGEST_ANNUAL) else LARGEST_ANNUAL


def _ratio(mean: float, spread: float) -> float:
    return mean / spread if spread > 1e-12 else 0.0
