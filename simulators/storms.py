"""Storms as facts: what a scenario may draw, what it drew, and which knobs that turns at which market steps.

A scenario's `train` and `judge` ranges are disjoint and judge severity reaches beyond train, so that a policy is
judged on storms that it cannot have trained on. A composition is made of other scenarios, each drawn by itself, as it
would be drawn alone. Knows nothing of files, and nothing of the traders whose knobs it turns but their names.
"""

import zlib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from .acceptance import Band
from .world import SCHEDULE_WIDTH, Floats, Knob, Part

FIRST_BAR, LAST_BAR = 60, 600  # no storm begins before the one, and each is over before the other
SIGNED = (Knob.PARTICIPATION, Knob.SHOT, Knob.DRIFT, Knob.BIAS)  # times the storm's direction
FOREVER = 1e15  # steps

_BUSY = (Knob.RATE, Knob.SIZE, Knob.ALARM)  # of whoever comes and goes
_WAITING = (*_BUSY, Knob.DISTANCE, Knob.LIFE, Knob.PATIENCE)  # and leaves limit orders behind
HEEDED: dict[Part, tuple[Knob, ...]] = {  # what each part acts upon; any other knob of it would turn nothing
    Part.NOISE: _WAITING,
    Part.FUNDAMENTAL: (*_BUSY, Knob.DISTANCE, Knob.LIFE),
    Part.TREND: _WAITING,
    Part.CONTRARIAN: _WAITING,
    Part.MAKERS: (Knob.SIZE, Knob.DISTANCE, Knob.INVENTORY, Knob.LEAN, Knob.ALARM),
    Part.READERS: (*_BUSY, Knob.LIFE, Knob.PATIENCE),
    Part.LEVERAGED: (*_BUSY, Knob.BIAS),
    Part.EXECUTOR: (Knob.PARTICIPATION, Knob.SHOT),
    Part.PUMPERS: (Knob.SIZE, Knob.PARTICIPATION, Knob.RUSH, Knob.DUMP),
    Part.FOLLOWERS: (Knob.SIZE, Knob.RUSH),
    Part.SPOOFER: (Knob.RATE, Knob.SIZE, Knob.LIFE, Knob.BIAS, Knob.SHOW),
    Part.VALUE: (Knob.RATE, Knob.DRIFT),
    Part.VENUE: (Knob.HALT,),
}

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
    """One cohort's knob from `start` to `end`, both as shares of the duration: `value`, or `times` the severity."""

    cohort: Part
    knob: Knob
    start: float
    end: float
    value: float | None
    times: float = 1.0

    def turned(self, storm: "Storm") -> float:
        """What the knob is set to in one storm."""
        value = storm.severity * self.times if self.value is None else self.value
        return value * storm.direction if self.knob in SIGNED else value


