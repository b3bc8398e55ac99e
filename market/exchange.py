"""The bar-level venue: what one bar does to an account with one order at its open.

The seven steps of a bar stand here once, as scalar kernels: the batch environment compiles them, the paper venue runs
them interpreted. Prices come from `costs`, money moves in `ledger`, latches in `limits`. Knows no policy.
"""

from typing import NamedTuple

import numpy as np

from .bars import CROSSED_GAP, DAY_MS, Bar
from .conditions import LAST_CLOSE, STATE_SIZE, update_conditions
from .costs import Funding, assumed_funding, taker_price
from .jit import inlined_kernel
from .ledger import Account, apply_fill, liquidate, mark, open_account, pay_borrow, pay_funding, worth
from .limits import NEARLY, day_roll, update_limits
from .orders import Fill, Kind, Order, Reason, to_lots
from .terms import Terms

TICK_SLACK = 1e-6  # of a tick: 35 ticks of 0.01 are 0.35000000000000003, and a low of 0.35 touches them


class Quote(NamedTuple):
    """What the venue needs of one bar: prices, the funding due in it, whether a UTC day rolled before, its length."""

    open: float
    high: float
    low: float
    close: float
    funding: float
    rolled: float
    days: float


class Resting(NamedTuple):
    """An order that waits for its price; `extreme` is the best price a trailing stop has seen in closed bars."""

    order: Order
    extreme: float


@inlined_kernel
def open_lots(order_lots: int, volume: float, terms: Terms) -> int:
    """Lots of a market order that fill at the open: up to participation × estimated volume; the rest expires."""
    share = terms.participation * volume
    if abs(order_lots) * terms.lot <= NEARLY * share:
        return order_lots  # well inside, which needs no counting of lots
    most = to_lots(share, terms.lot)
    return min(max(order_lots, -most), most)


@inlined_kernel
def begin_bar(
    account: Account, order_lots: int, quote: Quote, sigma: float, volume: float, terms: Terms
) -> tuple[Account, int, float]:
    """Steps 1–3: day roll, the order at the open, funding and borrow. Returns the account, filled lots and price."""
    if quote.rolled > 0.0:
        account = day_roll(account, terms)
    filled = open_lots(order_lots, volume, terms)
    price = 0.0
    if filled != 0:
        price = taker_price(quote.open, filled, sigma, volume, 1.0, terms)
        fee = abs(filled) * terms.lot * price * terms.taker_fee
        account = apply_fill(account, filled, price, fee, terms)
    if account.lots != 0 and quote.funding != 0.0:
        account = pay_funding(account, quote.funding, quote.open, terms)
    if account.lots != 0 and terms.borrow > 0.0:
        value = account.lots * terms.lot * quote.open
        account = pay_borrow(account, -value if value < 0.0 else 0.0, terms.borrow * quote.days)
    return account, filled, price


@inlined_kernel
def end_bar(account: Account, quote: Quote, terms: Terms) -> tuple[Account, int, float]:
    """Steps 5–7: liquidation at the worst price, mark at the close, limits. Returns liquidated lots and price too."""
    lots, price = 0, 0.0
    if account.lots != 0:
        worst = quote.low if account.lots > 0 else quote.high
        held = abs(account.lots) * terms.lot
        if worth(account, worst, terms) < terms.maintenance * held * worst:
            price = _liquidation_price(account, worst, terms)
            lots = -account.lots
            left = worth(account, price, terms)
            fee = min(terms.liquidation_fee * held * price, left if left > 0.0 else 0.0)
            account = liquidate(account, price, fee, terms)
    account = mark(account, quote.close, terms)
    return update_limits(account, terms), lots, price


@inlined_kernel
def _liquidation_price(account: Account, worst: float, terms: Terms) -> float:
    bankruptcy = -account.cash / (account.lots * terms.lot)  # the price at which nothing is left
    if account.lots > 0:
        return max(worst, bankruptcy)
    return max(min(worst, bankruptcy), 0.0)  # nobody is paid to give a short back: what is missing then is a debt


