"""PPO on Stable-Baselines3, environment steps a second end to end: `python benchmarks/sb3_ppo.py [--device cuda]`.

Net 64 × 64, 1,024 episodes, 32,768 steps an update, as many torch threads as the trainer chooses; the first update is
not counted. The peer is the same library on eight gym-trading-env, as its users run it: once at its defaults, and
once with our minibatch, epochs and net. On a GPU the number of episodes goes up to 65,536.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "2"

import numpy as np  # torch reads the thread count when numpy and torch are loaded
from market_data import hourly_bars
from measure import Figure, rate, report, versus
from peers import gym_trading_env, is_installed

from wavetank.agents.keys import PPOConfig
from wavetank.agents.sb3 import SB3Trainer
from wavetank.agents.scaling import Scaler
from wavetank.envs.adapters import SB3VecEnv
from wavetank.envs.batch import BatchTradingEnv
from wavetank.market.bars import Bars

ENVS, ROLLOUT = 1024, 32
SETTINGS = ((4096, 10), (16384, 4))
WIDE = (1024, 4096, 16384, 65536)  # episodes, on a GPU


def steps_per_second(bars: Bars, config: PPOConfig, envs: int = ENVS) -> list[float]:
    """Five updates after a first one."""
    env = BatchTradingEnv(bars, envs, episode_bars=500, copy=False)
    rows = env.episodes.tape.rows
    trainer = SB3Trainer(config, Scaler.fit(rows[np.isfinite(rows).all(axis=1)]))
    vec = SB3VecEnv(env, base_seed=1)

    def work() -> int:
        before = trainer.steps
        trainer.fit(vec, before + envs * ROLLOUT)
        return trainer.steps - before

    return rate(work)


def on_processor(bars: Bars, about: str) -> None:
    there = is_installed("gym_trading_env")
    defaults = rate(gym_trading_env.ppo_work(bars, 64), repetitions=3) if there else None
    for minibatch, epochs in SETTINGS:
        ours = steps_per_second(bars, PPOConfig(rollout=ROLLOUT, minibatch=minibatch, epochs=epochs))
        name = f"SB3 PPO 64×64, batch {minibatch:,}, {epochs} epochs"
        report(Figure(name, "env steps/s", ours, {"bars": about}))
        alike = rate(gym_trading_env.ppo_work(bars, minibatch, epochs), repetitions=3) if there else None
        peers = [("with both the same", alike), *([("at its defaults", defaults)] if epochs == 10 else [])]
        for named, theirs in peers:
            beside = versus(f"SB3 on eight gym-trading-env, {named}", ours, theirs)
            report(Figure(f"{name}, against SB3 {named}", "env steps/s", ours, beside))
    for name, keys in (
        ("LSTM 64", PPOConfig(rollout=ROLLOUT, minibatch=4096, lstm=64)),
        ("256×256", PPOConfig(rollout=ROLLOUT, minibatch=16384, epochs=4, hidden=(256, 256))),
    ):
        ours = steps_per_second(bars, keys, 256 if keys.lstm else ENVS)
        report(Figure(f"SB3 PPO {name}, batch {keys.minibatch:,}, {keys.epochs} epochs", "env steps/s", ours))


def on_gpu(bars: Bars, about: str) -> None:
    for envs in WIDE:
        keys = PPOConfig(rollout=ROLLOUT, minibatch=min(envs * ROLLOUT // 2, 65536), epochs=4, device="cuda")
        name = f"SB3 PPO 64×64 on a GPU, {envs:,} episodes, batch {keys.minibatch:,}, 4 epochs"
        report(Figure(name, "env steps/s", steps_per_second(bars, keys, envs), {"bars": about}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    bars, about = hourly_bars()
    (on_gpu if parser.parse_args().device == "cuda" else on_processor)(bars, about)


if __name__ == "__main__":
    main()
