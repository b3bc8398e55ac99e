"""BatchTradingEnv: N episodes as one gymnasium VectorEnv, one compiled call a step.

Episode i of `reset(seed=s)` walks exactly as `TradingEnv.reset(seed=s + i)`. Knows the market only through `episodes`.
"""

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from ..market.bars import Bars
from .batching import Batch, autoreset_of, one_seed
from .episodes import PARALLEL_FROM
from .setup import EnvKeywords, EnvSetup


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
        mode = autoreset_of(autoreset)
        self.setup = EnvSetup(**keywords)
        self.episodes = self.setup.episodes(bars, num_envs, mode == AutoresetMode.SAME_STEP)
        self.single_observation_space = self.setup.observation_space()
        self.single_action_space = self.setup.action_space()
        self.num_envs = num_envs
        self.render_mode = None
        self.metadata = {"autoreset_mode": mode, "render_modes": []}
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.parallel = num_envs >= PARALLEL_FROM
        shape = self.single_observation_space.shape
        self._batch = Batch(self.episodes, shape, same_step=mode == AutoresetMode.SAME_STEP, copy=copy, parts=parts)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin all episodes (or those of `options["reset_mask"]`); `options["start"]` names the first bar observed."""
        seed = one_seed(seed)
        if seed is not None or not self._batch.is_started:
            super().reset(seed=seed)
        return self._batch.reset(seed, options, lambda: int(self.np_random.integers(0, 2**63))), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Walk every episode one bar; `actions` (N,) or (N, 1)."""
        if not self._batch.is_started:
            raise ValueError("call reset before the first step")
        return self._batch.step(self.setup.exposures(actions, self.num_envs), self.parallel)

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the next steps depend on, as arrays by name: `set_state` on an env made alike goes on from there."""
        return self._batch.state()

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up the episodes where `state` left them, to the last bit; an env must have been reset before."""
        self._batch.set_state(state)
