"""How market makers act: both sides, several levels, leaning against inventory and with the flow of orders.

They count orders, not lots, for a large trader cuts its order up: so a metaorder moves the price by less than in
proportion to its size.

Knows nothing of other traders.
"""

import math

from ..market.jit import inlined_kernel
from ..market.orders import to_lots
from .draws import rekey
from .ladder import POSITION, find
from .matching import BUY, POST_SLIDE, SELL
from .placing import LANE_ARRIVAL, factor_of, on_grid
from .population import Makers
from .posting import NO_LIFE, draw_priority, post, post_cancel
from .world import DISTANCE, FIRST_OWNER, FLOW, HALT, INVENTORY, LEAN, LOT, MARK, MID, SIZE, STEP, VENUE, World


@inlined_kernel
def act_makers(world: World, who: int, rules: Makers) -> None:
    """Replace the quotes of the makers whose turn it is; a halted venue is left alone."""
    if world.knobs[VENUE, HALT] > 0.0:
        return
    step = int(world.clock[STEP])
    every = max(rules.every, 1)
    for maker in range(rules.traders):
        if (step + maker * every // max(rules.traders, 1)) % every == 0:
            rekey(world.stream, world.keys, who, step, LANE_ARRIVAL + maker)
            priority = draw_priority(world)
            _pull_quotes(world, who, rules, maker, priority)
            _quote(world, who, rules, maker, priority)


@inlined_kernel
def _pull_quotes(world: World, who: int, rules: Makers, maker: int, priority: int) -> None:
    width, owner = 2 * rules.quote_levels, int(world.cohorts[who, FIRST_OWNER]) + maker
    for place in range(maker * width, (maker + 1) * width):
        order_id = int(world.quotes[place])
        if order_id != 0:
            if find(world.book, order_id) != 0:
                post_cancel(world, who, owner, order_id, rules.latency, priority)
            world.quotes[place] = 0


@inlined_kernel
def _quote(world: World, who: int, rules: Makers, maker: int, priority: int) -> None:
    mood, knobs, label = world.mood, world.knobs, int(world.cohorts[who, MARK])
    owner = int(world.cohorts[who, FIRST_OWNER]) + maker
    factor = factor_of(world, who)
    limit = max(1.0, rules.inventory_limit * float(knobs[who, INVENTORY]) / max(1e-12, float(mood[LOT])))
    held = float(world.book.accounts[owner, POSITION])
    lean = min(1.0, max(-1.0, held / limit))
    half = rules.half_spread * (0.5 + factor) * float(knobs[who, DISTANCE])
    flow = min(1.0, max(-1.0, float(mood[FLOW]) / max(1e-12, rules.flow_usual)))
    centre = float(mood[MID]) + (flow * rules.flow_lean * float(knobs[who, LEAN]) - lean * rules.skew) * half
    size = rules.size * float(knobs[who, SIZE]) * math.exp(-rules.shrink * max(0.0, math.log(max(1e-12, factor))))
    place = maker * 2 * rules.quote_levels
    for up in range(2):
        side = BUY if up == 0 else SELL
        room = limit - side * held
        for level in range(1, rules.quote_levels + 1):
            lots = int(min(float(to_lots(size * level, float(mood[LOT]))), room))
            if lots < 1:
                break
            price = on_grid(world, centre - side * half * level)
            world.quotes[place + 2 * level - 2 + up] = post(
                world, who, owner, POST_SLIDE, side, price, lots, NO_LIFE, rules.latency, priority, label
            )
            room -= lots
