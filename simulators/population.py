"""Who trades in a crowd: the parameters of every class of trader, and of the value they disagree about.

Numbers only. The classes are NamedTuples, because the same facts travel through compiled kernels. Sizes are in units
of the asset, distances in ticks, rates per trader and market step, lives and horizons in market steps. Each time unit
has a population of its own. Knows nothing of kernels or of Mesa.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, Self

from ..market.orders import Instrument


@dataclass(frozen=True, slots=True)
class Unit:
    """One time unit of the crowd: how long a market step is, and how many make a bar."""

    interval: str
    step_ms: int
    steps_per_bar: int


UNITS = {"1m": Unit("1m", 1_000, 60)}


class Value(NamedTuple):
    """The fundamental: a geometric random walk whose volatility, and everyone's activity, follow one log-OU factor."""

    price: float = 30_000.0
    sd_per_step: float = 5.5e-5  # at factor 1
    factor_sd: float = 0.666  # stationary sd of the log factor
    factor_half_life: float = 2_931.0
    activity_exponent: float = 0.895  # activity = factor ** this


class Noise(NamedTuple):
    """Traders without a view, who split metaorders of one sign into Pareto many children."""

    traders: int = 34
    rate: float = 0.0060
    limit_share: float = 0.828
    distance: float = 4.58  # median, × (0.3 + factor)
    distance_sd: float = 1.2  # of its logarithm
    size: float = 0.2  # × Pareto
    size_exponent: float = 1.5
    size_cap: float = 40.0
    children_exponent: float = 1.5
    children_cap: float = 500.0
    life: float = 165.0  # mean, exponential


class Fundamental(NamedTuple):
    """Traders who see the value with an error, and take where the price is wrong by more than a threshold."""

    traders: int = 11
    rate: float = 0.0322
    error_sd: float = 2.7e-4  # of log value
    threshold: float = 1.81e-4  # of log price
    size: float = 0.3
    size_cap: float = 6.0  # × size, reached at as many thresholds of mispricing
    distance: float = 4.58
    distance_sd: float = 1.2
    life: float = 165.0


class Chartist(NamedTuple):
    """Traders who compare the price with an earlier one: with the trend (lean +1) or against it (lean −1)."""

    traders: int = 10
    rate: float = 0.0040
    lean: float = 1.0
    limit_share: float = 0.0
    threshold: float = 1e-3  # of log price; below it a chartist sees no trend
    horizon_low: float = 30.0  # each trader has its own horizon, log-uniform between the two
    horizon_high: float = 6_428.0
    size: float = 0.3
    size_cap: float = 6.0  # × size, reached at as many thresholds of trend
    distance: float = 4.58
    distance_sd: float = 1.2
    life: float = 165.0


class Makers(NamedTuple):
    """Market makers: both sides, several levels, leaning against inventory, silent on one side at its limit."""

    traders: int = 2
    every: int = 5  # steps between refreshes, staggered
    quote_levels: int = 4
    half_spread: float = 3.38  # ticks × (0.5 + factor)
    size: float = 4.39  # at the first level; level k quotes k times that
    inventory_limit: float = 44.5
    skew: float = 1.0  # half-spreads by which a full inventory shifts the quotes
    shrink: float = 1.0  # sizes ÷ factor ** this, where the factor is above 1


class Executor(NamedTuple):
    """One large trader who works a storm at market, as a share of all volume; asleep unless a storm wakes it."""

    traders: int = 1
    size_cap: float = 50.0  # of one order


@dataclass(frozen=True, slots=True)
class Population:
    """The whole crowd at one time unit."""

    unit: Unit = UNITS["1m"]
    instrument: Instrument = field(default_factory=lambda: Instrument("CROWD", "crowd", tick=1.0, lot=0.001))
    value: Value = Value()
    noise: Noise = Noise()
    fundamental: Fundamental = Fundamental()
    trend: Chartist = Chartist()
    contrarian: Chartist = Chartist(rate=0.0273, lean=-1.0, limit_share=0.9)
    makers: Makers = Makers()
    executor: Executor = Executor()

    def __post_init__(self) -> None:
        for name in ("value", "noise", "fundamental", "trend", "contrarian", "makers", "executor"):
            object.__setattr__(self, name, _checked(name, getattr(self, name)))


def population(interval: str) -> Population:
    """The calibrated crowd of one time unit."""
    if interval not in UNITS:
        raise ValueError(f"the crowd has no interval {interval!r}, it trades at {', '.join(UNITS)}")
    return Population(UNITS[interval])


class _Part(Protocol):
    def _asdict(self) -> dict[str, float]: ...

    def _replace(self, **values: float) -> Self: ...


def _checked(cohort: str, part: _Part) -> _Part:
    """The same numbers with the declared types: an int where a float is meant would make another kernel."""
    values = {}
    for name, value in part._asdict().items():
        if not math.isfinite(value) or (value < 0 and name != "lean"):
            raise ValueError(f"{cohort}.{name} is {value}, it must be a finite number of 0 or more")
        values[name] = type(part).__annotations__[name](value)
    return part._replace(**values)
