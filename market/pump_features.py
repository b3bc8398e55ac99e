"""Features of pumps: how far the last chunk of trading lies from what was usual, in numbers that have no scale.

The base is La Morgia et al. (2020): moving mean and spread of rush orders, trades and volumes, and price. They took
the relative change of a moving mean or spread from one chunk to the next; for a window of n chunks that is
(x/mean − 1)/n and √(1 + (z² − 1)/n) − 1, so here stand x/mean and z themselves, which do not depend on the window. A
dead market has no spread: each has a floor of one order, or of one usual busy chunk. Knows no label, no threshold.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bars import Bar, Bars
from .chunks import (
    BUSY,
    BUY_VOLUME,
    CELL,
    CLOSED,
    ENTERED,
    HIGH,
    HOP,
    IS_OPEN,
    LAST,
    MERGING_AT,
    ORDERS,
    PARTS,
    PRICE_CHUNKS,
    QUANTITY,
    RETURN,
    RING,
    RUSH,
    SQUARES,
    SUMS,
    TRADES,
    VOLUME,
    WARM,
    Chunks,
    Pace,
    close_cell,
    log_ratio,
    new_chunks,
    skip_cells,
)
from .jit import kernel
from .prints import Prints
from .rush_orders import NEW_ORDER, NEW_RUSH, merge_fill

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEATURE_CODE = 1  # raise it whenever a feature's number changes: tables trained before are then refused
LEAST_BUSY = 10  # usual chunks with trading, without which nothing is usual
LEAST_SPREAD = 5e-4  # of returns: a price that never moved would make its first tick a miracle
DAY_MS, HOUR_MS = 86_400_000, 3_600_000

(
    STD_RUSH_ORDERS,
    AVG_RUSH_ORDERS,
    STD_TRADES,
    AVG_TRADES,
    STD_ORDERS,
    AVG_ORDERS,
    STD_VOLUMES,
    AVG_VOLUMES,
    AVG_BUY_VOLUMES,
    STD_PRICE,
    AVG_PRICE,
    AVG_PRICE_MAX,
    RUSH_SHARE,
    BUY_SHARE,
    RETRACE,
    GROWTH_RUSH_ORDERS,
    HOUR_SIN,
    HOUR_COS,
    MINUTE_SIN,
    MINUTE_COS,
) = range(20)

PUMP_FEATURES = {  # name: what it says, and +1 where more of it can only make a pump likelier, else 0
    "std_rush_orders": ("rush orders of the chunk in spreads above their mean, log(1 + z)", 1),
    "avg_rush_orders": ("rush orders of the chunk over their mean, log", 1),
    "std_trades": ("fills, log(1 + z)", 1),
    "avg_trades": ("fills over their mean, log", 1),
    "std_orders": ("market orders, log(1 + z)", 1),
    "avg_orders": ("market orders over their mean, log", 1),
    "std_volumes": ("volume in the quote currency, log(1 + z)", 1),
    "avg_volumes": ("volume over its mean, log", 1),
    "avg_buy_volumes": ("volume of buyers over its mean, log", 1),
    "std_price": ("the chunk's high over the price before it, in spreads of usual returns, log(1 + z)", 1),
    "avg_price": ("mean price of the chunk over the price ten chunks ago, log", 0),
    "avg_price_max": ("the chunk's high over the price ten chunks ago, log", 0),
    "rush_share": ("rush orders in a hundred market orders, over a hundred", 1),
    "buy_share": ("buyers' share of the volume", 1),
    "retrace": ("share of the rise to the chunk's high that was lost again by its end", 0),
    "growth_rush_orders": ("growth of the spread of rush orders by this chunk, per cent of 900: the published form", 0),
    "hour_sin": ("hour of the day", 0),
    "hour_cos": ("hour of the day", 0),
    "minute_sin": ("minute of the hour", 0),
    "minute_cos": ("minute of the hour", 0),
}
BAR_FEATURES = ("std_volumes", "avg_volumes", "std_price", "avg_price", "avg_price_max", "retrace")
PUBLISHED_WINDOW = 900.0  # chunks: La Morgia's


class Rows(NamedTuple):
    """What a detector sees: `known_at` (n,) int64, when each chunk was over, and `values` (n, features) float64."""

    known_at: Ints
    values: Floats


def tape_rows(prints: Prints, pace: Pace, until_ms: int | None = None) -> Rows:
    """A row for every chunk with trading in its last cell, once warm; `until_ms` closes the cell that is open then."""
    state = new_chunks(pace)
    cells = int(prints.at_ms[-1] - prints.at_ms[0]) // pace.hop_ms + 2 if len(prints) else 0
    room = min(len(prints), cells) + 1
    known_at, values = np.zeros(room, np.int64), np.zeros((room, len(PUMP_FEATURES)))
    count = _take_all(state, prints.at_ms, prints.price, prints.volume, prints.side, prints.ids, known_at, values)
    if until_ms is not None and pass_time(state, until_ms, values[count]):
        known_at[count] = closes_at(state)
        count += 1
    return Rows(known_at[:count], values[:count])


def bar_rows(bars: Bars, pace: Pace) -> Rows:
    """The same features with a bar for a chunk, a row each once warm; only `BAR_FEATURES` mean anything.

    A gap of more than three intervals begins anew. The volume is of the quote currency, at the bar's typical price.
    """
    known_at, values = np.zeros(len(bars), np.int64), np.zeros((len(bars), len(PUMP_FEATURES)))
    count = 0
    for start, stop in bars.segments():
        state = new_chunks(pace)
        for bar in (bars.bar(i) for i in range(start, stop)):
            if take_bar(state, bar.opened_at, bar.volume, typical(bar), bar.high, bar.close, values[count]):
                known_at[count] = bar.opened_at + bars.interval_ms - 1
                count += 1
    return Rows(known_at[:count], values[:count])


def bar_pace(interval_ms: int, window_bars: int = 360, warm_bars: int = 60) -> Pace:
    """The pace of a detector that sees bars: each is a chunk."""
    return Pace(interval_ms, interval_ms, window_bars * interval_ms, warm_bars * interval_ms)


def typical(bar: Bar) -> float:
    """The bar's typical price, in place of its volume-weighted mean."""
    return (bar.high + bar.low + bar.close) / 3.0


