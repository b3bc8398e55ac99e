"""The slow plain twin of a portfolio's account, from DESIGN's "Portfolio", "Gaps" and "one bar in order", in exact
rational money.

Written apart from `wavetank.market`: no import of its arithmetic. Volatilities and volumes come in as floats;
everything after that but a square root is a Fraction, so a difference is the product's rounding and nothing else.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction as F

from wavetank.market.bars import Bars
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument

from .twin import ACTIVE, HALTED, REDUCING, bps, exact

FRESH, STALE, ABSENT = "fresh", "stale", "absent"
DAY = 86_400_000


def whole_lots(amount: F) -> int:
    """Toward zero; an exact multiple keeps its last lot, though floats miss it by a hair."""
    nearest = round(amount)
    if abs(amount - nearest) <= F(1, 10**12) * max(abs(amount), F(1)):
        return nearest
    return math.floor(amount) if amount >= 0 else math.ceil(amount)


@dataclass
class PlainAsset:
    """One asset: its bars, its venue's rules, and what the account holds of it."""

    bars: Bars
    instrument: Instrument
    costs: Costs
    warm_up: int
    conditions: list[tuple[float, float]]
    rates: dict[int, F]  # funding due in the bar that opened then
    lots: int = 0
    entry: F = F(0)
    idle: int = 0
    mark: F = F(0)
    known: tuple[float, float] = (0.0, 0.0)  # volatility and volume at the last mark
    places: dict[int, str] = field(default_factory=dict)  # presence, once it has been worked out

    def __post_init__(self) -> None:
        self.lot, self.times = exact(self.instrument.lot), self.bars.opened_at.tolist()
        self.runs = [1]  # bars since the last long gap
        for before, now in zip(self.times, self.times[1:], strict=False):
            self.runs.append(self.runs[-1] + 1 if now - before <= 4 * self.bars.interval_ms else 1)

    def presence(self, at: int) -> str:
        if at not in self.places:
            self.places[at] = self._presence(at)
        return self.places[at]

    def _presence(self, at: int) -> str:
        last = bisect_right(self.times, at) - 1
        if last < 0 or self.runs[last] < self.warm_up:
            return ABSENT
        missing = (at - self.times[last]) // self.bars.interval_ms
        return FRESH if missing == 0 else STALE if missing <= 3 else ABSENT

    def row(self, at: int) -> int:
        return bisect_right(self.times, at) - 1

    def price(self, name: str, at: int) -> F:
        """Of the bar at that instant; without one, the last mark."""
        return F(float(getattr(self.bars, name)[self.row(at)])) if self.presence(at) == FRESH else self.mark

    def value(self, price: F | None = None) -> F:
        return self.lots * self.lot * (self.mark if price is None else price)


