"""How each class of traders acts in one market step, as kernels on a whole cohort at once.

Every arrival draws from a stream of its own, named by cohort, step and arrival, so the same trader draws the same
numbers whatever the market did to it. Orders rest for exponential lives: each step cancels a Poisson number of a
cohort's resting orders, drawn at random. Knows nothing of the turn of cohorts, storms or Mesa.
"""

import math

from ..market.jit import inlined_kernel, kernel
from ..market.orders import to_lots
from .draws import index_below, normal, pareto, poisson, rekey, uniform
from .ladder import BEST_ASK, BEST_BID, OWNER, POSITION, TRADED, codes, find
from .matching import BUY, SELL, cancel, submit_limit, submit_market
from .population import Chartist, Executor, Fundamental, Makers, Noise
from .world import (
    ACTIVITY,
    ALARM,
    DISTANCE,
    FACTOR,
    FIRST_OWNER,
    HISTORY,
    INVENTORY,
    LIFE,
    LOG_VALUE,
    LOST,
    LOT,
    MARK,
    MID,
    PARTICIPATION,
    PATIENCE,
    RATE,
    RESTING,
    RESTING_ROOM,
    SIZE,
    STEP,
    World,
    next_id,
)

SIGN, CHILDREN = 0, 1  # columns of a noise trader: its metaorder
HORIZON = 0  # column of a chartist, in steps
DONE, SINCE = 0, 1  # columns of the executor: lots traded, and the market's volume when it woke
(FIRST,) = codes(0, 1)  # the only trader of the executor
LANE_CANCEL, LANE_COUNT, LANE_ARRIVAL = codes(0, 3)  # streams of one cohort in one step


@kernel
def act_noise(world: World, who: int, rules: Noise) -> None:
    """Send the next child of some traders' metaorders, most of them as limit orders around the price."""
    step, knobs = int(world.clock[STEP]), world.knobs
    _retire(world, who, rules.life)
    rekey(world.stream, world.keys, who, step, LANE_COUNT)
    rate = rules.traders * rules.rate * _activity(world, who) * float(knobs[who, RATE])
    for arrival in range(poisson(world.stream, rate)):
        rekey(world.stream, world.keys, who, step, LANE_ARRIVAL + arrival)
        trader = index_below(world.stream, rules.traders)
        side = _next_child(world, int(world.cohorts[who, FIRST_OWNER]) + trader, rules)
        size = min(rules.size_cap, rules.size * pareto(world.stream, rules.size_exponent))
        lots = to_lots(size * float(knobs[who, SIZE]), float(world.mood[LOT]))
        passive = uniform(world.stream) < rules.limit_share * float(knobs[who, PATIENCE])
        ticks = _distance(world, who, rules.distance, rules.distance_sd)
        if passive:
            _rest_behind(world, who, trader, side, float(world.mood[MID]) - side * ticks, lots)
        else:
            _take(world, who, trader, side, lots)


@kernel
def act_fundamental(world: World, who: int, rules: Fundamental) -> None:
    """Take what is cheap or dear against the trader's own estimate of value, or wait behind it."""
    step, knobs, mood = int(world.clock[STEP]), world.knobs, world.mood
    _retire(world, who, rules.life)
    rekey(world.stream, world.keys, who, step, LANE_COUNT)
    rate = rules.traders * rules.rate * _activity(world, who) * float(knobs[who, RATE])
    for arrival in range(poisson(world.stream, rate)):
        rekey(world.stream, world.keys, who, step, LANE_ARRIVAL + arrival)
        trader = index_below(world.stream, rules.traders)
        estimate = float(mood[LOG_VALUE]) + rules.error_sd * normal(world.stream)
        ticks = _distance(world, who, rules.distance, rules.distance_sd)
        gap = estimate - math.log(float(mood[MID]))
        side = BUY if gap > 0.0 else SELL
        strength = abs(gap) / max(rules.threshold, 1e-12)
        size = rules.size * min(rules.size_cap, max(1.0, strength)) * float(knobs[who, SIZE])
        lots = to_lots(size, float(mood[LOT]))
        if strength > 1.0:
            _take(world, who, trader, side, lots)
        else:
            _rest_behind(world, who, trader, side, math.exp(estimate) - side * ticks, lots)