@kernel
def take_print(state: Chunks, at_ms: int, price: float, volume: float, side: int, order_id: int, out: Floats) -> bool:
    """Take one fill; whether it ended a chunk that is worth a row, written to `out` (features,) float64.

    The row is of the chunk before this print, and knows nothing of it.
    """
    clock, cell, hop = state.clock, state.cell, int(state.pace[HOP])
    now = at_ms // hop
    told = pass_time(state, at_ms, out)
    if clock[IS_OPEN] == 0:
        if clock[CLOSED] > 0:
            skip_cells(state, now - int(clock[CELL]) - 1)
        clock[CELL], clock[IS_OPEN] = now, 1
    merged = merge_fill(clock[MERGING_AT:], at_ms, side, order_id)
    cell[RUSH] += 1.0 if merged == NEW_RUSH else 0.0
    cell[ORDERS] += 1.0 if merged == NEW_ORDER else 0.0
    cell[TRADES] += 1.0
    cell[VOLUME] += price * volume
    cell[BUY_VOLUME] += price * volume if side > 0 else 0.0
    cell[QUANTITY] += volume
    cell[HIGH] = max(cell[HIGH], price)
    state.last[0] = price
    return told


@kernel
def take_bar(state: Chunks, opened_at: int, volume: float, mean: float, high: float, close: float, out: Floats) -> bool:
    """Take one closed bar as a chunk of its own; whether `out` holds its row."""
    clock, cell = state.clock, state.cell
    now = opened_at // int(state.pace[HOP])
    if clock[CLOSED] > 0:
        skip_cells(state, now - int(clock[CELL]) - 1)
    else:
        state.last[0] = close
    clock[CELL] = now
    cell[TRADES], cell[VOLUME], cell[QUANTITY], cell[HIGH] = 1.0, volume * mean, volume, high
    state.last[0] = close
    close_cell(state)
    return _tell(state, out)


@kernel
def pass_time(state: Chunks, now_ms: int, out: Floats) -> bool:
    """Let the clock say `now_ms`: an open cell that is over closes; whether its chunk is worth a row in `out`."""
    clock = state.clock
    if clock[IS_OPEN] == 0 or now_ms // int(state.pace[HOP]) <= clock[CELL]:
        return False
    close_cell(state)
    return _tell(state, out)


@kernel
def closes_at(state: Chunks) -> int:
    """The instant at which the newest closed cell was over."""
    return (int(state.clock[CELL]) + 1) * int(state.pace[HOP])


@kernel
def _take_all(
    state: Chunks, at_ms: Ints, price: Floats, volume: Floats, side: Ints, ids: Ints, known_at: Ints, values: Floats
) -> int:
    count = 0
    for i in range(len(at_ms)):
        closes = closes_at(state)
        if take_print(
            state, int(at_ms[i]), float(price[i]), float(volume[i]), int(side[i]), int(ids[i]), values[count]
        ):
            known_at[count] = closes
            count += 1
    return count


