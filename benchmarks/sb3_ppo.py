"""PPO on Stable-Baselines3, environment steps a second end to end: `python benchmarks/sb3_ppo.py`.

Net 64 × 64, 1,024 episodes, 32,768 steps an update, two torch threads; the first update is not counted.
"""

import os

os.environ["OMP_NUM_THREADS"] = "2"

import numpy as np  # torch reads the thread count when numpy and torch are loaded
from market_data import hourly_bars
from measure import Figure, rate, report

from wavetank.agents.policy import PPOConfig
from wavetank.agents.sb3 import SB3Trainer
from wavetank.agents.scaling import Scaler
from wavetank.envs.adapters import SB3VecEnv
from wavetank.envs.batch import BatchTradingEnv
from wavetank.market.bars import Bars

ENVS, ROLLOUT = 1024, 32


def steps_per_second(bars: Bars, minibatch: int, epochs: int) -> list[float]:
    """Five updates after a first one."""
    env = BatchTradingEnv(bars, ENVS, episode_bars=500, copy=False)
    rows = env.episodes.tape.rows
    scaler = Scaler.fit(rows[np.isfinite(rows).all(axis=1)])
    trainer = SB3Trainer(PPOConfig(rollout=ROLLOUT, minibatch=minibatch, epochs=epochs, threads=2), scaler)
    vec = SB3VecEnv(env, base_seed=1)

    def work() -> int:
        before = trainer.steps
        trainer.fit(vec, before + ENVS * ROLLOUT)
        return trainer.steps - before

    return rate(work)


def main() -> None:
    bars, about = hourly_bars()
    for minibatch, epochs in ((4096, 10), (16384, 4)):
        name = f"SB3 PPO 64×64, batch {minibatch:,}, {epochs} epochs"
        report(Figure(name, "env steps/s", steps_per_second(bars, minibatch, epochs), {"bars": about}))


if __name__ == "__main__":
    main()
