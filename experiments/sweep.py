"""A hyper-parameter search that can be killed: one study in one file, its driver's side and its jobs' side.

The driver (`Search`) asks for trials up to a total, counts what is finished whenever it begins anew, and
tries again what a kill left half-done; an interrupted search walks through the same parameters as an
uninterrupted one. The job (`TrialMetrics`) reports its curve to the same file, and stops where the study's
pruner says so. Knows no Hydra, no trainer and no market. Optuna is imported inside functions: 0.45 s that
only a sweep pays.
"""

import fcntl
import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ..agents.policy import Metrics

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)

SQLITE = "sqlite:///"
RETRY, PLAN = "retry_of", "plan"

Value = float | int | str
Direction = Literal["minimize", "maximize"]


class SweepError(ValueError):
    """A search that cannot be begun or gone on with as asked."""


@dataclass(frozen=True, slots=True)
class Span:
    """A numeric dimension from `low` to `high`, both included; whole numbers if `low` and `high` are ints."""

    low: float
    high: float
    log: bool = False
    step: float | None = None


Choices = tuple[str, ...]
Space = Mapping[str, Span | Choices]


class Asked(NamedTuple):
    """One trial to run: its number in the study, its key in the storage, its parameters."""

    number: int
    key: int
    params: dict[str, Value]


class Progress(NamedTuple):
    """How many trials of a study ended, and how."""

    complete: int
    pruned: int
    failed: int

    @property
    def finished(self) -> int:
        return self.complete + self.pruned


class Search:
    """The driver's side of one study. Made by `open_search`; one driver at a time.

    `make_sampler` takes a seed. A new sampler is made for each trial from (seed, how many were asked
    before), so that a search that was killed and resumed draws what it would have drawn in one go.
    """

    def __init__(
        self,
        study: "optuna.Study",
        space: Space,
        make_sampler: Callable[[int], "optuna.samplers.BaseSampler"],
        seed: int,
    ) -> None:
        self._study = study
        self._space = {name: _distribution(name, dimension) for name, dimension in space.items()}
        self._make_sampler = make_sampler
        self._seed = seed

    def recover(self) -> int:
        """Queue again what a killed driver left running, and return how many trials that were."""
        from optuna.trial import TrialState

        retried = {trial.user_attrs.get(RETRY) for trial in self._study.get_trials(deepcopy=False)}
        leftovers = self._study.get_trials(states=(TrialState.RUNNING,))
        for trial in leftovers:
            # Queued before it is told: a second kill in between neither loses nor doubles it.
            if trial.params and trial.number not in retried:
                self._study.enqueue_trial(trial.params, user_attrs={RETRY: trial.number})
            self._study.tell(trial.number, state=TrialState.FAIL)
        return len(leftovers)

    def ask(self) -> Asked:
        """Take the next trial: one that waits for its second try, or a new one."""
        self._study.sampler = self._make_sampler(self._next_seed())
        trial = self._study.ask(self._space)
        return Asked(trial.number, trial._trial_id, dict(trial.params))

    def complete(self, number: int, value: float) -> None:
        """Tell a trial's objective; one that is not finite makes it a failed trial."""
        from optuna.trial import TrialState

        if math.isfinite(value):
            self._study.tell(number, value)
        else:
            self._study.tell(number, state=TrialState.FAIL)

    def prune(self, number: int) -> None:
        """Tell that the job stopped because the pruner said so."""
        from optuna.trial import TrialState

        self._study.tell(number, state=TrialState.PRUNED)

    def fail(self, number: int) -> None:
        """Tell that the job ended in an error; its parameters are not tried again."""
        from optuna.trial import TrialState

        self._study.tell(number, state=TrialState.FAIL)

    def progress(self) -> Progress:
        """Count the trials by how they ended."""
        from optuna.trial import TrialState

        states = [trial.state for trial in self._study.get_trials(deepcopy=False)]
        ended = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        return Progress(*(states.count(state) for state in ended))

    def best(self) -> Asked | None:
        """The best completed trial, or None before there is one."""
        if self.progress().complete == 0:
            return None
        trial = self._study.best_trial
        return Asked(trial.number, trial._trial_id, dict(trial.params))

    def summary(self) -> dict[str, object]:
        """The study as plain data: how many trials ended how, the best one, and every trial's value."""
        best, progress = self.best(), self.progress()
        rows = [
            {"number": t.number, "state": t.state.name.lower(), "value": t.value, "params": t.params}
            for t in self._study.get_trials(deepcopy=False)
        ]
        return {
            "study": self._study.study_name,
            **progress._asdict(),
            "best": None if best is None else {**best._asdict(), "value": self._study.best_value},
            "trials": rows,
        }

    def _next_seed(self) -> int:
        trials = self._study.get_trials(deepcopy=False)
        asked = sum(1 for trial in trials if trial.params and RETRY not in trial.user_attrs)
        return int(np.random.SeedSequence([self._seed, asked]).generate_state(1)[0])


