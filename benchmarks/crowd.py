"""The crowd's speed: `python benchmarks/crowd.py`.

Workload: the calm market of conf/crowd/1m.yaml, the very file that scorecard and impact gate are reported on, tape on.
A decision is a message that the book accepted: an order, a cancel. Compiled runs on one thread; the same market stepped
through Mesa's cohorts one market step at a time; and a market of the same classes with one Python agent a trader.
"""

import gc
import os
import time

import numpy as np
from measure import Figure, report, versus
from per_trader import per_trader_market

from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.ladder import MESSAGES
from wavetank.simulators.population import COHORTS, population

DAY_BARS = 1_440
REPETITIONS = 5
RESETS = 1_000
TRADERS = sum(getattr(population("1m"), name).traders for name in COHORTS)
ABOUT = {"threads": 1, "traders": TRADERS, "crowd": "conf/crowd/1m.yaml"}


def days(all_orders: bool) -> tuple[list[float], list[float]]:
    """Seconds a simulated day, and decisions a second, of one market after the other."""
    market = CrowdMarket(rng=0, all_orders=all_orders).run(60)
    seconds, decisions = [], []
    for seed in range(1, REPETITIONS + 1):
        market.reset(seed)
        before, began = int(market.world.book.head[MESSAGES]), time.perf_counter()
        market.run(DAY_BARS)
        seconds.append(time.perf_counter() - began)
        decisions.append((int(market.world.book.head[MESSAGES]) - before) / seconds[-1])
    market.close()
    return seconds, decisions


def stepped(market: CrowdMarket, steps: int) -> list[float]:
    """Market steps a second through Mesa."""
    values = []
    for repetition in range(REPETITIONS + 1):
        began = time.perf_counter()
        for _ in range(steps):
            market.step()
        if repetition:  # the first warms up
            values.append(steps / (time.perf_counter() - began))
    return values


def resets() -> tuple[list[float], float]:
    """Milliseconds a reset in place, burn-in included, and by how many MB the process grew over all of them."""
    market = CrowdMarket(rng=0)
    for seed in range(50):
        market.reset(seed)
    gc.collect()
    before, values = memory_mb(), []
    for seed in range(RESETS):
        began = time.perf_counter()
        market.reset(seed)
        values.append(1e3 * (time.perf_counter() - began))
    gc.collect()
    return np.array(values).reshape(5, -1).mean(axis=1).tolist(), memory_mb() - before


def memory_mb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    for name, all_orders in (("", False), (", every order kept", True)):
        seconds, decisions = days(all_orders)
        report(Figure(f"crowd: a simulated day of 86,400 steps{name}", "s", seconds, ABOUT))
        report(Figure(f"crowd: decisions, compiled run{name}", "decisions/s", decisions, ABOUT))
    crowd = population("1m")
    through = stepped(CrowdMarket(rng=1), 2_000)
    theirs = stepped(per_trader_market(crowd, rng=1), 100)
    peer = versus("one Python agent a trader", through, theirs)
    report(Figure("crowd: stepped through Mesa, cohorts", "steps/s", through, ABOUT | peer))
    milliseconds, grown = resets()
    report(Figure("crowd: reset in place, 600 steps of burn-in", "ms", milliseconds, ABOUT))
    report(Figure(f"crowd: memory grown over {RESETS} resets", "MB", [grown], ABOUT))


if __name__ == "__main__":
    main()
