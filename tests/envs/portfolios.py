"""Portfolios of every kind for the tests of envs/: assets with holes, outages and late listings, costs, leverage."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavetank.envs.observation import ObservationSpec
from wavetank.envs.portfolio_setup import PortfolioKeywords
from wavetank.market.bars import Bars
from wavetank.market.costs import Costs, Funding
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument

from ..market.handmade import HOUR, MIDNIGHT, drawn_bars
from .cases import DEAR, FREE

SHORT = ObservationSpec("short", 1, ("return_1", "return_5"))  # 16 bars to warm up, the cost model's own need
WARM_UP = 16
MARGIN = Costs(taker_fee_bps=10.0, borrow_bps_per_day=25.0, funding_bps_per_8h=0.0, participation=0.05)
COSTS = {"default": Costs(), "dear": DEAR, "free": FREE, "margin": MARGIN}


def instruments(count: int, leverage: float = 8.0) -> list[Instrument]:
    """Assets whose venues differ in everything that may differ."""
    return [
        Instrument(
            symbol=f"COIN{k}",
            lot=(0.1, 0.01, 1.0, 0.003)[k % 4],
            min_notional=(5.0, 50.0)[k % 2],
            max_leverage=leverage + k % 3,
            maintenance=(0.02, 0.05, 0.005)[k % 3],
            liquidation_fee=(0.01, 0.0, 0.005)[k % 3],
        )
        for k in range(count)
    ]


def without(bars: Bars, rows: set[int]) -> Bars:
    """The same bars but for some rows."""
    return Bars.from_rows(bars.interval, [bar for k, bar in enumerate(bars) if k not in rows], bars.symbol)


def panel(
    seed: int,
    assets: int,
    count: int = 300,
    *,
    holes: float = 0.0,
    outages: int = 0,
    joint: tuple[tuple[int, int], ...] = (),
    late: bool = False,
    sigma: float = 0.03,
) -> list[Bars]:
    """Bars of several assets. `holes`: share of single bars that each lacks; `outages` of 2 to 12 bars in each;
    `joint` (first, last) rows that all lack; `late` lists asset k only at row 20 k, but for the first."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(assets):
        whole = drawn_bars(rng, count, sigma=sigma, volume=50_000.0)
        lost = {row for first, last in joint for row in range(first, last)}
        lost |= {int(row) for row in np.flatnonzero(rng.random(count) < holes)}
        for begin in rng.integers(0, count, outages):
            lost |= set(range(int(begin), int(begin) + int(rng.integers(2, 13))))
        lost |= set(range(20 * k)) if late else set()
        bars = without(whole, lost)
        found.append(Bars.from_rows(bars.interval, list(bars), f"COIN{k}"))
    return found


def funding_series(seed: int, count: int = 300) -> Funding:
    """A rate every four hours, off the grid of the bars by some minutes, of either sign."""
    rng = np.random.default_rng(seed)
    stamps = MIDNIGHT + np.arange(0, count * HOUR, 4 * HOUR) + 17 * 60_000
    return Funding(stamps, rng.normal(0.0, 0.002, len(stamps)))


def draw_targets(rng: np.random.Generator, steps: int, count: int, assets: int) -> NDArray[Any]:
    """(steps, count, assets) target weights: some whole, some none, some held, now and then one asset alone."""
    targets = rng.uniform(-1.0, 1.0, (steps, count, assets))
    targets *= rng.choice([0.1, 0.4, 1.0], (steps, count, 1))
    targets[rng.random(targets.shape) < 0.15] = 0.0
    targets[rng.random(targets.shape) < 0.05] = 1.0
    for k in range(1, steps):
        held = rng.random(count) < 0.3
        targets[k, held] = targets[k - 1, held]
    return targets


def case(assets: int, bars: list[Bars], **keywords: Any) -> tuple[list[Bars], PortfolioKeywords]:
    given: PortfolioKeywords = {"instruments": instruments(assets), "observation": SHORT, "leverage": 1.0}
    return bars, {**given, **keywords}  # type: ignore[typeddict-item]


CASES: dict[str, tuple[list[Bars], PortfolioKeywords]] = {
    "defaults": (panel(1, 3), {}),
    "one asset": case(1, panel(2, 1, holes=0.05, outages=1)),
    "two, dear": case(2, panel(3, 2), costs=DEAR, episode_bars=40),
    "free, of all": case(4, panel(4, 4), costs=FREE, episode_bars=60, dead_band=0.0),
    "holes": case(5, panel(5, 5, holes=0.2, outages=2), leverage=3.0),
    "costs of each": case(4, panel(6, 4), costs=[Costs(), DEAR, FREE, Costs(gap_multiple=9.0)], leverage=2.0),
    "funding of some": case(3, panel(7, 3, holes=0.1), funding=[funding_series(7), None, funding_series(8)]),
    "margin": case(3, panel(8, 3, holes=0.05, sigma=0.05), costs=MARGIN, leverage=8.0),
    "late": case(8, panel(9, 8, late=True, outages=1), leverage=2.0),
    "all gone for a while": case(3, panel(10, 3, 320, joint=((70, 90), (190, 192), (200, 240))), leverage=2.0),
    "levered": case(6, panel(11, 6, holes=0.1, sigma=0.07), leverage=8.0, episode_bars=50),
    "clipped": case(5, panel(12, 5, holes=0.05), limits=Limits("clip", 0.5, 0.2, 0.1, 0.3), leverage=4.0),
    "live": case(7, panel(13, 7, holes=0.05), limits=Limits("live", 0.8, 0.5, 0.01, 0.04), episode_bars=80),
    "live, ends when halted": case(
        3, panel(14, 3, sigma=0.05), limits=Limits("live", 1.0, 2.0, 0.03, 0.1, terminate_on_halt=True), leverage=3.0
    ),
    "rewarded": case(
        2,
        panel(15, 2, outages=1),
        rewards={"log_growth": 1.0, "cost": 0.5, "differential_sharpe": 0.1, "downside": 2.0},
    ),
    "short episodes": case(4, panel(16, 4, holes=0.1), episode_bars=1),
}
