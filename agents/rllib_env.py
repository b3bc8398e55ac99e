"""The vector env that an RLlib runner walks: made by the caller's function, checked, and seeded by its worker.

Knows gymnasium and no market. Whatever an env hands out is checked for NaN here, once.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from ray.rllib.env.env_context import EnvContext
from ray.tune.registry import ENV_CREATOR, _global_registry, register_env

from .policy import TrainingError

ENV = "wavetank-vector-env"
EnvCreator: TypeAlias = Callable[[dict[str, Any]], VectorEnv[Any, Any, Any]]
Step = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class Spaces(NamedTuple):
    """Of one env among the many."""

    observation: gymnasium.Space[Any]
    action: gymnasium.Space[Any]


def registered(env: EnvCreator | str, width: int) -> EnvCreator:
    """`config -> VectorEnv`, known to every runner as ENV; it raises ValueError where an env does not suit a policy of
    `width` columns."""
    create: EnvCreator = env if callable(env) else _known(env)

    def make(config: dict[str, Any]) -> VectorEnv[Any, Any, Any]:
        vector = create(EnvContext(config, worker_index=config["worker_index"]))
        mode = getattr(vector, "metadata", {}).get("autoreset_mode")
        if not isinstance(vector, VectorEnv) or mode != AutoresetMode.NEXT_STEP:
            raise ValueError(f"rllib needs a gymnasium VectorEnv with NEXT_STEP autoreset, not {vector}")
        _check_spaces(vector.single_observation_space, vector.single_action_space, width)
        if vector.num_envs != config["num_envs"]:
            raise ValueError(
                f"the env was asked for {config['num_envs']} episodes side by side, it has {vector.num_envs}"
            )
        return vector

    register_env(ENV, make)
    return make


def spaces_of(make: EnvCreator, env_config: Mapping[str, Any]) -> Spaces:
    """The spaces, seen on an env of one episode that is closed again."""
    vector = make({**env_config, "num_envs": 1, "worker_index": 0})
    found = Spaces(vector.single_observation_space, vector.single_action_space)
    vector.close()
    return found


def checked(step: Step, real: NDArray[np.bool_]) -> Step:
    """What `env.step` gave, unless an observation, or a reward of a `real` row, is no finite number."""
    observations, rewards, *_ = step
    check_observations(observations)
    bad = ~np.isfinite(rewards) & real
    if bad.any():
        raise TrainingError(f"env {int(np.argmax(bad))} gave a reward that is no finite number")
    return step


def check_observations(observations: NDArray[np.float32]) -> None:
    """Raise TrainingError naming the env and the column that is no finite number."""
    if not np.isfinite(observations).all():
        env, *place = np.argwhere(~np.isfinite(observations))[0]
        raise TrainingError(f"env {env} gave {observations[(env, *place)]} in column {place[-1]} of its observation")


def _known(name: str) -> EnvCreator:
    if not _global_registry.contains(ENV_CREATOR, name):
        raise ValueError(f"no env {name!r} is registered with Ray")
    creator: EnvCreator = _global_registry.get(ENV_CREATOR, name)
    return creator


def _check_spaces(observation: gymnasium.Space[Any], action: gymnasium.Space[Any], width: int) -> None:
    shape = observation.shape
    if shape is None or len(shape) not in (1, 2) or shape[-1] != width:
        raise ValueError(f"the env's observations have shape {shape}, the scaler has {width} columns")
    unit = isinstance(action, spaces.Box) and action.shape == (1,) and action.low[0] == -1 and action.high[0] == 1
    if not unit and not isinstance(action, spaces.Discrete):
        raise ValueError(f"action space {action} is neither Box(-1, 1, (1,)) nor Discrete")
