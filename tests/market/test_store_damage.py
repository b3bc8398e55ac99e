"""A store that is damaged, half lost, full or asked amiss: one sentence each, and nothing half-written."""

import hashlib
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from wavetank.market.bars import Bars
from wavetank.market.costs import Funding
from wavetank.market.store import Added, Store, StoreError, write_bars

from .handmade import HOUR, MIDNIGHT
from .stored import FEBRUARY, FEBRUARY_ROW, MARCH, QUARTER, SERIES, added, assert_same, files, with_optional


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is damaged: its sha256 is"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"2024-02", b"2024-03")), "is damaged"),
    ],
)
def test_a_damaged_segment_is_named_by_verify_read_and_append(store: Store, damage: object, told: str) -> None:
    added(store, QUARTER.slice(0, 1400))
    path = store.root / files(store.root)[1]
    assert callable(damage)
    damage(path)
    assert [str(path) in line and told in line for line in store.verify()] == [True]
    for touch in (lambda: store.read(*SERIES), lambda: added(store)):
        with pytest.raises(StoreError, match=told) as error:
            touch()
        assert str(path) in str(error.value)


def test_verify_compares_the_rows_with_the_manifest(store: Store) -> None:
    added(store)
    with sqlite3.connect(store.root / "manifest.db") as manifest:
        manifest.execute("UPDATE segments SET rows = 700, last_ms = last_ms - 1 WHERE month = '2024-02'")
    manifest.close()
    path = store.root / files(store.root)[1]
    last = int(QUARTER.opened_at[60 * 24 - 1])
    assert store.verify() == [
        f"{path} has rows 696, the manifest says 700",
        f"{path} has last_ms {last}, the manifest says {last - 1}",
    ]


def test_a_file_that_the_manifest_does_not_name_is_not_read_and_is_swept_by_the_next_writer(store: Store) -> None:
    added(store)
    strays = [
        store.root / "binance/DRAWN/1h/2024/04/v1-0123456789ab.parquet",
        store.root / "binance/DRAWN/1h/2024/03/v2-0123456789ab.parquet.half",
    ]
    foreign = [
        store.root / "binance/DRAWN/1h/notes.parquet",
        store.root / "binance/DRAWN/1h/2024/03/mine.parquet",
        store.root / "v1-0123456789ab.parquet",
    ]
    for path in strays + foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"nobody reads this")
    assert_same(store.read(*SERIES), QUARTER)
    assert [words.partition(" ")[0] for words in store.verify()] == sorted(map(str, strays))
    added(Store(store.root))
    assert [path.exists() for path in strays + foreign] == [False, False, True, True, True]
    assert store.verify() == []


def test_segments_without_a_manifest_are_not_taken_for_garbage(store: Store) -> None:
    added(store)
    before = files(store.root)
    (store.root / "manifest.db").rename(store.root / "elsewhere.db")
    for writer in (store, Store(store.root)):
        with pytest.raises(StoreError, match=r"holds 3 segment files and no manifest.db: bring it back, or make it"):
            added(writer)
    assert files(store.root) == before
    (store.root / "elsewhere.db").rename(store.root / "manifest.db")
    assert_same(store.read(*SERIES), QUARTER)


def test_a_lost_manifest_is_made_anew_out_of_the_files(store: Store) -> None:
    absent = {100, FEBRUARY_ROW, 1600}
    bars = with_optional(QUARTER)
    added(store, Bars.from_rows("1h", [bars.bar(i) for i in range(1500) if i not in absent], "DRAWN"))
    added(store, QUARTER.slice(1500, 1600))
    stamps = np.arange(MIDNIGHT, MARCH, 8 * HOUR)
    store.append_funding("binance", "DRAWN", Funding(stamps, np.full(len(stamps), 1e-4)), source="test")
    facts, gaps = store.series(), store.gaps(*SERIES)
    unacknowledged = store.root / files(store.root)[0].replace("v1-", "v0-")  # of an older version
    unacknowledged.write_bytes(b"old")
    (store.root / "binance/DRAWN/1h/2024/02/v9-0123456789ab.parquet.half").write_bytes(b"half")
    (store.root / "manifest.db").unlink()
    assert store.rebuild() == 5
    assert store.series() == facts
    assert store.gaps(*SERIES) == gaps
    added(Store(store.root), bars)  # and it grows, and sweeps, as before
    assert_same(store.read(*SERIES), bars)
    assert store.verify() == []


