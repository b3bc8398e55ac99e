"""What a storm must show to count as one: the lines of a scenario's `band`, and their verdict over many pairs.

Each line is a measure and the least or most that it may be. A pair is a storm and its calm twin of the same seed; it is
in band where every line holds, and a band stands where enough pairs are in it and their calm twins are not. Knows
neither markets nor how anything is measured.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .world import Knob, Part

FEWEST_PAIRS = 20
SURE = 2.576  # standard errors to either side that hold a mean with 99 %

MEASURES: dict[str, tuple[str, ...]] = {  # what can be measured, and what each measure must be told
    "fall": (),
    "recovered": ("after",),
    "standing": ("after",),
    "volatility_ratio": (),
    "largest_move": (),
    "two_sided": (),
    "spread_ratio": (),
    "depth_ratio": (),
    "volume_ratio": (),
    "value_change": (),
    "forced_share": (),
    "forced_one_sided": (),
    "shift": ("steps",),
    "spoof_filled": (),
    "profit": ("cohort",),
    "fills_inside": (),
    "reopen_gap": (),
    "unaccounted": (),
}
FINISHED = "profit", "unaccounted"  # of the whole run: they hear of no bars
COMPARISONS = ("share", "excess")


class Without(NamedTuple):
    """A negative control: one cohort's knob is 0 from before the first bar."""

    cohort: Part
    knob: Knob


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a band.

    It is measured over `within` bars, 0: until the storm's last change is over, from the share `start` of the duration
    on, and after `after` bars or `steps` market steps. With `without` it is measured in the control;
    `compare` share: control ÷ storm, excess: storm − control. `over_pairs`: the mean over all pairs must hold, with
    `surely` its 99 % interval. `storm` names the part of a composition whose bars count.
    """

    measure: str
    least: float = -math.inf
    most: float = math.inf
    within: int = 0
    after: int = 0
    steps: int = 0
    start: float = 0.0
    cohort: Part | None = None
    without: Without | None = None
    compare: str | None = None
    over_pairs: bool = False
    surely: bool = False
    storm: str | None = None

    def holds(self, value: float) -> bool:
        """Whether one pair's value lies in the line; NaN lies in none."""
        return self.least <= value <= self.most

    def holds_over(self, values: NDArray[np.float64]) -> bool:
        """Whether the mean over pairs lies in the line, if asked with its 99 % interval."""
        values = values[np.isfinite(values)]
        if len(values) < 2:
            return False
        mean = float(values.mean())
        reach = SURE * float(values.std(ddof=1)) / math.sqrt(len(values)) if self.surely else 0.0
        return self.least <= mean - reach and mean + reach <= self.most

    @property
    def told(self) -> str:
        """The line in one phrase."""
        ends = [f"≥ {self.least:g}"] * (self.least > -math.inf) + [f"≤ {self.most:g}"] * (self.most < math.inf)
        scope = f" {self.within}" * bool(self.within) + f" +{self.after}" * bool(self.after)
        whose = f" of {self.cohort.name.lower()}" if self.cohort is not None else ""
        control = f" without {_told(self.without)}" if self.without else ""
        kind = f" ({self.compare})" if self.compare else ""
        return f"{self.measure}{scope}{whose}{control}{kind} {' and '.join(ends)}" + ", mean" * self.over_pairs


@dataclass(frozen=True, slots=True)
class Band:
    """What pairs of the seeds `first` … `last` must show, and how many of them."""

    first: int
    last: int
    share: float
    lines: tuple[Line, ...]

    @property
    def seeds(self) -> range:
        return range(self.first, self.last + 1)

    def controls(self) -> tuple[Without, ...]:
        """The negative controls that its lines ask for."""
        return tuple(dict.fromkeys(line.without for line in self.lines if line.without is not None))


@dataclass(frozen=True, eq=False)
class Verdict:
    """How a band fared: values of storms and of their calm twins, (pairs, lines) float64."""

    band: Band
    storms: NDArray[np.float64]
    twins: NDArray[np.float64]

    @property
    def in_band(self) -> NDArray[np.bool_]:
        """Which storms show what each of them must."""
        return _inside(self.band, self.storms)

    @property
    def twins_in_band(self) -> NDArray[np.bool_]:
        """Which calm twins show it as well, and should not."""
        return _inside(self.band, self.twins)

    @property
    def failed(self) -> tuple[str, ...]:
        """Why the band does not stand, a phrase each; nothing where it does."""
        count, lines = len(self.storms), self.band.lines
        found = [
            f"{line.told}: mean {np.nanmean(column):.3g}"
            for line, column in zip(lines, self.storms.T, strict=True)
            if line.over_pairs and not line.holds_over(column)
        ]
        inside, twins = int(self.in_band.sum()), int(self.twins_in_band.sum())
        if inside < self.band.share * count:
            found.append(f"{inside} of {count} storms in band, {self.band.share:.0%} wanted")
        if twins > (1.0 - self.band.share) * count:
            found.append(f"{twins} of {count} calm twins in band as well")
        return tuple(found)

    def holding(self) -> dict[str, float]:
        """For each line, the share of pairs in which it holds."""
        told = {}
        for line, column in zip(self.band.lines, self.storms.T, strict=True):
            held = line.holds_over(column) if line.over_pairs else np.mean([line.holds(value) for value in column])
            told[line.told] = float(held)
        return told


