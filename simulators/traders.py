"""The crowd's classes of traders as Mesa agents: one agent stands for a whole cohort, N rows of the world's
arrays, and acts through the cohort's kernel.

A class of your own is an ordinary `mesa.Agent` that trades through `CrowdMarket`; the market then steps it after the
cohorts. Knows nothing of the turn in which agents act.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import mesa
import numpy as np

from ..market.jit import entered
from . import cohorts, ladder, liquidation
from .cohorts import act_chartist, act_executor, act_fundamental, act_noise, act_readers
from .following import act_followers
from .leverage import act_leveraged
from .makers import act_makers
from .population import Chartist, Followers, Leveraged, Makers, Spoofer
from .pumping import act_pumpers
from .spoofing import PLACES, act_spoofer
from .world import (
    COUNT,
    DELEVERAGED,
    FIRST_OWNER,
    HISTORY,
    LIQUIDATED,
    LOG_VALUE,
    LOST,
    LOT,
    MAKER_ORDERS,
    MARK,
    SOCIALISED,
    SPOOFER_ORDERS,
    Label,
    Part,
    World,
)


class Market(Protocol):
    """What a cohort sees of the model that it trades in: `crowd.CrowdMarket`."""

    world: World

    def position(self, owner: int) -> int:
        """Lots that an owner holds."""
        ...


class CohortAgent(mesa.Agent):  # type: ignore[misc]  # mesa ships no types
    """One class of traders, whose state is rows of `model.world`; `rules` are the numbers that it goes by."""

    model: Market
    part: Part
    mark = Label.NONE  # on all its orders
    act: ClassVar[Callable[..., None]]  # the cohort's kernel: world, part, rules

    def __init__(self, model: Market, rules: Any, owners: range, part: Part) -> None:
        super().__init__(model)
        self.rules, self.owners, self.part = rules, owners, part

    def clear(self, rng: np.random.Generator) -> None:
        """Take the cohort's place in an emptied world; draw the traits that last an episode."""
        row = self.model.world.cohorts[self.part]
        row[FIRST_OWNER], row[COUNT], row[MARK] = self.owners.start, len(self.owners), self.mark

    def step(self) -> None:
        """Act on what the market shows in this step."""
        world, part = self.model.world, int(self.part)
        entered(self.act, world, part, self.rules)(world, part, self.rules)

    @property
    def lost(self) -> int:
        """Orders that found no room, or that the book refused."""
        return int(self.model.world.cohorts[self.part, LOST])

    @property
    def lots(self) -> int:
        """What the cohort holds together."""
        return sum(self.model.position(owner) for owner in self.owners)

    def _set_traits(self, column: int, values: np.ndarray[Any, Any]) -> None:
        self.model.world.traders[self.owners.start : self.owners.stop, column] = values


class NoiseTraders(CohortAgent):
    """Traders without a view, who work metaorders."""

    act = staticmethod(act_noise)


class FundamentalTraders(CohortAgent):
    """Traders who learn the value from noisy looks."""

    act = staticmethod(act_fundamental)

    def clear(self, rng: np.random.Generator) -> None:
        super().clear(rng)
        value = float(self.model.world.mood[LOG_VALUE])
        self._set_traits(cohorts.BELIEF, value + self.rules.error_sd * rng.normal(size=len(self.owners)))


class Chartists(CohortAgent):
    """Trend followers, or with a negative lean contrarians."""

    act = staticmethod(act_chartist)

    def __init__(self, model: Market, rules: Chartist, owners: range, part: Part) -> None:
        super().__init__(model, rules, owners, part)
        if not 1.0 <= rules.horizon_low <= rules.horizon_high < HISTORY:
            raise ValueError(
                f"{part.name.lower()}: horizons {rules.horizon_low} … {rules.horizon_high} "
                f"must lie within 1 … {HISTORY - 1} steps"
            )

    def clear(self, rng: np.random.Generator) -> None:
        super().clear(rng)
        low, high = np.log(self.rules.horizon_low), np.log(self.rules.horizon_high)
        self._set_traits(cohorts.HORIZON, np.floor(np.exp(rng.uniform(low, high, len(self.owners)))))


class MarketMakers(CohortAgent):
    """Traders who quote both sides."""

    act = staticmethod(act_makers)

    def __init__(self, model: Market, rules: Makers, owners: range, part: Part) -> None:
        super().__init__(model, rules, owners, part)
        if rules.traders * rules.quote_levels * 2 > MAKER_ORDERS:
            raise ValueError(
                f"{rules.traders} makers with {rules.quote_levels} levels quote more than {MAKER_ORDERS} orders"
            )


class BookReaders(CohortAgent):
    """Traders who go with the heavier side of the book."""

    act = staticmethod(act_readers)