def open_search(
    name: str,
    storage: str,
    *,
    space: Space,
    fixed: list[str],
    direction: Direction,
    make_sampler: Callable[[int], "optuna.samplers.BaseSampler"],
    seed: int,
) -> Search:
    """Begin study `name` in `storage`, or go on with it.

    `fixed` are the overrides that all trials share. Raises SweepError where the study stands there with
    another space, direction or other fixed overrides: its values would not be comparable.
    """
    import optuna

    if not space:
        raise SweepError(f"study {name} has nothing to search: give one key a range, e.g. seed=range(1,5)")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    dimensions = {key: _plain(dimension) for key, dimension in sorted(space.items())}
    plan = {"direction": direction, "space": dimensions, "fixed": sorted(fixed)}
    opened = open_storage(storage)
    study = optuna.create_study(study_name=name, storage=opened, direction=direction, load_if_exists=True)
    begun = study.user_attrs.get(PLAN)
    if begun is not None and begun != plan:
        if any(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.get_trials(deepcopy=False)):
            raise SweepError(f"study {name} was begun with another {_difference(begun, plan)}: give it another out")
        optuna.delete_study(study_name=name, storage=opened)  # nothing came of it yet
        study = optuna.create_study(study_name=name, storage=opened, direction=direction)
    if study.user_attrs.get(PLAN) is None:
        study.set_user_attr(PLAN, plan)
    return Search(study, space, make_sampler, seed)


@contextmanager
def only_driver(storage: str) -> Iterator[None]:
    """Hold the storage's lock: two drivers would take each other's running trials for leftovers of a kill."""
    lock = Path(f"{_file_of(storage)}.driver")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SweepError(f"another sweep works on {storage}; wait until it ends, or stop it") from None
        yield


def open_storage(storage: str) -> "optuna.storages.BaseStorage":
    """`sqlite:///FILE.db`, or `FILE.journal`: an append-only file, safe for several processes."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    path = _file_of(storage)
    path.parent.mkdir(parents=True, exist_ok=True)
    if storage.startswith(SQLITE):
        return optuna.storages.RDBStorage(f"{SQLITE}{path}")
    return optuna.storages.JournalStorage(JournalFileBackend(str(path)))


def write_summary(search: Search, path: Path) -> None:
    """Write the study's summary as JSON."""
    path.write_text(json.dumps(search.summary(), indent=1, default=str) + "\n")


class TrialMetrics:
    """The job's side: a metrics sink that reports `objective` to the study, and stops a trial that is pruned.

    Every point is passed on to `sink` first. Points without the objective say nothing: before the first
    episode has ended there is no return, and a made-up 0 would keep the median pruner from ever pruning.
    """

    def __init__(self, trial: "optuna.Trial", objective: str, sink: Metrics | None = None) -> None:
        self._trial = trial
        self._objective = objective
        self._sink = sink

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Pass the points on; raise `optuna.TrialPruned` where the pruner gives this trial up."""
        import optuna

        if self._sink is not None:
            self._sink.log(step, values)
        value = values.get(self._objective)
        if value is None or not math.isfinite(value):
            return
        self._trial.report(float(value), step)
        if self._trial.should_prune():
            raise optuna.TrialPruned(f"trial {self._trial.number} is behind at step {step}")


def join_trial(study: str, storage: str, key: int, pruner: "optuna.pruners.BasePruner") -> "optuna.Trial":
    """The running trial `key` of a study, from inside its job."""
    import optuna

    loaded = optuna.load_study(study_name=study, storage=open_storage(storage), pruner=pruner)
    return optuna.Trial(loaded, key)


def is_pruned(error: object) -> bool:
    """Say whether a job's error means that it was pruned."""
    import optuna

    return isinstance(error, optuna.TrialPruned)


def _distribution(name: str, dimension: Span | Choices) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(dimension, Span):
        return CategoricalDistribution(dimension)
    low, high, step = dimension.low, dimension.high, dimension.step
    try:
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=dimension.log, step=1 if step is None else int(step))
        return FloatDistribution(low, high, log=dimension.log, step=step)
    except ValueError as error:
        raise SweepError(f"{name}: {error}") from None


def _plain(dimension: Span | Choices) -> list[object]:
    if isinstance(dimension, Span):
        return [dimension.low, dimension.high, dimension.log, dimension.step]
    return list(dimension)


def _difference(begun: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """The first thing in which two plans differ, with both values."""
    if begun["direction"] != plan["direction"]:
        return f"direction, {begun['direction']}"
    ours, theirs = plan["space"], begun["space"]
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            return f"space, {key} {theirs.get(key)} instead of {ours.get(key)}"
    changed = sorted(set(begun["fixed"]) ^ set(plan["fixed"]))
    return f"fixed part, {changed[0]}"


def _file_of(storage: str) -> Path:
    if storage.startswith(SQLITE):
        return Path(storage.removeprefix(SQLITE)).absolute()
    if storage.endswith(".journal"):
        return Path(storage).absolute()
    raise SweepError(f"storage {storage!r} is neither sqlite:///FILE.db nor FILE.journal")
