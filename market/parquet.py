"""Bars and funding as Parquet and CSV: any such file into raw rows, and columns into the bytes of a Parquet file.

The only file that knows pyarrow. It judges nothing but the form: whether a row can be true is said by `bars` and
`quality`, and where files lie by `store`.
"""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .bars import INTERVALS, Bars, Floats, Ints
from .funding import Funding
from .raw import PRICES, RawBars

TIME = "ts"
WHOLE = ("trades",)  # columns that lie in a file as whole numbers
_TIME_NAMES = (TIME, "opened_at", "open_time", "timestamp", "time")
_RATE_NAMES = ("rate", "funding_rate", "last_funding_rate")
_TAKER_NAMES = ("taker_buy_volume", "taker_buy_base")
_NEEDED = (*PRICES, "volume")

Columns = dict[str, NDArray[Any]]  # `ts` int64 ms UTC; all others float64, NaN where a value is not known


class BarsError(ValueError):
    """Bars that cannot be read or cannot be true."""


def read_raw(path: str | Path, symbol: str | None = None, interval: str | None = None) -> RawBars:
    """Read a file's rows as they are: a missing number is NaN, and no row is judged.

    `symbol` overrides what the file says of itself; `interval` says what it does not. Raises BarsError where the file
    is missing, broken, lacks a column, holds a time that is none, or contradicts `interval`.
    """
    path = Path(path)
    if not path.is_file():
        raise BarsError(f"there is no file of bars at {path}")
    table = _read_table(path)
    names = set(table.column_names)
    time_name = next((name for name in _TIME_NAMES if name in names), None)
    missing = [name for name in _NEEDED if name not in names] + ([] if time_name else [TIME])
    if missing or time_name is None:
        raise BarsError(f"{path} has no column {', '.join(missing)}; it has {', '.join(table.column_names)}")
    opened_at = _milliseconds(path, table.column(time_name))
    said = _facts(table)
    taker = next((name for name in _TAKER_NAMES if name in names), None)
    prices = {name: _floats(path, table, name) for name in _NEEDED}
    unit = _interval(path, opened_at, said.get("interval"), interval)
    try:
        return RawBars(
            interval=unit,
            opened_at=opened_at,
            **prices,
            taker_buy_volume=_floats(path, table, taker) if taker else None,
            trades=_floats(path, table, "trades") if "trades" in names else None,
            symbol=symbol or said.get("symbol") or _symbol_of(path),
        )
    except ValueError as error:
        raise BarsError(f"{path}: {error}") from error


def read_funding(path: str | Path) -> Funding:
    """Read a funding series from a file of stamps and rates; BarsError where it is missing, broken or out of order."""
    path = Path(path)
    if not path.is_file():
        raise BarsError(f"there is no file of funding rates at {path}")
    table = _read_table(path)
    stamps, rates = (next((n for n in known if n in table.column_names), None) for known in (_TIME_NAMES, _RATE_NAMES))
    if stamps is None or rates is None:
        raise BarsError(f"{path} has no columns ts and rate; it has {', '.join(table.column_names)}")
    try:
        return Funding(_milliseconds(path, table.column(stamps)), _floats(path, table, rates))
    except ValueError as error:
        raise BarsError(f"{path}: {error}") from error


def usual_step(opened_at: Ints) -> int | None:
    """The step that most rows are apart (the shorter of two as common): neither a gap nor a stray row hides it."""
    steps, counts = np.unique(np.diff(np.unique(opened_at)), return_counts=True)
    return int(steps[np.argmax(counts)]) if len(steps) else None


def check_step(path: Path, opened_at: Ints, interval: str) -> None:
    """BarsError where most rows are another step than `interval` apart: such bars would be known before they close."""
    usual = usual_step(opened_at)
    if usual is not None and usual != INTERVALS.get(interval, usual):
        name = next((name for name, length in INTERVALS.items() if length == usual), f"{usual} ms")
        raise BarsError(f"{path}: most rows are {name} apart, not {interval}")


def write_bars(path: str | Path, bars: Bars) -> Path:
    """Write bars to one Parquet file (zstd), whole or not at all, and return its path."""
    path = Path(path)
    table = _table(columns_of(bars), {"interval": bars.interval, "symbol": bars.symbol})
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, half, compression="zstd")
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)
    return path


