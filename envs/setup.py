"""What an environment needs besides bars, checked and put together once for the scalar and the batch environment."""

from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ..market.bars import Bars
from ..market.contract import terms_of
from ..market.costs import Costs, Funding
from ..market.limits import Limits
from ..market.orders import Instrument
from .actions import KINDS, LEVELS
from .episodes import Episodes
from .observation import ObservationSpec
from .past import Tabled
from .rewards import reward_weights
from .tape import Tape


class EnvKeywords(TypedDict, total=False):
    """Keywords that TradingEnv and BatchTradingEnv share; see `EnvSetup`."""

    instrument: Instrument | None
    costs: Costs | None
    limits: Limits | None
    funding: Funding | None
    observation: str | ObservationSpec
    past: Tabled | None
    actions: str
    episode_bars: int | None
    random_start: bool
    cash: float
    rewards: dict[str, float] | None
    dead_band: float


@dataclass(frozen=True)
class EnvSetup:
    """Defaults need nothing but bars: default costs, limits off, the `spine` observation, log growth as reward.

    `episode_bars` None walks to the end of the segment; `random_start` False starts at the first bar that can be
    observed; `actions` is "box" (target exposure in [-1, 1]) or "discrete" (0 short, 1 flat, 2 long).
    """

    instrument: Instrument | None = None
    costs: Costs | None = None
    limits: Limits | None = None
    funding: Funding | None = None
    observation: str | ObservationSpec = "spine"
    past: Tabled | None = None
    actions: str = "box"
    episode_bars: int | None = None
    random_start: bool = True
    cash: float = 100_000.0
    rewards: dict[str, float] | None = field(default=None)
    dead_band: float = 0.02

    def __post_init__(self) -> None:
        if self.actions not in KINDS:
            raise ValueError(f"actions {self.actions!r} must be one of {', '.join(KINDS)}")

    @property
    def spec(self) -> ObservationSpec:
        named = self.observation
        return ObservationSpec.load(named) if isinstance(named, str) else named

    def episodes(self, bars: Bars, count: int, same_step: bool) -> Episodes:
        """The engine for `count` episodes on `bars`."""
        costs = self.costs or Costs()
        tape = Tape.of(
            bars, self.spec, funding_bps_per_8h=costs.funding_bps_per_8h, funding=self.funding, past=self.past
        )
        return Episodes.of(
            tape,
            terms_of(self.instrument or Instrument(), costs, self.limits or Limits(), self.dead_band),
            reward_weights(self.rewards or {"log_growth": 1.0}),
            cash=self.cash,
            episode_bars=self.episode_bars,
            random_start=self.random_start,
            same_step=same_step,
            count=count,
        )

    def observation_space(self) -> spaces.Box:
        return spaces.Box(-np.inf, np.inf, (self.spec.width,), np.float32)

    def action_space(self) -> "spaces.Space[Any]":
        if self.actions == "box":
            return spaces.Box(-1.0, 1.0, (1,), np.float32)
        return spaces.Discrete(len(LEVELS))

    def exposures(self, actions: Any, count: int) -> NDArray[np.float64]:
        """Actions of `count` episodes as target exposures; ValueError on NaN and on what the space does not hold."""
        given = np.asarray(actions)
        if given.size != count:
            raise ValueError(f"{given.size} actions were given for {count} episodes")
        if self.actions == "discrete":
            levels = given.reshape(count)
            if not (np.issubdtype(levels.dtype, np.integer) and levels.min() >= 0 and levels.max() < len(LEVELS)):
                raise ValueError(f"actions {levels[:4]} are not integers 0 … {len(LEVELS) - 1}")
            return np.asarray(LEVELS[levels], np.float64)
        # a copy, since a read-only or strided array is another type to numba, and compiles the step anew
        flat: NDArray[np.float64] = given.reshape(count).astype(np.float64)
        if not np.abs(flat).max() <= 1.0:  # NaN fails this too
            bad = int(np.flatnonzero(~(np.abs(flat) <= 1.0))[0])
            raise ValueError(f"action {flat[bad]} of episode {bad} is not a number in [-1, 1]")
        return flat


def start_bars(given: Any) -> NDArray[np.int64]:
    """The reset option `start` as int64; -1 leaves the choice to the env. ValueError on anything but whole numbers."""
    starts = np.asarray(given)
    if starts.dtype.kind not in "iu":
        raise ValueError(f"start {given} is not a whole number of bars")
    return starts.astype(np.int64)
