"""What an arena needs besides a crowd, and what an episode of it draws: its market, its warm start, its scenario.

Knows how often a scenario comes and when a desk wakes, and nothing of what happens in between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
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
from ..simulators.population import population
from ..simulators.scenarios import load_scenario
from ..simulators.storms import FIRST_BAR, Scenario
from .actions import levels_of
from .arena_actions import ORDERS, OrderMenu
from .arena_book import MOST_LEVELS, block_columns
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

    A step ends at the close of the running bar or, where these come sooner, after `wake_steps` market steps or at the
    first own fill (`wake_on_fill`). `book` levels of the order book, a side, follow the account in an observation.
    `actions` "orders" are order-level ones (`arena_actions`), with `order_levels` and `order_sizes` to choose from.
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
    pool_role: str | None = None  # whose warm markets, one of `arena_pool.BEGINNERS`; None: those of the arena's role
    book: int = 0
    wake_steps: int | None = None
    wake_on_fill: bool = False
    order_levels: int | None = None
    order_sizes: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.episode_bars < 1:
            raise ValueError(f"episode_bars {self.episode_bars} must be 1 or more")
        if not (np.isfinite(self.size) and self.size > 0):
            raise ValueError(f"size {self.size} must be above 0 median bar volumes")
        if self.pool < 1:
            raise ValueError(f"a pool of {self.pool} warm markets leaves nowhere to begin")
        self._check_wakes_and_orders()
        if bool(self.spec.memory) != (self.past is not None):
            raise ValueError(
                f"observation {self.spec.name} has {len(self.spec.memory)} memory columns; the past does not match"
            )
        if self.onset is not None and self.onset < self.warm_up:
            raise ValueError(f"onset {self.onset}: the desk is warm at bar {self.warm_up}, no storm begins before it")

    def _check_wakes_and_orders(self) -> None:
        if self.menu is None:
            for name in ("order_levels", "order_sizes"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} is of actions 'orders', these are {self.actions!r}")
            levels_of(self.actions)
        if not 0 <= self.book <= MOST_LEVELS:
            raise ValueError(f"book {self.book} must be 0 … {MOST_LEVELS} levels of each side")
        if not 1 <= self.wake <= self.steps_per_bar:
            raise ValueError(f"wake_steps {self.wake} must lie in 1 … {self.steps_per_bar}, the market steps of a bar")

    @cached_property
    def menu(self) -> OrderMenu | None:
        """What order-level actions choose from; None where actions are targets."""
        if self.actions != ORDERS:
            return None
        given = {
            "levels": self.order_levels,
            "sizes": None if self.order_sizes is None else tuple(map(float, self.order_sizes)),
        }
        return OrderMenu(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]

    @cached_property
    def steps_per_bar(self) -> int:
        """Market steps of a bar."""
        return population(self.interval).unit.steps_per_bar

    @property
    def wake(self) -> int:
        """Market steps from wake to wake, where neither a close nor a fill comes between."""
        return self.steps_per_bar if self.wake_steps is None else self.wake_steps

    @property
    def wakes_inside(self) -> bool:
        """Whether a step may end inside a bar."""
        return self.wake_on_fill or self.wake < self.steps_per_bar

    @cached_property
    def block(self) -> tuple[str, ...]:
        """Names of the order-book columns, which follow those of the spec; see `arena_book.ABOUT_BLOCK`."""
        return block_columns(self.book, inside=self.wakes_inside, own=self.menu is not None)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of one row of an observation."""
        return (*self.spec.columns, *self.block)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one observation: (columns,), or (window, columns) with the newest bar last."""
        return (*self.spec.shape[:-1], len(self.columns))

    def step_lots(self, median_volume: float, lot: float) -> float:
        """Lots that one market step trades in a market's median bar: the unit of the sizes in the book block."""
        return median_volume / lot / self.steps_per_bar

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
        return spaces.Box(-np.inf, np.inf, self.shape, np.float32)

    def action_space(self) -> "spaces.Space[Any]":
        """Of one market."""
        if self.menu is not None:
            return self.menu.space()
        levels = levels_of(self.actions)
        return spaces.Box(-1.0, 1.0, (1,), np.float32) if levels is None else spaces.Discrete(len(levels))


def setup_of(keywords: Mapping[str, Any]) -> ArenaSetup:
    """The setup of an environment's keywords; ValueError on one that there is not."""
    known = [each.name for each in fields(ArenaSetup)]
    if unknown := set(keywords) - set(known):
        raise ValueError(f"an arena has no keyword {', '.join(sorted(unknown))}; it has {', '.join(known)}")
    return ArenaSetup(**keywords)


class Drawn(NamedTuple):
    """What an episode draws: the seed of its market, the warm market that it begins in, its scenario."""

    market_seed: int
    slot: int
    scenario: Scenario


class Lottery:
    """One scenario, a list of them that are equally likely, or weights by name; each drawn from an episode's stream."""

    def __init__(self, scenarios: Scenarios, pool: int, interval: str) -> None:
        named, weights = zip(*_weighted(scenarios), strict=True)
        self.scenarios = tuple(one if isinstance(one, Scenario) else load_scenario(one, interval) for one in named)
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
