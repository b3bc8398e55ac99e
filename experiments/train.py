"""Train one policy: from a config to a run's folder with a sealed passport, judged on validation and registered.

Whatever can be wrong is found before the folder is made; config, data hashes, commit and seed stand in it before the
first step. The trainer's own predictions are used in rollouts only: what is judged is the passport.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from hydra.utils import get_class

from ..agents.policy import Callback, Metrics, Policy, PPOConfig, Trainer
from ..agents.scaling import Scaler
from ..conf.schema import AgentSchema, RLlibSchema, TrainConfig
from ..envs.adapters import SB3VecEnv
from ..envs.passport import export_passport, load_passport
from ..market.limits import Limits
from .baselines import rules_of
from .course import Course, open_course
from .evaluate import Track
from .runs import RunFolder, begin_run, config_digest, discard, open_record, origin
from .seeds import derive_seed
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
) -> RunResult:
    """Train, freeze, judge on the validation slice, export and register. `now` (UTC) stamps record and passport.

    An unfinished run of the same config in `config.out` goes on from its last checkpoint.
    """
    run = begin_run(config.out, config)
    course = open_course(config)
    fitting = Fitting(config, course)  # builds trainer and env once, so that a wrong key shows here
    tracker = _open_tracker(config, run)
    try:
        facts = {"started_at": now.isoformat(), "data": course.facts(), "run_id": tracker and tracker.run_id}
        open_record(run, config, facts)
        if tracker:
            _introduce(tracker, config, course)
        result = _carry_out(config, run, course, fitting, tracker, now, callbacks, sinks)
    except BaseException as error:
        if tracker:
            tracker.close("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        discard(run)
        raise
    if tracker:
        tracker.close()
    return result


class Fitting:
    """A trainer and its training environment for one course."""

    def __init__(self, config: TrainConfig, course: Course, *, fold: int = 0, metrics: Metrics | None = None) -> None:
        self.config, self.course, self.metrics = config, course, Sinks()
        if metrics is not None:
            self.metrics.add(metrics)
        spec = course.terrain.spec
        if spec.window > 1:
            raise ValueError(f"observation {spec.name} shows a window of {spec.window} bars; the networks read one row")
        scaler = Scaler.fit(course.rows(), account_columns=len(spec.account))
        seed = derive_seed(config.seed, "train", fold)
        self.trainer = make_trainer(config.agent, seed, scaler, self.metrics, config.env.num_envs)
        is_rllib = isinstance(config.agent, RLlibSchema)  # the trainer derives every episode's seed from its own
        self.env: Any = course.rllib_env() if is_rllib else SB3VecEnv(course.training_env())

    def resume(self, checkpoint: Path) -> int:
        """Go on from a checkpoint, where there is one; the steps that are done."""
        if checkpoint.exists():
            self.trainer.resume(checkpoint, self.env)
        return self.trainer.steps

    def fit(self, callbacks: Sequence[Callback] = (), checkpoint: Path | None = None) -> Any:
        """Train to `config.steps` and return the network; a `checkpoint` folder is kept fresh on the way."""
        watchers = list(callbacks)
        if checkpoint is not None:
            watchers.append(Checkpoints(self.trainer, checkpoint, self.config.checkpoint_every))
        try:
            return self.trainer.fit(self.env, self.config.steps, watchers)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of what collects: RLlib's processes, an arena's threads."""
        for part in (self.trainer, self.env):
            close: Callable[[], None] | None = getattr(part, "close", None)
            if close is not None:
                close()


class Sinks:
    """Several `Metrics` sinks as one."""

    def __init__(self) -> None:
        self._sinks: list[Metrics] = []

    def add(self, sink: Metrics) -> None:
        self._sinks.append(sink)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for sink in self._sinks:
            sink.log(step, values)


class Checkpoints:
    """A callback that saves the trainer whenever `every` more steps are done."""

    def __init__(self, trainer: Trainer[Any, Any], folder: Path, every: int) -> None:
        self._trainer, self._folder, self._every = trainer, folder, every
        self._next = trainer.steps + every

    def on_update(self, step: int, values: Mapping[str, float]) -> None:
        if step >= self._next:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            self._trainer.save(self._folder)
            self._next = step + self._every


