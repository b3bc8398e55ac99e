"""Going on with a run that was interrupted: its own config out of its own folder, and at most more steps.

Everything that speaks against it is said before anything is written. Knows no trainer.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..conf.agent_schema import scheduled
from ..conf.schema import TrainConfig
from .runs import PASSPORT, RECORD, RunError, RunFolder, read_config

MAY_DIFFER = ("resume", "steps")


def steps_asked(overrides: Sequence[str], composed: TrainConfig) -> int | None:
    """The steps that the command line asks for beside `resume`, None where it names none.

    Raises RunError on any other override: the run's own config holds.
    """
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if key not in MAY_DIFFER or override.startswith(("+", "~")):
            raise RunError(f"resume={composed.resume} goes on with the run's own config: {override} cannot be changed")
    return composed.steps if any(override.startswith("steps=") for override in overrides) else None


def unfinished_run(folder: str | Path, steps: int | None = None) -> tuple[RunFolder, TrainConfig]:
    """The run in `folder` and its config, to more `steps` where asked; RunError where it cannot go on."""
    path = Path(folder)
    if not path.is_dir():
        raise RunError(f"resume: there is no folder {path}")
    if not (path / RECORD).is_file():
        raise RunError(f"resume: {path} is not a run's folder: it has no {RECORD}")
    if (path / PASSPORT).exists():
        raise RunError(f"resume: the run in {path} is finished: train another with a new out")
    config = replace(read_config(path), out=str(path))
    return RunFolder(path, is_resumed=True), config if steps is None else _longer(path, config, steps)


def _longer(path: Path, config: TrainConfig, steps: int) -> TrainConfig:
    if steps <= config.steps:
        raise RunError(f"steps: {steps} must be above {config.steps}, which the run in {path} goes to by itself")
    for name in scheduled(config.agent):
        end = getattr(config.agent, name)
        raise RunError(
            f"steps: the run in {path} cannot go on to {steps}: agent.{name}={end} is reached at step {config.steps}"
        )
    if getattr(config.env, "curriculum", None):
        raise RunError(
            f"steps: the run in {path} cannot go on to {steps}: env.curriculum is in shares of {config.steps}"
        )
    return replace(config, steps=steps)
