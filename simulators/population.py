"""Who trades in a crowd: the parameters of every class of trader, and of the value they disagree about.

Numbers only. The classes are NamedTuples, because the same facts travel through compiled kernels. Sizes are in
thousands of lots, distances in ticks, rates per trader and market step, lives, horizons and latencies in market steps.
Each time unit has a population of its own, read from `conf/crowd`. Knows nothing of kernels or of Mesa.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import yaml

from ..market.orders import Instrument

LOT_OF_SIZES = 0.001  # sizes are in units of a thousand lots, whatever a lot is worth
CROWDS = Path(__file__).resolve().parents[1] / "conf" / "crowd"


@dataclass(frozen=True, slots=True)
class Unit:
    """One time unit of the crowd: how long a market step is, and how many make a bar."""

    interval: str
    step_ms: int
    steps_per_bar: int


UNITS = {"1m": Unit("1m", 1_000, 60), "1h": Unit("1h", 60_000, 60)}


class Value(NamedTuple):
    """The fundamental: a geometric random walk whose volatility, and everyone's activity, follow one log-OU factor.

    Attention is the activity that a price move itself brings: 1 + `attention` × the move over the last
    `attention_span` steps, in standard deviations of the calm value, at most `attention_cap`. News are rare jumps.
    """

    price: float = 30_000.0  # at the first step, in ticks
    sd_per_step: float = 5.5e-5  # at factor 1
    factor_sd: float = 0.666  # stationary sd of the log factor
    factor_half_life: float = 2_931.0
    activity_exponent: float = 0.895  # activity = factor ** this
    attention: float = 0.0
    attention_span: float = 300.0
    attention_cap: float = 6.0
    news_rate: float = 0.0  # jumps a step at factor 1; more where the factor is lively, attention aside
    news_sd: float = 0.0  # of one jump, at factor 1


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
    stretch: float = 0.0  # an order k times as far away as the median lives k ** stretch as long, where k is above 1
    latency: int = 1


class Fundamental(NamedTuple):
    """Traders who learn the value from noisy looks, and take where the price is wrong by more than their threshold."""

    traders: int = 11
    rate: float = 0.0322
    error_sd: float = 2.7e-4  # of one look, in log value
    learning: float = 1.0  # share of a look's surprise that enters the belief
    threshold: float = 1.81e-4  # of log price, the keenest trader's …
    threshold_high: float = 1.81e-4  # … and the most patient one's; the others lie evenly between
    power: float = 1.0  # size grows as (mispricing ÷ threshold) ** power
    size: float = 0.3  # × Pareto × what the mispricing is worth
    size_exponent: float = 4.0
    size_cap: float = 6.0  # × size × Pareto
    distance: float = 4.58
    distance_sd: float = 1.2
    life: float = 165.0
    latency: int = 1


class Chartist(NamedTuple):
    """Traders who compare the price with an earlier one: with the trend (lean +1) or against it (lean −1)."""

    traders: int = 10
    rate: float = 0.0040
    lean: float = 1.0
    limit_share: float = 0.0
    threshold: float = 1e-3  # of log price; below it a chartist sees no trend
    horizon_low: float = 30.0  # each trader has its own horizon, log-uniform between the two
    horizon_high: float = 6_428.0
    size: float = 0.3  # × Pareto × what the trend is worth
    size_exponent: float = 4.0
    size_cap: float = 6.0  # × size × Pareto, reached at as many thresholds of trend
    distance: float = 4.58
    distance_sd: float = 1.2
    life: float = 165.0
    latency: int = 1


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
    flow_lean: float = 0.0  # half-spreads by which a one-sided flow of orders shifts the quotes
    flow_span: float = 300.0  # steps over which the flow is counted, by orders and not by size
    flow_usual: float = 30.0  # orders more on one side than on the other that make a flow one-sided
    latency: int = 1


class Readers(NamedTuple):
    """Book readers: they go with the heavier side of the book, as an average over its five best levels tells it."""

    traders: int = 10
    rate: float = 0.005
    half_life: float = 5.0  # of the average imbalance
    threshold: float = 0.3  # of the imbalance, which lies between −1 and 1
    limit_share: float = 0.7
    size: float = 0.1  # × Pareto
    size_exponent: float = 4.0
    distance: float = 1.0  # ticks behind the price
    life: float = 20.0
    latency: int = 1


class Leveraged(NamedTuple):
    """Traders on margin. A position that no longer carries itself is closed out by the venue."""

    traders: int = 30
    rate: float = 0.0002
    long_share: float = 0.6  # of new positions where no trend is seen
    leverage_low: float = 10.0  # each trader has its own, log-uniform between the two
    leverage_high: float = 50.0
    collateral: float = 0.05  # in units of the asset at the first price
    maintenance: float = 0.005  # of the position's worth
    horizon: float = 1_800.0  # of the trend they follow
    threshold: float = 2e-3
    hold: float = 3_600.0  # mean, exponential
    close_share: float = 0.25  # of a position in liquidation, sent each step, at least `close_least`
    close_least: float = 0.05
    fund: float = 2.0  # the insurance fund, in units of the asset at the first price
    back: float = 1_800.0  # steps until somebody takes the place of a trader who was closed out
    latency: int = 1


class Executor(NamedTuple):
    """One large trader who works a storm at market, as a share of all volume or in one shot; asleep without a storm."""

    traders: int = 1
    size_cap: float = 50.0  # of one order of a share
    bar_volume: float = 20.0  # the calm market's median bar volume: shots are multiples of it
    latency: int = 1


class Pumpers(NamedTuple):
    """A pump group: an organiser, who gathers before and sells after, and members, who buy on the signal."""

    traders: int = 21  # the organiser and 20 members
    size: float = 0.3  # of a member's order, × 0.5 … 1.5
    budget: float = 3.0  # of a member, and of the organiser in the rush
    burst: int = 3  # orders that a member sends at once
    slice: float = 0.1  # of what one holds, sold at once, at least `size`
    latency: int = 1


class Followers(NamedTuple):
    """Late followers of a fast rise, who chase it and sell when it breaks or ends."""

    traders: int = 20
    rate: float = 0.1  # at which one who holds looks whether to sell; a storm says how often they look to buy
    horizon: float = 120.0
    threshold: float = 0.02  # of log price
    size: float = 0.2
    stop: float = 0.10  # below the highest price since they bought, in log price
    latency: int = 1


class Spoofer(NamedTuple):
    """A trader who shows large orders that it means to cancel, and trades against those who believe them."""

    traders: int = 1
    cycle: int = 60  # steps from one show to the next
    first_level: int = 3  # of the book, counted from 1
    layers: int = 3
    size: float = 8.0  # of a layer, in multiples of what a level near the touch holds
    size_cap: float = 40.0  # of a layer, in units of the asset
    life: int = 12  # steps that a show lasts
    real: float = 0.5  # the most that is held of either side, in units of the asset
    behind: int = 2  # ticks behind the touch where the order that is meant lies
    evasive: float = 0.3  # × size: a layer of the evasive spoofer …
    disguise: float = 0.1  # … and of the quotes on its other side
    stagger: int = 3  # steps over which the evasive one's orders arrive
    latency: int = 1


class _Part(Protocol):
    def _asdict(self) -> dict[str, float]: ...

    def _replace(self, **values: float) -> Self: ...


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
    readers: Readers = Readers()
    leveraged: Leveraged = Leveraged()
    executor: Executor = Executor()
    pumpers: Pumpers = Pumpers()
    followers: Followers = Followers()
    spoofer: Spoofer = Spoofer()

    def __post_init__(self) -> None:
        for name in PARTS:
            object.__setattr__(self, name, _checked(name, getattr(self, name)))


COHORTS = (
    "noise",
    "fundamental",
    "trend",
    "contrarian",
    "makers",
    "readers",
    "leveraged",
    "executor",
    "pumpers",
    "followers",
    "spoofer",
)
PARTS = ("value", *COHORTS)


def population(crowd: str | Path) -> Population:
    """The calibrated crowd of a time unit ("1m", "1h"), or one read from a YAML file of one's own."""
    path = Path(crowd) if str(crowd).endswith((".yaml", ".yml")) else CROWDS / f"{crowd}.yaml"
    if path.parent == CROWDS and crowd not in UNITS:
        raise ValueError(f"the crowd has no interval {str(crowd)!r}, it trades at {', '.join(UNITS)}")
    if not path.is_file():
        raise ValueError(f"there is no parameter file {path}")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"parameter file {path.name} is not YAML: {' '.join(str(error).split())}") from error
    return parse_population(data, path.name)


