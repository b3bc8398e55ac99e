"""Whether a recorded order book can be true: the book is rebuilt from its deltas and judged after every message.

Levels need a side, a price and a size; the best bid lies below the best ask; neither side is empty; and of the depth
near the touch neither side holds almost all for long. Knows no venue's wire format and no file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bars import Floats, Ints
from .jit import kernel
from .series_quality import Finding, number_of, others

BID, ASK = 1, -1

BOOK_CHECKS = {
    "book level": "levels have a side, a price within bounds and a size of 0 or more",
    "book crossed": "after every message the best bid lies below the best ask",
    "book empty": "after every message both sides have a level",
    "book balance": "near the touch neither side holds almost all of the depth for long",
}


@dataclass(frozen=True, slots=True)
class BookRules:
    """What may be true of a book. Prices are exclusive bounds.

    A message leaves the book lopsided where a side holds less than `least_share` of the size in the best `levels` of
    both; more than a share of `lopsided` such messages is strange. BTC's books of 2024 have 0.5 % of them.
    """

    price_low: float = 0.0
    price_high: float = 1e6
    levels: int = 20
    least_share: float = 0.05
    lopsided: float = 0.05

    def __post_init__(self) -> None:
        if not 0.0 <= self.price_low < self.price_high:
            raise ValueError(f"prices between {self.price_low} and {self.price_high} are no range above 0")
        if self.levels < 1:
            raise ValueError(f"the depth of {self.levels} levels is nothing")
        for name in ("least_share", "lopsided"):
            if not 0.0 <= getattr(self, name) <= 0.5:
                raise ValueError(f"rule {name} is {getattr(self, name)}, not a share of at most a half")


@dataclass(frozen=True, eq=False)
class BookDeltas:
    """Changed levels, a row each: `update` int64 is the message's id, `side` 1 bid and −1 ask, `qty` 0 deletes.

    Rows of one message share an update and lie together. A snapshot's rows replace the book as it stood after its
    `update`, wherever they lie. `told_at` int64 ms UTC is optional, and only quoted.
    """

    update: Ints
    side: NDArray[Any]
    price: Floats
    qty: Floats
    is_snapshot: NDArray[np.bool_]
    told_at: Ints | None = None

    def __post_init__(self) -> None:
        for name, dtype in (("update", np.int64), ("side", np.int64), ("price", np.float64), ("qty", np.float64)):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype))
        object.__setattr__(self, "is_snapshot", np.ascontiguousarray(self.is_snapshot, np.bool_))
        for name in ("side", "price", "qty", "is_snapshot", "told_at"):
            values = getattr(self, name)
            if values is not None and values.shape != self.update.shape:
                raise ValueError(f"column {name} has shape {values.shape}, the deltas are {self.update.shape}")

    def __len__(self) -> int:
        return len(self.update)


class Touch(NamedTuple):
    """The rebuilt book after each message: its last row in the deltas, best prices (NaN where none), bids' share.

    `bid_share` is the bids' part of the size in the best levels of both sides, NaN where both are empty.
    """

    rows: Ints
    bid: Floats
    ask: Floats
    bid_share: Floats


def check_book(deltas: BookDeltas, rules: BookRules = BookRules()) -> list[Finding]:
    """All that is wrong or strange about a book, one finding a check, in the order of `BOOK_CHECKS`.

    Rows that are no levels are errors, and the book is rebuilt without them. Raises ValueError without a snapshot:
    changes alone make no book.
    """
    impossible = _impossible(deltas, rules)
    found = [*_level_findings(deltas, impossible)]
    touch = rebuild(deltas, rules.levels, ~impossible)
    return [*found, *_touch_findings(deltas, touch, rules)]


def rebuild(deltas: BookDeltas, levels: int, usable: NDArray[np.bool_] | None = None) -> Touch:
    """Walk the book through every message from the first snapshot on."""
    possible = np.ones(len(deltas), np.bool_) if usable is None else usable
    if not np.any(deltas.is_snapshot & possible):
        raise ValueError(f"{len(deltas)} rows of deltas hold no snapshot, and changes alone make no book")
    rows = np.flatnonzero(possible)
    rows = rows[np.lexsort((deltas.is_snapshot[rows], deltas.update[rows]))]  # stable, a snapshot after its update
    rows = rows[int(np.argmax(deltas.is_snapshot[rows])) :]
    prices, level = np.unique(deltas.price[rows], return_inverse=True)
    update, snapshot = deltas.update[rows], deltas.is_snapshot[rows]
    ends = np.append((update[1:] != update[:-1]) | (snapshot[1:] != snapshot[:-1]), True)
    is_bid = deltas.side[rows] == BID
    count = int(ends.sum())
    best, share = np.empty((count, 2), np.int64), np.empty(count)
    _walk(level.astype(np.int64), is_bid, deltas.qty[rows], snapshot, ends, len(prices), levels, best, share)
    quoted = np.append(prices, np.nan)  # the last stands for no level
    return Touch(rows[ends].astype(np.int64), quoted[best[:, 0]], quoted[best[:, 1]], share)


@kernel
def _walk(
    level: Ints,
    is_bid: NDArray[np.bool_],
    qty: Floats,
    snapshot: NDArray[np.bool_],
    ends: NDArray[np.bool_],
    prices: int,
    levels: int,
    best: Ints,
    share: Floats,
) -> None:
    """Fill `best` (messages, 2) with the levels of best bid and ask, `prices` for none, and `share` of the bids."""
    bids, asks = np.zeros(prices), np.zeros(prices)
    bid, ask, message, begins = -1, prices, 0, True
    for i in range(len(level)):
        if begins and snapshot[i]:
            for k in range(prices):
                bids[k] = 0.0
                asks[k] = 0.0
            bid, ask = -1, prices
        at = level[i]
        if is_bid[i]:
            bids[at] = qty[i]
            bid = max(bid, at)
            while bid >= 0 and bids[bid] == 0.0:
                bid -= 1
        else:
            asks[at] = qty[i]
            ask = min(ask, at)
            while ask < prices and asks[ask] == 0.0:
                ask += 1
        begins = ends[i]
        if ends[i]:
            best[message, 0] = bid if bid >= 0 else prices
            best[message, 1] = ask
            share[message] = _bid_share(bids, asks, bid, ask, levels)
            message += 1


@kernel
def _bid_share(bids: Floats, asks: Floats, bid: int, ask: int, levels: int) -> float:
    bid_size, ask_size = 0.0, 0.0
    found, at = 0, bid
    while at >= 0 and found < levels:
        if bids[at] > 0.0:
            bid_size += bids[at]
            found += 1
        at -= 1
    found, at = 0, ask
    while at < len(asks) and found < levels:
        if asks[at] > 0.0:
            ask_size += asks[at]
            found += 1
        at += 1
    total = bid_size + ask_size
    return bid_size / total if total > 0.0 else np.nan


def _impossible(deltas: BookDeltas, rules: BookRules) -> NDArray[np.bool_]:
    price, qty = deltas.price, deltas.qty
    sided = (deltas.side == BID) | (deltas.side == ASK)
    priced = (price > rules.price_low) & (price < rules.price_high)
    sized = (qty >= 0.0) & (qty < np.inf) & ~(deltas.is_snapshot & (qty == 0.0))
    impossible: NDArray[np.bool_] = ~(sided & priced & sized)
    return impossible


def _level_findings(deltas: BookDeltas, impossible: NDArray[np.bool_]) -> Iterator[Finding]:
    rows = np.flatnonzero(impossible)
    if len(rows):
        i = int(rows[0])
        told = "snapshot" if deltas.is_snapshot[i] else "delta"
        words = f"{told} row {i} is no level: side {deltas.side[i]}, price {deltas.price[i]:g}, size {deltas.qty[i]:g}"
        yield _finding(deltas, "book level", "error", rows, f"{words}{others(len(rows))}", len(rows))


def _touch_findings(deltas: BookDeltas, touch: Touch, rules: BookRules) -> Iterator[Finding]:
    crossed = np.flatnonzero(touch.bid >= touch.ask)
    if len(crossed):
        i = int(crossed[np.argmax(touch.bid[crossed] - touch.ask[crossed])])
        update = deltas.update[touch.rows[i]]
        words = f"after update {update} the best bid {touch.bid[i]:g} is not below the best ask {touch.ask[i]:g}"
        more = f"; so after {number_of(len(crossed), 'message')} of {len(touch.rows):,}"
        depth = float(touch.bid[i] - touch.ask[i])
        yield _finding(deltas, "book crossed", "error", touch.rows[crossed], f"{words}{more}", depth)
    empty = np.flatnonzero(np.isnan(touch.bid) | np.isnan(touch.ask))
    if len(empty):
        side = "bid" if np.isnan(touch.bid[empty[0]]) else "ask"
        words = f"after update {deltas.update[touch.rows[empty[0]]]} there is no {side}{others(len(empty), 'message')}"
        yield _finding(deltas, "book empty", "error", touch.rows[empty], words, len(empty))
    lesser = np.minimum(touch.bid_share, 1.0 - touch.bid_share)
    lopsided = np.flatnonzero(lesser < rules.least_share)
    share = len(lopsided) / len(touch.rows)
    if share > rules.lopsided:
        words = f"{share:.1%} of {number_of(len(touch.rows), 'message')} leave a side less than {rules.least_share:.0%}"
        words = f"{words} of the size in the best {rules.levels} levels"
        yield _finding(deltas, "book balance", "warning", touch.rows[lopsided], words, share)


def _finding(deltas: BookDeltas, check: str, severity: str, rows: NDArray[Any], words: str, value: float) -> Finding:
    at = None if deltas.told_at is None else int(deltas.told_at[rows].min())
    return Finding(check, severity, tuple(rows.tolist()), at, words, float(value))
