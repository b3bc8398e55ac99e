"""The journal: an append-only, hash-chained record in one SQLite file, written before anything takes effect.

Each row's hash covers its number, kind, payload and the row before it, so an edited, deleted or reordered row is named
by `verify`; the head, kept beside the rows, betrays a cut tail. Knows what kinds of rows there are, not what they mean.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from .lock import FileLock

SCHEMA = 1  # of the tables and of the rows' payloads
APPLICATION = 0x57544A4C  # "WTJL" in the file's header: an arbitrary SQLite file is not a journal
GENESIS = bytes(32)
WAIT_MS = 2_000  # for a reader's lock to go away; a second runner is refused at once by the lock file

_TABLES = """
CREATE TABLE rows (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, payload BLOB NOT NULL, previous BLOB NOT NULL,
                   hash BLOB NOT NULL) STRICT;
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE TRIGGER rows_stay BEFORE UPDATE ON rows BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER rows_remain BEFORE DELETE ON rows BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
"""


class JournalError(ValueError):
    """A journal that cannot be used; `row` is the first wrong one, 0 where no row is to blame."""

    def __init__(self, message: str, row: int = 0) -> None:
        super().__init__(message)
        self.row = row


class Kind(StrEnum):
    """What a row records. The first five come from outside; all others follow from them, and are re-created."""

    SESSION = "session"
    BAR = "bar"
    CLOCK = "clock"
    KILL = "kill"
    DROPPED = "dropped"
    FAULT = "fault"
    FILL = "fill"
    ACCOUNT = "account"
    OBSERVATION = "observation"
    DECISION = "decision"
    VERDICT = "verdict"
    RISK = "risk"
    INTENT = "intent"
    ACK = "ack"
    SNAPSHOT = "snapshot"


class Row(NamedTuple):
    """One row as it lies in the file; `payload` is canonical JSON."""

    seq: int
    kind: str
    payload: bytes
    previous: bytes
    hash: bytes

    @property
    def facts(self) -> dict[str, Any]:
        """The payload read back."""
        return dict(orjson.loads(self.payload))


Payload = Mapping[str, object]


def canonical(payload: Payload) -> bytes:
    """JSON with sorted keys: equal facts give equal bytes."""
    return orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)


def row_hash(seq: int, kind: str, payload: bytes, previous: bytes) -> bytes:
    """SHA-256 that ties a row to its place and to the row before it."""
    return hashlib.sha256(b"%s%d\0%s\0%s" % (previous, seq, kind.encode(), payload)).digest()


class Journal:
    """The writer's end: one process at a time. Rows wait in memory until `commit`; act only after it."""

    def __init__(self, path: str | Path, *, fsync: bool = False) -> None:
        """Open or create. `fsync` makes every commit survive a power loss, not only the end of the process.

        Raises JournalError where another runner holds the file, or the file is not a journal of this schema.
        """
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise JournalError(f"there is no folder {self.path.parent} for the journal {self.path.name}")
        try:
            self._lock = FileLock(self.path)
        except BlockingIOError as error:
            raise JournalError(str(error)) from error
        try:
            self._connection = _open_or_create(self.path, fsync)
            self._seq, self._hash = _head(self._connection, self.path)
        except BaseException:
            self._lock.release()
            raise
        self._waiting: list[Row] = []

    @property
    def rows_written(self) -> int:
        """Rows in the journal, waiting ones included."""
        return self._seq

    def append(self, kind: Kind, payload: Payload) -> int:
        """Chain a row and return its number. It is not on disk before `commit`."""
        seq, data = self._seq + 1, canonical(payload)
        row = Row(seq, kind.value, data, self._hash, row_hash(seq, kind, data, self._hash))
        self._waiting.append(row)
        self._seq, self._hash = seq, row.hash
        return seq

    def commit(self) -> None:
        """Put every waiting row on disk, all or none."""
        if not self._waiting:
            return
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?)", self._waiting)
            connection.execute("UPDATE head SET seq = ?, hash = ?", (self._seq, self._hash))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._waiting.clear()

    def rollback(self) -> None:
        """Forget the rows that wait."""
        self._waiting.clear()
        self._seq, self._hash = _head(self._connection, self.path)

    def first(self, kind: Kind) -> Row | None:
        """The oldest committed row of a kind."""
        return self._one("SELECT * FROM rows WHERE kind = ? ORDER BY seq LIMIT 1", kind)

    def last(self, kind: Kind) -> Row | None:
        """The newest committed row of a kind, looking back from the end."""
        return self._one("SELECT * FROM rows WHERE kind = ? ORDER BY seq DESC LIMIT 1", kind)

    def after(self, row: Row | None) -> list[Row]:
        """Every committed row behind `row` (all of them for None), their chain checked."""
        seq, tip = (row.seq, row.hash) if row else (0, GENESIS)
        found = self._connection.execute("SELECT * FROM rows WHERE seq > ? ORDER BY seq", (seq,))
        rows = list(checked(map(Row._make, found), seq, tip))
        _check_head(rows[-1] if rows else Row(seq, "", b"", b"", tip), _head(self._connection, self.path), self.path)
        return rows

    def close(self) -> None:
        """Let go of the file; rows that still wait are forgotten."""
        self._connection.close()
        self._lock.release()

    def _one(self, query: str, kind: Kind) -> Row | None:
        found = self._connection.execute(query, (kind.value,)).fetchone()
        return Row._make(found) if found else None


