"""The walk of the arenas: how N desks in N markets live until their next wake, compiled.

Orders, limits, the crowd's steps, fills, ledger, reward and the house's columns, in the order in which `ArenaEnv` takes
them. Knows arrays only; `arena_engine` gives them their meaning.
"""

from typing import Any

from ..market.bars import Bar
from ..market.jit import batch_kernel, call_at, inlined_kernel, lean_kernel, prange
from ..market.ledger import Account, apply_fill, mark, read_account, write_account
from ..market.limits import allowed_lots
from ..market.terms import Terms, read_terms
from ..simulators import matching
from ..simulators import world as crowd
from ..simulators.ladder import LAST, LOGGED
from ..simulators.outsiders import post_outside
from ..simulators.stepping import Rules
from ..simulators.world import World as Crowd
from ..simulators.worlds import world_at
from .arena_book import write_block
from .arena_field import (
    ANSWERED,
    BLOCK,
    BOOK,
    CLOSED,
    DONE,
    FILLED,
    FILLS_LOST,
    FUNDING_BPS,
    INSIDE,
    INTERVAL_MS,
    LATENCY,
    LEVELS,
    LOT,
    NO_ROOM,
    ON_FILL,
    OPENED_AT,
    ORDERED,
    ORDERS,
    OWNER,
    READ,
    STEPS,
    STUCK,
    TICK,
    UNTIL,
    WAKE,
    WITNESSED,
    Field,
    Floats,
    Ground,
)
from .arena_orders import OVERFULL, ROOM, Menu, act, has_filled, settle, withdraw
from .arena_settle import close_account, roll_into
from .arena_show import show_closed_bar
from .desk import order_lots
from .rewards import Rule, reward_into
from .world import EQUITY, LENGTH, RETURN, Step, Witness

OUTSIDE_IDS, FILLS_ROOM, REPLIES_ROOM = crowd.OUTSIDE_IDS, crowd.FILLS_ROOM, crowd.REPLIES_ROOM
BUY, SELL, AT_MARKET = matching.BUY, matching.SELL, matching.MARKET


@batch_kernel
def walk_all(
    worlds: Any,
    code: Any,
    value: Any,
    noise: Any,
    fundamental: Any,
    trend: Any,
    contrarian: Any,
    makers: Any,
    readers: Any,
    leveraged: Any,
    executor: Any,
    pumpers: Any,
    followers: Any,
    spoofer: Any,
    ground: Ground,
    field: Field,
    witness: Witness,
    exposures: Floats,
    step: Step,
) -> int:
    """To the next wake in every market, on all threads; how many episodes ended. Rows that are DONE rest.

    The crowd's rules come one by one: a parallel loop takes no tuples of tuples.
    """
    for i in prange(len(exposures)):
        rules = Rules(
            value,
            noise,
            fundamental,
            trend,
            contrarian,
            makers,
            readers,
            leveraged,
            executor,
            pumpers,
            followers,
            spoofer,
        )
        walk_row(i, world_at(worlds, i), code, rules, ground, field, witness, float(exposures[i]), step)
    ended = 0
    for i in range(len(exposures)):
        if step.terminated[i] or step.truncated[i]:
            ended += 1
    return ended


