"""The trail: what the trading loop writes on, while it re-creates a journal and after.

As long as rows lie ahead, every row the loop words must equal the next one, byte for byte; behind the last one rows are
appended. So a restart, an audit and a first run are one and the same loop. Knows rows, not their meaning.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from .journal import Journal, JournalError, Kind, Payload, Row, canonical

MARKS = (Kind.SESSION, Kind.DROPPED, Kind.FAULT)  # tell a reader what happened; the loop passes them by
DIGESTED = (Kind.DECISION, Kind.VERDICT, Kind.INTENT)


class Mismatch(JournalError):
    """A row that this installation re-creates differently from what the journal says."""


class Trail:
    """Rows ahead, then a journal's end. With `journal` None (an audit) nothing is written behind the last row."""

    def __init__(self, journal: Journal | None, ahead: Iterable[Row] = ()) -> None:
        self.journal = journal
        self.counts: Counter[str] = Counter()  # rows passed or re-created, by kind
        self._ahead: Iterator[Row] = iter(ahead)
        self._next: Row | None = None
        self._digest = hashlib.sha256()
        self._advance()

    @property
    def ahead(self) -> Row | None:
        """The next row to re-create; None when what is recorded now is new."""
        return self._next

    @property
    def digest(self) -> str:
        """SHA-256 over all decisions, verdicts and intents (with their order ids) re-created so far."""
        return self._digest.hexdigest()

    def record(self, kind: Kind, payload: Payload) -> None:
        """Word a row: check it against the next one, or append it."""
        row = self._next
        if row is None:
            if self.journal is not None:
                self.journal.append(kind, payload)
            return
        data = canonical(payload)
        if row.kind != kind or row.payload != data:
            raise Mismatch(
                f"row {row.seq} differs: the journal says {row.kind} {_short(row.payload)}, "
                f"re-created is {kind} {_short(data)}",
                row.seq,
            )
        self._count(row)
        self._advance()

    def take(self, kind: Kind) -> dict[str, Any] | None:
        """What came from outside at this place: the next row's payload; None where the trail is new."""
        row = self._next
        if row is None:
            return None
        if row.kind != kind:
            raise Mismatch(f"row {row.seq} differs: the journal says {row.kind}, where a {kind} was due", row.seq)
        self._count(row)
        self._advance()
        return row.facts

    def commit(self) -> None:
        """Make the new rows durable; nothing may take effect before."""
        if self.journal is not None and self._next is None:
            self.journal.commit()

    def _advance(self) -> None:
        self._next = next(self._ahead, None)
        while self._next is not None and self._next.kind in MARKS:
            self._count(self._next)
            self._next = next(self._ahead, None)

    def _count(self, row: Row) -> None:
        self.counts[row.kind] += 1
        if row.kind in DIGESTED:
            self._digest.update(row.kind.encode() + b"\0" + row.payload + b"\n")


def _short(data: bytes) -> str:
    text = data.decode()
    return text if len(text) <= 160 else f"{text[:157]}..."
