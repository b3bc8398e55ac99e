"""Plays: markets that are staged for detectors, as data: a scenario, one storm, a seed, and what it is an example of.

Two parameters of every play are drawn from a field of five by five cells. A group takes one cell of each row and of
each column, so that every group covers both ranges evenly and no two share a cell: what a split holds out is seen in
no training. Knows neither detectors nor how a market is raised.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from ..simulators.population import Population, population
from ..simulators.scenarios import load_scenario
from ..simulators.storms import Change, Ranges, Scenario, Setting, Storm
from ..simulators.world import Knob, Part

SPAN_BARS = 100  # what a share of 1 means in a play's timeline
CELLS = 5  # of each of the two parameters, and groups
FIRST_BAR, LAST_BAR = 70, 240  # between which a play's matter begins: behind what a detector must see to be warm
AFTER_BARS = 90  # recorded after it began


@cache
def calm_crowd() -> Population:
    """The calibrated crowd of 1-minute bars, read once."""
    return population("1m")


@dataclass(frozen=True, slots=True)
class Sent:
    """An order of an outside trader: at which step, signed lots, and for a limit order its distance and its life.

    `behind` is in ticks from the touch of its own side, −1 for a market order; `life` in steps, then it is cancelled.
    """

    step: int
    lots: int
    behind: int = -1
    life: int = 0

    @property
    def is_market(self) -> bool:
        return self.behind < 0


@dataclass(frozen=True, slots=True)
class Play:
    """One market to raise. What it is about begins at bar `begins`; `lasts` bars later nothing of it is left."""

    run: str
    family: str
    group: str
    scenario: Scenario
    storm: Storm | None
    seed: int
    begins: int
    lasts: int
    bars: int
    sent: tuple[Sent, ...] = ()
    crowd: Population = field(default_factory=calm_crowd)


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in the field of both parameters: shares of their ranges, and the group that it belongs to."""

    first: float
    second: float
    group: int

    def between(self, low: float, high: float, *, second: bool = False) -> float:
        """The value of the first parameter, or of the second, in a range of its own."""
        return low + (high - low) * (self.second if second else self.first)


def spot_of(rng: np.random.Generator, group: int) -> Spot:
    """A spot drawn evenly from the cells of one group."""
    row = int(rng.integers(CELLS))
    column = (group - row) * 3 % CELLS  # the cell of this row for which group_of tells the group
    return Spot((row + rng.random()) / CELLS, (column + rng.random()) / CELLS, group)


def group_of(row: int, column: int) -> int:
    """The group of a cell: one of each row and each column."""
    return (row + 2 * column) % CELLS


def timed(cohort: Part, knob: Knob, start_bar: float, end_bar: float, value: float) -> Change:
    """A change that lasts from one bar to another, counted from the storm's onset."""
    return Change(cohort, knob, start_bar / SPAN_BARS, end_bar / SPAN_BARS, value)


def staged(
    name: str, changes: Sequence[Change], onset: int, *, profile: Sequence[Setting] = (), up: bool = True
) -> tuple[Scenario, Storm]:
    """A scenario that can draw but one storm, and that storm."""
    direction = 1 if up else -1
    only = Ranges((onset, onset), (1.0, 1.0), (SPAN_BARS, SPAN_BARS), (direction,))
    scenario = Scenario(name, 0, {"train": only, "judge": only}, tuple(changes), tuple(profile))
    return scenario, Storm(name, "train", onset, 1.0, SPAN_BARS, direction)


def retimed(changes: Sequence[Change], severity: float, bars: float, at: Callable[[float], float]) -> list[Change]:
    """A scenario's changes with the severity told and every bar of a storm of so many `bars` moved by `at`."""
    moved = []
    for change in changes:
        value = severity * change.times if change.value is None else change.value
        start, end = (at(share * bars) / SPAN_BARS for share in (change.start, change.end))
        moved.append(replace(change, start=start, end=end, value=value, times=1.0))
    return moved


def scaled(profile: Sequence[Setting], knob: Knob, times: float) -> tuple[Setting, ...]:
    """A profile with one knob of all its cohorts multiplied."""
    return tuple(
        replace(setting, value=setting.value * times) if setting.knob == knob else setting for setting in profile
    )


@cache
def scenario_of(name: str) -> Scenario:
    """A scenario of the house, read once: a course raises thousands of markets."""
    return load_scenario(name)


def begin_bar(rng: np.random.Generator) -> int:
    """Where a play's matter begins."""
    return int(rng.integers(FIRST_BAR, LAST_BAR, endpoint=True))


def numbered(seed: int, stage: int) -> Iterator[tuple[int, np.random.Generator]]:
    """Seeds of markets, and a generator for the parameters of each: stages never share one."""
    count = 0
    while True:
        sequence = np.random.SeedSequence([seed, stage, count])
        yield int(sequence.generate_state(1, np.uint64)[0] >> 1), np.random.default_rng(sequence.spawn(1)[0])
        count += 1
