"""The journal: chained, append-only, locked, and able to name the first row that is wrong."""

import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wavetank.execution.journal import Journal, JournalError, Kind, read_rows, verify


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed journal of five rows."""
    place = tmp_path / "a.db"
    journal = Journal(place)
    journal.append(Kind.SESSION, {"who": "me"})
    for i in range(4):
        journal.append(Kind.BAR, {"number": i, "close": 0.1 * i})
    journal.commit()
    journal.close()
    return place


def test_rows_are_chained_as_their_documentation_says(path: Path) -> None:
    tip = bytes(32)
    for number, row in enumerate(read_rows(path), start=1):
        by_hand = tip + str(number).encode() + b"\0" + row.kind.encode() + b"\0" + row.payload
        assert row.hash == hashlib.sha256(by_hand).digest()
        assert row.previous == tip
        tip = row.hash
    assert verify(path) == 5


def test_payload_bytes_do_not_depend_on_the_order_of_keys(tmp_path: Path) -> None:
    tips = []
    for name, payload in (("a.db", {"x": 1, "y": 2}), ("b.db", {"y": 2, "x": 1})):
        journal = Journal(tmp_path / name)
        journal.append(Kind.RISK, payload)
        journal.commit()
        journal.close()
        tips.append([row.hash for row in read_rows(tmp_path / name)])
    assert tips[0] == tips[1]


def test_rows_that_were_not_committed_are_not_there(path: Path) -> None:
    journal = Journal(path)
    assert journal.append(Kind.KILL, {"by": "me"}) == 6
    assert verify(path) == 5
    journal.rollback()
    assert journal.append(Kind.FAULT, {"error": "x"}) == 6
    journal.commit()
    journal.close()
    assert [row.kind for row in read_rows(path)][-1] == "fault"
    assert verify(path) == 6


def _tamper(path: Path, *commands: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript("DROP TRIGGER rows_stay; DROP TRIGGER rows_remain;")
    for command in commands:
        connection.execute(command)
    connection.commit()
    connection.close()


SWAP = (
    "UPDATE rows SET seq = 99 WHERE seq = 2",
    "UPDATE rows SET seq = 2 WHERE seq = 3",
    "UPDATE rows SET seq = 3 WHERE seq = 99",
)


@pytest.mark.parametrize(
    ("commands", "row", "words"),
    [
        (("UPDATE rows SET payload = CAST('{}' AS BLOB) WHERE seq = 3",), 3, "row 3 .bar. is not what was"),
        (("UPDATE rows SET kind = 'kill' WHERE seq = 5",), 5, "row 5 .kill. is not what was written"),
        (("UPDATE rows SET hash = zeroblob(32) WHERE seq = 4",), 4, "row 4 .bar. is not what was written"),
        (("UPDATE rows SET previous = zeroblob(32) WHERE seq = 4",), 4, "row 4 .bar. does not follow"),
        (("DELETE FROM rows WHERE seq = 2",), 2, "row 2 is missing from the journal"),
        (("DELETE FROM rows WHERE seq > 3",), 4, "row 4 is missing from the end"),
        (("DELETE FROM rows",), 1, "row 1 is missing from the end"),
        (SWAP, 2, "row 2 .bar. does not follow"),
        (("UPDATE head SET hash = zeroblob(32)",), 5, "row 5 .* is not the head"),
    ],
)
def test_edited_deleted_and_reordered_rows_are_named(
    path: Path, commands: tuple[str, ...], row: int, words: str
) -> None:
    _tamper(path, *commands)
    with pytest.raises(JournalError, match=words) as caught:
        verify(path)
    assert caught.value.row == row


def test_an_edited_tail_is_noticed_when_the_journal_is_taken_up_again(path: Path) -> None:
    _tamper(path, "UPDATE rows SET payload = CAST('{}' AS BLOB) WHERE seq = 4")
    journal = Journal(path)
    with pytest.raises(JournalError, match="row 4"):
        journal.after(None)
    journal.close()


@pytest.mark.parametrize("command", ["UPDATE rows SET kind = 'x'", "DELETE FROM rows"])
def test_the_file_itself_refuses_changes(path: Path, command: str) -> None:
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(command)
    connection.close()


def test_second_runner_is_refused_and_told_who_holds_the_journal(path: Path) -> None:
    journal = Journal(path)
    code = f"from wavetank.execution.journal import Journal\nJournal({str(path)!r})"
    second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"is in use by another runner (process {os.getpid()})" in second.stderr.splitlines()[-1]
    journal.close()
    Journal(path).close()
    assert not path.with_name("a.db.lock").exists()


def test_a_start_that_was_killed_before_it_made_the_tables_is_no_obstacle(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("PRAGMA journal_mode = WAL")  # writes the file's header: all that the killed start had done
    connection.close()
    assert (tmp_path / "a.db").stat().st_size > 0
    journal = Journal(tmp_path / "a.db")
    journal.append(Kind.KILL, {"by": "me"})
    journal.commit()
    journal.close()
    assert verify(tmp_path / "a.db") == 1


def _not_sqlite(path: Path) -> None:
    path.write_bytes(b"these are not the bytes of a database, and there are enough of them" * 40)


def _other_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()


def _later_schema(path: Path) -> None:
    Journal(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_not_sqlite, "is not a journal"),
        (_other_database, "not a journal of wavetank"),
        (_later_schema, "has journal schema 7; this installation reads schema 1"),
    ],
)
def test_other_files_are_refused_in_one_sentence(tmp_path: Path, make: Callable[[Path], None], words: str) -> None:
    place = tmp_path / "x.db"
    make(place)
    for attempt in (Journal, verify):
        with pytest.raises(JournalError, match=words):
            attempt(place)
    assert not place.with_name("x.db.lock").exists()


def test_missing_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal at"):
        verify(tmp_path / "none.db")
    with pytest.raises(JournalError, match="there is no folder"):
        Journal(tmp_path / "none" / "a.db")


def test_a_reader_works_beside_the_writer(path: Path) -> None:
    journal = Journal(path)
    journal.append(Kind.CLOCK, {"now_ms": 1})
    journal.commit()
    assert verify(path) == 6
    journal.close()