@kernel
def act_chartist(world: World, who: int, rules: Chartist) -> None:
    """Follow or fade the move over each trader's own horizon, where there is one."""
    step, knobs, mood = int(world.clock[STEP]), world.knobs, world.mood
    _retire(world, who, rules.life)
    rekey(world.stream, world.keys, who, step, LANE_COUNT)
    rate = rules.traders * rules.rate * _activity(world, who) * float(knobs[who, RATE])
    for arrival in range(poisson(world.stream, rate)):
        rekey(world.stream, world.keys, who, step, LANE_ARRIVAL + arrival)
        trader = index_below(world.stream, rules.traders)
        passive = uniform(world.stream) < rules.limit_share * float(knobs[who, PATIENCE])
        ticks = _distance(world, who, rules.distance, rules.distance_sd)
        horizon = int(world.traders[int(world.cohorts[who, FIRST_OWNER]) + trader, HORIZON])
        trend = math.log(float(mood[MID])) - float(world.history[(step - horizon) & (HISTORY - 1)])
        strength = abs(trend) / max(rules.threshold, 1e-12)
        if strength <= 1.0 and not passive:
            continue
        side = BUY if trend * rules.lean > 0.0 else SELL
        size = rules.size * min(rules.size_cap, max(1.0, strength)) * float(knobs[who, SIZE])
        lots = to_lots(size, float(mood[LOT]))
        if passive:
            _rest_behind(world, who, trader, side, float(mood[MID]) - side * ticks, lots)
        else:
            _take(world, who, trader, side, lots)


