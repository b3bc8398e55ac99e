"""Bars: what a market did in one interval, and a whole history of them.

A bar is known when it closes, at `opened_at + interval - 1 ms`. Knows nothing of files, orders or money.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

DAY_MS = 86_400_000
YEAR_2100_MS = 4_102_444_800_000  # beyond it a source's time is not believed; invented markets may run longer
FARTHEST_MS = 10**15  # from 1970: today's micro- and nanoseconds, taken for milliseconds, lie beyond it
INTERVALS = {
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "1d": DAY_MS,
}
CROSSED_GAP = 3  # intervals: a longer gap ends the segment
UNKNOWN = -1  # taker_buy_volume and trades where the source has none

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Bar(NamedTuple):
    """One closed bar. A NamedTuple, because the same fact travels through compiled kernels."""

    opened_at: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    taker_buy_volume: float = float(UNKNOWN)
    trades: int = UNKNOWN


@dataclass(frozen=True, eq=False)
class Bars:
    """Validated, read-only columns of bars on one interval's grid; gaps stay gaps.

    `opened_at` int64 ms UTC; prices and volumes float64. Raises ValueError, with the value and the place,
    where a bar cannot be true.
    """

    interval: str
    opened_at: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    taker_buy_volume: Floats | None = None
    trades: Ints | None = None
    symbol: str = ""

    def __post_init__(self) -> None:
        if self.interval not in INTERVALS:
            raise ValueError(f"interval {self.interval!r} is not one of {', '.join(INTERVALS)}")
        self._freeze("opened_at", np.int64)
        for name in ("open", "high", "low", "close", "volume"):
            self._freeze(name, np.float64)
        if self.taker_buy_volume is not None:
            self._freeze("taker_buy_volume", np.float64)
        if self.trades is not None:
            self._freeze("trades", np.int64)
        _check_times(self)
        _check_prices(self)

    def __len__(self) -> int:
        return len(self.opened_at)

    def __iter__(self) -> Iterator[Bar]:
        return (self.bar(i) for i in range(len(self)))

    @property
    def interval_ms(self) -> int:
        return INTERVALS[self.interval]

    @property
    def closed_at(self) -> Ints:
        """The instant at which each bar is known: its last millisecond."""
        return self.opened_at + (self.interval_ms - 1)

    def bar(self, index: int) -> Bar:
        """One row as plain Python numbers."""
        taker, trades = self.taker_buy_volume, self.trades
        return Bar(
            int(self.opened_at[index]),
            float(self.open[index]),
            float(self.high[index]),
            float(self.low[index]),
            float(self.close[index]),
            float(self.volume[index]),
            float(UNKNOWN) if taker is None else float(taker[index]),
            UNKNOWN if trades is None else int(trades[index]),
        )

    def slice(self, start: int, stop: int) -> "Bars":
        """Bars start … stop−1, as views."""
        cut = slice(start, stop)
        return Bars(
            self.interval,
            self.opened_at[cut],
            self.open[cut],
            self.high[cut],
            self.low[cut],
            self.close[cut],
            self.volume[cut],
            None if self.taker_buy_volume is None else self.taker_buy_volume[cut],
            None if self.trades is None else self.trades[cut],
            self.symbol,
        )

    def segments(self) -> list[tuple[int, int]]:
        """(start, stop) of the stretches between gaps of more than three intervals."""
        breaks = np.flatnonzero(np.diff(self.opened_at) > (CROSSED_GAP + 1) * self.interval_ms) + 1
        edges = [0, *(int(b) for b in breaks), len(self)]
        return list(pairwise(edges))

    @classmethod
    def from_rows(cls, interval: str, rows: list[Bar], symbol: str = "") -> "Bars":
        """Bars from Bar facts; taker volume and trade counts only where every row has them."""
        has_taker = bool(rows) and all(row.taker_buy_volume >= 0 for row in rows)
        has_trades = bool(rows) and all(row.trades >= 0 for row in rows)
        return cls(
            interval,
            np.array([row.opened_at for row in rows], np.int64),
            np.array([row.open for row in rows], np.float64),
            np.array([row.high for row in rows], np.float64),
            np.array([row.low for row in rows], np.float64),
            np.array([row.close for row in rows], np.float64),
            np.array([row.volume for row in rows], np.float64),
            np.array([row.taker_buy_volume for row in rows], np.float64) if has_taker else None,
            np.array([row.trades for row in rows], np.int64) if has_trades else None,
            symbol,
        )

    def _freeze(self, name: str, dtype: type) -> None:
        values = np.asarray(getattr(self, name))
        if values.ndim != 1 or len(values) != len(self.opened_at):
            raise ValueError(f"column {name} has shape {values.shape}, the bars are {len(self.opened_at)}")
        if values.dtype.kind not in "iuf":
            kind = "whole milliseconds since 1970" if name == "opened_at" else "numbers"
            raise ValueError(f"column {name} holds {values.dtype}, not {kind}")
        if dtype is np.int64 and np.issubdtype(values.dtype, np.floating):
            _refuse(~np.isfinite(values) | (values != np.floor(values)), values, name, "is not a whole number")
        # what the caller could still write into is copied; a slice of other bars stays a view
        own: NDArray[Any] = np.array(values, dtype) if values.flags.writeable else np.ascontiguousarray(values, dtype)
        frozen = own.view()
        frozen.flags.writeable = False
        object.__setattr__(self, name, frozen)


def _check_times(bars: Bars) -> None:
    if len(bars) == 0:
        raise ValueError("there are no bars")
    outside = np.flatnonzero(np.abs(bars.opened_at) >= FARTHEST_MS)
    if len(outside):
        i = int(outside[0])
        raise ValueError(f"bar {i} opens at {bars.opened_at[i]}, which is not in milliseconds since 1970")
    off_grid = np.flatnonzero(bars.opened_at % bars.interval_ms)
    if len(off_grid):
        i = int(off_grid[0])
        raise ValueError(f"bar {i} opens at {bars.opened_at[i]} ms, which is not on the {bars.interval} grid")
    steps = np.diff(bars.opened_at)
    backwards = np.flatnonzero(steps <= 0)
    if len(backwards):
        i = int(backwards[0]) + 1
        what = "repeats" if steps[i - 1] == 0 else "is older than"
        raise ValueError(f"bar {i} opened at {bars.opened_at[i]} ms {what} the one before it")


def _check_prices(bars: Bars) -> None:
    for name in ("open", "high", "low", "close"):
        values = getattr(bars, name)
        _refuse(~(np.isfinite(values) & (values > 0)), values, name, "must be a price above 0")
    _refuse(~(np.isfinite(bars.volume) & (bars.volume >= 0)), bars.volume, "volume", "must be 0 or more")
    _refuse(bars.low > np.minimum(bars.open, bars.close), bars.low, "low", "lies above open or close")
    _refuse(bars.high < np.maximum(bars.open, bars.close), bars.high, "high", "lies below open or close")
    if bars.taker_buy_volume is not None:
        taker = bars.taker_buy_volume
        _refuse(~(np.isfinite(taker) & (taker >= 0)), taker, "taker_buy_volume", "must be 0 or more")
        slack = 1e-9 * bars.volume
        _refuse(taker > bars.volume + slack, taker, "taker_buy_volume", "is more than the volume")
    if bars.trades is not None:
        _refuse(bars.trades < 0, bars.trades, "trades", "must be 0 or more")


def _refuse(bad: NDArray[np.bool_], values: NDArray[Any], name: str, why: str) -> None:
    rows = np.flatnonzero(bad)
    if len(rows):
        raise ValueError(f"bar {int(rows[0])}: {name} {values[rows[0]]} {why}")