@kernel
def _tell(state: Chunks, out: Floats) -> bool:
    """Write the newest chunk's features, if there is a past to compare it with."""
    entered, usual, chunk = float(state.clock[ENTERED]), state.usual, state.chunk
    if entered < max(1.0, float(state.pace[WARM])) or usual[BUSY, TRADES] < LEAST_BUSY:
        return False
    one, busy = 1.0, usual[SUMS, VOLUME] / usual[BUSY, TRADES]
    out[STD_RUSH_ORDERS], out[AVG_RUSH_ORDERS] = _far(usual, RUSH, chunk, entered, one)
    out[STD_TRADES], out[AVG_TRADES] = _far(usual, TRADES, chunk, entered, one)
    out[STD_ORDERS], out[AVG_ORDERS] = _far(usual, ORDERS, chunk, entered, one)
    out[STD_VOLUMES], out[AVG_VOLUMES] = _far(usual, VOLUME, chunk, entered, busy)
    _, out[AVG_BUY_VOLUMES] = _far(usual, BUY_VOLUME, chunk, entered, busy)
    _tell_prices(state, entered, out)
    out[RUSH_SHARE] = chunk[RUSH] / chunk[ORDERS] if chunk[ORDERS] > 0.0 else 0.0
    out[BUY_SHARE] = chunk[BUY_VOLUME] / chunk[VOLUME] if chunk[VOLUME] > 0.0 else 0.0
    out[GROWTH_RUSH_ORDERS] = _growth(usual, RUSH, chunk, entered)
    _tell_clock(closes_at(state) - 1, out)
    return True


@kernel
def _far(usual: Floats, column: int, chunk: Floats, entered: float, least: float) -> tuple[float, float]:
    """How far the chunk's number lies above its past: log(1 + z), and the log of its ratio to the mean."""
    mean = max(0.0, usual[SUMS, column] / entered)
    spread = math.sqrt(max(0.0, usual[SQUARES, column] / entered - mean * mean))
    z = (chunk[column] - mean) / (spread + least) if spread + least > 0.0 else 0.0
    ratio = math.log((chunk[column] + least) / (mean + least)) if least > 0.0 else 0.0
    return (math.log1p(z) if z > 0.0 else -math.log1p(-z)), ratio


@kernel
def _growth(usual: Floats, column: int, chunk: Floats, entered: float) -> float:
    """By how many per cent this chunk makes a spread over `PUBLISHED_WINDOW` chunks grow; 0 where there is none."""
    mean = usual[SUMS, column] / entered
    variance = usual[SQUARES, column] / entered - mean * mean
    if variance <= 1e-12:
        return 0.0
    away = chunk[column] - mean
    return 100.0 * (math.sqrt(max(0.0, 1.0 + (away * away / variance - 1.0) / PUBLISHED_WINDOW)) - 1.0)


@kernel
def _tell_prices(state: Chunks, entered: float, out: Floats) -> None:
    usual, chunk, parts = state.usual, state.chunk, int(state.pace[PARTS])
    newest, ring = int(state.clock[CLOSED]) - 1, int(state.pace[RING])
    before = state.past[(newest - parts) % ring, LAST] if newest >= parts else 0.0
    mean = usual[SUMS, RETURN] / entered
    spread = math.sqrt(max(0.0, usual[SQUARES, RETURN] / entered - mean * mean))
    rise = max(0.0, log_ratio(chunk[HIGH], before))
    out[STD_PRICE] = math.log1p(rise / (spread + LEAST_SPREAD))
    far = PRICE_CHUNKS * parts
    long_ago = state.past[(newest - far) % ring, LAST] if newest >= far else 0.0
    out[AVG_PRICE] = log_ratio(chunk[VOLUME] / chunk[QUANTITY], long_ago) if chunk[QUANTITY] > 0.0 else 0.0
    out[AVG_PRICE_MAX] = log_ratio(chunk[HIGH], long_ago)
    lost = max(0.0, log_ratio(chunk[HIGH], state.past[newest % ring, LAST]))
    out[RETRACE] = min(1.0, lost / rise) if rise > 0.0 else 0.0


@kernel
def _tell_clock(at_ms: int, out: Floats) -> None:
    day = 2.0 * math.pi * float(at_ms % DAY_MS) / DAY_MS
    hour = 2.0 * math.pi * float(at_ms % HOUR_MS) / HOUR_MS
    out[HOUR_SIN], out[HOUR_COS] = math.sin(day), math.cos(day)
    out[MINUTE_SIN], out[MINUTE_COS] = math.sin(hour), math.cos(hour)
