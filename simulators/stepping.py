"""One market step and many: the same kernels in the same order, compiled in one call or stepped through Mesa.

A step moves the value and lets due messages reach the book (`open_step`), lets every cohort act on what it then sees,
and counts (`close_step`). Knows nothing of Mesa, scenarios or bars in real units.
"""

import math
from typing import NamedTuple

from ..market.jit import inlined_kernel, lean_kernel
from .arrivals import deliver
from .climate import look_around, move_value, turn_knobs
from .cohorts import act_chartist, act_executor, act_fundamental, act_noise, act_readers
from .following import act_followers
from .ladder import (
    BEST_ASK,
    BEST_BID,
    LAST,
    LOGGED,
    MESSAGES,
    POSITION,
    QUEUED,
    TAKER_BOUGHT,
    TRADED,
    TRADES,
    Book,
    next_above,
    next_below,
)
from .leverage import act_leveraged
from .makers import act_makers
from .population import (
    Chartist,
    Executor,
    Followers,
    Fundamental,
    Leveraged,
    Makers,
    Noise,
    Pumpers,
    Readers,
    Spoofer,
    Value,
)
from .pumping import act_pumpers
from .spoofing import act_spoofer
from .world import (
    ACTIVITY,
    ASK,
    ASK_LOTS,
    BAR_HIGH,
    BAR_LOW,
    BAR_OPEN,
    BARS,
    BEGAN_BOUGHT,
    BEGAN_TRADED,
    BEGAN_TRADES,
    BID,
    BID_LOTS,
    CLOSE,
    CONTRARIAN,
    COUNT,
    EXECUTOR,
    FAR_LOTS,
    FIRST_OWNER,
    FOLLOWERS,
    FUNDAMENTAL,
    HIGH,
    LEVERAGED,
    LOG_VALUE,
    LOW,
    MAKERS,
    MESSAGES_SO_FAR,
    NEAR_LOTS,
    NOISE,
    NOTE_ACTIVITY,
    NOTE_LOG_VALUE,
    NOTE_MAKERS,
    OPEN,
    PUMPERS,
    QUOTE_STEP,
    QUOTED_STEPS,
    QUOTES,
    QUOTING,
    READERS,
    SPOOFER,
    SPREAD,
    SPREAD_SUM,
    STEP,
    STEPS,
    STEPS_A_BAR,
    TAKER_BUY,
    TRADE_COUNT,
    TREND,
    TWO_SIDED,
    VOLUME,
    World,
)

EVENTS_A_SLOT = 3  # event rows kept free for a step, per slot of the order pool: no step has come near
TOP_ONLY, TOP_AND_DEPTH = 1, 2  # what is kept of quotes
NEAR, FAR = 1e-3, 1e-2  # 10 and 100 bp off the mid: as far as depth is counted


class Rules(NamedTuple):
    """What the cohorts go by, and the value."""

    value: Value
    noise: Noise
    fundamental: Fundamental
    trend: Chartist
    contrarian: Chartist
    makers: Makers
    readers: Readers
    leveraged: Leveraged
    executor: Executor
    pumpers: Pumpers
    followers: Followers
    spoofer: Spoofer


@lean_kernel
def advance(world: World, rules: Rules, steps: int) -> int:
    """Run up to `steps` market steps, fewer where a table must be emptied first; return how many ran."""
    for done in range(steps):
        if not has_room(world):
            return done
        open_step(world, rules.value, rules.readers, rules.makers)
        act_noise(world, NOISE, rules.noise)
        act_fundamental(world, FUNDAMENTAL, rules.fundamental)
        act_chartist(world, TREND, rules.trend)
        act_chartist(world, CONTRARIAN, rules.contrarian)
        act_makers(world, MAKERS, rules.makers)
        act_readers(world, READERS, rules.readers)
        act_leveraged(world, LEVERAGED, rules.leveraged)
        act_executor(world, EXECUTOR, rules.executor)
        act_pumpers(world, PUMPERS, rules.pumpers)
        act_followers(world, FOLLOWERS, rules.followers)
        act_spoofer(world, SPOOFER, rules.spoofer)
        close_step(world)
    return steps


@inlined_kernel
def has_room(world: World) -> bool:
    """Whether the tables can take whatever one more step may bring."""
    book, clock = world.book, world.clock
    rows = len(book.events) - int(book.head[LOGGED])
    return bool(
        rows >= EVENTS_A_SLOT * len(book.orders)
        and clock[BARS] < len(world.bars)
        and (clock[QUOTING] == 0 or clock[QUOTES] < len(world.tops))
    )


