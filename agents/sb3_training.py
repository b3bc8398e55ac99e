"""What every trainer on Stable-Baselines3 does alike: seeds, fit, checkpoints, figures, the stop.

An algorithm adds its model, its exported network, and what it has learnt as tensors. Knows a VecEnv and no market.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from .keys import PPOConfig, SACConfig
from .policy import Callback, Metrics, Paced, derived_seed, derived_seed32, finite_figures
from .sb3_env import check_env, unwrapped
from .sb3_state import Memory, read_checkpoint, restore, set_generators, write_checkpoint
from .scaling import Scaler

Config = TypeVar("Config", PPOConfig, SACConfig)
Network = TypeVar("Network", bound=torch.nn.Module)


class SB3Training(ABC, Generic[Config, Network]):
    """One algorithm behind the `Trainer` protocol.

    The trainer seeds torch, Stable-Baselines3 and the env's episodes from `config.seed`, when the first `fit` begins.
    """

    backend: ClassVar[str]  # as checkpoints and configs name it

    def __init__(self, config: Config, scaler: Scaler, metrics: Metrics | None = None) -> None:
        self.config: Config = config
        self.scaler, self._metrics = scaler, metrics
        self._model: Any = None
        self._callbacks: Sequence[Callback] = ()
        self._memory: Memory | None = None  # of a checkpoint, until the next fit

    @property
    def steps(self) -> int:
        return 0 if self._model is None else int(self._model.num_timesteps)

    def fit(self, env: VecEnv, steps: int, callbacks: Sequence[Callback] = ()) -> Network:
        """Train until `steps` environment steps are done in all, rounded up to whole updates."""
        torch.set_num_threads(self.config.chosen_threads)
        if self._model is None:
            self._model = self._build(env, "episodes")
        elif unwrapped(self._model.get_env()) is not env:
            raise ValueError("this trainer began on another env: give it the same one, or resume a checkpoint on this")
        self._callbacks = callbacks
        if self._memory is not None:
            set_generators(self._memory)
            self._memory = None
        if steps > self.steps:
            self._learn(steps - self.steps)
        return self.policy()

    def save(self, folder: Path) -> Path:
        model = self._trained()
        return write_checkpoint(Path(folder), model, self._learnt(), self._identity(unwrapped(model.get_env())))

    def resume(self, folder: Path, env: VecEnv) -> None:
        """Take everything from a checkpoint, the env's episodes included where it can take its state (`Stateful`);
        other envs begin episodes anew."""
        check_env(env, self.scaler)
        told = read_checkpoint(Path(folder), self._identity(env))
        model = self._build(env, f"episodes after {told.steps}")
        restore(model, told, env)
        self._memory, self._model = told, model
        self._load(told.tensors)

    def close(self) -> None:
        """Nothing to let go of: the env belongs to whoever made it, and the model may still be asked for."""

    @abstractmethod
    def policy(self) -> Network:
        """The network as it is now, in the form that is exported."""

    @abstractmethod
    def _make(self, env: VecEnv, episodes: str) -> Any:
        """The library's model on `env`; `episodes` tells these from those of another beginning."""

    @abstractmethod
    def _learnt(self) -> dict[str, Any]:
        """What the model has learnt, as tensors by name."""

    @abstractmethod
    def _load(self, tensors: Mapping[str, Any]) -> None:
        """Put back what `_learnt` gave."""

    def _build(self, env: VecEnv, episodes: str) -> Any:
        check_env(env, self.scaler)
        set_random_seed(derived_seed32(self.config.seed, "weights"))
        env.seed(derived_seed(self.config.seed, episodes))
        return self._make(env, episodes)

    def _learn(self, steps: int) -> None:
        try:
            self._model.learn(steps, log_interval=None, reset_num_timesteps=False)
        except _Stopped:
            return

    def _on_figures(self, step: int, found: Mapping[str, float]) -> None:
        figures, env = finite_figures(found), unwrapped(self._model.get_env())
        if isinstance(env, Paced):  # before a callback saves the env's state
            env.advance(step)
        if self._metrics is not None:
            self._metrics.log(step, figures)
        answers = [callback.on_update(step, figures) for callback in self._callbacks]
        if False in answers:
            raise _Stopped

    def _identity(self, env: VecEnv) -> dict[str, Any]:
        """What another training would have otherwise; plain values, as JSON gives them back."""
        told = {
            "backend": self.backend,
            "config": asdict(self.config) | {"threads": self.config.chosen_threads},
            "scaler": self.scaler.to_json(),
            "observation": list(env.observation_space.shape or ()),
            "action": str(env.action_space),
            "envs": env.num_envs,
        }
        plain: dict[str, Any] = json.loads(json.dumps(told))
        return plain

    def _trained(self) -> Any:
        if self._model is None:
            raise ValueError("nothing is trained yet: call fit or resume first")
        return self._model


class _Stopped(Exception):
    """A callback asked to stop; the weights are those after its update."""
