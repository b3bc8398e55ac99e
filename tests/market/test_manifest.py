"""The manifest alone: one transaction is all or nothing, and what it keeps beside the segments comes back."""

import sqlite3
from pathlib import Path

import pytest

from wavetank.market.durable import locked, write_whole
from wavetank.market.manifest import (
    MANIFEST,
    Manifest,
    Segment,
    SeriesKey,
    Suspect,
    Written,
    create_manifest,
)

KEY = SeriesKey("binance", "BTCUSDT", "1h")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_manifest(tmp_path)
    return tmp_path


def _segment(month: str, version: int = 1, first: int = 0, last: int = 10, file: str | None = None) -> Segment:
    return Segment(*KEY, month, version, file or f"{month}/v{version}", "aa", 3, first, last, 0, 0)


def test_an_empty_manifest_holds_nothing_and_leaves_no_second_file(root: Path) -> None:
    with Manifest(root / MANIFEST) as manifest:
        assert (manifest.all_segments(), manifest.last(KEY), manifest.marked(KEY)) == ([], None, {})
    assert [path.name for path in root.iterdir()] == ["manifest.db"]


def test_a_killed_creation_is_begun_again(tmp_path: Path) -> None:
    for name in ("manifest.db.new", "manifest.db.new-journal", "manifest.db-journal"):
        (tmp_path / name).write_bytes(b"half of a data")
    create_manifest(tmp_path)
    with Manifest(tmp_path / MANIFEST) as manifest:
        assert manifest.all_segments() == []
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.db"]


def test_segments_are_found_by_the_instants_that_they_hold(root: Path) -> None:
    months = [_segment("2024-01", first=0, last=9), _segment("2024-02", first=10, last=19)]
    with Manifest(root / MANIFEST) as manifest:
        manifest.put([Written(segment, [], "test") for segment in reversed(months)])
        assert manifest.segments(KEY) == months
        assert manifest.segments(KEY, 9, 10) == months[:1]
        assert manifest.segments(KEY, 10, 11) == months[1:]
        assert manifest.segments(KEY, 9, 11) == months
        assert manifest.segments(KEY, 20) == []
        assert manifest.segments(KEY._replace(symbol="ETHUSDT")) == []
        assert manifest.last(KEY) == 19


def test_a_new_version_takes_the_place_of_the_old_one_with_its_gaps(root: Path) -> None:
    with Manifest(root / MANIFEST) as manifest:
        manifest.put([Written(_segment("2024-01"), [(2, 4), (6, 8)], "archive")])
        manifest.put([Written(_segment("2024-01", version=2), [(6, 8)], "REST")])
        assert manifest.segments(KEY) == [_segment("2024-01", version=2)]
        assert (manifest.names("2024-01/v1"), manifest.names("2024-01/v2")) == (False, True)
        assert manifest.inner_gaps(KEY) == [(6, 8)]
        assert manifest.sources(KEY) == ["REST", "archive"]


def test_of_several_segments_all_are_named_or_none(root: Path) -> None:
    wrong = _segment("2024-02")._replace(rows="many")  # type: ignore[arg-type]  # SQLite's strict tables refuse it
    with Manifest(root / MANIFEST) as manifest:
        with pytest.raises(sqlite3.IntegrityError):
            manifest.put([Written(_segment("2024-01"), [(2, 4)], "test"), Written(wrong, [], "test")])
        assert (manifest.all_segments(), manifest.inner_gaps(KEY), manifest.sources(KEY)) == ([], [], [])
        manifest.put([Written(_segment("2024-01"), [], "test")])
    with Manifest(root / MANIFEST) as manifest:
        assert manifest.names("2024-01/v1")


def test_a_suspect_comes_back_with_its_unknown_numbers(root: Path) -> None:
    suspect = Suspect(b"x", 5, 0.1, None, float("inf"), -1.0, 0.0, None, 2.5, "why", "test")
    with Manifest(root / MANIFEST) as manifest:
        assert manifest.put_suspects(KEY, [suspect, suspect]) == 1
        assert manifest.put_suspects(KEY, [suspect._replace(digest=b"y", opened_at=4), suspect]) == 1
        assert manifest.suspects(KEY) == [suspect._replace(digest=b"y", opened_at=4), suspect]
        assert manifest.suspect_keys() == {KEY: 2}


def test_months_are_found_by_name(root: Path) -> None:
    months = [_segment(f"2024-0{number}", first=number, last=number) for number in range(1, 6)]
    with Manifest(root / MANIFEST) as manifest:
        manifest.put([Written(segment, [], "test") for segment in months])
        assert manifest.months(KEY, "2024-02", "2024-04") == months[1:4]
        assert manifest.months(KEY, "2023-12", "2023-12") == []


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "file"
    write_whole(path, b"old")

    def refuses(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", refuses)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / "lock"):
        raise KeyError
    with locked(tmp_path / "lock"):
        pass
