"""Stores for tests: three months of drawn bars, how they are added, and what makes bars the same. Expects nothing."""

from pathlib import Path

import numpy as np

from wavetank.market.bars import Bars
from wavetank.market.store import Added, Store

from .handmade import HOUR, MIDNIGHT, drawn_bars, same_bits

DAY = 24 * HOUR
FEBRUARY = MIDNIGHT + 31 * DAY
FEBRUARY_ROW = 31 * 24
MARCH = FEBRUARY + 29 * DAY
COLUMNS = ("opened_at", "open", "high", "low", "close", "volume", "taker_buy_volume", "trades")
SERIES = ("binance", "DRAWN", "1h")
QUARTER = drawn_bars(np.random.default_rng(1), 91 * 24)  # January to March 2024


def assert_same(a: Bars, b: Bars) -> None:
    """Equal to the last bit, optional columns included."""
    assert a.interval == b.interval
    for name in COLUMNS:
        left, right = getattr(a, name), getattr(b, name)
        assert (left is None) == (right is None), name
        assert left is None or same_bits(left, right), name


def with_optional(bars: Bars) -> Bars:
    """The same bars with a taker volume and a number of trades."""
    rows = [bar._replace(taker_buy_volume=bar.volume / 3, trades=i) for i, bar in enumerate(bars)]
    return Bars.from_rows(bars.interval, rows, bars.symbol)


def files(root: Path) -> list[str]:
    """Every Parquet file under a root, whole or half, in order."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.parquet*"))


def added(store: Store, bars: Bars = QUARTER, *, replace: bool = False) -> Added:
    """Add bars to the series that most tests are about."""
    return store.append("binance", "DRAWN", bars, source="test", replace=replace)
