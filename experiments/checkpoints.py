"""A training's checkpoints: sealed folders named by their step, the newest two and the best ones kept.

Each appears under a new name, whole or not at all, so there is no moment without a good one. What a trainer puts into
its part, and what the loop's standing means, is not known here.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..agents.policy import Trainer
from ..agents.seal import SealError, check_seal, whole_folder, write_seal
from .runs import write_json

TRAINER, STANDING, BEST = "trainer", "standing.json", "best.json"
NEWEST = 2  # the second is there for when the newest turns out to be damaged
DIGITS = 12


class CheckpointError(ValueError):
    """A checkpoint that cannot be gone on from."""


class Checkpoints:
    """The checkpoints in one folder, which is made with the first of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.folder / f"{step:0{DIGITS}d}"

    def save(self, trainer: Trainer[Any, Any], step: int, standing: Mapping[str, Any], best: int | None) -> Path:
        """Write a checkpoint; `best` is the step of the best weights so far, whose checkpoint is kept as well."""
        with whole_folder(self.of(step)) as draft:
            trainer.save(draft / TRAINER)
            write_json(draft / STANDING, {"best": best, **standing})
            write_seal(draft)
        if best is not None:
            write_json(self.folder / BEST, {"step": best, "folder": self.of(best).name})
        self._prune()
        return self.of(step)

    def newest(self) -> Path | None:
        """The checkpoint to go on from, with every byte checked; None where there is none.

        Raises CheckpointError, naming the file and the way back, where it is damaged.
        """
        found = self._found()
        if not found:
            return None
        newest = found[-1]
        if damage := _damage(newest):
            older = next((path for path in reversed(found[:-1]) if _damage(path) is None), None)
            way = f"delete {newest} to go on from {older}" if older else f"none is whole: delete {self.folder}"
            raise CheckpointError(f"checkpoint {damage}; {way}")
        best = standing_of(newest)["best"]
        if best is not None and (damage := _damage(self.of(best))):
            raise CheckpointError(f"the best weights so far are lost: {damage}; begin a new run")
        return newest

    def tidy(self) -> None:
        """Remove the drafts that a kill left behind."""
        for draft in self.folder.glob(".*"):
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink()

    def last(self) -> Path | None:
        """The newest checkpoint's folder, unchecked."""
        return next(reversed(self._found()), None)

    def _found(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("[0-9]" * DIGITS) if path.is_dir())

    def _prune(self) -> None:
        found = self._found()
        kept = set(found[-NEWEST:])
        kept |= {self.of(best) for path in kept if (best := standing_of(path)["best"]) is not None}
        for path in found:
            if path not in kept:
                shutil.rmtree(path.rename(path.with_name(f".{path.name}.old")))  # never half a checkpoint by its name


def standing_of(checkpoint: Path) -> dict[str, Any]:
    """What the loop put into a checkpoint, and the step of the best weights as `best`."""
    told: dict[str, Any] = json.loads((checkpoint / STANDING).read_text())
    return told


def _damage(checkpoint: Path) -> str | None:
    try:
        check_seal(checkpoint)
    except SealError as error:
        return str(error)
    return None
