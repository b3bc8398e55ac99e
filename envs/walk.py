"""The walk: how N episodes on one tape live through one bar, compiled.

DESIGN's "one bar in order" is written here once: action, order, limits, venue, ledger, reward, observation, and what
happens at an episode's end. Knows arrays only; `episodes` gives them their meaning.
"""

import math

import numpy as np

from ..market.draws import uniform
from ..market.exchange import Quote, begin_bar, close_for_gap, end_bar
from ..market.jit import batch_kernel, copy_cells, inlined_kernel, lean_kernel, prange, prefetch_cells
from ..market.ledger import Account, fresh_account, read_account, write_account
from ..market.limits import allowed_lots
from ..market.terms import Terms, read_terms
from .desk import N_ACCOUNT, columns_of, order_lots
from .rewards import Rule, reward_into
from .starts import stretch_of
from .tape import CLOSE, FUNDING, HIGH, LINE, LOW, OPEN, ROLLED, SIGMA, VOLUME
from .world import (
    AT,
    CASH,
    DAYS,
    DONE,
    ENDS_IN_GAP,
    EPISODE,
    EQUITY,
    FILLED,
    LENGTH,
    LENGTH_OPTION,
    LOG_VARY,
    ORDERED,
    RANDOM_START,
    RETURN,
    SAME_STEP,
    UNTIL,
    VARIED,
    WIDTH,
    WINDOW,
    WITNESSED,
    Columns,
    Flags,
    Floats,
    Ints,
    Running,
    Step,
    Witness,
    World,
)

BLOCK = 64  # episodes a thread takes at once
VARIED_TERMS = ((6, 7), (8, 8), (9, 9))  # columns of a terms row that share a factor: fees, half-spread, impact


@batch_kernel
def walk_parallel(world: World, running: Running, witness: Witness, exposures: Floats, step: Step) -> int:
    """One bar for every episode, on all threads; how many episodes ended."""
    n = len(exposures)
    blocks = (n + BLOCK - 1) // BLOCK
    ended = np.zeros(blocks, np.int64)
    for block in prange(blocks):
        low, high = block * BLOCK, min(block * BLOCK + BLOCK, n)
        ended[block] = walk_block(low, high, world, running, witness, exposures, step)
    total = 0
    for block in range(blocks):
        total += ended[block]
    return total


@lean_kernel
def walk_serial(world: World, running: Running, witness: Witness, exposures: Floats, step: Step) -> int:
    """The same on this thread."""
    return walk_block(0, len(exposures), world, running, witness, exposures, step)


@lean_kernel
def begin_many(world: World, running: Running, mask: Flags, starts: Ints, observations: Columns) -> None:
    """Begin a new episode where `mask` is set, at `starts[i]`, or by the env's own rule where that is -1."""
    for i in range(len(mask)):
        if mask[i]:
            _begin(i, int(starts[i]), world, running)
            _show(i, read_terms(world.base, 0), world, running, observations)


@lean_kernel
def first_bad(exposures: Floats) -> int:
    """Index of the first exposure that is no number in [-1, 1]; -1 where all are."""
    good = True
    for i in range(len(exposures)):
        good = good and (exposures[i] >= -1.0) and (exposures[i] <= 1.0)
    if good:
        return -1
    for i in range(len(exposures)):
        if not (exposures[i] >= -1.0 and exposures[i] <= 1.0):
            return i
    return -1


@lean_kernel
def walk_block(
    low: int, high: int, world: World, running: Running, witness: Witness, exposures: Floats, step: Step
) -> int:
    """Episodes low … high−1 in three passes, which keep the processor busier than one long one: the arithmetic of an
    episode is a chain, and in a short pass the chains of several overlap."""
    total = 0
    shared = read_terms(world.base, 0)
    varied = world.options[VARIED] != 0
    for i in range(low, high):
        terms = read_terms(world.terms, i) if varied else shared
        _order(i, float(exposures[i]), terms, world, running)
    for i in range(low, high):
        if running.clock[i, DONE] != 0:
            _begin_next(i, world, running, step)
        else:
            terms = read_terms(world.terms, i) if varied else shared
            total += _live(i, terms, world, running, witness, step)
    for i in range(low, high):
        _show(i, shared, world, running, step.observations)
    return total


