"""CrowdMarket: a Mesa model in which cohorts of traders meet on one limit order book, market step by market step.

`run` advances whole bars in compiled calls, `step` one market step through Mesa's agents; the tape is the same, byte
for byte. An outsider (a policy in the arena) trades by `submit_…` and shifts nobody's draws. Knows nothing of desks,
rewards or policies.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import mesa
import numpy as np
from mesa.datacollection import DataCollector
from numpy.typing import NDArray

from ..market.jit import entered
from ..market.orders import Instrument
from . import ladder, matching, world
from .board import Board
from .cast import OUTSIDERS, clear_stage, rules_of, seats_of, stage_of
from .draws import keys_of
from .ladder import Ints
from .matching import BUY, SELL
from .outsiders import Outsiders
from .population import Population, population
from .recorder import Recorder, with_bars
from .scenarios import load_scenario
from .seeding import CLOCK_SEED, MESA_SEED, PARTS_SEED, TRAITS_SEED, seeds_of
from .snapshots import Snapshot, put_back, schedule, snapshot_of, storms_drawn
from .stepping import advance, close_step, open_bar, open_step
from .storms import Role, Scenario, Storm
from .tape import REPORTS, reports_of
from .traders import CLASSES, CohortAgent

BURN_IN_BARS = 10  # before bar 0, so that the book is full when the tape begins
YEAR_BEGAN = 1_704_067_200_000  # 2024-01-01 UTC: the clock starts at a random hour of that year
HOUR_MS, HOURS = 3_600_000, 8_784


class CrowdMarket(Board, mesa.Model):  # type: ignore[misc]  # mesa ships no types
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
        bars_of = self.crowd.unit.interval
        self.scenario = scenario if isinstance(scenario, Scenario) else load_scenario(scenario, bars_of)
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
        self.storms = ()
        self._last_unique_id = 0
        self._recorder = Recorder(all_orders=all_orders, quotes=quotes, tape=tape)
        super().__init__(rng=np.random.default_rng(0))
        self._seats = seats_of(self.crowd, outsiders)
        self.world = stage_of(self._seats)
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
        self.world = self._recorder.make_room(self.world)
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
        self.world = with_bars(self.world, len(state["bars"]))
        put_back(state, self.world)
        self.opened_at = int(state["opened_at"][0])
        self._outsiders.forget(int(self.world.clock[world.FILLS]))
        self._begin_records()
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
        traits = np.random.default_rng(self._seeds[TRAITS_SEED])
        clear_stage(self.world, self.crowd, self._seats, keys_of(self._seeds[PARTS_SEED:]), traits)
        self.world.book.head[ladder.LOG_KINDS] = self._recorder.kinds
        for agent in self._cohorts:
            agent.clear(traits)
        self._outsiders.forget()

    def _schedule_storm(self) -> None:
        """Draw the storms where none was given, and schedule them behind the asset's profile, which always holds."""
        drawn = storms_drawn(self._seeds, self.scenario, self.role, onset=self.onset, calm_bars=self.calm_bars)
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
        clock[world.BARS] = 0
        self._begin_records()

    def _begin_records(self) -> None:
        """Begin tape and collector anew at the step that the clock shows."""
        self._recorder.begin(self.world)
        self.datacollector.model_vars = {name: [] for name in REPORTS}
        self.steps, self._reported = int(self.world.clock[world.STEP]), self.bars_done

    def _advance(self, steps: int) -> None:
        while steps > 0:
            self.world = self._recorder.make_room(self.world)
            steps -= int(advance(self.world, self._rules, steps))

    def _report(self) -> None:
        """Tell the collector of the bars that finished since the last time."""
        done = self.bars_done
        if self._reported == done:
            return
        new = slice(self._reported, done)
        self._reported = done
        for name, column in reports_of(self.world.bars[new], self.world.notes[new], self.crowd).items():
            self.datacollector.model_vars[name].extend(column)

    def _latency(self) -> int:
        """Steps that an order travels, counted from the last finished step: a guest acts within the next one."""
        return self.latency_steps + int(self._acting)

    def _guests(self) -> list[mesa.Agent]:
        """Agents that are no cohort of ours: a user's own."""
        if len(self._agents) == len(self._cohorts):
            return []
        return [agent for agent in self.agents if not isinstance(agent, CohortAgent)]
