"""Examine a trained policy: the slice its training never saw, or any other bars, beside the baselines.

Acts through the passport alone. The run's data must still be the data it was trained beside.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..agents.rules import RULES
from ..conf.schema import EvaluateConfig, TrainConfig
from ..envs.passport import Passport, load_passport
from .course import CourseError, history_bars, open_course
from .evaluate import Track, judge
from .runs import RECORD, RunError, RunFolder, bars_facts, read_run, write_json
from .train import UNLIMITED, judge_all

RESULT = "evaluation.json"


@dataclass(frozen=True, eq=False)
class Examined:
    """Tracks of the policy and the baselines on the same bars; `folder` is None where nothing was written."""

    folder: Path | None
    tracks: dict[str, Track]

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """Figures of every track by name."""
        return {name: track.metrics() for name, track in self.tracks.items()}


def examine(config: EvaluateConfig) -> Examined:
    """Score `config.policy`, a run's or a passport's folder, and write evaluation.json and tracks where they belong."""
    _check_names(config.baselines)
    path = Path(config.policy)
    is_run = (path / RECORD).is_file()
    if not is_run and not (path / "manifest.json").is_file():
        raise RunError(f"{path} is neither a run's folder nor a passport's")
    if config.market.path is not None:
        tracks, facts = _on_file(load_passport(path / "passport" if is_run else path), config)
    elif is_run:
        tracks, facts = _on_own_slice(path, config)
    else:
        raise CourseError(f"{path} is a passport alone: say on which bars, market.path=FILE.parquet")
    folder = Path(config.out) if config.out else path if is_run else None
    examined = Examined(folder, tracks)
    if folder is not None:
        for name, track in tracks.items():
            track.save(RunFolder(folder).track(f"{facts['slice']}_{name}"))
        write_json(folder / RESULT, {**facts, "baseline_limits": "off", "figures": examined.figures})
    return examined


def _on_own_slice(path: Path, config: EvaluateConfig) -> tuple[dict[str, Track], dict[str, Any]]:
    run, trained = read_run(path)
    if config.seed is not None:
        trained = replace(trained, seed=config.seed)
    course = open_course(trained)
    if config.seed is None:
        _check_data(run, trained, course.facts())
    policy = load_passport(run.passport).policy
    tracks = judge_all(policy, course, config.slice, config.baselines)
    return tracks, {"slice": config.slice, "policy": str(path), "data": course.facts().get(config.slice)}


def _on_file(passport: Passport, config: EvaluateConfig) -> tuple[dict[str, Track], dict[str, Any]]:
    terrain = passport.terrain
    if terrain.spec.memory:
        raise CourseError(f"observation {terrain.spec.name} looks into a past; judge the run on its own slices")
    bars = history_bars(config.market)
    if bars.interval != terrain.interval:
        raise CourseError(f"{config.market.path} holds {bars.interval} bars, the policy lives at {terrain.interval}")
    tracks = {"policy": judge(passport.policy, bars, terrain, cash=config.cash, name="policy")}
    for name in config.baselines:
        rule = RULES[name](terrain.spec.columns, terrain.action)
        tracks[name] = judge(rule, bars, terrain.with_limits(UNLIMITED), cash=config.cash, name=name)
    return tracks, {"slice": "file", "policy": config.policy, "data": bars_facts(bars), "source": config.market.path}


def _check_data(run: RunFolder, config: TrainConfig, facts: dict[str, Any]) -> None:
    known = run.record().get("data", {})
    for name in ("train", "validation", "test"):
        if known.get(name, {}).get("sha256") != facts.get(name, {}).get("sha256"):
            raise RunError(
                f"the {name} bars of {config.market.path or config.env.kind} are not those of {run.path} any more"
            )


def _check_names(baselines: Sequence[str]) -> None:
    for name in baselines:
        if name not in RULES:
            raise CourseError(f"there is no baseline {name!r}; known are {', '.join(RULES)}")
