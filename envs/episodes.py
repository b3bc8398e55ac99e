"""N episodes on one tape, stepped by one compiled call: the engine inside the scalar and the batch environment.

Here the walk of DESIGN's "one bar in order" is written once: action, order, limits, venue, ledger, reward, observation,
and what happens at an episode's end. Knows nothing of gymnasium.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..market.draws import below
from ..market.exchange import Quote, begin_bar, close_for_gap, end_bar
from ..market.jit import batch_kernel, inlined_kernel, lean_kernel, prange
from ..market.ledger import N_COUNTS, N_MONEY, Account, fresh_account, read_account, write_account
from ..market.limits import allowed_lots
from ..market.terms import Terms, read_terms, terms_rows
from .desk import N_ACCOUNT, account_columns, order_lots
from .rewards import N_PARTS, reward_parts
from .tape import CLOSE, FIRST, FUNDING, GAP, HIGH, LOW, OPEN, ROLLED, SIGMA, STOP, VOLUME, Tape

AT, UNTIL, EPISODE, ENDS_IN_GAP, DONE = range(5)  # columns of `clock`
LENGTH_OPTION, RANDOM_START, SAME_STEP = range(3)  # columns of `options`
RETURN, LENGTH, EQUITY = N_PARTS, N_PARTS + 1, N_PARTS + 2  # columns of `sums` after the parts
ORDERED, FILLED = 0, 1  # columns of `lots`
TERMINATED, TRUNCATED = 1, 2  # values of `ends`
PARALLEL_FROM = 256  # below this many episodes the threads' fork and join cost more than they give
BLOCK = 64  # episodes a thread takes at once

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Columns = NDArray[np.float32]


class World(NamedTuple):
    """What no step changes. `prices`, `rows`, `segments` as in Tape; `terms` (N, 19); `weights` of reward parts;
    `options` episode length (0: to the segment's end), random start, same-step autoreset; `cash` (1,)."""

    prices: Floats
    rows: Columns
    segments: Ints
    terms: Floats
    weights: Floats
    options: Ints
    cash: Floats


class Running(NamedTuple):
    """State of N episodes, a row each: accounts (`money`, `counts`), `clock`, random `streams`, running `sums` of
    reward parts, return, length and equity; of the last step the reward `parts` and `lots` ordered and filled."""

    money: Floats
    counts: Ints
    clock: Ints
    streams: Ints
    sums: Floats
    parts: Floats
    lots: Ints


class Step(NamedTuple):
    """Where a step writes: `observations`, `rewards`, `ends` (0, 1 terminated, 2 truncated); for episodes that ended
    the last observation and sums, `finals` and `final_sums`."""

    observations: Columns
    rewards: Floats
    ends: NDArray[np.uint8]
    finals: Columns
    final_sums: Floats


@dataclass(frozen=True, eq=False)
class Episodes:
    """N episodes on one tape."""

    tape: Tape
    world: World
    running: Running
    count: int

    @classmethod
    def of(
        cls,
        tape: Tape,
        terms: Terms,
        weights: Floats,
        *,
        cash: float,
        episode_bars: int | None,
        random_start: bool,
        same_step: bool,
        count: int,
    ) -> "Episodes":
        if count < 1:
            raise ValueError(f"num_envs {count} must be 1 or more")
        if episode_bars is not None and episode_bars < 1:
            raise ValueError(f"episode_bars {episode_bars} must be 1 or more")
        if not (np.isfinite(cash) and cash > 0):
            raise ValueError(f"an account cannot open with {cash} in cash")
        options = np.array([episode_bars or 0, random_start, same_step], np.int64)
        world = World(
            tape.prices,
            tape.rows,
            tape.segments,
            terms_rows(terms, count),
            weights,
            options,
            np.array([float(cash)]),
        )
        return cls(tape, world, _nothing_running(count), count)

    @property
    def width(self) -> int:
        return int(self.tape.rows.shape[1]) + N_ACCOUNT

    def fresh_step(self) -> Step:
        """Arrays for one step, the caller's to keep."""
        n, width = self.count, self.width
        return Step(
            np.empty((n, width), np.float32),
            np.empty(n),
            np.empty(n, np.uint8),
            np.empty((n, width), np.float32),
            np.empty((n, N_PARTS + 3)),
        )

    def seed(self, base: int) -> None:
        """Give episode stream i the seed base + i, and start counting episodes from 0."""
        self.running.streams[:] = np.array([_signed(base + i) for i in range(self.count)], np.int64)
        self.running.clock[:, EPISODE] = 0

    def reset(self, observations: Columns, mask: NDArray[np.bool_], starts: Ints) -> None:
        """Begin a new episode where `mask` is set, at `starts[i]` or, where that is -1, by the env's own rule."""
        for start in starts[mask & (starts != -1)]:
            self._check_start(int(start))
        _reset_many(self.world, self.running, mask, starts, observations)

    def step(self, exposures: Floats, step: Step, parallel: bool) -> int:
        """Walk every episode one bar towards its target exposure; fills `step`, returns how many episodes ended."""
        if parallel:
            return int(_step_parallel(self.world, self.running, exposures, step))
        return int(_step_serial(self.world, self.running, exposures, step))

    def account(self, i: int) -> Account:
        """Account of episode `i`."""
        return read_account(self.running.money, self.running.counts, i)

    def _check_start(self, start: int) -> None:
        for first, stop, _ in self.tape.segments:
            if first <= start < stop - 1:
                return
        ranges = ", ".join(f"{first}…{stop - 2}" for first, stop, _ in self.tape.segments[:3])
        raise ValueError(f"an episode cannot start at bar {start}; bars {ranges} can be observed and traded")


def _nothing_running(count: int) -> Running:
    return Running(
        np.zeros((count, N_MONEY)),
        np.zeros((count, N_COUNTS), np.int64),
        np.zeros((count, 5), np.int64),
        np.zeros(count, np.int64),
        np.zeros((count, N_PARTS + 3)),
        np.zeros((count, N_PARTS)),
        np.zeros((count, 2), np.int64),
    )


def _signed(seed: int) -> int:
    """The 64 bits of a seed as an int64."""
    seed &= 0xFFFFFFFFFFFFFFFF
    return seed - (1 << 64) if seed >= 1 << 63 else seed


@batch_kernel
def _step_parallel(world: World, running: Running, exposures: Floats, step: Step) -> int:
    n = len(exposures)
    blocks = (n + BLOCK - 1) // BLOCK
    ended = np.zeros(blocks, np.int64)
    for block in prange(blocks):
        ended[block] = _walk(block * BLOCK, min(block * BLOCK + BLOCK, n), world, running, exposures, step)
    total = 0
    for block in range(blocks):
        total += ended[block]
    return total


@lean_kernel
def _step_serial(world: World, running: Running, exposures: Floats, step: Step) -> int:
    return _walk(0, len(exposures), world, running, exposures, step)


@lean_kernel
def _walk(low: int, high: int, world: World, running: Running, exposures: Floats, step: Step) -> int:
    total = 0
    for i in range(low, high):
        if running.clock[i, DONE] != 0:
            _begin_next(i, world, running, step)
        else:
            total += _step_one(i, float(exposures[i]), world, running, step)
    return total


@inlined_kernel
def _begin_next(i: int, world: World, running: Running, step: Step) -> None:
    """NEXT_STEP autoreset: this step only begins the next episode; its action is ignored."""
    step.rewards[i] = 0.0
    step.ends[i] = 0
    for k in range(N_PARTS):
        running.parts[i, k] = 0.0
    running.lots[i, ORDERED] = 0
    running.lots[i, FILLED] = 0
    _begin(i, -1, world, running)
    _observe(i, world, running, step.observations)


@inlined_kernel
def _step_one(i: int, exposure: float, world: World, running: Running, step: Step) -> int:
    prices = world.prices
    t = int(running.clock[i, AT])
    terms = read_terms(world.terms, i)
    before = read_account(running.money, running.counts, i)
    close, sigma, volume = float(prices[t, CLOSE]), float(prices[t, SIGMA]), float(prices[t, VOLUME])
    order = allowed_lots(order_lots(exposure, before, close, terms), before, close, terms)
    t += 1
    quote = _quote(prices, t)
    held, filled, _ = begin_bar(before, order, quote, sigma, volume, terms)
    after, _, _ = end_bar(held, quote, terms)
    last = t == running.clock[i, UNTIL]
    if last and running.clock[i, ENDS_IN_GAP] != 0 and after.ruin == 0:
        after = close_for_gap(after, quote.close, float(prices[t, SIGMA]), float(prices[t, VOLUME]), terms)
    end = TRUNCATED if last else 0
    if after.ruin != 0 or (terms.terminate_on_halt > 0.0 and after.state == 2):
        end = TERMINATED
    running.clock[i, AT] = t
    write_account(running.money, running.counts, i, after)
    running.lots[i, ORDERED] = order
    running.lots[i, FILLED] = filled
    step.rewards[i] = _reward(i, before, after, world.weights, running)
    step.ends[i] = end
    if end != 0:
        _finish(i, world, running, step)
    _observe(i, world, running, step.observations)
    return 1 if end != 0 else 0


@inlined_kernel
def _quote(prices: Floats, t: int) -> Quote:
    return Quote(
        float(prices[t, OPEN]),
        float(prices[t, HIGH]),
        float(prices[t, LOW]),
        float(prices[t, CLOSE]),
        float(prices[t, FUNDING]),
        float(prices[t, ROLLED]),
    )


@inlined_kernel
def _reward(i: int, before: Account, after: Account, weights: Floats, running: Running) -> float:
    reward = 0.0
    parts = reward_parts(before, after)
    for k in range(N_PARTS):
        running.parts[i, k] = parts[k]
        running.sums[i, k] += parts[k]
        reward += float(weights[k]) * parts[k]
    running.sums[i, RETURN] += reward
    running.sums[i, LENGTH] += 1.0
    running.sums[i, EQUITY] = after.equity
    return reward


@lean_kernel
def _finish(i: int, world: World, running: Running, step: Step) -> None:
    """An episode is over: keep its sums; with same-step autoreset also its last observation, and begin the next."""
    for k in range(N_PARTS + 3):
        step.final_sums[i, k] = running.sums[i, k]
    if world.options[SAME_STEP] != 0:
        _observe(i, world, running, step.finals)
        _begin(i, -1, world, running)
    else:
        running.clock[i, DONE] = 1


@lean_kernel
def _reset_many(world: World, running: Running, mask: NDArray[np.bool_], starts: Ints, observations: Columns) -> None:
    for i in range(len(mask)):
        if mask[i]:
            _begin(i, int(starts[i]), world, running)
            _observe(i, world, running, observations)


@lean_kernel
def _begin(i: int, start: int, world: World, running: Running) -> None:
    """Everything of an episode is rebuilt here: account, clock, sums, and the bars it will walk."""
    segments, length = world.segments, int(world.options[LENGTH_OPTION])
    clock = running.clock
    segment = 0
    if start >= 0:
        for s in range(len(segments)):
            if segments[s, FIRST] <= start:
                segment = s
    elif world.options[RANDOM_START] != 0:
        total = 0
        for s in range(len(segments)):
            total += _room(segments, s, length)
        place = below(total, int(running.streams[i]), int(clock[i, EPISODE]), 0)
        while place >= _room(segments, segment, length):
            place -= _room(segments, segment, length)
            segment += 1
        start = int(segments[segment, FIRST]) + place
    else:
        start = int(segments[0, FIRST])
    last = int(segments[segment, STOP]) - 1
    until = last if length == 0 else min(start + length, last)
    clock[i, AT] = start
    clock[i, UNTIL] = until
    clock[i, EPISODE] += 1
    clock[i, ENDS_IN_GAP] = 1 if until == last and segments[segment, GAP] != 0 else 0
    clock[i, DONE] = 0
    write_account(running.money, running.counts, i, fresh_account(float(world.cash[0])))
    for k in range(N_PARTS + 3):
        running.sums[i, k] = 0.0


@inlined_kernel
def _room(segments: Ints, s: int, length: int) -> int:
    """Bars of a segment at which an episode may start: with room for its whole length where there is such room."""
    steps = int(segments[s, STOP]) - 1 - int(segments[s, FIRST])
    if length == 0:
        return steps
    return max(steps - length + 1, 1)


@inlined_kernel
def _observe(i: int, world: World, running: Running, observations: Columns) -> None:
    t = int(running.clock[i, AT])
    width = world.rows.shape[1]
    for j in range(width):
        observations[i, j] = world.rows[t, j]
    account = read_account(running.money, running.counts, i)
    columns = account_columns(account, float(world.prices[t, CLOSE]), read_terms(world.terms, i))
    for k in range(N_ACCOUNT):
        observations[i, width + k] = columns[k]
