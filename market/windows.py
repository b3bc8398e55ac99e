"""Trades gathered over a window of time: prices, volumes, averages, speed, surge, concentration.

A window is two lengths and a reference instant: it holds the trades of (ref − t1, ref − t2], t1 > t2 ≥ 0, all in ms.
Many windows are walked with two pointers, a stream is asked at one instant; both call the same kernel on the same
trades, so they give the same bits. Knows no bars, and nothing that came after its reference.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .jit import inlined_kernel, lean_kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Aggregates(NamedTuple):
    """What a window's trades come to. Without a trade, `deals` and `sum_volume` are 0 and all else is NaN."""

    max_price: float
    min_price: float
    first_price: float
    last_price: float
    sum_volume: float
    avg_volume: float  # a deal
    deals: float
    twpa: (
        float  # time-weighted: each price for as long as it was the last one, from the first trade to the window's end
    )
    vwap: float  # volume-weighted
    velocity: float  # log(last / first) a second of the window
    volume_surge: float  # volume over that of the window as long right before this one; NaN where that one had none
    volume_concentration: float  # Herfindahl index of the deals' volumes: 1 / deals (all alike) … 1 (all in one)


AGGREGATES = Aggregates._fields


@dataclass(frozen=True, eq=False)
class Trades:
    """Trades in order: `at` (n,) int64 ms UTC, not falling; `price` and `quantity` (n,) float64 above 0."""

    at: Ints
    price: Floats
    quantity: Floats

    def __post_init__(self) -> None:
        columns: dict[str, NDArray[Any]] = {
            "at": np.array(self.at, np.int64),
            "price": np.array(self.price, np.float64),
            "quantity": np.array(self.quantity, np.float64),
        }
        for name, values in columns.items():
            if values.ndim != 1 or len(values) != len(columns["at"]):
                raise ValueError(f"column {name} has shape {values.shape}, the trades are {len(columns['at'])}")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        for i in np.flatnonzero(np.diff(self.at) < 0)[:1]:
            raise ValueError(f"trade {i + 1} at {self.at[i + 1]} ms is older than the one before it")
        for name in ("price", "quantity"):
            values = columns[name]
            for i in np.flatnonzero(~(np.isfinite(values) & (values > 0)))[:1]:
                raise ValueError(f"trade {i}: {name} {values[i]} must be a number above 0")

    def __len__(self) -> int:
        return len(self.at)


def aggregate(trades: Trades, refs: ArrayLike, t1: int, t2: int = 0) -> Floats:
    """(len(refs), 12) float64: `AGGREGATES` of the window (ref − t1, ref − t2] of every reference.

    `refs` in ms UTC, not falling. Raises ValueError where a window or the references cannot be.
    """
    _check_window(t1, t2)
    instants = np.array(refs, np.int64)
    for i in np.flatnonzero(np.diff(instants) < 0)[:1]:
        raise ValueError(f"reference {i + 1} at {instants[i + 1]} ms is older than the one before it")
    out = np.empty((len(instants), len(AGGREGATES)))
    _walk(trades.at, trades.price, trades.quantity, instants, t1, t2, out)
    return out


