"""What a crowd is worth to a policy: trained on recorded bars and storms, against recorded bars alone.

Two arms of several seeds each, alike but for where they trade; then every policy through the same storms, from ranges
and seeds that no training has drawn, and over the recorded bars that none has seen. Trains what is not trained yet.
Decides nothing.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..agents.policy import Policy
from ..conf.schema import TrainConfig
from ..envs.arena import BatchArenaEnv
from ..envs.passport import Passport, Terrain, load_passport
from .arena_tracks import follow_all
from .baselines import rules_of
from .course import open_course, terrain_of
from .crossed import crossed_interval
from .evaluate import Track
from .figures import max_drawdown
from .runs import PASSPORT, RunError, RunFolder, check_same
from .seeds import derive_seed
from .statistics import Interval
from .stress import JUDGED, STORM_BARS, storm_keywords
from .train import UNLIMITED, train

PLAIN, CROWDED = "history", "mixture"  # the arms, named after their env
BASELINES = ("flat", "hold")
FIGURES = ("total_return", "max_drawdown", "trades")
COMPARED = ("total_return", "max_drawdown")  # a positive difference is in the crowd's favour
RECORDED, ALL_STORMS, CALM = "recorded", "all storms", "normal"

Floats = NDArray[np.float64]
Progress = Callable[[str], None]
Arms = Mapping[str, Sequence[TrainConfig]]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure in one scenario: means over seeds and markets, and what the crowd's arm has over others."""

    scenario: str
    figure: str
    means: dict[str, float]  # of both arms and the baselines
    advantage: Interval  # of the crowd's arm over the other
    over_flat: Interval  # of the crowd's arm over flat
    by_seed: list[float]  # the advantage of each pair of policies


@dataclass(frozen=True, eq=False)
class Worth:
    """All that was measured. `cells` by figure, scenario and name: (seeds, markets), of a baseline (1, markets)."""

    cells: dict[str, dict[str, dict[str, Floats]]]
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        cells = {
            figure: {scenario: {name: found.tolist() for name, found in by.items()} for scenario, by in every.items()}
            for figure, every in self.cells.items()
        }
        return {"rows": [asdict(row) for row in self.rows], "cells": cells}


def crowd_worth(
    arms: Arms,
    *,
    scenarios: Sequence[str],
    markets: int,
    now: datetime,
    judge_seed: int = 0,
    bars: int = STORM_BARS,
    progress: Progress = lambda _: None,
) -> Worth:
    """Train both arms, of equal seeds, drive all policies through all scenarios and the test bars, and compare."""
    _check(arms)
    passports = {
        arm: [trained(config, now=now, progress=progress) for config in configs] for arm, configs in arms.items()
    }
    found: dict[str, dict[str, list[list[Track]]]] = {}
    for scenario in scenarios:
        progress(f"judged in {scenario}")
        found[scenario] = through_storm(passports, scenario, markets, seed=derive_seed(judge_seed, "stress"), bars=bars)
    progress(f"judged on {RECORDED} bars")
    found[RECORDED] = _on_record(arms, passports)
    return compared(found)


def trained(config: TrainConfig, *, now: datetime, progress: Progress = lambda _: None) -> Passport:
    """The passport in `config.out`, trained now unless it is there; RunError where it was trained otherwise.

    Otherwise is another config, and the same config over other bars or in a crowd or storms that have changed since.
    """
    path = Path(config.out)
    if (path / PASSPORT).is_dir():
        check_same(path, config)
        told, facts = RunFolder(path).record()["data"], json.loads(json.dumps(open_course(config).facts()))
        if changed := [name for name in facts if facts[name] != told.get(name)]:
            raise RunError(f"{path} was trained on another {changed[0]} than there is now; name a new folder")
        progress(f"found {path}")
    else:
        progress(f"training {path}")
        train(config, now=now)
    return load_passport(path / PASSPORT)


def through_storm(
    passports: Mapping[str, Sequence[Passport]], scenario: str, markets: int, *, seed: int, bars: int = STORM_BARS
) -> dict[str, list[list[Track]]]:
    """By arm and baseline, for every policy its track in every market; all meet the same markets."""
    terrain = passports[PLAIN][0].terrain
    found = dict[str, list[list[Track]]]()
    env, actions = _storms(terrain, scenario, markets, "live", bars), terrain.action
    for arm, policies in passports.items():
        found[arm] = [follow_all(each.policy, env, name=arm, seed=seed, actions=actions) for each in policies]
    unlimited = _storms(terrain, scenario, markets, "off", bars)  # a baseline is a yardstick: nothing stops it
    for name, rule in rules_of(BASELINES).items():
        found[name] = [follow_all(rule, unlimited, name=name, seed=seed)]
    return found


