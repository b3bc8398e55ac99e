"""PPO on RLlib's new API stack, on one machine or on a cluster, with the same keys, networks and loss as on
Stable-Baselines3.

Knows a function that makes a vector env and no market; starts Ray only if nobody has, with authentication as it is.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from .keys import PPOConfig
from .masking import Masking
from .networks import PolicyNetwork
from .policy import Callback, Metrics, finite_figures
from .ray_start import check_room, quiet, start_ray, stop_ray
from .rllib_algorithm import FIGURES, RolloutPPO, configured
from .rllib_env import ENV, EnvCreator, Spaces, registered, spaces_of
from .rllib_module import model_config
from .rllib_state import read_checkpoint, write_checkpoint
from .scaling import Scaler

__all__ = ["RLlibTrainer", "start_ray", "stop_ray"]


class RLlibTrainer:
    """PPO behind the `Trainer` protocol; `env` is a function `config -> VectorEnv` or a name registered with Ray.

    The function gets `{"num_envs": n, "worker_index": w, **env_config}` in each of `runners` processes (0: in this one)
    and must give a NEXT_STEP env, whose dummy step after an episode is left out of the samples. Each worker's episodes
    derive from `config.seed` and its index. `learners` processes share every minibatch (0: this one learns).
    `address` joins a cluster; there a minibatch, a rollout and a seed mean what they mean on one machine.
    """

    def __init__(
        self,
        config: PPOConfig,
        scaler: Scaler,
        metrics: Metrics | None = None,
        *,
        masking: Masking | None = None,
        num_envs: int = 64,
        runners: int = 0,
        learners: int = 0,
        env_config: Mapping[str, Any] | None = None,
        address: str | None = None,
    ) -> None:
        config.check_batch(num_envs * max(1, runners))
        self.config, self.scaler, self._metrics, self._masking = config, scaler, metrics, masking
        self._num_envs, self._runners, self._learners, self._address = num_envs, runners, learners, address
        self._env_config = dict(env_config or {})
        self._algorithm: RolloutPPO | None = None
        self._env: EnvCreator | str | None = None
        self._spaces: Spaces | None = None
        self._steps = 0

    @property
    def steps(self) -> int:
        return self._steps

    def fit(self, env: EnvCreator | str, steps: int, callbacks: Sequence[Callback] = ()) -> PolicyNetwork:
        """Train until `steps` environment steps are done in all, rounded up to whole updates."""
        if self._algorithm is None:
            self._build(env, self._prepare(env))
        elif self._env is not env:
            raise ValueError("this trainer began on another env: give it the same one, or resume a checkpoint on this")
        torch.set_num_threads(self.config.chosen_threads)
        algorithm = self._built()
        while self._steps < steps:
            began = perf_counter()
            with quiet():
                result = algorithm.train()
            taken, self._steps = algorithm.steps - self._steps, algorithm.steps
            if self._on_figures(result[FIGURES], taken / (perf_counter() - began), callbacks):
                break
        return self.policy()

    def policy(self) -> PolicyNetwork:
        return PolicyNetwork(self._built().network, self.config.reward_scale)

    def save(self, folder: Path) -> Path:
        return write_checkpoint(Path(folder), self._built(), self._identity())

    def resume(self, folder: Path, env: EnvCreator | str) -> None:
        """Take everything from a checkpoint, episodes included where the env can take up its state (`Stateful`);
        other envs begin episodes anew."""
        spaces = self._prepare(env)
        memory = read_checkpoint(Path(folder), self._identity())
        self._build(env, spaces)
        self._built().remember(*memory)
        self._steps = memory.steps

    def close(self) -> None:
        """Stop the processes of this training; Ray itself is left running for others."""
        if self._algorithm is not None:
            with quiet():
                self._algorithm.stop()
            self._algorithm = None

    def _prepare(self, env: EnvCreator | str) -> Spaces:
        """Start or join Ray, see that there is room, and look at the env's spaces."""
        self.close()
        processes = self._runners + self._learners * max(1, self.config.threads)
        start_ray(self._address, num_cpus=max(processes, os.cpu_count() or 1))
        check_room(processes)
        self._spaces = spaces_of(registered(env, self.scaler.width), self._env_config)
        return self._spaces

    def _build(self, env: EnvCreator | str, spaces: Spaces) -> None:
        with quiet():
            self._algorithm = configured(
                self.config,
                model_config(self.config, self.scaler, self._masking),
                spaces,
                env=ENV,
                env_config=self._env_config,
                num_envs=self._num_envs,
                runners=self._runners,
                learners=self._learners,
            ).build_algo()
        self._env, self._steps = env, 0

    def _on_figures(self, found: Mapping[str, Any], speed: float, callbacks: Sequence[Callback]) -> bool:
        """Hand out one update's figures; True if somebody asks to stop."""
        figures = finite_figures({name: float(value) for name, value in found.items()})
        figures["time/steps_per_second"] = speed
        if self._metrics is not None:
            self._metrics.log(self._steps, figures)
        return False in [callback.on_update(self._steps, figures) for callback in callbacks]

    def _built(self) -> RolloutPPO:
        if self._algorithm is None:
            raise ValueError("nothing is trained yet: call fit or resume first")
        return self._algorithm

    def _identity(self) -> dict[str, Any]:
        assert self._spaces is not None
        told = {
            "backend": "rllib",
            "config": asdict(self.config) | {"threads": self.config.chosen_threads},
            "scaler": self.scaler.to_json(),
            "masking": None if self._masking is None else self._masking._asdict(),
            "observation": list(self._spaces.observation.shape or ()),
            "action": str(self._spaces.action),
            "envs": self._num_envs,
            "runners": self._runners,
        }
        plain: dict[str, Any] = json.loads(json.dumps(told))
        return plain
