"""The store: every series as Parquet files, one a month, that a manifest finds; appended to, never edited.

Files are the truth and are written once: a month that grows gets a new file, and counts when the manifest names it.
So a kill at any moment leaves the old month or the new one, and two processes take turns. What the rows of a source
are worth is judged before they come here (`quality`); where they come from is `sources`.
"""

import dataclasses
import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .bars import INTERVALS, Bars
from .depot import Added, Depot, told
from .funding import Funding
from .instants import Instant, instant, iso
from .manifest import Manifest, Segment, SeriesKey, StoreError
from .parquet import TIME, BarsError, Columns, columns_of, read_funding, read_raw, write_bars
from .quarantine import Quarantine, quarantine_of, suspects_of
from .raw import OPTIONAL, PRICES, RawBars
from .rebuild import rebuild

__all__ = [
    "FUNDING", "Added", "BarsError", "Gap", "Quarantine", "Series", "Store", "StoreError", "data_folder", "instant",
    "iso", "read_bars", "read_funding", "read_raw", "write_bars",
]  # fmt: skip

FUNDING = "funding"  # stands where other series have their interval
_NAME = re.compile(r"\w[\w:+@-]*")  # no dot and no slash: a series cannot name its way out of the store


class Gap(NamedTuple):
    """Bars that are not there: from the opening of the first to the opening of the bar that ends the gap."""

    from_ms: int
    to_ms: int
    missing: int


class Series(NamedTuple):
    """What the manifest knows of a series. An optional column is there for `all` rows, for `some` or for `none`.

    Funding keeps no interval, so nobody can say what is missing: there `gaps` and `missing` are None.
    """

    venue: str
    symbol: str
    interval: str
    rows: int
    first_ms: int | None
    last_ms: int | None
    segments: int
    gaps: int | None
    missing: int | None
    taker_buy_volume: str
    trades: str
    quarantined: int
    sources: tuple[str, ...]


def data_folder() -> Path:
    """Where recorded data lies: `WAVETANK_DATA`, else `../shared/data`."""
    return Path(os.environ.get("WAVETANK_DATA", "../shared/data"))


def read_bars(
    source: str | Path,
    symbol: str | None = None,
    interval: str | None = None,
    start: Instant | None = None,
    end: Instant | None = None,
    *,
    root: str | Path | None = None,
) -> Bars:
    """Read bars from a file, or from the store by (venue, symbol, interval, start, end).

    A path ends in `.parquet` or `.csv`; there `symbol` overrides what the file says of itself, and `interval` says what
    it does not. `start` and `end` are ISO dates or datetimes (UTC), or milliseconds; bars that open in [start, end) are
    returned.

    Raises BarsError in one sentence where the file is missing, broken, or holds a bar that cannot be true.
    """
    path = Path(source)
    if path.suffix.lower() not in (".parquet", ".csv"):
        if symbol is None or interval is None:
            raise BarsError(f"{source}: neither a .parquet or .csv file nor (venue, symbol, interval)")
        return Store(root).read(str(source), symbol, interval, start, end)
    raw = read_raw(path, symbol, interval)
    _refuse_missing(path, raw)
    try:
        bars = raw.bars()
    except ValueError as error:
        raise BarsError(f"{path}: {error}") from error
    return _between(path, bars, start, end)