def compared(found: Mapping[str, Mapping[str, Sequence[Sequence[Track]]]]) -> Worth:
    """Cells and rows of tracks by scenario and name; the mean over all scenarios but the calm one has rows too."""
    cells = {
        figure: {
            scenario: {
                name: np.array([[_figure(track, figure) for track in tracks] for tracks in each])
                for name, each in by_name.items()
            }
            for scenario, by_name in found.items()
        }
        for figure in FIGURES
    }
    for every in cells.values():
        storms = [by for scenario, by in every.items() if scenario not in (CALM, RECORDED)]
        if storms:
            every[ALL_STORMS] = {name: np.mean([by[name] for by in storms], axis=0) for name in storms[0]}
    last = [name for name in (ALL_STORMS, RECORDED) if name in cells[COMPARED[0]]]
    ordered = [name for name in found if name not in last] + last
    return Worth(cells, tuple(_row(cells, scenario, figure) for scenario in ordered for figure in COMPARED))


def _row(cells: dict[str, dict[str, dict[str, Floats]]], scenario: str, figure: str) -> Row:
    by_name = cells[figure][scenario]
    sign = -1.0 if figure == "max_drawdown" else 1.0
    advantage, over_flat = (sign * (by_name[CROWDED] - by_name[other]) for other in (PLAIN, "flat"))
    means = {name: float(values.mean()) for name, values in by_name.items()}
    intervals = crossed_interval(advantage), crossed_interval(over_flat)
    return Row(scenario, figure, means, *intervals, advantage.mean(axis=1).tolist())


def _storms(terrain: Terrain, scenario: str, markets: int, mode: str, bars: int) -> BatchArenaEnv:
    keywords = storm_keywords(terrain, mode, bars=bars)
    return BatchArenaEnv(scenario, markets, role="judge", autoreset="NEXT_STEP", **keywords)


def _on_record(arms: Arms, passports: Mapping[str, Sequence[Passport]]) -> dict[str, list[list[Track]]]:
    course = open_course(arms[PLAIN][0])
    found = {
        arm: [[course.judge(passport.policy, "test", name=arm)] for passport in each] for arm, each in passports.items()
    }
    rules: Mapping[str, Policy] = rules_of(BASELINES)
    return found | {name: [[course.judge(rule, "test", name=name, limits=UNLIMITED)]] for name, rule in rules.items()}


def _figure(track: Track, figure: str) -> float:
    if figure == "total_return":
        return float(track.equity[-1] / track.equity[0] - 1.0)
    return max_drawdown(track.equity) if figure == "max_drawdown" else float(track.trades[-1] - track.trades[0])


def _check(arms: Arms) -> None:
    """RunError where the arms differ in more than where they trade."""
    plain, crowded = arms[PLAIN], arms[CROWDED]
    kinds = {config.env.kind for config in plain}, {config.env.kind for config in crowded}
    if kinds != ({PLAIN}, {CROWDED}):
        raise RunError(f"the arms trade in {kinds[0]} and {kinds[1]}, not in {PLAIN} and {CROWDED}")
    if len(plain) != len(crowded) or not plain:
        raise RunError(f"{len(plain)} policies on {PLAIN} and {len(crowded)} on {CROWDED}: they are compared in pairs")
    own = ("kind", "scenario", "interval", "size", "burn_in_bars", "history", "curriculum")
    for ours, theirs in zip(plain, crowded, strict=True):
        alike = [
            {key: value for key, value in asdict(config).items() if key not in ("env", "out")}
            | {f"env.{key}": value for key, value in asdict(config.env).items() if key not in own}
            for config in (ours, theirs)
        ]
        if different := [key for key in alike[0] if alike[0][key] != alike[1][key]]:
            key = different[0]
            raise RunError(f"the arms differ in {key}: {alike[0][key]} and {alike[1][key]}; nothing else may but env")
        if getattr(theirs.env, "interval", "") not in JUDGED:
            raise RunError(f"the crowd's storms hold their bands at {', '.join(JUDGED)} alone: say env.interval so")
        if terrain_of(ours).spec.memory:
            raise RunError(f"observation {ours.env.observation} looks into a past, and each arm has another")