@inlined_kernel
def close_for_gap(account: Account, close: float, sigma: float, volume: float, terms: Terms) -> Account:
    """The data ends in a long gap: close at the last close, at a multiple of the usual cost."""
    if account.lots == 0:
        return account
    lots = -account.lots
    price = taker_price(close, lots, sigma, volume, terms.gap_multiple, terms)
    fee = terms.gap_multiple * abs(lots) * terms.lot * price * terms.taker_fee
    return update_limits(mark(apply_fill(account, lots, price, fee, terms), close, terms), terms)


@inlined_kernel
def resting_price(kind: int, lots: int, trigger: float, quote: Quote, terms: Terms) -> float:
    """Step 4: price at which a resting limit or stop fills inside the bar before costs; 0 where it does not.

    A limit (kind 1) fills at its price once the market has traded through it by one tick; a stop, trailing or not, at
    the worse of its trigger and the open.
    """
    slack = TICK_SLACK * terms.tick
    if kind == 1:
        step = terms.tick - slack
        through = quote.low <= trigger - step if lots > 0 else quote.high >= trigger + step
        return trigger if through else 0.0
    if lots > 0:
        return max(quote.open, trigger) if quote.high >= trigger - slack else 0.0
    return min(quote.open, trigger) if quote.low <= trigger + slack else 0.0