class LeveragedTraders(CohortAgent):
    """Traders on margin, and the venue that closes them out; money is in ticks × lots."""

    act = staticmethod(act_leveraged)

    def __init__(self, model: Market, rules: Leveraged, owners: range, part: Part) -> None:
        super().__init__(model, rules, owners, part)
        if not 1.0 <= rules.leverage_low <= rules.leverage_high:
            raise ValueError(f"leverages {rules.leverage_low} … {rules.leverage_high} must be 1 or more, in order")
        if rules.maintenance * rules.leverage_high >= 1.0:
            raise ValueError(
                f"a maintenance of {rules.maintenance} closes out whoever begins with leverage {rules.leverage_high}"
            )
        _check_horizon(part, rules.horizon)

    def clear(self, rng: np.random.Generator) -> None:
        """Let the bank lend everybody's collateral and the insurance fund."""
        super().clear(rng)
        low, high = np.log(self.rules.leverage_low), np.log(self.rules.leverage_high)
        collateral, insured = self._worth(self.rules.collateral), self._worth(self.rules.fund)
        self._set_traits(liquidation.LEVERAGE, np.exp(rng.uniform(low, high, len(self.owners))))
        for column in (liquidation.BRINGS, liquidation.STAKE):
            self._set_traits(column, np.full(len(self.owners), float(collateral)))
        cash = self.model.world.book.accounts[:, ladder.CASH]
        cash[self.owners.start : self.owners.stop] = collateral
        cash[liquidation.fund_of(self.model.world)] = insured
        cash[liquidation.bank_of(self.model.world)] = -collateral * len(self.owners) - insured

    @property
    def liquidations(self) -> int:
        """Positions that the venue took over."""
        return int(self.model.world.clock[LIQUIDATED])

    @property
    def deleveraged(self) -> int:
        """Lots of bankrupts closed against others in profit."""
        return int(self.model.world.clock[DELEVERAGED])

    @property
    def socialised(self) -> int:
        """Losses beyond the insurance fund."""
        return int(self.model.world.clock[SOCIALISED])

    @property
    def fund(self) -> int:
        """What the insurance fund has."""
        return int(self.model.world.book.accounts[liquidation.fund_of(self.model.world), ladder.CASH])

    def _worth(self, units: float) -> int:
        """So many units of the asset at the first price."""
        return round(units / float(self.model.world.mood[LOT])) * int(self.model.world.book.head[ladder.LAST])


class StormExecutor(CohortAgent):
    """The large trader whom a storm wakes."""

    act = staticmethod(act_executor)

    mark = Label.EXECUTION


class PumpGroup(CohortAgent):
    """An organiser and its members, whom a storm wakes."""

    act = staticmethod(act_pumpers)


class LateFollowers(CohortAgent):
    """Traders who chase a fast rise, where a storm lets them look."""

    act = staticmethod(act_followers)

    def __init__(self, model: Market, rules: Followers, owners: range, part: Part) -> None:
        super().__init__(model, rules, owners, part)
        _check_horizon(part, rules.horizon)


class Spoofers(CohortAgent):
    """Traders who show what they do not mean, whom a storm wakes."""

    act = staticmethod(act_spoofer)

    def __init__(self, model: Market, rules: Spoofer, owners: range, part: Part) -> None:
        super().__init__(model, rules, owners, part)
        if rules.traders * PLACES > SPOOFER_ORDERS:
            raise ValueError(f"a market has room for {SPOOFER_ORDERS // PLACES} spoofers, not for {rules.traders}")
        if not 1 <= rules.layers < PLACES // 2:
            raise ValueError(f"a spoofer's layers are {rules.layers}, there can be 1 … {PLACES // 2 - 1}")
        if rules.first_level < 1:
            raise ValueError(f"a spoofer's first_level is {rules.first_level}, levels are counted from 1")


def _check_horizon(part: Part, horizon: float) -> None:
    if not 1.0 <= horizon < HISTORY:
        raise ValueError(f"{part.name.lower()}: horizon {horizon} must lie within 1 … {HISTORY - 1} steps")


CLASSES: dict[Part, type[CohortAgent]] = {
    Part.NOISE: NoiseTraders,
    Part.FUNDAMENTAL: FundamentalTraders,
    Part.TREND: Chartists,
    Part.CONTRARIAN: Chartists,
    Part.MAKERS: MarketMakers,
    Part.READERS: BookReaders,
    Part.LEVERAGED: LeveragedTraders,
    Part.EXECUTOR: StormExecutor,
    Part.PUMPERS: PumpGroup,
    Part.FOLLOWERS: LateFollowers,
    Part.SPOOFER: Spoofers,
}
