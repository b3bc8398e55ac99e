"""Examine a trained policy: the slice its training never saw, or any other bars, beside the baselines.

Acts through the passport alone. The run's data must still be the data it was trained beside. Where a folder is
named or is the run's own, it writes tracks/, evaluation.html and, last of all, evaluation.json.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..conf.schema import EvaluateConfig, TrainConfig
from ..envs.passport import Passport, load_passport
from .baselines import rules_of
from .course import CourseError, funding_of, history_bars, open_course
from .evaluate import Track, judge
from .evaluation_page import render_page
from .measured import Measured, measure
from .runs import RECORD, RunError, RunFolder, bars_facts, read_run, write_json
from .train import UNLIMITED, judge_all

RESULT, PAGE = "evaluation.json", "evaluation.html"


@dataclass(frozen=True, eq=False)
class Examined:
    """What was measured on the policy and the baselines; `folder` is None where nothing was written."""

    folder: Path | None
    measured: Measured

    @property
    def tracks(self) -> Mapping[str, Track]:
        """Tracks of the policy and the baselines on the same bars."""
        return self.measured.tracks

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """Figures of every track by name."""
        return self.measured.figures


def examine(config: EvaluateConfig) -> Examined:
    """Score `config.policy`, a run's or a passport's folder, and write what was found where it belongs."""
    rules_of(config.baselines)  # a wrong name is found before anything is read
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
    measured = measure(tracks, var_window=config.var_window)
    if folder is not None:
        _write(folder, measured, facts, config.sharpe_days)
    return Examined(folder, measured)


def _write(folder: Path, measured: Measured, facts: Mapping[str, Any], sharpe_days: int) -> None:
    page = render_page(measured, facts, sharpe_days=sharpe_days)
    for name, track in measured.tracks.items():
        track.save(RunFolder(folder).track(f"{facts['slice']}_{name}"))
    half = folder / f".{PAGE}.half"
    half.write_text(page, encoding="utf-8")
    half.replace(folder / PAGE)
    write_json(folder / RESULT, {**facts, "baseline_limits": "off", **measured.told()})


def _on_own_slice(path: Path, config: EvaluateConfig) -> tuple[dict[str, Track], dict[str, Any]]:
    run, trained = read_run(path)
    if config.seed is not None:
        trained = replace(trained, seed=config.seed)
    course = open_course(trained)
    if config.seed is None:
        _check_data(run, trained, course.facts())
    passport = load_passport(run.passport)
    if passport.terrain.spec.digest != course.terrain.spec.digest:
        raise RunError(f"observation {trained.env.observation} is not the one that {path} was trained with any more")
    tracks = judge_all(passport.policy, course, config.slice, config.baselines)
    return tracks, {"slice": config.slice, "policy": str(path), "data": course.facts().get(config.slice)}


def _on_file(passport: Passport, config: EvaluateConfig) -> tuple[dict[str, Track], dict[str, Any]]:
    terrain = passport.terrain
    if terrain.spec.memory:
        raise CourseError(f"observation {terrain.spec.name} looks into a past; judge the run on its own slices")
    bars = history_bars(config.market)
    if bars.interval != terrain.interval:
        raise CourseError(f"{config.market.path} holds {bars.interval} bars, the policy lives at {terrain.interval}")
    funding = funding_of(config.market, bars)
    tracks = {"policy": judge(passport.policy, bars, terrain, funding=funding, cash=config.cash, name="policy")}
    for name, rule in rules_of(config.baselines).items():
        tracks[name] = judge(rule, bars, terrain.with_limits(UNLIMITED), funding=funding, cash=config.cash, name=name)
    return tracks, {"slice": "file", "policy": config.policy, "data": bars_facts(bars), "source": config.market.path}


def _check_data(run: RunFolder, config: TrainConfig, facts: dict[str, Any]) -> None:
    known = run.record().get("data", {})
    for name in ("train", "validation", "test"):
        if known.get(name, {}).get("sha256") != facts.get(name, {}).get("sha256"):
            raise RunError(
                f"the {name} bars of {config.market.path or config.env.kind} are not those of {run.path} any more"
            )
