"""Storms as data: timed changes to cohorts, read from `conf/scenario/*.yaml` and drawn from ranges.

A scenario's `train` and `judge` ranges are disjoint and judge severity reaches beyond train, so that a policy is
judged on storms that it cannot have trained on. Every storm starts at bar 60 or later, and is over, recovery
included, before bar 600. Knows nothing of the traders whose knobs it turns but their names.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from .world import COHORTS, SCHEDULE_ROOM, SCHEDULE_WIDTH, Floats, Knob, Label, Part

SCENARIOS = Path(__file__).resolve().parents[1] / "conf" / "scenario"
FIRST_BAR, LAST_BAR = 60, 600
COHORT_NAMES = {part.name.lower(): part for part in Part if part < COHORTS}
KNOB_NAMES = {knob.name.lower(): knob for knob in Knob}
LABEL_NAMES = {label.name.lower(): label for label in Label}
DIRECTIONS = {"down": -1, "up": 1}

Role = Literal["train", "judge"]
ROLES: tuple[Role, Role] = ("train", "judge")


@dataclass(frozen=True, slots=True)
class Ranges:
    """What one role may draw: closed ranges of onset and duration in bars and of severity; the possible signs."""

    onset: tuple[int, int]
    severity: tuple[float, float]
    duration: tuple[int, int]
    direction: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One cohort's knob from `start` to `end`, both as shares of the duration; by severity where value is None."""

    cohort: Part
    knob: Knob
    start: float
    end: float
    value: float | None


@dataclass(frozen=True, slots=True)
class Storm:
    """One drawn storm: bars, a severity whose meaning is the scenario's, and a direction, +1 or −1."""

    scenario: str
    role: Role
    onset: int
    severity: float
    duration: int
    direction: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named storm, or calm where there are no changes. `label` marks its orders in the tape."""

    name: str
    label: Label
    recovery: int
    ranges: dict[Role, Ranges]
    changes: tuple[Change, ...]

    def draw(self, rng: np.random.Generator, role: Role = "train", onset: int | None = None) -> Storm | None:
        """Draw a storm from the ranges of `role`; a given onset replaces the drawn one. Calm draws None."""
        if role not in ROLES:
            raise ValueError(f"role {role!r} is not one of {', '.join(ROLES)}")
        if onset is not None and onset < 0:
            raise ValueError(f"onset {onset} lies before the first bar")
        if not self.changes:
            return None
        ranges = self.ranges[role]
        storm = Storm(
            self.name,
            role,
            int(rng.integers(ranges.onset[0], ranges.onset[1], endpoint=True)),
            float(rng.uniform(*ranges.severity)),
            int(rng.integers(ranges.duration[0], ranges.duration[1], endpoint=True)),
            int(ranges.direction[rng.integers(len(ranges.direction))]),
        )
        return storm if onset is None else replace(storm, onset=onset)

    def admit(self, storm: Storm, role: Role) -> None:
        """Refuse a storm of another scenario or role, or one that only claims to be of this role."""
        if storm.scenario != self.name:
            raise ValueError(f"a storm of scenario {storm.scenario!r} was given to scenario {self.name!r}")
        if storm.role != role:
            raise ValueError(f"a {storm.role} draw of {self.name} was given to a market in {role} role")
        ranges = self.ranges[role]
        for name in ("severity", "duration"):
            low, high = getattr(ranges, name)
            value = getattr(storm, name)
            if not low <= value <= high:
                raise ValueError(f"{name} {value} of {self.name} lies outside the {role} range {low} … {high}")
        if storm.direction not in ranges.direction:
            raise ValueError(f"direction {storm.direction} of {self.name} is not drawn in {role} role")

    def end_bar(self, storm: Storm) -> int:
        """The first bar after the storm, its recovery window included."""
        last = max(change.end for change in self.changes)
        return storm.onset + int(np.ceil(last * storm.duration)) + self.recovery

    def schedule(self, storm: Storm, steps_per_bar: int) -> Floats:
        """The storm in market steps, (changes, 5) float64: from, until, cohort, knob, value."""
        rows = np.zeros((len(self.changes), SCHEDULE_WIDTH))
        for row, change in zip(rows, self.changes, strict=True):
            value = storm.severity if change.value is None else change.value
            if change.knob == Knob.PARTICIPATION:
                value *= storm.direction
            begin = storm.onset * steps_per_bar
            span = storm.duration * steps_per_bar
            row[:] = begin + change.start * span, begin + change.end * span, change.cohort, change.knob, value
        return rows


def scenario_names() -> list[str]:
    """The scenarios that come with the house."""
    return sorted(path.stem for path in SCENARIOS.glob("*.yaml"))


def load_scenario(name: str | Path) -> Scenario:
    """Read a scenario by name from `conf/scenario`, or from the path of a YAML file of one's own."""
    path = Path(name) if str(name).endswith((".yaml", ".yml")) else SCENARIOS / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"there is no scenario {str(name)!r}, there are {', '.join(scenario_names())}")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"scenario {path.name} is not YAML: {' '.join(str(error).split())}") from error
    return parse_scenario(data, path.stem)


