"""The leaky market for RLlib with what a test may ask of it: a memory, a window, a NaN, and episodes put aside."""

from collections.abc import Mapping
from time import sleep
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from wavetank.agents.keys import PPOConfig

from .leaky import BOX, COLUMNS, LeakyVector

WORD = 2**64 - 1
SPREAD = PPOConfig(rollout=16, minibatch=64, epochs=2, hidden=(8,), learning_rate=3e-3, seed=5)  # on several nodes
SPREAD_UPDATE = 2 * 16 * 8  # steps of two runners with eight envs each


class TrickyVector(LeakyVector):
    """Configured by what a test asks for.

    `lag`: the leak is that of the row before. `window`: an observation is the last of so many rows, the others are
    empty. `spoil_at`: from that step on a column of env 0 is NaN. `sleep_s`: a step takes so long. Every episode's end
    tells of a part called `late`.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        super().__init__(told["num_envs"], told.get("action", BOX))
        self.lag, self.window, self.spoil_at = told.get("lag", False), told.get("window", 0), told.get("spoil_at", -1)
        self.before, self.steps, self.sleep_s = self.rows, 0, told.get("sleep_s", 0.0)
        if self.window:
            shape = (self.window, *COLUMNS.shape)
            self.single_observation_space = spaces.Box(-np.inf, np.inf, shape, np.float32)
            self.observation_space = batch_space(self.single_observation_space, self.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        rows, infos = super().reset(seed=seed, options=options)
        return self._shown(rows), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        sleep(self.sleep_s)
        now = self.rows
        if self.lag:
            self.rows = self.before
        rows, rewards, terminated, truncated, _ = super().step(actions)
        self.before, self.steps = now, self.steps + 1
        told = {"r": np.full(self.num_envs, 99.0), "late": np.full(self.num_envs, 7.0)}
        infos = {"episode": told, "_episode": truncated} if truncated.any() else {}
        return self._shown(rows), rewards, terminated, truncated, infos

    def _shown(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        if 0 <= self.spoil_at <= self.steps:
            rows[0, 2] = np.nan
        if not self.window:
            return rows
        shown = np.zeros((self.num_envs, self.window, rows.shape[1]), np.float32)
        shown[:, -1] = rows
        return shown


class PatientVector(TrickyVector):
    """Whose episodes can be put aside and taken up again."""

    def state(self) -> dict[str, NDArray[Any]]:
        told = [rng.bit_generator.state["state"] for rng in self.draws.rngs]
        words = [[part >> shift & WORD for part in (s["state"], s["inc"]) for shift in (0, 64)] for s in told]
        random = np.array(words, np.uint64)
        return {"clock": self.clock, "done": self.done, "rows": self.rows, "before": self.before, "random": random}

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.clock, self.done, self.rows, self.before = (state[name] for name in ("clock", "done", "rows", "before"))
        for rng, (low, high, inc_low, inc_high) in zip(self.draws.rngs, state["random"].tolist(), strict=True):
            words = {"state": low | high << 64, "inc": inc_low | inc_high << 64}
            rng.bit_generator.state = {**rng.bit_generator.state, "state": words}


def tricky_vector(told: Mapping[str, Any]) -> TrickyVector:
    return TrickyVector(told)


def patient_vector(told: Mapping[str, Any]) -> PatientVector:
    return PatientVector(told)
