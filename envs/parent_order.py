"""ParentOrderEnv: N parent orders sold slice by slice under Almgren–Chriss dynamics, as one gymnasium VectorEnv.

An action in [-1, 1] says which share of what is left goes into this slice, from none to all; the last slice sells the
rest. The reward is minus the slice's cost and risk, plus what the price's noise does to the part not yet sold, which
is 0 in the mean and nothing to be learnt from. Knows the order, and neither bars nor desk.
"""

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from ..simulators.optima import ParentOrder
from .batching import autoreset_of, one_seed

COLUMNS = ("time_left", "left", "last_move")  # shares of horizon and order; the price's last move in its deviations

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]
Flags = NDArray[np.bool_]


class ParentOrderEnv(VectorEnv[Rows, NDArray[Any], NDArray[Any]]):
    """N parent orders side by side; `autoreset` "SAME_STEP" (default) or "NEXT_STEP", as in BatchTradingEnv.

    Ended orders report `infos["episode"]`: return `r`, length `l`, and `cost`, the objective without the noise.
    """

    def __init__(self, num_envs: int, order: ParentOrder | None = None, *, autoreset: str = "SAME_STEP") -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs {num_envs} must be 1 or more")
        mode = autoreset_of(autoreset)
        self.order = order or ParentOrder()
        self.num_envs, self.render_mode = num_envs, None
        self.metadata = {"autoreset_mode": mode, "render_modes": []}
        self.single_observation_space = spaces.Box(-np.inf, np.inf, (len(COLUMNS),), np.float32)
        self.single_action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._same_step = mode == AutoresetMode.SAME_STEP
        self._begun = False
        self._left, self._last_move, self._return, self._cost = (np.zeros(num_envs) for _ in range(4))
        self._done_slices = np.zeros(num_envs, np.int64)
        self._over = np.zeros(num_envs, np.bool_)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Rows, dict[str, Any]]:
        """Begin every order anew."""
        if options:
            raise ValueError(f"reset has no option {', '.join(sorted(options))}")
        super().reset(seed=one_seed(seed))
        self._begin(np.ones(self.num_envs, np.bool_))
        self._begun = True
        return self._observations(), {}

    def step(self, actions: NDArray[Any]) -> tuple[Rows, NDArray[Any], Flags, Flags, dict[str, Any]]:
        """Sell one slice of every order; `actions` (N,) or (N, 1)."""
        if not self._begun:
            raise ValueError("call reset before the first step")
        resting = self._over.copy()  # NEXT_STEP: this step only begins the next order
        rewards = np.where(resting, 0.0, self._sell(self._shares(actions)))
        self._return += rewards
        ended = ~resting & (self._done_slices == self.order.slices)
        infos: dict[str, Any] = self._report(ended) if ended.any() else {}
        self._begin(ended if self._same_step else resting)
        self._over = ended & (not self._same_step)
        return self._observations(), rewards, ended, np.zeros(self.num_envs, np.bool_), infos

    def _sell(self, shares: Floats) -> Floats:
        """Sell these shares of what is left; the reward of each."""
        order = self.order
        self._done_slices += 1
        sold = np.where(self._done_slices >= order.slices, self._left, shares * self._left)
        self._left = self._left - sold
        cost = order.slice_cost(sold, self._left)
        self._cost += cost
        self._last_move = self.np_random.standard_normal(self.num_envs)
        return np.asarray(order.sigma / np.sqrt(order.slices) * self._last_move * self._left - cost, np.float64)

    def _begin(self, mask: Flags) -> None:
        self._left[mask] = 1.0
        for values in (self._last_move, self._return, self._cost, self._done_slices):
            values[mask] = 0

    def _observations(self) -> Rows:
        time_left = 1.0 - self._done_slices / self.order.slices
        return np.stack([time_left, self._left, self._last_move], axis=1).astype(np.float32)

    def _report(self, ended: Flags) -> dict[str, Any]:
        told = {"r": self._return, "l": self._done_slices, "cost": self._cost}
        infos: dict[str, Any] = {
            "episode": {name: np.where(ended, values, 0) for name, values in told.items()},
            "_episode": ended,
        }
        if self._same_step:
            infos |= {"final_obs": np.where(ended[:, None], self._observations(), np.float32(0)), "_final_obs": ended}
        return infos

    def _shares(self, actions: NDArray[Any]) -> Floats:
        given = np.asarray(actions, np.float64)
        if given.size != self.num_envs:
            raise ValueError(f"{given.size} actions were given for {self.num_envs} orders")
        flat = given.reshape(self.num_envs)
        bad = np.flatnonzero(~((flat >= -1.0) & (flat <= 1.0)))
        if len(bad):
            raise ValueError(f"action {flat[bad[0]]} of order {bad[0]} is not a number in [-1, 1]")
        return 0.5 * (1.0 + flat)
