"""PPO on RLlib, environment steps a second end to end, and from the start of a process to its first update:
`python benchmarks/rllib_ppo.py`.

The task of benchmarks/sb3_ppo.py: net 64 × 64, 1,024 episodes, 32,768 steps an update, as many torch threads as the
trainer chooses; the first update is not counted. The peer is RLlib's own PPO, its runner and its learner, on the same
env at the same batch, epochs, net and threads.
"""

import os

os.environ["OMP_NUM_THREADS"] = "2"

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np  # torch reads the thread count when numpy and torch are loaded
from market_data import hourly_bars
from measure import Figure, rate, report, versus
from peers import rllib_own

from wavetank.agents.keys import PPOConfig
from wavetank.agents.rllib import RLlibTrainer, start_ray, stop_ray
from wavetank.agents.scaling import Scaler
from wavetank.envs.batch import BatchTradingEnv
from wavetank.market.bars import Bars

ENVS, ROLLOUT = 1024, 32
SETTINGS = ((4096, 10), (16384, 4))
ARRANGEMENTS = (("1 runner", 1, 1024, 0), ("2 runners", 2, 512, 0), ("1 learner elsewhere", 0, 1024, 1))


def maker(bars: Bars) -> Callable[[Any], BatchTradingEnv]:
    return lambda told: BatchTradingEnv(bars, int(told["num_envs"]), episode_bars=500, autoreset="NEXT_STEP")


def scaler_of(bars: Bars) -> Scaler:
    rows = BatchTradingEnv(bars, 1, episode_bars=500).episodes.tape.rows
    return Scaler.fit(rows[np.isfinite(rows).all(axis=1)])


def steps_per_second(
    bars: Bars, config: PPOConfig, envs: int = ENVS, runners: int = 0, learners: int = 0
) -> list[float]:
    """Five updates after a first one; `envs` in each runner."""
    trainer = RLlibTrainer(config, scaler_of(bars), num_envs=envs, runners=runners, learners=learners)
    make = maker(bars)

    def work() -> int:
        before = trainer.steps
        trainer.fit(make, before + 1)
        return trainer.steps - before

    try:
        return rate(work)
    finally:
        trainer.close()


def first_update() -> None:
    """What a fresh process does until its first update is done."""
    bars, _ = hourly_bars()
    trainer = RLlibTrainer(PPOConfig(rollout=ROLLOUT, minibatch=4096), scaler_of(bars), num_envs=ENVS)
    trainer.fit(maker(bars), 1)


def seconds_to_first_update() -> list[float]:
    values = []
    for _ in range(5):
        began = time.perf_counter()
        run = subprocess.Popen([sys.executable, "-W", "ignore", __file__, "--first"], stdout=subprocess.PIPE, text=True)
        assert run.stdout is not None
        run.stdout.readline()
        values.append(time.perf_counter() - began)
        run.wait()
    return values


def main() -> None:
    if sys.argv[1:] == ["--first"]:
        first_update()
        print("updated", flush=True)
        return
    report(Figure("RLlib PPO, process start to first update", "s", seconds_to_first_update()))
    bars, about = hourly_bars()
    start_ray(num_cpus=2)
    for minibatch, epochs in SETTINGS:
        config = PPOConfig(rollout=ROLLOUT, minibatch=minibatch, epochs=epochs)
        name = f"RLlib PPO 64×64, batch {minibatch:,}, {epochs} epochs"
        ours = steps_per_second(bars, config)
        report(Figure(name, "env steps/s", ours, {"bars": about}))
        theirs = rate(rllib_own.ppo_work(maker(bars), config, ENVS), repetitions=3)
        report(Figure(f"{name}, against RLlib's own", "env steps/s", ours, versus("RLlib's own PPO", ours, theirs)))
    config = PPOConfig(rollout=ROLLOUT, minibatch=4096)
    for arrangement, runners, envs, learners in ARRANGEMENTS:
        name = f"RLlib PPO 64×64, batch 4,096, 10 epochs, {arrangement}"
        report(Figure(name, "env steps/s", steps_per_second(bars, config, envs, runners, learners), {"bars": about}))
    few = PPOConfig(rollout=512, minibatch=4096)
    report(
        Figure("RLlib PPO 64×64, 64 episodes, batch 4,096, 10 epochs", "env steps/s", steps_per_second(bars, few, 64))
    )
    recurrent = PPOConfig(rollout=ROLLOUT, minibatch=4096, lstm=64)
    values = steps_per_second(bars, recurrent, 256)
    report(Figure("RLlib PPO LSTM 64, batch 4,096, 10 epochs", "env steps/s", values))
    stop_ray()


if __name__ == "__main__":
    main()
