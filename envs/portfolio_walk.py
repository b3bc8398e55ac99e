"""The walk of portfolios: how N accounts of K assets live through one row of a panel, compiled.

`walk` for many assets in one account: targets, orders, limits, venue, ledger, reward, observation, and what happens at
an episode's end. One asset alone walks the same, to the last bit. Knows arrays only; `portfolio_episodes` gives them
their meaning.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..market.cross_margin import close_for_gaps, end_bars
from ..market.jit import batch_kernel, copy_cells, inlined_kernel, lean_kernel, prange, prefetch_cells
from ..market.ledger import Account, fresh_account, read_account, write_account
from ..market.portfolio import (
    ABSENT,
    CLOSE,
    FRESH,
    PRESENCE,
    Markets,
    Positions,
    begin_bars,
    holding,
    share_limits,
    take_turns,
)
from ..market.terms import read_terms
from .desk import columns_of, order_lots
from .portfolio_columns import IDLE, N_OWN, N_SHARED, POSITION, UNREALISED, shared_columns
from .rewards import Rule, reward_into
from .starts import stretch_of
from .world import Step, Witness

AT, UNTIL, EPISODE, ENDS_IN_GAP, DONE = range(5)  # columns of `clock`
LENGTH_OPTION, RANDOM_START, SAME_STEP, WITNESSED = range(4)  # columns of `options`
RETURN, LENGTH, EQUITY = range(3)  # columns of `sums`, after the parts
BLOCK = 16  # portfolios a thread takes at once
AHEAD = 1  # portfolios between the hint that a row is wanted and its use
LINE = 16  # float32 cells in a cache line

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Columns = NDArray[np.float32]
Flags = NDArray[np.bool_]


class World(NamedTuple):
    """What no step changes: `prices`, `rolled`, `terms`, `days` as in Markets, `rows` and `segments` as in Panel,
    `watched` and `weights` as in a reward's Rule; `options` episode length (0: to the segment's end), random start,
    same-step autoreset, whether accounts are witnessed; `cash` (1,); `idle_logs` the logarithm of 1, 2, 3 …

    Flat, since a parallel loop takes no tuple inside a tuple."""

    prices: Floats
    rolled: Floats
    terms: Floats
    days: Floats
    rows: Columns
    segments: Ints
    watched: Ints
    weights: Floats
    options: Ints
    cash: Floats
    idle_logs: Floats


class Running(NamedTuple):
    """State of N portfolios, a row each: accounts (`money`, `counts`), `lots` to `turn` as in
    Positions, `clock`, random `streams`, running `sums` of P reward parts, return, length and equity, `moments` of
    the reward; `parts` of the last step."""

    money: Floats
    counts: Ints
    lots: Ints
    entry: Floats
    idle: Ints
    ordered: Ints
    filled: Ints
    turn: Ints
    clock: Ints
    streams: Ints
    sums: Floats
    parts: Floats
    moments: Floats


@inlined_kernel
def markets_of(world: World) -> Markets:
    """The markets of a world."""
    return Markets(world.prices, world.rolled, world.terms, world.days)


@inlined_kernel
def positions_of(running: Running) -> Positions:
    """What all portfolios hold."""
    return Positions(running.lots, running.entry, running.idle, running.ordered, running.filled, running.turn)


@batch_kernel
def walk_parallel(world: World, running: Running, witness: Witness, targets: Floats, step: Step) -> int:
    """One row for every portfolio, on all threads; how many episodes ended. `targets` (N, K)."""
    n = len(targets)
    blocks = (n + BLOCK - 1) // BLOCK
    ended = np.zeros(blocks, np.int64)
    for block in prange(blocks):
        ended[block] = _walk(block * BLOCK, min(block * BLOCK + BLOCK, n), world, running, witness, targets, step)
    total = 0
    for block in range(blocks):
        total += ended[block]
    return total


@lean_kernel
def walk_serial(world: World, running: Running, witness: Witness, targets: Floats, step: Step) -> int:
    """The same on this thread."""
    return _walk(0, len(targets), world, running, witness, targets, step)


@lean_kernel
def begin_many(world: World, running: Running, mask: Flags, starts: Ints, observations: Columns) -> None:
    """Begin a new episode where `mask` is set, at row `starts[i]`, or by the env's own rule where that is -1."""
    for i in range(len(mask)):
        if mask[i]:
            _begin(i, int(starts[i]), world, running)
            _observe(i, world, running, observations)