class Store:
    """Every series under one root: `root`, else `WAVETANK_STORE`, else `./store`.

    Holds nothing open between calls, so a Store may be shared by threads and carried into other processes.
    """

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = Path(root if root is not None else os.environ.get("WAVETANK_STORE", "store"))
        self._depot = Depot(self.root)

    def append(self, venue: str, symbol: str, bars: Bars, *, source: str, replace: bool = False) -> Added:
        """Add bars. Once it returns they are on disk; killed before, the store is as it was.

        Rows that are known change nothing. A row at a known time with other values is a StoreError, unless `replace`.
        """
        return self._append(venue, symbol, bars, columns_of(bars), source, replace)

    def append_rows(self, venue: str, symbol: str, rows: RawBars, *, source: str, replace: bool = False) -> Added:
        """Add rows of which some may lack an optional value (NaN), as `append` adds bars: all of them or none."""
        partly = {name: values for name in OPTIONAL if (values := getattr(rows, name)) is not None}
        filled: dict[str, Any] = {name: np.where(np.isnan(values), 0.0, values) for name, values in partly.items()}
        bars = dataclasses.replace(rows, **filled).bars()
        return self._append(venue, symbol, bars, columns_of(bars) | partly, source, replace)

    def append_funding(self, venue: str, symbol: str, funding: Funding, *, source: str, replace: bool = False) -> Added:
        """Add funding rates, as `append` adds bars."""
        columns = {TIME: np.asarray(funding.stamps, np.int64), "rate": np.asarray(funding.rates, np.float64)}
        return self._depot.lay(_key(venue, symbol, FUNDING), columns, source, replace)

    def read(
        self, venue: str, symbol: str, interval: str, start: Instant | None = None, end: Instant | None = None
    ) -> Bars:
        """Bars that open in [start, end), out of the segments that hold them and no other.

        An optional column is there if every one of these bars has it. Every file's sha256 is checked as it is read.
        """
        columns = self._read(_bar_key(venue, symbol, interval), start, end)
        optional: dict[str, Any] = {
            name: columns[name] if name in columns and not np.isnan(columns[name]).any() else None
            for name in ("taker_buy_volume", "trades")
        }
        prices = {name: columns[name] for name in (*PRICES, "volume")}
        return Bars(interval=interval, opened_at=columns[TIME], symbol=symbol, **prices, **optional)

    def funding(self, venue: str, symbol: str, start: Instant | None = None, end: Instant | None = None) -> Funding:
        """Funding rates whose stamps lie in [start, end)."""
        columns = self._read(_key(venue, symbol, FUNDING), start, end)
        return Funding(columns[TIME], columns["rate"])

    def last(self, venue: str, symbol: str, interval: str) -> int | None:
        """The newest opening (or funding stamp) of a series, None where there is none."""
        key = _key(venue, symbol, interval)
        if not self._depot.exists():
            return None
        with self._depot.reading() as manifest:
            return manifest.last(key)

    def series(self) -> list[Series]:
        """What the manifest knows of every series, in order of name; a store that does not exist has none."""
        if not self._depot.exists():
            return []
        with self._depot.reading() as manifest:
            parts: dict[SeriesKey, list[Segment]] = {}
            for segment in manifest.all_segments():
                parts.setdefault(segment.key, []).append(segment)
            suspects = manifest.suspect_keys()
            keys = sorted(parts.keys() | suspects.keys())
            return [_facts(manifest, key, parts.get(key, []), suspects.get(key, 0)) for key in keys]

    def gaps(self, venue: str, symbol: str, interval: str) -> list[Gap]:
        """Bars missing between the first and the last of a series. Rows in quarantine are missing here too."""
        key = _bar_key(venue, symbol, interval)
        with self._depot.reading() as manifest:
            if manifest.suspects(key) and not manifest.segments(key):
                return []  # every row of it is in quarantine
            return _gaps(manifest, key, self._known(manifest, key))

    def quarantine(self, venue: str, symbol: str, rejected: RawBars, reasons: Sequence[str], *, source: str) -> int:
        """Keep rows that cannot be true, with a reason each, and return how many were not in quarantine yet."""
        key = _bar_key(venue, symbol, rejected.interval)
        suspects = suspects_of(rejected, reasons, source)
        if not suspects:
            return 0
        with self._depot.writing() as manifest:
            return manifest.put_suspects(key, suspects)

    def quarantined(self, venue: str, symbol: str, interval: str) -> Quarantine:
        """Every row of a series in quarantine, in order of time."""
        key = _bar_key(venue, symbol, interval)
        with self._depot.reading() as manifest:
            return quarantine_of(key, manifest.suspects(key))

    def mark(self, venue: str, symbol: str, interval: str, piece: str, sha256: str) -> None:
        """Remember that a piece of a download (a month's archive) has been taken, with the content it had."""
        key = _key(venue, symbol, interval)
        with self._depot.writing() as manifest:
            manifest.mark(key, piece, sha256)

    def marked(self, venue: str, symbol: str, interval: str) -> dict[str, str]:
        """The pieces that have been taken, with their sha256."""
        key = _key(venue, symbol, interval)
        if not self._depot.exists():
            return {}
        with self._depot.reading() as manifest:
            return manifest.marked(key)

    def rebuild(self) -> int:
        """Make a lost manifest anew out of the segment files, and return how many it names.

        What no file holds does not come back: rows in quarantine, and marks. Raises StoreError where there is a
        manifest, or a file is damaged.
        """
        return rebuild(self._depot)

    def verify(self) -> list[str]:
        """Compare every segment's sha256 and rows with the manifest: a sentence for each difference, none if whole."""
        return self._depot.verify()

    def _append(self, venue: str, symbol: str, bars: Bars, columns: Columns, source: str, replace: bool) -> Added:
        key = _key(venue, symbol, bars.interval)
        if bars.symbol.replace("/", "-") not in ("", symbol):  # BTC/USD, as some venues write it, is kept as BTC-USD
            raise StoreError(f"bars of {bars.symbol} cannot be added to {told(key)}")
        return self._depot.lay(key, columns, source, replace)

    def _read(self, key: SeriesKey, start: Instant | None, end: Instant | None) -> Columns:
        first = None if start is None else instant(start)
        last = None if end is None else instant(end)
        columns = self._depot.columns(key, first, last)
        if columns is None:
            with self._depot.reading() as manifest:
                known = self._known(manifest, key)
            held = f"it holds {iso(known[0].first_ms)} to {iso(known[-1].last_ms)}"
            raise StoreError(f"{told(key)} has nothing between {start} and {end}; {held}")
        return columns

    def _known(self, manifest: Manifest, key: SeriesKey) -> list[Segment]:
        segments = manifest.segments(key)
        if not segments:
            raise StoreError(f"the store at {self.root} has no series {told(key)}")
        return segments


