"""Random walks for the tests of the past: bars with real ranges and volumes, and gaps where asked."""

from dataclasses import replace

import numpy as np

from wavetank.market.bars import Bars

HOUR_MS = 3_600_000
START = 444_444 * HOUR_MS


def walk(n: int, *, seed: int = 0, gap_at: int | None = None, gap_bars: int = 10, symbol: str = "X") -> Bars:
    """n hourly bars; from row `gap_at` on, `gap_bars` bars are missing before it."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, n) * (1.0 + (np.arange(n) // 50) % 2)))
    opened = np.r_[100.0, close[:-1]]
    high = np.maximum(opened, close) * (1.0 + rng.exponential(0.002, n))
    low = np.minimum(opened, close) / (1.0 + rng.exponential(0.002, n))
    opened_at = START + HOUR_MS * np.arange(n)
    if gap_at is not None:
        opened_at[gap_at:] += gap_bars * HOUR_MS
    return Bars("1h", opened_at, opened, high, low, close, rng.exponential(10.0, n), symbol=symbol)


def splice(bars: Bars, other: Bars, at: int) -> Bars:
    """Rows 0 … at−1 of `bars`, then the rows of `other`, whose prices are another future's."""
    columns = ("open", "high", "low", "close", "volume")
    return replace(bars, **{name: np.r_[getattr(bars, name)[:at], getattr(other, name)[at:]] for name in columns})
