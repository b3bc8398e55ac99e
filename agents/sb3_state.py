"""Checkpoints of a training on Stable-Baselines3: all that the next update depends on, sealed.

What an algorithm learns it hands over as tensors; here are added counters, random generators, what the next rollout
stands on (last observation, episode starts, the episodes that ended lately), and the env's own state, where it can be
put aside. A checkpoint of another training is refused by the key that differs, a damaged one by its hash.
"""

from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from .checkpoints import TRAINING, Stateful, close_record, open_record
from .policy import TrainingError
from .sb3_env import unwrapped
from .seal import whole_folder


class Memory(NamedTuple):
    """What a checkpoint holds: counters, and tensors by name."""

    steps: int
    updates: int
    tensors: dict[str, Any]
    device: str


def write_checkpoint(folder: Path, model: Any, learnt: dict[str, Any], identity: dict[str, Any]) -> Path:
    """Write a checkpoint whole, or not at all; one that stands there is replaced only when the new one is whole."""
    env = unwrapped(model.get_env())
    with whole_folder(folder, replace=True) as draft:
        torch.save(learnt | _standing(model), draft / TRAINING)
        if isinstance(env, Stateful):
            np.savez(draft / "env.npz", **env.state())  # type: ignore[arg-type]  # numpy types savez too narrowly
        close_record(draft, identity, {"steps": int(model.num_timesteps), "updates": int(model._n_updates)})
    return folder


def read_checkpoint(folder: Path, identity: dict[str, Any]) -> Memory:
    """A checkpoint's content; SealError where a byte differs, TrainingError where it is another training's."""
    told = open_record(folder, identity)
    device = "cuda" if torch.cuda.is_available() and identity["config"]["device"] != "cpu" else "cpu"
    tensors = torch.load(folder / TRAINING, map_location=device, weights_only=True)
    if (folder / "env.npz").is_file():
        with np.load(folder / "env.npz", allow_pickle=False) as file:
            tensors["env"] = {name: file[name] for name in file.files}
    return Memory(int(told["steps"]), int(told["updates"]), tensors, device)


def restore(model: Any, memory: Memory, env: Any) -> None:
    """Put a model, freshly built on `env`, where the checkpoint's stood; what it had learnt is the caller's to load."""
    told = memory.tensors
    model.num_timesteps, model._n_updates = memory.steps, memory.updates
    model.ep_info_buffer = deque(told["episodes"], maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(maxlen=model._stats_window_size)
    state = told.get("env")
    if (state is None) == isinstance(env, Stateful):
        raise TrainingError("the checkpoint and this env do not agree on whether episodes can be taken up again")
    if state is None:
        return
    env.reset()
    env.set_state(state)
    model._last_obs = told["last_observation"].cpu().numpy()
    model._last_episode_starts = told["last_starts"].cpu().numpy()


def set_generators(memory: Memory) -> None:
    """Set torch's and numpy's generators; last of all, for building a model draws from them."""
    told = memory.tensors
    torch.set_rng_state(told["torch_random"].cpu())
    if memory.device == "cuda" and told["cuda_random"] is not None:
        torch.cuda.set_rng_state(told["cuda_random"].cpu())
    name, keys, *position = told["numpy_random"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *position))  # noqa: NPY002 - upstream shuffles with it


def _standing(model: Any) -> dict[str, Any]:
    name, keys, *position = np.random.get_state()  # noqa: NPY002 - as above
    return {
        "torch_random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state() if model.device.type == "cuda" else None,
        "numpy_random": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *position],
        "last_observation": torch.from_numpy(np.array(model._last_obs)),
        "last_starts": torch.from_numpy(np.array(model._last_episode_starts)),
        "episodes": [dict(episode) for episode in model.ep_info_buffer or []],
    }