def read_rows(path: str | Path, *kinds: Kind) -> Iterator[Row]:
    """Committed rows in order, of the given kinds or of all; works beside a running writer."""
    connection = _open_readonly(Path(path))
    try:
        where = f"WHERE kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        names = [kind.value for kind in kinds]
        yield from map(Row._make, connection.execute(f"SELECT * FROM rows {where} ORDER BY seq", names))
    finally:
        connection.close()


def verify(path: str | Path) -> int:
    """Walk the whole chain and return how many rows hold. Raises JournalError naming the first that does not."""
    connection = _open_readonly(Path(path))
    try:
        connection.execute("BEGIN")  # one view of rows and head, also beside a running writer
        last = Row(0, "", b"", b"", GENESIS)
        for row in checked(map(Row._make, connection.execute("SELECT * FROM rows ORDER BY seq"))):
            last = row
        _check_head(last, _head(connection, Path(path)), Path(path))
        return last.seq
    except sqlite3.DatabaseError as error:
        raise JournalError(f"{path} is damaged: {error}") from error
    finally:
        connection.close()


def checked(rows: Iterable[Row], seq: int = 0, tip: bytes = GENESIS) -> Iterator[Row]:
    """Pass rows on as long as each follows the one before it; `seq` and `tip` are the row before the first."""
    for row in rows:
        seq += 1
        if row.seq != seq:
            raise JournalError(f"row {seq} is missing from the journal: row {row.seq} stands in its place", seq)
        if row.previous != tip:
            raise JournalError(f"row {seq} ({row.kind}) does not follow the row before it", seq)
        if row.hash != row_hash(seq, row.kind, row.payload, tip):
            raise JournalError(f"row {seq} ({row.kind}) is not what was written: its hash does not fit", seq)
        tip = row.hash
        yield row


def _check_head(last: Row, head: tuple[int, bytes], path: Path) -> None:
    seq, tip = head
    if last.seq < seq:
        raise JournalError(f"row {last.seq + 1} is missing from the end of {path}, which once had {seq}", last.seq + 1)
    if last.seq > seq or last.hash != tip:
        raise JournalError(f"row {min(last.seq, seq + 1)} of {path} is not the head that was written", last.seq)


def _open_or_create(path: Path, fsync: bool) -> sqlite3.Connection:
    # The runner's lock, not the thread, orders the calls: a kill is journalled by the thread that received it.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA busy_timeout = {WAIT_MS}")
        if _is_blank(connection, path):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(
                f"BEGIN; {_TABLES} INSERT INTO head VALUES (1, 0, zeroblob(32));"
                f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {SCHEMA}; COMMIT;"
            )
        _check_schema(connection, path)
        connection.execute(f"PRAGMA synchronous = {'FULL' if fsync else 'NORMAL'}")
    except BaseException:
        connection.close()
        raise
    return connection


def _open_readonly(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise JournalError(f"there is no journal at {path}")
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        _check_schema(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_blank(connection: sqlite3.Connection, path: Path) -> bool:
    """A new file, or one whose first start was killed before it made the tables."""
    try:
        return not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise JournalError(f"{path} is not a journal: {error}") from error


def _check_schema(connection: sqlite3.Connection, path: Path) -> None:
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        schema = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise JournalError(f"{path} is not a journal: {error}") from error
    if application != APPLICATION:
        raise JournalError(f"{path} is a SQLite file, but not a journal of wavetank")
    if schema != SCHEMA:
        raise JournalError(f"{path} has journal schema {schema}; this installation reads schema {SCHEMA}")


def _head(connection: sqlite3.Connection, path: Path) -> tuple[int, bytes]:
    found = connection.execute("SELECT seq, hash FROM head").fetchone()
    if found is None:
        raise JournalError(f"{path} has lost its head")
    return int(found[0]), bytes(found[1])
