"""Environments are copied and pickled in the midst of an episode, and walk on alike, each on its own arrays."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.portfolio import PortfolioEnv
from wavetank.envs.trading import TradingEnv

from ..market.handmade import same_bits
from .cases import SHORT, SMOOTH

COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
}
MAKERS: dict[str, Callable[[], Any]] = {
    "scalar": lambda: TradingEnv(SMOOTH, observation=SHORT, episode_bars=200),
    "batch": lambda: BatchTradingEnv(SMOOTH, 3, observation=SHORT, episode_bars=20),
    "portfolio": lambda: PortfolioEnv([SMOOTH, SMOOTH], observation=SHORT, episode_bars=200),
}


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("kind", MAKERS)
def test_a_copy_walks_on_as_the_original_and_leaves_it_alone(kind: str, way: str) -> None:
    env = MAKERS[kind]()
    env.reset(seed=1)
    rng = np.random.default_rng(2)
    actions = rng.uniform(-0.4, 0.4, (40, *env.action_space.shape)).astype(np.float32)
    for action in actions[:10]:
        env.step(action)
    twin = COPIES[way](env)
    told = [twin.step(action)[:4] for action in actions[10:]]
    for action, expected in zip(actions[10:], told, strict=True):
        for a, b in zip(env.step(action)[:4], expected, strict=True):
            assert same_bits(a, b)
