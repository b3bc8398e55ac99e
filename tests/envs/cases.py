"""Environments of every kind for the tests of envs/: costs, leverage, limits, gaps, lengths, both action spaces."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavetank.envs.actions import levels_of
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.rewards import PARTS
from wavetank.envs.setup import EnvKeywords
from wavetank.market.bars import Bars
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument

from ..market.handmade import drawn_bars

SHORT = ObservationSpec("short", 1, ("return_1", "return_5"))
FREE = Costs(0, 0, 0, 0, 1.0, 0, 0)
DEAR = Costs(taker_fee_bps=30.0, half_spread_bps=20.0, impact_y=2.0, participation=0.02, funding_bps_per_8h=-40.0)
LEVERED = Instrument(max_leverage=8.0, maintenance=0.05, liquidation_fee=0.01, lot=0.1)

SMOOTH = drawn_bars(np.random.default_rng(101), 900, volume=50_000.0)
GAPPY = drawn_bars(
    np.random.default_rng(102), 900, gaps={100: 2, 150: 3, 300: 4, 310: 90, 500: 1, 620: 7}, volume=50_000.0
)
WILD = drawn_bars(np.random.default_rng(103), 500, sigma=0.06, gaps={250: 30}, volume=50_000.0)

CASES: dict[str, tuple[Bars, EnvKeywords]] = {
    "defaults": (SMOOTH, {}),
    "discrete": (SMOOTH, {"actions": "discrete", "episode_bars": 60}),
    "free": (SMOOTH, {"costs": FREE, "episode_bars": 100, "dead_band": 0.0}),
    "dear": (
        SMOOTH,
        {"costs": DEAR, "episode_bars": 50, "rewards": {"log_growth": 1.0, "cost": 0.5, "turnover": 0.01}},
    ),
    "gaps": (GAPPY, {"episode_bars": 150, "rewards": {"drawdown": 1.0, "log_growth": 0.5}}),
    "gaps to the end": (GAPPY, {"costs": DEAR, "instrument": LEVERED, "random_start": False}),
    "levered": (WILD, {"instrument": LEVERED, "observation": SHORT}),
    "levered, clipped": (WILD, {"instrument": LEVERED, "limits": Limits("clip", 0.4, 0.2, 0.1, 0.3)}),
    "live": (SMOOTH, {"limits": Limits("live", 0.9, 0.5, daily_loss=0.01, drawdown=0.08), "episode_bars": 100}),
    "live, ends when halted": (
        WILD,
        {"limits": Limits("live", 1.0, 2.0, 0.03, 0.1, terminate_on_halt=True), "actions": "discrete"},
    ),
    "short episodes": (GAPPY, {"episode_bars": 1, "observation": SHORT}),
    "five levels": (SMOOTH, {"actions": "discrete:5", "observation": SHORT, "episode_bars": 70}),
    "little cash": (SMOOTH, {"cash": 100.0, "instrument": Instrument(lot=0.01, min_notional=20.0), "episode_bars": 80}),
}

EXTRA: dict[str, tuple[Bars, EnvKeywords]] = {  # walks that the plain twin does not know
    "borrowed": (SMOOTH, {"costs": replace(DEAR, borrow_bps_per_day=30.0), "instrument": LEVERED, "episode_bars": 40}),
    "varied": (GAPPY, {"vary_costs": 3.0, "episode_bars": 33, "observation": SHORT}),
    "windowed": (SMOOTH, {"observation": replace(SHORT, window=9), "episode_bars": 45}),
    "every part": (WILD, {"rewards": dict.fromkeys(PARTS, 0.1), "limits": Limits("live"), "observation": SHORT}),
}


def draw_actions(rng: np.random.Generator, keywords: EnvKeywords, steps: int, count: int) -> NDArray[Any]:
    """(steps, count) or (steps, count, 1) actions; the targets of a box are held for a few bars now and then."""
    levels = levels_of(keywords.get("actions", "box"))
    if levels is not None:
        return rng.integers(0, len(levels), (steps, count))
    targets = rng.uniform(-1.0, 1.0, (steps, count, 1)).astype(np.float32)
    targets[rng.random(targets.shape) < 0.1] = 0.0
    targets[rng.random(targets.shape) < 0.1] = 1.0
    for k in range(1, steps):
        held = rng.random(count) < 0.3
        targets[k, held] = targets[k - 1, held]
    return targets
