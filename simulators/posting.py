"""Messages put under way: everybody's orders and cancels travel some steps, to the bucket of the step they are due in.

What a message's sort key is made of (a priority that its sender drew, then the order of posting) decides its place
among the arrivals of that step. Knows nothing of why anybody sends, nor of what happens on arrival.
"""

import math

from ..market.jit import inlined_kernel
from .draws import uniform
from .ladder import codes
from .matching import (
    CANCEL,
    MESSAGE_EXTRA,
    MESSAGE_ID,
    MESSAGE_KIND,
    MESSAGE_LABEL,
    MESSAGE_LOTS,
    MESSAGE_OWNER,
    MESSAGE_PRICE,
    MESSAGE_SIDE,
)
from .world import (
    AFTER,
    ARRIVALS,
    CALENDAR,
    COHORT,
    FREE_ROW,
    FRESH_ROW,
    LIVES,
    LOST,
    NEXT_ID,
    POSTED,
    SORT,
    STEP,
    UNDERWAY_ROOM,
    World,
)

POSTED_BITS = 32  # of a sort key: below them the drawn priority, in them the order of posting
LAST_OF_ALL = (1 << 30) - 1  # the priority of orders from outside
(OUTSIDE,) = codes(-1, 0)  # the cohort of an order from outside
(NO_LIFE,) = codes(0, 1)


@inlined_kernel
def draw_priority(world: World) -> int:
    """Where among a step's arrivals a sender's messages come; drawn from the stream in use."""
    return int(uniform(world.stream) * LAST_OF_ALL)


@inlined_kernel
def life_of(world: World, mean: float) -> int:
    """Steps that an order will rest: exponential with mean `mean`, 1 … 8,000."""
    return int(min(8_000.0, max(1.0, -mean * math.log(uniform(world.stream)))))


@inlined_kernel
def post(
    world: World,
    who: int,
    owner: int,
    kind: int,
    side: int,
    price: int,
    lots: int,
    life: int,
    latency: int,
    priority: int,
    label: int,
) -> int:
    """Send a message of the crowd's with a new order id; return the id, or 0 where it found no room."""
    clock = world.clock
    clock[NEXT_ID] += 1
    order_id = int(clock[NEXT_ID])
    due = int(clock[STEP]) + max(1, latency)
    row = put_under_way(world, due, priority)
    if row == 0:
        world.cohorts[who, LOST] += 1
        return 0
    fill_row(world, row, kind, order_id, owner, side, price, lots, label)
    world.underway[row, LIVES] = life
    world.underway[row, COHORT] = who
    return order_id


@inlined_kernel
def post_cancel(world: World, who: int, owner: int, order_id: int, latency: int, priority: int) -> None:
    """Send a cancel of an own order."""
    row = put_under_way(world, int(world.clock[STEP]) + max(1, latency), priority)
    if row == 0:
        world.cohorts[who, LOST] += 1
        return
    fill_row(world, row, CANCEL, order_id, owner, 0, 0, 0, 0)
    world.underway[row, LIVES] = NO_LIFE
    world.underway[row, COHORT] = who


@inlined_kernel
def put_under_way(world: World, due: int, priority: int) -> int:
    """Take a free row and link it to the bucket of its step; 0 where all rows are taken."""
    clock, underway = world.clock, world.underway
    row = int(clock[FREE_ROW])
    if row != 0:
        clock[FREE_ROW] = underway[row, AFTER]
    else:
        row = int(clock[FRESH_ROW]) + 1
        if row >= UNDERWAY_ROOM:
            return 0
        clock[FRESH_ROW] = row
    clock[POSTED] += 1
    bucket = due & (CALENDAR - 1)
    underway[row, SORT] = (priority << POSTED_BITS) | (int(clock[POSTED]) & 0xFFFFFFFF)
    underway[row, AFTER] = world.calendar[ARRIVALS, bucket]
    world.calendar[ARRIVALS, bucket] = row
    return row


@inlined_kernel
def fill_row(
    world: World, row: int, kind: int, order_id: int, owner: int, side: int, price: int, lots: int, label: int
) -> None:
    """Write the message of a row under way."""
    underway = world.underway
    underway[row, MESSAGE_KIND] = kind
    underway[row, MESSAGE_ID] = order_id
    underway[row, MESSAGE_OWNER] = owner
    underway[row, MESSAGE_SIDE] = side
    underway[row, MESSAGE_PRICE] = price
    underway[row, MESSAGE_LOTS] = lots
    underway[row, MESSAGE_LABEL] = label
    underway[row, MESSAGE_EXTRA] = 0
