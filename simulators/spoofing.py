"""A spoofer: it shows large orders that it means to cancel, and trades on the other side with those who believe them.

A show lasts some steps, or until the price comes a level nearer; the next one is on the other side, so that what was
sold is bought back. The evasive spoofer looks like a market maker: smaller layers on both sides, sent one by one, of
drawn sizes and lives (after Wang and Wellman, 2020). Knows nothing of who reads the book.
"""

from ..market.jit import inlined_kernel, lean_kernel
from ..market.orders import to_lots
from .climate import READ_LEVELS
from .draws import rekey, uniform
from .ladder import BEST_ASK, BEST_BID, LABEL, POSITION, PRICE, QUEUED, Book, codes, find, next_above, next_below
from .matching import BUY, POST_SLIDE, SELL
from .placing import LANE_ARRIVAL, NO_PRICE
from .population import Spoofer
from .posting import NO_LIFE, draw_priority, post, post_cancel
from .pumping import REDUCING_MARKET
from .world import (
    BIAS,
    FIRST_OWNER,
    HALT,
    LIFE,
    LOT,
    MAKER_ORDERS,
    RATE,
    SHOW,
    STEP,
    VENUE,
    Label,
    World,
)
from .world import SIZE as SIZE_KNOB

# columns of a spoofer: steps at which the next show begins and the running one ends, side of the last one, when its
# last order at market has arrived, whether a show runs, and whether it is at work at all
NEXT_SHOW, ENDS_AT, SHOWN, READY_AT, SHOWING, AWAKE = range(6)
PLACES = 16  # for ids of one spoofer's orders, behind those of the makers
EVASIVE = 2.0  # of the knob SHOW
OF_SPOOF, OF_REAL = codes(Label.SPOOF, Label.SPOOF_REAL + 1)
(SLIDING,) = codes(POST_SLIDE, POST_SLIDE + 1)
(AT_ONCE,) = codes(0, 1)  # the priority of whoever is fastest


@inlined_kernel
def act_spoofer(world: World, who: int, rules: Spoofer) -> None:
    """Show, withdraw or go home, as the storm has it; without one, nothing."""
    first = int(world.cohorts[who, FIRST_OWNER])
    if world.knobs[VENUE, HALT] > 0.0:
        return
    for spoofer in range(rules.traders):
        if world.knobs[who, SHOW] > 0.0 or world.traders[first + spoofer, AWAKE] != 0.0:
            _work(world, who, rules, spoofer)


@lean_kernel
def _work(world: World, who: int, rules: Spoofer, spoofer: int) -> None:
    state, step = world.traders, int(world.clock[STEP])
    owner, shows = int(world.cohorts[who, FIRST_OWNER]) + spoofer, float(world.knobs[who, SHOW])
    if state[owner, SHOWING] != 0.0:
        if state[owner, ENDS_AT] <= step:
            state[owner, SHOWING] = 0.0
        elif shows <= 0.0 or _comes_near(world, rules, spoofer, int(state[owner, SHOWN])):
            _withdraw(world, who, rules, spoofer)
            state[owner, SHOWING] = 0.0
    elif shows <= 0.0:
        _go_home(world, who, rules, owner)
    elif state[owner, AWAKE] == 0.0 or state[owner, NEXT_SHOW] <= step:
        _show(world, who, rules, spoofer)


