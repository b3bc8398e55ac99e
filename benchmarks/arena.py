"""The arena's speed: `python benchmarks/arena.py`.

Environment steps a second of a batch of crowds: 60 market steps each, a desk of 50 columns (ten of them memory, over an
archive of 20,000 moments, or ten market columns more than the default ones), resets included, episodes of 500 bars.
Then what a reset from the pool takes, what filling the pool takes, and what 1,000 resets add to the process's memory.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import Figure, rate, report

from wavetank.envs.arena import ArenaEnv, BatchArenaEnv
from wavetank.envs.arena_past import ArenaMemory
from wavetank.envs.observation import ObservationSpec
from wavetank.market.jit import set_threads
from wavetank.memory.embed import Embedder
from wavetank.memory.moments import moments_of
from wavetank.simulators.crowd import CrowdMarket

EPISODE_BARS, ROUNDS, RESETS, ARCHIVE_BARS = 500, 100, 1000, 20_000
MORE = tuple(f"{family}_{bars}" for family in ("donchian", "bollinger", "parkinson", "return") for bars in (7, 13, 37))
PAGE_KB = 4


def actions_for(count: int) -> np.ndarray[Any, Any]:
    """(64, count): a slowly moving target exposure for each market."""
    rng, rows = np.random.default_rng(0), [np.zeros(count)]
    for _ in range(63):
        rows.append(np.clip(0.9 * rows[-1] + 0.3 * rng.uniform(-1, 1, count), -1, 1))
    return np.array(rows)


def wide_spec() -> ObservationSpec:
    """The default columns and ten more."""
    market = ObservationSpec.load("default").market
    return ObservationSpec("wide", 1, (*market, *MORE[:10]))


def memory() -> ArenaMemory:
    """The moments of one long calm market."""
    training = CrowdMarket("normal", 1, tape=False).run(ARCHIVE_BARS).bars()
    embedder = Embedder.fit(training)
    return ArenaMemory(embedder, moments_of(training, embedder))


def batch_work(count: int, **keywords: Any) -> tuple[BatchArenaEnv, Callable[[], int]]:
    """Walk `count` markets through a fifth of an episode: every fifth round pays for resets."""
    env = BatchArenaEnv("normal", count, episode_bars=EPISODE_BARS, **keywords)
    env.reset(seed=1)
    if count > 1:
        env.arenas.fill()  # once a process: `reset_figures` tells what it takes
    actions = actions_for(count)

    def work() -> int:
        for k in range(ROUNDS):
            env.step(actions[k % len(actions)])
        return ROUNDS * count

    return env, work


def single_work() -> Callable[[], int]:
    """Walk one gymnasium env over the Mesa model."""
    env = ArenaEnv("normal", episode_bars=EPISODE_BARS)
    env.reset(seed=1)
    actions = actions_for(1)

    def work() -> int:
        for k in range(1000):
            if any(env.step(actions[k % len(actions)])[2:4]):
                env.reset()
        return 1000

    return work


def resident_mb() -> float:
    """This process's resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_KB / 1024


def reset_figures() -> None:
    """Time of filling the pool, time of a reset from it, memory that a thousand resets add."""
    env, _ = batch_work(1)
    began = time.perf_counter()
    env.arenas.fill()
    pool = {"warm_markets": env.setup.pool, "warm_up_bars": env.setup.warm_up}
    report(Figure("arena, the whole pool of warm markets", "s", [time.perf_counter() - began], pool))
    env.reset()
    before, took = resident_mb(), list[float]()
    for _ in range(RESETS):
        began = time.perf_counter()
        env.reset()
        took.append(1e3 * (time.perf_counter() - began))
    report(Figure("arena, reset of a market from the pool", "ms", took[::50], {"worst": max(took)}))
    report(Figure("arena, memory that 1,000 resets add", "MB", [resident_mb() - before]))


def batch_figure(name: str, count: int, threads: int, **keywords: Any) -> None:
    set_threads(threads)
    env, work = batch_work(count, **keywords)
    about = {"threads": threads, "markets": count, "columns": env.setup.spec.width}
    told = f"arena, {name}, N = {count}, {threads} thread{'s' * (threads > 1)}"
    report(Figure(told, "env steps/s", rate(work, repetitions=EPISODE_BARS // ROUNDS), about))


def main() -> None:
    wide = wide_spec()
    for threads, count in ((2, 64), (2, 8), (1, 64)):
        batch_figure(f"{wide.width} columns", count, threads, observation=wide)
    batch_figure("50 columns, ten of them memory", 64, 2, observation="default_memory", past=memory())
    report(Figure("single arena over the Mesa model, 40 columns", "env steps/s", rate(single_work())))
    reset_figures()


if __name__ == "__main__":
    main()
