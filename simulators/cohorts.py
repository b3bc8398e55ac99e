"""How noise, informed, chartist and large traders act in one market step, as kernels on a whole cohort at once.

Every arrival draws from a stream of its own, named by cohort, step and arrival, so the same trader draws the same
numbers whatever the market did to it. Knows nothing of the turn of cohorts, storms or Mesa.
"""

import math

from ..market.jit import inlined_kernel
from ..market.orders import to_lots
from .draws import index_below, normal, pareto, poisson, rekey, uniform
from .ladder import TRADED, codes
from .matching import BUY, SELL
from .placing import LANE_ARRIVAL, LANE_COUNT, activity_of, distance_of, rest, take
from .population import Chartist, Executor, Fundamental, Noise, Readers
from .posting import draw_priority
from .world import (
    FIRST_OWNER,
    HISTORY,
    IMBALANCE,
    LOG_MID,
    LOG_VALUE,
    LOT,
    MID,
    PARTICIPATION,
    PATIENCE,
    RATE,
    SHOT,
    SIZE,
    STEP,
    World,
)

SIGN, CHILDREN = 0, 1  # columns of a noise trader: its metaorder
BELIEF = 0  # column of a fundamental trader: the log value it believes in, less the one at the first step
HORIZON = 0  # column of a chartist, in steps
DONE, SINCE, FIRED = 0, 1, 2  # columns of a large trader: lots sent, the market's volume when it woke, whether it shot
FIRST, FIRST_IN_LINE = codes(0, 2)
PARETO_CAP = 200.0  # times the least order


@inlined_kernel
def arrivals_of(world: World, who: int, traders: int, rate: float) -> int:
    """How many of a cohort act in this step."""
    rekey(world.stream, world.keys, who, int(world.clock[STEP]), LANE_COUNT)
    return poisson(world.stream, traders * rate * activity_of(world, who) * float(world.knobs[who, RATE]))


@inlined_kernel
def next_arrival(world: World, who: int, arrival: int) -> None:
    """Turn to the stream of one arrival."""
    rekey(world.stream, world.keys, who, int(world.clock[STEP]), LANE_ARRIVAL + arrival)


@inlined_kernel
def act_noise(world: World, who: int, rules: Noise) -> None:
    """Send the next child of some traders' metaorders, most of them as limit orders around the price."""
    knobs = world.knobs
    for arrival in range(arrivals_of(world, who, rules.traders, rules.rate)):
        next_arrival(world, who, arrival)
        trader = index_below(world.stream, rules.traders)
        priority = draw_priority(world)
        side = _next_child(world, int(world.cohorts[who, FIRST_OWNER]) + trader, rules)
        size = min(rules.size_cap, rules.size * pareto(world.stream, rules.size_exponent))
        lots = to_lots(size * float(knobs[who, SIZE]), float(world.mood[LOT]))
        if uniform(world.stream) < rules.limit_share * float(knobs[who, PATIENCE]):
            behind = distance_of(world, who, rules.distance, rules.distance_sd)
            life = rules.life * _stretched(behind / max(1e-12, rules.distance), rules.stretch)
            ticks = float(world.mood[MID]) - side * behind
            rest(world, who, trader, side, ticks, lots, life, rules.latency, priority)
        else:
            take(world, who, trader, side, lots, rules.latency, priority)


@inlined_kernel
def _stretched(far: float, stretch: float) -> float:
    """By how much longer an order lives that lies `far` medians away: patience is what a book's depth is made of."""
    return math.exp(stretch * math.log(far)) if far > 1.0 else 1.0


@inlined_kernel
def size_of(world: World, who: int, size: float, exponent: float, worth: float) -> int:
    """Lots of an order: a Pareto draw, so that few orders are most of the volume, times what the trader sees in it."""
    drawn = min(PARETO_CAP, pareto(world.stream, exponent))
    return int(to_lots(size * drawn * worth * float(world.knobs[who, SIZE]), float(world.mood[LOT])))


@inlined_kernel
def _next_child(world: World, trader: int, rules: Noise) -> int:
    """The side of the trader's metaorder; a finished one is followed by a new one."""
    up = uniform(world.stream) < 0.5
    length = min(rules.children_cap, pareto(world.stream, rules.children_exponent))
    traders = world.traders
    if traders[trader, CHILDREN] < 1.0:
        traders[trader, SIGN] = 1.0 if up else -1.0
        traders[trader, CHILDREN] = math.floor(length)
    traders[trader, CHILDREN] -= 1.0
    return int(traders[trader, SIGN])


@inlined_kernel
def act_fundamental(world: World, who: int, rules: Fundamental) -> None:
    """Look at the value, learn from it, and take what is cheap or dear against the belief, or wait behind it."""
    mood = world.mood
    for arrival in range(arrivals_of(world, who, rules.traders, rules.rate)):
        next_arrival(world, who, arrival)
        trader = index_below(world.stream, rules.traders)
        priority = draw_priority(world)
        gap = _learn(world, int(world.cohorts[who, FIRST_OWNER]) + trader, rules) - float(mood[LOG_MID])
        side = BUY if gap > 0.0 else SELL
        patience = trader / max(1, rules.traders - 1)
        threshold = max(1e-12, rules.threshold + patience * (rules.threshold_high - rules.threshold))
        strength = abs(gap) / threshold
        if strength > 1.0:
            grown = min(rules.size_cap, math.exp(rules.power * math.log(strength)))
            lots = size_of(world, who, rules.size, rules.size_exponent, grown)
            take(world, who, trader, side, lots, rules.latency, priority)
        else:
            lots = size_of(world, who, rules.size, rules.size_exponent, 1.0)
            behind = distance_of(world, who, rules.distance, rules.distance_sd)
            ticks = float(mood[MID]) * math.exp(gap) - side * behind
            rest(world, who, trader, side, ticks, lots, rules.life, rules.latency, priority)