def test_a_manifest_is_made_anew_only_where_there_is_none_and_every_file_is_whole(store: Store) -> None:
    with pytest.raises(StoreError, match="there is no store at"):
        store.rebuild()
    added(store)
    with pytest.raises(StoreError, match=r"manifest.db is there: move it away"):
        store.rebuild()
    (store.root / "manifest.db").unlink()
    january, february, _ = (store.root / file for file in files(store.root))
    whole = february.read_bytes()
    february.write_bytes(whole[:-1])
    with pytest.raises(StoreError, match=f"{february} is damaged: its sha256 is"):
        store.rebuild()
    assert not (store.root / "manifest.db").exists()
    february.write_bytes(whole)
    stranger = write_bars(store.root / "x.parquet", QUARTER)
    digest = hashlib.sha256(stranger.read_bytes()).hexdigest()
    stranger.rename(january.with_name(f"v7-{digest[:12]}.parquet"))
    with pytest.raises(StoreError, match="is no segment of a store"):
        store.rebuild()


def test_what_a_writer_left_behind_in_a_month_is_gone_once_the_month_grows(store: Store) -> None:
    """Else two files of one version could lie side by side, and nobody could tell which one counted."""
    added(store, QUARTER.slice(0, 100))
    stray = store.root / "binance/DRAWN/1h/2024/01/v2-0123456789ab.parquet"
    stray.write_bytes(b"of a writer that was killed while this store was open")
    added(store, QUARTER.slice(100, 200))
    assert not stray.exists()
    assert len(files(store.root)) == 1


def test_a_full_disk_leaves_the_store_as_it_was(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    added(store, QUARTER.slice(0, 100))
    before = files(store.root)
    real, count = os.fsync, 0

    def full(handle: int) -> None:
        nonlocal count
        count += 1
        if count == 2:  # in the second month: the first one's file is whole by then
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        added(store)
    monkeypatch.undo()
    assert count == 2
    assert files(store.root) == before
    assert_same(store.read(*SERIES), QUARTER.slice(0, 100))
    assert added(store) == Added(len(QUARTER) - 100, 100, 3)


@pytest.mark.parametrize("name", ["", "..", "../up", "a/b", "a\\b", " x", "x.y", "x "])
def test_a_series_cannot_name_its_way_out_of_the_store(store: Store, name: str) -> None:
    for call in (
        lambda: store.append("binance", name, QUARTER.slice(0, 3), source="test"),
        lambda: store.read(name, "BTCUSDT", "1h"),
        lambda: store.funding("binance", name),
        lambda: store.mark("binance", name, "1h", "piece", "aa"),
    ):
        with pytest.raises(StoreError, match="cannot be part of a series' name"):
            call()
    assert not store.root.exists()


def test_what_is_not_there_is_said_in_one_sentence(store: Store) -> None:
    with pytest.raises(StoreError, match=r"there is no store at .*store \(no manifest.db in it\)"):
        store.read(*SERIES)
    added(store)
    for call in (
        lambda: store.read("binance", "OTHER", "1h"),
        lambda: store.read("binance", "DRAWN", "4h"),
        lambda: store.gaps("kraken", "DRAWN", "1h"),
        lambda: store.funding("binance", "DRAWN"),
    ):
        with pytest.raises(StoreError, match="has no series"):
            call()
    told = r"nothing between 2025-01-01 and None; it holds 2024-01-01T00:00:00Z to 2024-03-31T23:00:00Z"
    with pytest.raises(StoreError, match=told):
        store.read(*SERIES, "2025-01-01")
    with pytest.raises(StoreError, match="has nothing between"):
        store.read(*SERIES, FEBRUARY, FEBRUARY)


def test_bars_of_another_symbol_and_unknown_intervals_are_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="bars of DRAWN cannot be added to binance BTCUSDT 1h"):
        store.append("binance", "BTCUSDT", QUARTER, source="test")
    with pytest.raises(StoreError, match=r"interval '7m' is not one of 1m, "):
        store.read("binance", "DRAWN", "7m")
    with pytest.raises(StoreError, match="binance DRAWN 1h need a source"):
        store.append("binance", "DRAWN", QUARTER, source="")
    assert not store.root.exists()


@pytest.mark.parametrize("content", [b"", b"this is text, not a database; " * 40])
def test_a_manifest_that_is_none_is_refused(store: Store, content: bytes) -> None:
    store.root.mkdir()
    (store.root / "manifest.db").write_bytes(content)
    for call in (lambda: store.read(*SERIES), lambda: added(store)):
        with pytest.raises(StoreError, match=r"manifest.db (is not the manifest of a store|cannot be read)"):
            call()


def test_a_manifest_of_another_schema_is_refused(store: Store) -> None:
    added(store)
    with sqlite3.connect(store.root / "manifest.db") as manifest:
        manifest.execute("PRAGMA user_version = 9")
    manifest.close()
    with pytest.raises(StoreError, match="is of schema 9, this installation knows 1"):
        store.read(*SERIES)
