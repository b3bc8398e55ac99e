"""The ground on which the trading exams are held: a market whose costs are linear, and a channel to the observation.

What an exam lets a policy see, a leaked return or a deviation, comes in through the ten memory columns, as a tabled
past does; desk and environment are those of every training. Knows no exam and no trainer.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...agents.policy import Policy
from ...agents.scaling import Scaler
from ...envs.actions import BOX
from ...envs.batch import BatchTradingEnv
from ...envs.features import feature_matrix
from ...envs.observation import ObservationSpec
from ...envs.past import Tabled
from ...market.bars import DAY_MS, Bars
from ...market.costs import BPS, Costs
from ...market.orders import Instrument
from ...memory.columns import MEMORY_COLUMNS
from ..evaluate import warm_up_bars

SPEC = ObservationSpec("exam", 1, ("return_1",), MEMORY_COLUMNS)
CHANNEL = len(SPEC.market)  # the first column of the channel
POSITION = SPEC.columns.index("position")
CHANNELS = len(MEMORY_COLUMNS)
# No impact and no funding, and any size may trade: what a trade costs is a share of its value and nothing else.
COSTS = Costs(taker_fee_bps=8.0, half_spread_bps=2.0, impact_y=0.0, participation=1e9, funding_bps_per_8h=0.0)
COST = (COSTS.taker_fee_bps + COSTS.half_spread_bps) * BPS
INSTRUMENT = Instrument(symbol="EXAM", lot=1e-6, min_notional=0.0)  # a lot is 3e-7 of the account
FIRST = warm_up_bars(SPEC) - 1  # the first bar that can be observed

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ground:
    """Bars with a channel (T, up to 10), and how one acts on them: "box" or "discrete:n"."""

    bars: Bars
    channel: NDArray[np.float32]
    actions: str = BOX

    @classmethod
    def of(cls, bars: Bars, channel: ArrayLike, actions: str = BOX) -> "Ground":
        """A ground with a channel of (T,) or (T, k); columns that are not given are 0."""
        given = np.asarray(channel, np.float32).reshape(len(bars), -1)
        rows = np.zeros((len(bars), CHANNELS), np.float32)
        rows[:, : given.shape[1]] = given
        return cls(bars, rows, actions)

    @cached_property
    def past(self) -> Tabled:
        """The channel as the desk's past."""
        return Tabled(self.bars.closed_at, self.channel)

    @cached_property
    def scaler(self) -> Scaler:
        """The frozen scaler, fitted on these bars."""
        rows = np.hstack([feature_matrix(self.bars, SPEC.market), self.channel])[FIRST:]
        return Scaler.fit(rows.astype(np.float32), account_columns=len(SPEC.account))

    def env(self, num_envs: int, autoreset: str, episode_bars: int) -> BatchTradingEnv:
        """Episodes side by side on this ground."""
        return BatchTradingEnv(
            self.bars,
            num_envs,
            autoreset=autoreset,
            instrument=INSTRUMENT,
            costs=COSTS,
            observation=SPEC,
            past=self.past,
            actions=self.actions,
            episode_bars=episode_bars,
        )


@dataclass(frozen=True, eq=False)
class Walked:
    """What a policy did in n episodes: log `growth` (n,) and `turnover` (n,) of each, the mean of |position|."""

    growth: Floats
    turnover: Floats
    mean_position: float
    days: float  # of one episode

    @property
    def cost_bps_a_day(self) -> float:
        """What was paid, in hundredths of a percent of equity a day."""
        return float(self.turnover.mean()) * COST / self.days / BPS


def walk(policy: Policy, ground: Ground, episodes: int, bars: int) -> Walked:
    """Let a policy act through `episodes` stretches of `bars` bars that follow each other, each begun flat."""
    env = ground.env(episodes, "NEXT_STEP", bars)
    observations, _ = env.reset(seed=0, options={"start": starts(episodes, bars)})
    infos: dict[str, Any] = {}
    held = 0.0
    for _ in range(bars):
        action = policy.act(observations).action
        observations, _, _, _, infos = env.step(action if ground.actions == BOX else action.astype(np.int64))
        held += float(np.abs(observations[:, POSITION]).mean())
    told = infos["episode"]
    assert bool(infos["_episode"].all()), "an episode has not ended with its last bar"
    return Walked(told["log_growth"], -told["turnover"], held / bars, bars * ground.bars.interval_ms / DAY_MS)


def starts(episodes: int, bars: int) -> NDArray[np.int64]:
    """The bars at whose close the episodes of `walk` begin."""
    return FIRST + bars * np.arange(episodes, dtype=np.int64)


def length(episodes: int, bars: int) -> int:
    """How many bars `walk` needs."""
    return FIRST + episodes * bars + 1


def next_returns(bars: Bars) -> Floats:
    """(T,) simple return of the bar after each; 0 for the last, which has none."""
    return np.append(np.diff(bars.close) / bars.close[:-1], 0.0)
