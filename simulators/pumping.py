"""A pump group: quiet gathering, a rush of aggressive orders on a signal, and the sale.

The organiser is the group's first trader. It gathers at a share of all volume, buys with the members when the rush
begins, and sells before them. All of it happens only where a storm's knobs say so. Knows nothing of the price that
comes of it, nor of those who follow it (`following`).
"""

from ..market.jit import inlined_kernel, lean_kernel
from ..market.orders import to_lots
from .cohorts import due_share
from .draws import rekey, uniform
from .ladder import POSITION, codes
from .matching import BUY, MARKET, REDUCE_ONLY, SELL
from .placing import LANE_ARRIVAL, NO_PRICE
from .population import Pumpers
from .posting import NO_LIFE, draw_priority, post
from .world import (
    DUMP,
    FIRST_OWNER,
    HALT,
    LOT,
    PARTICIPATION,
    RUSH,
    SIZE,
    STEP,
    VENUE,
    Label,
    World,
)

# columns of a member: two of the organiser's as `cohorts.due_share` has them, lots held before the rush, when its last
# orders have arrived, and of the organiser whether the group is at work, and whether in a rush
GATHERED, GATHERS_SINCE, BEFORE, READY_AT, AWAKE, RUSHING = range(6)
(AT_MARKET,) = codes(MARKET, MARKET + 1)
(REDUCING_MARKET,) = codes(MARKET | REDUCE_ONLY, (MARKET | REDUCE_ONLY) + 1)
OF_PUMP, OF_DUMP = codes(Label.PUMP, Label.DUMP + 1)
(LANE_SALES,) = codes(1 << 20, (1 << 20) + 1)


@inlined_kernel
def act_pumpers(world: World, who: int, rules: Pumpers) -> None:
    """Do what the storm asks of the group; without a storm, nothing."""
    knobs, me = world.knobs, int(world.cohorts[who, FIRST_OWNER])
    if rules.traders == 0 or world.knobs[VENUE, HALT] > 0.0:
        return
    if knobs[who, PARTICIPATION] != 0.0 or knobs[who, RUSH] > 0.0 or knobs[who, DUMP] > 0.0:
        _work(world, who, rules)
    elif world.traders[me, AWAKE] != 0.0:
        world.traders[me, AWAKE] = 0.0
        world.traders[me, RUSHING] = 0.0


@lean_kernel
def _work(world: World, who: int, rules: Pumpers) -> None:
    """Gather, rush and sell, as far as each is asked for."""
    knobs, me = world.knobs, int(world.cohorts[who, FIRST_OWNER])
    if world.traders[me, AWAKE] == 0.0:
        world.traders[me, AWAKE] = 1.0
        due_share(world, me, 0.0)
    _gather(world, who, rules, float(knobs[who, PARTICIPATION]))
    if knobs[who, RUSH] > 0.0:
        _rush(world, who, rules, float(knobs[who, RUSH]))
    else:
        world.traders[me, RUSHING] = 0.0
    if knobs[who, DUMP] > 0.0:
        _dump(world, who, rules, float(knobs[who, DUMP]))


@lean_kernel
def _gather(world: World, who: int, rules: Pumpers, share: float) -> None:
    """The organiser keeps up with its share of all volume, in orders no larger than a member's."""
    me = int(world.cohorts[who, FIRST_OWNER])
    most = to_lots(rules.size * float(world.knobs[who, SIZE]), float(world.mood[LOT]))
    lots = min(due_share(world, me, share), most)
    if lots < 1:
        return
    rekey(world.stream, world.keys, who, int(world.clock[STEP]), LANE_SALES)
    up = share > 0.0
    side, label = BUY if up else SELL, OF_PUMP if up else OF_DUMP
    post(world, who, me, AT_MARKET, side, NO_PRICE, lots, NO_LIFE, rules.latency, draw_priority(world), label)
    world.traders[me, GATHERED] += lots


@lean_kernel
def _rush(world: World, who: int, rules: Pumpers, hazard: float) -> None:
    """Whoever wakes buys at market until it has bought its budget; the organiser is awake."""
    step, me, state = int(world.clock[STEP]), int(world.cohorts[who, FIRST_OWNER]), world.traders
    budget = to_lots(rules.budget * float(world.knobs[who, SIZE]), float(world.mood[LOT]))
    begins = state[me, RUSHING] == 0.0
    state[me, RUSHING] = 1.0
    for member in range(rules.traders):
        owner = me + member
        held = int(world.book.accounts[owner, POSITION])
        if begins:
            state[owner, BEFORE] = held
        left = budget - (held - int(state[owner, BEFORE]))
        if left < 1 or state[owner, READY_AT] > step:
            continue
        rekey(world.stream, world.keys, who, step, LANE_ARRIVAL + member)
        if uniform(world.stream) < hazard or member == 0:
            _buy_in_a_burst(world, who, rules, owner, left)
            state[owner, READY_AT] = step + rules.latency


@inlined_kernel
def _buy_in_a_burst(world: World, who: int, rules: Pumpers, owner: int, left: int) -> None:
    """Several market orders at once, no more than `left` lots together."""
    scale, priority = rules.size * float(world.knobs[who, SIZE]), draw_priority(world)
    for _ in range(rules.burst):
        lots = min(to_lots(scale * (0.5 + uniform(world.stream)), float(world.mood[LOT])), left)
        if lots < 1:
            break
        post(world, who, owner, AT_MARKET, BUY, NO_PRICE, lots, NO_LIFE, rules.latency, priority, OF_PUMP)
        left -= lots


@lean_kernel
def _dump(world: World, who: int, rules: Pumpers, hazard: float) -> None:
    """The organiser sells a slice every step; once it is out, so does whoever of the members wakes."""
    step, me = int(world.clock[STEP]), int(world.cohorts[who, FIRST_OWNER])
    least, accounts, state = rules.size * float(world.knobs[who, SIZE]), world.book.accounts, world.traders
    members = 1 if accounts[me, POSITION] > 0 else rules.traders
    for member in range(members):
        owner = me + member
        held = int(accounts[owner, POSITION])
        if held <= 0 or state[owner, READY_AT] > step:
            continue
        rekey(world.stream, world.keys, who, step, LANE_SALES + 1 + member)
        if uniform(world.stream) >= hazard and member > 0:
            continue
        slice_lots = max(int(rules.slice * held), to_lots(least, float(world.mood[LOT])), 1)
        sell(world, who, owner, min(held, slice_lots), rules.latency, OF_DUMP)
        state[owner, READY_AT] = step + rules.latency


@inlined_kernel
def sell(world: World, who: int, owner: int, lots: int, latency: int, label: int) -> None:
    """Sell at market what one has and no more."""
    priority = draw_priority(world)
    post(world, who, owner, REDUCING_MARKET, SELL, NO_PRICE, lots, NO_LIFE, latency, priority, label)
