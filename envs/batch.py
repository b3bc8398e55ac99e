"""BatchTradingEnv: N episodes as one gymnasium VectorEnv, one compiled call a step.

Episode i of `reset(seed=s)` walks exactly as `TradingEnv.reset(seed=s + i)`. Knows the market only through `episodes`.
"""

from typing import Any, Unpack

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from ..market.bars import Bars
from .buffers import Buffers
from .episodes import PARALLEL_FROM
from .setup import EnvKeywords, EnvSetup, start_bars
from .walk import SUMS, Step


class BatchTradingEnv(VectorEnv[NDArray[np.float32], NDArray[Any], NDArray[Any]]):
    """N trading episodes on the same bars, stepped together.

    `autoreset`: "SAME_STEP" (default; the last observation stands in `infos["final_obs"]`) or "NEXT_STEP".
    `copy` True: every array returned is the caller's own. False: two buffers take turns, so an array stays intact
    during the next step and is overwritten in the one after it. `parts` True adds `infos["reward_parts"]` (N, P).
    Ended episodes report `infos["episode"]`: return `r`, length `l`, final `equity`, and the sum of each reward part.
    """

    def __init__(
        self,
        bars: Bars,
        num_envs: int,
        *,
        autoreset: str = "SAME_STEP",
        copy: bool = True,
        parts: bool = False,
        **keywords: Unpack[EnvKeywords],
    ) -> None:
        if autoreset not in ("SAME_STEP", "NEXT_STEP"):
            raise ValueError(f"autoreset {autoreset!r} must be 'SAME_STEP' or 'NEXT_STEP'")
        self.setup = EnvSetup(**keywords)
        self.episodes = self.setup.episodes(bars, num_envs, autoreset == "SAME_STEP")
        self.num_envs = num_envs
        self.render_mode = None
        self.metadata = {"autoreset_mode": AutoresetMode[autoreset], "render_modes": []}
        self.single_observation_space = self.setup.observation_space()
        self.single_action_space = self.setup.action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.parallel = num_envs >= PARALLEL_FROM
        self._parts = parts
        self._buffers = Buffers(self.episodes.fresh_step, copy)
        self._last: Step | None = None
        self._started = False

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin all episodes (or those of `options["reset_mask"]`); `options["start"]` names the first bar observed."""
        if isinstance(seed, list):
            raise ValueError("a batch is seeded by one number: episode i gets seed + i")
        if seed is not None or not self._started:
            super().reset(seed=seed)
            self.episodes.seed(seed if seed is not None else int(self.np_random.integers(0, 2**63)))
        given = options or {}
        if unknown := set(given) - {"reset_mask", "start"}:
            raise ValueError(f"reset has no option {', '.join(sorted(unknown))}; it has reset_mask, start")
        mask = np.asarray(given.get("reset_mask", np.ones(self.num_envs, np.bool_)), np.bool_)
        starts = np.broadcast_to(start_bars(given.get("start", -1)), (self.num_envs,))
        if not (self._started or mask.all()):
            raise ValueError("the first reset begins every episode: a reset_mask that leaves some out comes later")
        step = self._buffers.next()
        observations = step.observations
        if self._last is not None and not mask.all():
            observations[:] = self._last.observations
        self.episodes.reset(observations, mask, starts)
        self._started, self._last = True, step
        return self._shaped(observations), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Walk every episode one bar; `actions` (N,) or (N, 1)."""
        if not self._started:
            raise ValueError("call reset before the first step")
        exposures = self.setup.exposures(actions, self.num_envs)
        step = self._buffers.next()
        ended = self.episodes.step(exposures, step, self.parallel)
        self._last = step
        infos: dict[str, Any] = {"reward_parts": self.episodes.running.parts.copy()} if self._parts else {}
        if ended:
            self._report(step, infos)
        return self._shaped(step.observations), step.rewards, step.terminated, step.truncated, infos

    def _report(self, step: Step, infos: dict[str, Any]) -> None:
        """Tell of the few episodes that ended, without touching the rows of the many that go on."""
        over = step.terminated | step.truncated
        rows = np.flatnonzero(over)
        names = [*self.episodes.reward.names, *SUMS]
        told = {name: np.zeros(self.num_envs) for name in names}
        for k, name in enumerate(names):
            told[name][rows] = step.final_sums[rows, k]
        infos["episode"] = {**told, "l": told["l"].astype(np.int64)}
        infos["_episode"] = over
        if self.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP:
            finals = np.zeros_like(step.finals)
            finals[rows] = step.finals[rows]
            infos["final_obs"], infos["_final_obs"] = self._shaped(finals), over

    def _shaped(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        return observations if self.setup.spec.window == 1 else observations.reshape(self.observation_space.shape)