def _key(venue: str, symbol: str, interval: str) -> SeriesKey:
    for name in (venue, symbol, interval):
        if not _NAME.fullmatch(name):
            raise StoreError(f"{name!r} cannot be part of a series' name in the store")
    if interval not in INTERVALS and interval != FUNDING:
        raise StoreError(f"interval {interval!r} is not one of {', '.join(INTERVALS)}, {FUNDING}")
    return SeriesKey(venue, symbol, interval)


def _bar_key(venue: str, symbol: str, interval: str) -> SeriesKey:
    if interval not in INTERVALS:
        raise StoreError(f"interval {interval!r} is not one of {', '.join(INTERVALS)}")
    return _key(venue, symbol, interval)


def _facts(manifest: Manifest, key: SeriesKey, segments: Sequence[Segment], quarantined: int) -> Series:
    rows = sum(segment.rows for segment in segments)
    gaps = _gaps(manifest, key, segments) if key.interval in INTERVALS else None
    return Series(
        *key,
        rows=rows,
        first_ms=segments[0].first_ms if segments else None,
        last_ms=segments[-1].last_ms if segments else None,
        segments=len(segments),
        gaps=None if gaps is None else len(gaps),
        missing=None if gaps is None else sum(gap.missing for gap in gaps),
        taker_buy_volume=_share(sum(segment.taker_rows for segment in segments), rows),
        trades=_share(sum(segment.trades_rows for segment in segments), rows),
        quarantined=quarantined,
        sources=tuple(manifest.sources(key)),
    )


def _share(known: int, rows: int) -> str:
    return "none" if not known else "all" if known == rows else "some"


def _gaps(manifest: Manifest, key: SeriesKey, segments: Sequence[Segment]) -> list[Gap]:
    step = INTERVALS[key.interval]
    between = [(a.last_ms + step, b.first_ms) for a, b in pairwise(segments) if b.first_ms > a.last_ms + step]
    holes = sorted([*manifest.inner_gaps(key), *between])
    return [Gap(first, last, (last - first) // step) for first, last in holes]


def _refuse_missing(path: Path, raw: RawBars) -> None:
    for name in (*PRICES, "volume", "taker_buy_volume", "trades"):
        values = getattr(raw, name)
        if values is not None and np.isnan(values).any():
            raise BarsError(f"{path}: bar {int(np.argmax(np.isnan(values)))} has no {name}")


def _between(path: Path, bars: Bars, start: Instant | None, end: Instant | None) -> Bars:
    first = 0 if start is None else int(np.searchsorted(bars.opened_at, instant(start), "left"))
    last = len(bars) if end is None else int(np.searchsorted(bars.opened_at, instant(end), "left"))
    if first >= last:
        raise BarsError(f"{path} has no bar between {start} and {end}")
    return bars.slice(first, last)