@inlined_kernel
def _order(i: int, exposure: float, terms: Terms, world: World, running: Running) -> None:
    """The order at the close of the bar where episode `i` stands, and the hint that the next bar is wanted soon."""
    t = int(running.clock[i, AT])
    cells = world.rows.shape[1]
    for line in range(0, cells, LINE):  # on a long tape a row lies in memory, some hundred cycles away
        prefetch_cells(world.rows, (t + 1) * cells + line)
    account = read_account(running.money, running.counts, i)
    close = float(world.prices[t, CLOSE])
    running.lots[i, ORDERED] = allowed_lots(order_lots(exposure, account, close, terms), account, close, terms)


@inlined_kernel
def _begin_next(i: int, world: World, running: Running, step: Step) -> None:
    """NEXT_STEP autoreset: this step only begins the next episode; its action is ignored."""
    step.rewards[i] = 0.0
    step.terminated[i] = False
    step.truncated[i] = False
    for k in range(running.parts.shape[1]):
        running.parts[i, k] = 0.0
    running.lots[i, ORDERED] = 0
    running.lots[i, FILLED] = 0
    _begin(i, -1, world, running)


@inlined_kernel
def _live(i: int, terms: Terms, world: World, running: Running, witness: Witness, step: Step) -> int:
    """Live through the next bar with the order that was made; 1 where the episode ends with it."""
    prices = world.prices
    t = int(running.clock[i, AT])
    before = read_account(running.money, running.counts, i)
    sigma, volume = float(prices[t, SIGMA]), float(prices[t, VOLUME])
    t += 1
    quote = _quote(prices, t, float(world.amounts[DAYS]))
    held, filled, _ = begin_bar(before, int(running.lots[i, ORDERED]), quote, sigma, volume, terms)
    after, _, _ = end_bar(held, quote, terms)
    last = t == running.clock[i, UNTIL]
    if last and running.clock[i, ENDS_IN_GAP] != 0 and after.ruin == 0:
        after = close_for_gap(after, quote.close, float(prices[t, SIGMA]), float(prices[t, VOLUME]), terms)
    terminated = after.ruin != 0 or (terms.terminate_on_halt > 0.0 and after.state == 2)
    running.clock[i, AT] = t
    write_account(running.money, running.counts, i, after)
    running.lots[i, FILLED] = filled
    if world.options[WITNESSED] != 0:
        write_account(witness.money, witness.counts, i, before)
        write_account(witness.money_after, witness.counts_after, i, after)
    step.rewards[i] = _reward(i, before, after, world, running)
    step.terminated[i] = terminated
    step.truncated[i] = last and not terminated
    if terminated or last:
        _finish(i, world, running, step)
        return 1
    return 0


@inlined_kernel
def _quote(prices: Floats, t: int, days: float) -> Quote:
    return Quote(
        float(prices[t, OPEN]),
        float(prices[t, HIGH]),
        float(prices[t, LOW]),
        float(prices[t, CLOSE]),
        float(prices[t, FUNDING]),
        float(prices[t, ROLLED]),
        days,
    )


@inlined_kernel
def _reward(i: int, before: Account, after: Account, world: World, running: Running) -> float:
    parts, sums = running.parts, running.sums
    rule = Rule(world.watched, world.weights)
    reward = reward_into(i, before, after, rule, parts, sums, running.moments)
    told = parts.shape[1]
    sums[i, told + RETURN] += reward
    sums[i, told + LENGTH] += 1.0
    sums[i, told + EQUITY] = after.equity
    return reward


@lean_kernel
def _finish(i: int, world: World, running: Running, step: Step) -> None:
    """An episode is over: keep its sums; with same-step autoreset also its last observation, and begin the next."""
    for k in range(running.sums.shape[1]):
        step.final_sums[i, k] = running.sums[i, k]
    if world.options[SAME_STEP] != 0:
        _show(i, read_terms(world.base, 0), world, running, step.finals)
        _begin(i, -1, world, running)
    else:
        running.clock[i, DONE] = 1