@lean_kernel
def walk_row(
    i: int,
    world: Crowd,
    code: Any,
    rules: Rules,
    ground: Ground,
    field: Field,
    witness: Witness,
    exposure: float,
    step: Step,
) -> None:
    """One market, from the action to the house's columns; an order-level action comes as its code."""
    field.wrong[i] = 0
    step.rewards[i] = 0.0
    step.terminated[i] = False
    step.truncated[i] = False
    if field.clock[i, DONE] != 0:
        _rest(i, field)
        return
    terms = read_terms(ground.base, 0)
    before = read_account(field.money, field.counts, i)
    lots = _order(i, world, exposure, before, terms, ground, field)
    if not _trade(world, code, rules, ground):
        field.wrong[i] = STUCK
        return
    after = _settle(i, before, world, terms, ground, field)
    field.lots[i, ORDERED] = lots
    write_account(field.money, field.counts, i, after)
    if ground.options[WITNESSED] != 0:
        write_account(witness.money, witness.counts, i, before)
        write_account(witness.money_after, witness.counts_after, i, after)
    step.rewards[i] = _reward(i, before, after, ground, field)
    terminated = after.ruin != 0 or (terms.terminate_on_halt > 0.0 and after.state == 2)
    step.terminated[i] = terminated
    step.truncated[i] = not terminated and int(world.clock[crowd.BARS]) - 1 >= field.clock[i, UNTIL]
    _look_at_book(i, world, ground, field)
    if ground.options[ORDERS] != 0 and (terminated or step.truncated[i]):
        own = field.orders[i * ROOM : (i + 1) * ROOM]
        if not withdraw(world, own, True, True, _menu(ground)):
            field.wrong[i] = NO_ROOM


@inlined_kernel
def _rest(i: int, field: Field) -> None:
    """NEXT_STEP autoreset: this step only begins the next episode; its action is ignored."""
    for k in range(field.parts.shape[1]):
        field.parts[i, k] = 0.0
    field.lots[i, ORDERED] = 0
    field.lots[i, FILLED] = 0


@inlined_kernel
def _order(i: int, world: Crowd, action: float, account: Account, terms: Terms, ground: Ground, field: Field) -> int:
    """Send what the action asks for, at the price of now; signed lots."""
    now = float(field.closes[i])
    if ground.options[ORDERS] != 0:
        own = field.orders[i * ROOM : (i + 1) * ROOM]
        lots = act(world, own, int(action), account, now, _menu(ground), terms)
        if lots == OVERFULL:
            field.wrong[i] = NO_ROOM
        return lots
    lots = allowed_lots(order_lots(action, account, now, terms), account, now, terms)
    if lots != 0 and not _send(world, lots, ground):
        field.wrong[i] = NO_ROOM
    return lots


@inlined_kernel
def _menu(ground: Ground) -> Menu:
    options = ground.options
    return Menu(int(options[OWNER]), int(options[LATENCY]), int(options[LEVELS]), ground.sizes)


@inlined_kernel
def _send(world: Crowd, lots: int, ground: Ground) -> bool:
    """Put a market order on its way, as `Outsiders.send` does."""
    clock = world.clock
    clock[crowd.NEXT_OUTSIDE_ID] += 1
    order_id = OUTSIDE_IDS + int(clock[crowd.NEXT_OUTSIDE_ID])
    side = BUY if lots > 0 else SELL
    steps, owner = int(ground.options[LATENCY]), int(ground.options[OWNER])
    return bool(post_outside(world, steps, AT_MARKET, order_id, owner, side, 0, abs(lots), 0))


@inlined_kernel
def _trade(world: Crowd, code: Any, rules: Rules, ground: Ground) -> bool:
    """Let the crowd trade until the next wake, the running bar's close at the latest; no events are kept."""
    options, read = ground.options, int(world.clock[crowd.FILLS])
    left = min(int(options[STEPS]) - int(world.clock[crowd.STEPS]), int(options[WAKE]))
    world.book.head[LOGGED] = 0
    for _ in range(2 * left + 1):
        if left <= 0:
            return True
        wanted = 1 if options[ON_FILL] != 0 else left
        ran = call_at(code, world, rules, wanted)
        left -= ran
        if ran < wanted:
            world.book.head[LOGGED] = 0
        elif options[ON_FILL] != 0 and has_filled(
            world.fills, read, int(world.clock[crowd.FILLS]), int(options[OWNER])
        ):
            return True
    return left <= 0


