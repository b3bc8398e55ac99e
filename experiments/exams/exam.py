"""The words of an exam: a lesson to be learnt, a candidate that learns it on one backend, and marks against bounds.

Whoever sits an exam acts through the frozen graph alone, never through its trainer. Knows no market and no bound.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from hydra.utils import get_class

from ...agents.frozen import FrozenPolicy
from ...agents.keys import PPOConfig
from ...agents.scaling import Scaler
from ...envs.adapters import SB3VecEnv
from ..seeds import derive_seed

TRAINERS = {"sb3": "wavetank.agents.sb3.SB3Trainer", "rllib": "wavetank.agents.rllib.RLlibTrainer"}
BACKENDS = tuple(TRAINERS)


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is to be learnt: `make(num_envs, autoreset)` gives a gymnasium VectorEnv; the config's seed is set later."""

    name: str
    make: Callable[[int, str], Any]
    scaler: Scaler
    config: PPOConfig
    num_envs: int
    steps: int


@dataclass(frozen=True, slots=True)
class Mark:
    """One figure against its bound; `sense` is "≥" or "≤", `seed` None where the figure sums up several seeds."""

    exam: str
    item: str
    backend: str
    seed: int | None
    figure: float
    sense: str
    bound: float

    @property
    def passed(self) -> bool:
        """Whether the figure keeps to its bound; what is no number does not."""
        return self.figure >= self.bound if self.sense == "≥" else self.figure <= self.bound

    def to_json(self) -> dict[str, Any]:
        """Everything, with what follows from it; a figure that is no number is null."""
        return {**asdict(self), "figure": self.figure if math.isfinite(self.figure) else None, "passed": self.passed}


@dataclass(frozen=True, eq=False)
class Curve:
    """How one training went: (environment steps, mean return of the episodes that ended) an update."""

    lesson: str
    backend: str
    seed: int
    points: list[tuple[int, float]] = field(default_factory=list)

    def on_update(self, step: int, values: Mapping[str, float]) -> None:
        """Keep a point, where an episode has ended."""
        if "rollout/return" in values:
            self.points.append((step, values["rollout/return"]))


@dataclass(eq=False)
class Candidate:
    """One backend with one seed. A `control` learns at rate 0, and must fail; `curves` fill as lessons are learnt."""

    backend: str
    seed: int
    control: bool = False
    curves: list[Curve] = field(default_factory=list)

    def learn(self, lesson: Lesson) -> FrozenPolicy:
        """Train on the lesson and freeze what came of it; a control sees one update, and would stay what it is."""
        config = replace(lesson.config, seed=derive_seed(self.seed, "train"))
        steps = lesson.steps
        if self.control:
            config, steps = replace(config, learning_rate=0.0), 1
        curve = Curve(lesson.name, self.backend, self.seed)
        self.curves.append(curve)
        trainer, env = self._begin(lesson, config)
        try:
            network = trainer.fit(env, steps, [curve])
            return _frozen(network, lesson.scaler.width)
        finally:
            trainer.close()
            if self.backend == "sb3":  # RLlib closes the envs that it has made
                env.close()

    def mark(self, exam: str, item: str, figure: float, sense: str, bound: float) -> Mark:
        """A mark of this candidate's."""
        return Mark(exam, item, self.backend, self.seed, float(figure), sense, bound)

    def _begin(self, lesson: Lesson, config: PPOConfig) -> tuple[Any, Any]:
        trainer = trainer_of(self.backend)
        if self.backend == "sb3":
            return trainer(config, lesson.scaler), SB3VecEnv(lesson.make(lesson.num_envs, "SAME_STEP"))
        own = trainer(config, lesson.scaler, num_envs=lesson.num_envs)
        return own, lambda told: lesson.make(int(told["num_envs"]), "NEXT_STEP")


class Exam(Protocol):
    """One exam. It stands where every mark of every seed keeps to its bound, and those that sum up the seeds do."""

    @property
    def name(self) -> str: ...
    @property
    def seeds(self) -> int:
        """How many candidates a full proof wants."""
        ...

    def sit(self, candidate: Candidate) -> list[Mark]:
        """Let one candidate learn and act; its marks."""
        ...

    def sum_up(self, marks: Sequence[Mark]) -> list[Mark]:
        """The marks that only all seeds of one backend together can be given."""
        ...


def trainer_of(backend: str) -> Any:
    """The trainer's class; torch, and Ray, are loaded only for whom they train."""
    return get_class(TRAINERS[backend])


def _frozen(network: Any, width: int) -> FrozenPolicy:
    from ...agents.export import export_graph  # torch, as above

    with TemporaryDirectory(prefix="wavetank-") as scratch:
        return FrozenPolicy.from_graph(export_graph(network, Path(scratch) / "policy.onnx", width))
