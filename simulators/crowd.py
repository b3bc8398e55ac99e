"""CrowdMarket: a Mesa model in which cohorts of traders meet on one limit order book, market step by market step.

`run` advances whole bars in compiled calls, `step` one market step through Mesa's agents; the tape is the same, byte
for byte. An outsider (a policy in the arena) trades by `submit_market` and shifts nobody's draws. Knows nothing of
desks, rewards or policies.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import mesa
import numpy as np
from mesa.datacollection import DataCollector
from numpy.typing import NDArray

from ..market.bars import Bar, Bars
from ..market.orders import Instrument
from . import ladder, world
from .book import depth
from .draws import keys_of
from .ladder import Ints, empty_book
from .matching import ALL_EVENTS, ONLY_TRADES, Reject
from .outsiders import OUTSIDERS, Outsiders
from .population import Population, population
from .scenarios import Role, Storm, load_scenario
from .stepping import Rules, advance, has_room
from .tape import bar_of, bars_of, digest_of, orders_of, trades_of
from .traders import Chartists, CohortAgent, FundamentalTraders, MarketMakers, NoiseTraders, StormExecutor
from .world import COHORTS, PARTS, Part, close_bar, close_step, empty_world, open_bar, open_step, set_knobs

LEVELS, CAPACITY, ROOM = 1 << 17, 1 << 13, 1 << 16  # prices up to 4 × the first; live orders; event rows at first
BURN_IN_BARS = 10  # before bar 0, so that the book is full when the tape begins
YEAR_BEGAN = 1_704_067_200_000  # 2024-01-01 UTC: the clock starts at a random hour of that year
HOUR_MS, HOURS = 3_600_000, 8_784
CLOCK_SEED, TRAITS_SEED, STORM_SEED, MESA_SEED, PARTS_SEED = range(5)  # children of the seed, by purpose
REPORTS = ("close_price", "value", "activity", "spread_ticks", "quoted_share", "volume", "makers_lots")


class CrowdMarket(mesa.Model):  # type: ignore[misc]  # mesa ships no types
    """A market of traders on a price-time-priority book, calm or in a storm.

    `rng` is a seed or a Generator (one draw of it seeds the market). `role` says which ranges a storm is drawn from;
    a storm of the other role is refused. `onset` (bar) replaces the drawn one; a drawn storm comes `calm_bars` later
    than drawn, for somebody who must watch that long before the first act. `latency_steps` is how many market
    steps an outsider's order travels. `all_orders` keeps every order event in the tape, not only trades.

    >>> bars = CrowdMarket(scenario="flash_crash", rng=7).run(bars=2880).bars()
    """

    def __init__(
        self,
        scenario: str | Path = "normal",
        rng: int | np.random.Generator = 0,
        *,
        interval: str = "1m",
        role: Role = "train",
        onset: int | None = None,
        calm_bars: int = 0,
        storm: Storm | None = None,
        crowd: Population | None = None,
        latency_steps: int = 1,
        all_orders: bool = False,
    ) -> None:
        self.crowd = population(interval) if crowd is None else crowd
        self.scenario = load_scenario(scenario)
        self.role, self.onset, self.given_storm = role, onset, storm
        if storm is not None and onset is not None:
            raise ValueError(f"onset {onset} was given beside a storm, which has its own, {storm.onset}")
        if storm is not None:
            self.scenario.admit(storm, role)
        if calm_bars < 0:
            raise ValueError(f"calm_bars {calm_bars} must be 0 or more")
        self.calm_bars = calm_bars
        if latency_steps < 1:
            raise ValueError(f"latency_steps is {latency_steps}, an order travels at least 1 market step")
        self.latency_steps = latency_steps
        self.storm: Storm | None = None
        self._last_unique_id = 0
        self._log_kinds = ALL_EVENTS if all_orders else ONLY_TRADES
        super().__init__(rng=np.random.default_rng(0))
        self._raise_cast()
        self.datacollector = DataCollector(model_reporters={name: name for name in REPORTS})
        self.reset(rng)

    def reset(self, rng: int | np.random.Generator) -> "CrowdMarket":
        """Begin another market in place: same agents and outsiders, fresh book, accounts, storm and draws."""
        self._seed_all(rng)
        self._clear()
        self._schedule_storm()
        self._burn_in()
        return self

    def run(self, bars: int = 2880) -> "CrowdMarket":
        """Advance `bars` whole bars."""
        for _ in range(bars):
            self.run_bar()
        return self

    def run_bar(self) -> None:
        """Finish the running bar: compiled where only built-in cohorts trade, else through Mesa."""
        per_bar = self.crowd.unit.steps_per_bar
        left = per_bar - int(self.world.clock[world.STEPS])
        if self._guests():
            for _ in range(left):
                self.step()
            return
        self._advance(left)
        self.steps += left
        self._finish_bar()

    def step(self) -> None:
        """Run one market step through Mesa: each cohort's agent in the drawn order, then guests in random order."""
        self._make_room()
        open_step(self.world, self.crowd.value)
        for part in self.world.clock[world.TURN :]:
            self._cohorts[int(part)].step()
        guests = self._guests()
        self.random.shuffle(guests)
        for guest in guests:
            guest.step()
        close_step(self.world)
        if int(self.world.clock[world.STEPS]) == self.crowd.unit.steps_per_bar:
            self._finish_bar()

    def close(self) -> None:
        """Let go of everything that Mesa holds of this model."""
        self.remove_all_agents()
        mesa.Agent._ids.pop(self, None)

    # what was traded

    def bars(self) -> Bars:
        """The finished bars."""
        return bars_of(self._bar_rows(), self.opened_at, self.crowd)

    def last_bar(self) -> Bar:
        """The bar that finished last."""
        if not self._rows:
            raise ValueError("this market has not finished a bar yet")
        return bar_of(self._rows[-1], self.opened_at, len(self._rows) - 1, self.crowd)

    def trades(self) -> NDArray[np.void]:
        """Every trade: at_ms, sequence, step, ticks, lots, side, taker, maker, their order ids and labels."""
        return trades_of(self.world.book, self.opened_at, self.crowd.unit.step_ms)

    def orders(self) -> NDArray[np.void]:
        """Every order as it arrived; needs `all_orders=True`."""
        if self._log_kinds != ALL_EVENTS:
            raise ValueError("this market keeps trades only, ask for CrowdMarket(…, all_orders=True)")
        return orders_of(self.world.book, self.opened_at, self.crowd.unit.step_ms, labelled=False)

    def labels(self) -> NDArray[np.void]:
        """The storm's own orders, the ground truth of detectors: at_ms, step, owner, side, ticks, lots, label …"""
        return orders_of(self.world.book, self.opened_at, self.crowd.unit.step_ms, labelled=True)

    def tape_digest(self) -> str:
        """sha256 over tape, bars and clock: equal digests, equal markets."""
        return digest_of(self.world.book, self._bar_rows(), self.opened_at)

    # trading from outside

    def add_trader(self, name: str) -> int:
        """Open an account for an outsider; return its owner id, which a reset keeps."""
        return self._outsiders.add(self.world, name)

    def submit_market(self, owner: int, lots: int) -> int:
        """Send an immediate-or-cancel market order of signed `lots`; return its order id.

        The crowd acts for `latency_steps` whole market steps first; then it enters before anyone else in that step.
        """
        return self._outsiders.send(self.world, owner, lots, self.latency_steps)

    def fills(self, owner: int) -> Ints:
        """What `owner` traded since the last call, (n, 3) int64: ticks, signed lots, market step."""
        return self._outsiders.fills(self.world, owner)

    def position(self, owner: int) -> int:
        """Lots that an owner holds, crowd or outsider; negative where short."""
        return int(self.world.book.accounts[owner, ladder.POSITION])

    def cash(self, owner: int) -> int:
        """Cash of an owner in ticks × lots since the market began."""
        return int(self.world.book.accounts[owner, ladder.CASH])

    # what can be seen now

    def instrument(self) -> Instrument:
        """What is traded here."""
        return self.crowd.instrument

    def depth(self, levels: int = 10) -> tuple[Ints, Ints]:
        """The best levels of bids and asks, (n, 2) int64 of ticks and lots, best first."""
        return depth(self.world.book, levels)

    @property
    def tick(self) -> float:
        return self.crowd.instrument.tick

    @property
    def lot(self) -> float:
        return self.crowd.instrument.lot

    @property
    def mid_ticks(self) -> float:
        """The mid now, or the last trade where one side is empty."""
        return float(world.reference_ticks(self.world.book))

    @property
    def last_ticks(self) -> int:
        """The price of the last trade."""
        return int(self.world.book.head[ladder.LAST])

    @property
    def bars_done(self) -> int:
        """How many bars are finished."""
        return len(self._rows)

    @property
    def close_price(self) -> float:
        """The price of the last trade, in quote units."""
        return self.last_ticks * self.tick

    @property
    def value(self) -> float:
        """The fundamental now, which no trader sees exactly."""
        return math.exp(float(self.world.mood[world.LOG_VALUE])) * self.tick

    @property
    def activity(self) -> float:
        """How busy everyone is, 1 in the middle."""
        return float(self.world.mood[world.ACTIVITY])

    @property
    def volume(self) -> float:
        """Volume of the last finished bar, in units of the asset."""
        return int(self._last_row()[world.VOLUME]) * self.lot

    @property
    def quoted_share(self) -> float:
        """Share of the last bar's steps that ended with both sides quoted."""
        return int(self._last_row()[world.QUOTED_STEPS]) / self.crowd.unit.steps_per_bar

    @property
    def spread_ticks(self) -> float:
        """Mean spread of the last bar, over the steps that had one; 0 where none had."""
        row = self._last_row()
        return int(row[world.SPREAD_SUM]) / max(1, int(row[world.QUOTED_STEPS]))

    @property
    def makers_lots(self) -> int:
        """What the market makers hold together."""
        return self._cohorts[Part.MAKERS].lots

    def rejects(self) -> dict[Reject, int]:
        """How many messages the book refused, by reason."""
        return {code: int(self.world.book.head[ladder.REJECTS + code]) for code in Reject}

    # Mesa's bookkeeping

    def register_agent(self, agent: mesa.Agent) -> None:
        """Number the agent here: Mesa 3.3's class-wide counter would keep this model alive for ever (mesa #3179)."""
        mesa.Agent._ids.pop(self, None)
        self._last_unique_id += 1
        agent.unique_id = self._last_unique_id
        super().register_agent(agent)

    # within

    def _raise_cast(self) -> None:
        """Make the book, the world and one agent a cohort, each with the owners after the last one's."""
        crowd = self.crowd
        parts: Iterable[int] = (
            crowd.noise.traders,
            crowd.fundamental.traders,
            crowd.trend.traders,
            crowd.contrarian.traders,
            crowd.makers.traders,
            crowd.executor.traders,
        )
        first = [0, *(int(n) for n in np.cumsum(list(parts)))]
        self._outsiders = Outsiders(first[COHORTS])
        book = empty_book(LEVELS, CAPACITY, first[COHORTS] + OUTSIDERS, ROOM)
        self.world = empty_world(book)
        self._cohorts: tuple[CohortAgent, ...] = (
            NoiseTraders(self, crowd.noise, first[Part.NOISE]),
            FundamentalTraders(self, crowd.fundamental, first[Part.FUNDAMENTAL]),
            Chartists(self, crowd.trend, first[Part.TREND], Part.TREND),
            Chartists(self, crowd.contrarian, first[Part.CONTRARIAN], Part.CONTRARIAN),
            MarketMakers(self, crowd.makers, first[Part.MAKERS]),
            StormExecutor(self, crowd.executor, first[Part.EXECUTOR]),
        )
        self._rules = Rules(
            crowd.value, crowd.noise, crowd.fundamental, crowd.trend, crowd.contrarian, crowd.makers, crowd.executor
        )

    def _seed_all(self, rng: int | np.random.Generator) -> None:
        entropy = int(rng.integers(0, 1 << 63)) if isinstance(rng, np.random.Generator) else int(rng)
        if entropy < 0:
            raise ValueError(f"seed {entropy} is negative")
        self._seeds = [np.random.SeedSequence(entropy, spawn_key=(child,)) for child in range(PARTS_SEED + PARTS)]
        self.reset_rng(np.random.default_rng(self._seeds[MESA_SEED]))
        self.reset_randomizer(int(self._seeds[MESA_SEED].generate_state(1)[0]))

    def _clear(self) -> None:
        """Empty every array in place and draw what lasts an episode."""
        for array in (*self.world.book, *self.world[1:]):
            array.fill(0)
        self.world.keys[:] = keys_of(self._seeds[PARTS_SEED:])
        traits = np.random.default_rng(self._seeds[TRAITS_SEED])
        for agent in self._cohorts:
            agent.clear(traits)
        self._outsiders.forget()
        crowd, mood = self.crowd, self.world.mood
        start = round(crowd.value.price / crowd.instrument.tick)
        mood[world.LOG_VALUE] = math.log(start)
        mood[world.LOG_FACTOR] = crowd.value.factor_sd * float(traits.normal())
        mood[world.LOT] = crowd.instrument.lot
        self.world.history.fill(math.log(start))
        self.world.book.head[ladder.LAST] = start
        self.world.book.head[ladder.LOG_KINDS] = self._log_kinds
        set_knobs(self.world.knobs)

    def _schedule_storm(self) -> None:
        drawn = self.scenario.draw(np.random.default_rng(self._seeds[STORM_SEED]), self.role, self.onset)
        if drawn is not None and self.onset is None:
            drawn = replace(drawn, onset=drawn.onset + self.calm_bars)
        self.storm = drawn if self.given_storm is None else self.given_storm
        if self.storm is None:
            return
        rows = self.scenario.schedule(self.storm, self.crowd.unit.steps_per_bar)
        self.world.schedule[: len(rows)] = rows
        self.world.clock[world.SCHEDULED] = len(rows)
        self.world.cohorts[Part.EXECUTOR, world.MARK] = int(self.scenario.label)

    def _burn_in(self) -> None:
        """Trade before the tape begins, at negative steps, then start clock, tape and collector."""
        clock_rng = np.random.default_rng(self._seeds[CLOCK_SEED])
        self.opened_at = YEAR_BEGAN + HOUR_MS * int(clock_rng.integers(HOURS))
        steps = BURN_IN_BARS * self.crowd.unit.steps_per_bar
        self.world.clock[world.STEP] = -steps
        self._advance(steps)
        self.world.book.head[ladder.LOGGED] = 0
        self.steps = 0
        self._rows: list[Ints] = []
        self.datacollector.model_vars = {name: [] for name in REPORTS}
        open_bar(self.world)

    def _advance(self, steps: int) -> None:
        while steps > 0:
            self._make_room()
            steps -= int(advance(self.world, self._rules, steps))

    def _make_room(self) -> None:
        """Double the event log where the next step might not fit."""
        book = self.world.book
        while not has_room(book):
            book = book._replace(events=np.concatenate([book.events, np.zeros_like(book.events)]))
            self.world = self.world._replace(book=book)

    def _finish_bar(self) -> None:
        row = np.zeros(world.BAR_WIDTH, np.int64)
        close_bar(self.world, row)
        self._rows.append(row)
        open_bar(self.world)
        self.datacollector.collect(self)

    def _bar_rows(self) -> Ints:
        return np.array(self._rows, np.int64).reshape(-1, world.BAR_WIDTH)

    def _last_row(self) -> Ints:
        return self._rows[-1] if self._rows else np.zeros(world.BAR_WIDTH, np.int64)

    def _guests(self) -> list[mesa.Agent]:
        """Agents that are no cohort of ours: a user's own."""
        if len(self._agents) == COHORTS:
            return []
        return [agent for agent in self.agents if not isinstance(agent, CohortAgent)]