@lean_kernel
def _show(world: World, who: int, rules: Spoofer, spoofer: int) -> None:
    """Begin a show: layers on one side, the order that is meant on the other."""
    state, knobs, step = world.traders, world.knobs, int(world.clock[STEP])
    owner = int(world.cohorts[who, FIRST_OWNER]) + spoofer
    if world.book.head[BEST_BID] == 0 or world.book.head[BEST_ASK] == 0:
        return
    rekey(world.stream, world.keys, who, step, LANE_ARRIVAL + spoofer)
    priority, side = draw_priority(world), _pick_side(world, owner, float(knobs[who, BIAS]))
    life = max(1, int(rules.life * float(knobs[who, LIFE])))
    wait = max(1.0, rules.cycle / max(1e-6, float(knobs[who, RATE])))
    for place in range(_places(spoofer), _places(spoofer) + PLACES):
        world.quotes[place] = 0
    if knobs[who, SHOW] >= EVASIVE:
        wait *= 0.5 + uniform(world.stream)
        life = 1 + int(life * (0.5 + uniform(world.stream)))
        _quote_like_a_maker(world, who, rules, spoofer, side, life, priority)
        life += rules.stagger
    else:
        _lay_on(world, who, rules, spoofer, side, life, priority)
    _mean_it(world, who, rules, spoofer, -side, life, priority)
    state[owner, AWAKE] = 1.0
    state[owner, SHOWING] = 1.0
    state[owner, SHOWN] = side
    state[owner, ENDS_AT] = step + rules.latency + life
    state[owner, NEXT_SHOW] = step + wait


@inlined_kernel
def _pick_side(world: World, owner: int, bias: float) -> int:
    """The side to show on: the favoured one with probability |bias|, else the other than last time."""
    last, favours, first = int(world.traders[owner, SHOWN]), uniform(world.stream), uniform(world.stream)
    if favours < abs(bias):
        return BUY if bias > 0.0 else SELL
    if last == 0:
        return BUY if first < 0.5 else SELL
    return -last


@lean_kernel
def _lay_on(world: World, who: int, rules: Spoofer, spoofer: int, side: int, life: int, priority: int) -> None:
    """Layers from `first_level` outwards, each a multiple of what a level near the touch holds."""
    price = _level(world.book, side, rules.first_level)
    lots = _layer_lots(world, who, rules, side, 1.0)
    for layer in range(min(rules.layers, PLACES - 1)):
        if price < 1 or price >= len(world.book.levels):
            return
        _place(world, who, spoofer, layer, side, price, lots, life, rules.latency, priority, OF_SPOOF)
        price = _behind(world.book, side, price)


