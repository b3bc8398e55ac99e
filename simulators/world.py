"""The state of one crowd market as arrays, and what happens to it whoever trades: clock, value, storms, tally.

A market step runs `open_step`, then every cohort once in a drawn order, then `close_step`. Knows nothing of how any
class of trader decides, nor of Mesa.
"""

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..market.jit import inlined_kernel, kernel
from .draws import STREAM_WIDTH, index_below, normal, rekey
from .ladder import (
    BEST_ASK,
    BEST_BID,
    EVENT_KIND,
    EVENT_PRICE,
    LAST,
    LOGGED,
    NOW,
    TAKER_BOUGHT,
    TRADED,
    TRADES,
    Book,
    Ints,
    codes,
)
from .matching import BUY, SELL, TRADE, submit_market
from .population import Value

Floats = NDArray[np.float64]


class Part(IntEnum):
    """Who acts in a market step, by row of keys, knobs and turns; VALUE and TURNS only draw."""

    NOISE = 0
    FUNDAMENTAL = 1
    TREND = 2
    CONTRARIAN = 3
    MAKERS = 4
    EXECUTOR = 5
    VALUE = 6
    TURNS = 7


class Knob(IntEnum):
    """What a storm can change in a cohort. Factors (patience: of the share of limit orders), except: participation is a
    signed share of all volume, and alarm the least factor of volatility and activity that the cohort acts at.
    """

    RATE = 0
    SIZE = 1
    DISTANCE = 2
    LIFE = 3
    INVENTORY = 4
    PATIENCE = 5
    PARTICIPATION = 6
    ALARM = 7


class Label(IntEnum):
    """Ground truth about an order, kept in the tape and never shown to a trader."""

    NONE = 0
    EXECUTION = 1


COHORTS = 6
PARTS = 8
VALUE, TURNS = codes(6, 8)
(LANE,) = codes(0, 1)
RATE, SIZE, DISTANCE, LIFE, INVENTORY, PATIENCE, PARTICIPATION, ALARM, KNOBS = range(9)
# places in the clock: time, ids, the running bar's beginning and counters, and from TURN on the cohorts' order now
STEP, NEXT_ID, NEXT_OUTSIDE_ID, PENDING, SCHEDULED = range(5)
BEGAN_TRADED, BEGAN_BOUGHT, BEGAN_TRADES, BEGAN_EVENTS, STEPS, TWO_SIDED, SPREAD, TURN = range(5, 13)
CLOCK_WIDTH = TURN + COHORTS
# places in the mood, which moves every trader; logs of prices are of prices in ticks
LOG_VALUE, LOG_FACTOR, FACTOR, ACTIVITY, MID, LOT, MOOD_WIDTH = range(7)
# columns of a cohort's row: its first owner, its bag of resting orders, orders that found no room, its orders' label
FIRST_OWNER, RESTING, LOST, MARK, COHORT_WIDTH = range(5)
# columns of the storm's schedule, and of orders from outside that are on their way
FROM_STEP, UNTIL_STEP, WHO, WHAT, HOW_MUCH, SCHEDULE_WIDTH = range(6)
DUE, PENDING_OWNER, PENDING_LOTS, PENDING_ID, PENDING_LABEL, PENDING_WIDTH = range(6)
# columns of a bar's row, in ticks and lots
OPEN, HIGH, LOW, CLOSE, VOLUME, TAKER_BUY, TRADE_COUNT, QUOTED_STEPS, SPREAD_SUM, BAR_WIDTH = range(10)

TRAITS = 2  # float columns of one trader
RESTING_ROOM = 1 << 12  # orders that one cohort may have in the book
HISTORY = 8_192  # steps of past log prices that chartists look back on
OUTSIDE_IDS = 1 << 40  # order ids of outsiders start here, so that they do not shift the crowd's
PENDING_ROOM, SCHEDULE_ROOM = 256, 64
LOG_TWO = math.log(2.0)


class World(NamedTuple):
    """Everything that a market step reads or changes. Rows of cohorts and keys follow `Part`."""

    book: Book
    clock: Ints
    mood: Floats
    history: Floats  # log mid of past steps, a ring
    keys: Ints  # (8, 2) key words of the draws
    stream: Ints  # scratch: the stream that is being drawn from
    knobs: Floats  # (6, 8) in force, cohort by knob
    schedule: Floats  # (64, 5) the storm's timed changes
    pending: Ints  # (256, 5) orders from outside, by time of arrival
    cohorts: Ints  # (6, 4)
    resting: Ints  # (6, 4096) ids of a cohort's resting orders: a bag, or the makers' quotes in place
    traders: Floats  # (owners, 2), meaning depends on the class


def empty_world(book: Book) -> World:
    """A world without a past around `book`."""
    return World(
        book,
        np.zeros(CLOCK_WIDTH, np.int64),
        np.zeros(MOOD_WIDTH),
        np.zeros(HISTORY),
        np.zeros((PARTS, 2), np.int64),
        np.zeros(STREAM_WIDTH, np.int64),
        np.zeros((COHORTS, KNOBS)),
        np.zeros((SCHEDULE_ROOM, SCHEDULE_WIDTH)),
        np.zeros((PENDING_ROOM, PENDING_WIDTH), np.int64),
        np.zeros((COHORTS, COHORT_WIDTH), np.int64),
        np.zeros((COHORTS, RESTING_ROOM), np.int64),
        np.zeros((len(book.accounts), TRAITS)),
    )


