"""Scenarios as files: `conf/scenario/*.yaml`, or one's own, read, checked and told apart in one sentence.

Two forms: `ranges` and `changes`, or `compose`, a list of other scenarios. Both may have a `profile`, which holds from
before the first bar on, and a `band`, which says what the storm must show. Where a bar is an hour, keys under `1h`
stand in the place of those above (of a band, each of its own), and `1h: absent` says that there is no such storm.
Knows no market.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from .acceptance import parse_band
from .storms import FIRST_BAR, HEEDED, LAST_BAR, ROLES, SIGNED, Change, Ranges, Role, Scenario, Setting, Storm
from .world import FIRST_ADDITIVE, SCHEDULE_ROOM, Knob, Part

SCENARIOS = Path(__file__).resolve().parents[1] / "conf" / "scenario"
COHORT_NAMES = {part.name.lower(): part for part in Part}
KNOB_NAMES = {knob.name.lower(): knob for knob in Knob}
DIRECTIONS = {"down": -1, "up": 1}
STANDING = (*tuple(Knob)[:FIRST_ADDITIVE], Knob.ALARM)  # what a profile can turn: the others are events
SPANNED = ("onset", "severity", "duration")
BASE, APART = "1m", ("1h",)  # what a bar is in a scenario's own keys, and where keys of its own may replace them
ABSENT = "absent"


class ScenarioAbsent(ValueError):
    """A scenario that is there, but not where a bar is so long."""


def scenario_names(interval: str = BASE) -> list[str]:
    """The scenarios that come with the house, where a bar is so long."""
    paths = sorted(SCENARIOS.glob("*.yaml"))
    if interval == BASE:
        return [path.stem for path in paths]
    return [path.stem for path in paths if yaml.safe_load(path.read_text(encoding="utf-8")).get(interval) != ABSENT]


def load_scenario(name: str | Path, interval: str = BASE) -> Scenario:
    """Read a scenario by name from `conf/scenario`, or from the path of a YAML file of one's own, for such bars."""
    path = _path_of(name)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"scenario {path.name} is not YAML: {' '.join(str(error).split())}") from error
    return parse_scenario(data, path.stem, interval)


def parse_scenario(data: Any, name: str, interval: str = BASE) -> Scenario:
    """Build a scenario from parsed YAML; an unknown or missing key is a ValueError that names it."""
    own = {each: data[each] for each in APART if each in data} if isinstance(data, dict) else {}
    common = {key: value for key, value in data.items() if key not in own} if own else data
    read = {BASE: _parsed(common, name, f"scenario {name}", BASE)}
    for each in APART:  # what is wrong in the other keys is told as well
        place = f"scenario {name} at {each}"
        if own.get(each) != ABSENT:
            read[each] = _parsed(_merged(common, own[each], place) if each in own else common, name, place, each)
    if interval not in (BASE, *APART):
        raise ValueError(f"scenario {name}: the crowd has no bars of {interval!r}, it has {', '.join((BASE, *APART))}")
    if interval not in read:
        raise ScenarioAbsent(f"scenario {name} is absent where a bar is {interval}: its file says so")
    return read[interval]


def _merged(common: Any, own: Any, place: str) -> Any:
    if not isinstance(own, dict) or not own:
        raise ValueError(f"{place} is {own!r}, it must be {ABSENT}, or a mapping of the keys that it replaces")
    merged = {**common, **own}
    if isinstance(common.get("band"), dict) and isinstance(own.get("band"), dict):
        merged["band"] = {**common["band"], **own["band"]}
    return merged


def _parsed(data: Any, name: str, place: str, interval: str) -> Scenario:
    composed = isinstance(data, dict) and "compose" in data
    _keys(data, {"compose"} if composed else {"recovery", "ranges", "changes"}, place, {"profile", "band"})
    profile = tuple(_setting(item, f"{place}, profile {i}") for i, item in enumerate(_listed(data, "profile", place)))
    band = parse_band(data["band"], f"{place}, band") if "band" in data else None
    built = _composed(data, name, place, interval) if composed else _plain(data, name, place)
    scenario = replace(built, profile=profile, band=band)
    if scenario.rows() > SCHEDULE_ROOM:
        raise ValueError(f"{place} has {scenario.rows()} changes and settings, at most {SCHEDULE_ROOM}")
    _check_band(scenario, place)
    return scenario


