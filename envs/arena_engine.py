"""N desks in N crowds, stepped by one compiled call: the engine inside the batch arena.

Lays out the arrays that `arena_walk` walks over, seeds episodes, begins them in warm markets, and adds what is not
compiled: columns and reward parts of a user's own. Knows nothing of gymnasium.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bar, Bars
from ..market.jit import entry_of
from ..market.ledger import Account, open_account, read_account, write_account
from ..simulators import world as crowd
from ..simulators.population import population
from ..simulators.seeding import seeds_of
from ..simulators.snapshots import branch, put_back, snapshot_of
from ..simulators.storms import Role, Storm
from ..simulators.tape import bar_of
from ..simulators.worlds import Worlds
from . import arena_walk
from .arena_arrays import field_of, ground_of, witness_of
from .arena_book import write_block
from .arena_field import (
    ANSWERED,
    CLOSED,
    DONE,
    EPISODE,
    NO_ROOM,
    OPENED_AT,
    READ,
    UNTIL,
    Columns,
    Flags,
    Floats,
    Ints,
)
from .arena_orders import ROOM as OWN_ROOM
from .arena_past import Recollection
from .arena_pool import Pool, bars_between, pool_of
from .arena_setup import SEED_BITS, ArenaSetup, Lottery, Scenarios
from .arena_show import begin_row, show_all
from .buffers import new_step
from .desk import N_ACCOUNT
from .episodes import add_own_parts
from .episodes import put_back as fill_in
from .features import ColumnSet
from .own import OwnColumn
from .rewards import Reward
from .starts import signed
from .world import Step

LATENCY_STEPS = 1  # market steps that an order travels, as in CrowdMarket


class Arenas:
    """N arenas that walk together; row i draws as `ArenaEnv` does from the seed in `field.streams[i]`."""

    def __init__(self, scenarios: Scenarios, setup: ArenaSetup, role: Role, count: int, *, same_step: bool) -> None:
        if count < 1:
            raise ValueError(f"num_envs {count} must be 1 or more")
        self.setup, self.role, self.count, self._same_step = setup, role, count, same_step
        self.crowd = population(setup.interval)
        self.lottery = Lottery(scenarios, setup.pool, setup.interval)
        self.reward = Reward.of(setup.rewards)
        self.terms = setup.terms(self.crowd.instrument)
        self.worlds = Worlds(self.crowd, count, setup.warm_up + setup.episode_bars + 1)
        self._columns = ColumnSet(setup.spec.market, setup.interval_ms)
        owner = self.worlds.seats.outsiders.start
        self.ground = ground_of(setup, self.terms, self.reward, self._columns, owner, LATENCY_STEPS)
        self.field, self._witness = field_of(setup, count, self.reward, self._columns), witness_of(count, self.reward)
        self._own = self._own_columns()
        room = setup.warm_up + setup.episode_bars + 1
        self._past = Recollection(setup.past, setup.interval, count, room) if setup.past else None
        self.storms: list[tuple[Storm, ...]] = [()] * count
        self._pools = self._shared_pools()

    def __getstate__(self) -> dict[str, Any]:
        """Everything but compiled entries and pools, which belong to this process."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_walk", "_code", "_pools")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._pools, self._own = self._shared_pools(), self._own_columns()

    @property
    def parts(self) -> Floats:
        """Reward parts of the last step, (N, P) float64."""
        return self.field.parts

    @property
    def cells(self) -> int:
        """Numbers in one observation."""
        return int(np.prod(self.setup.shape))

    def fresh_step(self) -> Step:
        """Arrays for one step."""
        return new_step(self.count, self.cells, len(self.reward.names))

    def account(self, i: int) -> Account:
        """Account of arena `i`."""
        return read_account(self.field.money, self.field.counts, i)

    def last_bar(self, i: int) -> Bar:
        """The bar that finished last in market `i`."""
        world = self.worlds.each[i]
        row = int(world.clock[crowd.BARS]) - 1
        return bar_of(world.bars[row], int(self.field.clock[i, OPENED_AT]), row, self.crowd)

    def bars(self, i: int, count: int | None = None) -> Bars:
        """The closed bars of market `i`, or the last `count` of them."""
        world = self.worlds.each[i]
        done = int(world.clock[crowd.BARS])
        first = 0 if count is None else max(0, done - count)
        return bars_between(world.bars, first, done, int(self.field.clock[i, OPENED_AT]), self.crowd)

    def seed(self, base: int) -> None:
        """Give row i the seed base + i, and start counting episodes from 0."""
        self.field.streams[:] = np.array([signed(base + i) for i in range(self.count)], np.int64)
        self.field.clock[:, EPISODE] = 0

    def fill(self) -> None:
        """Raise every warm market of the pool now, instead of when it is first drawn."""
        for pool in self._pools.values():
            pool.fill()

    def reset(self, observations: Columns, mask: Flags, starts: Ints) -> None:
        """Begin a new episode where `mask` is set; an arena has no bars to start at, so `starts` is -1."""
        rows = np.flatnonzero(mask)
        self._warm_up(rows)
        for i in rows.tolist():
            self._begin(i)
        self._show(mask, observations)

    def step(self, exposures: Floats, step: Step, parallel: bool) -> int:
        """Live until the next wake in every market; fills `step`, returns how many episodes ended."""
        resting = self.field.clock[:, DONE] != 0
        self._walk(
            self.worlds.told, self._code, *self.worlds.rules, self.ground, self.field, self._witness, exposures, step
        )
        self._check()
        closed = np.flatnonzero(~resting & (self.field.clock[:, CLOSED] != 0)).tolist()
        if self._own:
            self._look(closed)
        if self._past:
            self._recall(closed)
        for i in np.flatnonzero(resting).tolist():
            self._begin(i)
        self._show(np.ones(self.count, np.bool_), step.observations)
        over = step.terminated | step.truncated
        ended = np.flatnonzero(over)
        if len(ended):
            self._finish(ended, over, step)
        if self.reward.own:
            add_own_parts(self.reward, self._witness, self.field.parts, self.field.sums, step, resting)
        return len(ended)

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of all that the next step depends on, by name; `world/i/name` are those of market i."""
        told: dict[str, NDArray[Any]] = {name: array.copy() for name, array in self.field._asdict().items()}
        for i, world in enumerate(self.worlds.each):
            told |= {f"world/{i}/{name}": array for name, array in snapshot_of(world).items()}
        return told | (self._past.state() if self._past else {})

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up the markets that `state` told of; ValueError where they are another number or kind of arenas."""
        if f"world/{self.count - 1}/head" not in state:
            raise ValueError(f"the state is not that of {self.count} arenas")
        fill_in(self.field._asdict(), state)
        if self._past:
            self._past.set_state(state)
        for i, world in enumerate(self.worlds.each):
            start = f"world/{i}/"
            put_back({name[len(start) :]: a for name, a in state.items() if name.startswith(start)}, world)

    @cached_property
    def _code(self) -> Any:
        return self.worlds.code()

    @cached_property
    def _walk(self) -> Callable[..., int]:
        worlds, rules = self.worlds.told, self.worlds.rules
        arguments = (self.ground, self.field, self._witness, np.zeros(self.count), self.fresh_step())
        return entry_of(arena_walk.walk_all, worlds, self._code, *rules, *arguments)

    def _begin(self, i: int) -> None:
        """Everything of an episode is rebuilt here: market, storm, desk and account."""
        setup, field, world = self.setup, self.field, self.worlds.each[i]
        drawn = self.lottery.draw(int(field.streams[i]) & SEED_BITS, int(field.clock[i, EPISODE]))
        warm = self._pools[drawn.scenario.name].warm(drawn.slot)
        put_back(warm.market, world)
        seeds = seeds_of(drawn.market_seed)
        self.storms[i] = branch(world, seeds, drawn.scenario, self.role, onset=setup.onset, calm_bars=setup.calm_bars)
        clock = field.clock[i]
        clock[UNTIL], clock[DONE], clock[OPENED_AT] = setup.warm_up - 1 + setup.episode_bars, 0, warm.opened_at
        clock[READ], clock[EPISODE] = world.clock[crowd.FILLS], clock[EPISODE] + 1
        clock[ANSWERED], clock[CLOSED] = world.clock[crowd.REPLIES], 1
        floats = len(warm.memory)
        field.memory[i * floats : (i + 1) * floats] = warm.memory
        field.rows[i] = warm.rows.reshape(-1)
        field.closes[i] = warm.close
        field.units[i] = setup.step_lots(warm.median_volume, self.terms.lot)
        if self._past and warm.kept:
            self._past.put(i, warm.kept)
        cash = setup.cash(warm.median_volume, warm.close, self.terms.leverage)
        for money, counts in ((field.money, field.counts), (field.booked_money, field.booked_counts)):
            write_account(money, counts, i, open_account(cash))
        own = field.orders[i * OWN_ROOM : (i + 1) * OWN_ROOM]
        own[:] = 0
        if setup.book:
            has_own = int(setup.menu is not None)
            write_block(world, own, float(field.units[i]), setup.book, int(setup.wakes_inside), has_own, field.block[i])
        begin_row(i, self.ground, field)

    def _finish(self, ended: Ints, over: Flags, step: Step) -> None:
        """Keep the ended episodes' last observations and sums; begin the next ones, now or in the next step."""
        step.final_sums[ended] = self.field.sums[ended]
        if not self._same_step:
            self.field.clock[ended, DONE] = 1
            return
        step.finals[ended] = step.observations[ended]
        self._warm_up(ended)
        for i in ended.tolist():
            self._begin(i)
        self._show(over, step.observations)

    def _warm_up(self, rows: Ints) -> None:
        """Raise the markets that these rows begin in, those that nobody has been in before on all threads."""
        wanted = dict[str, list[int]]()
        for i in rows.tolist():
            drawn = self.lottery.draw(int(self.field.streams[i]) & SEED_BITS, int(self.field.clock[i, EPISODE]))
            wanted.setdefault(drawn.scenario.name, []).append(drawn.slot)
        for name, slots in wanted.items():
            self._pools[name].fill(slots)

    def _show(self, mask: Flags, observations: Columns) -> None:
        show_all(mask, self.ground, self.field, observations)

    def _recall(self, rows: list[int]) -> None:
        """Ask the past of these markets, and write what it says beside the market columns of the last bar."""
        if self._past and self.setup.past and rows:
            recalled = self._past.columns(rows, [self.bars(i, self.setup.past.bars) for i in rows])
            self.field.rows[rows, -recalled.shape[1] :] = recalled

    def _look(self, rows: list[int]) -> None:
        """Show the new bar to columns of a user's own."""
        width, row = self.setup.spec.width - N_ACCOUNT, np.zeros(len(self.setup.spec.market))
        for i in rows:
            bar = self.last_bar(i)
            for column in self._own[i]:
                column.update(bar, row, is_told=True)
                self.field.rows[i, -width + column.place] = row[column.place]

    def _check(self) -> None:
        wrong = self.field.wrong
        if wrong.any():
            i = int(np.flatnonzero(wrong)[0])
            what = "has no room for the policy's order" if wrong[i] == NO_ROOM else "lost fills, or could not go on"
            raise ValueError(f"market {i} {what}")

    def _shared_pools(self) -> dict[str, Pool]:
        return {scenario.name: pool_of(self.setup, scenario, self.role) for scenario in self.lottery.scenarios}

    def _own_columns(self) -> list[list[OwnColumn]]:
        """Columns of a user's own for every row, over the row's memory; none where there are none."""
        if not any(isinstance(part, OwnColumn) for part in self._columns.parts):
            return []
        floats, spec = len(self._columns.memory), self.setup.spec
        sets = [
            ColumnSet(spec.market, self.setup.interval_ms, self.field.memory[i * floats : (i + 1) * floats])
            for i in range(self.count)
        ]
        return [[part for part in columns.parts if isinstance(part, OwnColumn)] for columns in sets]
