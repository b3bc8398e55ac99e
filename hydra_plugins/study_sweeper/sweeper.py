"""`hydra/sweeper=study`: the jobs of a multirun are trials of one Optuna study, up to a total number.

Turns Hydra's sweep syntax into a search space and hands trials to any launcher; the study itself is
`wavetank.experiments.sweep`. A job finds its trial in `trial.study`, `trial.storage`, `trial.key`,
`trial.number` and `trial.reported`. Hydra loads this file at every start, so it imports neither Optuna nor
wavetank at its top.
"""

# No `from __future__ import annotations` here: Hydra 1.3 loads plugins outside sys.modules, where a
# dataclass with postponed annotations raises "'NoneType' object has no attribute '__dict__'".

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from wavetank.experiments.sweep import Asked, Direction, Progress, Search, Space

log = logging.getLogger("wavetank.sweep")  # ours, for the house's logging to show it


@dataclass
class StudySweeperConf:
    """`params` is the search space, in Hydra's sweep syntax; the command line overrides it key by key."""

    _target_: str = "hydra_plugins.study_sweeper.sweeper.StudySweeper"
    _recursive_: bool = False  # sampler and pruner stay config until optuna is needed
    name: str = "study"
    storage: str = "study.journal"  # FILE.journal or sqlite:///FILE.db
    direction: str = "maximize"
    reported: str = "rollout/return"  # the metric that jobs report to the pruner, in the same direction
    n_trials: int = 20  # in total, complete or pruned, over all resumptions
    n_jobs: int = 1  # trials handed to the launcher at once
    max_failures: int = 2  # jobs that may end in an error before the sweep does
    seed: int = 0
    sampler: Any = field(default_factory=lambda: {"_target_": "optuna.samplers.TPESampler"})
    pruner: Any = field(default_factory=lambda: {"_target_": "optuna.pruners.NopPruner"})
    params: dict[str, str] = field(default_factory=dict)
    free: list[str] = field(default_factory=list)  # keys that may change between resumptions, besides Hydra's own


ConfigStore.instance().store(group="hydra/sweeper", name="study", node=StudySweeperConf, provider="study_sweeper")


