"""Market columns a second, whole and live, beside TA-Lib: `python benchmarks/features.py`.

Workload: the 32 columns of conf/observation/default.yaml, one thread. Whole: a million bars of a random walk, without
gaps, into a float32 matrix; the peer makes the same columns from TA-Lib and numpy, and the largest difference is
printed. Live: one bar at a time through FeatureStream, compiled and, in a process of its own, interpreted.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from measure import Figure, rate, report, versus
from peers import is_installed

from wavetank.envs.features import FeatureStream, feature_matrix, warm_up
from wavetank.envs.observation import ObservationSpec
from wavetank.market.bars import INTERVALS, Bars
from wavetank.market.jit import COMPILED

BARS = 1_000_000
NAMES = ObservationSpec.load("default").market
HOUR = INTERVALS["1h"]
LIVE_BARS = 20_000 if COMPILED else 2_000
ABOUT = {"columns": len(NAMES), "threads": 1}


def walk(count: int) -> Bars:
    """A random walk of `count` hourly bars."""
    rng = np.random.default_rng(0)
    close = 100.0 * np.exp(np.cumsum(0.003 * rng.standard_normal(count)))
    open_ = np.concatenate([[100.0], close[:-1]])
    reach = 1.0 + 0.002 * rng.random((2, count))
    high, low = np.maximum(open_, close) * reach[0], np.minimum(open_, close) / reach[1]
    opened_at = 1_577_836_800_000 + HOUR * np.arange(count, dtype=np.int64)
    return Bars("1h", opened_at, open_, high, low, close, 1e3 * rng.exponential(size=count))


def whole(bars: Bars) -> Callable[[], int]:
    """All columns of all bars."""

    def work() -> int:
        return len(feature_matrix(bars, NAMES))

    return work


def live(bars: Bars, repetitions: int = 5) -> list[float]:
    """Microseconds a bar, through a stream that is warm."""
    stream, values, rows = FeatureStream(NAMES, HOUR), [], list(bars)
    need = warm_up(NAMES) + 200
    for bar in rows[:need]:
        stream.update(bar)
    for piece in np.array_split(np.arange(need, len(rows)), repetitions):
        mine = [rows[k] for k in piece]
        began = time.perf_counter()
        for bar in mine:
            stream.update(bar)
        values.append((time.perf_counter() - began) / len(mine) * 1e6)
    return values


def peer_rate(bars: Bars) -> list[float] | None:
    """The peer's bars a second, and how far its columns are from ours."""
    if not is_installed("talib"):
        return None
    from peers.talib_columns import default_columns

    ours, theirs = feature_matrix(bars, NAMES), default_columns(bars)
    settled = slice(5 * warm_up(NAMES), None)
    gap = np.abs(ours[settled] - theirs[settled]).max(axis=0)
    print(f"  peer's largest difference from ours: {gap.max():.1e}, in {NAMES[int(gap.argmax())]}")
    return rate(lambda: len(default_columns(bars)))


def interpreted() -> list[float]:
    """`live` in a process that compiles nothing."""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "live"], env=environment, capture_output=True, text=True, check=True
    )
    values: list[float] = json.loads(done.stdout)
    return values


def main() -> None:
    if sys.argv[1:] == ["live"]:
        print(json.dumps(live(walk(LIVE_BARS))))
        return
    bars = walk(BARS)
    values = rate(whole(bars))
    told = versus("TA-Lib and numpy", values, peer_rate(bars))
    report(Figure("features, 32 columns, 1 M bars, one thread", "bars/s", values, {**ABOUT, **told}))
    report(Figure("features, 32 columns, live, compiled", "µs a bar", live(walk(LIVE_BARS)), ABOUT))
    report(Figure("features, 32 columns, live, interpreted", "µs a bar", interpreted(), ABOUT))


if __name__ == "__main__":
    main()
