"""PPO on Stable-Baselines3, with the frozen scaler as first layer of its policy.

Knows a VecEnv and no market; normalises nothing on the run (VecNormalize is refused) and keeps no array of the env.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize, is_vecenv_wrapped
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from .networks import ACTIVATION_MODULES, PolicyNetwork, ScalerLayer, weights_are_finite
from .policy import Callback, Metrics, PPOConfig, TrainingError, derived_seed, derived_seed32, finite_figures
from .scaling import Scaler
from .seal import check_seal, whole_folder, write_seal

FORMAT = 1
FIGURES = {  # Stable-Baselines3's name -> the name that both backends use
    "train/loss": "train/loss",
    "train/policy_gradient_loss": "train/policy_loss",
    "train/value_loss": "train/value_loss",
    "train/approx_kl": "train/kl",
    "train/clip_fraction": "train/clip_fraction",
    "train/explained_variance": "train/explained_variance",
    "train/std": "train/std",
    "train/entropy_loss": "train/entropy",  # with its sign turned
    "rollout/ep_rew_mean": "rollout/return",
    "rollout/ep_len_mean": "rollout/length",
    "time/fps": "time/steps_per_second",
}


class SB3Trainer:
    """PPO behind the `Trainer` protocol; `env` is a VecEnv with a Box(-1, 1, (1,)) or Discrete action.

    The trainer seeds torch, Stable-Baselines3 and the env's episodes from `config.seed`, when the first `fit` begins.
    """

    def __init__(self, config: PPOConfig, scaler: Scaler, metrics: Metrics | None = None, device: str = "cpu") -> None:
        self.config, self.scaler, self._metrics, self._device = config, scaler, metrics, device
        self._model: WatchedPPO | None = None
        self._callbacks: Sequence[Callback] = ()
        self._random: tuple[torch.Tensor, Any] | None = None  # states to set before the next fit

    @property
    def steps(self) -> int:
        return 0 if self._model is None else int(self._model.num_timesteps)

    def fit(self, env: VecEnv, steps: int, callbacks: Sequence[Callback] = ()) -> PolicyNetwork:
        """Train until `steps` environment steps are done in all, rounded up to whole updates."""
        torch.set_num_threads(self.config.threads)
        if self._model is None:
            self._model = self._build(env, "episodes")
        elif _inner(self._model) is not env:
            raise ValueError("this trainer began on another env: give it the same one, or resume a checkpoint on this")
        self._callbacks = callbacks
        if self._random is not None:
            torch.set_rng_state(self._random[0])
            np.random.set_state(self._random[1])  # noqa: NPY002 - Stable-Baselines3 shuffles minibatches with it
            self._random = None
        if steps > self.steps:
            self._learn(self._model, steps - self.steps)
        return self.policy()

    def _learn(self, model: "WatchedPPO", steps: int) -> None:
        try:  # WatchedPPO logs by itself, so upstream's interval lies beyond the end
            model.learn(steps, log_interval=steps + 1, reset_num_timesteps=False)
        except _Stopped:
            return
        except ValueError as error:
            if "to satisfy the constraint" not in str(error):
                raise
            # torch's distributions refuse NaN before a loss is known
            raise TrainingError(f"the loss became nan after step {model.num_timesteps}") from error

    def policy(self) -> PolicyNetwork:
        policy = self._trained().policy
        features = policy.features_extractor
        assert isinstance(features, ScaledFeatures)
        log_std = policy.log_std if isinstance(policy.action_space, spaces.Box) else None
        heads = policy.mlp_extractor
        return PolicyNetwork(
            features.scaler,
            heads.policy_net,
            policy.action_net,
            heads.value_net,
            policy.value_net,
            log_std,
            self.config.reward_scale,
        )

    def save(self, folder: Path) -> Path:
        model = self._trained()
        with whole_folder(Path(folder), replace=True) as draft:
            name, keys, *position = np.random.get_state()  # noqa: NPY002 - as above
            torch.save(
                {
                    "policy": model.policy.state_dict(),
                    "optimizer": model.policy.optimizer.state_dict(),
                    "torch_random": torch.get_rng_state(),
                    "numpy_random": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *position],
                },
                draft / "weights.pt",
            )
            told = {**self._identity(model.get_env()), "steps": self.steps, "updates": model._n_updates}
            (draft / "checkpoint.json").write_text(json.dumps(told, indent=2) + "\n")
            write_seal(draft)
        return Path(folder)

    def resume(self, folder: Path, env: VecEnv) -> None:
        """Take weights, optimizer, counters and random states from a checkpoint; episodes start anew."""
        check_seal(Path(folder))
        told = json.loads((Path(folder) / "checkpoint.json").read_text())
        for key, value in self._identity(env).items():
            if told.get(key) != json.loads(json.dumps(value)):
                raise TrainingError(f"checkpoint {folder} has {key} {_short(told.get(key))}, not {_short(value)}")
        model = self._build(env, f"episodes after {told['steps']}")
        state = torch.load(Path(folder) / "weights.pt", map_location=self._device, weights_only=True)
        model.policy.load_state_dict(state["policy"])
        model.policy.optimizer.load_state_dict(state["optimizer"])
        model.num_timesteps, model._n_updates = told["steps"], told["updates"]
        name, keys, *position = state["numpy_random"]
        self._random = (state["torch_random"].cpu(), (name, keys.numpy().astype(np.uint32), *position))
        self._model = model

    def close(self) -> None:
        """Nothing to let go of: the env belongs to whoever made it, and the model may still be asked for."""

    def _build(self, env: VecEnv, episodes: str) -> "WatchedPPO":
        _check_env(env, self.scaler)
        config = self.config
        config.check_batch(env.num_envs)
        set_random_seed(derived_seed32(config.seed, "weights"))
        env.seed(derived_seed(config.seed, episodes))
        model = WatchedPPO(
            "MlpPolicy",
            OwnArrays(env, config.reward_scale),
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
            device=self._device,
            policy_kwargs={
                "features_extractor_class": ScaledFeatures,
                "features_extractor_kwargs": {"scaler": self.scaler},
                "net_arch": {"pi": list(config.hidden), "vf": list(config.hidden)},
                "activation_fn": ACTIVATION_MODULES[config.activation],
                "log_std_init": config.log_std_init,
            },
        )
        model.set_logger(Logger(None, [FigureWriter(self._on_figures)]))
        return model

    def _on_figures(self, step: int, figures: Mapping[str, float]) -> None:
        if not np.isfinite(figures["train/loss"]) or not weights_are_finite(self._trained().policy):
            raise TrainingError(f"the loss became {figures['train/loss']} after step {step}")
        if self._metrics is not None:
            self._metrics.log(step, figures)
        answers = [callback.on_update(step, figures) for callback in self._callbacks]
        if False in answers:
            raise _Stopped

    def _identity(self, env: VecEnv | None) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "backend": "sb3",
            "config": asdict(self.config),
            "scaler": self.scaler.to_json(),
            "action": str(None if env is None else env.action_space),
        }

    def _trained(self) -> "WatchedPPO":
        if self._model is None:
            raise ValueError("nothing is trained yet: call fit or resume first")
        return self._model


class ScaledFeatures(BaseFeaturesExtractor):
    """The frozen scaler as the policy's features extractor, shared by actor and critic."""

    def __init__(self, observation_space: spaces.Box, scaler: Scaler) -> None:
        super().__init__(observation_space, scaler.width)
        self.scaler = ScalerLayer(scaler)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        scaled: torch.Tensor = self.scaler(observations)
        return scaled


