"""What checkpoints of both backends share: the sealed record beside the weights, and whose training it is.

Knows no library; what the weights look like is told in `sb3_state` and `rllib_state`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from .policy import TrainingError
from .seal import check_seal, write_seal

FORMAT = 2
RECORD, TRAINING = "checkpoint.json", "training.pt"


@runtime_checkable
class Stateful(Protocol):
    """An env whose episodes can be put aside and taken up again, to the last bit: named arrays out, the same in."""

    def state(self) -> dict[str, np.ndarray]: ...
    def set_state(self, state: Mapping[str, np.ndarray]) -> None: ...


def close_record(draft: Path, identity: Mapping[str, Any], counts: Mapping[str, Any]) -> None:
    """Write the record into a checkpoint's draft, the last file of all, and seal it."""
    told = {"format": FORMAT, **identity, **counts}
    (draft / RECORD).write_text(json.dumps(told, indent=2) + "\n")
    write_seal(draft)


def open_record(folder: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """The record; SealError where a byte of the checkpoint differs, TrainingError, by the key, where another training
    wrote it."""
    check_seal(folder)
    told: dict[str, Any] = json.loads((folder / RECORD).read_text())
    for key, value in {"format": FORMAT, **identity}.items():
        if told.get(key) != value:
            raise TrainingError(f"checkpoint {folder} has {_difference(key, told.get(key), value)}")
    return told


def _difference(key: str, theirs: Any, ours: Any) -> str:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in sorted(theirs.keys() | ours.keys()):
            if theirs.get(name) != ours.get(name):
                return f"{key}.{name} {_short(theirs.get(name))}, not {_short(ours.get(name))}"
    return f"{key} {_short(theirs)}, not {_short(ours)}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:57] + "..."
