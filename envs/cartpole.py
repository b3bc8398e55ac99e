"""gymnasium's CartPole-v1, a task that nobody here has made, in the two autoresets that the trainers take."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper
from numpy.typing import NDArray

from .batching import autoreset_of

ID = "CartPole-v1"


def cartpole(num_envs: int, autoreset: str = "SAME_STEP") -> VectorEnv[NDArray[np.float32], Any, Any]:
    """`num_envs` poles side by side; with SAME_STEP an ended episode stands in `infos["episode"]`, as SB3 wants."""
    mode = autoreset_of(autoreset)
    poles = SyncVectorEnv([lambda: gymnasium.make(ID)] * num_envs, autoreset_mode=mode)
    return ToldEpisodes(poles) if mode == AutoresetMode.SAME_STEP else poles


class ToldEpisodes(VectorWrapper):
    """Adds return `r` and length `l` of ended episodes to a SAME_STEP env.

    gymnasium's own RecordEpisodeStatistics leaves out the first step of every episode but the first there (1.2.2).
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env)
        self._returns, self._lengths = np.zeros(self.num_envs), np.zeros(self.num_envs, np.int64)

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin every episode."""
        self._returns[:], self._lengths[:] = 0.0, 0
        observations, infos = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]  # typed for one seed
        return observations, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step every episode, and tell of those that end."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        self._returns += rewards
        self._lengths += 1
        ended = terminated | truncated
        if ended.any():
            episode = {"r": np.where(ended, self._returns, 0.0), "l": np.where(ended, self._lengths, 0)}
            infos = {**infos, "episode": episode, "_episode": ended}
            self._returns[ended], self._lengths[ended] = 0.0, 0
        return observations, rewards, terminated, truncated, infos
