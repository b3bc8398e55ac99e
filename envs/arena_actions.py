"""Order-level actions: a side, a level of the book, a size, and whether to withdraw what rests, as one MultiDiscrete.

`(side, level, size, cancel)`: side 0 none, 1 buy, 2 sell; level 0 at market, k the k-th best level of one's own side;
size a place in a list of shares of the allowed exposure; cancel 1 withdraws every own order before the new one is sent.
Kernels read the four as one code. Knows nothing of books.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

ORDERS = "orders"
MOST_LEVELS = 20
MOST_SIZES = 20
SIDES, CANCELS = 3, 2


@dataclass(frozen=True)
class OrderMenu:
    """What there is to choose from."""

    levels: int = 5
    sizes: tuple[float, ...] = (0.1, 0.3, 1.0)

    def __post_init__(self) -> None:
        if not 0 <= self.levels <= MOST_LEVELS:
            raise ValueError(f"order_levels {self.levels} must lie in 0 … {MOST_LEVELS}")
        if not 1 <= len(self.sizes) <= MOST_SIZES:
            raise ValueError(
                f"order_sizes needs 1 … {MOST_SIZES} shares of the allowed exposure, got {len(self.sizes)}"
            )
        for share in self.sizes:
            if not (math.isfinite(share) and 0.0 < share <= 2.0):
                raise ValueError(f"order_sizes: share {share} of the allowed exposure must be above 0 and at most 2")

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """How many sides, levels, sizes and cancels there are."""
        return SIDES, self.levels + 1, len(self.sizes), CANCELS

    def space(self) -> spaces.MultiDiscrete:
        """Of one market."""
        return spaces.MultiDiscrete(list(self.counts))

    def codes(self, actions: Any, count: int) -> NDArray[np.float64]:
        """(count,) codes of (count, 4) actions, as float64; ValueError on what the space does not hold."""
        given = np.asarray(actions)
        if given.size != count * len(self.counts):
            raise ValueError(f"{given.size} numbers were given for {count} order actions of {len(self.counts)} each")
        rows = given.reshape(count, len(self.counts))
        whole = rows.astype(np.int64) if rows.dtype.kind in "iu" else None
        if whole is None or (whole < 0).any() or (whole >= self.counts).any():
            raise ValueError(f"order action {rows[0].tolist()} must be whole numbers below {list(self.counts)}")
        side, level, size, cancel = whole.T
        _, levels, sizes, cancels = self.counts
        return np.asarray(((side * levels + level) * sizes + size) * cancels + cancel, np.float64)
