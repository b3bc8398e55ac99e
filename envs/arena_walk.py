"""The walk of the arenas: how N desks in N markets live through one bar, compiled.

Order, limits, the crowd's bar, fills, ledger, reward and the house's columns, in the order in which `ArenaEnv` takes
them. Knows arrays only; `arena_engine` gives them their meaning.
"""

from typing import Any

from ..market.bars import DAY_MS, Bar
from ..market.costs import assumed_funding
from ..market.exchange import Quote, end_bar
from ..market.jit import batch_kernel, call_at, inlined_kernel, lean_kernel, prange
from ..market.ledger import Account, apply_fill, pay_borrow, pay_funding, read_account, write_account
from ..market.limits import allowed_lots, day_roll
from ..market.terms import Terms, read_terms
from ..simulators import matching
from ..simulators import world as crowd
from ..simulators.ladder import LOGGED
from ..simulators.outsiders import post_outside
from ..simulators.stepping import Rules
from ..simulators.world import World as Crowd
from ..simulators.worlds import world_at
from .arena_field import (
    BASE_MS,
    BEGIN,
    DAYS,
    DONE,
    END,
    FILLED,
    FILLS_LOST,
    FIRST,
    FUNDING_BPS,
    HIGHER_MS,
    INTERVAL_MS,
    LATENCY,
    LOT,
    MEMORY,
    NO_ROOM,
    OPENED_AT,
    ORDERED,
    OWNER,
    READ,
    STEPS,
    STOP,
    STUCK,
    TICK,
    UNTIL,
    WIDTH,
    WINDOW,
    WITNESSED,
    Columns,
    Field,
    Flags,
    Floats,
    Ground,
)
from .desk import N_ACCOUNT, account_columns, order_lots
from .house import Group, show_bar
from .kinds import PLACE
from .rewards import Rule, reward_into
from .timeframes import GATHERING
from .world import EQUITY, LENGTH, RETURN, Step, Witness

OUTSIDE_IDS, FILLS_ROOM = crowd.OUTSIDE_IDS, crowd.FILLS_ROOM
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
    """One bar in every market, on all threads; how many episodes ended. Rows that are DONE rest.

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
def show_all(mask: Flags, ground: Ground, field: Field, observations: Columns) -> None:
    """Observe every desk where `mask` is set: move its window of accounts on, and write the observation."""
    for i in range(len(mask)):
        if mask[i]:
            _show(i, ground, field, observations)


@lean_kernel
def begin_row(i: int, ground: Ground, field: Field) -> None:
    """Before an episode its account had nothing: a window shows the fresh account for the bars before the first."""
    columns = account_columns(
        read_account(field.money, field.counts, i), float(field.closes[i]), read_terms(ground.base, 0)
    )
    for w in range(int(ground.options[WINDOW])):
        for k in range(N_ACCOUNT):
            field.accounts[i, w * N_ACCOUNT + k] = columns[k]
    for k in range(field.sums.shape[1]):
        field.sums[i, k] = 0.0
    for k in range(field.moments.shape[1]):
        field.moments[i, k] = 0.0


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
    """One market's bar, from the action to the house's columns."""
    field.wrong[i] = 0
    step.rewards[i] = 0.0
    step.terminated[i] = False
    step.truncated[i] = False
    if field.clock[i, DONE] != 0:
        _rest(i, field)
        return
    terms = read_terms(ground.base, 0)
    before = read_account(field.money, field.counts, i)
    close = float(field.closes[i])
    lots = allowed_lots(order_lots(exposure, before, close, terms), before, close, terms)
    if lots != 0 and not _send(world, lots, ground):
        field.wrong[i] = NO_ROOM
    if not _trade_bar(world, code, rules, int(ground.options[STEPS])):
        field.wrong[i] = STUCK
        return
    bar = _last_bar(i, world, ground, field)
    if int(world.clock[crowd.FILLS]) - int(field.clock[i, READ]) > FILLS_ROOM:
        field.wrong[i] = FILLS_LOST
    after = _settle(i, before, bar, world, terms, ground, field)
    field.lots[i, ORDERED] = lots
    write_account(field.money, field.counts, i, after)
    if ground.options[WITNESSED] != 0:
        write_account(witness.money, witness.counts, i, before)
        write_account(witness.money_after, witness.counts_after, i, after)
    step.rewards[i] = _reward(i, before, after, ground, field)
    terminated = after.ruin != 0 or (terms.terminate_on_halt > 0.0 and after.state == 2)
    step.terminated[i] = terminated
    step.truncated[i] = not terminated and int(world.clock[crowd.BARS]) - 1 >= field.clock[i, UNTIL]
    _look(i, bar, ground, field)


@inlined_kernel
def _rest(i: int, field: Field) -> None:
    """NEXT_STEP autoreset: this step only begins the next episode; its action is ignored."""
    for k in range(field.parts.shape[1]):
        field.parts[i, k] = 0.0
    field.lots[i, ORDERED] = 0
    field.lots[i, FILLED] = 0


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
def _trade_bar(world: Crowd, code: Any, rules: Rules, steps: int) -> bool:
    """Let the crowd finish the running bar; nothing is kept of its events."""
    left = steps - int(world.clock[crowd.STEPS])
    world.book.head[LOGGED] = 0
    for _ in range(steps + 1):
        if left <= 0:
            return True
        left -= call_at(code, world, rules, left)
        if left > 0:
            world.book.head[LOGGED] = 0
    return False


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
def _settle(i: int, account: Account, bar: Bar, world: Crowd, terms: Terms, ground: Ground, field: Field) -> Account:
    """The bar in DESIGN's order, as `ArenaEnv` settles it."""
    due = assumed_funding(bar.opened_at, int(ground.options[INTERVAL_MS]), float(ground.amounts[FUNDING_BPS]))
    days = float(ground.amounts[DAYS])
    rolled = bar.opened_at % DAY_MS == 0
    if rolled:
        account = day_roll(account, terms)
    end, filled = int(world.clock[crowd.FILLS]), 0
    for k in range(int(field.clock[i, READ]), end):
        row = k & (FILLS_ROOM - 1)
        if world.fills[row, crowd.FILL_OWNER] == ground.options[OWNER]:
            lots = int(world.fills[row, crowd.FILL_LOTS])
            price = int(world.fills[row, crowd.FILL_TICKS]) * terms.tick
            account = apply_fill(account, lots, price, abs(lots) * terms.lot * price * terms.taker_fee, terms)
            filled += lots
    field.clock[i, READ] = end
    field.lots[i, FILLED] = filled
    if account.lots != 0 and due != 0.0:
        account = pay_funding(account, due, bar.open, terms)
    if account.lots != 0 and terms.borrow > 0.0:
        sold = max(-account.lots * terms.lot * bar.open, 0.0)
        account = pay_borrow(account, sold, terms.borrow * days)
    quote = Quote(bar.open, bar.high, bar.low, bar.close, due, 1.0 if rolled else 0.0, days)
    return end_bar(account, quote, terms)[0]


