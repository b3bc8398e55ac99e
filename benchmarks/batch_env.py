"""Environment steps a second, batch and single, beside a peer: `python benchmarks/batch_env.py`.

The workload stands in env_workload.yaml. Beside the rate stands its share of the fill bound: how often the memory
could take in the 228 bytes that a step hands out (50 columns, reward, flags, sums). The peer, gym-trading-env, is in
the extra `bench`; where it is not installed, that is said.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from measure import Figure, rate, report, versus
from numpy.typing import NDArray
from peers import gym_trading_env, is_installed
from workload import Workload

from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.trading import TradingEnv
from wavetank.market.jit import batch_kernel, prange, set_threads

BYTES_A_STEP = 228


def batch_work(load: Workload, count: int) -> tuple[BatchTradingEnv, Callable[[], int]]:
    """Walk `count` episodes through all rounds."""
    env = BatchTradingEnv(load.bars, count, autoreset=load.told["autoreset"], copy=load.told["copy"], **load.keywords())
    actions = load.actions(count)
    env.reset(seed=1)

    def work() -> int:
        for k in range(load.rounds):
            env.step(actions[k % len(actions)])
        return load.rounds * count

    return env, work


def solvent_share(load: Workload, count: int) -> float:
    """Share of steps whose episode is neither ruined nor latched, over as many rounds as are timed."""
    env, _ = batch_work(load, count)
    actions, good = load.actions(count), 0
    for k in range(load.rounds):
        terminated = env.step(actions[k % len(actions)])[2]
        good += int(np.sum(~terminated & (env.episodes.running.counts[:, 1] == 0)))
    return good / (load.rounds * count)


def single_work(load: Workload) -> Callable[[], int]:
    """Walk one gymnasium env 20,000 steps."""
    env = TradingEnv(load.bars, **load.keywords())
    actions = list(load.actions(1))
    env.reset(seed=1)

    def work() -> int:
        for k in range(20_000):
            _, _, terminated, truncated, _ = env.step(actions[k % len(actions)])
            if terminated or truncated:
                env.reset()
        return 20_000

    return work


@batch_kernel
def _fill(buffer: NDArray[np.float32], value: float) -> None:
    for i in prange(len(buffer)):
        for j in range(buffer.shape[1]):
            buffer[i, j] = value


def fill_bound(count: int) -> float:
    """Steps a second that memory could take: a buffer of one step's size, filled by as many threads."""
    buffer = np.zeros((count, BYTES_A_STEP // 4), np.float32)

    def work() -> int:
        for k in range(64):
            _fill(buffer, float(k))
        return 64 * count

    return max(rate(work))


def peers_of(load: Workload) -> tuple[tuple[str, list[float] | None], tuple[str, list[float] | None]]:
    """What gym-trading-env walks alone, and eight in one vector; the batch is held against the faster."""
    there = is_installed("gym_trading_env")
    alone = rate(gym_trading_env.single_work(load.bars)) if there else None
    vector = rate(gym_trading_env.vector_work(load.bars)) if there else None
    return ("gym-trading-env", alone), ("gym-trading-env × 8", vector)


def main() -> None:
    load = Workload.load()
    about: dict[str, Any] = {"bars": load.about, "workload": load.told}
    single_peer, vector_peer = peers_of(load)
    best = max((single_peer, vector_peer), key=lambda peer: float(np.median(peer[1] or [0.0])))
    for threads, count in ((2, 4096), (2, 1024), (1, 4096)):
        set_threads(threads)
        name = f"batch env, 50 columns, N = {count:,}, {threads} thread{'s' * (threads > 1)}"
        values = rate(batch_work(load, count)[1])
        bound = fill_bound(count)
        share = {"fill_bound": bound, "share_of_fill_bound": round(float(np.median(values)) / bound, 3)}
        more = {"solvent_and_unlatched": round(solvent_share(load, count), 4), **share}
        report(Figure(name, "env steps/s", values, {**about, **more, **versus(best[0], values, best[1])}))
    set_threads(2)
    values = rate(single_work(load))
    name = "single gymnasium env, 50 columns"
    report(Figure(name, "env steps/s", values, {**about, **versus(single_peer[0], values, single_peer[1])}))


if __name__ == "__main__":
    main()
