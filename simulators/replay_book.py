"""Recorded books through the order book: level deltas (L2) and order events (L3), each event a message of its own.

A level of an L2 feed becomes one order of a synthetic owner, so that the rebuilt book can be held against the venue's
own best quotes. The orders of an L3 feed are sent as they came: our rules match them, and how often that ends as it did
at the venue is counted. Knows no file and no venue's wire format.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..market.book_quality import BookDeltas
from ..market.jit import kernel
from . import ladder
from .book import OrderBook
from .ladder import ASKS, BEST_ASK, BEST_BID, BIDS, FRONT, ID, LOTS, PRICE, QUEUED, Book, Ints, find
from .matching import (
    BUY,
    CANCEL,
    LIMIT,
    MESSAGE_ID,
    MESSAGE_KIND,
    MESSAGE_LOTS,
    MESSAGE_OWNER,
    MESSAGE_PRICE,
    MESSAGE_SIDE,
    MESSAGE_WIDTH,
    ONLY_TRADES,
    REPLACE,
    SELL,
    Reject,
    process,
)

CREATED, CHANGED, DELETED = range(3)
BIDDER, ASKER = 0, 1  # the synthetic owners: two, so that nobody meets himself


class Outcome(IntEnum):
    """How a recorded order event stands to the book that our rules made."""

    UNKNOWN = 0  # a change of an order that was there before the record began: passed over
    REFUSED = 1  # a new order that the book refused
    AGREED = 2  # changed or deleted with the lots that the book has left of it, none included
    AHEAD = 3  # changed, but fewer lots are left in the book: a sweep that the feed tells one fill after the other
    CORRECTED = 4  # the book had more lots: they were cut to the recorded ones, or the order taken out
    LOST = 5  # deleted with lots that the book had already traded


@dataclass(frozen=True, eq=False)
class OrderEvents:
    """Order events in the order of the feed, a row each, all int64.

    `action` is CREATED, CHANGED or DELETED; `side` +1 bid, −1 ask; `ticks` above 0; `lots` what is left of the order
    after the event (for a deletion: when it was taken out, 0 where it was filled).
    """

    action: Ints
    order_id: Ints
    side: Ints
    ticks: Ints
    lots: Ints

    def __post_init__(self) -> None:
        for name in ("action", "order_id", "side", "ticks", "lots"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), np.int64))
            if getattr(self, name).shape != self.action.shape:
                raise ValueError(f"column {name} has {len(getattr(self, name))} rows, action has {len(self.action)}")

    def __len__(self) -> int:
        return len(self.action)


@dataclass(frozen=True, eq=False)
class LevelReplay:
    """The rebuilt book after every message: its update and (n, 4) int64 of bid, bid lots, ask, ask lots.

    Prices are places in `prices`, the sorted prices of the feed, counted from 1; 0 where a side is empty.
    """

    book: OrderBook
    prices: NDArray[np.float64]
    update: Ints
    touch: Ints


@dataclass(frozen=True, eq=False)
class OrderReplay:
    """The book that the orders made; (n, 4) int64 of bid, bid lots, ask, ask lots after every event; its outcome."""

    book: OrderBook
    touch: Ints
    outcomes: Ints  # (n,): an `Outcome` for every change, deletion and refused order; −1 for an accepted one

    def counts(self, events: OrderEvents, actions: Sequence[int] = (CREATED, CHANGED, DELETED)) -> dict[Outcome, int]:
        """How many of the events of these kinds came out how."""
        chosen = self.outcomes[np.isin(events.action, actions)]
        return {outcome: int((chosen == outcome).sum()) for outcome in Outcome}


def replay_levels(deltas: BookDeltas, lot: float) -> LevelReplay:
    """Rebuild a book from a snapshot and the changes after it, through our own order book.

    Raises ValueError where there is no snapshot, or a size is no multiple of `lot`.
    """
    if not np.any(deltas.is_snapshot):
        raise ValueError(f"{len(deltas)} rows of deltas hold no snapshot, and changes alone make no book")
    lots = whole_lots(deltas.qty, lot)
    rows = np.lexsort((lots > 0, deltas.is_snapshot, deltas.update))  # deletions first: no level is met on its way out
    rows = rows[int(np.argmax(deltas.is_snapshot[rows])) :]
    prices, places = np.unique(deltas.price[rows], return_inverse=True)
    update, snapshot = deltas.update[rows], deltas.is_snapshot[rows]
    ends = np.append((update[1:] != update[:-1]) | (snapshot[1:] != snapshot[:-1]), True)
    book = OrderBook(2, levels=len(prices) + 1, capacity=2 * len(prices), room=6 * len(prices))
    book.arrays.head[ladder.LOG_KINDS] = ONLY_TRADES
    touch = np.zeros((int(ends.sum()), 4), np.int64)
    places = np.ascontiguousarray(places + 1, np.int64)
    _walk_levels(book.arrays, places, np.sign(deltas.side[rows]), lots[rows], snapshot, ends, touch, *_letter())
    _check(book, allowed=())
    return LevelReplay(book, prices, update[ends], touch)


def replay_orders(events: OrderEvents, *, capacity: int = 1 << 17, room: int = 1 << 20) -> OrderReplay:
    """Send recorded orders through our rules, and count how often they end as they did at the venue.

    `capacity` bounds the orders alive at a time, `room` the trades kept; ValueError where either is too small.
    """
    book = OrderBook(
        2, levels=max(2, int(events.ticks.max(initial=0)) + 1), capacity=capacity, room=room + 2 * capacity
    )
    book.arrays.head[ladder.LOG_KINDS] = ONLY_TRADES
    touch, outcomes = np.zeros((len(events), 4), np.int64), np.zeros(len(events), np.int64)
    columns = (events.action, events.order_id, events.side, events.ticks, events.lots)
    known = np.isin(events.order_id, events.order_id[events.action == CREATED])
    _walk_orders(book.arrays, *columns, known, touch, outcomes, *_letter())
    _check(book, allowed=[code for code in Reject if code not in (Reject.LOG_FULL, Reject.BOOK_FULL)])
    return OrderReplay(book, touch, outcomes)


def whole_lots(sizes: NDArray[Any], lot: float) -> Ints:
    """Sizes in lots; ValueError where one is no whole number of them."""
    lots = np.round(sizes / lot)
    off = np.flatnonzero(np.abs(sizes - lots * lot) > 1e-3 * lot)
    if len(off):
        raise ValueError(f"a size of {float(sizes[off[0]])} in row {off[0]} is no multiple of the lot {lot}")
    return lots.astype(np.int64)


def _letter() -> tuple[Ints, Ints]:
    """Room for one message and its answer."""
    return np.zeros((1, MESSAGE_WIDTH), np.int64), np.zeros(1, np.int64)


def _check(book: OrderBook, allowed: Sequence[Reject]) -> None:
    wrong = {code.name: count for code, count in book.rejects().items() if count and code not in allowed}
    if wrong:
        raise ValueError(f"the book refused messages of the record: {wrong}")


@kernel
def _walk_levels(
    book: Book,
    place: Ints,
    side: Ints,
    lots: Ints,
    snapshot: NDArray[np.bool_],
    ends: NDArray[np.bool_],
    touch: Ints,
    message: Ints,
    answer: Ints,
) -> None:
    group, begins = 0, True
    for i in range(len(place)):
        if begins and snapshot[i]:
            _clear(book, message, answer)
        order_id = 2 * int(place[i]) + (1 if side[i] == BUY else 0)
        lives = find(book, order_id) != 0
        if lots[i] > 0:
            kind = REPLACE if lives else LIMIT
            _send(book, message, answer, kind, order_id, int(side[i]), int(place[i]), int(lots[i]))
        elif lives:
            _send(book, message, answer, CANCEL, order_id, int(side[i]), int(place[i]), int(lots[i]))
        begins = ends[i]
        if ends[i]:
            _note_touch(book, touch, group)
            group += 1


@kernel
def _walk_orders(
    book: Book,
    action: Ints,
    order_id: Ints,
    side: Ints,
    ticks: Ints,
    lots: Ints,
    known: NDArray[np.bool_],
    touch: Ints,
    outcomes: Ints,
    message: Ints,
    answer: Ints,
) -> None:
    for i in range(len(action)):
        outcomes[i] = -1
        number, way, left = int(order_id[i]), int(side[i]), int(lots[i])
        if action[i] == CREATED:
            _send(book, message, answer, LIMIT, number, way, int(ticks[i]), left)
            if answer[0] < 0:
                outcomes[i] = 1
        elif not known[i]:
            outcomes[i] = 0
        else:
            slot = find(book, number) if number > 0 else 0
            ours = int(book.orders[slot, LOTS]) if slot != 0 else 0
            outcomes[i] = _outcome(int(action[i]), ours, left)
            if slot != 0 and (action[i] == DELETED or left == 0):
                _send(book, message, answer, CANCEL, number, way, 0, 0)
            elif ours > left:
                _send(book, message, answer, REPLACE, number, way, int(book.orders[slot, PRICE]), left)
        _note_touch(book, touch, i)


@kernel
def _outcome(action: int, ours: int, left: int) -> int:
    if ours == left:
        return 2
    if ours > left:
        return 4
    return 3 if action == CHANGED else 5


@kernel
def _send(book: Book, message: Ints, answer: Ints, kind: int, order_id: int, side: int, price: int, lots: int) -> None:
    message[0, MESSAGE_KIND] = kind
    message[0, MESSAGE_ID] = order_id
    message[0, MESSAGE_OWNER] = BIDDER if side == BUY else ASKER
    message[0, MESSAGE_SIDE] = side
    message[0, MESSAGE_PRICE] = price
    message[0, MESSAGE_LOTS] = lots
    process(book, message, 1, answer)


@kernel
def _clear(book: Book, message: Ints, answer: Ints) -> None:
    """A snapshot replaces whatever there is."""
    while book.head[BIDS] > 0:
        slot = int(book.levels[int(book.head[BEST_BID]), FRONT])
        _send(book, message, answer, CANCEL, int(book.orders[slot, ID]), BUY, 0, 0)
    while book.head[ASKS] > 0:
        slot = int(book.levels[int(book.head[BEST_ASK]), FRONT])
        _send(book, message, answer, CANCEL, int(book.orders[slot, ID]), SELL, 0, 0)


@kernel
def _note_touch(book: Book, touch: Ints, row: int) -> None:
    bid, ask = int(book.head[BEST_BID]), int(book.head[BEST_ASK])
    touch[row, 0] = bid
    touch[row, 1] = book.levels[bid, QUEUED] if bid != 0 else 0
    touch[row, 2] = ask
    touch[row, 3] = book.levels[ask, QUEUED] if ask != 0 else 0