@dataclass(frozen=True, slots=True)
class Setting:
    """One cohort's knob from before the first bar to the end, storm or not: the asset's profile."""

    cohort: Part
    knob: Knob
    value: float


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
    """A named storm, calm where there are no changes, or a composition of `parts`; `band` is what it must show."""

    name: str
    recovery: int = 0
    ranges: dict[Role, Ranges] | None = None
    changes: tuple[Change, ...] = ()
    profile: tuple[Setting, ...] = ()
    band: Band | None = None
    parts: tuple["Scenario", ...] = ()

    def draw(self, rng: np.random.Generator, role: Role = "train", onset: int | None = None) -> Storm | None:
        """Draw a storm from the ranges of `role`; a given onset replaces the drawn one. Calm draws None."""
        if self.parts:
            raise ValueError(f"{self.name} is composed of {self._named()}: draw_all draws a storm of each")
        if role not in ROLES:
            raise ValueError(f"role {role!r} is not one of {', '.join(ROLES)}")
        if onset is not None and onset < 0:
            raise ValueError(f"onset {onset} lies before the first bar")
        if not self.changes or self.ranges is None:
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

    def draw_all(
        self, seed: np.random.SeedSequence, role: Role = "train", onset: int | None = None
    ) -> tuple[Storm, ...]:
        """Draw one storm of every part, none where it is calm.

        Each part has a stream of its own, named after it, so that it draws in company what it would draw alone.
        """
        drawn = [part.draw(np.random.default_rng(part.stream(seed)), role, onset) for part in self.parts or (self,)]
        return tuple(storm for storm in drawn if storm is not None)

    def stream(self, seed: np.random.SeedSequence) -> np.random.SeedSequence:
        """The child of a market's seed that this scenario's storm is drawn from."""
        return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, zlib.crc32(self.name.encode())))

    def admit(self, storm: Storm, role: Role) -> None:
        """Refuse a storm of another scenario or role, or one that only claims to be of this role."""
        part = self.part_of(storm)
        if storm.role != role:
            raise ValueError(f"a {storm.role} draw of {part.name} was given to a market in {role} role")
        if part.ranges is None:
            raise ValueError(f"{part.name} is calm and draws no storm")
        ranges = part.ranges[role]
        for name in ("severity", "duration"):
            low, high = getattr(ranges, name)
            value = getattr(storm, name)
            if not low <= value <= high:
                raise ValueError(f"{name} {value} of {part.name} lies outside the {role} range {low} … {high}")
        if storm.direction not in ranges.direction:
            raise ValueError(f"direction {storm.direction} of {part.name} is not drawn in {role} role")

    def part_of(self, storm: Storm) -> "Scenario":
        """The scenario that a storm was drawn from: this one, or one that it is composed of."""
        for part in self.parts or (self,):
            if part.name == storm.scenario:
                return part
        raise ValueError(f"a storm of scenario {storm.scenario!r} was given to scenario {self.name!r}")

    def last_bar(self, storm: Storm) -> int:
        """The first bar after the storm's last change."""
        last = max(change.end for change in self.part_of(storm).changes)
        return storm.onset + int(np.ceil(last * storm.duration))

    def end_bar(self, storm: Storm) -> int:
        """The first bar after the storm, its recovery window included."""
        return self.last_bar(storm) + self.part_of(storm).recovery

    def span(self, storms: tuple[Storm, ...]) -> tuple[int, int, int]:
        """Of all storms of a market: the first onset, the bar after the last change, and after the last recovery."""
        return (
            min(storm.onset for storm in storms),
            max(self.last_bar(storm) for storm in storms),
            max(self.end_bar(storm) for storm in storms),
        )

    def schedule(self, storm: Storm, steps_per_bar: int) -> Floats:
        """One storm in whole market steps, (changes, 5) float64: from, until, cohort, knob, value."""
        changes = self.part_of(storm).changes
        rows = np.zeros((len(changes), SCHEDULE_WIDTH))
        begin, span = storm.onset * steps_per_bar, storm.duration * steps_per_bar
        for row, change in zip(rows, changes, strict=True):
            first = begin + round(change.start * span)
            after = max(first + 1, begin + round(change.end * span))
            row[:] = first, after, change.cohort, change.knob, change.turned(storm)
        return rows

    def standing(self) -> Floats:
        """The profile as rows of the schedule that hold at every step."""
        rows = [(-FOREVER, FOREVER, setting.cohort, setting.knob, setting.value) for setting in self.settings()]
        return np.array(rows, np.float64).reshape(-1, SCHEDULE_WIDTH)

    def settings(self) -> tuple[Setting, ...]:
        """The profile, that of all parts included."""
        return self.profile + tuple(setting for part in self.parts for setting in part.profile)

    def rows(self) -> int:
        """How many rows of the schedule a storm of this scenario takes."""
        return len(self.settings()) + sum(len(part.changes) for part in self.parts or (self,))

    def without(self, cohort: Part, knob: Knob = Knob.RATE) -> "Scenario":
        """The same storm in a market where one cohort never acts: a negative control. It draws the same."""
        return replace(self, profile=(*self.profile, Setting(cohort, knob, 0.0)))

    def _named(self) -> str:
        return ", ".join(part.name for part in self.parts)
