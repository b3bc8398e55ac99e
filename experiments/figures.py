"""The figures of a track: growth, ratios, drawdowns, tails, round trips, use of capital and cost, in one flat dict.

Puts together what `ratios`, `drawdowns`, `tail_risk` and `round_trips` compute; each formula stands there. Knows
arrays, not policies; whether a figure is luck is asked in `statistics`, how it is shown in `figure_groups`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..market.bars import DAY_MS
from .drawdowns import drawdowns_of, underwater
from .ratios import annual_return, growth_leverage, omega, ratio, shape_of, sharpe, sortino, tail_ratio, volatility, vwr
from .round_trips import TRIP_FIGURES, Traded, round_trips_of, trip_figures
from .tail_risk import (
    LEVELS,
    cornish_fisher_cvar,
    cornish_fisher_holds,
    cornish_fisher_var,
    historical_cvar,
    historical_var,
)

YEAR_MS = 365 * DAY_MS  # markets that never close
METRICS = (
    "total_return",
    "annual_return",
    "annual_volatility",
    "profit",
    "final_equity",
    "best_bar",
    "worst_bar",
    "bars",
    "sharpe",
    "sortino",
    "calmar",
    "omega",
    "vwr",
    "growth_leverage",
    "skew",
    "excess_kurtosis",
    "max_drawdown",
    "max_drawdown_money",
    "longest_drawdown_bars",
    "longest_drawdown_days",
    "recovery_bars",
    "recovered",
    "ulcer_index",
    "var_95",
    "var_99",
    "cvar_95",
    "cvar_99",
    "cf_var_95",
    "cf_var_99",
    "cf_cvar_95",
    "cf_cvar_99",
    "cf_holds",
    "tail_ratio",
    *TRIP_FIGURES,
    "trades",
    "turnover_per_day",
    "exposure_mean",
    "exposure_net",
    "exposure_max",
    "time_in_market",
    "fees",
    "funding",
    "borrow",
    "cost_share",
    "cost_of_gross",
)

Floats = NDArray[np.float64]


class Walked(Traded, Protocol):
    """What figures need of a track; see `evaluate.Track` for the meaning of its columns."""

    @property
    def interval_ms(self) -> int: ...
    @property
    def closed_at(self) -> NDArray[np.int64]: ...
    @property
    def returns(self) -> Floats: ...


def metrics_of(track: Walked) -> dict[str, float]:
    """The figures named in `METRICS`, all finite. A year has 365 days; the riskless rate is 0.

    Ratios of returns are annualised by √(bars a year) and 0 where they are not defined (no spread, no loss); ratios
    of gains to losses are `ratios.LOSSLESS` where nothing was lost. Losses (drawdown, VaR, average loss) are positive.
    `profit`, `final_equity`, `max_drawdown_money`, `fees`, `funding`, `borrow` and the trips' money are in quote
    currency; VaR and CVaR are shares of equity over one bar. `recovered` and `cf_holds` are 1 or 0.
    """
    returns = track.returns
    per_year = YEAR_MS / track.interval_ms
    figures = _growth(track, returns, per_year) | _drawdowns(track)
    figures |= {
        "sharpe": sharpe(returns, per_year),
        "sortino": sortino(returns, per_year),
        "calmar": ratio(figures["annual_return"], figures["max_drawdown"]),
        "omega": omega(returns),
        "vwr": vwr(track.equity, per_year),
        "growth_leverage": growth_leverage(returns),
    }
    trips = trip_figures(round_trips_of(track))
    figures |= _tails(returns) | trips | _capital(track, len(returns) / per_year) | _costs(track)
    return {name: figures[name] for name in METRICS}


def mean_figures(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of every figure over several tracks; of a drawdown too, for the worst one grows with their number."""
    return {name: float(np.mean([each[name] for each in figures])) for name in METRICS}


def max_drawdown(equity: Floats) -> float:
    """Deepest fall from a peak, as a positive share of that peak."""
    return float(np.max(underwater(equity)))


def _growth(track: Walked, returns: Floats, per_year: float) -> dict[str, float]:
    equity = track.equity
    total = float(equity[-1] / equity[0] - 1.0)
    return {
        "total_return": total,
        "annual_return": annual_return(total, len(returns) / per_year),
        "annual_volatility": volatility(returns) * math.sqrt(per_year),
        "profit": float(equity[-1] - equity[0]),
        "final_equity": float(equity[-1]),
        "best_bar": float(np.max(returns)),
        "worst_bar": float(np.min(returns)),
        "bars": float(len(returns)),
    }


def _drawdowns(track: Walked) -> dict[str, float]:
    falls = drawdowns_of(track.equity, track.closed_at)
    return {
        "max_drawdown": falls.depth,
        "max_drawdown_money": falls.money,
        "longest_drawdown_bars": float(falls.longest_bars),
        "longest_drawdown_days": falls.longest_days,
        "recovery_bars": float(falls.recovery_bars),
        "recovered": float(falls.is_recovered),
        "ulcer_index": falls.ulcer,
    }


def _tails(returns: Floats) -> dict[str, float]:
    shape = shape_of(returns)
    found = {
        "skew": shape.skew,
        "excess_kurtosis": shape.excess,
        "cf_holds": float(cornish_fisher_holds(shape)),
        "tail_ratio": tail_ratio(returns),
    }
    for level in LEVELS:
        name = f"{level * 100:.0f}"
        found |= {
            f"var_{name}": historical_var(returns, level),
            f"cvar_{name}": historical_cvar(returns, level),
            f"cf_var_{name}": cornish_fisher_var(returns, level),
            f"cf_cvar_{name}": cornish_fisher_cvar(returns, level),
        }
    return found


def _capital(track: Walked, years: float) -> dict[str, float]:
    """Turnover in multiples of equity; exposures as shares of it, over all rows; time in market over all bars."""
    exposure = track.exposure
    traded = np.diff(track.turnover) / np.maximum(track.equity[:-1], 1e-9)
    return {
        "trades": float(track.trades[-1] - track.trades[0]),
        "turnover_per_day": float(np.sum(traded)) / (years * 365.0),
        "exposure_mean": float(np.mean(np.abs(exposure))),
        "exposure_net": float(np.mean(exposure)),
        "exposure_max": float(np.max(np.abs(exposure))),
        "time_in_market": float(np.mean(exposure[1:] != 0.0)),
    }


def _costs(track: Walked) -> dict[str, float]:
    """Fees, funding and borrow paid; as a share of the first equity, and of what would have been earned without them.

    Spread and impact are inside the prices. Where nothing would have been earned, `cost_of_gross` is 0.
    """
    paid = {
        name: float(column[-1] - column[0])
        for name, column in (("fees", track.fees), ("funding", track.funding), ("borrow", track.borrow))
    }
    total = sum(paid.values())
    gross = float(track.equity[-1] - track.equity[0]) + total
    return {
        **paid,
        "cost_share": total / float(track.equity[0]),
        "cost_of_gross": total / gross if gross > 0.0 else 0.0,
    }
