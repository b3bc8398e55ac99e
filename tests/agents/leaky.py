"""A market of ten lines for trainers: column 0 leaks the sign of the next reward, the others are noise."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from wavetank.agents.scaling import Scaler

WIDTH, EPISODE = 4, 16
CENTRE = np.array([5.0, 100.0, -3.0, 0.0])
SPREAD = np.array([2.0, 50.0, 0.1, 1.0])
BOX = spaces.Box(-1.0, 1.0, (1,), np.float32)
COLUMNS = spaces.Box(-np.inf, np.inf, (WIDTH,), np.float32)


def leaky_scaler() -> Scaler:
    return Scaler(CENTRE, SPREAD, np.full(WIDTH, 10.0))


def exposures(actions: NDArray[Any], space: gymnasium.Space[Any]) -> NDArray[np.float64]:
    if isinstance(space, spaces.Discrete):
        return actions.reshape(-1).astype(np.float64) - 1.0
    return actions.reshape(-1).astype(np.float64)


class Draws:
    """One generator an env, so that env i of seed s walks like env 0 of seed s + i."""

    def __init__(self, n: int) -> None:
        self.rngs = [np.random.default_rng(i) for i in range(n)]

    def seed(self, seed: int) -> None:
        self.rngs = [np.random.default_rng(seed + i) for i in range(len(self.rngs))]

    def rows(self) -> NDArray[np.float32]:
        noise = np.stack([rng.standard_normal(WIDTH) for rng in self.rngs])
        noise[:, 0] = np.sign(noise[:, 0])
        return (CENTRE + SPREAD * noise).astype(np.float32)


class LeakyVecEnv(VecEnv):
    """For Stable-Baselines3. With `lag` the leak is that of the row before, which only a memory keeps. With `reuse` it
    hands out one and the same array, as a careless env would."""

    render_mode = None

    def __init__(self, n: int = 8, action: gymnasium.Space[Any] = BOX, reuse: bool = False, lag: bool = False) -> None:
        super().__init__(n, COLUMNS, action)
        self.draws, self.reuse, self.buffer = Draws(n), reuse, np.zeros((n, WIDTH), np.float32)
        self.reward_buffer = np.zeros(n, np.float32)
        self.clock, self.returns, self.spoil = 0, np.zeros(n), np.nan
        self.spoil_at, self.lag, self.before = -1, lag, np.zeros(n, np.float32)

    def _give(self) -> NDArray[np.float32]:
        self.buffer[:] = self.draws.rows()
        return self.buffer if self.reuse else self.buffer.copy()

    def reset(self) -> VecEnvObs:
        if self._seeds[0] is not None:
            self.draws.seed(self._seeds[0])
        self._reset_seeds()
        self.clock, self.returns = 0, np.zeros(self.num_envs)
        return self._give()

    def step_async(self, actions: NDArray[Any]) -> None:
        self.actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        leak = np.sign((self.before if self.lag else self.buffer[:, 0]) - CENTRE[0])
        self.before = self.buffer[:, 0].copy()
        self.reward_buffer[:] = 0.01 * leak * exposures(self.actions, self.action_space)
        rewards = self.reward_buffer if self.reuse else self.reward_buffer.copy()
        self.clock += 1
        self.returns += rewards
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        done = self.clock % EPISODE == 0
        observations = self._give()
        if done:
            for i, info in enumerate(infos):
                info["terminal_observation"], info["TimeLimit.truncated"] = observations[i].copy(), True
                info["episode"] = {"r": float(self.returns[i]), "l": EPISODE, "t": 0.0}
            self.returns[:] = 0
            observations = self._give()
        if self.clock == self.spoil_at:
            observations[0, 2] = self.spoil
        return observations, rewards, np.full(self.num_envs, done), infos

    def state(self) -> dict[str, NDArray[Any]]:
        told = [rng.bit_generator.state["state"] for rng in self.draws.rngs]
        words = [[part >> shift & (2**64 - 1) for part in (s["state"], s["inc"]) for shift in (0, 64)] for s in told]
        return {
            "buffer": self.buffer.copy(),
            "before": self.before.copy(),
            "clock": np.array(self.clock),
            "returns": self.returns.copy(),
            "random": np.array(words, np.uint64),
        }

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.before = state["before"].copy()
        self.buffer[:], self.returns[:], self.clock = state["buffer"], state["returns"], int(state["clock"])
        for rng, (low, high, inc_low, inc_high) in zip(self.draws.rngs, state["random"].tolist(), strict=True):
            told: Any = rng.bit_generator.state
            told["state"] = {"state": low | high << 64, "inc": inc_low | inc_high << 64}
            rng.bit_generator.state = told

    def close(self) -> None: ...

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return [getattr(self, method_name)(*args, **kwargs)]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


class LeakyVector(VectorEnv[Any, Any, Any]):
    """For RLlib: NEXT_STEP autoreset, whose dummy step pays an absurd reward that must never be learnt from.

    Episodes of env i have EPISODE + i steps, so that resets do not fall together.
    """

    DUMMY = 1e6

    def __init__(self, n: int = 8, action: gymnasium.Space[Any] = BOX) -> None:
        self.num_envs, self.metadata = n, {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.single_observation_space, self.single_action_space = COLUMNS, action
        self.observation_space = gymnasium.vector.utils.batch_space(COLUMNS, n)
        self.action_space = gymnasium.vector.utils.batch_space(action, n)
        self.draws = Draws(n)
        self.seeds_seen: list[int | None] = []
        self.clock, self.done, self.rows = np.zeros(n, np.int64), np.zeros(n, bool), np.zeros((n, WIDTH), np.float32)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.seeds_seen.append(seed)
        if seed is not None:
            self.draws.seed(seed)
        self.clock[:], self.done[:] = 0, False
        self.rows = self.draws.rows()
        return self.rows.copy(), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        rewards = 0.01 * np.sign(self.rows[:, 0] - CENTRE[0]) * exposures(np.asarray(actions), self.single_action_space)
        dummy = self.done.copy()
        self.clock = np.where(dummy, 0, self.clock + 1)
        self.done = self.clock >= EPISODE + np.arange(self.num_envs)
        self.rows = self.draws.rows()
        never = np.zeros(self.num_envs, bool)
        return self.rows.copy(), np.where(dummy, self.DUMMY, rewards), never, self.done.copy(), {}


def leaky_vector(config: dict[str, Any]) -> LeakyVector:
    return LeakyVector(config["num_envs"], config.get("action", BOX))
