"""The money of many assets in one account: one cash, cross margin, one bar at a time.

Sums over assets and the order in which assets take their turn stand here; money moves in `ledger`, prices come from
`costs`, latches and cuts from `limits`. One asset alone comes out as `exchange` has it, to the last bit: every sum
starts from cash, or from 0, and goes up the index. Knows no policy, no reward and no episode.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .costs import taker_price
from .exchange import open_lots
from .jit import inlined_kernel
from .ledger import Account, apply_fill, pay_borrow, pay_funding
from .limits import State, allowed_lots, day_roll
from .terms import MODE_OFF, Terms, read_terms

OPEN, HIGH, LOW, CLOSE, FUNDING, PRESENCE, SIGMA, VOLUME = range(8)  # columns of `prices`
FRESH, STALE, ABSENT = 1.0, 0.0, -1.0  # values of PRESENCE
HALTED = int(State.HALTED)  # a plain int for kernels

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Markets(NamedTuple):
    """K assets on one grid: `prices` (T, K, 8) float64 by the constants above, `rolled` (T,) whether a UTC day rolled
    before a row, `terms` (K, 20), `days` (1,) a bar's length.

    FRESH has a bar and may be traded; STALE misses up to three, keeps its mark and takes no orders; ABSENT is out of
    the market: not listed yet, gone for longer, or warming up. Without a bar all four prices are the last close.
    """

    prices: Floats
    rolled: Floats
    terms: Floats
    days: Floats


class Positions(NamedTuple):
    """What n accounts hold of K assets, (n, K) each: signed `lots`, their `entry`, `idle` bars since the last fill;
    `ordered` and `filled` are the lots of the bar at hand, `turn` the assets in the order in which they take theirs."""

    lots: Ints
    entry: Floats
    idle: Ints
    ordered: Ints
    filled: Ints
    turn: Ints


def no_positions(count: int, assets: int) -> Positions:
    """Nothing held and nothing ordered."""
    shape = (count, assets)
    whole = [np.zeros(shape, np.int64) for _ in range(5)]
    return Positions(whole[0], np.zeros(shape), *whole[1:])


@inlined_kernel
def holding(account: Account, lots: int, entry: float, idle_bars: int) -> Account:
    """The whole account as the holder of one asset: what kernels of one asset read and give back."""
    return Account(
        account.cash,
        entry,
        account.equity,
        account.peak,
        account.day_equity,
        account.fees,
        account.funding,
        account.borrow,
        account.turnover,
        lots,
        account.state,
        idle_bars,
        account.trades,
        account.ruin,
    )


@inlined_kernel
def take_turns(i: int, positions: Positions) -> None:
    """Put the assets of row `i` in order: those whose order leaves less of a position than there was, on whichever
    side; then the others; each by index."""
    lots, ordered, assets = positions.lots, positions.ordered, positions.lots.shape[1]
    reducing = 0
    for k in range(assets):
        reducing += 1 if abs(lots[i, k] + ordered[i, k]) < abs(lots[i, k]) else 0
    first, second = 0, reducing
    for k in range(assets):
        reduces = abs(lots[i, k] + ordered[i, k]) < abs(lots[i, k])
        positions.turn[i, first if reduces else second] = k
        first += 1 if reduces else 0
        second += 0 if reduces else 1


@inlined_kernel
def share_limits(i: int, t: int, account: Account, positions: Positions, markets: Markets) -> None:
    """Cut the orders of row `i` to what the limits let through at the closes of row `t`.

    The exposure cap is on gross exposure. Its headroom goes first to orders that reduce, then to the others, both by
    index; each finds what those before it have left. `max_order` binds each order, latches bind them all.
    """
    prices, assets = markets.prices, positions.lots.shape[1]
    if read_terms(markets.terms, 0).mode == MODE_OFF:
        return
    gross = 0.0
    for k in range(assets):
        gross += abs(positions.lots[i, k]) * read_terms(markets.terms, k).lot * float(prices[t, k, CLOSE])
    for place in range(assets):
        k = int(positions.turn[i, place])
        order, lots = int(positions.ordered[i, k]), int(positions.lots[i, k])
        if (order != 0 or account.state == HALTED) and prices[t, k, PRESENCE] == FRESH:
            terms, price = read_terms(markets.terms, k), float(prices[t, k, CLOSE])
            others = gross - abs(lots) * terms.lot * price
            narrowed = _without_room_of(others, account.equity, terms)
            order = allowed_lots(order, holding(account, lots, 0.0, 0), price, narrowed)
            positions.ordered[i, k] = order
            gross = others + abs(lots + order) * terms.lot * price


@inlined_kernel
def _without_room_of(others: float, equity: float, terms: Terms) -> Terms:
    """Terms whose exposure limit lacks what other assets, worth `others`, take of it."""
    allowed = terms.leverage * equity
    room = max(terms.max_exposure - others / allowed, 0.0) if allowed > 0.0 else terms.max_exposure
    return Terms(
        terms.tick,
        terms.lot,
        terms.min_notional,
        terms.leverage,
        terms.maintenance,
        terms.liquidation_fee,
        terms.taker_fee,
        terms.maker_fee,
        terms.half_spread,
        terms.impact_y,
        terms.borrow,
        terms.participation,
        terms.gap_multiple,
        terms.mode,
        room,
        terms.max_order,
        terms.daily_loss,
        terms.drawdown,
        terms.terminate_on_halt,
        terms.dead_band,
    )


@inlined_kernel
def begin_bars(i: int, t: int, account: Account, positions: Positions, markets: Markets) -> Account:
    """Steps 1–3 of row `t`: day roll, positions left behind by a long gap, orders at the open, funding, borrow.

    Orders take their turns; one whose asset has no bar here expires. They are priced with volatility and volume of
    row t − 1.
    """
    prices, assets = markets.prices, positions.lots.shape[1]
    if markets.rolled[t] > 0.0:
        account = day_roll(account, read_terms(markets.terms, 0))
    for k in range(assets):
        positions.filled[i, k] = 0
        if prices[t, k, PRESENCE] == ABSENT and positions.lots[i, k] != 0:
            account = leave(i, t, k, account, positions, markets)
    for place in range(assets):
        k = int(positions.turn[i, place])
        order = int(positions.ordered[i, k])
        if order != 0 and prices[t, k, PRESENCE] == FRESH:
            account = _fill_open(i, t, k, order, account, positions, markets)
    return _pay_for_the_bar(i, t, account, positions, markets)


@inlined_kernel
def _fill_open(i: int, t: int, k: int, order: int, account: Account, positions: Positions, markets: Markets) -> Account:
    terms, prices = read_terms(markets.terms, k), markets.prices
    sigma, volume = float(prices[t - 1, k, SIGMA]), float(prices[t - 1, k, VOLUME])
    lots = open_lots(order, volume, terms)
    if lots == 0:
        return account
    price = taker_price(float(prices[t, k, OPEN]), lots, sigma, volume, 1.0, terms)
    positions.filled[i, k] = lots
    return trade(i, k, lots, price, abs(lots) * terms.lot * price * terms.taker_fee, account, positions, terms)


@inlined_kernel
def trade(
    i: int, k: int, lots: int, price: float, fee: float, account: Account, positions: Positions, terms: Terms
) -> Account:
    """Exchange `lots` of asset `k` at `price`; the account that comes back still looks like that asset's holder."""
    held = holding(account, int(positions.lots[i, k]), float(positions.entry[i, k]), account.idle_bars)
    after = apply_fill(held, lots, price, fee, terms)
    positions.lots[i, k] = after.lots
    positions.entry[i, k] = after.entry
    positions.idle[i, k] = 0
    return after


