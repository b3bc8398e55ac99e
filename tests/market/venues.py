"""Bar-level venues in a known state, for tests by hand: 1,000 in cash, a price of 100, lots and ticks of 1."""

from wavetank.market.bars import Bar
from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.exchange import BarExchange
from wavetank.market.ledger import open_account
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument, Order

from .handmade import HOUR, MIDNIGHT, flat_bar

FREE = Costs(taker_fee_bps=0, maker_fee_bps=0, half_spread_bps=0, impact_y=0, participation=1.0, funding_bps_per_8h=0)
MARGIN = Instrument(lot=1.0, tick=1.0, max_leverage=9.0, maintenance=0.1, liquidation_fee=0.02)
ONE = MIDNIGHT + HOUR  # a bar without a funding stamp and without a day roll before it


def a_venue(costs: Costs = FREE, limits: Limits | None = None, instrument: Instrument = MARGIN) -> BarExchange:
    """A venue that has seen one bar at 100 (volume 1,000, no volatility) and holds 1,000 in cash."""
    venue = BarExchange(terms_of(instrument, costs, limits or Limits()), HOUR, 1_000.0, costs.funding_bps_per_8h)
    venue.warm(flat_bar(100.0))
    venue.account = open_account(1_000.0)
    return venue


def a_bar(at: int, open_: float, high: float, low: float, close: float, volume: float = 1_000.0) -> Bar:
    return Bar(at, float(open_), float(high), float(low), float(close), volume)


def a_holder(lots: int, **terms: object) -> BarExchange:
    """A venue that bought or sold `lots` at 100 in the bar at 01:00; its next bar is the one at 02:00."""
    venue = a_venue(**terms)  # type: ignore[arg-type]
    venue.submit(Order(lots))
    venue.on_bar(flat_bar(100.0, ONE))
    assert venue.account.lots == lots
    return venue
