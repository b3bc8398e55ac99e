"""Soft actor-critic on Stable-Baselines3, for contrast: off-policy, box actions, the same frozen scaler and passport.

Knows a VecEnv and no market. A resumed training goes on to the last bit, its memory of transitions included.
"""

import copy
import json
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import SAC
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from .keys import SACConfig
from .layers import ACTIVATION_MODULES, ScalerLayer
from .networks import SIGMA_MAX
from .policy import TrainingError, derived_seed32
from .sb3_env import OwnArrays
from .sb3_ppo import episode_figures
from .sb3_training import SB3Training
from .scaling import Scaler

REPORT_EVERY = 8192  # environment steps between two reports: an update of SAC is too small to tell of each
REMEMBERED = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


class SB3SACTrainer(SB3Training[SACConfig, "SACNetwork"]):
    """SAC; `env` is a VecEnv with a Box(-1, 1, (1,)) action."""

    backend = "sb3_sac"

    def policy(self) -> "SACNetwork":
        return SACNetwork(self._trained(), self.config.reward_scale)

    def _make(self, env: VecEnv, episodes: str) -> "WatchedSAC":
        if not isinstance(env.action_space, spaces.Box):
            raise ValueError(f"sac chooses a target exposure (env.actions=box); this env has {env.action_space}")
        config = self.config
        model = WatchedSAC(
            "MlpPolicy",
            OwnArrays(env, config.reward_scale),
            watch=self._on_figures,
            learning_rate=config.learning_rate,
            buffer_size=config.buffer,
            learning_starts=config.learning_starts,
            batch_size=config.minibatch,
            tau=config.tau,
            gamma=config.gamma,
            train_freq=config.train_every,
            gradient_steps=config.gradient_steps,
            ent_coef=config.entropy,
            device=config.device,
            policy_kwargs={
                "features_extractor_class": ScaledFeatures,
                "features_extractor_kwargs": {"scaler": self.scaler},
                "net_arch": list(config.hidden),
                "activation_fn": ACTIVATION_MODULES[config.activation],
            },
        )
        model.action_space.seed(derived_seed32(config.seed, f"first actions of {episodes}"))
        return model

    def _learnt(self) -> dict[str, Any]:
        learnt: dict[str, Any] = self._trained().learnt()
        return learnt

    def _load(self, tensors: Mapping[str, Any]) -> None:
        self._trained().load_learnt(tensors)

    def _on_figures(self, step: int, found: Mapping[str, float]) -> None:
        loss = found["train/loss"]
        if not np.isfinite(loss):
            raise TrainingError(f"the loss became {loss} before step {step}; the last checkpoint is good")
        super()._on_figures(step, found)


class ScaledFeatures(BaseFeaturesExtractor):
    """The frozen scaler, and a window of bars as one long row; shared by actor and critics."""

    def __init__(self, observation_space: spaces.Box, scaler: Scaler) -> None:
        super().__init__(observation_space, int(np.prod(observation_space.shape)))
        self.scaler = ScalerLayer(scaler)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        scaled: torch.Tensor = self.scaler(observations)
        return scaled.flatten(1)


class WatchedSAC(SAC):
    """SAC that tells its figures every `REPORT_EVERY` steps, and gives and takes all that it has learnt."""

    def __init__(self, *arguments: Any, watch: Any, **keywords: Any) -> None:
        self.watch = watch
        super().__init__(*arguments, **keywords)

    def learn(self, *arguments: Any, **keywords: Any) -> "WatchedSAC":
        self.clock, self.clocked = perf_counter(), self.num_timesteps
        return super().learn(*arguments, **keywords)

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        super().train(gradient_steps, batch_size)
        rollout = self.n_envs * self.train_freq.frequency  # type: ignore[union-attr]  # a TrainFreq once learning began
        if self.num_timesteps // REPORT_EVERY > (self.num_timesteps - rollout) // REPORT_EVERY:
            self._report()

    def learnt(self) -> dict[str, Any]:
        buffer = self.replay_buffer
        assert buffer is not None
        filled = buffer.buffer_size if buffer.full else buffer.pos
        return {
            "policy": self.policy.state_dict(),
            "optimizers": {name: part.state_dict() for name, part in self._optimizers().items()},
            "log_entropy": None if self.log_ent_coef is None else self.log_ent_coef.detach().clone(),
            "first_actions": json.dumps(self.action_space.np_random.bit_generator.state),
            "buffer": {name: torch.from_numpy(getattr(buffer, name)[:filled]) for name in REMEMBERED},
            "place": [buffer.pos, buffer.full],
        }

    def load_learnt(self, tensors: Mapping[str, Any]) -> None:
        self.policy.load_state_dict(tensors["policy"])
        for name, part in self._optimizers().items():
            part.load_state_dict(tensors["optimizers"][name])
        if self.log_ent_coef is not None:
            self.log_ent_coef.data.copy_(tensors["log_entropy"])
        self.action_space.np_random.bit_generator.state = json.loads(tensors["first_actions"])
        buffer = self.replay_buffer
        assert buffer is not None
        for name in REMEMBERED:
            told = tensors["buffer"][name].cpu().numpy()
            getattr(buffer, name)[: len(told)] = told
        buffer.pos, buffer.full = tensors["place"]

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        found = {"actor": self.actor.optimizer, "critic": self.critic.optimizer}
        return found if self.ent_coef_optimizer is None else found | {"entropy": self.ent_coef_optimizer}

    def _report(self) -> None:
        told, now = self.logger.name_to_value, perf_counter()
        figures = {
            "train/loss": float(told["train/critic_loss"]),
            "train/value_loss": float(told["train/critic_loss"]),
            "train/policy_loss": float(told["train/actor_loss"]),
            "train/entropy_weight": float(told["train/ent_coef"]),
            "time/steps_per_second": (self.num_timesteps - self.clocked) / max(now - self.clock, 1e-9),
            **episode_figures(self),
        }
        self.watch(self.num_timesteps, figures)
        self.clock, self.clocked = perf_counter(), self.num_timesteps


class SACNetwork(nn.Module):
    """A trained actor as it is exported: the squashed mean as action; confidence 1 − σ/σ_max, σ as the actor says for
    this observation; as value the smaller of both critics, which counts the entropy bonus in, in units of reward."""

    state_size = 0

    def __init__(self, model: WatchedSAC, reward_scale: float) -> None:
        super().__init__()
        actor, critic = copy.deepcopy(model.actor), copy.deepcopy(model.critic)
        features = actor.features_extractor
        assert isinstance(features, ScaledFeatures)
        self.shape = tuple(model.observation_space.shape or ())
        self.features, self.body, self.mean = features, actor.latent_pi, actor.mu
        self.deviation: Any = actor.log_std
        self.critics = nn.ModuleList(critic.q_networks)
        self.reward_scale = reward_scale
        self.requires_grad_(False)
        self.cpu().eval()

    @property
    def width(self) -> int:
        """Number of columns of an observation."""
        return self.features.scaler.width

    def forward(self, observations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Observations (n, *shape) float32 -> action (n, 1), confidence (n,), value (n,), all float32."""
        features = self.features(observations)
        body = self.body(features)
        action = self.mean(body).tanh()
        sigma = self.deviation(body).clamp(-20.0, 2.0).exp().squeeze(-1)
        pair = torch.cat([features, action], dim=1)
        first, second = (critic(pair).squeeze(-1) for critic in self.critics)
        return action, (1.0 - sigma / SIGMA_MAX).clamp(0.0, 1.0), torch.minimum(first, second) / self.reward_scale