def parse_population(data: Any, name: str) -> Population:
    """Build a crowd from parsed YAML: `interval`, and a mapping of numbers a part; what is left out has its default."""
    if not isinstance(data, dict) or data.get("interval") not in UNITS:
        told = data.get("interval") if isinstance(data, dict) else data
        raise ValueError(f"parameter file {name}: interval {told!r} is not one of {', '.join(UNITS)}")
    parts = {}
    for part, numbers in data.items():
        if part == "interval":
            continue
        if part not in PARTS:
            raise ValueError(f"parameter file {name}: there is no part {part!r}, there are {', '.join(PARTS)}")
        parts[part] = _filled(f"parameter file {name}, {part}", getattr(DEFAULTS, part), numbers)
    return Population(UNITS[data["interval"]], **parts)


def described(crowd: Population) -> dict[str, Any]:
    """The crowd as plain data, the inverse of `parse_population`."""
    return {"interval": crowd.unit.interval} | {part: dict(getattr(crowd, part)._asdict()) for part in PARTS}


def _filled(place: str, part: _Part, numbers: Any) -> Any:
    if not isinstance(numbers, dict):
        raise ValueError(f"{place} is {numbers!r}, it must be a mapping of numbers")
    known = part._asdict()
    for key, value in numbers.items():
        if key not in known:
            raise ValueError(f"{place} has unknown key {key!r}, its keys are {', '.join(known)}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{place}: {key} is {value!r}, it must be a number")
    return part._replace(**numbers)


def _checked(cohort: str, part: _Part) -> _Part:
    """The same numbers with the declared types: an int where a float is meant would make another kernel."""
    values = {}
    for name, value in part._asdict().items():
        if not math.isfinite(value) or (value < 0 and name != "lean"):
            raise ValueError(f"{cohort}.{name} is {value}, it must be a finite number of 0 or more")
        if name == "latency" and value < 1:
            raise ValueError(f"{cohort}.latency is {value}, an order travels at least 1 market step")
        values[name] = type(part).__annotations__[name](value)
    return part._replace(**values)


DEFAULTS = Population()
