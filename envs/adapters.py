"""The batch environment in the shapes that the trainers' libraries take: an SB3 VecEnv, an RLlib env creator."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Unpack

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from ..market.bars import Bars
from .arena import BatchArenaEnv
from .arena_setup import Scenarios
from .batch import BatchTradingEnv
from .setup import EnvKeywords

PARALLEL_FROM = 8192  # episodes: fewer are walked in less than a step's policy takes, and a second thread, where
# another process wants the core too, costs a hundred times what it saves (docs/LOG.md)


class SB3VecEnv(VecEnv):
    """A gymnasium VectorEnv with SAME_STEP autoreset as a Stable-Baselines3 VecEnv.

    SB3 stores an observation one step after it was given, so the batch env may run with two alternating buffers
    (`copy=False`), never with one. `base_seed` seeds the first reset: nobody passes a small run seed to an env.
    Where the env can give and take its state, so can this one: then a training is resumed to the last bit. Where it
    has a curriculum, so has this one.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], base_seed: int | None = None) -> None:
        mode = env.metadata.get("autoreset_mode")
        if getattr(mode, "name", mode) != "SAME_STEP":
            raise ValueError(f"SB3 needs an env with SAME_STEP autoreset, this one has {getattr(mode, 'name', mode)}")
        self.env = env  # before SB3's own constructor, which asks for its render mode
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self._base_seed = base_seed
        if hasattr(env, "parallel"):
            env.parallel = env.num_envs >= PARALLEL_FROM
        if hasattr(env, "state") and hasattr(env, "set_state"):
            self.state, self.set_state = env.state, env.set_state
        if hasattr(env, "advance"):
            self.advance = env.advance
        self._actions: NDArray[Any] = np.zeros(0)

    def reset(self) -> NDArray[np.float32]:
        """Begin all episodes; the observations (n, width)."""
        observations, _ = self.env.reset(seed=self._base_seed)
        self._base_seed = None
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return np.asarray(observations)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """SB3's own call with a small seed; a base seed given at construction wins."""
        if self._base_seed is None:
            self._base_seed = seed
        return [self._base_seed] * self.num_envs

    def step_async(self, actions: NDArray[Any]) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        observations, rewards, terminated, truncated, told = self.env.step(self._actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        done = terminated | truncated
        if "_episode" in told:
            for i in np.flatnonzero(done):
                infos[i] = _ending(told, int(i), bool(truncated[i] and not terminated[i]))
        return observations, rewards.astype(np.float32), done, infos

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.env, attr_name)] * len(self._chosen(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise ValueError(f"{attr_name} cannot be set: the episodes of a batch share their settings")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **keywords: Any) -> list[Any]:
        raise ValueError(f"{method_name} cannot be called on single episodes of a batch")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * len(self._chosen(indices))

    def _chosen(self, indices: int | Iterable[int] | None) -> Sequence[int]:
        return list(self._get_indices(indices))


def _ending(told: dict[str, Any], i: int, truncated: bool) -> dict[str, Any]:
    episode = {name: values[i].item() for name, values in told["episode"].items()}
    return {
        "episode": {**episode, "t": 0.0},
        "terminal_observation": told["final_obs"][i],
        "TimeLimit.truncated": truncated,
    }


class _Seeded:
    """A batch env that takes its first seed from its worker, whatever a library's runner passes to `reset`."""

    own_seed: int | None = None

    def reset(self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None) -> Any:
        own, self.own_seed = self.own_seed, None
        told: Any = super()
        return told.reset(seed=seed if own is None else own, options=options)


class SeededBatchEnv(_Seeded, BatchTradingEnv):
    """Recorded bars, seeded by the worker."""


class SeededArenaEnv(_Seeded, BatchArenaEnv):
    """Arenas, seeded by the worker."""


def rllib_creator(
    bars: Bars, base_seed: Callable[[int], int], **keywords: Unpack[EnvKeywords]
) -> Callable[[Any], BatchTradingEnv]:
    """An env creator for RLlib's vector entry point: NEXT_STEP autoreset, seeded by `base_seed(worker_index)`.

    The config that RLlib hands over must name `num_envs`.
    """

    def create(config: Any) -> BatchTradingEnv:
        env = SeededBatchEnv(bars, int(config["num_envs"]), autoreset="NEXT_STEP", copy=True, **keywords)
        env.own_seed = base_seed(_worker(config))
        return env

    return create


def rllib_arena_creator(
    scenario: Scenarios, base_seed: Callable[[int], int], **keywords: Any
) -> Callable[[Any], BatchArenaEnv]:
    """The same for arenas, with the keywords of ArenaSetup."""

    def create(config: Any) -> BatchArenaEnv:
        env = SeededArenaEnv(scenario, int(config["num_envs"]), autoreset="NEXT_STEP", copy=True, **keywords)
        env.own_seed = base_seed(_worker(config))
        return env

    return create


def _worker(config: Any) -> int:
    return int(getattr(config, "worker_index", 0))