class TradeStream:
    """The same window live: trades in order, asked at references that do not fall. Its state is bytes."""

    def __init__(self, t1: int, t2: int = 0) -> None:
        _check_window(t1, t2)
        self._t1, self._t2 = t1, t2
        self._reach = 2 * t1 - t2  # the surge looks at the window before
        self._at, self._price, self._quantity = np.empty(64, np.int64), np.empty(64), np.empty(64)
        self._count, self._ref = 0, -(2**62)

    def add(self, at: int, price: float, quantity: float) -> None:
        """Take the next trade; ValueError where it is older than the last one, or not a trade."""
        if self._count and at < self._at[self._count - 1]:
            raise ValueError(f"trade at {at} ms is older than the last one, {self._at[self._count - 1]}")
        if not (0.0 < price < math.inf and 0.0 < quantity < math.inf):
            raise ValueError(f"trade at {at} ms: price {price} and quantity {quantity} must be numbers above 0")
        if self._count == len(self._at):
            self._make_room()
        self._at[self._count], self._price[self._count], self._quantity[self._count] = at, price, quantity
        self._count += 1

    def ask(self, ref: int) -> Aggregates:
        """What the window (ref − t1, ref − t2] holds of the trades taken so far."""
        if ref < self._ref:
            raise ValueError(f"reference {ref} ms is older than the last one, {self._ref}")
        self._ref = ref
        edges = np.searchsorted(self._at[: self._count], [ref - self._reach, ref - self._t1, ref - self._t2], "right")
        before, begin, end = (int(edge) for edge in edges)
        return _gather(self._at, self._price, self._quantity, before, begin, end, ref - self._t2, self._t1 - self._t2)

    def state(self) -> bytes:
        """Everything the stream remembers."""
        kept = slice(self._count)
        head = np.array([self._ref, self._count], np.int64)
        parts = (head, self._at[kept], self._price[kept], self._quantity[kept])
        return b"".join(part.tobytes() for part in parts)

    def restore(self, state: bytes) -> None:
        """Go on exactly where `state` was taken."""
        ref, count = (int(value) for value in np.frombuffer(state[:16], np.int64))
        if len(state) != 16 + 24 * count:
            raise ValueError(f"a state of {len(state)} bytes does not hold {count} trades")
        cells = np.frombuffer(state[16:], np.int64).reshape(3, count)
        self._at, self._price, self._quantity = (
            np.concatenate([cells[0], np.empty(64, np.int64)]),
            np.concatenate([cells[1].view(np.float64), np.empty(64)]),
            np.concatenate([cells[2].view(np.float64), np.empty(64)]),
        )
        self._ref, self._count = ref, count

    def _make_room(self) -> None:
        """Forget what no window to come can reach; double the room where that is not much."""
        gone = int(np.searchsorted(self._at[: self._count], self._ref - self._reach, "right"))
        kept = self._count - gone
        size = len(self._at) if 2 * kept <= len(self._at) else 2 * len(self._at)
        for name in ("_at", "_price", "_quantity"):
            old = getattr(self, name)
            new = np.empty(size, old.dtype)
            new[:kept] = old[gone : self._count]
            setattr(self, name, new)
        self._count = kept


def _check_window(t1: int, t2: int) -> None:
    if not t1 > t2 >= 0:
        raise ValueError(f"a window from {t1} ms to {t2} ms before its reference cannot be: t1 > t2 ≥ 0")


@lean_kernel
def _walk(at: Ints, price: Floats, quantity: Floats, refs: Ints, t1: int, t2: int, out: Floats) -> None:
    before, begin, end = 0, 0, 0
    for k in range(len(refs)):
        before = _first_after(at, before, refs[k] - 2 * t1 + t2)
        begin = _first_after(at, begin, refs[k] - t1)
        end = _first_after(at, end, refs[k] - t2)
        told = _gather(at, price, quantity, before, begin, end, refs[k] - t2, t1 - t2)
        out[k, 0], out[k, 1], out[k, 2], out[k, 3] = told.max_price, told.min_price, told.first_price, told.last_price
        out[k, 4], out[k, 5], out[k, 6], out[k, 7] = told.sum_volume, told.avg_volume, told.deals, told.twpa
        out[k, 8], out[k, 9], out[k, 10] = told.vwap, told.velocity, told.volume_surge
        out[k, 11] = told.volume_concentration


@inlined_kernel
def _first_after(at: Ints, i: int, instant: int) -> int:
    while i < len(at) and at[i] <= instant:
        i += 1
    return i


@lean_kernel
def _gather(
    at: Ints, price: Floats, quantity: Floats, before: int, begin: int, end: int, until: int, length_ms: int
) -> Aggregates:
    """Trades begin … end − 1 of a window that ends at `until`; before … begin − 1 are those of the window before."""
    if end <= begin:
        nan = math.nan
        return Aggregates(nan, nan, nan, nan, 0.0, nan, 0.0, nan, nan, nan, nan, nan)
    first, last = float(price[begin]), float(price[end - 1])
    highest, lowest = first, first
    volume, squares, money, weighted = 0.0, 0.0, 0.0, 0.0
    for i in range(begin, end):
        paid, dealt = float(price[i]), float(quantity[i])
        highest, lowest = max(highest, paid), min(lowest, paid)
        volume += dealt
        squares += dealt * dealt
        money += paid * dealt
        weighted += paid * float((at[i + 1] if i + 1 < end else until) - at[i])
    deals, time = float(end - begin), float(until - at[begin])
    earlier = 0.0
    for i in range(before, begin):
        earlier += float(quantity[i])
    return Aggregates(
        highest,
        lowest,
        first,
        last,
        volume,
        volume / deals,
        deals,
        weighted / time if time > 0.0 else last,
        money / volume,
        math.log(last / first) / (0.001 * float(length_ms)),
        volume / earlier if earlier > 0.0 else math.nan,
        squares / (volume * volume),
    )
