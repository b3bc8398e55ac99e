"""Bars for tests: a seeded random walk on a grid, and a constant drift whose figures follow on paper."""

import numpy as np

from wavetank.market.bars import INTERVALS, Bars


def wandering(count: int, seed: int = 0, interval: str = "1h") -> Bars:
    """A random walk of 1 % a bar around 100 with an even volume."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(0.01 * rng.standard_normal(count)))
    start = np.concatenate([[100.0], close[:-1]])
    spread = 1.0 + 0.002 * rng.random(count)
    high, low = np.maximum(start, close) * spread, np.minimum(start, close) / spread
    opened_at = np.arange(count, dtype=np.int64) * INTERVALS[interval]
    return Bars(interval, opened_at, start, high, low, close, np.full(count, 1e6))


def rising(count: int, rate: float = 0.001, interval: str = "1h", skip: tuple[int, int] | None = None) -> Bars:
    """Every bar opens at the last close and closes `rate` away; `skip` (index, bars) leaves a gap before a bar."""
    close = 100.0 * np.power(1.0 + rate, np.arange(1, count + 1, dtype=np.float64))
    start = close / (1.0 + rate)
    high, low = np.maximum(start, close), np.minimum(start, close)
    steps = np.full(count, INTERVALS[interval], np.int64)
    steps[0] = 0
    if skip is not None:
        steps[skip[0]] += skip[1] * INTERVALS[interval]
    return Bars(interval, np.cumsum(steps), start, high, low, close, np.full(count, 1e6))
