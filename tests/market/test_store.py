"""The store's rows: what was added comes back to the last bit, once; what contradicts it is refused."""

import dataclasses
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from wavetank.market.bars import INTERVALS, Bars
from wavetank.market.depot import Depot
from wavetank.market.instants import Instant
from wavetank.market.manifest import Segment
from wavetank.market.parquet import Columns
from wavetank.market.raw import RawBars
from wavetank.market.store import Added, Store, StoreError, data_folder, read_bars, write_bars

from .handmade import HOUR, MIDNIGHT
from .stored import DAY, FEBRUARY, FEBRUARY_ROW, MARCH, QUARTER, SERIES, added, assert_same, files, with_optional


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_bars_come_back_to_the_last_bit_out_of_one_file_a_month(store: Store) -> None:
    bars = with_optional(QUARTER)
    assert added(store, bars) == Added(len(bars), 0, 3)
    assert_same(store.read(*SERIES), bars)
    assert store.read(*SERIES).symbol == "DRAWN"
    folders = [Path(file).parent.as_posix() for file in files(store.root)]
    assert folders == [f"binance/DRAWN/1h/2024/0{month}" for month in (1, 2, 3)]


def test_a_segment_is_a_plain_parquet_file_that_says_what_it_is(store: Store) -> None:
    added(store)
    january = read_bars(store.root / files(store.root)[0])
    assert_same(january, QUARTER.slice(0, 31 * 24))
    assert (january.symbol, january.interval) == ("DRAWN", "1h")


def test_the_same_rows_again_change_no_byte(store: Store) -> None:
    added(store)
    before = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    assert added(store) == Added(0, len(QUARTER), 0)
    assert added(store, QUARTER.slice(700, 800)) == Added(0, 100, 0)
    assert {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()} == before


def test_pieces_in_any_order_and_overlapping_make_the_whole(store: Store) -> None:
    rng = np.random.default_rng(2)
    total = 0
    for start in rng.permutation(np.arange(0, len(QUARTER), 150)):
        stop = min(int(start) + 220, len(QUARTER))
        got = added(store, QUARTER.slice(int(start), stop))
        assert got.new + got.same == stop - int(start)
        total += got.new
    assert total == len(QUARTER)
    assert_same(store.read(*SERIES), QUARTER)
    assert store.verify() == []
    assert len(files(store.root)) == 3


def test_one_more_bar_touches_its_month_alone(store: Store) -> None:
    added(store, QUARTER.slice(0, len(QUARTER) - 1))
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*.parquet")}
    for path in [path for path in before if "/03/" not in path.as_posix()]:
        path.write_bytes(b"whoever opens this file fails")
        os.utime(path, ns=(1, 1))
        before[path] = 1
    assert added(store, QUARTER.slice(len(QUARTER) - 1, len(QUARTER))) == Added(1, 0, 1)
    after = {path: path.stat().st_mtime_ns for path in store.root.rglob("*.parquet")}
    assert [path.parent.name for path in after.keys() - before.keys()] == ["03"]
    assert [path.parent.name for path in before.keys() - after.keys()] == ["03"]
    assert all(after[path] == before[path] for path in after.keys() & before.keys())


def test_a_range_is_read_out_of_its_months_alone(store: Store) -> None:
    added(store)
    january, february, march = (store.root / file for file in files(store.root))
    january.write_bytes(b"whoever opens this file fails")
    march.unlink()
    read = store.read(*SERIES, "2024-02-01", "2024-03-01")
    assert_same(read, QUARTER.slice(31 * 24, 60 * 24))
    assert len(store.read(*SERIES, FEBRUARY + HOUR, FEBRUARY + 3 * HOUR)) == 2
    february.write_bytes(b"neither is this one what it was")
    with pytest.raises(StoreError, match="is damaged"):
        store.read(*SERIES, "2024-02-01", "2024-03-01")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (None, None),
        (FEBRUARY, None),
        (None, FEBRUARY),
        (FEBRUARY - 1, FEBRUARY + 1),
        (FEBRUARY + 1, MARCH),
        (MIDNIGHT - DAY, MIDNIGHT + 1),
        ("2024-01-31T23:00+00:00", "2024-02-01T02:00+01:00"),
        (np.int64(FEBRUARY), datetime(2024, 3, 1, tzinfo=UTC)),
    ],
)
def test_start_is_in_and_end_is_out(store: Store, start: Instant | None, end: Instant | None) -> None:
    added(store)
    path = store.root / "whole.parquet"
    write_bars(path, QUARTER)
    assert_same(store.read(*SERIES, start, end), read_bars(path, start=start, end=end))