def parse_scenario(data: Any, name: str) -> Scenario:
    """Build a scenario from parsed YAML; an unknown or missing key is a ValueError that names it."""
    _keys(data, {"label", "recovery", "ranges", "changes"}, f"scenario {name}")
    recovery = data["recovery"]
    if not (isinstance(recovery, int) and recovery >= 0):
        raise ValueError(f"scenario {name}: recovery is {recovery!r}, it must be a whole number of bars")
    if not isinstance(data["changes"], list):
        raise ValueError(f"scenario {name}: changes is {data['changes']!r}, it must be a list")
    changes = tuple(_change(item, f"scenario {name}, change {i}") for i, item in enumerate(data["changes"]))
    ranges: dict[Role, Ranges] = {}
    if changes:
        _keys(data["ranges"], set(ROLES), f"scenario {name}, ranges")
        ranges = {role: _ranges(data["ranges"][role], f"scenario {name}, {role}") for role in ROLES}
    if str(data["label"]) not in LABEL_NAMES:
        raise ValueError(f"scenario {name}: label {data['label']!r} is not one of {', '.join(LABEL_NAMES)}")
    scenario = Scenario(name, LABEL_NAMES[data["label"]], recovery, ranges, changes)
    if changes:
        _check(scenario)
    return scenario


def _check(scenario: Scenario) -> None:
    train, judge = scenario.ranges["train"], scenario.ranges["judge"]
    if len(scenario.changes) > SCHEDULE_ROOM:
        raise ValueError(f"scenario {scenario.name} has {len(scenario.changes)} changes, at most {SCHEDULE_ROOM}")
    for name in ("onset", "severity", "duration"):
        mine, other = getattr(train, name), getattr(judge, name)
        if mine[0] <= other[1] and other[0] <= mine[1]:
            raise ValueError(f"scenario {scenario.name}: train and judge ranges of {name} overlap")
    if judge.severity[1] <= train.severity[1]:
        raise ValueError(f"scenario {scenario.name}: judge severity does not reach beyond train")
    for role, ranges in scenario.ranges.items():
        latest = Storm(scenario.name, "train", ranges.onset[1], ranges.severity[1], ranges.duration[1], 1)
        if ranges.onset[0] < FIRST_BAR or scenario.end_bar(latest) >= LAST_BAR:
            raise ValueError(f"scenario {scenario.name}: a {role} storm may leave bars {FIRST_BAR} … {LAST_BAR - 1}")


def _ranges(data: Any, place: str) -> Ranges:
    _keys(data, {"onset", "severity", "duration", "direction"}, place)
    for name in ("onset", "severity", "duration"):
        pair = data[name]
        if not (isinstance(pair, list) and len(pair) == 2 and all(_is_number(v) for v in pair) and pair[0] <= pair[1]):
            raise ValueError(f"{place}: {name} is {pair}, it must be a range [low, high]")
    words = data["direction"]
    if not isinstance(words, list) or not words or any(str(word) not in DIRECTIONS for word in words):
        raise ValueError(f"{place}: direction is {words!r}, it must list {' or '.join(DIRECTIONS)}")
    (onset_low, onset_high), (low, high) = data["onset"], data["severity"]
    shortest, longest = data["duration"]
    return Ranges(
        (int(onset_low), int(onset_high)),
        (float(low), float(high)),
        (int(shortest), int(longest)),
        tuple(DIRECTIONS[word] for word in words),
    )


def _change(data: Any, place: str) -> Change:
    _keys(data, {"cohort", "knob", "start", "end", "value"}, place)
    cohort, knob, value = str(data["cohort"]), str(data["knob"]), data["value"]
    if cohort not in COHORT_NAMES:
        raise ValueError(f"{place}: there is no cohort {cohort!r}, there are {', '.join(COHORT_NAMES)}")
    if knob not in KNOB_NAMES:
        raise ValueError(f"{place}: there is no knob {knob!r}, there are {', '.join(KNOB_NAMES)}")
    if value != "severity" and not (_is_number(value) and value >= 0):
        raise ValueError(f"{place}: value {value!r} is neither a number of 0 or more nor the word severity")
    start, end = data["start"], data["end"]
    if not (_is_number(start) and _is_number(end) and 0 <= start < end):
        raise ValueError(f"{place}: it runs from {start} to {end} of the duration, which is no span")
    number = None if value == "severity" else float(value)
    return Change(COHORT_NAMES[cohort], KNOB_NAMES[knob], float(start), float(end), number)


def _keys(data: Any, wanted: set[str], place: str) -> None:
    if not isinstance(data, dict):
        raise ValueError(f"{place} is {data!r}, it must be a mapping with {', '.join(sorted(wanted))}")
    unknown, missing = sorted(set(map(str, data)) - wanted), sorted(wanted - set(data))
    if unknown or missing:
        what = f"unknown key {unknown[0]!r}" if unknown else f"no key {missing[0]!r}"
        raise ValueError(f"{place} has {what}, its keys are {', '.join(sorted(wanted))}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
