"""PPO on Stable-Baselines3, recurrent where asked through sb3-contrib, with the frozen scaler as first layer.

Knows a VecEnv and no market; normalises nothing on the run (VecNormalize is refused) and keeps no array of the env.
A resumed training goes on to the last bit where the env can give and take its state.
"""

import json
import warnings
from collections.abc import Mapping
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from .keys import PPOConfig
from .masking import Masking
from .networks import ActorCritic, PolicyNetwork
from .policy import Metrics
from .sb3_env import OwnArrays
from .sb3_policy import NetworkPolicy, RecurrentNetworkPolicy
from .sb3_ppo import LeanPPO, WatchedRecurrentPPO, learnt, load_learnt, network_of
from .sb3_training import SB3Training
from .scaling import Scaler

SMALL_NET_ON_A_GPU = ".*primarily intended to run on the CPU.*"  # upstream's word; with big batches it belongs there


class SB3Trainer(SB3Training[PPOConfig, PolicyNetwork]):
    """PPO; `env` is a VecEnv with a Box(-1, 1, (1,)) or Discrete action."""

    backend = "sb3"

    def __init__(
        self, config: PPOConfig, scaler: Scaler, metrics: Metrics | None = None, *, masking: Masking | None = None
    ) -> None:
        super().__init__(config, scaler, metrics)
        self._masking = masking

    def policy(self) -> PolicyNetwork:
        return PolicyNetwork(network_of(self._trained()), self.config.reward_scale)

    def _make(self, env: VecEnv, episodes: str) -> LeanPPO | WatchedRecurrentPPO:
        config = self.config
        config.check_batch(env.num_envs)
        recurrent = config.lstm > 0
        kind: Any = WatchedRecurrentPPO if recurrent else LeanPPO
        policy: Any = RecurrentNetworkPolicy if recurrent else NetworkPolicy
        given: dict[str, Any] = {"network": lambda: self._network(env)} | ({"units": config.lstm} if recurrent else {})
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=SMALL_NET_ON_A_GPU)
            model: LeanPPO | WatchedRecurrentPPO = kind(
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

    def _learnt(self) -> dict[str, Any]:
        return learnt(self._trained())

    def _load(self, tensors: Mapping[str, Any]) -> None:
        load_learnt(self._trained(), tensors)

    def _identity(self, env: VecEnv) -> dict[str, Any]:
        masking: Any = None if self._masking is None else json.loads(json.dumps(self._masking._asdict()))
        return super()._identity(env) | {"masking": masking}
