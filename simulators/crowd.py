"""CrowdMarket: a Mesa model in which cohorts of traders meet on one limit order book, market step by market step.

`run` advances whole bars in compiled calls, `step` one market step through Mesa's agents; the tape is the same, byte
for byte. An outsider (a policy in the arena) trades by `submit_…` and shifts nobody's draws. Knows nothing of desks,
rewards or policies.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import mesa
import numpy as np
from mesa.datacollection import DataCollector
from numpy.typing import NDArray

from ..market.bars import Bar, Bars
from ..market.jit import entered
from ..market.orders import Instrument
from . import climate, ladder, matching, world
from .book import depth
from .cast import OUTSIDERS, rules_of, seats_of, stage_of
from .draws import keys_of
from .ladder import Ints
from .matching import ALL_EVENTS, BUY, ONLY_TRADES, SELL, Reject
from .outsiders import Outsiders
from .population import LOT_OF_SIZES, Population, population
from .scenarios import load_scenario
from .seeding import CLOCK_SEED, MESA_SEED, PARTS_SEED, STORM_SEED, TRAITS_SEED, seeds_of
from .snapshots import Snapshot, put_back, schedule, snapshot_of
from .stepping import TOP_AND_DEPTH, TOP_ONLY, advance, close_step, has_room, open_bar, open_step
from .storms import Role, Scenario, Storm
from .tape import Tape, bar_of, bars_of, digest_of, events_of, orders_of, quotes_of, trades_of
from .traders import CLASSES, CohortAgent
from .world import Part, World

BURN_IN_BARS = 10  # before bar 0, so that the book is full when the tape begins
YEAR_BEGAN = 1_704_067_200_000  # 2024-01-01 UTC: the clock starts at a random hour of that year
HOUR_MS, HOURS = 3_600_000, 8_784
REPORTS = ("close_price", "value", "activity", "spread_ticks", "quoted_share", "volume", "makers_lots")


class CrowdMarket(mesa.Model):  # type: ignore[misc]  # mesa ships no types
    """A market of traders on a price-time-priority book, calm or in a storm.

    `rng` is a seed or a Generator (one draw of it seeds the market). `role` says which ranges a storm is drawn from;
    a storm of the other role is refused. `onset` (bar) replaces the drawn one; a drawn storm comes `calm_bars` later
    than drawn, for somebody who must watch that long before the first act. `calm` leaves the storm out and the
    scenario's profile in: the twin of the stormy market of the same seed. `instrument` gives ticks and lots their
    worth; the crowd trades the same ticks and lots whatever it is. `latency_steps` is how many market steps an
    outsider's order travels, `outsiders` how many accounts are kept for them. `all_orders` keeps every order event in
    the tape, not only trades; `quotes` the book's top and depth at the end of every step, or the top alone, which is
    quicker; `tape` False forgets trades and orders as they go by, and keeps the bars alone.

    >>> bars = CrowdMarket(scenario="flash_crash", rng=7).run(bars=2880).bars()
    """

    def __init__(
        self,
        scenario: str | Path | Scenario = "normal",
        rng: int | np.random.Generator = 0,
        *,
        interval: str = "1m",
        role: Role = "train",
        onset: int | None = None,
        calm_bars: int = 0,
        storm: Storm | tuple[Storm, ...] | None = None,
        calm: bool = False,
        instrument: Instrument | None = None,
        crowd: Population | None = None,
        latency_steps: int = 1,
        all_orders: bool = False,
        quotes: bool | Literal["top"] = False,
        outsiders: int = OUTSIDERS,
        tape: bool = True,
    ) -> None:
        self.crowd = population(interval) if crowd is None else crowd
        if instrument is not None:
            self.crowd = replace(self.crowd, instrument=instrument)
        self.scenario = scenario if isinstance(scenario, Scenario) else load_scenario(scenario)
        self.role, self.onset, self.is_calm = role, onset, calm
        self.given_storms = (storm,) if isinstance(storm, Storm) else storm or ()
        for given in self.given_storms:
            if calm:
                raise ValueError(f"a storm of {given.scenario} was given to a market that is to stay calm")
            if onset is not None:
                raise ValueError(f"onset {onset} was given beside a storm, which has its own, {given.onset}")
            self.scenario.admit(given, role)
        if calm_bars < 0:
            raise ValueError(f"calm_bars {calm_bars} must be 0 or more")
        self.calm_bars = calm_bars
        if latency_steps < 1:
            raise ValueError(f"latency_steps is {latency_steps}, an order travels at least 1 market step")
        self.latency_steps = latency_steps
        self._acting = False
        self.storms: tuple[Storm, ...] = ()
        self._last_unique_id = 0
        self._log_kinds = ALL_EVENTS if all_orders else ONLY_TRADES
        self._keeps = tape
        self._quoting = TOP_ONLY if quotes == "top" else TOP_AND_DEPTH * int(quotes)
        super().__init__(rng=np.random.default_rng(0))
        self._seats = seats_of(self.crowd, outsiders)
        self.world: World = stage_of(self._seats)
        self._rules = rules_of(self.crowd)
        self._outsiders = Outsiders(self._seats.outsiders)
        self._cohorts: tuple[CohortAgent, ...] = tuple(
            kind(self, self._rules[part + 1], self._seats.cohorts[part], part) for part, kind in CLASSES.items()
        )
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
        """Advance to the end of the running bar and `bars` − 1 more: compiled where only built-in cohorts trade."""
        per_bar = self.crowd.unit.steps_per_bar
        left = bars * per_bar - int(self.world.clock[world.STEPS])
        if self._guests():
            for _ in range(left):
                self.step()
            return self
        self._advance(left)
        self.steps += left
        self._report()
        return self

    def run_bar(self) -> None:
        """Finish the running bar."""
        self.run(1)

    def step(self) -> None:
        """Run one market step through Mesa: each cohort's agent, then guests in random order."""
        self._make_room()
        opening = (self.world, self.crowd.value, self.crowd.readers, self.crowd.makers)
        entered(open_step, *opening)(*opening)
        for agent in self._cohorts:
            agent.step()
        guests = self._guests()
        self.random.shuffle(guests)
        self._acting = True
        for guest in guests:
            guest.step()
        self._acting = False
        entered(close_step, self.world)(self.world)
        self._report()

    def state(self) -> Snapshot:
        """All that the next step depends on, as arrays by name, but for guests and the tape."""
        return snapshot_of(self.world) | {"opened_at": np.array([self.opened_at])}

    def set_state(self, state: Mapping[str, NDArray[np.int64] | NDArray[np.float64]]) -> "CrowdMarket":
        """Go on in place where `state` was taken, in a market of the same crowd; tape and collector begin anew."""
        while len(self.world.bars) < len(state["bars"]):
            self._double_bars()
        put_back(state, self.world)
        self.opened_at = int(state["opened_at"][0])
        clock, head = self.world.clock, self.world.book.head
        clock[world.QUOTES], clock[world.QUOTING], head[ladder.LOG_KINDS] = 0, self._quoting, self._log_kinds
        self._outsiders.forget(int(clock[world.FILLS]))
        self.steps, self._reported = int(clock[world.STEP]), self.bars_done
        self._begin_tape()
        return self

    def branch(self, rng: int | np.random.Generator, scenario: Scenario | None = None) -> "CrowdMarket":
        """From here on draw as the market of `rng` does, its storm included, in another scenario where one is given."""
        self.scenario = scenario or self.scenario
        self._seed_all(rng)
        self.world.keys[:] = keys_of(self._seeds[PARTS_SEED:])
        self._schedule_storm()
        return self

    def close(self) -> None:
        """Let go of everything that Mesa holds of this model."""
        self.remove_all_agents()
        self._cohorts = ()  # they hold the model: without them its arrays go at once, not when the collector comes
        mesa.Agent._ids.pop(self, None)

    # what was traded

    def bars(self) -> Bars:
        """The finished bars."""
        return bars_of(self._bar_rows(), self.opened_at, self.crowd)

    def last_bar(self) -> Bar:
        """The bar that finished last."""
        if not self.bars_done:
            raise ValueError("this market has not finished a bar yet")
        return bar_of(self._last_row(), self.opened_at, self.bars_done - 1, self.crowd)

    def trades(self) -> NDArray[np.void]:
        """Every trade: at_ms, sequence, step, ticks, lots, side, taker, maker, their order ids and labels."""
        return trades_of(self._events(), self.opened_at, self.crowd.unit.step_ms)

    def orders(self) -> NDArray[np.void]:
        """Every order as it arrived; needs `all_orders=True`."""
        return orders_of(self._all_events(), self.opened_at, self.crowd.unit.step_ms, labelled=False)

    def events(self) -> NDArray[np.void]:
        """All that happened to every order, arrivals, trades and cancels; needs `all_orders=True`."""
        return events_of(self._all_events(), self.opened_at, self.crowd.unit.step_ms)

    def quotes(self) -> NDArray[np.void]:
        """The book's top at the end of every step, and the lots within 10 and 100 bp; needs `quotes=True`."""
        if not (self._quoting and self._keeps):
            raise ValueError("this market keeps no quotes, ask for CrowdMarket(…, quotes=True)")
        return quotes_of(self._tape.tops(self.world), self.opened_at, self.crowd.unit.step_ms)

    def labels(self) -> NDArray[np.void]:
        """The storm's own orders, the ground truth of detectors: at_ms, step, owner, side, ticks, lots, label …"""
        return orders_of(self._events(), self.opened_at, self.crowd.unit.step_ms, labelled=True)

    def tape_digest(self) -> str:
        """sha256 over tape, bars and clock: equal digests, equal markets."""
        return digest_of(self._events(), self._bar_rows(), self.opened_at)

    # trading from outside: everything arrives `latency_steps` after the step that ran last, behind the crowd's orders

    def add_trader(self, name: str) -> int:
        """Open an account for an outsider; return its owner id, which a reset keeps."""
        return self._outsiders.add(self.world, name)

    def submit_market(self, owner: int, lots: int, *, delay_steps: int = 0) -> int:
        """Send an immediate-or-cancel market order of signed `lots`, `delay_steps` later; return its order id."""
        side = BUY if lots > 0 else SELL
        steps = self._latency() + delay_steps
        return self._outsiders.send(self.world, owner, matching.MARKET, side, 0, abs(lots), steps)

    def submit_limit(self, owner: int, lots: int, ticks: int, *, kind: int = matching.LIMIT, extra: int = 0) -> int:
        """Send a limit order of signed `lots` at `ticks`, or another `kind` of `matching`; return its order id."""
        side = BUY if lots > 0 else SELL
        return self._outsiders.send(self.world, owner, kind, side, ticks, abs(lots), self._latency(), extra)

    def cancel(self, owner: int, order_id: int) -> None:
        """Send a cancel of an own order."""
        self._outsiders.withdraw(self.world, owner, matching.CANCEL, order_id, self._latency())

    def reply(self, order_id: int) -> int | None:
        """What the book answered to an outsider's order: lots filled at once, minus a reject code, None: not yet."""
        return self._outsiders.reply(self.world, order_id)

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

    @property
    def storm(self) -> Storm | None:
        """The storm of this market, the first one where it is composed of several; None where it is calm."""
        return self.storms[0] if self.storms else None

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
        return float(climate.reference_ticks(self.world.book))

    @property
    def last_ticks(self) -> int:
        """The price of the last trade."""
        return int(self.world.book.head[ladder.LAST])

    @property
    def bars_done(self) -> int:
        """How many bars are finished."""
        return int(self.world.clock[world.BARS])

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
        return sum(self.position(owner) for owner in self._seats.cohorts[Part.MAKERS])

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

    def _seed_all(self, rng: int | np.random.Generator) -> None:
        entropy = int(rng.integers(0, 1 << 63)) if isinstance(rng, np.random.Generator) else int(rng)
        self._seeds = seeds_of(entropy)
        self.reset_rng(np.random.default_rng(self._seeds[MESA_SEED]))
        self.reset_randomizer(int(self._seeds[MESA_SEED].generate_state(1)[0]))

    def _clear(self) -> None:
        """Empty every array in place and draw what lasts an episode."""
        for array in (*self.world.book, *self.world[1:]):
            array.fill(0)
        self.world.keys[:] = keys_of(self._seeds[PARTS_SEED:])
        traits = np.random.default_rng(self._seeds[TRAITS_SEED])
        crowd, mood, clock, head = self.crowd, self.world.mood, self.world.clock, self.world.book.head
        start = round(crowd.value.price)
        mood[[world.LOG_VALUE, world.LOG_MID]] = math.log(start)
        mood[world.LOG_FACTOR] = crowd.value.factor_sd * float(traits.normal())
        mood[world.LOT], mood[world.MID] = LOT_OF_SIZES, start
        self.world.history.fill(math.log(start))
        head[ladder.LAST], head[ladder.LOG_KINDS] = start, self._log_kinds
        clock[world.STEPS_A_BAR], clock[world.FIRST_OUTSIDER] = crowd.unit.steps_per_bar, self._seats.outsiders.start
        climate.set_knobs(self.world.knobs)
        for agent in self._cohorts:
            agent.clear(traits)
        self._outsiders.forget()
        self._tape = Tape()

    def _schedule_storm(self) -> None:
        """Draw the storms where none was given, and schedule them behind the asset's profile, which always holds."""
        drawn = self.scenario.draw_all(self._seeds[STORM_SEED], self.role, self.onset)
        if self.onset is None:
            drawn = tuple(replace(storm, onset=storm.onset + self.calm_bars) for storm in drawn)
        self.storms = () if self.is_calm else self.given_storms or drawn
        schedule(self.world, self.scenario, self.storms)

    def _burn_in(self) -> None:
        """Trade before the tape begins, at negative steps, then start clock, tape and collector."""
        clock_rng = np.random.default_rng(self._seeds[CLOCK_SEED])
        self.opened_at = YEAR_BEGAN + HOUR_MS * int(clock_rng.integers(HOURS))
        steps, clock = BURN_IN_BARS * self.crowd.unit.steps_per_bar, self.world.clock
        clock[world.STEP] = -steps
        open_bar(self.world)
        self._advance(steps)
        self.world.book.head[ladder.LOGGED] = 0
        clock[[world.BARS, world.QUOTES]], clock[world.QUOTING] = 0, self._quoting
        self.steps = self._reported = 0
        self._begin_tape()

    def _begin_tape(self) -> None:
        self._tape = Tape()
        self.datacollector.model_vars = {name: [] for name in REPORTS}

    def _advance(self, steps: int) -> None:
        while steps > 0:
            self._make_room()
            steps -= int(advance(self.world, self._rules, steps))

    def _make_room(self) -> None:
        """Empty the tables of events and quotes, or double that of bars, where the next step might not fit."""
        if entered(has_room, self.world)(self.world):
            return
        self._tape.take(self.world)
        if not self._keeps:
            self._tape = Tape()
        if self.bars_done == len(self.world.bars):
            self._double_bars()

    def _double_bars(self) -> None:
        bars, notes = (np.concatenate([kept, np.zeros_like(kept)]) for kept in (self.world.bars, self.world.notes))
        self.world = self.world._replace(bars=bars, notes=notes)

    def _report(self) -> None:
        """Tell the collector of the bars that finished since the last time."""
        done = self.bars_done
        if self._reported == done:
            return
        rows, notes = self.world.bars[self._reported : done], self.world.notes[self._reported : done]
        self._reported = done
        quoted = rows[:, world.QUOTED_STEPS]
        columns = {
            "close_price": rows[:, world.CLOSE] * self.tick,
            "value": np.exp(notes[:, world.NOTE_LOG_VALUE]) * self.tick,
            "activity": notes[:, world.NOTE_ACTIVITY],
            "spread_ticks": rows[:, world.SPREAD_SUM] / np.maximum(1, quoted),
            "quoted_share": quoted / self.crowd.unit.steps_per_bar,
            "volume": rows[:, world.VOLUME] * self.lot,
            "makers_lots": notes[:, world.NOTE_MAKERS].astype(np.int64),
        }
        for name, column in columns.items():
            self.datacollector.model_vars[name].extend(column.tolist())

    def _latency(self) -> int:
        """Steps that an order travels, counted from the last finished step: a guest acts within the next one."""
        return self.latency_steps + int(self._acting)

    def _all_events(self) -> Ints:
        if self._log_kinds != ALL_EVENTS:
            raise ValueError("this market keeps trades only, ask for CrowdMarket(…, all_orders=True)")
        return self._events()

    def _events(self) -> Ints:
        if not self._keeps:
            raise ValueError("this market keeps no tape, ask for CrowdMarket(…, tape=True)")
        return self._tape.events(self.world)

    def _bar_rows(self) -> Ints:
        return self.world.bars[: self.bars_done]

    def _last_row(self) -> Ints:
        return self.world.bars[self.bars_done - 1] if self.bars_done else np.zeros(world.BAR_WIDTH, np.int64)

    def _guests(self) -> list[mesa.Agent]:
        """Agents that are no cohort of ours: a user's own."""
        if len(self._agents) == len(self._cohorts):
            return []
        return [agent for agent in self.agents if not isinstance(agent, CohortAgent)]