def parse_band(data: Any, place: str) -> Band:
    """Build a band from parsed YAML; what is wrong with it is told in one sentence."""
    if not isinstance(data, Mapping) or not isinstance(data.get("lines"), list) or not data["lines"]:
        raise ValueError(f"{place}: a band is a mapping with seeds, share and a list of lines")
    seeds = data.get("seeds")
    if seeds is None:
        raise ValueError(f"{place}: a band without a seed range proves nothing, say seeds: [first, last]")
    if not (isinstance(seeds, list) and len(seeds) == 2 and all(isinstance(seed, int) for seed in seeds)):
        raise ValueError(f"{place}: seeds is {seeds!r}, it must be a range [first, last]")
    if seeds[0] < 0 or seeds[1] - seeds[0] + 1 < FEWEST_PAIRS:
        raise ValueError(f"{place}: seeds {seeds[0]} … {seeds[1]} are not {FEWEST_PAIRS} pairs or more")
    _only(data, {"seeds", "share", "lines"}, place)
    share: Any = data.get("share")
    if not (_is_number(share) and 0.5 < share <= 1.0):
        raise ValueError(f"{place}: share is {share!r}, it must lie above 0.5 and at most at 1")
    lines = tuple(_line(item, f"{place}, line {i}") for i, item in enumerate(data["lines"]))
    return Band(seeds[0], seeds[1], float(share), lines)


def _line(data: Any, place: str) -> Line:
    name = str(data.get("measure")) if isinstance(data, Mapping) else str(data)
    if name not in MEASURES or not isinstance(data, Mapping):
        raise ValueError(f"{place}: there is no measure {name!r}, there are {', '.join(MEASURES)}")
    needed = set(MEASURES[name])
    timed = set() if name in FINISHED else {"start", "within"}
    allowed = {"measure", "least", "most", "without", "compare", "over", "surely", "storm"} | needed | timed
    _only(data, allowed, place)
    missing = sorted(needed - set(data))
    if missing:
        raise ValueError(f"{place}: {name} has no key {missing[0]!r}")
    for key in ("within", "after", "steps"):
        if key in data and not (isinstance(data[key], int) and data[key] >= 1):
            unit = "market steps" if key == "steps" else "bars"
            raise ValueError(f"{place}: {key} is {data[key]!r}, it must be a whole number of {unit}, 1 or more")
    ends = [data[key] for key in ("least", "most") if key in data]
    if not ends or not all(_is_number(end) for end in ends) or ends != sorted(ends):
        raise ValueError(f"{place}: {name} has no least and no most, or they leave nothing between them")
    without, compare = data.get("without"), data.get("compare")
    if compare not in (None, *COMPARISONS) or (compare and without is None):
        raise ValueError(f"{place}: compare is {compare!r}, it must be share or excess, beside a without")
    if data.get("over", "pairs") != "pairs" or not isinstance(data.get("surely", False), bool):
        raise ValueError(f"{place}: over must be pairs, and surely true or false")
    if "surely" in data and "over" not in data:
        raise ValueError(f"{place}: surely is about a mean, it stands beside over: pairs")
    start = data.get("start", 0.0)
    if not (_is_number(start) and start >= 0.0):
        raise ValueError(f"{place}: start is {start!r}, it must be a share of the duration")
    return Line(
        name,
        float(data.get("least", -math.inf)),
        float(data.get("most", math.inf)),
        data.get("within", 0),
        data.get("after", 0),
        data.get("steps", 0),
        float(start),
        _part(data["cohort"], place) if "cohort" in data else None,
        None if without is None else _without(without, place),
        compare,
        "over" in data,
        data.get("surely", False),
        data.get("storm"),
    )


def _without(word: Any, place: str) -> Without:
    cohort, _, knob = str(word).partition(".")
    knobs = {each.name.lower(): each for each in Knob}
    if knob and knob not in knobs:
        raise ValueError(f"{place}: there is no knob {knob!r}, there are {', '.join(knobs)}")
    return Without(_part(cohort, place), knobs[knob] if knob else Knob.RATE)


def _part(word: Any, place: str) -> Part:
    parts = {part.name.lower(): part for part in Part}
    if str(word) not in parts:
        raise ValueError(f"{place}: there is no cohort {word!r}, there are {', '.join(parts)}")
    return parts[str(word)]


def _told(control: Without) -> str:
    cohort = control.cohort.name.lower()
    return cohort if control.knob == Knob.RATE else f"{cohort}.{control.knob.name.lower()}"


def _only(data: Mapping[str, Any], allowed: set[str], place: str) -> None:
    unknown = sorted(set(map(str, data)) - allowed)
    if unknown:
        raise ValueError(f"{place}: unknown key {unknown[0]!r}, its keys are {', '.join(sorted(allowed))}")


def _inside(band: Band, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    rows: Sequence[NDArray[np.float64]] = list(values)
    return np.array([
        all(line.holds(float(value)) for line, value in zip(band.lines, row, strict=True) if not line.over_pairs)
        for row in rows
    ], bool)  # fmt: skip


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
