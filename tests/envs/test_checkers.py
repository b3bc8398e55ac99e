"""Gymnasium's and Stable-Baselines3's own checks, on every variant of every environment."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

from wavetank.envs.arena import ArenaEnv
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.past import Tabled
from wavetank.envs.portfolio import PortfolioEnv
from wavetank.envs.trading import TradingEnv
from wavetank.market.limits import Limits
from wavetank.memory.columns import MEMORY_COLUMNS

from ..market.handmade import drawn_bars
from .cases import LEVERED, SHORT

BARS = drawn_bars(np.random.default_rng(301), 700)
PAST = Tabled(BARS.closed_at, np.random.default_rng(2).random((len(BARS), len(MEMORY_COLUMNS))))

VARIANTS: dict[str, Callable[[], gymnasium.Env[Any, Any]]] = {
    "box": lambda: TradingEnv(BARS),
    "discrete": lambda: TradingEnv(BARS, actions="discrete"),
    "five levels": lambda: TradingEnv(BARS, actions="discrete:5"),
    "two levels": lambda: TradingEnv(BARS, actions="discrete:2"),
    "default columns": lambda: TradingEnv(BARS, observation="default"),
    "with a past": lambda: TradingEnv(BARS, observation="default_memory", past=PAST),
    "window": lambda: TradingEnv(BARS, observation=replace(ObservationSpec.load("spine"), window=16)),
    "varied costs": lambda: TradingEnv(BARS, vary_costs=2.0, episode_bars=50),
    "live limits": lambda: TradingEnv(BARS, limits=Limits("live", terminate_on_halt=True), instrument=LEVERED),
    "every reward": lambda: TradingEnv(BARS, rewards={"downside": 1.0, "differential_sharpe": 1.0}),
    "portfolio of one": lambda: PortfolioEnv([BARS], observation=SHORT),
    "portfolio of three": lambda: PortfolioEnv([BARS, BARS, BARS], observation=SHORT, episode_bars=40),
    "arena": lambda: ArenaEnv("normal", episode_bars=20, observation=SHORT),
}

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*A Box observation space (minimum|maximum) value is .*infinity.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*looks like an image.*:UserWarning"),
    # SB3 would rather have one row than a window: it is meant for an encoder
    pytest.mark.filterwarnings("ignore:Your observation .*has an unconventional shape.*:UserWarning"),
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_gymnasium_and_sb3_are_content(variant: str) -> None:
    env = VARIANTS[variant]()
    try:
        gymnasium_check(env, skip_render_check=True)
        sb3_check(env, warn=True, skip_render_check=True)
    finally:
        env.close()  # type: ignore[no-untyped-call]  # gymnasium's