@inlined_kernel
def _learn(world: World, trader: int, rules: Fundamental) -> float:
    """Look at the value with an error and move the belief towards what was seen; return the belief."""
    seen = float(world.mood[LOG_VALUE]) + rules.error_sd * normal(world.stream)
    belief = float(world.traders[trader, BELIEF])
    belief += min(1.0, rules.learning) * (seen - belief)
    world.traders[trader, BELIEF] = belief
    return belief


@inlined_kernel
def act_chartist(world: World, who: int, rules: Chartist) -> None:
    """Follow or fade the move over each trader's own horizon, where there is one."""
    step, knobs, mood = int(world.clock[STEP]), world.knobs, world.mood
    for arrival in range(arrivals_of(world, who, rules.traders, rules.rate)):
        next_arrival(world, who, arrival)
        trader = index_below(world.stream, rules.traders)
        priority = draw_priority(world)
        passive = uniform(world.stream) < rules.limit_share * float(knobs[who, PATIENCE])
        horizon = int(world.traders[int(world.cohorts[who, FIRST_OWNER]) + trader, HORIZON])
        trend = float(mood[LOG_MID]) - float(world.history[(step - horizon) & (HISTORY - 1)])
        strength = abs(trend) / max(rules.threshold, 1e-12)
        if strength <= 1.0 and not passive:
            continue
        side = BUY if trend * rules.lean > 0.0 else SELL
        lots = size_of(world, who, rules.size, rules.size_exponent, min(rules.size_cap, max(1.0, strength)))
        if passive:
            ticks = float(mood[MID]) - side * distance_of(world, who, rules.distance, rules.distance_sd)
            rest(world, who, trader, side, ticks, lots, rules.life, rules.latency, priority)
        else:
            take(world, who, trader, side, lots, rules.latency, priority)


@inlined_kernel
def act_readers(world: World, who: int, rules: Readers) -> None:
    """Go with the heavier side of the book, where one is much heavier."""
    knobs, mood = world.knobs, world.mood
    for arrival in range(arrivals_of(world, who, rules.traders, rules.rate)):
        next_arrival(world, who, arrival)
        trader = index_below(world.stream, rules.traders)
        priority = draw_priority(world)
        lean = float(mood[IMBALANCE])
        if abs(lean) <= rules.threshold:
            continue
        side = BUY if lean > 0.0 else SELL
        lots = size_of(world, who, rules.size, rules.size_exponent, 1.0)
        if uniform(world.stream) < rules.limit_share * float(knobs[who, PATIENCE]):
            ticks = float(mood[MID]) - side * rules.distance * float(uniform(world.stream))
            rest(world, who, trader, side, ticks, lots, rules.life, rules.latency, priority)
        else:
            take(world, who, trader, side, lots, rules.latency, priority)


@inlined_kernel
def act_executor(world: World, who: int, rules: Executor) -> None:
    """Keep up with the storm's share of all volume since it began, and fire its one shot."""
    me = int(world.cohorts[who, FIRST_OWNER])
    _shoot(world, who, me, rules)
    lots = due_share(world, me, float(world.knobs[who, PARTICIPATION]))
    lots = int(min(float(lots), rules.size_cap / max(1e-12, float(world.mood[LOT]))))
    if lots >= 1:
        side = BUY if world.knobs[who, PARTICIPATION] > 0.0 else SELL
        take(world, who, FIRST, side, lots, rules.latency, FIRST_IN_LINE)
        world.traders[me, DONE] += lots


@inlined_kernel
def _shoot(world: World, who: int, me: int, rules: Executor) -> None:
    shot = float(world.knobs[who, SHOT])
    if shot == 0.0:
        world.traders[me, FIRED] = 0.0
    elif world.traders[me, FIRED] == 0.0:
        world.traders[me, FIRED] = 1.0
        lots = to_lots(abs(shot) * rules.bar_volume, float(world.mood[LOT]))
        take(world, who, FIRST, BUY if shot > 0.0 else SELL, lots, rules.latency, FIRST_IN_LINE)


@inlined_kernel
def due_share(world: World, me: int, share: float) -> int:
    """Lots by which a trader lags behind its share of all volume since the share was asked of it."""
    traded, state = float(world.book.head[TRADED]), world.traders
    if share == 0.0:
        state[me, DONE] = 0.0
        state[me, SINCE] = traded
        return 0
    size = min(abs(share), 0.9)
    others = max(0.0, traded - float(state[me, SINCE]) - float(state[me, DONE]))
    return int(max(0.0, others * size / (1.0 - size) - float(state[me, DONE])))
