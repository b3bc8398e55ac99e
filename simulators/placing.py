"""What every cohort does alike: how busy it is, how far from the price it quotes, and how it sends an order.

Orders of the crowd at market are immediate or cancel; its limit orders never take: they step back behind the other
side where the price moved while they travelled. Knows nothing of why a trader trades.
"""

import math

from ..market.jit import inlined_kernel
from .draws import normal
from .ladder import codes
from .matching import MARKET, POST_SLIDE
from .posting import NO_LIFE, life_of, post
from .world import ACTIVITY, ALARM, DISTANCE, FACTOR, FIRST_OWNER, LIFE, MARK, World

LANE_COUNT, LANE_ARRIVAL = codes(1, 3)  # streams of one cohort in one step
(NO_PRICE,) = codes(0, 1)


@inlined_kernel
def activity_of(world: World, who: int) -> float:
    """How busy a cohort is, 1 in the middle."""
    return max(float(world.mood[ACTIVITY]), float(world.knobs[who, ALARM]))


@inlined_kernel
def factor_of(world: World, who: int) -> float:
    """How lively a cohort finds the market, 1 in the middle."""
    return max(float(world.mood[FACTOR]), float(world.knobs[who, ALARM]))


@inlined_kernel
def distance_of(world: World, who: int, median: float, sd: float) -> float:
    """Ticks away from the price: lognormal, wider when the market is lively."""
    scale = median * (0.3 + factor_of(world, who)) * float(world.knobs[who, DISTANCE])
    return scale * math.exp(sd * normal(world.stream))


@inlined_kernel
def take(world: World, who: int, trader: int, side: int, lots: int, latency: int, priority: int) -> int:
    """Send a market order; return its id, 0 where none went."""
    if lots < 1:
        return 0
    owner, label = int(world.cohorts[who, FIRST_OWNER]) + trader, int(world.cohorts[who, MARK])
    return post(world, who, owner, MARKET, side, NO_PRICE, lots, NO_LIFE, latency, priority, label)


@inlined_kernel
def rest(
    world: World, who: int, trader: int, side: int, ticks: float, lots: int, life: float, latency: int, priority: int
) -> int:
    """Send a limit order near `ticks` with a drawn life of mean `life`; return its id, 0 where none went."""
    if lots < 1:
        return 0
    owner, label = int(world.cohorts[who, FIRST_OWNER]) + trader, int(world.cohorts[who, MARK])
    steps = life_of(world, life * float(world.knobs[who, LIFE]))
    price = on_grid(world, ticks)
    return post(world, who, owner, POST_SLIDE, side, price, lots, steps, latency, priority, label)


@inlined_kernel
def on_grid(world: World, ticks: float) -> int:
    """The nearest price of the book."""
    return int(min(max(ticks + 0.5, 1.0), float(len(world.book.levels) - 1)))
