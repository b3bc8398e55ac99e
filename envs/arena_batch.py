"""N arenas as one VectorEnv: every market walks to its next wake in one compiled call.

The spaces, resets and infos around `arena_engine`. Knows no crowd.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from ..simulators.storms import Role
from .arena_engine import Arenas
from .arena_setup import Scenarios, setup_of
from .batching import Batch, autoreset_of, one_seed
from .setup import exposures_of


class BatchArenaEnv(VectorEnv[NDArray[np.float32], NDArray[Any], NDArray[Any]]):
    """N arenas as one VectorEnv, one compiled call a step on as many threads as kernels use.

    Arena i of `reset(seed=s)` walks as ArenaEnv seeded s + i. `autoreset`, `copy`, `parts` and infos as in
    BatchTradingEnv; the markets keep no trades, only bars.
    """

    def __init__(
        self,
        scenario: Scenarios = "normal",
        num_envs: int = 8,
        *,
        role: Role = "train",
        autoreset: str = "SAME_STEP",
        copy: bool = True,
        parts: bool = False,
        **keywords: Any,
    ) -> None:
        mode = autoreset_of(autoreset)
        same_step = mode == AutoresetMode.SAME_STEP
        setup = self.setup = setup_of(keywords)
        self.arenas = Arenas(scenario, setup, role, num_envs, same_step=same_step)
        self.num_envs = num_envs
        self.render_mode = None
        self.metadata = {"autoreset_mode": mode, "render_modes": []}
        self.single_observation_space = setup.observation_space()
        self.single_action_space = setup.action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._batch = Batch(self.arenas, setup.shape, same_step=same_step, copy=copy, parts=parts)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin all arenas, or those of `options["reset_mask"]`."""
        seed = one_seed(seed)
        if unknown := set(options or {}) - {"reset_mask"}:
            raise ValueError(f"reset of an arena has no option {', '.join(sorted(unknown))}; it has reset_mask")
        if seed is not None or not self._batch.is_started:
            super().reset(seed=seed)
        return self._batch.reset(seed, options, lambda: int(self.np_random.integers(0, 2**63))), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Live until the next wake in every market; `actions` (N,) or (N, 1) targets, or (N, 4) order actions."""
        if not self._batch.is_started:
            raise ValueError("call reset before the first step")
        menu = self.setup.menu
        told = menu.codes(actions, self.num_envs) if menu else exposures_of(actions, self.setup.actions, self.num_envs)
        return self._batch.step(told, parallel=True)

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the next steps depend on, as arrays by name: `set_state` on an env made alike goes on from there."""
        return self._batch.state()

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up the markets where `state` left them, to the last bit; an env must have been reset before."""
        self._batch.set_state(state)