@lean_kernel
def _walk(low: int, high: int, world: World, running: Running, witness: Witness, targets: Floats, step: Step) -> int:
    total = 0
    for i in range(low, high):
        if i + AHEAD < high:
            _hint(int(running.clock[i + AHEAD, AT]) + 1, world)
        if running.clock[i, DONE] != 0:
            _begin_next(i, world, running, step)
        else:
            total += _step_one(i, targets, world, running, witness, step)
    return total


@inlined_kernel
def _hint(t: int, world: World) -> None:
    """Row `t` is wanted soon: on a long panel it lies in memory, some hundred cycles away."""
    prices, width = world.prices, world.rows.shape[1]
    for k in range(prices.shape[1]):
        prefetch_cells(prices, (t * prices.shape[1] + k) * prices.shape[2])
    for cell in range(0, width, LINE):
        prefetch_cells(world.rows, t * width + cell)


@lean_kernel
def _begin_next(i: int, world: World, running: Running, step: Step) -> None:
    """NEXT_STEP autoreset: this step only begins the next episode; its action is ignored."""
    step.rewards[i] = 0.0
    step.terminated[i] = False
    step.truncated[i] = False
    for p in range(running.parts.shape[1]):
        running.parts[i, p] = 0.0
    _begin(i, -1, world, running)
    _observe(i, world, running, step.observations)


@inlined_kernel
def _step_one(i: int, targets: Floats, world: World, running: Running, witness: Witness, step: Step) -> int:
    markets, positions, t = markets_of(world), positions_of(running), int(running.clock[i, AT])
    before = read_account(running.money, running.counts, i)
    _order(i, t, targets, before, positions, markets)
    take_turns(i, positions)
    share_limits(i, t, before, positions, markets)
    t += 1
    held = begin_bars(i, t, before, positions, markets)
    after = end_bars(i, t, held, positions, markets)
    last = t == running.clock[i, UNTIL]
    if last and running.clock[i, ENDS_IN_GAP] != 0 and after.ruin == 0:
        after = close_for_gaps(i, t, after, positions, markets)
    after = holding(after, 0, 0.0, after.idle_bars)  # what it holds stands in positions
    terminated = after.ruin != 0 or (read_terms(markets.terms, 0).terminate_on_halt > 0.0 and after.state == 2)
    running.clock[i, AT] = t
    write_account(running.money, running.counts, i, after)
    if world.options[WITNESSED] != 0:
        write_account(witness.money, witness.counts, i, before)
        write_account(witness.money_after, witness.counts_after, i, after)
    step.rewards[i] = _reward(i, before, after, Rule(world.watched, world.weights), running)
    step.terminated[i] = terminated
    step.truncated[i] = last and not terminated
    if terminated or last:
        _finish(i, world, running, step)
        _observe(i, world, running, step.observations)
        return 1
    _show(i, t, after, world, running, step.observations)
    return 0


@inlined_kernel
def _order(i: int, t: int, targets: Floats, account: Account, positions: Positions, markets: Markets) -> None:
    """Write the desk's orders: each target a share of the allowed leverage, all scaled down where they are together
    more than the whole. An absent asset's target counts as 0; a stale one's counts, since its position stays."""
    prices, assets = markets.prices, targets.shape[1]
    asked = 0.0
    for k in range(assets):
        if prices[t, k, PRESENCE] != ABSENT:
            asked += abs(float(targets[i, k]))
    for k in range(assets):
        lots = 0
        if prices[t, k, PRESENCE] == FRESH:
            target = float(targets[i, k])
            if asked > 1.0:
                target = target / asked
            held = holding(account, int(positions.lots[i, k]), 0.0, 0)
            lots = order_lots(target, held, float(prices[t, k, CLOSE]), read_terms(markets.terms, k))
        positions.ordered[i, k] = lots