def columns_of(bars: Bars) -> Columns:
    """The columns of bars that a file holds."""
    columns: Columns = {TIME: bars.opened_at} | {name: getattr(bars, name) for name in _NEEDED}
    if bars.taker_buy_volume is not None:
        columns["taker_buy_volume"] = bars.taker_buy_volume
    if bars.trades is not None:
        columns["trades"] = bars.trades.astype(np.float64)
    return columns


def encode(columns: Columns, facts: Mapping[str, str]) -> bytes:
    """Columns as the bytes of a Parquet file (zstd) that says `facts` of itself."""
    sink = pa.BufferOutputStream()
    pq.write_table(_table(columns, facts), sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def decode(data: bytes) -> tuple[Columns, dict[str, str]]:
    """Columns and facts out of the bytes that `encode` made; BarsError where they are none."""
    try:
        table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise BarsError(f"not a Parquet file: {str(error).splitlines()[0]}") from error
    columns = {name: np.asarray(table.column(name).cast(pa.float64()).to_numpy()) for name in table.column_names[1:]}
    return {TIME: np.asarray(table.column(TIME).cast(pa.int64()).to_numpy()), **columns}, _facts(table)


def _table(columns: Columns, facts: Mapping[str, str]) -> pa.Table:
    arrays = {TIME: pa.array(columns[TIME], pa.timestamp("ms", "UTC"))}
    for name, values in columns.items():
        if name in WHOLE:
            unknown = np.isnan(values)
            arrays[name] = pa.array(np.where(unknown, 0, values).astype(np.int64), mask=unknown)
        elif name != TIME:
            arrays[name] = pa.array(values, from_pandas=True)  # NaN becomes an absent value
    return pa.table(arrays).replace_schema_metadata(dict(facts))


def _facts(table: pa.Table) -> dict[str, str]:
    said = table.schema.metadata or {}
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, value in said.items()}


def _read_table(path: Path) -> pa.Table:
    try:
        table = pa_csv.read_csv(path) if path.suffix.lower() == ".csv" else pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise BarsError(f"{path} cannot be read as {path.suffix[1:]}: {str(error).splitlines()[0]}") from error
    twice = next((name for name, times in Counter(table.column_names).items() if times > 1), None)
    if twice is not None:
        raise BarsError(f"{path} has more than one column {twice}")
    return table


def _floats(path: Path, table: pa.Table, name: str) -> Floats:
    column = table.column(name)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise BarsError(f"{path}: column {name} holds {column.type}, not numbers")
    return np.asarray(column.to_numpy(), np.float64)


def _milliseconds(path: Path, column: pa.ChunkedArray) -> Ints:
    kind = column.type
    if column.null_count:
        raise BarsError(f"{path}: bar {column.is_null().to_pylist().index(True)} has no time")
    if pa.types.is_timestamp(kind):
        if kind.tz not in (None, "UTC", "+00:00", "Etc/UTC"):
            raise BarsError(f"{path}: times are in {kind.tz}, not UTC")
        try:
            return np.asarray(column.cast(pa.timestamp("ms", kind.tz)).cast(pa.int64()).to_numpy(), np.int64)
        except pa.ArrowInvalid as error:
            raise BarsError(f"{path}: a time is not a whole millisecond ({error})") from error
    if pa.types.is_integer(kind):
        values = np.asarray(column.to_numpy(), np.int64)
        if len(values) and not 1e11 < float(values[0]) < 1e14:
            raise BarsError(f"{path}: time {values[0]} of bar 0 is not in milliseconds since 1970")
        return values
    raise BarsError(f"{path}: times are {kind}, neither timestamps nor milliseconds")


def _interval(path: Path, opened_at: Ints, said: str | None, asked: str | None) -> str:
    """The file's own word, else the one asked for, else what the times show; what is asked for may contradict none."""
    if asked and said in INTERVALS and asked != said:
        raise BarsError(f"{path}: its bars are of {said}, as it says, not of {asked}")
    if asked and said not in INTERVALS:
        check_step(path, opened_at, asked)
    return asked or said or _interval_of(path, opened_at)


def _interval_of(path: Path, opened_at: Ints) -> str:
    usual = usual_step(opened_at)
    if usual is None:
        raise BarsError(f"{path} does not say its interval, and {len(opened_at)} bars do not show it")
    for name, length in INTERVALS.items():
        if length == usual:
            return name
    raise BarsError(f"{path}: bars {usual} ms apart are on no known interval ({', '.join(INTERVALS)})")


def _symbol_of(path: Path) -> str:
    parts = path.stem.split("_")
    return parts[1] if len(parts) > 1 else parts[0]
