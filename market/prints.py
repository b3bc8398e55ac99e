"""Prints: what a tape tells of each trade, as validated columns, in the order of the exchange.

A print is one fill: when, at what price, how much, who was the aggressor, and of which order if that is known. Knows
nothing of bars, books or what the trades may mean.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BUY, SELL = 1, -1
NO_ORDER = 0  # the tape does not tell which order a fill belongs to

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Print(NamedTuple):
    """One fill. `side` is the aggressor's: +1 bought, −1 sold; `order_id` 0 where the tape does not tell it."""

    at_ms: int
    price: float
    volume: float
    side: int
    order_id: int = NO_ORDER


@dataclass(frozen=True, eq=False)
class Prints:
    """Fills in order: `at_ms` int64 ms UTC, never falling; price and volume float64 above 0; side ±1; order_id int64.

    Raises ValueError, with the value and the place, where a print cannot be true.
    """

    at_ms: Ints
    price: Floats
    volume: Floats
    side: Ints
    order_id: Ints | None = None

    def __post_init__(self) -> None:
        count = len(self.at_ms)
        if self.order_id is None:
            object.__setattr__(self, "order_id", np.zeros(count, np.int64))
        for name, dtype in (("at_ms", np.int64), ("side", np.int64), ("order_id", np.int64)):
            self._freeze(name, dtype, count)
        for name in ("price", "volume"):
            self._freeze(name, np.float64, count)
        _refuse(np.diff(self.at_ms, prepend=self.at_ms[:1]) < 0, self.at_ms, "at_ms", "is older than the one before")
        _refuse(~(np.isfinite(self.price) & (self.price > 0)), self.price, "price", "must be a price above 0")
        _refuse(~(np.isfinite(self.volume) & (self.volume > 0)), self.volume, "volume", "must be above 0")
        _refuse(np.abs(self.side) != 1, self.side, "side", "is neither 1, bought, nor -1, sold")

    def __len__(self) -> int:
        return len(self.at_ms)

    @property
    def ids(self) -> Ints:
        """The orders' ids, 0 where unknown."""
        assert self.order_id is not None  # filled in when the prints were made
        return self.order_id

    def at(self, index: int) -> Print:
        """One row as plain Python numbers."""
        return Print(
            int(self.at_ms[index]),
            float(self.price[index]),
            float(self.volume[index]),
            int(self.side[index]),
            int(self.ids[index]),
        )

    def slice(self, start: int, stop: int) -> "Prints":
        """Prints start … stop−1, as views."""
        cut = slice(start, stop)
        return Prints(self.at_ms[cut], self.price[cut], self.volume[cut], self.side[cut], self.ids[cut])

    def _freeze(self, name: str, dtype: type, count: int) -> None:
        values = np.asarray(getattr(self, name))
        if values.shape != (count,):
            raise ValueError(f"column {name} has shape {values.shape}, the prints are {count}")
        frozen: NDArray[Any] = (
            np.array(values, dtype) if values.flags.writeable else np.ascontiguousarray(values, dtype)
        )
        frozen.flags.writeable = False
        object.__setattr__(self, name, frozen)


def check_print(at_ms: int, price: float, volume: float, side: int) -> None:
    """Raise ValueError where one print cannot be true; NaN fails every comparison."""
    if not (0.0 < price < np.inf and 0.0 < volume < np.inf):
        raise ValueError(f"a print at {at_ms} of {volume} at {price}: both must be numbers above 0")
    if side not in (BUY, SELL):
        raise ValueError(f"a print at {at_ms} has side {side}, neither 1, bought, nor -1, sold")


def _refuse(bad: NDArray[np.bool_], values: NDArray[Any], name: str, why: str) -> None:
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise ValueError(f"print {i}: {name} {values[i]} {why}")
