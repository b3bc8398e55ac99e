"""What a crowd market leaves behind: bars, reports, trades, labelled orders, quotes, and one digest over all of it.

Turns the rows that kernels wrote into named columns in real units. Knows nothing of how they came about.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bar, Bars
from . import ladder
from .ladder import Ints
from .matching import ACCEPTED, TRADE
from .population import Population
from .world import (
    ASK,
    ASK_LOTS,
    BID,
    BID_LOTS,
    CLOSE,
    FAR_LOTS,
    HIGH,
    LOW,
    MESSAGES_SO_FAR,
    NEAR_LOTS,
    NOTE_ACTIVITY,
    NOTE_LOG_VALUE,
    NOTE_MAKERS,
    OPEN,
    QUOTE_STEP,
    QUOTED_STEPS,
    SPREAD_SUM,
    TAKER_BUY,
    TRADE_COUNT,
    VOLUME,
    Floats,
)

REPORTS = ("close_price", "value", "activity", "spread_ticks", "quoted_share", "volume", "makers_lots")
TRADE_COLUMNS = {
    "sequence": ladder.EVENT_SEQUENCE,
    "step": ladder.EVENT_AT,
    "ticks": ladder.EVENT_PRICE,
    "lots": ladder.EVENT_LOTS,
    "side": ladder.EVENT_SIDE,  # of the aggressor: +1 bought, −1 sold
    "taker": ladder.EVENT_OWNER,
    "maker": ladder.EVENT_MAKER,
    "taker_id": ladder.EVENT_ID,
    "maker_id": ladder.EVENT_MAKER_ID,
    "label": ladder.EVENT_LABEL,  # of the taker's order; world.Label
    "maker_label": ladder.EVENT_MAKER_LABEL,
}
ORDER_COLUMNS = {
    "sequence": ladder.EVENT_SEQUENCE,
    "step": ladder.EVENT_AT,
    "owner": ladder.EVENT_OWNER,
    "order_id": ladder.EVENT_ID,
    "side": ladder.EVENT_SIDE,
    "ticks": ladder.EVENT_PRICE,  # 0 for a market order
    "lots": ladder.EVENT_LOTS,
    "label": ladder.EVENT_LABEL,
}
EVENT_COLUMNS = {
    **ORDER_COLUMNS,
    "kind": ladder.EVENT_KIND,
    "maker": ladder.EVENT_MAKER,
    "maker_id": ladder.EVENT_MAKER_ID,
}
QUOTE_COLUMNS = {
    "step": QUOTE_STEP,
    "bid_ticks": BID,
    "bid_lots": BID_LOTS,
    "ask_ticks": ASK,
    "ask_lots": ASK_LOTS,
    "near_lots": NEAR_LOTS,  # both sides within 10 bp of the mid
    "far_lots": FAR_LOTS,  # within 100 bp
    "messages": MESSAGES_SO_FAR,  # that the book accepted until then
}


def bar_of(row: Ints, opened_at: int, index: int, crowd: Population) -> Bar:
    """One bar from its row, equal to row `index` of `bars_of`."""
    unit, tick, lot = crowd.unit, crowd.instrument.tick, crowd.instrument.lot
    return Bar(
        opened_at + unit.step_ms * unit.steps_per_bar * index,
        int(row[OPEN]) * tick,
        int(row[HIGH]) * tick,
        int(row[LOW]) * tick,
        int(row[CLOSE]) * tick,
        int(row[VOLUME]) * lot,
        int(row[TAKER_BUY]) * lot,
        int(row[TRADE_COUNT]),
    )


def bars_of(rows: Ints, opened_at: int, crowd: Population) -> Bars:
    """Bars from the kernels' bar rows; prices in quote units, volumes in units of the asset."""
    unit, instrument = crowd.unit, crowd.instrument
    interval_ms = unit.step_ms * unit.steps_per_bar
    real = rows.astype(np.float64)
    return Bars(
        unit.interval,
        opened_at + interval_ms * np.arange(len(rows), dtype=np.int64),
        real[:, OPEN] * instrument.tick,
        real[:, HIGH] * instrument.tick,
        real[:, LOW] * instrument.tick,
        real[:, CLOSE] * instrument.tick,
        real[:, VOLUME] * instrument.lot,
        real[:, TAKER_BUY] * instrument.lot,
        rows[:, TRADE_COUNT],
        instrument.symbol,
    )


def reports_of(rows: Ints, notes: Floats, crowd: Population) -> dict[str, list[float]]:
    """A column for each of `REPORTS`, a value a bar, from the kernels' bar rows and the notes beside them."""
    quoted, instrument = rows[:, QUOTED_STEPS], crowd.instrument
    columns = (
        rows[:, CLOSE] * instrument.tick,
        np.exp(notes[:, NOTE_LOG_VALUE]) * instrument.tick,
        notes[:, NOTE_ACTIVITY],
        rows[:, SPREAD_SUM] / np.maximum(1, quoted),
        quoted / crowd.unit.steps_per_bar,
        rows[:, VOLUME] * instrument.lot,
        notes[:, NOTE_MAKERS].astype(np.int64),
    )
    return {name: column.tolist() for name, column in zip(REPORTS, columns, strict=True)}


def trades_of(events: Ints, opened_at: int, step_ms: int) -> NDArray[np.void]:
    """Every trade in order: `at_ms` (the start of its market step) and the fields of `TRADE_COLUMNS`, int64."""
    return _structured(events[events[:, ladder.EVENT_KIND] == TRADE], TRADE_COLUMNS, opened_at, step_ms)


def orders_of(events: Ints, opened_at: int, step_ms: int, *, labelled: bool) -> NDArray[np.void]:
    """Orders as they arrived, with the fields of `ORDER_COLUMNS`; only those with a label where asked."""
    kept = events[:, ladder.EVENT_KIND] == ACCEPTED
    if labelled:
        kept &= events[:, ladder.EVENT_LABEL] != 0
    return _structured(events[kept], ORDER_COLUMNS, opened_at, step_ms)


def events_of(events: Ints, opened_at: int, step_ms: int) -> NDArray[np.void]:
    """All that happened to every order, with the fields of `EVENT_COLUMNS`."""
    return _structured(events, EVENT_COLUMNS, opened_at, step_ms)


def quotes_of(tops: Ints, opened_at: int, step_ms: int) -> NDArray[np.void]:
    """The book's top at the end of every step, with the fields of `QUOTE_COLUMNS`."""
    return _structured(tops, QUOTE_COLUMNS, opened_at, step_ms)


def digest_of(events: Ints, rows: Ints, opened_at: int) -> str:
    """sha256 over the logged events, the bars and the clock's start."""
    digest = hashlib.sha256(np.int64(opened_at).tobytes())
    digest.update(np.ascontiguousarray(events).tobytes())
    digest.update(np.ascontiguousarray(rows).tobytes())
    return digest.hexdigest()


def _structured(rows: Ints, columns: dict[str, int], opened_at: int, step_ms: int) -> NDArray[np.void]:
    table = np.zeros(len(rows), np.dtype([("at_ms", np.int64), *((name, np.int64) for name in columns)]))
    for name, column in columns.items():
        table[name] = rows[:, column]
    table["at_ms"] = opened_at + table["step"] * step_ms
    return table