@lean_kernel
def _quote_like_a_maker(
    world: World, who: int, rules: Spoofer, spoofer: int, side: int, life: int, priority: int
) -> None:
    """Quotes on both sides, one by one, of drawn sizes and lives: those on the side of the show are the larger."""
    layers = min(rules.layers, (PLACES - 1) // 2)
    for up in range(2):
        quoted, share, label = (side, rules.evasive, OF_SPOOF) if up == 0 else (-side, rules.disguise, OF_REAL)
        price = _level(world.book, quoted, rules.first_level)
        for layer in range(layers):
            if price < 1 or price >= len(world.book.levels):
                break
            lots = _layer_lots(world, who, rules, quoted, share * (0.5 + uniform(world.stream)))
            late = int(uniform(world.stream) * (1 + rules.stagger))
            lives = max(1, int(life * (0.5 + 0.5 * uniform(world.stream))))
            place = up * layers + layer
            _place(world, who, spoofer, place, quoted, price, lots, lives, rules.latency + late, priority, label)
            price = _behind(world.book, quoted, price)


@inlined_kernel
def _layer_lots(world: World, who: int, rules: Spoofer, side: int, share: float) -> int:
    lots = rules.size * share * float(world.knobs[who, SIZE_KNOB]) * _usual_lots(world.book, side)
    return int(min(lots, rules.size_cap / max(1e-12, float(world.mood[LOT]))))


@lean_kernel
def _usual_lots(book: Book, side: int) -> float:
    """What a level of a side holds, in the mean of those that readers see: the best alone is often one small order."""
    price, lots, count = int(book.head[BEST_BID if side == BUY else BEST_ASK]), 0, 0
    while price > 0 and count < READ_LEVELS:
        lots += int(book.levels[price, QUEUED])
        count += 1
        price = next_below(book, price) if side == BUY else next_above(book, price)
    return lots / max(1, count)


@lean_kernel
def _mean_it(world: World, who: int, rules: Spoofer, spoofer: int, side: int, life: int, priority: int) -> None:
    """The order that is meant, near the touch, of the size that leaves at most `real` held on its side."""
    owner, head = int(world.cohorts[who, FIRST_OWNER]) + spoofer, world.book.head
    touch = int(head[BEST_BID if side == BUY else BEST_ASK])
    price = max(1, touch - side * rules.behind)
    lots = to_lots(rules.real, float(world.mood[LOT])) - side * int(world.book.accounts[owner, POSITION])
    _place(world, who, spoofer, PLACES - 1, side, price, lots, life, rules.latency, priority, OF_REAL)


@inlined_kernel
def _place(
    world: World,
    who: int,
    spoofer: int,
    place: int,
    side: int,
    price: int,
    lots: int,
    life: int,
    latency: int,
    priority: int,
    label: int,
) -> None:
    """Send a limit order that ends by itself after `life` steps in the book, and keep its id."""
    if lots >= 1:
        owner = int(world.cohorts[who, FIRST_OWNER]) + spoofer
        order_id = post(world, who, owner, SLIDING, side, price, lots, life, latency, priority, label)
        world.quotes[_places(spoofer) + place] = order_id


@inlined_kernel
def _comes_near(world: World, rules: Spoofer, spoofer: int, side: int) -> bool:
    """Whether fewer levels than at first lie before a layer."""
    if rules.first_level <= 1:
        return False
    edge = _level(world.book, side, rules.first_level - 1)
    for place in range(_places(spoofer), _places(spoofer) + PLACES):
        slot = find(world.book, int(world.quotes[place])) if world.quotes[place] != 0 else 0
        before = side * (int(world.book.orders[slot, PRICE]) - edge) < 0
        if slot != 0 and world.book.orders[slot, LABEL] == OF_SPOOF and not before:
            return True
    return False


@lean_kernel
def _withdraw(world: World, who: int, rules: Spoofer, spoofer: int) -> None:
    """Cancel everything that would not end by itself before the cancel arrives."""
    owner = int(world.cohorts[who, FIRST_OWNER]) + spoofer
    lasts = world.traders[owner, ENDS_AT] > int(world.clock[STEP]) + rules.latency
    for place in range(_places(spoofer), _places(spoofer) + PLACES):
        order_id = int(world.quotes[place])
        if lasts and order_id != 0 and find(world.book, order_id) != 0:
            post_cancel(world, who, owner, order_id, rules.latency, AT_ONCE)
        world.quotes[place] = 0


@lean_kernel
def _go_home(world: World, who: int, rules: Spoofer, owner: int) -> None:
    """The storm is over: close what is held at market, then sleep."""
    held, state, step = int(world.book.accounts[owner, POSITION]), world.traders, int(world.clock[STEP])
    if state[owner, READY_AT] > step or state[owner, ENDS_AT] > step:
        return
    if held == 0:
        state[owner, AWAKE] = 0.0
        state[owner, SHOWN] = 0.0
        return
    side = SELL if held > 0 else BUY
    rekey(world.stream, world.keys, who, step, LANE_ARRIVAL)
    priority = draw_priority(world)
    post(world, who, owner, REDUCING_MARKET, side, NO_PRICE, abs(held), NO_LIFE, rules.latency, priority, OF_REAL)
    state[owner, READY_AT] = step + rules.latency


@inlined_kernel
def _places(spoofer: int) -> int:
    """Where a spoofer's order ids are kept."""
    return MAKER_ORDERS + PLACES * spoofer


@lean_kernel
def _level(book: Book, side: int, rank: int) -> int:
    """The price of a side's `rank`-th level, counted from 1; ticks beyond the last where there are fewer."""
    price = int(book.head[BEST_BID if side == BUY else BEST_ASK])
    for _ in range(rank - 1):
        price = _behind(book, side, price)
    return price


@inlined_kernel
def _behind(book: Book, side: int, price: int) -> int:
    """The next occupied price away from the touch, or the next tick where there is none."""
    further = next_below(book, price) if side == BUY else next_above(book, price)
    return further if further != 0 else price - side
