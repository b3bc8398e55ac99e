"""A trainer, its environment and the watch over both, for one course: built, gone on with, and trained to its network.

What a config can get wrong about learning is wrong here, before anything is written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from hydra.utils import get_class

from ..agents.keys import PPOConfig, SACConfig
from ..agents.masking import Masking
from ..agents.policy import Callback, Metrics, Trainer, TrainingError
from ..agents.scaling import Scaler
from ..conf.agent_schema import AgentSchema, RLlibSchema, SACSchema, scheduled
from ..conf.schema import TrainConfig
from ..envs.actions import levels_of
from ..envs.adapters import SB3VecEnv
from ..envs.observation import ObservationSpec
from .checkpoints import TRAINER, Checkpoints, standing_of
from .course import Course
from .seeds import derive_seed
from .validation import Validation, check_figure
from .watch import Standing, Watch


@dataclass(frozen=True, eq=False)
class Fitted:
    """A network and how it came about: `steps` were done in all, `selected_step` are those behind its weights.

    `looks` counts how often validation was looked at to choose it: 1 means once, at the end, with no choice.
    """

    network: Any
    steps: int
    ended: str
    looks: int
    select: str | None
    selected_step: int
    timings: dict[str, float]

    def outcome(self) -> dict[str, Any]:
        """What run.json, validation.json and the passport's evidence say."""
        return {
            "ended": self.ended,
            "steps": self.steps,
            "validation_looks": self.looks,
            "selected_by": self.select,
            "selected_step": self.selected_step,
        }


class Fitting:
    """One training on one course, with its checkpoints in a folder. `begin`, then `fit`, then `close`."""

    def __init__(
        self,
        config: TrainConfig,
        course: Course,
        checkpoints: Path,
        *,
        fold: int = 0,
        metrics: Metrics | None = None,
    ) -> None:
        check_figure(config.select)
        self.config, self.metrics, self.checkpoints = config, Sinks(), Checkpoints(checkpoints)
        if metrics is not None:
            self.metrics.add(metrics)
        spec = course.terrain.spec
        scaler = Scaler.fit(course.rows(), account_columns=len(spec.account))
        self.trainer = make_trainer(config, derive_seed(config.seed, "train", fold), scaler, self.metrics, spec)
        self._validation = Validation(course) if config.validate_every else None
        self._watch = Watch(
            config, self.trainer, self.checkpoints, self._validation, self.metrics.log, self.metrics.flush
        )
        is_rllib = isinstance(config.agent, RLlibSchema)  # the trainer derives every episode's seed from its own
        self.env: Any = course.rllib_env() if is_rllib else SB3VecEnv(course.training_env())

    def begin(self) -> int:
        """Build the network on its env, or take both from the newest checkpoint; the steps that are done.

        Writes nothing; a damaged or foreign checkpoint, and spaces that do not fit, are refused.
        """
        newest = self.checkpoints.newest()
        if newest is None:
            self.trainer.fit(self.env, 0)
            return 0
        self.trainer.resume(newest / TRAINER, self.env)
        self._watch.resume(Standing.from_json(standing_of(newest)), self.trainer.steps)
        return self.trainer.steps

    def fit(self, callbacks: Sequence[Callback] = ()) -> Fitted:
        """Train to `config.steps`, or until a callback or the patience says stop, and choose the network."""
        began, before = perf_counter(), self.trainer.steps
        self.checkpoints.tidy()
        self._watch.callbacks = callbacks
        try:
            if self._watch.standing.ended is None:
                self.trainer.fit(self.env, self.config.steps, [self._watch])
            self._watch.conclude()
        except TrainingError as error:
            good = self.checkpoints.last()
            way = f"{good} holds the last good weights" if good else "there was no checkpoint yet"
            raise TrainingError(f"{error}; {way}") from error
        return self._chosen(before, perf_counter() - began)

    def close(self) -> None:
        """Let go of what collects: RLlib's processes, an arena's threads."""
        for part in (self.trainer, self.env):
            close: Callable[[], None] | None = getattr(part, "close", None)
            if close is not None:
                close()

    def _chosen(self, before: int, wall_s: float) -> Fitted:
        steps, standing = self.trainer.steps, self._watch.standing
        looks = standing.looks
        selected = steps if looks.best_step is None else looks.best_step
        if selected != steps:
            self.trainer.resume(self.checkpoints.of(selected) / TRAINER, self.env)
        return Fitted(
            self.trainer.policy(),
            steps,
            str(standing.ended),
            max(1, looks.count),
            self.config.select if self._validation else None,
            selected,
            self._timings(steps, before, wall_s),
        )

    def _timings(self, steps: int, before: int, wall_s: float) -> dict[str, float]:
        looks_s = self._validation.seconds if self._validation else 0.0
        train_s = wall_s - looks_s - self._watch.saving_s
        return {
            "steps": steps,
            "train_s": round(train_s, 3),
            "steps_per_s": round((steps - before) / train_s, 1) if train_s > 0 else 0.0,
            "looks_s": round(looks_s, 3),
            "checkpoints_s": round(self._watch.saving_s, 3),
        }


class Sinks:
    """Several `Metrics` sinks as one."""

    def __init__(self) -> None:
        self._sinks: list[Metrics] = []

    def add(self, sink: Metrics) -> None:
        self._sinks.append(sink)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for sink in self._sinks:
            sink.log(step, values)

    def flush(self) -> None:
        """Have those sinks that buffer write what they hold."""
        for sink in self._sinks:
            flush: Callable[[], None] | None = getattr(sink, "flush", None)
            if flush is not None:
                flush()


def make_trainer(
    config: TrainConfig, seed: int, scaler: Scaler, metrics: Metrics, spec: ObservationSpec
) -> Trainer[Any, Any]:
    """The trainer that `config.agent` names, with its keys checked; a missing library is named in one sentence."""
    agent = config.agent
    told = asdict(agent)
    own: dict[str, Any] = {}
    collectors = config.env.num_envs
    if isinstance(agent, RLlibSchema):
        own = {"num_envs": collectors, "runners": told.pop("runners"), "learners": told.pop("learners")}
        own["address"] = config.ray.address
        collectors *= max(1, agent.runners)
    keys = _keys(agent, told, seed, config.steps)
    if isinstance(keys, PPOConfig):
        keys.check_batch(collectors)
        if keys.mask:
            own["masking"] = masking_of(config.env.actions, spec)
    trainer: Trainer[Any, Any] = get_class(agent._target_)(keys, scaler, metrics, **own)
    return trainer


def masking_of(actions: str, spec: ObservationSpec) -> Masking:
    """What masks discrete levels by the account's columns; ValueError where there are no levels."""
    levels = levels_of(actions)
    if levels is None:
        raise ValueError(f"agent.mask: env.actions={actions} has no levels to mask; say env.actions=discrete:n")
    columns = spec.columns
    return Masking(tuple(levels.tolist()), columns.index("position"), columns.index("trading_state"))


def _keys(agent: AgentSchema, told: Mapping[str, Any], seed: int, steps: int) -> PPOConfig | SACConfig:
    keys = {name: value for name, value in told.items() if name not in ("_target_", "backend")}
    if isinstance(agent, SACSchema):
        return SACConfig(**keys, seed=seed)
    # Without a schedule no key may depend on the steps: such a run may go on to more of them.
    return PPOConfig(**keys, seed=seed, horizon=steps if scheduled(agent) else 0)
