"""Environment steps a second, batch and single: `python benchmarks/batch_env.py`.

Workload: full accounting (fees, half-spread, impact, funding, liquidation check, integer lots), limits in `clip` mode,
18 columns, actions a = clip(0.9 a' + 0.1 U(-1, 1)), episodes of 2,000 bars, SAME_STEP, caller-owned arrays.
"""

from collections.abc import Callable

import numpy as np
from market_data import hourly_bars
from measure import Figure, rate, report
from numpy.typing import NDArray

from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.trading import TradingEnv
from wavetank.market.bars import Bars
from wavetank.market.jit import set_threads
from wavetank.market.limits import Limits

EPISODE_BARS = 2000
ROUNDS = 256


def wandering_actions(count: int) -> NDArray[np.float64]:
    """(64, count): a slowly moving target exposure for each episode."""
    rng = np.random.default_rng(0)
    rows = [np.zeros(count)]
    for _ in range(63):
        rows.append(np.clip(0.9 * rows[-1] + 0.1 * rng.uniform(-1, 1, count), -1, 1))
    return np.array(rows)


def batch_work(bars: Bars, count: int) -> Callable[[], int]:
    """Walk `count` episodes ROUNDS steps."""
    env = BatchTradingEnv(bars, count, episode_bars=EPISODE_BARS, limits=Limits(mode="clip"))
    actions = wandering_actions(count)
    env.reset(seed=1)

    def work() -> int:
        for k in range(ROUNDS):
            env.step(actions[k % 64])
        return ROUNDS * count

    return work


def single_work(bars: Bars) -> Callable[[], int]:
    """Walk one gymnasium env 20,000 steps."""
    env = TradingEnv(bars, episode_bars=EPISODE_BARS, limits=Limits(mode="clip"))
    actions = wandering_actions(1)
    env.reset(seed=1)

    def work() -> int:
        for k in range(20_000):
            _, _, terminated, truncated, _ = env.step(actions[k % 64])
            if terminated or truncated:
                env.reset()
        return 20_000

    return work


def main() -> None:
    bars, about = hourly_bars()
    for threads, count in ((2, 1024), (2, 4096), (1, 4096)):
        set_threads(threads)
        name = f"batch env, N = {count:,}, {threads} thread{'s' * (threads > 1)}"
        report(Figure(name, "env steps/s", rate(batch_work(bars, count)), {"bars": about, "columns": 18}))
    report(Figure("single gymnasium env", "env steps/s", rate(single_work(bars)), {"bars": about, "columns": 18}))


if __name__ == "__main__":
    main()
