"""Quotes, trades and events typed by hand or drawn, in the columns of a crowd market's tape."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavetank.simulators.tape import EVENT_COLUMNS, QUOTE_COLUMNS, TRADE_COLUMNS

Table = NDArray[np.void]


def quotes(**columns: Sequence[int] | NDArray[Any]) -> Table:
    """A quote a step, two-sided at 99 | 101 unless said otherwise."""
    usual = {"bid_ticks": 99, "ask_ticks": 101, "bid_lots": 5, "ask_lots": 5, "near_lots": 100, "far_lots": 400}
    count = len(next(iter(columns.values())))
    return _table(tuple(QUOTE_COLUMNS), count, {"step": np.arange(count), **usual, **columns})


def trades(**columns: Sequence[int] | NDArray[Any]) -> Table:
    """Trades of one lot, each of a taker order of its own unless said otherwise."""
    count = len(next(iter(columns.values())))
    usual = {"sequence": np.arange(count), "lots": 1, "side": 1, "taker_id": np.arange(1, count + 1)}
    return _table(tuple(TRADE_COLUMNS), count, {**usual, **columns})


def events(rows: Sequence[tuple[int, int, int, int, int]]) -> Table:
    """Events of (kind, order id, side, ticks, maker id), numbered in their order."""
    kind, order_id, side, ticks, maker_id = np.array(rows, np.int64).reshape(-1, 5).T
    given = {"kind": kind, "order_id": order_id, "side": side, "ticks": ticks, "maker_id": maker_id}
    return _table(tuple(EVENT_COLUMNS), len(rows), {"sequence": np.arange(1, len(rows) + 1), **given})


def _table(names: tuple[str, ...], count: int, columns: dict[str, Any]) -> Table:
    table = np.zeros(count, np.dtype([(name, np.int64) for name in ("at_ms", *names)]))
    for name, column in columns.items():
        table[name] = column
    return table