class BarExchange:
    """The venue as an object: one account, bars in, fills out. Used on paper and in tests; holds no clock.

    `submit` before `on_bar`: a market order lives for one bar (one at a time), limits and stops rest until they fill
    or are cancelled. A trailing stop follows the extremes of bars that have closed: what came first inside a bar is
    not known. Volatility and volume are estimated from the bars it has seen, and used from the next bar on.
    `funding` is the instrument's series; without one the constant is charged.
    """

    def __init__(
        self,
        terms: Terms,
        interval_ms: int,
        cash: float = 100_000.0,
        funding_bps_per_8h: float = 1.0,
        funding: Funding | None = None,
    ) -> None:
        self.terms = terms
        self.interval_ms = interval_ms
        self.funding_bps_per_8h = funding_bps_per_8h
        self.funding = funding
        self.account = open_account(cash)
        self.resting: list[Resting] = []
        self.market_order: Order | None = None
        self.last_opened_at = -1
        self.conditions = np.zeros(STATE_SIZE)
        self.sigma, self.volume = 0.0, 0.0
        self.seen = 0  # bars since the last long gap

    def submit(self, order: Order) -> None:
        """Take an order for the next bar; ValueError on 0 lots, on a second market order, on a price below 1 tick."""
        if order.lots == 0:
            raise ValueError("an order of 0 lots is not an order")
        if order.kind == Kind.MARKET:
            if self.market_order is not None:
                raise ValueError(f"a market order of {self.market_order.lots} lots already waits for the next bar")
            self.market_order = order
        elif order.kind not in (Kind.LIMIT, Kind.STOP, Kind.TRAILING):
            raise ValueError(f"kind {order.kind} is none of an order")
        elif order.kind == Kind.TRAILING and self.seen == 0:
            raise ValueError("a trailing stop follows prices, and this venue has seen none yet")
        elif order.ticks > 0:
            self.resting.append(Resting(order, self.conditions[LAST_CLOSE]))
        else:
            raise ValueError(f"a {Kind(order.kind).name} order needs a price above 0, got {order.ticks} ticks")

    def cancel_all(self) -> int:
        """Drop every order that has not filled; return how many there were."""
        count = len(self.resting) + (self.market_order is not None)
        self.resting, self.market_order = [], None
        return count

    def on_bar(self, bar: Bar) -> list[Fill]:
        """Live through one closed bar; the fills become known at its close.

        Behind a gap of more than three intervals every waiting order has expired and the estimates start anew.
        """
        self._take(bar)
        at = bar.opened_at + self.interval_ms - 1
        quote = self._quote(bar)
        fills = self._fill_open(quote, at) + self._fill_resting(quote, at)
        self.resting = [_trailed(rests, quote) for rests in self.resting]
        paid = self.account.fees
        self.account, lots, price = end_bar(self.account, quote, self.terms)
        if lots:
            fills.append(Fill(at, lots, price, self.account.fees - paid, Reason.LIQUIDATION))
        self._remember(bar)
        return fills

    def warm(self, bar: Bar) -> None:
        """See a bar before the account opens for trading: only volatility, volume and the calendar are taken in."""
        self._take(bar)
        self._remember(bar)

    def _take(self, bar: Bar) -> None:
        last = self.last_opened_at
        if bar.opened_at <= last:
            raise ValueError(f"bar at {bar.opened_at} is not newer than the last one, {last}")
        if last >= 0 and bar.opened_at - last > (CROSSED_GAP + 1) * self.interval_ms:
            self.cancel_all()
            self.conditions[:] = 0.0
            self.sigma, self.volume, self.seen = 0.0, 0.0, 0

    def _remember(self, bar: Bar) -> None:
        self.last_opened_at = bar.opened_at
        self.seen += 1
        self.sigma, self.volume = update_conditions(self.conditions, bar)

    def _quote(self, bar: Bar) -> Quote:
        last = self.last_opened_at
        rolled = last >= 0 and bar.opened_at // DAY_MS > last // DAY_MS
        if self.funding is None:
            due = assumed_funding(bar.opened_at, self.interval_ms, self.funding_bps_per_8h)
        else:
            due = self.funding.due(bar.opened_at, self.interval_ms)
        days = self.interval_ms / DAY_MS
        return Quote(bar.open, bar.high, bar.low, bar.close, due, 1.0 if rolled else 0.0, days)

    def _fill_open(self, quote: Quote, at: int) -> list[Fill]:
        order, self.market_order = self.market_order, None
        lots = order.lots if order else 0
        if order and order.reduce_only:
            lots = _reducing(lots, self.account.lots)
        paid = self.account.fees
        self.account, filled, price = begin_bar(self.account, lots, quote, self.sigma, self.volume, self.terms)
        if order is None or filled == 0:
            return []
        return [Fill(at, filled, price, self.account.fees - paid, Reason.ORDER, order.client_id)]

    def _fill_resting(self, quote: Quote, at: int) -> list[Fill]:
        touched = [rests for rests in self.resting if self._price(rests, quote)]
        limits = [rests for rests in touched if rests.order.kind == Kind.LIMIT]
        stops = [rests for rests in touched if rests.order.kind != Kind.LIMIT]
        # where a stop and a limit could both have been hit, the worse one was: the stop, if it has anything to do
        acting = [rests for rests in stops if self._lots(rests.order)] or limits
        fills = []
        for rests in acting if acting is not limits else [*limits, *stops]:  # what a limit opened, a stop may close
            self.resting.remove(rests)
            lots = self._lots(rests.order)
            if lots != 0:
                fills.append(self._fill(rests.order, lots, self._price(rests, quote), at))
        return fills

    def _lots(self, order: Order) -> int:
        """What an order would do to the position as it stands; 0 where it only reduces and there is nothing to."""
        return _reducing(order.lots, self.account.lots) if order.reduce_only else order.lots

    def _price(self, rests: Resting, quote: Quote) -> float:
        """The price at which a resting order fills in this bar; 0 where it does not."""
        order, trigger = rests.order, rests.order.ticks * self.terms.tick
        if order.kind == Kind.TRAILING:
            trigger = rests.extreme + trigger if order.lots > 0 else rests.extreme - trigger
        return resting_price(order.kind, order.lots, trigger, quote, self.terms)

    def _fill(self, order: Order, lots: int, price: float, at: int) -> Fill:
        stop = order.kind != Kind.LIMIT
        if stop:
            price = taker_price(price, lots, self.sigma, self.volume, 1.0, self.terms)
        rate = self.terms.taker_fee if stop else self.terms.maker_fee
        fee = abs(lots) * self.terms.lot * price * rate
        self.account = apply_fill(self.account, lots, price, fee, self.terms)
        return Fill(at, lots, price, fee, Reason.STOP if stop else Reason.LIMIT, order.client_id)


def _trailed(rests: Resting, quote: Quote) -> Resting:
    """A bar has closed: a trailing stop to sell follows its high, one to buy its low."""
    if rests.order.lots > 0:
        return rests._replace(extreme=min(rests.extreme, quote.low))
    return rests._replace(extreme=max(rests.extreme, quote.high))


def _reducing(lots: int, position: int) -> int:
    if lots * position >= 0:
        return 0
    return max(lots, -position) if position > 0 else min(lots, -position)
