"""Features of spoofing, owner by owner: what somebody shows the book, how soon it is gone, and where they really trade.

A spoofer shows large orders near the touch on one side, in layers, cancels nearly all of them soon, and fills on the
other side. Every sum fades with time, so a number speaks of the last minutes. A row is told at each cancel, for that is
when the picture is complete. Without owners a cluster of orders may stand for one. Knows no label and no threshold.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .chunks import Pace
from .jit import kernel
from .live_orders import AT, ID, LOTS, SIDE, find_order, new_orders, regrown, remove_order
from .order_events import CANCELLED, FILLED, RESTED, TAKEN, OrderEvent, OrderEvents, check_event
from .pump_features import Rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEATURE_CODE = 2  # raise it whenever a feature's number changes
MEMORY_CHUNKS = 12  # time constant of all sums: five minutes of 25-second chunks
ROOM = 64  # owners and orders at first; both grow
BLOCK = 4096  # events between two looks at whether the tables still have room

SPOOF_FEATURES = {  # name: what it says, and +1 where more of it can only make spoofing likelier, else 0
    "size": ("mean lots shown over those at the touch of the same side, log(1 + x)", 1),
    "weight": ("most of its own lots on one side over them and both touches", 1),
    "layers": ("most of its orders live on one side at once, log(1 + x)", 1),
    "distance": ("mean distance of shown lots from their touch in spreads, log(1 + x)", 0),
    "life": ("mean life of cancelled lots in chunks, log(1 + x)", 0),
    "cancelled": ("share of what left the book by cancel and not by fill", 1),
    "one_sided": ("imbalance of lots shown, without sign", 1),
    "opposite": ("traded against the side it shows: minus the product of both imbalances", 1),
    "opposite_fills": ("lots traded against the side it shows, over lots shown", 0),
    "activity": ("cancels within memory, log(1 + x)", 0),
    "watched": ("chunks since the owner was first seen, at most the memory, log(1 + x): before, sums say little", 0),
}
SIZE, WEIGHT, LAYERS, DISTANCE, LIFE, CANCELS_SHARE, ONE_SIDED, OPPOSITE, OPPOSITE_FILLS, ACTIVITY, WATCHED = range(11)

(
    SEEN_AT,
    SHOWN_BUY,
    SHOWN_SELL,
    SHOWN_SIZE,
    SHOWN_DISTANCE,
    GONE_CANCELLED,
    GONE_FILLED,
    LIFE_SUM,
    TRADED_BUY,
    TRADED_SELL,
    CANCELS,
    MOST_WEIGHT,
    MOST_LAYERS,
    LIVE_BUY,
    LIVE_SELL,
    LIVE_BUY_LOTS,
    LIVE_SELL_LOTS,
    FIRST_AT,
) = range(18)
OWNER_COLUMNS = 18


class Watched(NamedTuple):
    """All that is remembered: orders live now, and a row of sums for each owner."""

    orders: Ints
    owners: Floats


class SpoofBook:
    """The streaming form: takes order events one by one; the row of a cancel comes back."""

    def __init__(self, pace: Pace) -> None:
        self._memory_ms, self._chunk_ms = float(MEMORY_CHUNKS * pace.chunk_ms), float(pace.chunk_ms)
        self._state = Watched(new_orders(ROOM), np.zeros((ROOM, OWNER_COLUMNS)))
        self._seats: dict[int, int] = {}
        self._latest = 0

    def take(self, event: OrderEvent) -> Floats | None:
        """One event; the features (len(SPOOF_FEATURES),) of its owner if it is a cancel of a live order."""
        check_event(event)
        if event.at_ms < self._latest:
            raise ValueError(f"an order event at {event.at_ms} is older than the last one, {self._latest}")
        self._latest = event.at_ms
        row, events = np.zeros((1, len(SPOOF_FEATURES))), np.array([event], np.int64)
        return row[0] if self.take_block(events, row, np.zeros(1, np.int64)) else None

    def take_block(self, events: Ints, rows: Floats, places: Ints) -> int:
        """Events as rows of `OrderEvents.matrix`; how many rows were told, with the place of each one's event."""
        seats = np.array([self._seats.setdefault(int(owner), len(self._seats)) for owner in events[:, 2]], np.int64)
        self._make_room(len(events))
        return int(_take_all(self._state, events, seats, self._memory_ms, self._chunk_ms, rows, places))

    def _make_room(self, coming: int) -> None:
        orders, owners = self._state
        need = int(np.count_nonzero(orders[:, ID])) + coming
        if 2 * need > len(orders):
            orders = regrown(orders, need)
        if len(self._seats) > len(owners):
            more = max(len(self._seats), 2 * len(owners)) - len(owners)
            owners = np.concatenate([owners, np.zeros((more, OWNER_COLUMNS))])
        self._state = Watched(orders, owners)


def event_rows(events: OrderEvents, pace: Pace) -> tuple[Rows, Ints]:
    """A row for every cancel of an order that was seen to come, and the owner of each."""
    book, matrix = SpoofBook(pace), events.matrix()
    values, places, count = np.zeros((len(matrix), len(SPOOF_FEATURES))), np.zeros(len(matrix), np.int64), 0
    for start in range(0, len(matrix), BLOCK):
        told = book.take_block(matrix[start : start + BLOCK], values[count:], places[count:])
        places[count : count + told] += start
        count += told
    chosen = places[:count]
    return Rows(events.at_ms[chosen], values[:count]), events.owner[chosen]


