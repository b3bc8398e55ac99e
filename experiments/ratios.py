"""Ratios and shape of a track's returns: growth, volatility, Sharpe and its kin, omega, VWR, tails.

Returns are simple returns a bar; `per_year` is how many bars a year has, and the riskless rate is 0. What a sample
cannot carry is 0, never NaN. Knows no policy; whether a ratio is luck is asked in `statistics`.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LARGEST_ANNUAL = 1e6  # a few lucky bars, annualised, say nothing; and infinity is not a figure
LOSSLESS = 1e6  # a ratio of gains to losses where nothing was lost
LEAST_SPREAD = 1e-12  # below it a spread is rounding
ROLLING_SPREAD = 1e-8  # what differences of running sums leave of no spread at all
VWR_TAU, VWR_MOST = 2.0, 0.20  # how fast variability counts, and how much of it is worth nothing

Floats = NDArray[np.float64]


class Shape(NamedTuple):
    """Population moments of returns: mean and deviation a bar, skew, and kurtosis in excess of the normal one."""

    mean: float
    deviation: float
    skew: float
    excess: float


def annual_return(total: float, years: float) -> float:
    """(1 + total)^(1 / years) − 1, from −1 to LARGEST_ANNUAL."""
    if total <= -1.0:
        return -1.0
    growth = math.log1p(total) / years
    return math.expm1(growth) if growth < math.log1p(LARGEST_ANNUAL) else LARGEST_ANNUAL


def ratio(above: float, below: float) -> float:
    """above ÷ below, 0 where `below` is rounding."""
    return above / below if below > LEAST_SPREAD else 0.0


def gain_to_loss(gains: float, losses: float) -> float:
    """gains ÷ losses, both positive amounts; LOSSLESS where nothing was lost, 0 where nothing happened.

    No larger than LOSSLESS either: a loss of a rounding error is none.
    """
    if gains <= 0.0:
        return 0.0
    return min(gains / losses, LOSSLESS) if losses > 0.0 else LOSSLESS


def volatility(returns: Floats) -> float:
    """Sample deviation of the returns, a bar; times √per_year it is the annual one."""
    return float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0


def sharpe(returns: Floats, per_year: float) -> float:
    """mean ÷ sample deviation × √per_year."""
    return ratio(float(np.mean(returns)), volatility(returns)) * math.sqrt(per_year)


def sortino(returns: Floats, per_year: float) -> float:
    """mean ÷ √(mean of min(r, 0)²) × √per_year: every bar counts in the divisor, gains as 0."""
    downside = math.sqrt(float(np.mean(np.square(np.minimum(returns, 0.0)))))
    return ratio(float(np.mean(returns)), downside) * math.sqrt(per_year)


def omega(returns: Floats) -> float:
    """Sum of the gains ÷ sum of the losses, bar by bar (Keating and Shadwick 2002, threshold 0)."""
    return gain_to_loss(float(np.sum(np.maximum(returns, 0.0))), float(-np.sum(np.minimum(returns, 0.0))))


def tail_ratio(returns: Floats) -> float:
    """|95th percentile| ÷ |5th percentile| of the returns: above 1, the good tail is the longer."""
    high, low = np.abs(np.quantile(returns, [0.95, 0.05]))
    return ratio(float(high), float(low))


def rolling_sharpe(returns: Floats, per_year: float, window: int) -> Floats:
    """(n − window + 1,) float64: `sharpe` of each stretch of `window` returns, 0 where that has no spread."""
    if not 2 <= window <= len(returns):
        raise ValueError(f"a rolling window of {window} bars does not fit {len(returns)} returns; 2 is the least")
    middle = float(np.mean(returns))
    centred = returns - middle  # so that differences of running sums keep their digits
    sums = _moving_sum(centred, window) / window
    variance = np.maximum(_moving_sum(centred * centred, window) - window * sums * sums, 0.0) / (window - 1)
    spread = np.sqrt(variance)
    found = np.divide(sums + middle, spread, out=np.zeros_like(spread), where=spread > ROLLING_SPREAD)
    return found * math.sqrt(per_year)


def growth_leverage(returns: Floats) -> float:
    """mean ÷ variance a bar: by how much holdings times this would have grown fastest (Kelly, small returns)."""
    spread = volatility(returns)
    return float(np.mean(returns)) / (spread * spread) if spread > LEAST_SPREAD else 0.0


def vwr(equity: Floats, per_year: float, *, tau: float = VWR_TAU, sdev_max: float = VWR_MOST) -> float:
    """Variability-weighted return, a share a year: R × (1 − (σ ÷ sdev_max)^tau), and 0 where σ > sdev_max.

    R is the annual return and σ the sample deviation of Eᵢ ÷ E'ᵢ − 1, i = 1 … T: how far equity strays from E'ᵢ =
    E₀·e^(r·i), steady growth to the same end. After crystalbull.com's "Sharpe ratio better with log returns", which
    backtrader quotes; its own analyzer measures every bar from the bar before it instead of from E₀, has the two
    defaults swapped, sets no bound to σ (a loss that strays far enough comes out positive), and tells per cent.
    """
    if sdev_max <= 0.0 or tau <= 0.0:
        raise ValueError(f"VWR with tau {tau} and sdev_max {sdev_max}: both must be above 0")
    bars = len(equity) - 1
    if bars < 2 or np.min(equity) <= 0.0:
        return 0.0
    growth = math.log(float(equity[-1] / equity[0])) / bars
    steady = equity[0] * np.exp(growth * np.arange(1, bars + 1))
    spread = float(np.std(equity[1:] / steady - 1.0, ddof=1))
    annual = annual_return(math.expm1(growth * bars), bars / per_year)
    return annual * max(0.0, 1.0 - math.pow(spread / sdev_max, tau)) + 0.0  # no −0


def shape_of(returns: Floats) -> Shape:
    """Population moments (1/n); skew and excess are 0 where there is no spread."""
    mean = float(np.mean(returns))
    centred = returns - mean
    square = centred * centred
    variance = float(np.mean(square))
    if variance <= LEAST_SPREAD * LEAST_SPREAD:
        return Shape(mean, 0.0, 0.0, 0.0)
    skew = float(np.mean(square * centred)) / variance**1.5
    return Shape(mean, math.sqrt(variance), skew, float(np.mean(square * square)) / variance**2 - 3.0)


def _moving_sum(values: Floats, window: int) -> Floats:
    run = np.concatenate([[0.0], np.cumsum(values)])
    moved: Floats = run[window:] - run[:-window]
    return moved
