"""A crowd market as somebody watches it: bar by bar, what it shows at any moment, and storms begun on the spot.

A storm that is begun now is scheduled from the next bar on. The market is then traded again from its first bar with
the storm in its schedule: a storm shifts nobody's draws, so everything up to now comes out as it was, to the last
lot. Only a storm whose asset differs (a scenario with a profile) gives the market another past, and says so.
Knows nothing of pictures, browsers or Solara.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..market.bars import INTERVALS
from ..simulators.crowd import CrowdMarket
from ..simulators.scenarios import ScenarioAbsent, load_scenario, scenario_names
from ..simulators.storms import Role, Scenario, Storm
from ..simulators.world import SCHEDULE_ROOM

Floats = NDArray[np.float64]
Pace = Literal["bar", "market step"]
PACES: tuple[Pace, ...] = get_args(Pace)

FIRST_LOOK = 60  # bars traded before anybody looks: no drawn storm begins earlier
DEPTH_LEVELS = 400  # prices a side


@dataclass(frozen=True, slots=True)
class Weather:
    """One storm of a watched market, in bars: it acts in [first, after) and is got over by `end`."""

    storm: Storm
    first: int
    after: int
    end: int


@dataclass(frozen=True, eq=False)
class Look:
    """What a market shows at one moment; one row a finished bar, prices in quote units, lots in units of the asset."""

    market: str  # its scenario and seed
    symbol: str
    interval: str
    closed_at: Floats  # ms UTC
    price: Floats
    value: Floats  # the fundamental, which no trader sees exactly
    spread_ticks: Floats
    volume: Floats
    quoted_share: Floats  # of the bar's market steps, both sides quoted
    holdings: Mapping[str, Floats]  # by cohort
    bids: Floats  # (n, 2) price and size, best first
    asks: Floats
    mid: float
    steps_in_bar: int  # market steps of the bar that is running
    steps_a_bar: int
    weather: tuple[Weather, ...]
    told: str

    @property
    def bars(self) -> int:
        return len(self.price)

    @property
    def interval_ms(self) -> int:
        return INTERVALS[self.interval]


class WatchedMarket:
    """A crowd market in the shape that Mesa's SolaraViz drives: keyword arguments, `step`, `steps`, `running`.

    `step` is one bar, or one market step where `pace` says so. `onset` (bar) replaces the drawn one of the scenario's
    storm, 0 leaves it to the draw. Safe to be watched, stepped and stormed from several threads.
    """

    running = True

    def __init__(
        self,
        scenario: str = "normal",
        seed: int = 1,
        role: Role = "train",
        interval: str = "1m",
        onset: int = 0,
        pace: Pace = "bar",
    ) -> None:
        if pace not in PACES:
            raise ValueError(f"pace {pace!r} is not one of {', '.join(PACES)}")
        self.seed, self.role, self.interval, self.pace = seed, role, interval, pace
        self._lock = threading.RLock()
        self._begun = 0
        self._told = "Trades on. What is set at the side takes hold with Reset."
        try:
            self._scenario = load_scenario(scenario, interval)
        except ScenarioAbsent as error:
            self._scenario = load_scenario("normal", interval)
            told = str(error)
            self._told = f"{told[0].upper()}{told[1:]}. A calm market trades in its place."
        self._market = CrowdMarket(self._scenario, seed, interval=interval, role=role, onset=onset or None)
        self._storms = self._market.storms
        self._named = f"{self._scenario.name.replace('_', ' ')}, seed {seed}"
        self._holdings: dict[str, list[int]] = {}
        self._trade(min(FIRST_LOOK, onset) if onset else FIRST_LOOK, 0)

    @property
    def steps(self) -> int:
        """Market steps since the first bar."""
        return int(self._market.steps)

    def step(self) -> None:
        """Trade to the end of the running bar, or one market step."""
        with self._lock:
            self._trade(1, 0) if self.pace == "bar" else self._trade(0, 1)

    def begin(self, name: str) -> None:
        """Draw a storm of a scenario and begin it with the next bar; `Look.told` says what that made of the market."""
        with self._lock:
            self._begin(load_scenario(name, self.interval))

    def look(self) -> Look:
        """What the market shows now."""
        with self._lock:
            return self._look()

    def _begin(self, scenario: Scenario) -> None:
        bars, steps = self._market.bars_done, self._steps_in_bar()
        onset = bars + (1 if steps else 0)
        entropy = np.random.SeedSequence([self.seed, self._begun + 1])
        drawn = scenario.draw_all(entropy, self.role, onset)
        if not drawn:
            raise ValueError(f"{scenario.name} is calm: there is no storm in it to begin")
        together = _together(self._scenario, scenario)
        storms = (*self._storms, *drawn)
        rows = len(together.settings()) + sum(len(together.part_of(storm).changes) for storm in storms)
        if rows > SCHEDULE_ROOM:
            raise ValueError(
                f"{scenario.name} finds no room beside the storms before it: press Reset and begin it anew"
            )
        other_asset = set(together.settings()) != set(self._scenario.settings())
        market = CrowdMarket(together, self.seed, interval=self.interval, role=self.role, storm=storms)
        self._market.close()
        self._market, self._scenario, self._storms, self._begun = market, together, storms, self._begun + 1
        self._holdings = {}
        self._trade(bars, steps)
        self._told = _sentence(scenario.name, drawn, onset, other_asset)

    def _trade(self, bars: int, steps: int) -> None:
        """Run to the end of so many bars, then so many market steps, keeping what each cohort holds at every close."""
        for _ in range(bars):
            self._market.run_bar()
            self._note_holdings()
        for _ in range(steps):
            done = self._market.bars_done
            self._market.step()
            if self._market.bars_done > done:
                self._note_holdings()

    def _note_holdings(self) -> None:
        for agent in self._market.agents:
            self._holdings.setdefault(agent.part.name.lower(), []).append(agent.lots)

    def _steps_in_bar(self) -> int:
        return int(self._market.steps) - self._market.bars_done * self._market.crowd.unit.steps_per_bar

    def _look(self) -> Look:
        market, lot, tick = self._market, self._market.lot, self._market.tick
        seen = {name: np.array(column, np.float64) for name, column in market.datacollector.model_vars.items()}
        bids, asks = (side * np.array([tick, lot]) for side in market.depth(DEPTH_LEVELS))
        bars = market.bars()
        return Look(
            market=self._named,
            symbol=market.instrument().symbol,
            interval=self.interval,
            closed_at=bars.opened_at.astype(np.float64) + INTERVALS[self.interval],
            price=seen["close_price"],
            value=seen["value"],
            spread_ticks=seen["spread_ticks"],
            volume=seen["volume"],
            quoted_share=seen["quoted_share"],
            holdings={name: np.array(lots, np.float64) * lot for name, lots in self._holdings.items()},
            bids=bids,
            asks=asks,
            mid=market.mid_ticks * tick,
            steps_in_bar=self._steps_in_bar(),
            steps_a_bar=market.crowd.unit.steps_per_bar,
            weather=tuple(
                Weather(s, s.onset, self._scenario.last_bar(s), self._scenario.end_bar(s)) for s in self._storms
            ),
            told=self._told,
        )


@cache
def storm_names(interval: str = "1m") -> tuple[str, ...]:
    """The scenarios of the house that have a storm in them, where a bar is so long; a page asks often."""
    loaded = [load_scenario(name, interval) for name in scenario_names(interval)]
    return tuple(scenario.name for scenario in loaded if scenario.changes or scenario.parts)


def _together(before: Scenario, more: Scenario) -> Scenario:
    """A scenario that both are part of; what is in it already is not doubled."""
    parts = {part.name: part for scenario in (before, more) for part in scenario.parts or (scenario,)}
    composed = [scenario for scenario in (before, more) if scenario.parts]
    profile = tuple(dict.fromkeys(setting for scenario in composed for setting in scenario.profile))
    return Scenario(
        "watched", max(part.recovery for part in parts.values()), profile=profile, parts=tuple(parts.values())
    )


def _sentence(name: str, drawn: tuple[Storm, ...], onset: int, other_asset: bool) -> str:
    each = "; ".join(
        _drawn(storm) if len(drawn) == 1 else f"{_spoken(storm.scenario)} {_drawn(storm)}" for storm in drawn
    )
    how = (
        "It trades another asset: the market began anew as that asset, with the same seed, and ran up to now."
        if other_asset
        else "It joins the running market."
    )
    return f"{_spoken(name)} begins with bar {onset}: {each}. {how}"


def _drawn(storm: Storm) -> str:
    return f"severity {storm.severity:.3g}, {storm.duration} bars, {'up' if storm.direction > 0 else 'down'}"


def _spoken(name: str) -> str:
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]