@kernel
def _take_all(
    state: Watched, events: Ints, seats: Ints, memory_ms: float, chunk_ms: float, rows: Floats, places: Ints
) -> int:
    count = 0
    for i in range(len(events)):
        if _take(state, events[i], int(seats[i]), memory_ms, chunk_ms, rows, count):
            places[count] = i
            count += 1
    return count


@kernel
def _take(state: Watched, event: Ints, seat: int, memory_ms: float, chunk_ms: float, rows: Floats, count: int) -> bool:
    """Take one event into its owner's sums; whether it is a cancel whose row now stands in `rows`."""
    at_ms, kind, order_id, side, lots = event[0], event[1], event[3], event[4], event[6]
    mine = state.owners[seat]
    if mine[FIRST_AT] == 0.0:
        mine[FIRST_AT] = float(at_ms)
    _fade(mine, float(at_ms), memory_ms)
    if kind == TAKEN:
        mine[TRADED_BUY if side > 0 else TRADED_SELL] += float(lots)
        return False
    at = find_order(state.orders, order_id)
    if kind == RESTED:
        if state.orders[at, ID] == 0:
            order = state.orders[at]
            order[ID], order[SIDE], order[LOTS], order[AT] = order_id, side, lots, at_ms
            _show(mine, event)
        return False
    if state.orders[at, ID] == 0:
        return False
    gone = min(lots, int(state.orders[at, LOTS])) if kind == FILLED else int(state.orders[at, LOTS])
    if kind == FILLED:
        mine[GONE_FILLED] += float(gone)
        mine[TRADED_BUY if side > 0 else TRADED_SELL] += float(gone)
    else:
        mine[GONE_CANCELLED] += float(gone)
        mine[LIFE_SUM] += float(gone) * (float(at_ms - state.orders[at, AT]) / chunk_ms)
        mine[CANCELS] += 1.0
    _leave(state, at, gone, mine)
    if kind == CANCELLED:
        _tell(mine, float(at_ms), chunk_ms, rows[count])
    return bool(kind == CANCELLED)


@kernel
def _show(mine: Floats, event: Ints) -> None:
    """Add an order that now rests."""
    side, ticks, lots = event[4], event[5], float(event[6])
    bid, bid_lots, ask, ask_lots = event[7], float(event[8]), event[9], float(event[10])
    touch, touch_lots = (bid, bid_lots) if side > 0 else (ask, ask_lots)
    spread = float(ask - bid) if bid > 0 and ask > bid else 1.0
    away = max(0.0, float((touch - ticks) * side)) / spread if touch > 0 else 0.0
    mine[SHOWN_BUY if side > 0 else SHOWN_SELL] += lots
    mine[SHOWN_SIZE] += lots * (lots / max(1.0, touch_lots))
    mine[SHOWN_DISTANCE] += lots * math.log1p(away)
    live = LIVE_BUY if side > 0 else LIVE_SELL
    mine[live] += 1.0
    mine[live + 2] += lots
    mine[MOST_LAYERS] = max(mine[MOST_LAYERS], mine[live])
    # its lots at the touch stand in the touch as well: the weight is then a little too small
    mine[MOST_WEIGHT] = max(mine[MOST_WEIGHT], mine[live + 2] / (mine[live + 2] + bid_lots + ask_lots))


@kernel
def _leave(state: Watched, at: int, gone: int, mine: Floats) -> None:
    """Take `gone` lots off the order at place `at`, and the order with its last."""
    order = state.orders[at]
    live = LIVE_BUY if order[SIDE] > 0 else LIVE_SELL
    mine[live + 2] = max(0.0, mine[live + 2] - float(gone))
    if gone < order[LOTS]:
        order[LOTS] -= gone
        return
    mine[live] = max(0.0, mine[live] - 1.0)
    remove_order(state.orders, at)


@kernel
def _fade(mine: Floats, at_ms: float, memory_ms: float) -> None:
    passed = at_ms - mine[SEEN_AT]
    if passed > 0.0:
        left = math.exp(-min(passed / memory_ms, 700.0))
        for column in range(SHOWN_BUY, LIVE_BUY):  # what is live, is not past
            mine[column] *= left
        mine[SEEN_AT] = at_ms


@kernel
def _tell(mine: Floats, at_ms: float, chunk_ms: float, out: Floats) -> None:
    shown = mine[SHOWN_BUY] + mine[SHOWN_SELL]
    traded = mine[TRADED_BUY] + mine[TRADED_SELL]
    gone = mine[GONE_CANCELLED] + mine[GONE_FILLED]
    leaning = _share(mine[SHOWN_BUY] - mine[SHOWN_SELL], shown)
    against = mine[TRADED_SELL] if leaning > 0.0 else mine[TRADED_BUY]
    out[SIZE] = math.log1p(_share(mine[SHOWN_SIZE], shown))
    out[WEIGHT] = mine[MOST_WEIGHT]
    out[LAYERS] = math.log1p(mine[MOST_LAYERS])
    out[DISTANCE] = _share(mine[SHOWN_DISTANCE], shown)
    out[LIFE] = math.log1p(_share(mine[LIFE_SUM], mine[GONE_CANCELLED]))
    out[CANCELS_SHARE] = _share(mine[GONE_CANCELLED], gone)
    out[ONE_SIDED] = abs(leaning)
    out[OPPOSITE] = -leaning * _share(mine[TRADED_BUY] - mine[TRADED_SELL], traded)
    out[OPPOSITE_FILLS] = _share(against, shown)
    out[ACTIVITY] = math.log1p(mine[CANCELS])
    out[WATCHED] = math.log1p(min(float(MEMORY_CHUNKS), (at_ms - mine[FIRST_AT]) / chunk_ms))


@kernel
def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else 0.0
