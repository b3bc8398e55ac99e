"""gym-trading-env: five static features, two of its own, three positions, fees and interest; pandas inside."""

import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pandas as pd

from wavetank.market.bars import Bars

EPISODE_BARS = 2000


def _frame(bars: Bars) -> pd.DataFrame:
    columns = {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")}
    frame = pd.DataFrame(columns, index=pd.to_datetime(bars.opened_at, unit="ms"))
    frame["feature_close"] = frame["close"].pct_change()
    frame["feature_open"] = frame["open"] / frame["close"]
    frame["feature_high"] = frame["high"] / frame["close"]
    frame["feature_low"] = frame["low"] / frame["close"]
    frame["feature_volume"] = frame["volume"] / frame["volume"].rolling(7 * 24).max()
    return frame.dropna()


def _make(frame: pd.DataFrame) -> Any:
    with warnings.catch_warnings():  # its import turns every warning of the process into an error
        from gym_trading_env.environments import TradingEnv
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    return TradingEnv(
        df=frame,
        positions=[-1, 0, 1],
        trading_fees=0.0005,
        borrow_interest_rate=0.0,
        max_episode_duration=EPISODE_BARS,
        verbose=0,
    )


def single_work(bars: Bars, steps: int = 20_000) -> Callable[[], int]:
    """One env, random positions."""
    env = _make(_frame(bars))
    choices = np.random.default_rng(0).integers(0, 3, 64).tolist()
    env.reset(seed=1)

    def work() -> int:
        for k in range(steps):
            _, _, terminated, truncated, _ = env.step(choices[k % 64])
            if terminated or truncated:
                env.reset()
        return steps

    return work


def vector_work(bars: Bars, count: int = 8, steps: int = 1_500) -> Callable[[], int]:
    """Several in gymnasium's own SyncVectorEnv, which is its quickest form."""
    frame = _frame(bars)
    env = gymnasium.vector.SyncVectorEnv([lambda: _make(frame) for _ in range(count)])
    choices = np.random.default_rng(0).integers(0, 3, (64, count))
    env.reset(seed=1)

    def work() -> int:
        for k in range(steps):
            env.step(choices[k % 64])
        return steps * count

    return work


def ppo_work(bars: Bars, batch_size: int, epochs: int = 10, count: int = 8) -> Callable[[], int]:
    """Stable-Baselines3's PPO as its users run it: `count` envs in its DummyVecEnv, all else at its defaults."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    frame = _frame(bars)
    model = PPO(
        "MlpPolicy", DummyVecEnv([lambda: _make(frame) for _ in range(count)]), batch_size=batch_size, n_epochs=epochs
    )

    def work() -> int:
        model.learn(model.n_steps * count, reset_num_timesteps=False)
        return model.n_steps * count

    return work
