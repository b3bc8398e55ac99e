"""Order events: what happened to whose orders on a book, as validated columns, with the best quotes just before each.

RESTED: an order took its place in the book. A trade is two events: FILLED for the order that rested, TAKEN for the one
that came. Knows nothing of what they mean.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESTED, CANCELLED, FILLED, TAKEN = range(4)

Ints = NDArray[np.int64]


class OrderEvent(NamedTuple):
    """One event. `side` is the order's, +1 or −1; `ticks` 0 of a market order; quotes 0 where a side is empty."""

    at_ms: int
    kind: int
    owner: int
    order_id: int
    side: int
    ticks: int
    lots: int
    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int


@dataclass(frozen=True, eq=False)
class OrderEvents:
    """Events in order, a column of int64 for each field of `OrderEvent`. Raises ValueError where one cannot be true."""

    at_ms: Ints
    kind: Ints
    owner: Ints
    order_id: Ints
    side: Ints
    ticks: Ints
    lots: Ints
    bid_ticks: Ints
    bid_lots: Ints
    ask_ticks: Ints
    ask_lots: Ints

    def __post_init__(self) -> None:
        for column in fields(self):
            values = np.asarray(getattr(self, column.name))
            if values.shape != (len(self.at_ms),) or values.dtype.kind not in "iu":
                raise ValueError(f"column {column.name} of {values.dtype} has shape {values.shape}, not whole numbers")
            frozen = np.array(values, np.int64)
            frozen.flags.writeable = False
            object.__setattr__(self, column.name, frozen)
        if len(self.at_ms) > 1 and bool((np.diff(self.at_ms) < 0).any()):
            i = int(np.flatnonzero(np.diff(self.at_ms) < 0)[0]) + 1
            raise ValueError(f"event {i} at {self.at_ms[i]} is older than the one before")
        for i in np.flatnonzero(~self._can_be_true())[:1]:
            raise ValueError(f"event {i} cannot be true: {self.at(int(i))}")

    def __len__(self) -> int:
        return len(self.at_ms)

    def at(self, index: int) -> OrderEvent:
        """One row as plain Python numbers."""
        return OrderEvent(*(int(getattr(self, name)[index]) for name in OrderEvent._fields))

    def slice(self, start: int, stop: int) -> "OrderEvents":
        """Events start … stop−1."""
        return OrderEvents(*(getattr(self, name)[start:stop] for name in OrderEvent._fields))

    def matrix(self) -> Ints:
        """(n, fields) int64, the columns in the order of `OrderEvent`."""
        return np.ascontiguousarray(np.stack([getattr(self, name) for name in OrderEvent._fields], axis=1))

    def _can_be_true(self) -> NDArray[np.bool_]:
        truth: NDArray[np.bool_] = (
            (self.kind >= RESTED) & (self.kind <= TAKEN) & (np.abs(self.side) == 1) & (self.lots > 0)
        )
        truth &= (self.order_id > 0) & (self.ticks >= 0) & (self.bid_lots >= 0) & (self.ask_lots >= 0)
        return truth


def check_event(event: OrderEvent) -> None:
    """Raise ValueError where one event cannot be true."""
    quotes = event.bid_lots >= 0 and event.ask_lots >= 0 and event.ticks >= 0
    if event.kind not in (RESTED, CANCELLED, FILLED, TAKEN) or event.side not in (1, -1) or not quotes:
        raise ValueError(f"an order event cannot be true: {event}")
    if event.lots < 1 or event.order_id < 1:
        raise ValueError(f"an order event needs lots and an order's id above 0: {event}")
