"""Raw rows: bars as a source told them, before anybody has judged them.

Columns of one length and nothing more: rows may repeat, lie off the grid, or be impossible. `quality` sorts them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bars import INTERVALS, Bars, Floats, Ints

PRICES = ("open", "high", "low", "close")
OPTIONAL = ("taker_buy_volume", "trades")


@dataclass(frozen=True, eq=False)
class RawBars:
    """`opened_at` int64 ms UTC; all other columns float64, NaN where the source said nothing."""

    interval: str
    opened_at: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    taker_buy_volume: Floats | None = None
    trades: Floats | None = None
    symbol: str = ""

    def __post_init__(self) -> None:
        if self.interval not in INTERVALS:
            raise ValueError(f"interval {self.interval!r} is not one of {', '.join(INTERVALS)}")
        object.__setattr__(self, "opened_at", np.array(self.opened_at, np.int64))
        for name, values in self._columns():
            column = np.array(values, np.float64)
            if column.shape != self.opened_at.shape:
                raise ValueError(f"column {name} has shape {column.shape}, the rows are {self.opened_at.shape}")
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.opened_at)

    @property
    def interval_ms(self) -> int:
        return INTERVALS[self.interval]

    def take(self, rows: NDArray[Any]) -> "RawBars":
        """The rows that an index or a mask picks, in its order."""
        cut = {name: values[rows] for name, values in self._columns()}
        return replace(self, opened_at=self.opened_at[rows], **cut)

    def bars(self) -> Bars:
        """The same as validated Bars; ValueError with the value and the place where a row cannot be one."""
        columns: dict[str, Any] = dict(self._columns())
        return Bars(interval=self.interval, opened_at=self.opened_at, symbol=self.symbol, **columns)

    @classmethod
    def of(cls, bars: Bars) -> "RawBars":
        """Bars as raw rows, to be judged like any others."""
        columns: dict[str, Any] = {name: getattr(bars, name) for name in (*PRICES, "volume", *OPTIONAL)}
        return cls(interval=bars.interval, opened_at=bars.opened_at, symbol=bars.symbol, **columns)

    @classmethod
    def joined(cls, parts: Sequence["RawBars"]) -> "RawBars":
        """Several pieces of one series as one, in the order given; optional columns only where all pieces have them."""
        if not parts:
            raise ValueError("there are no rows to join")
        names = [name for name, _ in parts[0]._columns() if all(getattr(part, name) is not None for part in parts)]
        columns: dict[str, Any] = dict.fromkeys(OPTIONAL)
        columns |= {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return replace(parts[0], opened_at=np.concatenate([part.opened_at for part in parts]), **columns)

    def _columns(self) -> Iterator[tuple[str, Floats]]:
        for name in (*PRICES, "volume", *OPTIONAL):
            values = getattr(self, name)
            if values is not None:
                yield name, values