def _path_of(name: str | Path) -> Path:
    path = Path(name) if str(name).endswith((".yaml", ".yml")) else SCENARIOS / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"there is no scenario {str(name)!r}, there are {', '.join(scenario_names())}")
    return path


def _plain(data: Any, name: str, place: str) -> Scenario:
    recovery = data["recovery"]
    if not (isinstance(recovery, int) and not isinstance(recovery, bool) and recovery >= 0):
        raise ValueError(f"{place}: recovery is {recovery!r}, it must be a whole number of bars")
    changes = tuple(_change(item, f"{place}, change {i}") for i, item in enumerate(_listed(data, "changes", place)))
    if not changes:
        return Scenario(name, recovery, None, ())
    _keys(data["ranges"], set(ROLES), f"{place}, ranges")
    ranges: dict[Role, Ranges] = {role: _ranges(data["ranges"][role], f"{place}, {role}") for role in ROLES}
    scenario = Scenario(name, recovery, ranges, changes)
    _check_ranges(scenario, ranges, place)
    return scenario


def _composed(data: Any, name: str, place: str, interval: str) -> Scenario:
    names = data["compose"]
    if not (isinstance(names, list) and len(names) >= 2 and all(isinstance(part, str) for part in names)):
        raise ValueError(f"{place}: compose is {names!r}, it must list two scenarios or more")
    if len(set(names)) < len(names):
        raise ValueError(f"{place}: compose names a scenario twice, each is drawn once")
    parts = tuple(_part(part, place, interval) for part in names)
    return Scenario(name, max(part.recovery for part in parts), None, (), parts=parts)


def _part(name: str, place: str, interval: str) -> Scenario:
    text = yaml.safe_load(_path_of(name).read_text(encoding="utf-8"))
    if isinstance(text, dict) and "compose" in text:
        raise ValueError(f"{place}: {name} is itself composed, compose takes plain scenarios")
    part = load_scenario(name, interval)
    if not part.changes:
        raise ValueError(f"{place}: {part.name} is calm, there is no storm in it to compose")
    return part


def _check_ranges(scenario: Scenario, ranges: dict[Role, Ranges], place: str) -> None:
    train, judge = ranges["train"], ranges["judge"]
    for name in SPANNED:
        mine, other = getattr(train, name), getattr(judge, name)
        if mine[0] <= other[1] and other[0] <= mine[1]:
            raise ValueError(f"{place}: train and judge ranges of {name} overlap")
    if judge.severity[1] <= train.severity[1]:
        raise ValueError(f"{place}: judge severity does not reach beyond train")
    for role, drawn in ranges.items():
        latest = Storm(scenario.name, role, drawn.onset[1], drawn.severity[1], drawn.duration[1], 1)
        if drawn.onset[0] < FIRST_BAR or scenario.end_bar(latest) >= LAST_BAR:
            raise ValueError(f"{place}: a {role} storm may leave bars {FIRST_BAR} … {LAST_BAR - 1}")


def _check_band(scenario: Scenario, place: str) -> None:
    names = [part.name for part in scenario.parts]
    for line in scenario.band.lines if scenario.band else ():
        if line.storm is not None and line.storm not in names:
            said = f"it is composed of {', '.join(names)}" if names else "it is not composed"
            raise ValueError(f"{place}, band: there is no storm {line.storm!r} in it, {said}")


