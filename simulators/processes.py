"""Closed-form markets whose best policy is known: mean reversion, and a random walk where there is none.

Mean reversion: x = log price follows an Ornstein–Uhlenbeck process around m = log `price`, with stationary law
N(m, s²), s = `stationary_sd`, and half-life h bars. From close to close it is an AR(1) with φ = 2^(−1/h): given the
deviation d = x − m at a close, the next log return is normal with mean −(1−φ)·d and variance s²·(1−φ²). So the best
unit position before costs is −sign(d), and since E|d| = s·√(2/π) it earns (1−φ)·s·√(2/π) a bar in log price, which
is `MeanReversion.edge_per_bar`; the return of holding is 0 in the mean. No policy has an edge on the random walk.

Bars are built from finer sub-steps of the exact transition, so that high and low are touched and each bar opens at
the last one's close. Knows nothing of traders: orders do not move these prices.
"""

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ..market.bars import INTERVALS, Bars

Floats = NDArray[np.float64]

OPENED_AT = 1_704_067_200_000  # 2024-01-01 UTC, where nothing else is asked for


@dataclass(frozen=True, slots=True)
class MeanReversion:
    """An OU log price: centre, stationary sd of log price, half-life in bars; volume is independent lognormal."""

    price: float = 30_000.0
    stationary_sd: float = 0.02
    half_life_bars: float = 12.0
    substeps: int = 12
    mean_volume: float = 100.0
    volume_sd: float = 0.5  # of its logarithm

    def __post_init__(self) -> None:
        _positive(self)

    @property
    def keep(self) -> float:
        """φ: the share of a deviation that is left after one bar."""
        return math.exp(-math.log(2.0) / self.half_life_bars)

    @property
    def return_sd(self) -> float:
        """Stationary sd of one bar's log return."""
        return self.stationary_sd * math.sqrt(2.0 * (1.0 - self.keep))

    @property
    def edge_per_bar(self) -> float:
        """Mean log price gained a bar by the unit position −sign(deviation), before costs: the best there is."""
        return (1.0 - self.keep) * self.stationary_sd * math.sqrt(2.0 / math.pi)


@dataclass(frozen=True, slots=True)
class RandomWalk:
    """A Gaussian log price without memory or drift; volume is independent lognormal."""

    price: float = 30_000.0
    return_sd: float = 0.005
    substeps: int = 12
    mean_volume: float = 100.0
    volume_sd: float = 0.5

    def __post_init__(self) -> None:
        _positive(self)


def mean_reversion(
    n_bars: int,
    *,
    rng: np.random.Generator,
    interval: str = "1h",
    opened_at: int = OPENED_AT,
    parameters: MeanReversion | None = None,
) -> Bars:
    """Draw `n_bars` of a mean-reverting market, from its stationary law.

    >>> len(mean_reversion(500, rng=np.random.default_rng(7)))
    500
    """
    law = MeanReversion() if parameters is None else parameters
    _check(n_bars, interval, opened_at)
    keep = math.exp(-math.log(2.0) / (law.half_life_bars * law.substeps))
    shocks = rng.normal(0.0, law.stationary_sd * math.sqrt(1.0 - keep * keep), n_bars * law.substeps)
    deviation = float(rng.normal(0.0, law.stationary_sd))
    path = np.empty(len(shocks) + 1)
    path[0] = deviation
    for i, shock in enumerate(shocks):
        deviation = keep * deviation + float(shock)
        path[i + 1] = deviation
    volume = _volumes(rng, n_bars, law.mean_volume, law.volume_sd)
    return _bars(path, law.price, law.substeps, volume, interval, opened_at, "MEANREV")


def random_walk(
    n_bars: int,
    *,
    rng: np.random.Generator,
    interval: str = "1h",
    opened_at: int = OPENED_AT,
    parameters: RandomWalk | None = None,
) -> Bars:
    """Draw `n_bars` of a market that nobody can foresee."""
    law = RandomWalk() if parameters is None else parameters
    _check(n_bars, interval, opened_at)
    shocks = rng.normal(0.0, law.return_sd / math.sqrt(law.substeps), n_bars * law.substeps)
    path = np.concatenate([[0.0], np.cumsum(shocks)])
    volume = _volumes(rng, n_bars, law.mean_volume, law.volume_sd)
    return _bars(path, law.price, law.substeps, volume, interval, opened_at, "WALK")


def _bars(
    path: Floats, price: float, substeps: int, volume: Floats, interval: str, opened_at: int, symbol: str
) -> Bars:
    """Bars from a path of log deviations that begins with the first bar's open."""
    prices = price * np.exp(path)
    opens, rows = prices[:-1:substeps], prices[1:].reshape(-1, substeps)
    return Bars(
        interval,
        opened_at + INTERVALS[interval] * np.arange(len(rows), dtype=np.int64),
        opens,
        np.maximum(opens, rows.max(axis=1)),
        np.minimum(opens, rows.min(axis=1)),
        rows[:, -1],
        volume,
        symbol=symbol,
    )


def _volumes(rng: np.random.Generator, n_bars: int, mean: float, sd: float) -> Floats:
    return mean * np.exp(sd * rng.normal(size=n_bars) - 0.5 * sd * sd)


def _check(n_bars: int, interval: str, opened_at: int) -> None:
    if n_bars < 1:
        raise ValueError(f"n_bars is {n_bars}, a market has at least 1 bar")
    if interval not in INTERVALS:
        raise ValueError(f"interval {interval!r} is not one of {', '.join(INTERVALS)}")
    if opened_at % INTERVALS[interval]:
        raise ValueError(f"opened_at {opened_at} ms is not on the {interval} grid")


def _positive(law: MeanReversion | RandomWalk) -> None:
    for field in fields(law):
        value = getattr(law, field.name)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{type(law).__name__}.{field.name} is {value}, it must be above 0")
