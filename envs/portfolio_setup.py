"""What a portfolio needs besides bars, checked and put together once for the scalar and the batch environment."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypedDict, TypeVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ..market.bars import Bars
from ..market.contract import terms_of
from ..market.costs import Costs, Funding
from ..market.limits import Limits
from ..market.orders import Instrument
from ..market.terms import Terms
from .episodes import Plan
from .observation import ObservationSpec
from .panel import Panel
from .past import Tabled
from .portfolio_columns import N_OWN, N_SHARED, column_names
from .portfolio_episodes import PortfolioEpisodes
from .rewards import Reward
from .tape import Tape
from .walk import first_bad

T = TypeVar("T")


class PortfolioKeywords(TypedDict, total=False):
    """Keywords that PortfolioEnv and BatchPortfolioEnv share; see `PortfolioSetup`."""

    instruments: Sequence[Instrument] | None
    costs: Costs | Sequence[Costs] | None
    limits: Limits | None
    funding: Sequence[Funding | None] | None
    observation: str | ObservationSpec
    past: Sequence[Tabled] | None
    leverage: float | None
    episode_bars: int | None
    random_start: bool
    cash: float
    rewards: dict[str, float] | None
    dead_band: float


@dataclass(frozen=True)
class PortfolioSetup:
    """Defaults need nothing but bars, as those of EnvSetup.

    `instruments`, `funding` and `past` hold one entry an asset, `costs` one for all or one an asset; `leverage` is the
    account's, None the least of what the instruments allow; `dead_band` is a share of the whole allowed exposure.
    """

    instruments: Sequence[Instrument] | None = None
    costs: Costs | Sequence[Costs] | None = None
    limits: Limits | None = None
    funding: Sequence[Funding | None] | None = None
    observation: str | ObservationSpec = "default"
    past: Sequence[Tabled] | None = None
    leverage: float | None = None
    episode_bars: int | None = None
    random_start: bool = True
    cash: float = 100_000.0
    rewards: dict[str, float] | None = None
    dead_band: float = 0.02

    @cached_property
    def spec(self) -> ObservationSpec:
        """The columns of one asset as a spec."""
        named = self.observation
        spec = ObservationSpec.load(named) if isinstance(named, str) else named
        if spec.window != 1:
            raise ValueError(f"observation {spec.name} has window {spec.window}; a portfolio shows one bar at a time")
        return spec

    def episodes(self, bars: Sequence[Bars], count: int, same_step: bool) -> PortfolioEpisodes:
        """The engine for `count` portfolios of the assets whose bars are given."""
        if not bars:
            raise ValueError("a portfolio needs the bars of at least one asset")
        assets = len(bars)
        costs = self.costs_of(assets)
        nothing: list[None] = [None] * assets
        funding = _one_each("funding", self.funding, assets) or nothing
        past: Sequence[Tabled | None] = _one_each("past", self.past, assets) or nothing
        tapes = [
            _tape(k, each, self.spec, costs[k].funding_bps_per_8h, funding[k], past[k]) for k, each in enumerate(bars)
        ]
        plan = Plan(self.cash, self.episode_bars, self.random_start, same_step)
        return PortfolioEpisodes.of(Panel.of(tapes), self.terms(assets), Reward.of(self.rewards), plan, count)

    def terms(self, assets: int) -> list[Terms]:
        """Terms of each asset; limits, leverage and borrow rate are the account's, so equal in all."""
        instruments, costs = self.instruments_of(assets), self.costs_of(assets)
        least = min(instruments, key=lambda instrument: instrument.max_leverage)
        leverage = least.max_leverage if self.leverage is None else self.leverage
        if not 0.0 < leverage <= least.max_leverage:
            most = f"{least.max_leverage}, as {least.symbol} allows"
            raise ValueError(f"leverage {leverage} must be above 0 and at most {most}")
        limits = self.limits or Limits()
        return [
            terms_of(instrument, cost, limits, self.dead_band)._replace(leverage=float(leverage))
            for instrument, cost in zip(instruments, costs, strict=True)
        ]

    def instruments_of(self, assets: int) -> Sequence[Instrument]:
        """One instrument an asset; the default's terms where none were given."""
        return _one_each("instruments", self.instruments, assets) or [Instrument()] * assets

    def costs_of(self, assets: int) -> Sequence[Costs]:
        """The costs of each asset; ValueError where they would have one account borrow at several rates."""
        given = self.costs or Costs()
        costs = [given] * assets if isinstance(given, Costs) else _one_each("costs", given, assets) or []
        rates = {cost.borrow_bps_per_day for cost in costs}
        if len(rates) > 1:
            told = ", ".join(str(rate) for rate in sorted(rates))
            raise ValueError(f"costs: one account borrows at one rate, borrow_bps_per_day is {told}")
        return costs

    def columns(self, bars: Sequence[Bars]) -> tuple[str, ...]:
        """Names of an observation's columns: `BTCUSDT/return_1`, …, those of the account without an asset's name."""
        return column_names([each.symbol for each in bars], (*self.spec.market, *self.spec.memory))

    def observation_space(self, assets: int) -> spaces.Box:
        """Of one portfolio: (columns,)."""
        own = len(self.spec.market) + len(self.spec.memory) + N_OWN
        return spaces.Box(-np.inf, np.inf, (assets * own + N_SHARED,), np.float32)

    def action_space(self, assets: int) -> spaces.Box:
        """Of one portfolio: (K,) target weights as shares of the allowed leverage."""
        return spaces.Box(-1.0, 1.0, (assets,), np.float32)

    def targets(self, actions: Any, count: int, assets: int) -> NDArray[np.float64]:
        """Actions of `count` portfolios as (count, assets); ValueError on NaN and on what the space does not hold."""
        given = np.asarray(actions)
        if given.shape != (count, assets):
            raise ValueError(f"actions of shape {given.shape} were given; {count} × {assets} targets are needed")
        # a copy, since a read-only or strided array is another type to numba, and compiles the step anew
        targets = np.array(given, np.float64, order="C")
        bad = first_bad(targets.reshape(-1))
        if bad >= 0:
            episode, asset = divmod(bad, assets)
            value = targets[episode, asset]
            raise ValueError(f"action {value} of episode {episode}, asset {asset} is not a number in [-1, 1]")
        return targets


def _one_each(name: str, given: Sequence[T] | None, assets: int) -> Sequence[T] | None:
    if given is not None and len(given) != assets:
        raise ValueError(f"{name}: {len(given)} were given for {assets} assets")
    return given


def _tape(
    k: int, bars: Bars, spec: ObservationSpec, funding_bps_per_8h: float, funding: Funding | None, past: Tabled | None
) -> Tape:
    try:
        return Tape.of(bars, spec, funding_bps_per_8h=funding_bps_per_8h, funding=funding, past=past)
    except ValueError as error:
        raise ValueError(f"asset {k}: {error}") from None