def _ranges(data: Any, place: str) -> Ranges:
    _keys(data, {*SPANNED, "direction"}, place)
    for name in SPANNED:
        pair = data[name]
        if not (isinstance(pair, list) and len(pair) == 2 and all(_is_number(v) for v in pair) and pair[0] <= pair[1]):
            raise ValueError(f"{place}: {name} is {pair}, it must be a range [low, high]")
        if name != "severity" and not all(isinstance(bar, int) for bar in pair):
            raise ValueError(f"{place}: {name} is {pair}, it counts whole bars")
    words = data["direction"]
    if not isinstance(words, list) or not words or any(str(word) not in DIRECTIONS for word in words):
        raise ValueError(f"{place}: direction is {words!r}, it must list {' or '.join(DIRECTIONS)}")
    if data["duration"][0] < 1:
        raise ValueError(f"{place}: duration is {data['duration']}, a storm lasts a bar or more")
    (low, high), (first, last), (shortest, longest) = data["severity"], data["onset"], data["duration"]
    directions = tuple(DIRECTIONS[word] for word in words)
    return Ranges((first, last), (float(low), float(high)), (shortest, longest), directions)


def _change(data: Any, place: str) -> Change:
    _keys(data, {"cohort", "knob", "start", "end", "value"}, place, {"times"})
    cohort, knob = _turned(data, place)
    value, times = data["value"], data.get("times", 1.0)
    by_severity = value == "severity"
    if not by_severity and "times" in data:
        raise ValueError(f"{place}: times stands beside value: severity, not beside {value!r}")
    number = times if by_severity else value
    if not (_is_number(number) and (number >= 0 or knob in SIGNED)):
        what = "times" if by_severity else "value"
        raise ValueError(
            f"{place}: {what} {number!r} is no number of 0 or more" + ("" if by_severity else ", nor the word severity")
        )
    start, end = data["start"], data["end"]
    if not (_is_number(start) and _is_number(end) and 0 <= start < end):
        raise ValueError(f"{place}: it runs from {start} to {end} of the duration, which is no span")
    return Change(cohort, knob, float(start), float(end), None if by_severity else float(value), float(times))


def _setting(data: Any, place: str) -> Setting:
    _keys(data, {"cohort", "knob", "value"}, place)
    cohort, knob = _turned(data, place)
    if knob not in STANDING:
        names = ", ".join(each.name.lower() for each in STANDING)
        raise ValueError(f"{place}: {knob.name.lower()} is an event, a profile turns {names}")
    if not (_is_number(data["value"]) and data["value"] >= 0):
        raise ValueError(f"{place}: value {data['value']!r} is no number of 0 or more")
    return Setting(cohort, knob, float(data["value"]))


def _turned(data: Any, place: str) -> tuple[Part, Knob]:
    cohort, knob = str(data["cohort"]), str(data["knob"])
    if cohort not in COHORT_NAMES:
        raise ValueError(f"{place}: there is no cohort {cohort!r}, there are {', '.join(COHORT_NAMES)}")
    if knob not in KNOB_NAMES:
        raise ValueError(f"{place}: there is no knob {knob!r}, there are {', '.join(KNOB_NAMES)}")
    part, turned = COHORT_NAMES[cohort], KNOB_NAMES[knob]
    if turned not in HEEDED[part]:
        names = ", ".join(each.name.lower() for each in HEEDED[part])
        raise ValueError(f"{place}: {cohort} does not heed {knob}, it heeds {names}")
    return part, turned


def _listed(data: Any, key: str, place: str) -> list[Any]:
    items = data.get(key, [])
    if not isinstance(items, list):
        raise ValueError(f"{place}: {key} is {items!r}, it must be a list")
    return items


def _keys(data: Any, wanted: set[str], place: str, optional: set[str] | None = None) -> None:
    known = wanted | (optional or set())
    if not isinstance(data, dict):
        raise ValueError(f"{place} is {data!r}, it must be a mapping with {', '.join(sorted(wanted))}")
    unknown, missing = sorted(set(map(str, data)) - known), sorted(wanted - set(data))
    if unknown or missing:
        what = f"unknown key {unknown[0]!r}" if unknown else f"no key {missing[0]!r}"
        raise ValueError(f"{place} has {what}, its keys are {', '.join(sorted(known))}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