@inlined_kernel
def _reward(i: int, before: Account, after: Account, ground: Ground, field: Field) -> float:
    rule, told = Rule(ground.watched, ground.weights), field.parts.shape[1]
    reward = reward_into(i, before, after, rule, field.parts, field.sums, field.moments)
    field.sums[i, told + RETURN] += reward
    field.sums[i, told + LENGTH] += 1.0
    field.sums[i, told + EQUITY] = after.equity
    return float(reward)


@inlined_kernel
def _look(i: int, bar: Bar, ground: Ground, field: Field) -> None:
    """Show the bar to the desk: its rows move up by one, and the house's columns write theirs into the last."""
    width, last = int(ground.options[WIDTH]), (int(ground.options[WINDOW]) - 1) * int(ground.options[WIDTH])
    rows, groups, floats = field.rows, ground.groups, int(ground.options[MEMORY])
    for k in range(last):
        rows[i, k] = rows[i, k + width]
    field.closes[i] = bar.close
    field.stamps[i] = bar.opened_at
    for g in range(len(groups)):
        first, stop = int(groups[g, FIRST]), int(groups[g, STOP])
        begin, end = i * floats + int(groups[g, BEGIN]), i * floats + int(groups[g, END])
        memory = field.memory[begin:end]
        group = Group(
            int(groups[g, BASE_MS]),
            int(groups[g, HIGHER_MS]),
            ground.plan[first:stop],
            ground.numbers[first:stop],
            memory,
        )
        show_bar(group, bar)
        for j in range(stop - first):
            rows[i, last + int(ground.plan[first + j, PLACE])] = memory[GATHERING + j]


@inlined_kernel
def _show(i: int, ground: Ground, field: Field, observations: Columns) -> None:
    width, window = int(ground.options[WIDTH]), int(ground.options[WINDOW])
    account = read_account(field.money, field.counts, i)
    columns = account_columns(account, float(field.closes[i]), read_terms(ground.base, 0))
    accounts, whole = field.accounts, width + N_ACCOUNT
    for k in range((window - 1) * N_ACCOUNT):
        accounts[i, k] = accounts[i, k + N_ACCOUNT]
    for k in range(N_ACCOUNT):
        accounts[i, (window - 1) * N_ACCOUNT + k] = columns[k]
    for w in range(window):
        for k in range(width):
            observations[i, w * whole + k] = field.rows[i, w * width + k]
        for k in range(N_ACCOUNT):
            observations[i, w * whole + width + k] = accounts[i, w * N_ACCOUNT + k]