@dataclass
class PlainPortfolio:
    """One cash, many assets; `flows` lists what came (+) and went (−) in the last bar, changes of value included."""

    assets: list[PlainAsset]
    limits: Limits
    leverage: F
    cash: F
    dead_band: float = 0.02
    state: int = ACTIVE
    fees: F = F(0)
    funding: F = F(0)
    borrow: F = F(0)
    turnover: F = F(0)
    trades: int = 0
    liquidated: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    flows: list[F] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.equity = self.peak = self.day_equity = self.cash

    @property
    def dead(self) -> bool:
        return bool(self.liquidated) or self.equity <= 0

    def open(self, at: int) -> None:
        """The first closes that are seen."""
        for asset in self.assets:
            self._look(asset, at)

    def order(self, targets: list[float], at: int) -> list[int]:
        """The desk's orders at the closes of `at`, before the limits."""
        here = [asset.presence(at) for asset in self.assets]
        asked = sum((abs(F(target)) for target, place in zip(targets, here, strict=True) if place != ABSENT), F(0))
        orders = []
        for target, place, asset in zip(targets, here, self.assets, strict=True):
            if place != FRESH or self.equity <= 0:
                orders.append(0)
                continue
            allowed = self.leverage * self.equity
            wanted = whole_lots(F(target) / max(asked, F(1)) * allowed / asset.mark / asset.lot) - asset.lots
            notional = abs(wanted) * asset.lot * asset.mark
            small = notional < exact(asset.instrument.min_notional) or notional < exact(self.dead_band) * allowed
            orders.append(0 if small else wanted)
        return orders

    def let_through(self, orders: list[int], at: int) -> list[int]:
        """What the limits leave of them: room goes to reductions first, then by index."""
        if self.limits.mode == "off":
            return orders
        let, values = list(orders), [abs(asset.value()) for asset in self.assets]
        for k in self._turns(orders):
            asset = self.assets[k]
            if asset.presence(at) == FRESH:
                let[k] = self._let_one(orders[k], asset, sum(values) - values[k])
                values[k] = abs(asset.lots + let[k]) * asset.lot * asset.mark
        return let

    def _let_one(self, order: int, asset: PlainAsset, others: F) -> int:
        if self.state == HALTED:
            return -asset.lots
        sign = 1 if order > 0 else -1
        held, size = sign * asset.lots, abs(order)
        if self.state == REDUCING or self._lost_today() or self._fallen():
            return sign * min(size, max(-held, 0))
        unit = self.leverage * max(self.equity, F(0)) / asset.mark / asset.lot
        room = max(exact(self.limits.max_exposure) * unit - others / asset.mark / asset.lot, F(0))
        size = min(size, whole_lots(exact(self.limits.max_order) * unit))
        return sign * max(min(size, whole_lots(room) - held), 0)

    def bar(self, orders: list[int], at: int, last_at: int) -> list[int]:
        """Live through one row; lots filled of each order."""
        self.flows, before = [], sum((asset.value() for asset in self.assets), F(0))
        if at // DAY != last_at // DAY:  # 1
            self.day_equity = self.equity
            self.state = ACTIVE if self.state == REDUCING else self.state
        filled = [0] * len(orders)
        for k, asset in enumerate(self.assets):
            if asset.lots and asset.presence(at) == ABSENT:
                self.left.append(k)
                self._taker(asset, -asset.lots, asset.mark, exact(asset.costs.gap_multiple))
        for k in self._turns(orders):  # 2
            asset = self.assets[k]
            if asset.presence(at) == FRESH:
                most = whole_lots(exact(asset.costs.participation) * F(asset.known[1]) / asset.lot)
                filled[k] = max(-most, min(orders[k], most))
                if filled[k]:
                    self._taker(asset, filled[k], asset.price("open", at), F(1))
        self._pay(at)  # 3
        self._liquidate(at)  # 5
        for asset in self.assets:
            self._look(asset, at)
            asset.idle += 1
        self._value()  # 6, 7
        self.flows.append(sum((asset.value() for asset in self.assets), F(0)) - before)
        return filled

    def close_for_gap(self) -> None:
        """The data of all assets ends here in a long gap."""
        held = [asset for asset in self.assets if asset.lots]
        before = sum((asset.value() for asset in held), F(0))
        for asset in held:
            self._taker(asset, -asset.lots, asset.mark, exact(asset.costs.gap_multiple))
            asset.idle = 1
        if held:
            self._value()
            self.flows.append(-before)

    def worth(self, at: int) -> tuple[F, F]:
        """Worth and maintenance margin, every position at its own worst price."""
        worth, margin = self.cash, F(0)
        for asset in self.assets:
            worst = asset.price("low" if asset.lots > 0 else "high", at)
            worth += asset.value(worst)
            margin += exact(asset.instrument.maintenance) * abs(asset.value(worst))
        return worth, margin

    def _turns(self, orders: list[int]) -> list[int]:
        smaller = [abs(asset.lots + order) < abs(asset.lots) for asset, order in zip(self.assets, orders, strict=True)]
        return sorted(range(len(orders)), key=lambda k: not smaller[k])

    def _pay(self, at: int) -> None:
        sold, held = F(0), [asset for asset in self.assets if asset.lots]
        for asset in held:
            price = asset.price("open", at)
            paid = asset.value(price) * (asset.rates.get(at, F(0)) if asset.presence(at) == FRESH else F(0))
            self.funding += paid
            self._flow(-paid)
            sold += max(-asset.value(price), F(0))
        rate = bps(self.assets[0].costs.borrow_bps_per_day) * F(self.assets[0].bars.interval_ms, DAY)
        if held and rate:
            paid = rate * (sold + max(sold - self.cash, F(0)))
            self.borrow += paid
            self._flow(-paid)

    def _liquidate(self, at: int) -> None:
        while True:
            worth, margin = self.worth(at)
            open_now = [asset for asset in self.assets if asset.lots and asset.presence(at) == FRESH]
            if worth >= margin or not open_now:
                return

            def asks(asset: PlainAsset) -> F:
                worst = asset.price("low" if asset.lots > 0 else "high", at)
                return exact(asset.instrument.maintenance) * abs(asset.value(worst))

            largest = max(open_now, key=asks)  # of equals the first
            worst = largest.price("low" if largest.lots > 0 else "high", at)
            rest = worth - largest.value(worst)
            nothing_left = -rest / (largest.lots * largest.lot)
            price = max(worst, nothing_left) if largest.lots > 0 else max(min(worst, nothing_left), F(0))
            left = max(rest + largest.value(price), F(0))
            fee = min(exact(largest.instrument.liquidation_fee) * abs(largest.value(price)), left)
            self.liquidated.append(self.assets.index(largest))
            self._trade(largest, -largest.lots, price, fee)

    def _taker(self, asset: PlainAsset, lots: int, reference: F, multiple: F) -> None:
        sigma, volume = asset.known
        share = math.sqrt(abs(lots) * float(asset.lot) / volume) if volume > 0 else 0.0
        cost = multiple * (bps(asset.costs.half_spread_bps) + F(asset.costs.impact_y * sigma * share))
        price = reference * (1 + cost) if lots > 0 else reference * max(1 - cost, F(0))
        fee = multiple * abs(lots) * asset.lot * price * bps(asset.costs.taker_fee_bps)
        self._trade(asset, lots, price, fee)

    def _trade(self, asset: PlainAsset, lots: int, price: F, fee: F) -> None:
        after = asset.lots + lots
        if asset.lots * lots >= 0:
            asset.entry = (asset.entry * abs(asset.lots) + price * abs(lots)) / abs(after)
        elif asset.lots * after <= 0:
            asset.entry = price if after else F(0)
        asset.lots, asset.idle = after, 0
        self._flow(-lots * asset.lot * price)
        self._flow(-fee)
        self.fees += fee
        self.turnover += abs(lots) * asset.lot * price
        self.trades += 1

    def _look(self, asset: PlainAsset, at: int) -> None:
        if asset.presence(at) == FRESH:
            row = asset.row(at)
            asset.mark, asset.known = F(float(asset.bars.close[row])), asset.conditions[row]

    def _value(self) -> None:
        self.equity = self.cash + sum((asset.value() for asset in self.assets), F(0))
        self.peak = max(self.peak, self.equity)
        if self.limits.mode == "live":
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
