"""PortfolioEnv: one account of many assets as a gymnasium Env, bit for bit a row of BatchPortfolioEnv.

With one asset it tells what TradingEnv tells, to the last bit.
"""

from collections.abc import Sequence
from typing import Any, SupportsFloat, Unpack

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bars
from ..market.ledger import Account
from ..market.limits import State
from ..market.portfolio import CLOSE
from .portfolio_setup import PortfolioKeywords, PortfolioSetup
from .portfolio_walk import AT
from .setup import start_bars


class PortfolioEnv(gymnasium.Env[NDArray[np.float32], NDArray[Any]]):
    """Trade recorded bars of K assets in one account with cross margin. `PortfolioEnv([bars, …])` is complete.

    An action is K target weights in [-1, 1], shares of the allowed leverage; together more than 1 in size they are
    scaled down. Rows are the instants at which any asset has a bar. An asset without one keeps its mark, takes no
    orders and shows `fresh` 0; missing for more than three intervals it is closed at its last close, at `gap_multiple`
    of the cost, and its target is ignored until its columns are warm again. Where all miss, the episode truncates.
    `columns` names what an observation holds; `reset(options={"start": i})` makes row i the first one observed.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # gymnasium's own convention

    def __init__(
        self, bars: Sequence[Bars], *, render_mode: str | None = None, **keywords: Unpack[PortfolioKeywords]
    ) -> None:
        if render_mode is not None:
            raise ValueError(f"render_mode {render_mode!r}: a report shows an episode, the environment draws nothing")
        self.render_mode = None
        self.bars, self.assets = tuple(bars), len(bars)
        self.setup = PortfolioSetup(**keywords)
        self.episodes = self.setup.episodes(bars, 1, same_step=False)
        self.columns = self.setup.columns(bars)
        self.observation_space = self.setup.observation_space(self.assets)
        self.action_space = self.setup.action_space(self.assets)
        self._lots = np.array([instrument.lot for instrument in self.setup.instruments_of(self.assets)])
        self._step = self.episodes.fresh_step()
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
        observation = np.empty((1, self.episodes.width), np.float32)
        self.episodes.reset(observation, np.ones(1, np.bool_), start)
        self._running = True
        return observation[0], self._info()

    def step(self, action: NDArray[Any]) -> tuple[NDArray[np.float32], SupportsFloat, bool, bool, dict[str, Any]]:
        """Trade one row towards `action` (K,)."""
        if not self._running:
            raise ValueError("the episode is over: call reset before the next step")
        targets = self.setup.targets(np.asarray(action)[None], 1, self.assets)
        step = self._step._replace(observations=np.empty((1, self.episodes.width), np.float32))
        ended, running = self.episodes.step(targets, step, parallel=False), self.episodes.running
        self._running = ended == 0
        info = self._info()
        info["reward_parts"] = dict(zip(self.episodes.reward.names, running.parts[0].tolist(), strict=True))
        info["order_lots"] = running.ordered[0].tolist()
        info["filled_lots"] = running.filled[0].tolist()
        return (
            step.observations[0],
            float(step.rewards[0]),
            bool(step.terminated[0]),
            bool(step.truncated[0]),
            info,
        )

    @property
    def account(self) -> Account:
        """The account as it stands at the last close; `holding` tells what it holds of one asset."""
        return self.episodes.account(0)

    def holding(self, asset: int) -> Account:
        """The account as the holder of one asset."""
        return self.episodes.holding(0, asset)

    @property
    def index(self) -> int:
        """The row whose closes were observed last."""
        return int(self.episodes.running.clock[0, AT])

    def _info(self) -> dict[str, Any]:
        t, account, panel = self.index, self.account, self.episodes.panel
        lots = self.episodes.running.lots[0]
        values = lots * self._lots * panel.prices[t, :, CLOSE]
        solvent = account.equity > 0
        return {
            "index": t,
            "closed_at": int(panel.opened_at[t]) + self.bars[0].interval_ms - 1,
            "equity": account.equity,
            "lots": lots.tolist(),
            "exposures": [float(value) / account.equity if solvent else 0.0 for value in values],
            "fees": account.fees,
            "funding": account.funding,
            "borrow": account.borrow,
            "state": State(account.state).name,
            "ruin": account.ruin,
        }