@inlined_kernel
def _reward(i: int, before: Account, after: Account, rule: Rule, running: Running) -> float:
    parts, sums = running.parts, running.sums
    reward = reward_into(i, before, after, rule, parts, sums, running.moments)
    told = parts.shape[1]
    sums[i, told + RETURN] += reward
    sums[i, told + LENGTH] += 1.0
    sums[i, told + EQUITY] = after.equity
    return reward


@lean_kernel
def _finish(i: int, world: World, running: Running, step: Step) -> None:
    """An episode is over: keep its sums; with same-step autoreset also its last observation, and begin the next."""
    for p in range(running.sums.shape[1]):
        step.final_sums[i, p] = running.sums[i, p]
    if world.options[SAME_STEP] != 0:
        _observe(i, world, running, step.finals)
        _begin(i, -1, world, running)
    else:
        running.clock[i, DONE] = 1


@lean_kernel
def _begin(i: int, start: int, world: World, running: Running) -> None:
    """Everything of an episode is rebuilt here: account, positions, clock, sums, and the rows it will walk."""
    clock, options = running.clock, world.options
    start, until, gap = stretch_of(
        start,
        world.segments,
        int(options[LENGTH_OPTION]),
        int(options[RANDOM_START]),
        int(running.streams[i]),
        int(clock[i, EPISODE]),
    )
    clock[i, AT] = start
    clock[i, UNTIL] = until
    clock[i, EPISODE] += 1
    clock[i, ENDS_IN_GAP] = gap
    clock[i, DONE] = 0
    write_account(running.money, running.counts, i, fresh_account(float(world.cash[0])))
    _hold_nothing(i, positions_of(running))
    for p in range(running.sums.shape[1]):
        running.sums[i, p] = 0.0
    for m in range(running.moments.shape[1]):
        running.moments[i, m] = 0.0


@inlined_kernel
def _hold_nothing(i: int, positions: Positions) -> None:
    for k in range(positions.lots.shape[1]):
        positions.lots[i, k] = 0
        positions.entry[i, k] = 0.0
        positions.idle[i, k] = 0
        positions.ordered[i, k] = 0
        positions.filled[i, k] = 0
        positions.turn[i, k] = 0


@lean_kernel
def _observe(i: int, world: World, running: Running, observations: Columns) -> None:
    account = read_account(running.money, running.counts, i)
    _show(i, int(running.clock[i, AT]), account, world, running, observations)


@inlined_kernel
def _show(i: int, t: int, account: Account, world: World, running: Running, observations: Columns) -> None:
    """Write the observation at the close of row `t`: all assets' columns as they lie there, then the account's into
    the places left for them, and behind them those that no asset owns."""
    markets, positions, width = markets_of(world), positions_of(running), world.rows.shape[1]
    assets = positions.lots.shape[1]
    copy_cells(observations, i * (width + N_SHARED), world.rows, t * width, width)
    gross, margin = 0.0, 0.0
    for k in range(assets):
        terms, price, lots = read_terms(markets.terms, k), float(markets.prices[t, k, CLOSE]), int(positions.lots[i, k])
        value = abs(lots * terms.lot * price)
        gross += value
        margin += terms.maintenance * value
        idle = int(positions.idle[i, k])
        log_idle = float(world.idle_logs[idle]) if idle < len(world.idle_logs) else math.log(1.0 + idle)
        held = holding(account, lots, float(positions.entry[i, k]), 0)
        own = columns_of(held, price, log_idle, terms)
        place = (k + 1) * (width // assets) - N_OWN
        observations[i, place + POSITION] = own[0]
        observations[i, place + UNREALISED] = own[1]
        observations[i, place + IDLE] = own[3]
    shared = shared_columns(account, gross, margin, read_terms(markets.terms, 0))
    for j in range(N_SHARED):
        observations[i, width + j] = shared[j]
