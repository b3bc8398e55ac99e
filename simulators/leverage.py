"""Traders on margin: they bet many times their collateral on a trend or on a rise, and hold on for a while.

Collateral is cash in the trader's account of the book, lent by the bank, so that all cash still sums to nothing. Each
new position begins with the trader's own collateral: the bank lends what is missing and takes back what is more. What
becomes of a position that no longer carries itself is `liquidation`'s business.
"""

import math

from ..market.jit import inlined_kernel
from .cohorts import arrivals_of, next_arrival
from .draws import index_below, rekey, uniform
from .ladder import CASH, POSITION
from .liquidation import (
    ACTIVE,
    BRINGS,
    CLOSES_AT,
    LANE_OWN,
    LEVERAGE,
    READY_AT,
    REDUCING_MARKET,
    STAKE,
    STATE,
    bank_of,
    look_after,
    side_held,
)
from .matching import BUY, SELL
from .placing import NO_PRICE, take
from .population import Leveraged
from .posting import NO_LIFE, draw_priority, post
from .world import BIAS, FIRST_OWNER, HALT, HISTORY, LOG_MID, MARK, MID, SIZE, STEP, VENUE, World


@inlined_kernel
def act_leveraged(world: World, who: int, rules: Leveraged) -> None:
    """Open positions, close those whose time is up, and let the venue see to those that it must."""
    if rules.traders == 0 or world.knobs[VENUE, HALT] > 0.0:
        return
    for arrival in range(arrivals_of(world, who, rules.traders, rules.rate)):
        _consider(world, who, rules, arrival)
    first, accounts = int(world.cohorts[who, FIRST_OWNER]), world.book.accounts
    for owner in range(first, first + rules.traders):
        idle = accounts[owner, POSITION] == 0 and accounts[owner, CASH] >= 0 and world.traders[owner, STATE] == ACTIVE
        if not idle and look_after(world, who, rules, owner):
            _close_in_time(world, who, rules, owner)


@inlined_kernel
def _consider(world: World, who: int, rules: Leveraged, arrival: int) -> None:
    """Open a position with the trend, or without one as the trader's mood has it, where there is none open."""
    step, state = int(world.clock[STEP]), world.traders
    next_arrival(world, who, arrival)
    trader = index_below(world.stream, rules.traders)
    priority = draw_priority(world)
    up = uniform(world.stream) < rules.long_share + float(world.knobs[who, BIAS])
    hold = -rules.hold * math.log(uniform(world.stream))
    owner = int(world.cohorts[who, FIRST_OWNER]) + trader
    busy = state[owner, STATE] != ACTIVE or state[owner, READY_AT] > step
    if busy or world.book.accounts[owner, POSITION] != 0 or world.knobs[who, SIZE] <= 0.0:
        return
    earlier = float(world.history[(step - int(rules.horizon)) & (HISTORY - 1)])
    trend = float(world.mood[LOG_MID]) - earlier
    if abs(trend) > rules.threshold:
        up = trend > 0.0
    stake = _bring(world, owner, float(world.knobs[who, SIZE]))
    state[owner, STAKE] = stake
    lots = int(float(state[owner, LEVERAGE]) * stake / max(1.0, float(world.mood[MID])))
    if take(world, who, trader, BUY if up else SELL, lots, rules.latency, priority) != 0:
        state[owner, READY_AT] = step + rules.latency
        state[owner, CLOSES_AT] = step + rules.latency + hold


@inlined_kernel
def _bring(world: World, owner: int, size: float) -> int:
    """Settle with the bank so that the trader has its collateral × `size`; return that."""
    accounts, bank = world.book.accounts, bank_of(world)
    stake = int(float(world.traders[owner, BRINGS]) * size)
    accounts[bank, CASH] -= stake - int(accounts[owner, CASH])
    accounts[owner, CASH] = stake
    return stake


@inlined_kernel
def _close_in_time(world: World, who: int, rules: Leveraged, owner: int) -> None:
    """Close a position that was held long enough, all at once, and again where the book had not enough."""
    step, state = int(world.clock[STEP]), world.traders
    held = int(world.book.accounts[owner, POSITION])
    if held == 0 or state[owner, CLOSES_AT] > step or state[owner, READY_AT] > step:
        return
    rekey(world.stream, world.keys, who, step, LANE_OWN + owner)
    priority = draw_priority(world)
    side, label = -side_held(held), int(world.cohorts[who, MARK])
    post(world, who, owner, REDUCING_MARKET, side, NO_PRICE, abs(held), NO_LIFE, rules.latency, priority, label)
    state[owner, READY_AT] = step + rules.latency