def make_trainer(agent: AgentSchema, seed: int, scaler: Scaler, metrics: Metrics, num_envs: int) -> Trainer[Any, Any]:
    """The trainer that `agent` names, with its keys checked; a missing library is named in one sentence."""
    keys = asdict(agent)
    target, backend = keys.pop("_target_"), keys.pop("backend")
    own = {"num_envs": num_envs, "runners": keys.pop("runners")} if backend == "rllib" else {}
    config = PPOConfig(**keys, seed=seed)
    config.check_batch(num_envs * max(1, own.get("runners", 0)))
    trainer: Trainer[Any, Any] = get_class(target)(config, scaler, metrics, **own)
    return trainer


def freeze(network: Any, folder: Path, config: TrainConfig, course: Course, *, now: datetime, steps: int) -> Path:
    """Export a trained network as a sealed passport."""
    facts = course.facts()
    training = {
        "data_sha256": facts["train"]["sha256"],
        "range": [facts["train"]["from"], facts["train"]["until"]],
        "seed": config.seed,
        "agent": config.agent.backend,
        "steps": steps,
        "config_digest": config_digest(config),
    }
    return export_passport(
        network,
        folder,
        course.terrain,
        course.train,
        name=config.tracking.model,
        created_at=now,
        training=training,
        origin={key: origin()[key] for key in ("git_commit", "lock_sha256")},
        memory=course.memory,
        past=course.past,
    )


def judge_all(
    policy: Policy, course: Course, role: str, baselines: Sequence[str], *, close_out: bool = False
) -> dict[str, Track]:
    """Tracks of the policy, under live limits, and of the baselines, under none, on the same slice."""
    tracks = {"policy": course.judge(policy, role, name="policy", close_out=close_out)}
    for name, rule in rules_of(baselines).items():
        tracks[name] = course.judge(rule, role, name=name, limits=UNLIMITED, close_out=close_out)
    return tracks


def _carry_out(
    config: TrainConfig,
    run: RunFolder,
    course: Course,
    fitting: Fitting,
    tracker: RunTracker | None,
    now: datetime,
    callbacks: Sequence[Callback],
    sinks: Sequence[Metrics],
) -> RunResult:
    fitting.metrics.add(run)
    if tracker:
        fitting.metrics.add(tracker)
    for sink in sinks:
        fitting.metrics.add(sink)
    run.forget_after(fitting.resume(run.checkpoint))
    began = perf_counter()
    network = fitting.fit(callbacks, run.checkpoint)
    steps, trained = fitting.trainer.steps, perf_counter()
    passport = freeze(network, run.passport, config, course, now=now, steps=steps)
    policy = load_passport(passport).policy
    tracks = judge_all(policy, course, "validation", BASELINES)
    for name, track in tracks.items():
        track.save(run.track(f"validation_{name}"))
    figures = {name: track.metrics() for name, track in tracks.items()}
    run.write("validation.json", figures)
    own = {f"validation/{name}": value for name, value in figures["policy"].items()}
    fitting.metrics.log(steps, own)
    run.write("timings.json", _timings(steps, trained - began, perf_counter() - trained))
    version = _register(config, run, tracker, own)
    baselines = {name: figures[name] for name in BASELINES}
    return RunResult(
        run.path, passport, steps, figures["policy"], baselines, tracker.run_id if tracker else None, version
    )


def _open_tracker(config: TrainConfig, run: RunFolder) -> RunTracker | None:
    tracking = config.tracking
    if tracking.root is None:
        return None
    known = run.record().get("run_id") if run.is_resumed else None
    return open_run(tracking.root, tracking.experiment, run.path.name, run_id=known)


def _introduce(tracker: RunTracker, config: TrainConfig, course: Course) -> None:
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
        run.passport,
        root=config.tracking.root,
        name=config.tracking.model,
        run_id=tracker.run_id,
        tags={name: f"{figures[name]:.6g}" for name in ("validation/sharpe", "validation/total_return")},
    )
    run.write("registered.json", {"model": config.tracking.model, "version": version, "run_id": tracker.run_id})
    log.info("registered %s as version %d", config.tracking.model, version)
    return version


def _timings(steps: int, train_s: float, judge_s: float) -> dict[str, float]:
    return {
        "train_s": round(train_s, 3),
        "steps": steps,
        "steps_per_s": round(steps / train_s, 1) if train_s > 0 else 0.0,
        "export_and_judge_s": round(judge_s, 3),
    }