@kernel
def open_step(world: World, value: Value) -> None:
    """Let in the orders from outside that are due, move the value, turn the storm's knobs, draw the turns."""
    step = int(world.clock[STEP])
    world.book.head[NOW] = step
    _admit(world, step)
    _move_value(world, value, step)
    _turn_knobs(world, step)
    mid = reference_ticks(world.book)
    world.mood[MID] = mid
    world.history[step & (HISTORY - 1)] = math.log(mid)
    _draw_turns(world, step)


@kernel
def close_step(world: World) -> None:
    """Count the step, and whether both sides were quoted at its end."""
    head, clock = world.book.head, world.clock
    clock[STEPS] += 1
    if head[BEST_BID] != 0 and head[BEST_ASK] != 0:
        clock[TWO_SIDED] += 1
        clock[SPREAD] += head[BEST_ASK] - head[BEST_BID]
    clock[STEP] += 1


@kernel
def open_bar(world: World) -> None:
    """Start the tally of a bar."""
    head, clock = world.book.head, world.clock
    clock[BEGAN_TRADED] = head[TRADED]
    clock[BEGAN_BOUGHT] = head[TAKER_BOUGHT]
    clock[BEGAN_TRADES] = head[TRADES]
    clock[BEGAN_EVENTS] = head[LOGGED]
    clock[STEPS] = 0
    clock[TWO_SIDED] = 0
    clock[SPREAD] = 0


@kernel
def close_bar(world: World, bar: Ints) -> None:
    """Write the bar's row from its trades; one without trades stands still at the last price."""
    head, clock, events = world.book.head, world.clock, world.book.events
    last = int(head[LAST])
    first, high, low = 0, last, last
    for row in range(int(clock[BEGAN_EVENTS]), int(head[LOGGED])):
        if events[row, EVENT_KIND] == TRADE:
            price = int(events[row, EVENT_PRICE])
            first = price if first == 0 else first
            high, low = max(high, price), min(low, price)
    bar[OPEN] = last if first == 0 else first
    bar[HIGH] = high
    bar[LOW] = low
    bar[CLOSE] = last
    bar[VOLUME] = head[TRADED] - clock[BEGAN_TRADED]
    bar[TAKER_BUY] = head[TAKER_BOUGHT] - clock[BEGAN_BOUGHT]
    bar[TRADE_COUNT] = head[TRADES] - clock[BEGAN_TRADES]
    bar[QUOTED_STEPS] = clock[TWO_SIDED]
    bar[SPREAD_SUM] = clock[SPREAD]


@kernel
def reference_ticks(book: Book) -> float:
    """The mid, or the last trade where one side is empty: a mid with one leg would hide a crash."""
    bid, ask = int(book.head[BEST_BID]), int(book.head[BEST_ASK])
    if bid == 0 or ask == 0:
        return float(book.head[LAST])
    return 0.5 * (bid + ask)


@kernel
def next_id(world: World) -> int:
    """A new order id of the crowd."""
    world.clock[NEXT_ID] += 1
    return int(world.clock[NEXT_ID])


@inlined_kernel
def _admit(world: World, step: int) -> None:
    clock, pending = world.clock, world.pending
    waiting, kept = int(clock[PENDING]), 0
    for i in range(waiting):
        if pending[i, DUE] <= step:
            lots = int(pending[i, PENDING_LOTS])
            side = BUY if lots > 0 else SELL
            owner, order_id = int(pending[i, PENDING_OWNER]), int(pending[i, PENDING_ID])
            submit_market(world.book, order_id, owner, side, abs(lots), int(pending[i, PENDING_LABEL]))
        else:
            for column in range(PENDING_WIDTH):
                pending[kept, column] = pending[i, column]
            kept += 1
    clock[PENDING] = kept


@inlined_kernel
def _move_value(world: World, value: Value, step: int) -> None:
    mood, stream = world.mood, world.stream
    rekey(stream, world.keys, VALUE, step, LANE)
    keep = math.exp(-LOG_TWO / max(value.factor_half_life, 1e-9))
    shock = value.factor_sd * math.sqrt(max(0.0, 1.0 - keep * keep))
    mood[LOG_FACTOR] = float(mood[LOG_FACTOR]) * keep + shock * normal(stream)
    factor = math.exp(float(mood[LOG_FACTOR]))
    mood[FACTOR] = factor
    mood[ACTIVITY] = math.exp(float(mood[LOG_FACTOR]) * value.activity_exponent)
    mood[LOG_VALUE] = float(mood[LOG_VALUE]) + value.sd_per_step * factor * normal(stream)


@inlined_kernel
def _turn_knobs(world: World, step: int) -> None:
    if world.clock[SCHEDULED] == 0:
        return
    knobs, schedule = world.knobs, world.schedule
    set_knobs(knobs)
    for row in range(int(world.clock[SCHEDULED])):
        if schedule[row, FROM_STEP] <= step < schedule[row, UNTIL_STEP]:
            who, what = int(schedule[row, WHO]), int(schedule[row, WHAT])
            if what >= PARTICIPATION:
                knobs[who, what] += schedule[row, HOW_MUCH]
            else:
                knobs[who, what] *= schedule[row, HOW_MUCH]


@kernel
def set_knobs(knobs: Floats) -> None:
    """Every factor 1, no participation, no alarm: no storm."""
    for who in range(COHORTS):
        for what in range(KNOBS):
            knobs[who, what] = 0.0 if what >= PARTICIPATION else 1.0


@inlined_kernel
def _draw_turns(world: World, step: int) -> None:
    rekey(world.stream, world.keys, TURNS, step, LANE)
    clock = world.clock
    for i in range(COHORTS):
        clock[TURN + i] = i
    for i in range(COHORTS - 1, 0, -1):
        j = index_below(world.stream, i + 1)
        kept = int(clock[TURN + i])
        clock[TURN + i] = clock[TURN + j]
        clock[TURN + j] = kept