class OwnArrays(VecEnvWrapper):
    """Gives the trainer arrays of its own, rewards scaled, and refuses a NaN.

    Stable-Baselines3 stores its last observation only after the next step, and adds to rewards in place: an env
    that reuses its arrays would silently be trained on the wrong rows.
    """

    def __init__(self, env: VecEnv, reward_scale: float) -> None:
        super().__init__(env)
        self._reward_scale = reward_scale

    def reset(self) -> np.ndarray:
        return self._own(self.venv.reset())

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, dones, infos = self.venv.step_wait()
        scaled = np.multiply(rewards, self._reward_scale, dtype=np.float32)
        if not np.isfinite(scaled).all():
            raise TrainingError(f"env {int(np.argmin(np.isfinite(scaled)))} gave a reward that is no finite number")
        return self._own(observations), scaled, dones.copy(), infos

    def _own(self, observations: object) -> np.ndarray:
        assert isinstance(observations, np.ndarray)
        if not np.isfinite(observations).all():
            env, column = np.argwhere(~np.isfinite(observations))[0]
            raise TrainingError(f"env {env} gave {observations[env, column]} in column {column} of its observation")
        return observations.copy()


class WatchedPPO(PPO):
    """PPO that hands out its figures after each update (upstream logs before it, one update late)."""

    def train(self) -> None:
        super().train()
        self.dump_logs()


class FigureWriter(KVWriter):
    """Passes one dict of figures an update on, under the names that both backends use."""

    def __init__(self, write: Callable[[int, Mapping[str, float]], None]) -> None:
        self._write = write

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        figures = {FIGURES[key]: float(value) for key, value in key_values.items() if key in FIGURES}
        figures["train/entropy"] = -figures["train/entropy"]
        self._write(step, finite_figures(figures))

    def close(self) -> None:
        """Nothing is held open."""


class _Stopped(Exception):
    """A callback asked to stop; the weights are those after its update."""


def _check_env(env: VecEnv, scaler: Scaler) -> None:
    if is_vecenv_wrapped(env, VecNormalize):
        raise ValueError("the env is wrapped in VecNormalize: the frozen scaler is the only normaliser")
    shape, action = env.observation_space.shape, env.action_space
    if shape != (scaler.width,):
        raise ValueError(f"the env's observations have shape {shape}, the scaler has {scaler.width} columns")
    unit = isinstance(action, spaces.Box) and action.shape == (1,) and action.low[0] == -1 and action.high[0] == 1
    if not unit and not isinstance(action, spaces.Discrete):
        raise ValueError(f"action space {action} is neither Box(-1, 1, (1,)) nor Discrete")


def _inner(model: PPO) -> VecEnv | None:
    env = model.get_env()
    return env.venv if isinstance(env, OwnArrays) else env


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:57] + "..."
