"""The venue's side of leverage: it closes out positions that no longer carry themselves, and sees who pays.

A position whose equity falls below maintenance is taken over and sold off at market, slice by slice. The insurance fund
takes what is left over and pays what is missing. What a bankrupt owes beyond the fund is first avoided, by closing the
rest of its position against traders of the other side in profit, at the price at which it owes nothing (auto-
deleveraging, off the book), then shared by those in profit, and last by the bank. Knows nothing of why a position was
opened.
"""

import math

from ..market.jit import inlined_kernel, lean_kernel
from .draws import rekey
from .ladder import CASH, POSITION, codes
from .matching import BUY, MARKET, REDUCE_ONLY, SELL, Event
from .order_log import log
from .placing import NO_PRICE
from .population import Leveraged
from .posting import NO_LIFE, draw_priority, post
from .world import (
    DELEVERAGED,
    FIRST_OUTSIDER,
    FIRST_OWNER,
    LIQUIDATED,
    LOT,
    MID,
    SOCIALISED,
    STEP,
    Label,
    World,
)

# columns of a leveraged trader: cash it brings at knob SIZE 1, cash that its position began with, step at which it
# closes, step at which its last order has arrived or it comes back, and how it stands
LEVERAGE, BRINGS, STAKE, CLOSES_AT, READY_AT, STATE = range(6)
ACTIVE, TAKEN_OVER, AWAY = 0.0, 1.0, 2.0
(REDUCING_MARKET,) = codes(MARKET | REDUCE_ONLY, (MARKET | REDUCE_ONLY) + 1)
(OF_LIQUIDATION,) = codes(Label.LIQUIDATION, Label.LIQUIDATION + 1)
(OFF_BOOK,) = codes(Event.DELEVERAGED, Event.DELEVERAGED + 1)
(LANE_OWN,) = codes(1 << 20, (1 << 20) + 1)  # streams of owners, beyond those of arrivals
(NO_ORDER,) = codes(0, 1)


@inlined_kernel
def look_after(world: World, who: int, rules: Leveraged, owner: int) -> bool:
    """Do for one trader what the venue must; return whether it is still its own master."""
    step, state = int(world.clock[STEP]), world.traders
    if state[owner, STATE] == ACTIVE:
        if not falls_short(world, owner, rules.maintenance):
            return True
        state[owner, STATE] = TAKEN_OVER
        world.clock[LIQUIDATED] += 1
    if state[owner, READY_AT] <= step:
        if state[owner, STATE] == AWAY:
            _lend(world, owner)
        elif world.book.accounts[owner, POSITION] == 0:
            _settle(world, who, rules, owner)
        else:
            _close_out(world, who, rules, owner)
    return False


@inlined_kernel
def bank_of(world: World) -> int:
    """Who lends collateral."""
    return int(world.clock[FIRST_OUTSIDER]) - 1


@inlined_kernel
def fund_of(world: World) -> int:
    """Who insures."""
    return int(world.clock[FIRST_OUTSIDER]) - 2


@inlined_kernel
def side_held(lots: int) -> int:
    """BUY for a long position."""
    return BUY if lots > 0 else SELL


@inlined_kernel
def twice_mark(world: World) -> int:
    """Two marks, in ticks: the mid may lie between two of them."""
    return int(2.0 * float(world.mood[MID]))


@inlined_kernel
def twice_equity(world: World, owner: int) -> int:
    """Cash and position at the mark, in half ticks × lots."""
    accounts = world.book.accounts
    return 2 * int(accounts[owner, CASH]) + int(accounts[owner, POSITION]) * twice_mark(world)


@inlined_kernel
def falls_short(world: World, owner: int, maintenance: float) -> bool:
    """Whether equity is below maintenance × the position's worth; without a position, below nothing."""
    worth = abs(int(world.book.accounts[owner, POSITION])) * twice_mark(world)
    return twice_equity(world, owner) < maintenance * worth


@lean_kernel
def _close_out(world: World, who: int, rules: Leveraged, owner: int) -> None:
    """Send the next slice of a position in liquidation to the book."""
    step, accounts = int(world.clock[STEP]), world.book.accounts
    if -twice_equity(world, owner) > 2 * max(0, int(accounts[fund_of(world), CASH])):
        _deleverage(world, who, rules, owner)
    held = int(accounts[owner, POSITION])
    if held == 0:
        return
    least = max(1.0, rules.close_least / max(1e-12, float(world.mood[LOT])))
    lots = min(abs(held), int(max(least, rules.close_share * abs(held))))
    rekey(world.stream, world.keys, who, step, LANE_OWN + owner)
    priority, side = draw_priority(world), -side_held(held)
    post(world, who, owner, REDUCING_MARKET, side, NO_PRICE, lots, NO_LIFE, rules.latency, priority, OF_LIQUIDATION)
    world.traders[owner, READY_AT] = step + rules.latency


