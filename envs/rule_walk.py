"""Many settings of a rule, each with an account of its own, walked over the same bars by one compiled call.

Bar by bar it is what TradingEnv does: the rule's target, the desk's order, limits, venue, ledger, and the close before
a long gap, by the same kernels; no observation and no reward is made, and the account never leaves the loop. What its
figures need is tallied on the way. Knows rules by number, and no names.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..agents.signals import decide, watch
from ..market.bars import Bar
from ..market.exchange import Quote, begin_bar, close_for_gap, end_bar
from ..market.jit import batch_kernel, inlined_kernel, lean_kernel, prange
from ..market.ledger import Account, fresh_account
from ..market.limits import allowed_lots, day_roll
from ..market.terms import Terms, read_terms
from .desk import order_lots
from .tape import CLOSE, FUNDING, HIGH, LOW, OPEN, ROLLED, SIGMA, VOLUME

BEGIN, FIRST, STOP, GAP = range(4)  # columns of `stretches`
HALTED = 2  # an account's state
DOUBT = 1e-9  # of what is allowed: more than rounding ever comes to
LEAST_EQUITY = 1e-9  # below it turnover is not measured in equities
BLOCK = 8  # settings a thread takes at once

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Ground(NamedTuple):
    """What all settings share, arrays since a parallel loop takes no other facts. `prices` as in Tape; `stretches`
    (S, 4) int64: first bar to watch, first to decide on, one past the last, whether a long gap follows; `terms` a row
    of Terms; `cash` (1,) to begin with; `days` (1,) a bar's length."""

    prices: Floats
    stretches: Ints
    terms: Floats
    cash: Floats
    days: Floats


class Tally(NamedTuple):
    """The bars of one setting so far: how many, and in how many something was held at the close; sums of their
    returns, of the squares of these, and of the squares of the negative ones; equity, its peak and deepest drawdown;
    the sum of turnover ÷ equity."""

    bars: float
    exposed: float
    returns: float
    squares: float
    downside: float
    equity: float
    peak: float
    drawdown: float
    traded: float


class Trips(NamedTuple):
    """The holdings of one setting that are over: how many, how many gained, what was gained and lost in all; and the
    profit of the one under way. A turn ends one and begins another."""

    ended: float
    won: float
    gains: float
    losses: float
    profit: float


class Paid(NamedTuple):
    """What the accounts of all stretches came to: fills, turnover, fees, funding, borrow."""

    trades: float
    turnover: float
    fees: float
    funding: float
    borrow: float


COLUMNS = (*Tally._fields, *Trips._fields, *Paid._fields)  # the columns of `tallies`


@batch_kernel
def walk_settings(kind: int, params: Floats, state_size: int, ground: Ground, tallies: Floats, curves: Floats) -> None:
    """Walk every setting, a row of `params`, over the ground; its row of `tallies` takes the numbers of COLUMNS.

    `curves` (n, 1 + bars) takes the equity at every close from the first decision on; with no rows it takes none.
    """
    count = len(params)
    blocks = (count + BLOCK - 1) // BLOCK
    for block in prange(blocks):
        state = np.zeros(state_size)
        for k in range(block * BLOCK, min(block * BLOCK + BLOCK, count)):
            _walk(k, kind, params[k], state, ground, tallies, curves)