class StudySweeper(Sweeper):
    """Ask the study for trials, launch them, tell their results, until `n_trials` have finished."""

    def __init__(
        self,
        name: str,
        storage: str,
        direction: str,
        reported: str,
        n_trials: int,
        n_jobs: int,
        max_failures: int,
        seed: int,
        sampler: DictConfig,
        pruner: DictConfig,
        params: Mapping[str, str],
        free: Sequence[str],
    ) -> None:
        from wavetank.experiments.sweep import SweepError

        counts = {"n_trials": (n_trials, 1), "n_jobs": (n_jobs, 1), "max_failures": (max_failures, 0)}
        for what, (value, least) in counts.items():
            if value < least:
                raise SweepError(f"hydra.sweeper.{what} {value} must be {least} or more")
        if direction not in ("minimize", "maximize"):
            raise SweepError(f"hydra.sweeper.direction {direction!r} is neither minimize nor maximize")
        self.name, self.storage, self.reported = name, storage, reported
        self.direction: Direction = "minimize" if direction == "minimize" else "maximize"
        self.n_trials, self.n_jobs, self.max_failures, self.seed = n_trials, n_jobs, max_failures, seed
        self.sampler = sampler  # the pruner is made in the job, from hydra.sweeper.pruner
        self.params, self.free = params, free
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take the context of this multirun, and make its launcher."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the study to its total; go on with it where it stands already."""
        from wavetank.experiments.sweep import only_driver, open_search, write_summary

        assert self.config is not None
        space, fixed = self._plan(arguments)
        folder = Path(self.config.hydra.sweep.dir)
        with only_driver(self.storage):
            search = open_search(
                self.name,
                self.storage,
                space=space,
                fixed=[line for line in fixed if line.split("=", 1)[0].lstrip("+~") not in self.free],
                direction=self.direction,
                make_sampler=self._make_sampler,
                seed=self.seed,
            )
            self._begin(search, folder)
            self._run(search, fixed)
            write_summary(search, folder / "study.json")
        log.info("%s: %s", self.name, _told(search.progress()))
        if best := search.best():
            log.info("best is trial %d: %s", best.number, " ".join(_overrides(best)))
        log.info("result %s", folder / "study.json")

    def _begin(self, search: "Search", folder: Path) -> None:
        recovered = search.recover()
        if search.progress().finished or recovered:
            log.info("%s goes on: %s, %d to try again", self.name, _told(search.progress()), recovered)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")

    def _run(self, search: "Search", fixed: list[str]) -> None:
        failures: list[BaseException] = []
        while (left := self.n_trials - search.progress().finished) > 0:
            trials = [search.ask() for _ in range(min(left, self.n_jobs))]
            for trial, job in zip(trials, self._launch(trials, fixed), strict=True):
                error = _settle(search, trial, job)
                progress = search.progress()
                log.info("trial %d of %d: %s", progress.finished, self.n_trials, _told(progress))
                if error:
                    log.warning("trial %d failed: %s", trial.number, error)
                    failures.append(error)
            if len(failures) > self.max_failures or (failures and search.progress().finished == 0):
                raise failures[-1]  # a study that begins with a failure has a mistake in it, not bad luck

    def _launch(self, trials: list["Asked"], fixed: list[str]) -> Sequence[JobReturn]:
        assert self.launcher is not None
        batch = [[*fixed, *_overrides(trial), *self._reference(trial)] for trial in trials]
        self.validate_batch_is_legal(batch)
        return self.launcher.launch(batch, initial_job_idx=trials[0].number)

    def _reference(self, trial: "Asked") -> list[str]:
        text = {"study": self.name, "storage": self.storage, "reported": self.reported}
        return [
            *(f"++trial.{key}={_quoted(value)}" for key, value in text.items()),
            f"++trial.key={trial.key}",
            f"++trial.number={trial.number}",
        ]

    def _plan(self, arguments: list[str]) -> tuple["Space", list[str]]:
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        lines = [f"{key}={value}" for key, value in self.params.items()]
        space: dict[str, Any] = {}
        fixed: dict[str, str] = {}
        for override in parser.parse_overrides([*lines, *arguments]):  # later ones, the command line's, win
            key = override.get_key_element()
            space.pop(key, None)
            fixed.pop(key, None)
            if override.is_sweep_override():
                space[key] = _dimension(override)
            else:
                assert override.input_line is not None
                fixed[key] = override.input_line
        return space, list(fixed.values())

    def _make_sampler(self, seed: int) -> Any:
        """A sampler with this seed, unless its own config has one and so asks to be left alone."""
        own = {} if "seed" in self.sampler else {"seed": seed}
        return instantiate(self.sampler, **own)


def _settle(search: "Search", trial: "Asked", job: JobReturn) -> BaseException | None:
    """Tell the study how a job ended; return the error of a failed one."""
    from wavetank.experiments.sweep import SweepError, is_pruned

    result = job._return_value  # `return_value` would raise the job's error
    if job.status == JobStatus.COMPLETED:
        value = _number(result)
        search.complete(trial.number, value)
        if value - value == 0.0:  # finite
            return None
        return SweepError(f"trial {trial.number} returned {result!r} as its objective, not a finite number")
    if is_pruned(result):
        search.prune(trial.number)
        return None
    search.fail(trial.number)
    return result if isinstance(result, BaseException) else RuntimeError(f"trial {trial.number}: {result!r}")


def _told(progress: "Progress") -> str:
    return ", ".join(f"{count} {name}" for name, count in progress._asdict().items())


def _number(result: object) -> float:
    return float(result) if isinstance(result, (int, float)) else float("nan")


def _dimension(override: Override) -> Any:
    from wavetank.experiments.sweep import Span, SweepError

    sweep = override.value()
    if getattr(sweep, "transformers", None):  # Hydra 1.4 alone has them
        raise SweepError(f"{override.input_line}: transformers are not understood by the study sweeper")
    if isinstance(sweep, IntervalSweep):
        assert sweep.start is not None
        assert sweep.end is not None
        return Span(sweep.start, sweep.end, "log" in sweep.tags)
    if isinstance(sweep, RangeSweep) and not sweep.shuffle:
        values = list(sweep.range())
        if not values:
            raise SweepError(f"{override.input_line}: the range is empty")
        step = None if "log" in sweep.tags else sweep.step
        return Span(values[0], values[-1], "log" in sweep.tags, step)
    return tuple(override.sweep_string_iterator())


def _overrides(trial: "Asked") -> list[str]:
    # A choice is text as it stood on the command line, quotes included; a number is written to its last
    # digit.
    return [f"{key}={v if isinstance(v, str) else repr(v)}" for key, v in trial.params.items()]


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