@lean_kernel
def _settle(world: World, who: int, rules: Leveraged, owner: int) -> None:
    """Clear the account of a trader who was closed out, and send it away for a while."""
    accounts, fund = world.book.accounts, fund_of(world)
    paid = max(int(accounts[owner, CASH]), -max(0, int(accounts[fund, CASH])))
    missing = paid - int(accounts[owner, CASH])
    accounts[fund, CASH] += paid
    accounts[owner, CASH] = 0
    if missing > 0:
        _share_out(world, who, rules, missing)
    world.traders[owner, STATE] = AWAY
    world.traders[owner, READY_AT] = int(world.clock[STEP]) + rules.back


@inlined_kernel
def _lend(world: World, owner: int) -> None:
    """A new trader takes the place of one who was closed out."""
    collateral = int(world.traders[owner, BRINGS])
    world.book.accounts[bank_of(world), CASH] -= collateral
    world.book.accounts[owner, CASH] += collateral
    world.traders[owner, STATE] = ACTIVE


@lean_kernel
def _deleverage(world: World, who: int, rules: Leveraged, owner: int) -> None:
    """Close a bankrupt position against the other side's, highest rank first, as far as there are any in profit."""
    while world.book.accounts[owner, POSITION] != 0:
        other = _first_in_rank(world, who, rules, owner)
        if other < 0:
            return
        _hand_over(world, owner, other)


@lean_kernel
def _first_in_rank(world: World, who: int, rules: Leveraged, owner: int) -> int:
    """Who of the other side has the most profit × leverage, among those in profit at the bankruptcy price; −1: none."""
    accounts, state = world.book.accounts, world.traders
    first, held = int(world.cohorts[who, FIRST_OWNER]), int(accounts[owner, POSITION])
    bankruptcy = -float(accounts[owner, CASH]) / held if held != 0 else 0.0
    found, highest = -1, 0.0
    for other in range(first, first + rules.traders):
        lots, stake = int(accounts[other, POSITION]), float(state[other, STAKE])
        if lots * held >= 0 or state[other, STATE] != ACTIVE:
            continue
        equity = 0.5 * twice_equity(world, other)
        if float(accounts[other, CASH]) + lots * bankruptcy <= stake or equity <= stake:
            continue
        leverage = 0.5 * abs(lots) * twice_mark(world) / max(1.0, equity)
        rank = (equity - stake) / max(1.0, stake) * leverage
        if rank > highest:
            found, highest = other, rank
    return found


@lean_kernel
def _hand_over(world: World, owner: int, other: int) -> None:
    """Net two opposite positions off the book: the same share of the bankrupt's lots and cash goes to the other."""
    accounts = world.book.accounts
    held, cash = int(accounts[owner, POSITION]), int(accounts[owner, CASH])
    size = abs(held)
    lots = min(size, abs(int(accounts[other, POSITION])))
    side, moved = side_held(held), cash * lots // max(1, size)
    accounts[owner, POSITION] -= side * lots
    accounts[other, POSITION] += side * lots
    accounts[owner, CASH] -= moved
    accounts[other, CASH] += moved
    ticks = (2 * abs(moved) + lots) // max(1, 2 * lots)
    log(world.book, OFF_BOOK, -side, ticks, lots, owner, NO_ORDER, OF_LIQUIDATION)
    log(world.book, OFF_BOOK, side, ticks, lots, other, NO_ORDER, OF_LIQUIDATION)
    world.clock[DELEVERAGED] += lots


@lean_kernel
def _share_out(world: World, who: int, rules: Leveraged, missing: int) -> None:
    """Let those in profit bear a loss in proportion to it, and the bank what is beyond all profits."""
    accounts, first = world.book.accounts, int(world.cohorts[who, FIRST_OWNER])
    world.clock[SOCIALISED] += missing
    profits, left = 0, missing
    for other in range(first, first + rules.traders):
        profits += _profit(world, other)
    for other in range(first, first + rules.traders):
        profit = _profit(world, other)
        if profit > 0 and left > 0:
            share = min(profit, left, math.ceil(left * (profit / max(1, profits))))
            accounts[other, CASH] -= share
            left -= share
            profits -= profit
    accounts[bank_of(world), CASH] -= left


@inlined_kernel
def _profit(world: World, owner: int) -> int:
    """What a trader's equity is worth beyond what its position began with; of one not its own master, nothing."""
    if world.traders[owner, STATE] != ACTIVE:
        return 0
    return max(0, twice_equity(world, owner) - 2 * int(world.traders[owner, STAKE])) // 2