@inlined_kernel
def open_step(world: World, value: Value, readers: Readers, makers: Makers) -> None:
    """Turn the storm's knobs, move the value, let the due messages in, and look around."""
    turn_knobs(world)
    move_value(world, value)
    deliver(world)
    look_around(world, value, readers, makers)


@inlined_kernel
def close_step(world: World) -> None:
    """Count the step, whether both sides were quoted at its end, and the bar where it was its last."""
    head, clock = world.book.head, world.clock
    clock[STEPS] += 1
    if head[BEST_BID] != 0 and head[BEST_ASK] != 0:
        clock[TWO_SIDED] += 1
        clock[SPREAD] += head[BEST_ASK] - head[BEST_BID]
    if clock[QUOTING] != 0:
        _keep_top(world)
    clock[STEP] += 1
    if clock[STEPS] >= clock[STEPS_A_BAR]:
        close_bar(world)
        open_bar(world)


@lean_kernel
def open_bar(world: World) -> None:
    """Start the tally of a bar."""
    head, clock = world.book.head, world.clock
    clock[BEGAN_TRADED] = head[TRADED]
    clock[BEGAN_BOUGHT] = head[TAKER_BOUGHT]
    clock[BEGAN_TRADES] = head[TRADES]
    clock[STEPS] = 0
    clock[TWO_SIDED] = 0
    clock[SPREAD] = 0
    clock[BAR_OPEN] = 0


@lean_kernel
def close_bar(world: World) -> None:
    """Write the bar's row; one without trades stands still at the last price."""
    head, clock = world.book.head, world.clock
    row = int(clock[BARS])
    bar, notes, last = world.bars, world.notes, int(head[LAST])
    traded = clock[BAR_OPEN] != 0
    bar[row, OPEN] = clock[BAR_OPEN] if traded else last
    bar[row, HIGH] = clock[BAR_HIGH] if traded else last
    bar[row, LOW] = clock[BAR_LOW] if traded else last
    bar[row, CLOSE] = last
    bar[row, VOLUME] = head[TRADED] - clock[BEGAN_TRADED]
    bar[row, TAKER_BUY] = head[TAKER_BOUGHT] - clock[BEGAN_BOUGHT]
    bar[row, TRADE_COUNT] = head[TRADES] - clock[BEGAN_TRADES]
    bar[row, QUOTED_STEPS] = clock[TWO_SIDED]
    bar[row, SPREAD_SUM] = clock[SPREAD]
    notes[row, NOTE_LOG_VALUE] = world.mood[LOG_VALUE]
    notes[row, NOTE_ACTIVITY] = world.mood[ACTIVITY]
    notes[row, NOTE_MAKERS] = _held(world, MAKERS)
    clock[BARS] = row + 1


@inlined_kernel
def _held(world: World, who: int) -> int:
    first, held = int(world.cohorts[who, FIRST_OWNER]), 0
    for owner in range(first, first + int(world.cohorts[who, COUNT])):
        held += int(world.book.accounts[owner, POSITION])
    return held


@lean_kernel
def _keep_top(world: World) -> None:
    """Note the best quotes and, where asked, how much lies within 10 and 100 bp of the mid: a long walk."""
    book, head, clock, tops = world.book, world.book.head, world.clock, world.tops
    bid, ask = int(head[BEST_BID]), int(head[BEST_ASK])
    row = int(clock[QUOTES])
    tops[row, QUOTE_STEP] = clock[STEP]
    tops[row, BID] = bid
    tops[row, BID_LOTS] = book.levels[bid, QUEUED] if bid != 0 else 0
    tops[row, ASK] = ask
    tops[row, ASK_LOTS] = book.levels[ask, QUEUED] if ask != 0 else 0
    if clock[QUOTING] > TOP_ONLY:
        mid = 0.5 * (bid + ask) if bid != 0 and ask != 0 else float(head[LAST])
        tops[row, NEAR_LOTS] = _lots_within(book, mid, NEAR)
        tops[row, FAR_LOTS] = _lots_within(book, mid, FAR)
    tops[row, MESSAGES_SO_FAR] = head[MESSAGES]
    clock[QUOTES] = row + 1


@lean_kernel
def _lots_within(book: Book, mid: float, share: float) -> int:
    low, high, lots = math.ceil(mid * (1.0 - share)), math.floor(mid * (1.0 + share)), 0
    price = int(book.head[BEST_BID])
    while price >= low and price > 0:
        lots += int(book.levels[price, QUEUED])
        price = next_below(book, price)
    price = int(book.head[BEST_ASK])
    while 0 < price <= high:
        lots += int(book.levels[price, QUEUED])
        price = next_above(book, price)
    return lots
