"""Funding: a perpetual's series of rates and the instants at which they fall due. Knows no position and no money."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Funding:
    """A funding series: `stamps` int64 ms UTC, increasing; `rates` float64, longs pay a positive one."""

    stamps: NDArray[np.int64]
    rates: NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "stamps", np.array(self.stamps, np.int64))
        object.__setattr__(self, "rates", np.array(self.rates, np.float64))
        if len(self.stamps) != len(self.rates):
            raise ValueError(f"funding has {len(self.stamps)} stamps and {len(self.rates)} rates")
        if np.any(np.diff(self.stamps) <= 0):
            raise ValueError("funding stamps must increase")
        if not np.isfinite(self.rates).all():
            raise ValueError("funding rates must be finite")

    @property
    def digest(self) -> str:
        """sha256 over every stamp and rate."""
        return hashlib.sha256(self.stamps.tobytes() + self.rates.tobytes()).hexdigest()

    def due(self, opened_at: int, interval_ms: int) -> float:
        """Sum of the rates whose stamps lie in [open, close) of one bar."""
        first, last = np.searchsorted(self.stamps, (opened_at, opened_at + interval_ms), "left")
        total = 0.0
        for rate in self.rates[first:last]:
            total += float(rate)
        return total
