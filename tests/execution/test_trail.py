"""The trail: rows ahead must come out as they were written; behind them new ones are appended."""

from pathlib import Path

import pytest

from wavetank.execution.journal import Journal, Kind, Row, read_rows
from wavetank.execution.trail import Mismatch, Trail


@pytest.fixture
def written(tmp_path: Path) -> tuple[Journal, list[Row]]:
    journal = Journal(tmp_path / "a.db")
    journal.append(Kind.BAR, {"close": 1.0})
    journal.append(Kind.SESSION, {"process": 2})
    journal.append(Kind.VERDICT, {"lots": 3})
    journal.commit()
    return journal, list(read_rows(tmp_path / "a.db"))


def test_equal_rows_are_passed_and_new_ones_appended(written: tuple[Journal, list[Row]]) -> None:
    journal, rows = written
    trail = Trail(journal, rows)
    trail.record(Kind.BAR, {"close": 1.0})
    trail.record(Kind.VERDICT, {"lots": 3})  # the session row between them is nobody's to re-create
    assert trail.ahead is None
    assert journal.rows_written == 3
    trail.record(Kind.INTENT, {"lots": 3})
    assert journal.rows_written == 4
    assert trail.counts == {"bar": 1, "session": 1, "verdict": 1}
    journal.close()


@pytest.mark.parametrize(("kind", "close"), [(Kind.BAR, 1.0000000000000002), (Kind.FILL, 1.0)])
def test_the_first_row_that_differs_is_named(written: tuple[Journal, list[Row]], kind: Kind, close: float) -> None:
    journal, rows = written
    with pytest.raises(Mismatch, match="row 1 differs: the journal says bar") as caught:
        Trail(journal, rows).record(kind, {"close": close})
    assert caught.value.row == 1
    journal.close()


def test_facts_from_outside_are_taken_from_the_journal_once(written: tuple[Journal, list[Row]]) -> None:
    journal, rows = written
    trail = Trail(journal, rows)
    assert trail.take(Kind.BAR) == {"close": 1.0}
    with pytest.raises(Mismatch, match="row 3 differs: the journal says verdict, where a clock was due"):
        trail.take(Kind.CLOCK)
    trail.record(Kind.VERDICT, {"lots": 3})
    assert trail.take(Kind.CLOCK) is None
    journal.close()


def test_an_audit_writes_nothing(written: tuple[Journal, list[Row]]) -> None:
    journal, rows = written
    trail = Trail(None, rows)
    trail.record(Kind.BAR, {"close": 1.0})
    trail.record(Kind.VERDICT, {"lots": 3})
    trail.record(Kind.ACK, {"accepted": True})
    trail.commit()
    assert journal.rows_written == 3
    journal.close()


def test_digest_covers_decisions_verdicts_and_intents_alone(tmp_path: Path) -> None:
    digests = []
    for name, clock, lots in (("a.db", 1, 3), ("b.db", 2, 3), ("c.db", 1, 4)):
        journal = Journal(tmp_path / name)
        journal.append(Kind.CLOCK, {"now_ms": clock})
        journal.append(Kind.INTENT, {"lots": lots})
        journal.commit()
        journal.close()
        trail = Trail(None, read_rows(tmp_path / name))
        trail.record(Kind.CLOCK, {"now_ms": clock})
        trail.record(Kind.INTENT, {"lots": lots})
        digests.append(trail.digest)
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]
