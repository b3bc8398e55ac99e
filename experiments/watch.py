"""The watch over one training: looks at validation and checkpoints when they are due, and the reason why it ended.

All it knows of the training's past is in `Standing`, which every checkpoint holds; when something is due follows from
the step alone. So a resumed training is watched as the uninterrupted one was. Knows no environment.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from ..agents.policy import Callback, Trainer
from ..conf.schema import TrainConfig
from .checkpoints import Checkpoints
from .validation import Looks, Validation

STEPS, PATIENCE, STOPPED = "steps", "patience", "stopped"  # why a training ended


@dataclass(frozen=True, slots=True)
class Standing:
    """How the loop stands after an update: the looks so far, and why training ended, if it has."""

    looks: Looks = Looks()
    ended: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"looks": self.looks.to_json(), "ended": self.ended}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Standing":
        return cls(Looks.from_json(told["looks"]), told["ended"])


class Watch:
    """The one callback that a trainer gets; the others hear from it what the trainer says, and the last look's figures.

    `log` takes a step and figures; `flush` makes sure that what was logged is kept. `validation` is None where there
    are no looks on the way.
    """

    def __init__(
        self,
        config: TrainConfig,
        trainer: Trainer[Any, Any],
        checkpoints: Checkpoints,
        validation: Validation | None,
        log: Callable[[int, Mapping[str, float]], None],
        flush: Callable[[], None],
    ) -> None:
        self._config, self._trainer, self._checkpoints, self._validation = config, trainer, checkpoints, validation
        self._log, self._flush = log, flush
        self._shown: dict[str, float] = {}
        self._last = 0
        self.callbacks: Sequence[Callback] = ()
        self.standing = Standing()
        self.saving_s = 0.0

    def resume(self, standing: Standing, step: int) -> None:
        """Take the watch over at `step`. More steps to go than when it ended there make the end undone."""
        goes_on = standing.ended == STEPS and step < self._config.steps
        self.standing = Standing(standing.looks, None if goes_on else standing.ended)
        self._last = step

    def on_update(self, step: int, values: Mapping[str, float]) -> bool | None:
        """See one update; False where training ends before its steps are done."""
        best, ended = self.standing.looks.best_step, STEPS if step >= self._config.steps else None
        if ended or self._is_due(step, self._config.validate_every):
            self._look(step)
            ended = ended or self._out_of_patience()
        answers = [callback.on_update(step, {**values, **self._shown}) for callback in self.callbacks]
        if ended is None and False in answers:
            ended = STOPPED
            self._look(step)
        self.standing = Standing(self.standing.looks, ended)
        is_better = self.standing.looks.best_step != best
        if ended or is_better or self._is_due(step, self._config.checkpoint_every):
            self._save(step)
        self._last = step
        return False if ended in (PATIENCE, STOPPED) else None

    def conclude(self) -> None:
        """Close a training that ended without an update to see, for its steps were done already."""
        if self.standing.ended is None:
            step = self._trainer.steps
            self._look(step)
            self.standing = Standing(self.standing.looks, STEPS)
            if step and not self._checkpoints.of(step).exists():
                self._save(step)

    def _is_due(self, step: int, every: int) -> bool:
        return every > 0 and step // every > self._last // every

    def _look(self, step: int) -> None:
        looks = self.standing.looks
        if self._validation is None or looks.last_step == step:
            return
        figures = self._validation.look(self._trainer.policy())
        self._shown = {f"validation/{name}": value for name, value in figures.items()}
        self._log(step, self._shown)
        self.standing = Standing(looks.after(step, figures[self._config.select]))

    def _out_of_patience(self) -> str | None:
        patience = self._config.patience
        return PATIENCE if 0 < patience <= self.standing.looks.since_best else None

    def _save(self, step: int) -> None:
        began = perf_counter()
        self._flush()
        standing = self.standing
        self._checkpoints.save(self._trainer, step, standing.to_json(), standing.looks.best_step)
        self.saving_s += perf_counter() - began
