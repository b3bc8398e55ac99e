"""Whether length costs speed: `python benchmarks/growth.py`.

The batch environment of env_workload.yaml, less its memory columns, on 10 thousand to 10 million bars of a random
walk: steps a second, and the bytes that its 4,096 episodes keep beside the tape.
"""

from collections.abc import Callable

import numpy as np
from features import walk
from measure import Figure, rate, report
from workload import Workload

from wavetank.envs.batch import BatchTradingEnv
from wavetank.market.bars import Bars
from wavetank.market.jit import set_threads

LENGTHS = (10_000, 100_000, 1_000_000, 10_000_000)
COUNT, COLUMNS = 4096, 40


def work_on(load: Workload, bars: Bars) -> tuple[BatchTradingEnv, Callable[[], int]]:
    """Walk 4,096 episodes through all rounds."""
    keywords = load.keywords() | {"observation": "default", "past": None}
    env = BatchTradingEnv(bars, COUNT, **keywords)
    actions = load.actions(COUNT)
    env.reset(seed=1)

    def work() -> int:
        for k in range(load.rounds):
            env.step(actions[k % len(actions)])
        return load.rounds * COUNT

    return env, work


def main() -> None:
    set_threads(2)
    load, base = Workload.load(), 0.0
    for length in LENGTHS:
        env, work = work_on(load, walk(length))
        values = rate(work)
        base = base or float(np.median(values))
        kept = sum(array.nbytes for array in env.episodes.running)
        told = {"bytes_of_episodes": kept, "of_the_shortest": round(float(np.median(values)) / base, 3)}
        report(Figure(f"batch env, {COLUMNS} columns, {length:,} bars, 2 threads", "env steps/s", values, told))


if __name__ == "__main__":
    main()
