"""The schema of what is traded and what trading costs and may risk: market, costs, limits.

The ranges of instrument, costs and limits are checked by the classes that their `_target_` names.
"""

from dataclasses import dataclass, field

from omegaconf import MISSING

from .ranges import one_of

INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "1d")


@dataclass
class InstrumentSchema:
    """What is traded; see `wavetank.market.orders.Instrument`, which checks the ranges."""

    _target_: str = "wavetank.market.orders.Instrument"
    symbol: str = MISSING
    venue: str = MISSING
    tick: float = MISSING
    lot: float = MISSING
    min_notional: float = MISSING
    max_leverage: float = MISSING
    maintenance: float = MISSING
    liquidation_fee: float = MISSING


@dataclass
class BarsSchema:
    """Which recorded bars and funding rates."""

    path: str | None = MISSING
    funding: str | None = MISSING
    start: str | None = MISSING
    end: str | None = MISSING
    interval: str | None = MISSING

    def __post_init__(self) -> None:
        if self.interval is not None:
            one_of("market.interval", self.interval, INTERVALS)


@dataclass
class MarketSchema(BarsSchema):
    """Recorded bars and funding rates, and the instrument they are of."""

    instrument: InstrumentSchema = field(default_factory=InstrumentSchema)


@dataclass
class CostsSchema:
    """Cost assumptions; see `wavetank.market.costs.Costs`, which checks the ranges."""

    _target_: str = "wavetank.market.costs.Costs"
    taker_fee_bps: float = MISSING
    maker_fee_bps: float = MISSING
    half_spread_bps: float = MISSING
    impact_y: float = MISSING
    participation: float = MISSING
    funding_bps_per_8h: float = MISSING
    gap_multiple: float = MISSING
    borrow_bps_per_day: float = MISSING


@dataclass
class LimitsSchema:
    """Risk limits; see `wavetank.market.limits.Limits`, which checks the ranges."""

    _target_: str = "wavetank.market.limits.Limits"
    mode: str = MISSING
    max_exposure: float = MISSING
    max_order: float = MISSING
    daily_loss: float = MISSING
    drawdown: float = MISSING
    terminate_on_halt: bool = MISSING
