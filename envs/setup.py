"""What an environment needs besides bars, checked and put together once for the scalar and the batch environment."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypedDict

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ..market.bars import Bars
from ..market.contract import terms_of
from ..market.costs import Costs, Funding
from ..market.limits import Limits
from ..market.orders import Instrument
from .actions import BOX, levels_of
from .episodes import Episodes, Plan
from .observation import ObservationSpec
from .past import Tabled
from .rewards import Reward
from .tape import Tape
from .walk import first_bad


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
    vary_costs: float


@dataclass(frozen=True)
class EnvSetup:
    """Defaults need nothing but bars: default costs, limits off, the `default` observation, log growth as reward.

    `episode_bars` None walks to the end of the segment; `random_start` False starts at the first bar that can be
    observed; `actions` is "box" (target exposure in [-1, 1]) or "discrete:n" (n levels from short to long);
    `rewards` weights of reward parts, 0 to watch one; `vary_costs` x draws, for every episode anew, factors in
    [1/x, x] on fees, half-spread and impact.
    """

    instrument: Instrument | None = None
    costs: Costs | None = None
    limits: Limits | None = None
    funding: Funding | None = None
    observation: str | ObservationSpec = "default"
    past: Tabled | None = None
    actions: str = "box"
    episode_bars: int | None = None
    random_start: bool = True
    cash: float = 100_000.0
    rewards: dict[str, float] | None = None
    dead_band: float = 0.02
    vary_costs: float = 1.0

    def __post_init__(self) -> None:
        levels_of(self.actions)

    @cached_property
    def spec(self) -> ObservationSpec:
        """The observation as a spec."""
        named = self.observation
        return ObservationSpec.load(named) if isinstance(named, str) else named

    def episodes(self, bars: Bars, count: int, same_step: bool) -> Episodes:
        """The engine for `count` episodes on `bars`."""
        costs = self.costs or Costs()
        tape = Tape.of(
            bars, self.spec, funding_bps_per_8h=costs.funding_bps_per_8h, funding=self.funding, past=self.past
        )
        terms = terms_of(self.instrument or Instrument(), costs, self.limits or Limits(), self.dead_band)
        plan = Plan(self.cash, self.episode_bars, self.random_start, same_step, self.vary_costs)
        return Episodes.of(tape, terms, Reward.of(self.rewards), plan, count)

    def observation_space(self) -> spaces.Box:
        """Of one episode: (columns,), or (window, columns)."""
        return spaces.Box(-np.inf, np.inf, self.spec.shape, np.float32)

    def action_space(self) -> "spaces.Space[Any]":
        """Of one episode."""
        levels = levels_of(self.actions)
        if levels is None:
            return spaces.Box(-1.0, 1.0, (1,), np.float32)
        return spaces.Discrete(len(levels))

    def exposure(self, action: Any) -> float:
        """One action as a target exposure; ValueError as in `exposures`."""
        if self.actions == BOX and getattr(action, "size", 0) == 1:
            value = float(action.item())
            if -1.0 <= value <= 1.0:
                return value
        return float(self.exposures(action, 1)[0])

    def exposures(self, actions: Any, count: int) -> NDArray[np.float64]:
        """Actions of `count` episodes as target exposures; ValueError on NaN and on what the space does not hold."""
        return exposures_of(actions, self.actions, count)


def exposures_of(actions: Any, kind: str, count: int) -> NDArray[np.float64]:
    """Actions of that kind of `count` episodes as target exposures; ValueError on NaN and on what is no such action."""
    given = np.asarray(actions)
    if given.size != count:
        raise ValueError(f"{given.size} actions were given for {count} episodes")
    levels = levels_of(kind)
    if levels is not None:
        chosen = given.reshape(count)
        if not (np.issubdtype(chosen.dtype, np.integer) and chosen.min() >= 0 and chosen.max() < len(levels)):
            raise ValueError(f"actions {chosen[:4]} are not integers 0 … {len(levels) - 1}")
        return np.asarray(levels[chosen], np.float64)
    # a copy, since a read-only or strided array is another type to numba, and compiles the step anew
    flat: NDArray[np.float64] = given.reshape(count).astype(np.float64)
    bad = first_bad(flat)
    if bad >= 0:
        raise ValueError(f"action {flat[bad]} of episode {bad} is not a number in [-1, 1]")
    return flat


def start_bars(given: Any) -> NDArray[np.int64]:
    """The reset option `start` as int64; -1 leaves the choice to the env. ValueError on anything but whole numbers."""
    starts = np.asarray(given)
    if starts.dtype.kind not in "iu":
        raise ValueError(f"start {given} is not a whole number of bars")
    return starts.astype(np.int64)
