"""What moves every trader at once: the value, the mood of the market, and the knobs that a storm turns.

Knows nothing of how any class of trader decides.
"""

import math

from ..market.jit import inlined_kernel, kernel
from .draws import normal, rekey, uniform
from .ladder import BEST_ASK, BEST_BID, LAST, NOW, QUEUED, Book, codes, next_above, next_below
from .population import Makers, Readers, Value
from .world import (
    ACTIVITY,
    ARRIVED,
    DRIFT,
    FACTOR,
    FIRST_ADDITIVE,
    FLOW,
    FROM_STEP,
    HISTORY,
    HOW_MUCH,
    IMBALANCE,
    KNOBS,
    LOG_FACTOR,
    LOG_MID,
    LOG_VALUE,
    MID,
    MOVE,
    PARTS,
    RATE,
    SCHEDULED,
    STEP,
    UNTIL_STEP,
    VALUE,
    WHAT,
    WHO,
    Floats,
    World,
)

(LANE,) = codes(0, 1)
LOG_TWO = math.log(2.0)
READ_LEVELS = 5  # of the book, whose imbalance is told


@inlined_kernel
def turn_knobs(world: World) -> None:
    """Set the knobs as the storm's schedule has them in this step."""
    world.book.head[NOW] = world.clock[STEP]
    if world.clock[SCHEDULED] == 0:
        return
    step, knobs, schedule = int(world.clock[STEP]), world.knobs, world.schedule
    set_knobs(knobs)
    for row in range(int(world.clock[SCHEDULED])):
        begin, end = float(schedule[row, FROM_STEP]), float(schedule[row, UNTIL_STEP])
        if begin <= step < end:
            who, what = int(schedule[row, WHO]), int(schedule[row, WHAT])
            if what == DRIFT:
                knobs[who, what] += float(schedule[row, HOW_MUCH]) / max(1.0, end - begin)
            elif what >= FIRST_ADDITIVE:
                knobs[who, what] += schedule[row, HOW_MUCH]
            else:
                knobs[who, what] *= schedule[row, HOW_MUCH]


@kernel
def set_knobs(knobs: Floats) -> None:
    """Every factor 1, everything else 0: no storm."""
    for who in range(PARTS):
        for what in range(KNOBS):
            knobs[who, what] = 0.0 if what >= FIRST_ADDITIVE else 1.0


@inlined_kernel
def move_value(world: World, value: Value) -> None:
    """Move the value and the factor behind its volatility and everyone's activity."""
    mood, stream = world.mood, world.stream
    rekey(stream, world.keys, VALUE, int(world.clock[STEP]), LANE)
    keep = math.exp(-LOG_TWO / max(value.factor_half_life, 1e-9))
    shock = value.factor_sd * math.sqrt(max(0.0, 1.0 - keep * keep))
    mood[LOG_FACTOR] = float(mood[LOG_FACTOR]) * keep + shock * normal(stream)
    stressed = float(mood[LOG_FACTOR]) + math.log(max(1e-9, float(world.knobs[VALUE, RATE])))
    factor = math.exp(stressed)
    mood[FACTOR] = factor
    lively = math.exp(stressed * value.activity_exponent)
    mood[ACTIVITY] = lively * _attention(float(mood[MOVE]), value)
    moved = value.sd_per_step * factor * normal(stream) + float(world.knobs[VALUE, DRIFT])
    if uniform(stream) < value.news_rate * lively:  # whatever the price does: nothing of the market moves the value
        moved += value.news_sd * factor * normal(stream)
    mood[LOG_VALUE] = float(mood[LOG_VALUE]) + moved


@inlined_kernel
def _attention(move: float, value: Value) -> float:
    """How much busier a move of the price makes everyone."""
    if value.attention == 0.0:
        return 1.0
    usual = value.sd_per_step * math.sqrt(max(1.0, 0.5 * value.attention_span))
    return 1.0 + value.attention * min(value.attention_cap, abs(move) / max(usual, 1e-12))


@inlined_kernel
def look_around(world: World, value: Value, readers: Readers, makers: Makers) -> None:
    """Note the price, its recent move, the flow of orders and the book's imbalance: what every trader sees now."""
    mood, step = world.mood, int(world.clock[STEP])
    mid = reference_ticks(world.book)
    log_mid = math.log(mid)
    decay = 1.0 / max(1.0, value.attention_span)
    mood[MOVE] = float(mood[MOVE]) * (1.0 - decay) + (log_mid - float(mood[LOG_MID]))
    mood[MID] = mid
    mood[LOG_MID] = log_mid
    world.history[step & (HISTORY - 1)] = log_mid
    mood[FLOW] = float(mood[FLOW]) * (1.0 - 1.0 / max(1.0, makers.flow_span)) + float(mood[ARRIVED])
    mood[ARRIVED] = 0.0
    if readers.traders > 0 and readers.rate > 0.0:
        weight = LOG_TWO / max(LOG_TWO, readers.half_life)
        mood[IMBALANCE] = float(mood[IMBALANCE]) + weight * (imbalance(world.book) - float(mood[IMBALANCE]))


@kernel
def reference_ticks(book: Book) -> float:
    """The mid, or the last trade where one side is empty: a mid with one leg would hide a crash."""
    bid, ask = int(book.head[BEST_BID]), int(book.head[BEST_ASK])
    if bid == 0 or ask == 0:
        return float(book.head[LAST])
    return 0.5 * (bid + ask)


@inlined_kernel
def imbalance(book: Book) -> float:
    """(bids − asks) ÷ (bids + asks) over the lots of the five best levels; 0 in an empty book."""
    bid, ask, bids, asks = int(book.head[BEST_BID]), int(book.head[BEST_ASK]), 0, 0
    for _ in range(READ_LEVELS):
        if bid > 0:
            bids += int(book.levels[bid, QUEUED])
            bid = next_below(book, bid)
        if ask > 0:
            asks += int(book.levels[ask, QUEUED])
            ask = next_above(book, ask)
    return (bids - asks) / max(1, bids + asks)
