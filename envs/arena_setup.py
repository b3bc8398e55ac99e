"""What an arena needs besides a crowd, and what an episode of it draws: its market, its warm start, its scenario.

Knows how often a scenario comes, and nothing of what happens in one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from ..market.bars import INTERVALS
from ..market.contract import terms_of
from ..market.costs import Costs
from ..market.limits import Limits
from ..market.orders import Instrument
from ..market.terms import Terms
from ..simulators.scenarios import load_scenario
from ..simulators.storms import FIRST_BAR, Scenario
from .actions import levels_of
from .arena_past import ArenaMemory
from .features import warm_up
from .observation import ObservationSpec

Scenarios = str | Path | Scenario | Sequence[str | Path | Scenario] | Mapping[str, float]
SEED_BITS = (1 << 64) - 1


@dataclass(frozen=True)
class ArenaSetup:
    """What an arena needs besides a scenario. `size` is the full allowed position in median bar volumes: the account
    opens with as much cash as that takes. Spread and impact are the crowd's; of `costs` fees, funding and borrow count.
    Episodes begin in one of `pool` markets that were warmed up once; `tape` keeps trades as well as bars.
    """

    interval: str = "1m"
    costs: Costs = field(default_factory=Costs)
    limits: Limits = field(default_factory=Limits)
    observation: str | ObservationSpec = "default"
    actions: str = "box"
    episode_bars: int = 540
    size: float = 0.5
    rewards: dict[str, float] | None = None
    dead_band: float = 0.02
    past: ArenaMemory | None = None
    onset: int | None = None
    pool: int = 256
    tape: bool = False

    def __post_init__(self) -> None:
        if self.episode_bars < 1:
            raise ValueError(f"episode_bars {self.episode_bars} must be 1 or more")
        if not (np.isfinite(self.size) and self.size > 0):
            raise ValueError(f"size {self.size} must be above 0 median bar volumes")
        if self.pool < 1:
            raise ValueError(f"a pool of {self.pool} warm markets leaves nowhere to begin")
        levels_of(self.actions)
        if bool(self.spec.memory) != (self.past is not None):
            raise ValueError(
                f"observation {self.spec.name} has {len(self.spec.memory)} memory columns; the past does not match"
            )
        if self.onset is not None and self.onset < self.warm_up:
            raise ValueError(f"onset {self.onset}: the desk is warm at bar {self.warm_up}, no storm begins before it")

    @cached_property
    def spec(self) -> ObservationSpec:
        """The observation as a spec."""
        named = self.observation
        return ObservationSpec.load(named) if isinstance(named, str) else named

    @property
    def interval_ms(self) -> int:
        return INTERVALS[self.interval]

    @cached_property
    def warm_up(self) -> int:
        """Bars of a market before the first observation."""
        return warm_up(self.spec.market, self.interval_ms) + self.spec.window - 1

    @property
    def calm_bars(self) -> int:
        """How much later than drawn a storm comes, so that none begins before the first action."""
        return max(self.warm_up - FIRST_BAR, 0)

    def terms(self, instrument: Instrument) -> Terms:
        """The terms of trading in a crowd's instrument."""
        return terms_of(instrument, self.costs, self.limits, self.dead_band)

    def cash(self, median_volume: float, price: float, leverage: float) -> float:
        """What an account opens with in a market of that median bar volume."""
        if median_volume <= 0:
            raise ValueError("this market does not trade: its median bar volume is 0")
        return self.size * median_volume * price / leverage

    def observation_space(self) -> spaces.Box:
        """Of one market: (columns,), or (window, columns)."""
        return spaces.Box(-np.inf, np.inf, self.spec.shape, np.float32)

    def action_space(self) -> "spaces.Space[Any]":
        """Of one market."""
        levels = levels_of(self.actions)
        return spaces.Box(-1.0, 1.0, (1,), np.float32) if levels is None else spaces.Discrete(len(levels))


class Drawn(NamedTuple):
    """What an episode draws: the seed of its market, the warm market that it begins in, its scenario."""

    market_seed: int
    slot: int
    scenario: Scenario


class Lottery:
    """One scenario, a list of them that are equally likely, or weights by name; each drawn from an episode's stream."""

    def __init__(self, scenarios: Scenarios, pool: int) -> None:
        named, weights = zip(*_weighted(scenarios), strict=True)
        self.scenarios = tuple(one if isinstance(one, Scenario) else load_scenario(one) for one in named)
        names = [scenario.name for scenario in self.scenarios]
        if len(set(names)) < len(names):
            raise ValueError(f"a scenario stands twice in {', '.join(names)}: weights say how often each comes")
        self._ends = np.cumsum(np.array(weights, np.float64) / sum(weights))[:-1]
        self._pool = pool

    def draw(self, seed: int, episode: int) -> Drawn:
        """The draw of an episode: another for each, the same for the same."""
        words = np.random.SeedSequence([seed & SEED_BITS, episode]).generate_state(3, np.uint64).tolist()
        chosen = int(np.searchsorted(self._ends, words[2] / 2.0**64, side="right"))
        return Drawn(words[0], words[1] % self._pool, self.scenarios[chosen])


def _weighted(scenarios: Scenarios) -> list[tuple[str | Path | Scenario, float]]:
    if isinstance(scenarios, str | Path | Scenario):
        return [(scenarios, 1.0)]
    told: list[Any] = list(scenarios.items()) if isinstance(scenarios, Mapping) else [(one, 1.0) for one in scenarios]
    if not told:
        raise ValueError("an arena needs a scenario, none was given")
    for name, weight in told:
        if not (isinstance(weight, int | float) and np.isfinite(weight) and weight > 0):
            raise ValueError(f"scenario {name} has weight {weight}, it must be above 0")
    return told
