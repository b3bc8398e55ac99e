"""Train one policy: from a config to a run's folder with a sealed passport, judged on validation and registered.

Whatever can be wrong is found before the folder is made; config, data hashes, commit and seed stand in it before the
first step, and the passport last: a run that has one is finished. What is judged is the passport.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter

from ..agents.policy import Callback, Metrics, Policy
from ..conf.schema import TrainConfig
from ..envs.passport import export_passport, load_passport
from ..market.limits import Limits
from ..memory.recall import Progress
from .baselines import rules_of
from .course import Course, open_course
from .evaluate import Track
from .figures import mean_figures
from .fitting import Fitted, Fitting
from .runs import (
    RECORD,
    RunError,
    RunFolder,
    begin_run,
    config_digest,
    discard,
    held,
    open_record,
    origin,
    reopen_record,
)
from .tracking import RunTracker, open_run, register_passport

log = logging.getLogger(__name__)

BASELINES = ("flat", "hold", "ma_cross")
UNLIMITED = Limits(mode="off")  # a baseline is a yardstick: nothing stops it


@dataclass(frozen=True)
class RunResult:
    """What came of a run. `metrics` are those of the validation slice; `version` is None where nothing registers."""

    folder: Path
    passport: Path
    steps: int
    selected_step: int
    looks: int
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    run_id: str | None = None
    version: int | None = None


def train(
    config: TrainConfig,
    *,
    now: datetime,
    callbacks: Sequence[Callback] = (),
    sinks: Sequence[Metrics] = (),
    run: RunFolder | None = None,
    recalling: Progress | None = None,
) -> RunResult:
    """Train, freeze, judge on the validation slice, export and register. `now` (UTC) stamps record and passport.

    `recalling` is told how many bars have their memory columns. An unfinished run of the same config in `config.out`
    goes on from its last checkpoint; so does `run`, where given.
    """
    run = run or begin_run(config.out, config)
    course = open_course(config, recalling)
    _check_data(run, course)
    with ExitStack() as stack:
        if run.is_resumed:
            stack.enter_context(held(run))
        fitting = stack.enter_context(closing(Fitting(config, course, run.checkpoints)))
        begun = fitting.begin()
        run_id = run.record().get("run_id") if run.is_resumed else None
        tracker = _open_tracker(config, run, run_id)
        try:
            _write_record(config, run, course, tracker, now, begun)
            if not run.is_resumed:
                stack.enter_context(held(run))
            if tracker:
                _introduce(tracker, config, course, is_new=run_id is None)
            watching: list[Metrics] = [run, *([tracker] if tracker else []), *sinks]
            for sink in watching:
                fitting.metrics.add(sink)
            result = _carry_out(config, run, course, fitting, tracker, now, callbacks)
        except BaseException as error:
            if tracker:
                tracker.close("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            discard(run)
            raise
    if tracker:
        tracker.close()
    return result


def freeze(fitted: Fitted, folder: Path, config: TrainConfig, course: Course, *, now: datetime) -> Path:
    """Export a trained network as a sealed passport."""
    facts = course.facts()
    training = {
        "data_sha256": facts["train"]["sha256"],
        "range": [facts["train"]["from"], facts["train"]["until"]],
        "seed": config.seed,
        "agent": config.agent.backend,
        "steps": fitted.selected_step,
        "config_digest": config_digest(config),
    }
    return export_passport(
        fitted.network,
        folder,
        course.terrain,
        course.train,
        name=config.tracking.model,
        created_at=now,
        training=training,
        rewards=dict(config.env.rewards),
        evidence={"training": fitted.outcome()},
        origin={key: origin()[key] for key in ("git_commit", "lock_sha256")},
        memory=course.memory,
        past=course.past,
    )


def judge_all(
    policy: Policy, course: Course, role: str, baselines: Sequence[str], *, close_out: bool = False
) -> dict[str, Track]:
    """Tracks of the policy, under live limits, and of the baselines, under none, on the same slice.

    Where the slice is several markets, those of the first.
    """
    everywhere = judge_everywhere(policy, course, role, baselines, close_out=close_out)
    return {name: tracks[0] for name, tracks in everywhere.items()}


def judge_everywhere(
    policy: Policy, course: Course, role: str, baselines: Sequence[str], *, close_out: bool = False
) -> dict[str, list[Track]]:
    """The same through every market of the slice: one where it is bars, several in a crowd."""
    tracks = {"policy": course.tracks(policy, role, name="policy", close_out=close_out)}
    for name, rule in rules_of(baselines).items():
        tracks[name] = course.tracks(rule, role, name=name, limits=UNLIMITED, close_out=close_out)
    return tracks


def _carry_out(
    config: TrainConfig,
    run: RunFolder,
    course: Course,
    fitting: Fitting,
    tracker: RunTracker | None,
    now: datetime,
    callbacks: Sequence[Callback],
) -> RunResult:
    fitted = fitting.fit(callbacks)
    trained = perf_counter()
    shutil.rmtree(run.draft.parent, ignore_errors=True)  # a kill may have left one
    policy = load_passport(freeze(fitted, run.draft, config, course, now=now)).policy
    everywhere = judge_everywhere(policy, course, "validation", BASELINES)
    for name, tracks in everywhere.items():
        tracks[0].save(run.track(f"validation_{name}"))
    figures = {name: mean_figures([track.metrics() for track in tracks]) for name, tracks in everywhere.items()}
    run.write("validation.json", {**figures, "outcome": fitted.outcome()})
    run.write(RECORD, {**run.record(), "outcome": fitted.outcome()})
    where = "selected" if fitted.select else "validation"  # the looks on the way are validation's curve
    fitting.metrics.log(fitted.steps, {f"{where}/{name}": value for name, value in figures["policy"].items()})
    run.write("timings.json", {**fitted.timings, "export_and_judge_s": round(perf_counter() - trained, 3)})
    version = _register(config, run, tracker, figures["policy"])
    passport = run.draft.rename(run.passport)
    run.draft.parent.rmdir()
    baselines = {name: figures[name] for name in BASELINES}
    run_id = tracker.run_id if tracker else None
    return RunResult(
        run.path,
        passport,
        fitted.steps,
        fitted.selected_step,
        fitted.looks,
        figures["policy"],
        baselines,
        run_id,
        version,
    )


def _check_data(run: RunFolder, course: Course) -> None:
    told = run.record().get("data", {}).get("train") if run.is_resumed else None
    if told is not None and told["sha256"] != course.facts()["train"]["sha256"]:
        raise RunError(
            f"the run in {run.path} began on other bars: their hash was {told['sha256'][:12]}, "
            f"now it is {course.facts()['train']['sha256'][:12]}"
        )


def _write_record(
    config: TrainConfig, run: RunFolder, course: Course, tracker: RunTracker | None, now: datetime, begun: int
) -> None:
    facts = {"data": course.facts(), "run_id": tracker and tracker.run_id}
    if run.is_resumed:
        reopen_record(run, config, now.isoformat(), begun, facts)
        run.forget_after(begun)
    else:
        open_record(run, config, {"started_at": now.isoformat(), **facts})


def _open_tracker(config: TrainConfig, run: RunFolder, run_id: str | None) -> RunTracker | None:
    tracking = config.tracking
    if tracking.root is None:
        return None
    return open_run(tracking.root, tracking.experiment, run.path.name, run_id=run_id)


def _introduce(tracker: RunTracker, config: TrainConfig, course: Course, *, is_new: bool) -> None:
    if not is_new:  # its parameters stand there, and cannot change
        tracker.tag(steps=str(config.steps))
        return
    tracker.config(asdict(config))
    facts = course.facts()
    for name in ("train", "validation"):
        if told := facts.get(name):
            tracker.dataset(name, told["sha256"], source=facts["source"], context=name, rows=told["bars"])


def _register(
    config: TrainConfig, run: RunFolder, tracker: RunTracker | None, figures: Mapping[str, float]
) -> int | None:
    if tracker is None or config.tracking.root is None:
        return None
    for name in ("run.json", "config.yaml", "validation.json"):
        tracker.artifact(run.path / name)
    tracker.flush()
    version = register_passport(
        run.draft,
        root=config.tracking.root,
        name=config.tracking.model,
        run_id=tracker.run_id,
        tags={f"validation/{name}": f"{figures[name]:.6g}" for name in ("sharpe", "total_return")},
    )
    run.write("registered.json", {"model": config.tracking.model, "version": version, "run_id": tracker.run_id})
    log.info("registered %s as version %d", config.tracking.model, version)
    return version
