"""PPO on Stable-Baselines3, recurrent where asked through sb3-contrib, with the frozen scaler as first layer.

Knows a VecEnv and no market; normalises nothing on the run (VecNormalize is refused) and keeps no array of the env.
A resumed training goes on to the last bit where the env can give and take its state.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from .keys import PPOConfig
from .masking import Masking
from .networks import ActorCritic, PolicyNetwork
from .policy import Callback, Metrics, derived_seed, derived_seed32, finite_figures
from .sb3_env import OwnArrays, check_env, unwrapped
from .sb3_policy import NetworkPolicy, RecurrentNetworkPolicy
from .sb3_ppo import LeanPPO, WatchedRecurrentPPO, learnt, load_learnt, network_of
from .sb3_state import Memory, read_checkpoint, restore, set_generators, write_checkpoint
from .scaling import Scaler

Model = LeanPPO | WatchedRecurrentPPO


class SB3Trainer:
    """PPO behind the `Trainer` protocol; `env` is a VecEnv with a Box(-1, 1, (1,)) or Discrete action.

    The trainer seeds torch, Stable-Baselines3 and the env's episodes from `config.seed`, when the first `fit` begins.
    """

    def __init__(
        self, config: PPOConfig, scaler: Scaler, metrics: Metrics | None = None, *, masking: Masking | None = None
    ) -> None:
        self.config, self.scaler, self._metrics, self._masking = config, scaler, metrics, masking
        self._model: Model | None = None
        self._callbacks: Sequence[Callback] = ()
        self._memory: Memory | None = None  # of a checkpoint, until the next fit

    @property
    def steps(self) -> int:
        return 0 if self._model is None else int(self._model.num_timesteps)

    def fit(self, env: VecEnv, steps: int, callbacks: Sequence[Callback] = ()) -> PolicyNetwork:
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
            self._learn(self._model, steps - self.steps)
        return self.policy()

    def policy(self) -> PolicyNetwork:
        return PolicyNetwork(network_of(self._trained()), self.config.reward_scale)

    def save(self, folder: Path) -> Path:
        model = self._trained()
        return write_checkpoint(Path(folder), model, learnt(model), self._identity(model.get_env()))

    def resume(self, folder: Path, env: VecEnv) -> None:
        """Take everything from a checkpoint, the env's episodes included where it can take its state (`Stateful`);
        other envs begin episodes anew."""
        check_env(env, self.scaler)
        told = read_checkpoint(Path(folder), self._identity(env))
        model = self._build(env, f"episodes after {told.steps}")
        restore(model, told, env)
        load_learnt(model, told.tensors)
        self._memory, self._model = told, model

    def close(self) -> None:
        """Nothing to let go of: the env belongs to whoever made it, and the model may still be asked for."""

    def _learn(self, model: Model, steps: int) -> None:
        try:
            model.learn(steps, log_interval=None, reset_num_timesteps=False)
        except _Stopped:
            return

    def _build(self, env: VecEnv, episodes: str) -> Model:
        check_env(env, self.scaler)
        config = self.config
        config.check_batch(env.num_envs)
        set_random_seed(derived_seed32(config.seed, "weights"))
        env.seed(derived_seed(config.seed, episodes))
        recurrent = config.lstm > 0
        kind: Any = WatchedRecurrentPPO if recurrent else LeanPPO
        policy: Any = RecurrentNetworkPolicy if recurrent else NetworkPolicy
        given: dict[str, Any] = {"network": lambda: self._network(env)} | ({"units": config.lstm} if recurrent else {})
        with (
            warnings.catch_warnings()
        ):  # upstream's word against small nets on a GPU: with big batches they belong there
            warnings.filterwarnings("ignore", message=".*primarily intended to run on the CPU.*")
            model: Model = kind(
                policy,
                OwnArrays(env, config.reward_scale),
                keys=config,
                watch=self._on_figures,
                learning_rate=config.learning_rate,
                n_steps=config.rollout,
                batch_size=config.minibatch,
                n_epochs=config.epochs,
                gamma=config.gamma,
                gae_lambda=config.gae_lambda,
                clip_range=config.clip,
                ent_coef=config.entropy,
                vf_coef=config.value_coef,
                max_grad_norm=config.max_grad_norm,
                target_kl=config.target_kl,
                normalize_advantage=config.normalize_advantage,
                device=config.device,
                policy_kwargs=given,
            )
        return model

    def _network(self, env: VecEnv) -> ActorCritic:
        action, shape = env.action_space, env.observation_space.shape
        assert shape is not None
        discrete = isinstance(action, spaces.Discrete)
        outputs = int(action.n) if isinstance(action, spaces.Discrete) else 1
        return ActorCritic(self.scaler, shape, self.config, outputs, discrete, self._masking)

    def _on_figures(self, step: int, found: Mapping[str, float]) -> None:
        figures = finite_figures(found)
        if self._metrics is not None:
            self._metrics.log(step, figures)
        answers = [callback.on_update(step, figures) for callback in self._callbacks]
        if False in answers:
            raise _Stopped

    def _identity(self, env: VecEnv | None) -> dict[str, Any]:
        if env is None:
            raise ValueError("the model has no env")
        told = {
            "backend": "sb3",
            "config": asdict(self.config) | {"threads": self.config.chosen_threads},
            "scaler": self.scaler.to_json(),
            "masking": None if self._masking is None else self._masking._asdict(),
            "observation": list(env.observation_space.shape or ()),
            "action": str(env.action_space),
            "envs": env.num_envs,
        }
        plain: dict[str, Any] = json.loads(json.dumps(told))
        return plain

    def _trained(self) -> Model:
        if self._model is None:
            raise ValueError("nothing is trained yet: call fit or resume first")
        return self._model


class _Stopped(Exception):
    """A callback asked to stop; the weights are those after its update."""
