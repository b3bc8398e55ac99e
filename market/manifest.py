"""The store's manifest: which segment files hold which bars, found in SQLite without opening a file.

A file that no row names is not part of the store. Beside the segments it keeps what no file holds: rows in quarantine
and the pieces that a download has already taken. Opens, reads and writes no segment.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .durable import sync_folder
from .parquet import BarsError

MANIFEST = "manifest.db"
SCHEMA = 1
APPLICATION = 0x57545354  # "WTST" in the file's header: an arbitrary SQLite file is not a manifest
WAIT_S = 30.0  # for another process's transaction, which takes milliseconds

_KEY = "venue TEXT NOT NULL, symbol TEXT NOT NULL, interval TEXT NOT NULL"
_TABLES = f"""
CREATE TABLE segments ({_KEY}, month TEXT NOT NULL, version INTEGER NOT NULL, file TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL, rows INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
    taker_rows INTEGER NOT NULL, trades_rows INTEGER NOT NULL,
    PRIMARY KEY (venue, symbol, interval, month)) STRICT;
CREATE TABLE sources ({_KEY}, month TEXT NOT NULL, source TEXT NOT NULL,
    PRIMARY KEY (venue, symbol, interval, month, source)) STRICT;
CREATE TABLE gaps ({_KEY}, month TEXT NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL,
    PRIMARY KEY (venue, symbol, interval, from_ms)) STRICT;
CREATE TABLE quarantine ({_KEY}, digest BLOB NOT NULL, opened_at INTEGER NOT NULL, open REAL, high REAL, low REAL,
    close REAL, volume REAL, taker_buy_volume REAL, trades REAL, reason TEXT NOT NULL, source TEXT NOT NULL,
    PRIMARY KEY (venue, symbol, interval, digest)) STRICT;
CREATE TABLE marks ({_KEY}, piece TEXT NOT NULL, sha256 TEXT NOT NULL,
    PRIMARY KEY (venue, symbol, interval, piece)) STRICT;
"""
_OF = "WHERE venue = ? AND symbol = ? AND interval = ?"


class StoreError(BarsError):
    """A store that cannot do what was asked: the place and what to do stand in the sentence."""


class SeriesKey(NamedTuple):
    """One series of the store; `interval` is a bar's, or `funding`."""

    venue: str
    symbol: str
    interval: str


class Segment(NamedTuple):
    """One month of one series: the file that holds it, and what stands in there. Instants are ms UTC."""

    venue: str
    symbol: str
    interval: str
    month: str
    version: int
    file: str
    sha256: str
    rows: int
    first_ms: int
    last_ms: int
    taker_rows: int
    trades_rows: int

    @property
    def key(self) -> SeriesKey:
        return SeriesKey(self.venue, self.symbol, self.interval)


class Written(NamedTuple):
    """A segment whose file is on disk, with its gaps and where its newest rows come from."""

    segment: Segment
    gaps: Sequence[tuple[int, int]]
    source: str


class Suspect(NamedTuple):
    """A row in quarantine; an unknown number is None (SQLite keeps no NaN)."""

    digest: bytes
    opened_at: int
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None
    taker_buy_volume: float | None
    trades: float | None
    reason: str
    source: str


def create_manifest(root: Path, written: Iterable[Written] = ()) -> None:
    """Make a manifest that names these segments, whole or not at all. Only under the store's lock."""
    half = root / (MANIFEST + ".new")
    for leftover in (half, root / f"{half.name}-journal", root / f"{MANIFEST}-journal"):
        leftover.unlink(missing_ok=True)  # of a process that was killed here; a lost manifest's journal fits no other
    connection = sqlite3.connect(half, isolation_level=None)
    try:
        connection.executescript(
            f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {SCHEMA}; BEGIN; {_TABLES} COMMIT;"
        )
    finally:
        connection.close()
    with Manifest(half) as manifest:
        manifest.put(written)
    os.replace(half, root / MANIFEST)
    sync_folder(root)


