"""Late followers: they see a fast rise, chase it at market, and sell when it breaks.

They look only where a storm lets them, and each buys once a storm; but what they hold they look after until it is
sold. Knows nothing of who made the price rise.
"""

from ..market.jit import inlined_kernel, lean_kernel
from ..market.orders import to_lots
from .draws import rekey, uniform
from .ladder import POSITION, codes
from .matching import BUY
from .placing import LANE_ARRIVAL, NO_PRICE
from .population import Followers
from .posting import NO_LIFE, draw_priority, post
from .pumping import AT_MARKET, sell
from .world import FIRST_OWNER, HALT, HISTORY, LOG_MID, LOT, RUSH, SIZE, STEP, VENUE, Label, World

# columns of a follower: the highest log price since it bought, whether it bought in this storm, when its last order has
# arrived, and whether any of them is at work (the first one's)
HIGHEST, BOUGHT, READY_AT, AWAKE = range(4)
(OF_FOLLOWING,) = codes(Label.FOLLOW, Label.FOLLOW + 1)


@inlined_kernel
def act_followers(world: World, who: int, rules: Followers) -> None:
    """Look at the price where a storm lets them, and look after what was bought until it is sold."""
    if rules.traders == 0 or world.knobs[VENUE, HALT] > 0.0:
        return
    me = int(world.cohorts[who, FIRST_OWNER])
    if world.knobs[who, RUSH] > 0.0 or world.traders[me, AWAKE] != 0.0:
        _follow(world, who, rules)


@lean_kernel
def _follow(world: World, who: int, rules: Followers) -> None:
    """Buy what has risen fast, once a storm; sell what broke, or what rises no more."""
    step, me, state = int(world.clock[STEP]), int(world.cohorts[who, FIRST_OWNER]), world.traders
    looks, log_mid = float(world.knobs[who, RUSH]), float(world.mood[LOG_MID])
    rise = log_mid - float(world.history[(step - int(rules.horizon)) & (HISTORY - 1)])
    awake = looks > 0.0
    for trader in range(rules.traders):
        owner = me + trader
        held, waits = int(world.book.accounts[owner, POSITION]), state[owner, READY_AT] > step
        awake = awake or held > 0 or waits
        if held > 0:
            state[owner, HIGHEST] = max(float(state[owner, HIGHEST]), log_mid)
            broke = log_mid < float(state[owner, HIGHEST]) - rules.stop or rise <= 0.0
            if broke and not waits and _wakes(world, who, trader, rules.rate):
                sell(world, who, owner, held, rules.latency, OF_FOLLOWING)
                state[owner, READY_AT] = step + rules.latency
        elif state[owner, BOUGHT] == 0.0 and rise > rules.threshold and _wakes(world, who, trader, looks):
            _chase(world, who, rules, owner)
    state[me, AWAKE] = 1.0 if awake else 0.0
    if not awake:
        for owner in range(me, me + rules.traders):
            state[owner, BOUGHT] = 0.0


@inlined_kernel
def _wakes(world: World, who: int, trader: int, hazard: float) -> bool:
    """Whether a trader looks in this step; turns to its stream."""
    rekey(world.stream, world.keys, who, int(world.clock[STEP]), LANE_ARRIVAL + trader)
    return bool(uniform(world.stream) < hazard)


@inlined_kernel
def _chase(world: World, who: int, rules: Followers, owner: int) -> None:
    """Buy at market, and remember the price."""
    lots = to_lots(rules.size * float(world.knobs[who, SIZE]), float(world.mood[LOT]))
    if lots < 1:
        return
    priority, state = draw_priority(world), world.traders
    post(world, who, owner, AT_MARKET, BUY, NO_PRICE, lots, NO_LIFE, rules.latency, priority, OF_FOLLOWING)
    state[owner, BOUGHT] = 1.0
    state[owner, HIGHEST] = world.mood[LOG_MID]
    state[owner, READY_AT] = int(world.clock[STEP]) + rules.latency
