"""TradingEnv: one episode of one instrument as a gymnasium Env, bit for bit a row of BatchTradingEnv."""

from typing import Any, SupportsFloat, Unpack

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bars
from ..market.ledger import Account
from .info import STATES
from .setup import EnvKeywords, EnvSetup, start_bars
from .single import (
    ASKED,
    BORROW,
    DONE,
    EQUITY,
    EXPOSURE,
    FEES,
    FIRST_PART,
    FUNDING,
    INDEX,
    LOTS,
    MARK,
    REWARD,
    RUIN,
    STATE,
    TERMINATED,
    TRUNCATED,
    Single,
)
from .world import AT


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
        self._to_close = bars.interval_ms - 1
        self._is_window = self.setup.spec.window > 1
        self._single = Single(self.episodes)
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
        self._single.tell()
        return observation.reshape(self.setup.spec.shape), self._info(self._single.amounts, self._single.counts)

    def step(self, action: Any) -> tuple[NDArray[np.float32], SupportsFloat, bool, bool, dict[str, Any]]:
        """Trade one bar towards `action`."""
        if not self._running:
            raise ValueError("the episode is over: call reset before the next step")
        single = self._single
        self._running = single.step(self.setup.exposure(action)) == 0
        amounts, counts = single.amounts, single.counts
        info = self._info(amounts, counts)
        info["reward_parts"] = dict(zip(self.episodes.reward.names, amounts[FIRST_PART:], strict=True))
        info["order_lots"], info["filled_lots"] = counts[ASKED], counts[DONE]
        observation = single.observation
        if self._is_window:
            observation = observation.reshape(self.setup.spec.shape)
        return observation, amounts[REWARD], counts[TERMINATED] == 1, counts[TRUNCATED] == 1, info

    @property
    def account(self) -> Account:
        """The account as it stands at the last close."""
        return self.episodes.account(0)

    @property
    def index(self) -> int:
        """The bar whose close was observed last."""
        return int(self.episodes.running.clock[0, AT])

    def _info(self, amounts: list[float], counts: list[int]) -> dict[str, Any]:
        t = counts[INDEX]
        return {
            "index": t,
            "closed_at": self.bars.opened_at.item(t) + self._to_close,
            "close": amounts[MARK],
            "equity": amounts[EQUITY],
            "lots": counts[LOTS],
            "exposure": amounts[EXPOSURE],
            "fees": amounts[FEES],
            "funding": amounts[FUNDING],
            "borrow": amounts[BORROW],
            "state": STATES[counts[STATE]],
            "ruin": counts[RUIN],
        }

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the addresses of this copy's arrays."""
        return {name: value for name, value in self.__dict__.items() if name != "_single"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._single = Single(self.episodes)
