"""Checkpoints of a training on RLlib: all that the next update depends on, sealed, and nothing pickled.

Weights, optimizer, counters and random generators of the learner; of every runner, where its episodes stand, if the
env can put them aside. A checkpoint of another training is refused by the key that differs, a damaged one by its hash.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .checkpoints import TRAINING, close_record, open_record
from .rllib_algorithm import RolloutPPO, Walked
from .rllib_rollout import Ended
from .seal import whole_folder


class Memory(NamedTuple):
    """What a checkpoint holds: steps done, episodes that ended lately, the learner's part, the runners' by index."""

    steps: int
    episodes: list[Ended]
    learned: bytes
    walked: dict[int, Walked]


def write_checkpoint(folder: Path, algorithm: RolloutPPO, identity: dict[str, Any]) -> Path:
    """Write a checkpoint whole, or not at all; one that stands there is replaced only when the new one is whole."""
    learned, walked = algorithm.memory()
    with whole_folder(folder, replace=True) as draft:
        (draft / TRAINING).write_bytes(learned)
        for index, walk in walked.items():
            np.savez(draft / f"runner_{index}.npz", **walk)  # type: ignore[arg-type]  # numpy types savez too narrowly
        close_record(draft, identity, {"steps": algorithm.steps, "episodes": list(algorithm.episodes)})
    return folder


def read_checkpoint(folder: Path, identity: dict[str, Any]) -> Memory:
    """A checkpoint's content; SealError where a byte differs, TrainingError where it is another training's."""
    told = open_record(folder, identity)
    walked = {}
    for path in folder.glob("runner_*.npz"):
        with np.load(path, allow_pickle=False) as file:
            walked[int(path.stem.partition("_")[2])] = {name: file[name] for name in file.files}
    return Memory(int(told["steps"]), told["episodes"], (folder / TRAINING).read_bytes(), walked)
