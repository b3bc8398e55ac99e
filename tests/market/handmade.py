"""Bars made by hand and by draw for the tests of market/ and envs/. Knows no expected values."""

import math

import numpy as np

from wavetank.market.bars import INTERVALS, Bar, Bars

HOUR = INTERVALS["1h"]
MIDNIGHT = 1_704_067_200_000  # 2024-01-01 00:00:00 UTC, a Monday

Row = tuple[float, float, float, float, float]  # open, high, low, close, volume


def hourly(rows: list[Row], opened_at: int = MIDNIGHT) -> Bars:
    """One bar an hour, without gaps."""
    return Bars.from_rows("1h", [Bar(opened_at + i * HOUR, *row) for i, row in enumerate(rows)])


def flat_bar(price: float, at: int = MIDNIGHT, volume: float = 1_000.0) -> Bar:
    """A bar in which nothing moved: no volatility, so no impact."""
    return Bar(at, price, price, price, price, volume)


def drawn_bars(
    rng: np.random.Generator,
    count: int,
    *,
    interval: str = "1h",
    opened_at: int = MIDNIGHT,
    gaps: dict[int, int] | None = None,
    sigma: float = 0.02,
    volume: float = 5_000.0,
) -> Bars:
    """A rough random market. `gaps[i]` bars are missing before bar i; some bars have no range, some no volume."""
    step = INTERVALS[interval]
    at, last, rows = opened_at, 100.0, []
    for i in range(count):
        at += (gaps or {}).get(i, 0) * step
        open_ = last * math.exp(0.2 * sigma * float(rng.standard_normal()))
        close = open_ * math.exp(sigma * float(rng.standard_normal()))
        reach = sigma * abs(float(rng.standard_normal())) if rng.random() > 0.05 else 0.0
        high, low = max(open_, close) * (1.0 + reach), min(open_, close) * (1.0 - min(0.5, reach))
        amount = volume * float(rng.exponential()) if rng.random() > 0.05 else 0.0
        rows.append(Bar(at, open_, high, low, close, amount))
        at, last = at + step, close
    return Bars.from_rows(interval, rows, "DRAWN")


def same_bits(a: object, b: object) -> bool:
    """Two arrays are equal to the last bit (NaN included) and of one type."""
    x, y = np.asarray(a), np.asarray(b)
    return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