@inlined_kernel
def _last_bar(i: int, world: Crowd, ground: Ground, field: Field) -> Bar:
    """The bar that finished last, as `tape.bar_of` reads it."""
    bars, row = world.bars, int(world.clock[crowd.BARS]) - 1
    tick, lot = float(ground.amounts[TICK]), float(ground.amounts[LOT])
    return Bar(
        int(field.clock[i, OPENED_AT]) + int(ground.options[INTERVAL_MS]) * row,
        int(bars[row, crowd.OPEN]) * tick,
        int(bars[row, crowd.HIGH]) * tick,
        int(bars[row, crowd.LOW]) * tick,
        int(bars[row, crowd.CLOSE]) * tick,
        int(bars[row, crowd.VOLUME]) * lot,
        int(bars[row, crowd.TAKER_BUY]) * lot,
        int(bars[row, crowd.TRADE_COUNT]),
    )


@inlined_kernel
def _settle(i: int, before: Account, world: Crowd, terms: Terms, ground: Ground, field: Field) -> Account:
    """Book what happened since the last wake, as `ArenaEnv` does; the account as it is to be shown."""
    options, clock = ground.options, field.clock
    closed, inside = int(world.clock[crowd.STEPS]) == 0, options[INSIDE] != 0
    account = read_account(field.booked_money, field.booked_counts, i) if inside else before
    if clock[i, CLOSED] != 0:
        row = int(world.clock[crowd.BARS]) - (1 if closed else 0)
        account = roll_into(account, int(clock[i, OPENED_AT]) + int(options[INTERVAL_MS]) * row, terms)
    held = account.lots
    account = _book_fills(i, account, world, terms, ground, field)
    field.lots[i, FILLED] = account.lots - held
    clock[i, CLOSED] = 1 if closed else 0
    if closed:
        bar = _last_bar(i, world, ground, field)
        show_closed_bar(i, bar, ground, field)
        account = close_account(account, bar, int(options[INTERVAL_MS]), float(ground.amounts[FUNDING_BPS]), terms)
    if inside:
        write_account(field.booked_money, field.booked_counts, i, account)
    field.closes[i] = int(world.book.head[LAST]) * float(ground.amounts[TICK])
    return account if closed else mark(account, float(field.closes[i]), terms)


@inlined_kernel
def _book_fills(i: int, account: Account, world: Crowd, terms: Terms, ground: Ground, field: Field) -> Account:
    read, end = int(field.clock[i, READ]), int(world.clock[crowd.FILLS])
    answered, replies = int(field.clock[i, ANSWERED]), int(world.clock[crowd.REPLIES])
    owner = int(ground.options[OWNER])
    field.clock[i, READ] = end
    field.clock[i, ANSWERED] = replies
    if end - read > FILLS_ROOM or replies - answered > REPLIES_ROOM:
        field.wrong[i] = FILLS_LOST
    if ground.options[ORDERS] != 0:
        own = field.orders[i * ROOM : (i + 1) * ROOM]
        return settle(world, own, read, answered, account, owner, terms)[0]
    for k in range(read, end):
        row = k & (FILLS_ROOM - 1)
        if world.fills[row, crowd.FILL_OWNER] == owner:
            lots = int(world.fills[row, crowd.FILL_LOTS])
            price = int(world.fills[row, crowd.FILL_TICKS]) * terms.tick
            account = apply_fill(account, lots, price, abs(lots) * terms.lot * price * terms.taker_fee, terms)
    return account


@inlined_kernel
def _look_at_book(i: int, world: Crowd, ground: Ground, field: Field) -> None:
    options = ground.options
    if options[BLOCK] != 0:
        own = field.orders[i * ROOM : (i + 1) * ROOM] if options[ORDERS] != 0 else field.orders[:0]
        inside, ours = int(options[INSIDE]), int(options[ORDERS])
        write_block(world, own, float(field.units[i]), int(options[BOOK]), inside, ours, field.block[i])


@inlined_kernel
def _reward(i: int, before: Account, after: Account, ground: Ground, field: Field) -> float:
    rule, told = Rule(ground.watched, ground.weights), field.parts.shape[1]
    reward = reward_into(i, before, after, rule, field.parts, field.sums, field.moments)
    field.sums[i, told + RETURN] += reward
    field.sums[i, told + LENGTH] += 1.0
    field.sums[i, told + EQUITY] = after.equity
    return float(reward)