@lean_kernel
def _walk(k: int, kind: int, params: Floats, state: Floats, ground: Ground, tallies: Floats, curves: Floats) -> None:
    """One setting from stretch to stretch, as `run_policy` goes: each opens an account with the money that is left;
    one that was halted stays flat for good, and ruin ends it all."""
    cash = float(ground.cash[0])
    tally = Tally(0.0, 0.0, 0.0, 0.0, 0.0, cash, cash, 0.0, 0.0)
    trips, paid = Trips(0.0, 0.0, 0.0, 0.0, 0.0), Paid(0.0, 0.0, 0.0, 0.0, 0.0)
    is_halted, row = False, 1
    if len(curves) > 0:
        curves[k, 0] = cash
    for s in range(len(ground.stretches)):
        account, tally, trips = _walk_stretch(s, kind, params, state, ground, is_halted, tally, trips, curves, k, row)
        row += int(ground.stretches[s, STOP] - ground.stretches[s, FIRST]) - 1
        paid = _paid_more(paid, account)
        is_halted = is_halted or account.state == HALTED
        if account.ruin != 0:
            break
        if account.lots != 0 and s + 1 < len(ground.stretches):  # an episode that ended when halted, still holding
            trips = _ended(trips, trips.profit, 0.0)
    _write(tallies, k, tally, trips, paid)


@inlined_kernel
def _walk_stretch(
    s: int,
    kind: int,
    params: Floats,
    state: Floats,
    ground: Ground,
    is_halted: bool,
    tally: Tally,
    trips: Trips,
    curves: Floats,
    k: int,
    row: int,
) -> tuple[Account, Tally, Trips]:
    prices, terms = ground.prices, read_terms(ground.terms, 0)
    first, stop = int(ground.stretches[s, FIRST]), int(ground.stretches[s, STOP])
    account = fresh_account(tally.equity)
    for i in range(len(state)):
        state[i] = 0.0
    for t in range(int(ground.stretches[s, BEGIN]), first):
        watch(kind, params, state, _bar(prices, t))
    for t in range(first, stop - 1):
        target = 0.0
        if not is_halted:
            target = decide(kind, params, state, _bar(prices, t), account.lots, account.entry)
        if target == 0.0 and account.lots == 0:  # nothing is held and nothing wanted: the bar only passes
            if prices[t + 1, ROLLED] > 0.0:
                account = day_roll(account, terms)
            tally = _idle(tally)
        else:
            is_gap = bool(t == stop - 2 and ground.stretches[s, GAP] != 0)
            after, price = _step(ground, t, target, account, is_gap, terms)
            trips = _traded(trips, account, after, price, float(prices[t, CLOSE]), terms)
            tally = _counted(tally, account, after)
            account = after
        if len(curves) > 0:
            curves[k, row + t - first] = account.equity
        if account.ruin != 0 or (terms.terminate_on_halt > 0.0 and account.state == HALTED):
            for j in range(row + t - first, curves.shape[1]):
                curves[k, j] = account.equity
            break
    return account, tally, trips


@inlined_kernel
def _step(ground: Ground, t: int, target: float, account: Account, is_gap: bool, terms: Terms) -> tuple[Account, float]:
    """From close t to close t + 1: what TradingEnv does with the account, and the price of the order's fill."""
    prices = ground.prices
    close = float(prices[t, CLOSE])
    order = 0 if surely_stays(target, account, close, terms) else order_lots(target, account, close, terms)
    order = allowed_lots(order, account, close, terms)
    quote = _quote(prices, t + 1, float(ground.days[0]))
    held, _, price = begin_bar(account, order, quote, float(prices[t, SIGMA]), float(prices[t, VOLUME]), terms)
    after, _, _ = end_bar(held, quote, terms)
    if is_gap and after.ruin == 0:
        after = close_for_gap(after, quote.close, float(prices[t + 1, SIGMA]), float(prices[t + 1, VOLUME]), terms)
    return after, price


@inlined_kernel
def surely_stays(target: float, account: Account, price: float, terms: Terms) -> bool:
    """Whether the desk's order is 0 beyond doubt: the wish lies inside the dead-band by more than a lot and rounding.

    Without the desk's two divisions, on whose outcome the next bar would have to wait.
    """
    allowed = terms.leverage * account.equity
    away = abs(target * allowed - account.lots * terms.lot * price)
    return allowed > 0.0 and away + 2.0 * terms.lot * price < (terms.dead_band - DOUBT) * allowed


