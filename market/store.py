"""Bars on disk: read any Parquet or CSV file with hard validation, and a first store of one file a series.

The only file that knows pyarrow. What it returns is valid; what is not valid is refused with the value and the place.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .bars import INTERVALS, Bars

_TIME_NAMES = ("ts", "opened_at", "open_time", "timestamp", "time")
_PRICES = ("open", "high", "low", "close", "volume")
_TAKER_NAMES = ("taker_buy_volume", "taker_buy_base")


class BarsError(ValueError):
    """Bars that cannot be read or cannot be true."""


def data_folder() -> Path:
    """Where recorded data lies: `WAVETANK_DATA`, else `../shared/data`."""
    return Path(os.environ.get("WAVETANK_DATA", "../shared/data"))


def read_bars(
    source: str | Path,
    symbol: str | None = None,
    interval: str | None = None,
    start: str | int | None = None,
    end: str | int | None = None,
    *,
    root: str | Path | None = None,
) -> Bars:
    """Read bars from a file, or from the store by (venue, symbol, interval, start, end).

    A path ends in `.parquet` or `.csv`; for a file, `symbol` and `interval` override what it says of itself.
    `start` and `end` are ISO dates (UTC) or milliseconds; bars that open in [start, end) are returned.

    Raises BarsError in one sentence where the file is missing, broken, or holds a bar that cannot be true.
    """
    path = Path(source)
    if path.suffix.lower() not in (".parquet", ".csv"):
        if symbol is None or interval is None:
            raise BarsError(f"{source}: neither a .parquet or .csv file nor (venue, symbol, interval)")
        path = store_path(str(source), symbol, interval, root)
    if not path.is_file():
        raise BarsError(f"there is no file of bars at {path}")
    table = _read_table(path)
    bars = _to_bars(path, table, symbol, interval)
    return _between(path, bars, start, end)


def write_bars(path: str | Path, bars: Bars) -> Path:
    """Write bars to one Parquet file (zstd), whole or not at all, and return its path."""
    path = Path(path)
    columns: dict[str, Any] = {"ts": pa.array(bars.opened_at, pa.timestamp("ms", "UTC"))}
    columns |= {name: pa.array(getattr(bars, name)) for name in _PRICES}
    if bars.taker_buy_volume is not None:
        columns["taker_buy_volume"] = pa.array(bars.taker_buy_volume)
    if bars.trades is not None:
        columns["trades"] = pa.array(bars.trades)
    table = pa.table(columns).replace_schema_metadata({"interval": bars.interval, "symbol": bars.symbol})
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, half, compression="zstd")
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)
    return path


def store_path(venue: str, symbol: str, interval: str, root: str | Path | None = None) -> Path:
    """File of one series in the store; the root is `root`, `WAVETANK_STORE`, or `./store`."""
    base = Path(root if root is not None else os.environ.get("WAVETANK_STORE", "store"))
    for name in (venue, symbol, interval):
        if not name or any(sign in name for sign in "/\\.") or name != name.strip():
            raise BarsError(f"{name!r} cannot be part of a series' name in the store")
    return base / venue / symbol / f"{interval}.parquet"


def _read_table(path: Path) -> pa.Table:
    try:
        if path.suffix.lower() == ".csv":
            return pa_csv.read_csv(path)
        return pq.ParquetFile(path).read()
    except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
        raise BarsError(f"{path} cannot be read as {path.suffix[1:]}: {str(error).splitlines()[0]}") from error


def _to_bars(path: Path, table: pa.Table, symbol: str | None, interval: str | None) -> Bars:
    names = set(table.column_names)
    time_name = next((name for name in _TIME_NAMES if name in names), None)
    missing = [name for name in _PRICES if name not in names] + ([] if time_name else ["ts"])
    if missing or time_name is None:
        raise BarsError(f"{path} has no column {', '.join(missing)}; it has {', '.join(table.column_names)}")
    opened_at = _milliseconds(path, table.column(time_name))
    said = table.schema.metadata or {}
    metadata = {key: said.get(key.encode(), b"").decode(errors="replace") for key in ("interval", "symbol")}
    unit = interval or metadata["interval"] or _interval_of(path, opened_at)
    taker = next((name for name in _TAKER_NAMES if name in names), None)
    prices = {name: _floats(path, table, name) for name in _PRICES}
    trades: Any = _floats(path, table, "trades") if "trades" in names else None  # Bars refuses what is not whole
    try:
        return Bars(
            interval=unit,
            opened_at=opened_at,
            **prices,
            taker_buy_volume=_floats(path, table, taker) if taker else None,
            trades=trades,
            symbol=symbol or metadata["symbol"] or _symbol_of(path),
        )
    except ValueError as error:
        raise BarsError(f"{path}: {error}") from error


def _floats(path: Path, table: pa.Table, name: str) -> NDArray[np.float64]:
    column = table.column(name)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise BarsError(f"{path}: column {name} holds {column.type}, not numbers")
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise BarsError(f"{path}: bar {row} has no {name}")
    return np.asarray(column.to_numpy(), np.float64)


def _milliseconds(path: Path, column: pa.ChunkedArray) -> NDArray[np.int64]:
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


def _interval_of(path: Path, opened_at: NDArray[np.int64]) -> str:
    steps = np.diff(opened_at)
    steps = steps[steps > 0]
    if not len(steps):
        raise BarsError(f"{path} does not say its interval, and {len(opened_at)} bars do not show it")
    smallest = int(steps.min())
    for name, length in INTERVALS.items():
        if length == smallest:
            return name
    raise BarsError(f"{path}: bars {smallest} ms apart are on no known interval ({', '.join(INTERVALS)})")


def _symbol_of(path: Path) -> str:
    parts = path.stem.split("_")
    return parts[1] if len(parts) > 1 else parts[0]


def _between(path: Path, bars: Bars, start: str | int | None, end: str | int | None) -> Bars:
    if start is None and end is None:
        return bars
    first = 0 if start is None else int(np.searchsorted(bars.opened_at, _instant(start), "left"))
    last = len(bars) if end is None else int(np.searchsorted(bars.opened_at, _instant(end), "left"))
    if first >= last:
        raise BarsError(f"{path} has no bar between {start} and {end}")
    return bars.slice(first, last)


def _instant(when: str | int) -> int:
    if isinstance(when, int):
        return when
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        raise BarsError(f"{when!r} is not an ISO date") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return int(moment.timestamp() * 1000)
