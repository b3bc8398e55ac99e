"""Binance's rows of bars and funding, as its archive (CSV) and its REST address (JSON) spell them.

Turns cells into columns and judges none: a cell that is no number becomes NaN, for `quality.sift` to reject. Knows
neither files nor addresses.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .bars import Floats, Ints
from .funding import Funding
from .raw import RawBars

OPENED_AT, OPEN, HIGH, LOW, CLOSE, VOLUME, TRADES, TAKER_BUY_VOLUME, WIDTH = 0, 1, 2, 3, 4, 5, 8, 9, 12
KLINE_HEADER = ("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count")
FUNDING_HEADER = ("calc_time", "funding_interval_hours", "last_funding_rate")
EARLIEST_MICROSECOND = 10**14  # spot archives since 2025-01; as milliseconds it would be the year 5138
SECOND_MS = 1000

Row = Sequence[Any]


def bars_of_csv(text: str, symbol: str, interval: str, place: str) -> RawBars:
    """Bars of one archive file, with or without a line of names."""
    return bars_of_rows(_rows(text, KLINE_HEADER, place), symbol, interval, place)


def bars_of_rows(rows: Sequence[Row], symbol: str, interval: str, place: str) -> RawBars:
    """Bars from rows of twelve cells, in the order given. ValueError where a row has no shape or no time."""
    for number, row in enumerate(rows):
        if not isinstance(row, Sequence) or isinstance(row, str) or len(row) != WIDTH:
            raise ValueError(f"{place}: row {number} is {str(row)[:80]!r}, not {WIDTH} cells")

    def column(index: int) -> Floats:
        return _floats([row[index] for row in rows])

    return RawBars(
        interval,
        _times([row[OPENED_AT] for row in rows], place),
        column(OPEN),
        column(HIGH),
        column(LOW),
        column(CLOSE),
        column(VOLUME),
        column(TAKER_BUY_VOLUME),
        column(TRADES),
        symbol,
    )


def funding_of_csv(text: str, place: str) -> Funding:
    """Funding of one archive file: calc_time, funding_interval_hours, last_funding_rate."""
    rows = _rows(text, FUNDING_HEADER, place)
    short = next((row for row in rows if len(row) < len(FUNDING_HEADER)), None)
    if short is not None:
        raise ValueError(f"{place}: row {short} is not {len(FUNDING_HEADER)} cells")
    return _funding([row[0] for row in rows], [row[2] for row in rows], place)


def funding_of_rows(rows: Sequence[Mapping[str, Any]], place: str) -> Funding:
    """Funding from REST objects with fundingTime and fundingRate."""
    try:
        stamps, rates = [row["fundingTime"] for row in rows], [row["fundingRate"] for row in rows]
    except (TypeError, KeyError) as error:
        raise ValueError(f"{place}: a row of funding has no {error}") from error
    return _funding(stamps, rates, place)


def _funding(stamps: Sequence[Any], rates: Sequence[Any], place: str) -> Funding:
    """In order, without repeats, to the whole second: each source stamps a settlement some ms late in its own way."""
    at, paid = _times(stamps, place), _floats(rates)
    for k in np.flatnonzero(~np.isfinite(paid)):
        raise ValueError(f"{place}: the funding rate at {at[k]} ms is {rates[int(k)]!r}, which is no number")
    order = np.argsort(at, kind="stable")
    at, paid = (at[order] + SECOND_MS // 2) // SECOND_MS * SECOND_MS, paid[order]
    is_new = np.ones(len(at), np.bool_)
    is_new[1:] = at[1:] != at[:-1]
    for k in np.flatnonzero(~is_new):
        if paid[k] != paid[k - 1]:
            raise ValueError(f"{place}: funding at {at[k]} ms is {paid[k - 1]} and {paid[k]}")
    return Funding(at[is_new], paid[is_new])


def _rows(text: str, header: Sequence[str], place: str) -> list[list[str]]:
    rows = [row for row in csv.reader(text.splitlines()) if row]
    if rows and not rows[0][0].strip().lstrip("-").isdigit():
        names = [name.strip().lower() for name in rows.pop(0)]
        if tuple(names[: len(header)]) != tuple(header):
            raise ValueError(f"{place}: the columns are called {', '.join(names)}, not {', '.join(header)}, …")
    return rows


def _times(cells: Iterable[Any], place: str) -> Ints:
    """Whole milliseconds. A fraction of one is rounded up, off every grid, so that no judge can overlook it."""
    times = []
    for number, cell in enumerate(cells):
        try:
            at = int(cell)
        except (TypeError, ValueError):
            raise ValueError(f"{place}: row {number} has the time {cell!r}") from None
        if abs(at) >= EARLIEST_MICROSECOND:
            at = -(-at // 1000)
        if abs(at) >= EARLIEST_MICROSECOND:
            raise ValueError(f"{place}: row {number} has the time {cell!r}, in neither milli- nor microseconds")
        times.append(at)
    return np.array(times, np.int64)


def _floats(cells: Sequence[Any]) -> Floats:
    try:
        return np.array([float(cell) for cell in cells], np.float64)
    except (TypeError, ValueError):
        return np.array([_float(cell) for cell in cells], np.float64)


def _float(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return float("nan")
