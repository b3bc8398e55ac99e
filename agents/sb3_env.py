"""What stands between a VecEnv and Stable-Baselines3: arrays of the trainer's own, scaled rewards, no NaN.

Stable-Baselines3 stores its last observation only after the next step, and adds to rewards in place: an env that
reuses its arrays would silently be trained on the wrong rows.
"""

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize, is_vecenv_wrapped
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from .policy import TrainingError
from .scaling import Scaler


class OwnArrays(VecEnvWrapper):
    """Gives the trainer arrays of its own, rewards scaled, and refuses a NaN."""

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
            env, *place = np.argwhere(~np.isfinite(observations))[0]
            bad = observations[(env, *place)]
            raise TrainingError(f"env {env} gave {bad} in column {place[-1]} of its observation")
        return observations.copy()


def check_env(env: VecEnv, scaler: Scaler) -> None:
    """Raise ValueError where an env normalises by itself, or its spaces do not fit the scaler and a policy."""
    if is_vecenv_wrapped(env, VecNormalize):
        raise ValueError("the env is wrapped in VecNormalize: the frozen scaler is the only normaliser")
    shape, action = env.observation_space.shape, env.action_space
    if shape is None or len(shape) not in (1, 2) or shape[-1] != scaler.width:
        raise ValueError(f"the env's observations have shape {shape}, the scaler has {scaler.width} columns")
    unit = isinstance(action, spaces.Box) and action.shape == (1,) and action.low[0] == -1 and action.high[0] == 1
    if not unit and not isinstance(action, spaces.Discrete):
        raise ValueError(f"action space {action} is neither Box(-1, 1, (1,)) nor Discrete")


def unwrapped(env: Any) -> Any:
    """The env that a trainer was given."""
    return env.venv if isinstance(env, OwnArrays) else env
