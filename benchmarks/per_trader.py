"""The calm crowd once more, one Python `mesa.Agent` a trader: what the cohorts are measured against.

The same classes with the same rates, sizes and distances, each trader deciding for itself in plain Python and numpy
scalars and trading through the calls that a user's own trader has. Draws differ, so the tape does; the flow is the
same in rate and kind. Built for `benchmarks/crowd.py`, and an example of traders of one's own.
"""

import math
from dataclasses import replace
from typing import Any

import mesa

from wavetank.simulators import matching
from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.population import Population


class Trader(mesa.Agent):  # type: ignore[misc]  # mesa ships no types
    """One trader with an account, who acts at a rate a step."""

    def __init__(self, model: CrowdMarket, name: str, rules: Any) -> None:
        super().__init__(model)
        self.rules, self.owner = rules, model.add_trader(name)
        self.ending: dict[int, list[int]] = {}

    def step(self) -> None:
        """Withdraw what has lived its life, and act now and then."""
        for order_id in self.ending.pop(self.model.steps, ()):
            self.model.cancel(self.owner, order_id)
        if self.random.random() < self.rules.rate * self.model.activity:
            self.act()

    def act(self) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not say how it trades")

    def take(self, side: int, size: float) -> None:
        lots = int(size / self.model.lot)
        if lots:
            self.model.submit_market(self.owner, side * lots)

    def rest(self, side: int, size: float, behind: float) -> None:
        lots, ticks = int(size / self.model.lot), int(self.model.mid_ticks - side * behind)
        if lots:
            order_id = self.model.submit_limit(self.owner, side * lots, ticks, kind=matching.POST_SLIDE)
            end = self.model.steps + max(1, int(self.random.expovariate(1.0 / self.rules.life)))
            self.ending.setdefault(end, []).append(order_id)

    def distance(self) -> float:
        return float(self.rules.distance * 1.3 * self.random.lognormvariate(0.0, self.rules.distance_sd))


class NoiseTrader(Trader):
    """A metaorder at a time."""

    left, side = 0, 1

    def act(self) -> None:
        if self.left < 1:
            self.side = self.random.choice((-1, 1))
            self.left = int(min(self.rules.children_cap, self.random.paretovariate(self.rules.children_exponent)))
        self.left -= 1
        size = min(self.rules.size_cap, self.rules.size * self.random.paretovariate(self.rules.size_exponent))
        if self.random.random() < self.rules.limit_share:
            self.rest(self.side, size, self.distance())
        else:
            self.take(self.side, size)


class FundamentalTrader(Trader):
    """Takes towards the value where the price is far from it."""

    def act(self) -> None:
        gap = math.log(self.model.value / self.model.tick / self.model.mid_ticks) + self.random.gauss(
            0.0, self.rules.error_sd
        )
        strength, side = abs(gap) / self.rules.threshold, 1 if gap > 0 else -1
        if strength > 1.0:
            self.take(side, self.rules.size * min(self.rules.size_cap, strength**self.rules.power))
        else:
            self.rest(side, self.rules.size, self.distance())


class ChartTrader(Trader):
    """Follows or fades the move since it last looked."""

    seen = 0.0

    def act(self) -> None:
        now = math.log(self.model.mid_ticks)
        trend, self.seen = now - (self.seen or now), now
        strength, side = abs(trend) / self.rules.threshold, 1 if trend * self.rules.lean > 0 else -1
        size = self.rules.size * min(self.rules.size_cap, max(1.0, strength))
        if self.random.random() < self.rules.limit_share:
            self.rest(side, size, self.distance())
        elif strength > 1.0:
            self.take(side, size)


class Maker(Trader):
    """Replaces its quotes every few steps."""

    def __init__(self, model: CrowdMarket, name: str, rules: Any) -> None:
        super().__init__(model, name, rules)
        self.quotes: list[int] = []

    def step(self) -> None:
        if self.model.steps % self.rules.every:
            return
        for order_id in self.quotes:
            self.model.cancel(self.owner, order_id)
        self.quotes.clear()
        half, mid = self.rules.half_spread * 1.5, self.model.mid_ticks
        held = self.model.position(self.owner) * self.model.lot / self.rules.inventory_limit
        for side in (1, -1):
            for level in range(1, self.rules.quote_levels + 1):
                lots = int(self.rules.size * level / self.model.lot)
                ticks = int(mid - (held * self.rules.skew + side * level) * half)
                kind = matching.POST_SLIDE
                self.quotes.append(self.model.submit_limit(self.owner, side * lots, ticks, kind=kind))


class Reader(Trader):
    """Goes with the heavier side of the book."""

    def act(self) -> None:
        bids, asks = (int(side[:, 1].sum()) for side in self.model.depth(5))
        lean = (bids - asks) / max(1, bids + asks)
        if abs(lean) > self.rules.threshold:
            side = 1 if lean > 0 else -1
            if self.random.random() < self.rules.limit_share:
                self.rest(side, self.rules.size, self.rules.distance)
            else:
                self.take(side, self.rules.size)


class MarginTrader(Trader):
    """Opens with leverage, holds for a while, and is closed out where its equity no longer carries the position."""

    cash, left = 0.0, 0

    def step(self) -> None:
        held = self.model.position(self.owner)
        if held == 0:
            super().step()
            return
        self.left -= 1
        worth = held * self.model.mid_ticks
        equity = self.cash + self.model.cash(self.owner) + worth
        if self.left <= 0 or equity < self.rules.maintenance * abs(worth):
            self.model.submit_market(self.owner, -held)
            self.left = 10  # the order is on its way

    def act(self) -> None:
        leverage = self.random.uniform(self.rules.leverage_low, self.rules.leverage_high)
        self.left = int(self.random.expovariate(1.0 / self.rules.hold))
        self.cash = self.rules.collateral / self.model.lot * self.model.mid_ticks - self.model.cash(self.owner)
        self.take(1 if self.random.random() < self.rules.long_share else -1, self.rules.collateral * leverage)


TRADERS: dict[str, type[Trader]] = {
    "noise": NoiseTrader,
    "fundamental": FundamentalTrader,
    "trend": ChartTrader,
    "contrarian": ChartTrader,
    "makers": Maker,
    "readers": Reader,
    "leveraged": MarginTrader,
}


def per_trader_market(crowd: Population, rng: int) -> CrowdMarket:
    """A market whose built-in cohorts are asleep, with one agent a trader of the calm classes."""
    asleep = crowd
    for name in TRADERS:
        part = getattr(crowd, name)
        asleep = replace(asleep, **{name: part._replace(size=0.0) if name == "makers" else part._replace(rate=0.0)})
    market = CrowdMarket(crowd=asleep, rng=rng, outsiders=sum(getattr(crowd, name).traders for name in TRADERS))
    for name, kind in TRADERS.items():
        rules = getattr(crowd, name)
        for i in range(rules.traders):
            kind(market, f"{name} {i}", rules)
    return market