@inlined_kernel
def leave(i: int, t: int, k: int, account: Account, positions: Positions, markets: Markets) -> Account:
    """Close one position at its last close, at a multiple of the usual cost: its data ends in a long gap."""
    terms, prices = read_terms(markets.terms, k), markets.prices
    lots = -int(positions.lots[i, k])
    sigma, volume = float(prices[t, k, SIGMA]), float(prices[t, k, VOLUME])
    price = taker_price(float(prices[t, k, CLOSE]), lots, sigma, volume, terms.gap_multiple, terms)
    fee = terms.gap_multiple * abs(lots) * terms.lot * price * terms.taker_fee
    return trade(i, k, lots, price, fee, account, positions, terms)


@inlined_kernel
def _pay_for_the_bar(i: int, t: int, account: Account, positions: Positions, markets: Markets) -> Account:
    prices, assets = markets.prices, positions.lots.shape[1]
    borrow = read_terms(markets.terms, 0).borrow
    sold, any_held = 0.0, False
    for k in range(assets):
        lots = int(positions.lots[i, k])
        if lots != 0:
            any_held = True
            terms, open_ = read_terms(markets.terms, k), float(prices[t, k, OPEN])
            if prices[t, k, FUNDING] != 0.0:
                held = holding(account, lots, 0.0, account.idle_bars)
                account = pay_funding(held, float(prices[t, k, FUNDING]), open_, terms)
            value = lots * terms.lot * open_
            sold += -value if value < 0.0 else 0.0
    if any_held and borrow > 0.0:
        account = pay_borrow(account, sold, borrow * float(markets.days[0]))
    return account
