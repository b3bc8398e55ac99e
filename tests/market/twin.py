"""The slow plain twin of the venue and its ledger, from DESIGN's "one bar in order", in exact rational money.

Written apart from `wavetank.market`: no import of its arithmetic. Square roots and volatilities come in as floats;
everything after that is a Fraction, so a difference is the product's rounding and nothing else.
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction as F
from itertools import pairwise

from wavetank.market.bars import Bar
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument

ACTIVE, REDUCING, HALTED = 0, 1, 2


def exact(number: float) -> F:
    """A configured number as it was typed: 0.001 is one thousandth."""
    return F(repr(float(number)))


def bps(number: float) -> F:
    return exact(number) / 10_000


def toward_zero(amount: F) -> int:
    return math.floor(amount) if amount >= 0 else math.ceil(amount)


@dataclass
class PlainVenue:
    """One account at one venue; `flows` lists every amount that came (+) or went (−), the last mark included."""

    instrument: Instrument
    costs: Costs
    limits: Limits
    cash: F
    lots: int = 0
    state: int = ACTIVE
    fees: F = F(0)
    funding: F = F(0)
    turnover: F = F(0)
    idle: int = 0
    trades: int = 0
    dead: bool = False
    flows: list[F] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.opened_with = self.equity = self.peak = self.day_equity = self.cash
        self.lot = exact(self.instrument.lot)
        self.leverage = exact(self.instrument.max_leverage)

    def bar(self, order: int, bar: Bar, last_opened_at: int, sigma: float, volume: float, rate: F) -> int:
        """Live through one bar with one market order; lots filled at the open."""
        if _day(bar.opened_at) != _day(last_opened_at):  # 1
            self.day_equity = self.equity
            if self.state == REDUCING:
                self.state = ACTIVE
        filled = self._open(order, F(bar.open), sigma, volume)  # 2
        paid = self.lots * self.lot * F(bar.open) * rate  # 3
        self.funding += paid
        self._flow(-paid)
        self._liquidate(bar)  # 5
        self._mark(F(bar.close))  # 6
        self._latch()  # 7
        return filled

    def close_for_gap(self, close: float, sigma: float, volume: float) -> None:
        if self.lots:
            self._taker(-self.lots, F(close), sigma, volume, exact(self.costs.gap_multiple))
            self._mark(F(close))
            self._latch()

    def order(self, target: float, close: float, dead_band: float) -> int:
        """The desk's order for a target exposure, before the limits."""
        if self.equity <= 0:
            return 0
        allowed = self.leverage * self.equity
        wanted = toward_zero(F(target) * allowed / F(close) / self.lot) - self.lots
        notional = abs(wanted) * self.lot * F(close)
        small = notional < exact(self.instrument.min_notional) or notional < exact(dead_band) * allowed
        return 0 if small else wanted

    def let_through(self, order: int, close: float) -> int:
        """What the limits leave of an order."""
        if self.limits.mode == "off":
            return order
        if self.state == HALTED:
            return -self.lots
        bad = self.state == REDUCING or self._lost_today() or self._fallen()
        unit = self.leverage * max(self.equity, F(0)) / F(close) / self.lot
        cap = 0 if bad else toward_zero(exact(self.limits.max_exposure) * unit)
        most = abs(order) if bad else toward_zero(exact(self.limits.max_order) * unit)
        sign = 1 if order > 0 else -1
        size, held = min(abs(order), most), sign * self.lots  # seen from the order's side
        if bad:
            return sign * min(size, max(-held, 0))
        return sign * max(min(size, cap - held), 0)

    def _open(self, order: int, open_: F, sigma: float, volume: float) -> int:
        most = toward_zero(exact(self.costs.participation) * F(volume) / self.lot)
        filled = max(-most, min(order, most))
        if filled:
            self._taker(filled, open_, sigma, volume, F(1))
        return filled

    def _taker(self, lots: int, reference: F, sigma: float, volume: float, multiple: F) -> None:
        share = math.sqrt(abs(lots) * float(self.lot) / volume) if volume > 0 else 0.0
        cost = multiple * (bps(self.costs.half_spread_bps) + F(self.costs.impact_y * sigma * share))
        price = reference * (1 + cost) if lots > 0 else reference * max(1 - cost, F(0))
        amount = abs(lots) * self.lot * price
        self._trade(lots, price, multiple * amount * bps(self.costs.taker_fee_bps))

    def _trade(self, lots: int, price: F, fee: F) -> None:
        self.lots += lots
        self._flow(-lots * self.lot * price)
        self._flow(-fee)
        self.fees += fee
        self.turnover += abs(lots) * self.lot * price
        self.trades += 1
        self.idle = 0

    def _liquidate(self, bar: Bar) -> None:
        if not self.lots:
            return
        worst = F(bar.low) if self.lots > 0 else F(bar.high)
        held = abs(self.lots) * self.lot
        if self.cash + self.lots * self.lot * worst >= exact(self.instrument.maintenance) * held * worst:
            return
        nothing_left = -self.cash / (self.lots * self.lot)
        price = max(worst, nothing_left) if self.lots > 0 else min(worst, nothing_left)
        left = max(self.cash + self.lots * self.lot * price, F(0))
        self._trade(-self.lots, price, min(exact(self.instrument.liquidation_fee) * held * price, left))
        self.dead = True

    def _mark(self, close: F) -> None:
        self.equity = self.cash + self.lots * self.lot * close
        self.peak = max(self.peak, self.equity)
        self.idle += 1
        self.dead = self.dead or self.equity <= 0

    def _latch(self) -> None:
        if self.limits.mode != "live":
            return
        if self._fallen():
            self.state = HALTED
        elif self.state == ACTIVE and self._lost_today():
            self.state = REDUCING

    def _lost_today(self) -> bool:
        return self.equity <= self.day_equity * (1 - exact(self.limits.daily_loss))

    def _fallen(self) -> bool:
        return self.equity <= self.peak * (1 - exact(self.limits.drawdown))

    def _flow(self, amount: F) -> None:
        self.cash += amount
        self.flows.append(amount)


def _day(opened_at: int) -> str:
    return datetime.fromtimestamp(opened_at / 1000, UTC).date().isoformat()


def assumed_rate(opened_at: int, interval_ms: int, bps_per_8h: float) -> F:
    """Funding due in [open, open + interval), by walking the bar minute by minute."""
    stamps = sum(
        1
        for at in range(opened_at, opened_at + interval_ms, 60_000)
        if (moment := datetime.fromtimestamp(at / 1000, UTC)).hour % 8 == 0 and moment.minute == 0
    )
    return stamps * bps(bps_per_8h)


def plain_conditions(bars: list[Bar]) -> tuple[float, float]:
    """Volatility and volume per bar after a stretch of bars: exponential averages of weight 1/32."""
    first = bars[0]
    variance = math.log(first.high / first.low) ** 2 / (4 * math.log(2))
    volume = first.volume
    for before, bar in pairwise(bars):
        variance = 31 / 32 * variance + math.log(bar.close / before.close) ** 2 / 32
        volume = 31 / 32 * volume + bar.volume / 32
    return math.sqrt(variance), volume