@lean_kernel
def _begin(i: int, start: int, world: World, running: Running) -> None:
    """Everything of an episode is rebuilt here: account, clock, sums, terms, and the bars it will walk."""
    clock, options = running.clock, world.options
    stream, episode = int(running.streams[i]), int(clock[i, EPISODE])
    length, at_random = int(options[LENGTH_OPTION]), int(options[RANDOM_START])
    start, until, ends_in_gap = stretch_of(start, world.segments, length, at_random, stream, episode)
    if options[VARIED] != 0:
        _vary(i, stream, episode, world)
    clock[i, AT] = start
    clock[i, UNTIL] = until
    clock[i, EPISODE] = episode + 1
    clock[i, ENDS_IN_GAP] = ends_in_gap
    clock[i, DONE] = 0
    write_account(running.money, running.counts, i, fresh_account(float(world.amounts[CASH])))
    for k in range(running.sums.shape[1]):
        running.sums[i, k] = 0.0
    for k in range(running.moments.shape[1]):
        running.moments[i, k] = 0.0
    _remember_nothing(i, world, running)


@inlined_kernel
def _vary(i: int, stream: int, episode: int, world: World) -> None:
    """Draw this episode's costs: fees, half-spread and impact each times a factor, even in its logarithm."""
    reach = float(world.amounts[LOG_VARY])
    for k in range(len(VARIED_TERMS)):
        draw = uniform(stream, episode, k + 1)
        factor = math.exp((2.0 * draw - 1.0) * reach)
        for column in VARIED_TERMS[k]:
            world.terms[i, column] = float(world.base[0, column]) * factor


@inlined_kernel
def _remember_nothing(i: int, world: World, running: Running) -> None:
    """Before an episode its account had nothing: a window shows the fresh account for the bars before the first."""
    history = running.history
    if history.shape[1] == 0:
        return
    t = int(running.clock[i, AT])
    account = read_account(running.money, running.counts, i)
    terms = read_terms(world.base, 0)
    columns = columns_of(account, float(world.prices[t, CLOSE]), 0.0, terms)
    for w in range(int(world.options[WINDOW])):
        for k in range(N_ACCOUNT):
            history[i, w * N_ACCOUNT + k] = columns[k]


@inlined_kernel
def _show(i: int, terms: Terms, world: World, running: Running, observations: Columns) -> None:
    """Write the observation where episode `i` stands: market and memory columns, then the account's, a row a bar.

    Of the terms only those count that are the same for all episodes: account columns know no costs.
    """
    t = int(running.clock[i, AT])
    account = read_account(running.money, running.counts, i)
    width, cells = int(world.options[WIDTH]), world.rows.shape[1]
    idle = account.idle_bars
    log_idle = float(world.idle_logs[idle]) if idle < len(world.idle_logs) else math.log(1.0 + idle)
    columns = columns_of(account, float(world.prices[t, CLOSE]), log_idle, terms)
    if world.options[WINDOW] == 1:
        at = i * (width + N_ACCOUNT)
        copy_cells(observations, at, world.rows, t * cells + LINE, width)
        for k in range(N_ACCOUNT):
            observations[i, width + k] = columns[k]
    else:
        _show_window(i, t, columns, world, running, observations)


@lean_kernel
def _show_window(
    i: int,
    t: int,
    columns: tuple[float, float, float, float, float, float, float, float],
    world: World,
    running: Running,
    observations: Columns,
) -> None:
    """A window of W bars: the account's columns of the bars before this one move up by a row."""
    width, size, history = int(world.options[WIDTH]), int(world.options[WINDOW]), running.history
    cells = world.rows.shape[1]
    for k in range((size - 1) * N_ACCOUNT):
        history[i, k] = history[i, k + N_ACCOUNT]
    for k in range(N_ACCOUNT):
        history[i, (size - 1) * N_ACCOUNT + k] = columns[k]
    whole = width + N_ACCOUNT
    for w in range(size):
        at = i * size * whole + w * whole
        copy_cells(observations, at, world.rows, (t - size + 1 + w) * cells + LINE, width)
        copy_cells(observations, at + width, history, (i * size + w) * N_ACCOUNT, N_ACCOUNT)