class Manifest:
    """An open manifest. Reads see one moment each; a `put` is one transaction that a power cut cannot halve."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
        try:
            self._check()
            self._connection.execute("PRAGMA synchronous = EXTRA")  # the commit outlives a power cut
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def segments(self, key: SeriesKey, start: int | None = None, end: int | None = None) -> list[Segment]:
        """Segments of a series with a row in [start, end), in order of time."""
        low = -(2**63) if start is None else start
        high = 2**63 - 1 if end is None else end
        found = self._connection.execute(
            f"SELECT * FROM segments {_OF} AND last_ms >= ? AND first_ms < ? ORDER BY month", (*key, low, high)
        )
        return [Segment._make(row) for row in found]

    def all_segments(self) -> list[Segment]:
        """Every segment of the store."""
        found = self._connection.execute("SELECT * FROM segments ORDER BY venue, symbol, interval, month")
        return [Segment._make(row) for row in found]

    def months(self, key: SeriesKey, first: str, last: str) -> list[Segment]:
        """Segments of a series from one month to another, both included: `2024-01`."""
        found = self._connection.execute(
            f"SELECT * FROM segments {_OF} AND month BETWEEN ? AND ? ORDER BY month", (*key, first, last)
        )
        return [Segment._make(row) for row in found]

    def names(self, file: str) -> bool:
        """Whether a file, relative to the store's root, is part of it."""
        return self._connection.execute("SELECT 1 FROM segments WHERE file = ?", (file,)).fetchone() is not None

    def last(self, key: SeriesKey) -> int | None:
        """The newest instant of a series."""
        found: int | None = self._connection.execute(f"SELECT max(last_ms) FROM segments {_OF}", key).fetchone()[0]
        return found

    def inner_gaps(self, key: SeriesKey) -> list[tuple[int, int]]:
        """Gaps inside the segments; those between two segments show in their first and last instants."""
        return list(self._connection.execute(f"SELECT from_ms, to_ms FROM gaps {_OF} ORDER BY from_ms", key))

    def sources(self, key: SeriesKey) -> list[str]:
        """Where the rows of a series came from."""
        return [s for (s,) in self._connection.execute(f"SELECT DISTINCT source FROM sources {_OF} ORDER BY 1", key)]

    def put(self, written: Iterable[Written]) -> None:
        """Name segments, each in place of its month's older version: all of them or none."""
        with self._transaction() as connection:
            for segment, gaps, source in written:
                month = segment[:4]
                connection.execute(f"INSERT OR REPLACE INTO segments VALUES ({_marks(12)})", segment)
                connection.execute(f"DELETE FROM gaps {_OF} AND month = ?", month)
                connection.executemany("INSERT INTO gaps VALUES (?, ?, ?, ?, ?, ?)", [(*month, *gap) for gap in gaps])
                connection.execute("INSERT OR IGNORE INTO sources VALUES (?, ?, ?, ?, ?)", (*month, source))

    def put_suspects(self, key: SeriesKey, suspects: Sequence[Suspect]) -> int:
        """Keep rows in quarantine and return how many were not there yet."""
        with self._transaction() as connection:
            before = connection.total_changes
            rows = [(*key, *suspect) for suspect in suspects]
            connection.executemany(f"INSERT OR IGNORE INTO quarantine VALUES ({_marks(14)})", rows)
            return connection.total_changes - before

    def suspects(self, key: SeriesKey) -> list[Suspect]:
        """Rows of a series in quarantine, in order of time."""
        columns = ", ".join(Suspect._fields)
        found = self._connection.execute(
            f"SELECT {columns} FROM quarantine {_OF} ORDER BY opened_at, digest", key
        )  # fmt: skip
        return [Suspect._make(row) for row in found]

    def suspect_keys(self) -> dict[SeriesKey, int]:
        """How many rows of each series are in quarantine."""
        found = self._connection.execute("SELECT venue, symbol, interval, count(*) FROM quarantine GROUP BY 1, 2, 3")
        return {SeriesKey(*row[:3]): row[3] for row in found}

    def mark(self, key: SeriesKey, piece: str, sha256: str) -> None:
        """Remember that a piece with this content has been taken."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?, ?)", (*key, piece, sha256))

    def marked(self, key: SeriesKey) -> dict[str, str]:
        """Pieces taken, with the sha256 of each."""
        return dict(self._connection.execute(f"SELECT piece, sha256 FROM marks {_OF} ORDER BY piece", key))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _check(self) -> None:
        try:
            application = self._connection.execute("PRAGMA application_id").fetchone()[0]
            schema = self._connection.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.OperationalError:
            raise  # locked, or out of reach: the database says it best
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self.path} cannot be read: {error}") from error
        if application != APPLICATION:
            raise StoreError(f"{self.path} is not the manifest of a store")
        if schema != SCHEMA:
            raise StoreError(f"{self.path} is of schema {schema}, this installation knows {SCHEMA}")


def _marks(count: int) -> str:
    return ", ".join("?" * count)
