"""TradingEnv: one episode of one instrument as a gymnasium Env, bit for bit a row of BatchTradingEnv."""

from typing import Any, SupportsFloat, Unpack

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bars
from ..market.ledger import Account
from ..market.orders import Instrument
from .info import info_of
from .setup import EnvKeywords, EnvSetup, start_bars
from .walk import AT, Running


class TradingEnv(gymnasium.Env[NDArray[np.float32], Any]):
    """Trade recorded bars. `TradingEnv(bars)` is complete; `EnvSetup` says what else can be set.

    The observation at the close of bar t belongs to the action that trades at the open of bar t + 1, and the reward
    spans both closes. `reset(options={"start": i})` makes bar i the first one observed.

    >>> env = TradingEnv(bars)                                   # doctest: +SKIP
    >>> observation, info = env.reset(seed=7)                    # doctest: +SKIP
    >>> observation, reward, terminated, truncated, info = env.step(np.array([0.5]))   # doctest: +SKIP
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # gymnasium's own convention

    def __init__(self, bars: Bars, *, render_mode: str | None = None, **keywords: Unpack[EnvKeywords]) -> None:
        if render_mode is not None:
            raise ValueError(f"render_mode {render_mode!r}: a report shows an episode, the environment draws nothing")
        self.render_mode = None
        self.bars = bars
        self.setup = EnvSetup(**keywords)
        self.episodes = self.setup.episodes(bars, 1, same_step=False)
        self.observation_space = self.setup.observation_space()
        self.action_space = self.setup.action_space()
        self._lot = (self.setup.instrument or Instrument()).lot
        self._to_close = bars.interval_ms - 1
        self._is_window = self.setup.spec.window > 1
        self._parts = self.episodes.reward.names
        self._row = Running._make(array[0] for array in self.episodes.running)  # views of the only row
        self._step, self._exposure = self.episodes.fresh_step(), np.zeros(1)
        self._running = False
        self._seeded = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode; everything of the last one is rebuilt."""
        super().reset(seed=seed)
        if seed is not None or not self._seeded:
            self.episodes.seed(seed if seed is not None else int(self.np_random.integers(0, 2**63)))
            self._seeded = True
        unknown = set(options or {}) - {"start"}
        if unknown:
            raise ValueError(f"reset has no option {', '.join(sorted(unknown))}; it has start")
        start = start_bars((options or {}).get("start", -1)).reshape(1)
        observation = np.empty((1, self.episodes.cells), np.float32)
        self.episodes.reset(observation, np.ones(1, np.bool_), start)
        self._running = True
        return observation.reshape(self.setup.spec.shape), self._info()

    def step(self, action: Any) -> tuple[NDArray[np.float32], SupportsFloat, bool, bool, dict[str, Any]]:
        """Trade one bar towards `action`."""
        if not self._running:
            raise ValueError("the episode is over: call reset before the next step")
        self._exposure[0] = self.setup.exposure(action)
        step = self._step
        self._running = self.episodes.step(self._exposure, step, parallel=False) == 0
        info = self._info()
        info["reward_parts"] = dict(zip(self._parts, self._row.parts.tolist(), strict=True))
        info["order_lots"], info["filled_lots"] = self._row.lots.tolist()
        observation = step.observations[0].copy()
        if self._is_window:
            observation = observation.reshape(self.setup.spec.shape)
        return observation, step.rewards.item(), step.terminated.item(), step.truncated.item(), info

    @property
    def account(self) -> Account:
        """The account as it stands at the last close."""
        return self.episodes.account(0)

    @property
    def index(self) -> int:
        """The bar whose close was observed last."""
        return self._row.clock.item(AT)

    def _info(self) -> dict[str, Any]:
        row, bars = self._row, self.bars
        t = row.clock.item(AT)
        _, _, equity, _, _, fees, funding, _, _ = row.money.tolist()
        lots, state, _, _, ruin = row.counts.tolist()
        closed_at = bars.opened_at.item(t) + self._to_close
        return info_of(equity, lots, fees, funding, state, ruin, self._lot, bars.close.item(t), closed_at, t)