@kernel
def act_makers(world: World, who: int, rules: Makers) -> None:
    """Replace the quotes of the makers whose turn it is."""
    step = int(world.clock[STEP])
    every = max(rules.every, 1)
    for maker in range(rules.traders):
        if (step + maker * every // max(rules.traders, 1)) % every == 0:
            _pull_quotes(world, who, rules, maker)
            _quote(world, who, rules, maker)


@kernel
def act_executor(world: World, who: int, rules: Executor) -> None:
    """Keep up with the storm's share of all volume since it began."""
    me, share = int(world.cohorts[who, FIRST_OWNER]), float(world.knobs[who, PARTICIPATION])
    traded, state = float(world.book.head[TRADED]), world.traders
    if share == 0.0:
        state[me, DONE] = 0.0
        state[me, SINCE] = traded
        return
    size = min(abs(share), 0.9)
    others = traded - float(state[me, SINCE]) - float(state[me, DONE])
    lots = int(min(others * size / (1.0 - size) - float(state[me, DONE]), rules.size_cap / float(world.mood[LOT])))
    if lots >= 1:
        side = BUY if share > 0.0 else SELL
        state[me, DONE] += _take(world, who, FIRST, side, lots)


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
def _activity(world: World, who: int) -> float:
    return max(float(world.mood[ACTIVITY]), float(world.knobs[who, ALARM]))


@inlined_kernel
def _factor(world: World, who: int) -> float:
    return max(float(world.mood[FACTOR]), float(world.knobs[who, ALARM]))


@inlined_kernel
def _distance(world: World, who: int, median: float, sd: float) -> float:
    """Ticks away from the price: lognormal, wider when the market is lively."""
    scale = median * (0.3 + _factor(world, who)) * float(world.knobs[who, DISTANCE])
    return scale * math.exp(sd * normal(world.stream))


@kernel
def _take(world: World, who: int, trader: int, side: int, lots: int) -> int:
    """Send a market order; return the lots filled."""
    if lots < 1:
        return 0
    owner, label = int(world.cohorts[who, FIRST_OWNER]) + trader, int(world.cohorts[who, MARK])
    return max(0, submit_market(world.book, next_id(world), owner, side, lots, label))


@kernel
def _rest_behind(world: World, who: int, trader: int, side: int, ticks: float, lots: int) -> None:
    """Rest a limit order near `ticks`, never across the other side; one that finds no room is counted as lost."""
    cohorts = world.cohorts
    if lots < 1:
        return
    if int(cohorts[who, RESTING]) >= RESTING_ROOM:
        cohorts[who, LOST] += 1
        return
    price = passive_price(world, side, ticks)
    order_id, owner, label = next_id(world), int(cohorts[who, FIRST_OWNER]) + trader, int(cohorts[who, MARK])
    if submit_limit(world.book, order_id, owner, side, price, lots, label) < 0:
        cohorts[who, LOST] += 1
        return
    world.resting[who, int(cohorts[who, RESTING])] = order_id
    cohorts[who, RESTING] += 1


@kernel
def passive_price(world: World, side: int, ticks: float) -> int:
    """The nearest price on the grid, at least one tick off the other side's best."""
    head, highest = world.book.head, len(world.book.levels) - 1
    price = int(min(max(ticks + 0.5, 1.0), float(highest)))
    if side == BUY and head[BEST_ASK] != 0:
        price = min(price, int(head[BEST_ASK]) - 1)
    elif side == SELL:
        price = max(price, int(head[BEST_BID]) + 1)
    return min(max(price, 1), highest)


@kernel
def _retire(world: World, who: int, life: float) -> None:
    """Cancel each resting order with the hazard of its life; the drawn bag forgets filled ones as it goes."""
    resting = world.resting
    held = int(world.cohorts[who, RESTING])
    if held == 0:
        return
    rekey(world.stream, world.keys, who, int(world.clock[STEP]), LANE_CANCEL)
    hazard = 1.0 / max(1.0, life * float(world.knobs[who, LIFE]))
    for _ in range(min(held, poisson(world.stream, held * hazard))):
        place = index_below(world.stream, held)
        order_id = int(resting[who, place])
        held -= 1
        resting[who, place] = resting[who, held]
        cancel_own(world, order_id)
    world.cohorts[who, RESTING] = held


@kernel
def cancel_own(world: World, order_id: int) -> None:
    """Cancel an order if it still rests."""
    slot = find(world.book, order_id)
    if slot != 0:
        cancel(world.book, order_id, int(world.book.orders[slot, OWNER]))


@kernel
def _pull_quotes(world: World, who: int, rules: Makers, maker: int) -> None:
    width = 2 * rules.quote_levels
    for place in range(maker * width, (maker + 1) * width):
        order_id = int(world.resting[who, place])
        if order_id != 0:
            cancel_own(world, order_id)
            world.resting[who, place] = 0


@kernel
def _quote(world: World, who: int, rules: Makers, maker: int) -> None:
    mood, knobs, label = world.mood, world.knobs, int(world.cohorts[who, MARK])
    owner = int(world.cohorts[who, FIRST_OWNER]) + maker
    factor = _factor(world, who)
    limit = max(1.0, rules.inventory_limit * float(knobs[who, INVENTORY]) / float(mood[LOT]))
    held = float(world.book.accounts[owner, POSITION])
    lean = min(1.0, max(-1.0, held / limit))
    half = rules.half_spread * (0.5 + factor) * float(knobs[who, DISTANCE])
    centre = float(mood[MID]) - lean * rules.skew * half
    size = rules.size * float(knobs[who, SIZE]) * math.exp(-rules.shrink * max(0.0, math.log(factor)))
    for side in (BUY, SELL):
        room = limit - side * held
        for level in range(1, rules.quote_levels + 1):
            lots = int(min(to_lots(size * level, float(mood[LOT])), room))
            if lots < 1:
                break
            price = passive_price(world, side, centre - side * half * level)
            order_id = next_id(world)
            if submit_limit(world.book, order_id, owner, side, price, lots, label) < 0:
                world.cohorts[who, LOST] += 1
                break
            place = maker * 2 * rules.quote_levels + (level - 1) * 2 + (0 if side == BUY else 1)
            world.resting[who, place] = order_id
            room -= lots
