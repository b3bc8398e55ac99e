"""The crowd's classes of traders as Mesa agents: one agent stands for a whole cohort, N rows of the world's
arrays, and acts through the cohort's kernel.

A class of your own is an ordinary `mesa.Agent` that trades through `CrowdMarket`; the market then steps it after the
cohorts. Knows nothing of the turn in which agents act.
"""

from typing import Protocol

import mesa
import numpy as np

from .cohorts import HORIZON, act_chartist, act_executor, act_fundamental, act_makers, act_noise
from .population import Chartist, Executor, Fundamental, Makers, Noise
from .world import FIRST_OWNER, HISTORY, LOST, RESTING_ROOM, Part, World


class Market(Protocol):
    """What a cohort sees of the model that it trades in: `crowd.CrowdMarket`."""

    world: World

    def position(self, owner: int) -> int:
        """Lots that an owner holds."""
        ...


class CohortAgent(mesa.Agent):  # type: ignore[misc]  # mesa ships no types
    """One class of traders: `count` owners from `first_owner` on, whose state is rows of `model.world`."""

    model: Market
    part: Part

    def __init__(self, model: Market, count: int, first_owner: int) -> None:
        super().__init__(model)
        self.owners = range(first_owner, first_owner + count)

    def clear(self, rng: np.random.Generator) -> None:
        """Take the cohort's place in an emptied world; draw the traits that last an episode."""
        self.model.world.cohorts[self.part, FIRST_OWNER] = self.owners.start

    @property
    def lost(self) -> int:
        """Orders that found no room in the book or in the cohort's bag."""
        return int(self.model.world.cohorts[self.part, LOST])

    @property
    def lots(self) -> int:
        """What the cohort holds together."""
        return sum(self.model.position(owner) for owner in self.owners)


class NoiseTraders(CohortAgent):
    """Traders without a view, who work metaorders."""

    part = Part.NOISE

    def __init__(self, model: Market, rules: Noise, first_owner: int) -> None:
        super().__init__(model, rules.traders, first_owner)
        self.rules = rules

    def step(self) -> None:
        act_noise(self.model.world, int(self.part), self.rules)


class FundamentalTraders(CohortAgent):
    """Traders who see the value, with an error."""

    part = Part.FUNDAMENTAL

    def __init__(self, model: Market, rules: Fundamental, first_owner: int) -> None:
        super().__init__(model, rules.traders, first_owner)
        self.rules = rules

    def step(self) -> None:
        act_fundamental(self.model.world, int(self.part), self.rules)


class Chartists(CohortAgent):
    """Trend followers, or with a negative lean contrarians."""

    def __init__(self, model: Market, rules: Chartist, first_owner: int, part: Part) -> None:
        super().__init__(model, rules.traders, first_owner)
        self.rules = rules
        self.part = part
        if not 1.0 <= rules.horizon_low <= rules.horizon_high < HISTORY:
            raise ValueError(
                f"{part.name.lower()}: horizons {rules.horizon_low} … {rules.horizon_high} "
                f"must lie within 1 … {HISTORY - 1} steps"
            )

    def clear(self, rng: np.random.Generator) -> None:
        super().clear(rng)
        low, high = np.log(self.rules.horizon_low), np.log(self.rules.horizon_high)
        mine = slice(self.owners.start, self.owners.stop)
        self.model.world.traders[mine, HORIZON] = np.floor(np.exp(rng.uniform(low, high, len(self.owners))))

    def step(self) -> None:
        act_chartist(self.model.world, int(self.part), self.rules)


class MarketMakers(CohortAgent):
    """Traders who quote both sides."""

    part = Part.MAKERS

    def __init__(self, model: Market, rules: Makers, first_owner: int) -> None:
        super().__init__(model, rules.traders, first_owner)
        self.rules = rules
        if rules.traders * rules.quote_levels * 2 > RESTING_ROOM:
            raise ValueError(
                f"{rules.traders} makers with {rules.quote_levels} levels quote more than {RESTING_ROOM} orders"
            )

    def step(self) -> None:
        act_makers(self.model.world, int(self.part), self.rules)


class StormExecutor(CohortAgent):
    """The large trader whom a storm wakes."""

    part = Part.EXECUTOR

    def __init__(self, model: Market, rules: Executor, first_owner: int) -> None:
        super().__init__(model, rules.traders, first_owner)
        self.rules = rules

    def step(self) -> None:
        act_executor(self.model.world, int(self.part), self.rules)
