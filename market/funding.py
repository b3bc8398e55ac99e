"""Funding: a perpetual's series of rates and the instants at which they fall due. Knows no position and no money."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

PERIOD_MS = 8 * 3_600_000  # the longest between two settlements of the usual venues
LARGEST_RATE = 0.5  # of the position's value at once; venues cap theirs at a few per cent


@dataclass(frozen=True, eq=False)
class Funding:
    """A funding series: `stamps` int64 ms UTC, increasing; `rates` float64, longs pay a positive one."""

    stamps: NDArray[np.int64]
    rates: NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "stamps", np.array(self.stamps, np.int64))
        object.__setattr__(self, "rates", np.array(self.rates, np.float64))
        if self.stamps.ndim != 1 or self.rates.ndim != 1:
            raise ValueError(f"funding of shapes {self.stamps.shape} and {self.rates.shape} is no series")
        if len(self.stamps) != len(self.rates):
            raise ValueError(f"funding has {len(self.stamps)} stamps and {len(self.rates)} rates")
        if np.any(np.diff(self.stamps) <= 0):
            raise ValueError("funding stamps must increase")
        if not np.isfinite(self.rates).all():
            raise ValueError("funding rates must be finite")
        if np.any(np.abs(self.rates) >= LARGEST_RATE):
            worst = self.rates[np.argmax(np.abs(self.rates))]
            raise ValueError(f"a funding rate of {worst} is not a share: 0.0001 is one basis point")

    def check_covers(self, opened_at: int, closed_at: int) -> None:
        """Raise ValueError unless rates reach from the first open to the last close, one period missing at most.

        A series that ends before the bars would make the rest of them free.
        """
        if not len(self.stamps) or self.stamps[0] > opened_at + PERIOD_MS or self.stamps[-1] < closed_at - PERIOD_MS:
            told = f"from {_day(self.stamps[0])} to {_day(self.stamps[-1])}" if len(self.stamps) else "nowhere"
            raise ValueError(f"funding rates run {told}, the bars from {_day(opened_at)} to {_day(closed_at)}")

    @property
    def digest(self) -> str:
        """sha256 over every stamp and rate."""
        return hashlib.sha256(self.stamps.tobytes() + self.rates.tobytes()).hexdigest()

    def to_json(self) -> dict[str, list[float]]:
        """Plain lists, exact to the last bit."""
        return {"stamps": self.stamps.tolist(), "rates": self.rates.tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Sequence[float]]) -> "Funding":
        """Read what `to_json` wrote."""
        return cls(np.array(data["stamps"], np.int64), np.array(data["rates"], np.float64))

    def due(self, opened_at: int, interval_ms: int) -> float:
        """Sum of the rates whose stamps lie in [open, close) of one bar."""
        first, last = np.searchsorted(self.stamps, (opened_at, opened_at + interval_ms), "left")
        total = 0.0
        for rate in self.rates[first:last]:
            total += float(rate)
        return total


def _day(at: int | np.int64) -> str:
    return datetime.fromtimestamp(int(at) / 1000, UTC).strftime("%Y-%m-%d %H:%M")