@inlined_kernel
def _idle(tally: Tally) -> Tally:
    """One more bar in which nothing happened."""
    return Tally(
        tally.bars + 1.0,
        tally.exposed,
        tally.returns,
        tally.squares,
        tally.downside,
        tally.equity,
        tally.peak,
        tally.drawdown,
        tally.traded,
    )


@inlined_kernel
def _counted(tally: Tally, before: Account, after: Account) -> Tally:
    """One more bar, from one close to the next."""
    change = (after.equity - before.equity) / before.equity if before.equity > 0.0 else 0.0
    loss = min(change, 0.0)
    peak = max(tally.peak, after.equity)
    traded = tally.traded
    if after.trades != before.trades:
        traded += (after.turnover - before.turnover) / max(before.equity, LEAST_EQUITY)
    return Tally(
        tally.bars + 1.0,
        tally.exposed + abs(_side(after)),
        tally.returns + change,
        tally.squares + change * change,
        tally.downside + loss * loss,
        after.equity,
        peak,
        max(tally.drawdown, 1.0 - after.equity / peak),
        traded,
    )


@inlined_kernel
def _traded(trips: Trips, before: Account, after: Account, price: float, close: float, terms: Terms) -> Trips:
    """The trips after one more bar, whose order filled at `price`; `close` is the close before it."""
    gain = after.equity - before.equity
    old, new = _side(before), _side(after)
    if old * new < 0.0:  # turned over: up to the fill, the bar belongs to the old holding
        held, moved = before.lots * terms.lot, abs(after.lots - before.lots) * terms.lot
        early = held * (price - close) - (after.fees - before.fees) * abs(held) / moved
        return _ended(trips, trips.profit + early, gain - early)
    if new == 0.0 and (old != 0.0 or after.trades != before.trades):  # over, or come and gone within the bar
        return _ended(trips, trips.profit + gain, 0.0)
    return Trips(trips.ended, trips.won, trips.gains, trips.losses, trips.profit + gain)


@inlined_kernel
def _ended(trips: Trips, profit: float, next_profit: float) -> Trips:
    """A trip is over with `profit`; the one that follows has made `next_profit` already."""
    return Trips(
        trips.ended + 1.0,
        trips.won + (1.0 if profit > 0.0 else 0.0),
        trips.gains + max(profit, 0.0),
        trips.losses + max(-profit, 0.0),
        next_profit,
    )


@inlined_kernel
def _paid_more(paid: Paid, account: Account) -> Paid:
    return Paid(
        paid.trades + account.trades,
        paid.turnover + account.turnover,
        paid.fees + account.fees,
        paid.funding + account.funding,
        paid.borrow + account.borrow,
    )


@inlined_kernel
def _side(account: Account) -> float:
    """1 long, −1 short, 0 flat or with nothing left, as the exposure of a track has it."""
    if account.equity <= 0.0 or account.lots == 0:
        return 0.0
    return 1.0 if account.lots > 0 else -1.0


@inlined_kernel
def _bar(prices: Floats, t: int) -> Bar:
    """Bar `t` as far as rules look at it."""
    row = prices[t]
    return Bar(0, float(row[OPEN]), float(row[HIGH]), float(row[LOW]), float(row[CLOSE]), 0.0, -1.0, -1)


@inlined_kernel
def _quote(prices: Floats, t: int, days: float) -> Quote:
    return Quote(
        float(prices[t, OPEN]),
        float(prices[t, HIGH]),
        float(prices[t, LOW]),
        float(prices[t, CLOSE]),
        float(prices[t, FUNDING]),
        float(prices[t, ROLLED]),
        days,
    )


@inlined_kernel
def _write(tallies: Floats, k: int, tally: Tally, trips: Trips, paid: Paid) -> None:
    for j in range(len(tally)):
        tallies[k, j] = tally[j]
    for j in range(len(trips)):
        tallies[k, len(tally) + j] = trips[j]
    for j in range(len(paid)):
        tallies[k, len(tally) + len(trips) + j] = paid[j]
