"""Examine a trained policy: the slice its training never saw, or any other bars, beside the baselines.

Acts through the passport alone. The run's data must still be the data it was trained beside. Where a folder is
named or is the run's own, it writes tracks/, evaluation.html and, last of all, evaluation.json.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ..agents.policy import Policy
from ..conf.schema import EvaluateConfig, TrainConfig
from ..envs.passport import Passport, load_passport
from ..market.costs import Costs
from ..market.limits import Limits
from .baselines import rules_of
from .course import CourseError, funding_of, history_bars, open_course
from .evaluate import Track, judge
from .evaluation_page import render_page
from .measured import Measured, measure
from .met_before import met_before
from .runs import RECORD, RunError, RunFolder, bars_facts, funding_facts, read_run, write_json
from .train import UNLIMITED

RESULT, PAGE = "evaluation.json", "evaluation.html"
OWN_SLICE, CASH = "test", 100_000.0  # where nothing else is asked for
OF_A_CROWD = ("half_spread_bps", "impact_y", "participation", "gap_multiple")  # costs that its order book decides

Progress = Callable[[str], None]  # told each policy as its turn comes


@dataclass(frozen=True, eq=False)
class Examined:
    """What was measured on the policy and the baselines, and on which bars under which costs: `told`.

    `folder` is None where nothing was written.
    """

    folder: Path | None
    measured: Measured
    told: Mapping[str, Any]

    @property
    def tracks(self) -> Mapping[str, Track]:
        """Tracks of the policy and the baselines on the same bars."""
        return self.measured.tracks

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """Figures of every track by name."""
        return self.measured.figures


class Judge(Protocol):
    """Drives a policy over the bars that are examined, under its passport's limits unless given."""

    def __call__(self, policy: Policy, *, name: str, limits: Limits | None = None) -> Track: ...


def examine(config: EvaluateConfig, *, progress: Progress = lambda _: None) -> Examined:
    """Score `config.policy`, a run's or a passport's folder, and write what was found where it belongs."""
    rules_of(config.baselines)  # a wrong name is found before anything is read
    _check_asked(config)
    path = Path(config.policy)
    is_run = (path / RECORD).is_file()
    if not is_run and not (path / "manifest.json").is_file():
        raise RunError(f"{path} is neither a run's folder nor a passport's")
    if config.market.path is not None:
        record = RunFolder(path).record() if is_run else {}
        tracks, facts = _on_file(load_passport(path / "passport" if is_run else path), record, config, progress)
    elif is_run:
        tracks, facts = _on_own_slice(path, config, progress)
    else:
        raise CourseError(f"{path} is a passport alone: say on which bars, market.path=FILE.parquet")
    folder = Path(config.out) if config.out else path if is_run else None
    measured = measure(tracks, var_window=config.var_window)
    if folder is not None:
        _write(folder, measured, facts, config.sharpe_days)
    return Examined(folder, measured, facts)


def _check_asked(config: EvaluateConfig) -> None:
    """CourseError where something is asked for that these bars would leave without effect."""
    if config.market.path is not None:
        if config.seed is not None:
            raise CourseError(f"seed={config.seed} draws a made market, which market.path={config.market.path} is not")
        if config.slice is not None:
            raise CourseError(
                f"slice={config.slice} is of a run's own market; market.path={config.market.path} is judged whole"
            )
        return
    if config.cash is not None:
        raise CourseError(
            f"cash={config.cash:g} says nothing without market.path: a run begins with the cash it trained with"
        )
    for key, value in asdict(config.market).items():
        if value is not None:
            raise CourseError(f"market.{key}={value} says nothing without market.path: a run has slices of its own")


def _write(folder: Path, measured: Measured, facts: Mapping[str, Any], sharpe_days: int) -> None:
    page = render_page(measured, facts, sharpe_days=sharpe_days)
    for name, track in measured.tracks.items():
        track.save(RunFolder(folder).track(f"{facts['slice']}_{name}"))
    half = folder / f".{PAGE}.half"
    half.write_text(page, encoding="utf-8")
    half.replace(folder / PAGE)
    write_json(folder / RESULT, {**facts, "baseline_limits": "off", **measured.told()})


def _tracks(policy: Policy, config: EvaluateConfig, judged: Judge, progress: Progress) -> dict[str, Track]:
    """Tracks of the policy, and of the baselines without limits."""
    progress("policy")
    tracks = {"policy": judged(policy, name="policy")}
    for name, rule in rules_of(config.baselines).items():
        progress(name)
        tracks[name] = judged(rule, name=name, limits=UNLIMITED)
    return tracks


def _on_own_slice(path: Path, config: EvaluateConfig, progress: Progress) -> tuple[dict[str, Track], dict[str, Any]]:
    run, trained = read_run(path)
    if config.seed is not None:
        trained = replace(trained, seed=config.seed)
    course = open_course(trained)
    facts = course.facts()
    if config.seed is None:
        _check_data(run, trained, facts)
    passport = load_passport(run.passport)
    if passport.terrain.spec.digest != course.terrain.spec.digest:
        raise RunError(f"observation {trained.env.observation} is not the one that {path} was trained with any more")
    role = config.slice or OWN_SLICE
    judged = partial(course.judge, role=role)
    told = {
        "slice": role,
        "policy": str(path),
        "data": facts.get(role),
        "costs": _costs(passport.terrain.costs, is_crowd=trained.env.kind == "arena"),
        "funding": facts.get("funding"),
    }
    return _tracks(passport.policy, config, judged, progress), told


def _on_file(
    passport: Passport, record: Mapping[str, Any], config: EvaluateConfig, progress: Progress
) -> tuple[dict[str, Track], dict[str, Any]]:
    terrain = passport.terrain
    if terrain.spec.memory:
        raise CourseError(f"observation {terrain.spec.name} looks into a past; judge the run on its own slices")
    bars = history_bars(config.market)
    if bars.interval != terrain.interval:
        raise CourseError(f"{config.market.path} holds {bars.interval} bars, the policy lives at {terrain.interval}")
    funding = funding_of(config.market, bars)
    cash = CASH if config.cash is None else config.cash

    def judged(policy: Policy, *, name: str, limits: Limits | None = None) -> Track:
        under = terrain if limits is None else terrain.with_limits(limits)
        return judge(policy, bars, under, funding=funding, cash=cash, name=name)

    source = str(config.market.path)
    told = {
        "slice": "file",
        "policy": config.policy,
        "data": bars_facts(bars),
        "source": source,
        "met": met_before(bars, source, passport.manifest["training"], record)._asdict(),
        "costs": _costs(terrain.costs, is_crowd=False),
        "funding": None if funding is None else funding_facts(funding),
    }
    return _tracks(passport.policy, config, judged, progress), told


def _costs(costs: Costs, *, is_crowd: bool) -> dict[str, float]:
    """The costs that were assumed; a crowd's book makes its own spread and impact."""
    return {name: value for name, value in asdict(costs).items() if not (is_crowd and name in OF_A_CROWD)}


def _check_data(run: RunFolder, config: TrainConfig, facts: dict[str, Any]) -> None:
    known = run.record().get("data", {})
    for name in ("train", "validation", "test"):
        if known.get(name, {}).get("sha256") != facts.get(name, {}).get("sha256"):
            raise RunError(
                f"the {name} bars of {config.market.path or config.env.kind} are not those of {run.path} any more"
            )
    if known.get("funding") != facts.get("funding"):
        raise RunError(f"the funding rates of {config.market.funding} are not those of {run.path} any more")
