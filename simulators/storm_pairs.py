"""Storms beside their calm twins: both markets of one seed, and the verdict of many seeds.

A twin has the storm's seed, crowd and profile, and no storm. A negative control is a pair in which one cohort never
acts. Knows nothing of how anything is measured.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .acceptance import Band, Line, Verdict, Without
from .cast import seats_of
from .crowd import CrowdMarket
from .storm_measures import Floats
from .storm_scenes import Record, Scene, measured
from .storms import Role, Scenario, Storm
from .world import QUOTED_STEPS, SPREAD_SUM


@dataclass(frozen=True, eq=False)
class Pair:
    """A storm and its calm twin of one seed, and the same for every negative control."""

    scenario: Scenario
    storms: tuple[Storm, ...]
    run: Record
    calm: Record
    controls: dict[Without, tuple[Record, Record]]

    def values(self, band: Band) -> tuple[list[float], list[float]]:
        """What every line of a band measures in the storm, and in the calm twin in its place."""
        return [self._value(line, False) for line in band.lines], [self._value(line, True) for line in band.lines]

    def _value(self, line: Line, calm: bool) -> float:
        run, twin = (self.calm if calm else self.run), self.calm
        told = measured(self._scene(line, run, twin), line) if line.without is None or line.compare else 0.0
        if line.without is None:
            return told
        control_run, control_twin = self.controls[line.without]
        control = measured(self._scene(line, control_twin if calm else control_run, control_twin), line)
        if line.compare == "share":
            return control / told if told else float("nan")
        return told - control if line.compare == "excess" else control

    def _scene(self, line: Line, run: Record, calm: Record) -> Scene:
        storm = next((each for each in self.storms if each.scenario == line.storm), self.storms[0])
        first = storm.onset + round(line.start * storm.duration)
        return Scene(run, calm, storm, first, first + line.within if line.within else self.scenario.last_bar(storm))


class Pairs:
    """Raises pairs of one scenario, seed after seed, in the same few markets."""

    def __init__(self, scenario: str | Scenario, *, role: Role = "train", **keywords: Any) -> None:
        keywords |= {"role": role, "quotes": True}
        self._pair = tuple(CrowdMarket(scenario, 0, calm=calm, **keywords) for calm in (False, True))
        self.scenario = self._pair[0].scenario
        band = self.scenario.band
        self._controls = {
            control: tuple(
                CrowdMarket(self.scenario.without(control.cohort, control.knob), 0, calm=calm, **keywords)
                for calm in (False, True)
            )
            for control in (band.controls() if band else ())
        }

    @property
    def stormy(self) -> CrowdMarket:
        """The stormy market of the pair that ran last."""
        return self._pair[0]

    def at(self, seed: int) -> Pair:
        """Run storm, twin and controls of one seed until the last recovery window is over."""
        storms = self._pair[0].reset(seed).storms
        if not storms:
            raise ValueError(f"{self.scenario.name} is calm: there is no storm to put beside its twin")
        first, _, over = self.scenario.span(storms)
        if first < 1:
            raise ValueError(f"a storm at bar {first} has no bar before it to be measured from")
        run, calm = (record_of(market.reset(seed).run(over + 1)) for market in self._pair)
        controls = {}
        for control, markets in self._controls.items():
            stormy, quiet = (record_of(market.reset(seed).run(over + 1)) for market in markets)
            controls[control] = (stormy, quiet)
        return Pair(self.scenario, storms, run, calm, controls)


def judge(
    pairs: Pairs, band: Band, seeds: Iterable[int] | None = None, told: Callable[[str], None] = lambda _: None
) -> Verdict:
    """Measure the pairs of a band's seeds, or of others, and give the verdict."""
    storms, twins = [], []
    for seed in band.seeds if seeds is None else seeds:
        told(str(seed))
        storm, twin = pairs.at(seed).values(band)
        storms.append(storm)
        twins.append(twin)
    return Verdict(band, np.array(storms), np.array(twins))


def record_of(market: CrowdMarket) -> Record:
    """Take what can be measured out of a market that keeps quotes."""
    bars, quotes, per_bar = market.bars(), market.quotes(), market.crowd.unit.steps_per_bar
    rows = market.world.bars[: market.bars_done].astype(np.float64)
    quoted = rows[:, QUOTED_STEPS]
    both = (quotes["bid_ticks"] > 0) & (quotes["ask_ticks"] > 0)
    mids = np.where(both, 0.5 * (quotes["bid_ticks"] + quotes["ask_ticks"]), np.nan)
    whole = len(bars) * per_bar
    return Record(
        bars.high,
        bars.low,
        bars.close,
        bars.volume,
        np.array(market.datacollector.model_vars["value"]),
        quoted / per_bar,
        np.where(quoted > 0, rows[:, SPREAD_SUM] / np.maximum(quoted, 1), np.nan),
        quotes["near_lots"][:whole].reshape(-1, per_bar).mean(axis=1),
        _carried(mids),
        market.trades(),
        market.labels(),
        seats_of(market.crowd).cohorts,
        market.tick,
        market.lot,
        per_bar,
        int(np.abs(market.world.book.accounts.sum(axis=0)).sum()),
    )


def _carried(values: Floats) -> Floats:
    """The last value that was known, in place of every one that was not."""
    known = np.where(np.isfinite(values), np.arange(len(values)), -1)
    last = np.maximum.accumulate(known)
    return np.where(last >= 0, values[np.maximum(last, 0)], np.nan)