def test_bars_are_read_by_series_and_date_as_the_readme_says(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    added(store)
    expected = QUARTER.slice(31 * 24, 60 * 24)
    assert_same(read_bars(*SERIES, "2024-02-01", "2024-03-01", root=store.root), expected)
    monkeypatch.setenv("WAVETANK_STORE", str(store.root))
    assert_same(read_bars(*SERIES, "2024-02-01", "2024-03-01"), expected)
    monkeypatch.delenv("WAVETANK_STORE")
    monkeypatch.chdir(store.root.parent)
    assert_same(read_bars(*SERIES, "2024-02-01", "2024-03-01"), expected)
    monkeypatch.chdir(tmp_path / "store")
    with pytest.raises(StoreError, match="there is no store at store"):
        read_bars(*SERIES)
    assert not (tmp_path / "store" / "store").exists()


def test_a_row_with_other_values_is_refused_with_instant_and_values_and_nothing_changes(store: Store) -> None:
    added(store, QUARTER.slice(0, 1500))
    before = {path: path.read_bytes() for path in store.root.rglob("*.parquet")}
    row = QUARTER.bar(1000)
    rows = [*(QUARTER.bar(i) for i in range(31 * 24 - 5, 1000)), row._replace(close=row.high), QUARTER.bar(1501)]
    wrong = Bars.from_rows("1h", [QUARTER.bar(0), *rows], "DRAWN")
    told = rf"binance DRAWN 1h: close at 2024-02-11T16:00:00Z is known as {row.close!r} and comes as {row.high!r}"
    with pytest.raises(StoreError, match=told):
        added(store, wrong)
    assert {path: path.read_bytes() for path in store.root.rglob("*.parquet")} == before
    assert store.last(*SERIES) == int(QUARTER.opened_at[1499])
    assert store.verify() == []


def test_a_refused_month_takes_those_before_it_along(store: Store) -> None:
    """January would grow; February contradicts: neither is written."""
    added(store, QUARTER.slice(100, 1500))
    before = files(store.root)
    row = QUARTER.bar(1000)
    wrong = Bars.from_rows("1h", [*(QUARTER.bar(i) for i in range(100)), row._replace(close=row.high)], "DRAWN")
    with pytest.raises(StoreError, match="is known as"):
        added(store, wrong)
    assert files(store.root) == before
    assert_same(store.read(*SERIES), QUARTER.slice(100, 1500))


def test_replace_takes_the_new_row_whole_and_bumps_the_version(store: Store) -> None:
    bars = with_optional(QUARTER)
    added(store, bars)
    row = bars.bar(1000)
    other_row = row._replace(volume=row.volume + 1, taker_buy_volume=-1.0, trades=-1)
    other = Bars.from_rows("1h", [bars.bar(999), other_row], "DRAWN")
    assert added(store, other, replace=True) == Added(0, 1, 1, changed=1)
    back = store.read(*SERIES)
    assert back.volume[1000] == row.volume + 1
    assert back.volume[999] == bars.volume[999]
    assert back.taker_buy_volume is None  # the new row has none
    assert back.trades is None
    assert_same(store.read(*SERIES, MARCH), bars.slice(60 * 24, len(bars)))
    versions = [file.rpartition("/")[2].partition("-")[0] for file in files(store.root)]
    assert versions == ["v1", "v2", "v1"]


def test_months_that_differ_in_taker_volume_read_without_it_and_ls_says_some(store: Store) -> None:
    added(store, with_optional(QUARTER).slice(0, FEBRUARY_ROW))
    assert (store.series()[0].taker_buy_volume, store.series()[0].trades) == ("all", "all")
    added(store, QUARTER.slice(FEBRUARY_ROW, len(QUARTER)))
    assert_same(store.read(*SERIES), QUARTER)
    facts = store.series()[0]
    assert (facts.taker_buy_volume, facts.trades) == ("some", "some")
    assert_same(store.read(*SERIES, end=FEBRUARY), with_optional(QUARTER).slice(0, FEBRUARY_ROW))


def test_what_was_unknown_is_filled_in_and_what_is_known_is_not_forgotten(store: Store) -> None:
    bars = with_optional(QUARTER)
    added(store, QUARTER.slice(0, 100))
    assert added(store, bars.slice(50, 100)) == Added(0, 0, 1, changed=50)
    assert store.read(*SERIES).trades is None
    assert_same(store.read(*SERIES, int(bars.opened_at[50])), bars.slice(50, 100))
    added(store, bars.slice(0, 50))
    assert added(store, QUARTER.slice(0, 100)) == Added(0, 100, 0)
    assert_same(store.read(*SERIES), bars.slice(0, 100))


def test_a_reader_overtaken_by_a_writer_reads_the_newer_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that the manifest has just named to the reader is gone by the time that it is opened."""
    honest = Depot.load

    def overtaken(step: int) -> None:
        overtakings = iter([QUARTER.slice(step, step + 1)])

        def load(depot: Depot, segment: Segment) -> Columns:
            for bars in overtakings:
                added(Store(store.root), bars)
                assert not (store.root / segment.file).exists()
            return honest(depot, segment)

        monkeypatch.setattr(Depot, "load", load)

    added(store, QUARTER.slice(0, 100))
    overtaken(100)
    assert_same(store.read(*SERIES), QUARTER.slice(0, 101))
    overtaken(101)
    assert store.verify() == []
    assert_same(store.read(*SERIES), QUARTER.slice(0, 102))


def test_rows_of_which_some_lack_an_optional_value_are_one_append(store: Store) -> None:
    bars = with_optional(QUARTER)
    lacking = RawBars.of(bars)
    assert lacking.taker_buy_volume is not None
    lacking.taker_buy_volume[::2] = np.nan
    rows = bars.slice(0, 1000)
    added(store, Bars.from_rows("1h", [row._replace(taker_buy_volume=-1.0) for row in rows], "DRAWN"))
    before = files(store.root)
    row = lacking.take(np.array([1001, 999, 1500]))
    wrong = dataclasses.replace(row, close=row.close * 1.001, high=row.high * 1.01)
    with pytest.raises(ValueError, match="is older than the one before it"):
        store.append_rows("binance", "DRAWN", wrong, source="test")
    with pytest.raises(StoreError, match="is known as"):
        store.append_rows("binance", "DRAWN", wrong.take(np.array([1, 0, 2])), source="test")
    assert files(store.root) == before
    assert store.append_rows("binance", "DRAWN", lacking, source="test") == Added(len(bars) - 1000, 500, 3, changed=500)
    facts = store.series()[0]
    assert (facts.taker_buy_volume, facts.trades) == ("some", "all")
    back = store.read(*SERIES, int(bars.opened_at[7]), int(bars.opened_at[8]))
    assert_same(back, bars.slice(7, 8))
    assert store.read(*SERIES, int(bars.opened_at[8]), int(bars.opened_at[9])).taker_buy_volume is None


def test_an_optional_value_that_cannot_be_true_is_refused_beside_one_that_is_not_known(store: Store) -> None:
    rows = RawBars.of(with_optional(QUARTER.slice(0, 3)))
    trades = np.array([np.nan, 1.5, 2.0])
    with pytest.raises(ValueError, match=r"bar 1: trades 1\.5 is not a whole number"):
        store.append_rows("binance", "DRAWN", dataclasses.replace(rows, trades=trades), source="test")
    assert not store.root.exists()


@pytest.mark.parametrize(
    ("name", "rows", "gaps"), [("binanceusdm_BTCUSDT_1h", 33_363, 0), ("binance_BTCUSDT_1h", 58_418, 28)]
)
def test_recorded_data_comes_back_bit_equal_with_the_gaps_that_its_readme_counts(
    store: Store, name: str, rows: int, gaps: int
) -> None:
    path = data_folder() / "ohlcv" / f"{name}.parquet"
    if not path.is_file():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    bars, venue = read_bars(path), name.partition("_")[0]
    assert store.append(venue, "BTCUSDT", bars, source=path.name).new == rows
    assert_same(store.read(venue, "BTCUSDT", "1h"), bars)
    found = store.gaps(venue, "BTCUSDT", "1h")
    assert len(found) == gaps
    absent = (int(bars.opened_at[-1]) - int(bars.opened_at[0])) // INTERVALS["1h"] + 1 - rows
    assert sum(gap.missing for gap in found) == absent
    assert store.verify() == []
