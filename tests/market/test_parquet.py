"""Files of bars: what is whole comes back to the last bit, what is not costs one sentence and nothing half-written."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from wavetank.market.bars import Bar, Bars
from wavetank.market.instants import Instant
from wavetank.market.parquet import TIME, decode, encode
from wavetank.market.store import BarsError, data_folder, read_bars, read_funding, read_raw, write_bars

from .handmade import HOUR, MIDNIGHT, drawn_bars, same_bits

COLUMNS = ("opened_at", "open", "high", "low", "close", "volume")


def _assert_same(a: Bars, b: Bars) -> None:
    assert a.interval == b.interval
    for name in COLUMNS:
        assert same_bits(getattr(a, name), getattr(b, name)), name


def _frame(count: int = 5, unit: str = "ms", **changed: Any) -> pd.DataFrame:
    at = pd.to_datetime(MIDNIGHT + np.arange(count) * HOUR, unit="ms", utc=True).as_unit(unit)  # type: ignore[arg-type]
    columns: dict[str, Any] = {
        "ts": at,
        "open": np.full(count, 100.0),
        "high": np.full(count, 101.0),
        "low": np.full(count, 99.0),
        "close": np.full(count, 100.5),
        "volume": np.full(count, 3.0),
    }
    return pd.DataFrame(columns | changed)


def _parquet(folder: Path, frame: pd.DataFrame, name: str = "paper_BTC_1h.parquet") -> Path:
    frame.to_parquet(folder / name, index=False)
    return folder / name


def _refusal(source: Path, **keywords: Any) -> str:
    """The one sentence that a refusal costs."""
    with pytest.raises(BarsError) as error:
        read_bars(source, **keywords)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert source.name in sentence
    return sentence


def test_bars_come_back_from_parquet_to_the_last_bit(tmp_path: Path) -> None:
    drawn = drawn_bars(np.random.default_rng(1), 200, gaps={50: 2, 90: 30})
    rows = [bar._replace(taker_buy_volume=bar.volume / 3, trades=i) for i, bar in enumerate(drawn)]
    bars = Bars.from_rows("1h", rows, "ETH/USDT")
    back = read_bars(write_bars(tmp_path / "deep" / "folder" / "x.parquet", bars))
    _assert_same(back, bars)
    assert bars.taker_buy_volume is not None
    assert bars.trades is not None
    assert same_bits(back.taker_buy_volume, bars.taker_buy_volume)
    assert same_bits(back.trades, bars.trades)
    assert back.symbol == "ETH/USDT"


def test_a_written_file_is_plain_parquet_with_its_times_in_utc(tmp_path: Path) -> None:
    bars = drawn_bars(np.random.default_rng(2), 3)
    frame = pd.read_parquet(write_bars(tmp_path / "x.parquet", bars))
    assert str(frame["ts"].dtype) == "datetime64[ms, UTC]"
    assert frame["ts"][0] == pd.Timestamp("2024-01-01T00:00:00Z")
    assert list(frame["close"]) == list(bars.close)
    assert pq.ParquetFile(tmp_path / "x.parquet").metadata.row_group(0).column(0).compression == "ZSTD"


def test_one_bar_can_be_written_and_read_since_the_file_says_its_interval(tmp_path: Path) -> None:
    bars = Bars.from_rows("4h", [Bar(MIDNIGHT, 1.0, 2.0, 0.5, 1.5, 0.0)])
    _assert_same(read_bars(write_bars(tmp_path / "one.parquet", bars)), bars)


def test_a_failed_write_leaves_the_old_file_and_no_half_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = drawn_bars(np.random.default_rng(3), 20), drawn_bars(np.random.default_rng(4), 30)
    path = write_bars(tmp_path / "x.parquet", old)

    def dies_half_way(table: pa.Table, where: Path, **options: Any) -> None:
        Path(where).write_bytes(b"PAR1 and then the power went")
        raise OSError("No space left on device")

    monkeypatch.setattr(pq, "write_table", dies_half_way)
    with pytest.raises(OSError, match="No space left"):
        write_bars(path, new)
    monkeypatch.undo()
    _assert_same(read_bars(path), old)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.parquet"]


def test_who_reads_while_another_writes_reads_the_old_file_to_its_end(tmp_path: Path) -> None:
    path = write_bars(tmp_path / "x.parquet", drawn_bars(np.random.default_rng(3), 20))
    content = path.read_bytes()
    with path.open("rb") as reader:
        write_bars(path, drawn_bars(np.random.default_rng(4), 30))
        assert reader.read() == content
    assert len(read_bars(path)) == 30


@pytest.mark.parametrize("time_name", ["ts", "opened_at", "open_time", "timestamp", "time"])
@pytest.mark.parametrize("written", ["2024-01-01 00:00:00", "2024-01-01T00:00:00Z", "1704067200000"])
def test_a_csv_is_read_whatever_its_time_column_is_called(tmp_path: Path, time_name: str, written: str) -> None:
    second = written.replace(" 00:", " 01:").replace("T00:", "T01:").replace("1704067200000", "1704070800000")
    path = tmp_path / "kraken_XBT_1h.csv"
    path.write_text(f"{time_name},open,high,low,close,volume\n{written},1,3,1,2,10\n{second},2,2.5,1.5,2,0\n")
    bars = read_bars(path)
    assert list(bars) == [Bar(MIDNIGHT, 1, 3, 1, 2, 10), Bar(MIDNIGHT + HOUR, 2, 2.5, 1.5, 2, 0)]
    assert (bars.interval, bars.symbol) == ("1h", "XBT")


def test_a_csv_time_with_an_offset_is_moved_to_utc(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        "ts,open,high,low,close,volume\n2024-01-01T02:00:00+02:00,1,1,1,1,1\n2024-01-01T03:00:00+02:00,1,1,1,1,1\n"
    )
    assert list(read_bars(path).opened_at) == [MIDNIGHT, MIDNIGHT + HOUR]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_time_stamp_of_any_precision_is_read(tmp_path: Path, unit: str) -> None:
    assert int(read_bars(_parquet(tmp_path, _frame(unit=unit))).opened_at[3]) == MIDNIGHT + 3 * HOUR


def test_a_time_finer_than_a_millisecond_is_refused(tmp_path: Path) -> None:
    frame = _frame(unit="ns")
    frame["ts"] += pd.to_timedelta([0, 0, 1, 0, 0], unit="ns")
    assert "not a whole millisecond" in _refusal(_parquet(tmp_path, frame))


def test_times_of_another_zone_are_refused(tmp_path: Path) -> None:
    frame = _frame()
    frame["ts"] = frame["ts"].dt.tz_convert("Europe/Berlin")
    assert "times are in Europe/Berlin, not UTC" in _refusal(_parquet(tmp_path, frame))


@pytest.mark.parametrize("missing", ["ts", "open", "high", "low", "close", "volume"])
def test_a_missing_column_is_named_and_so_are_those_that_are_there(tmp_path: Path, missing: str) -> None:
    sentence = _refusal(_parquet(tmp_path, _frame().drop(columns=missing)))
    assert f"has no column {missing}; it has " in sentence


@pytest.mark.parametrize(
    ("row", "column", "value", "words"),
    [
        (1, "close", np.nan, "bar 1"),
        (2, "volume", np.nan, "bar 2"),
        (3, "low", 100.75, "bar 3: low 100.75 lies above open or close"),
        (0, "high", 100.2, "bar 0: high 100.2 lies below open or close"),
        (4, "open", -1.0, "bar 4: open -1.0 must be a price above 0"),
        (2, "ts", pd.Timestamp(MIDNIGHT + HOUR, unit="ms", tz="UTC"), "bar 2 opened at"),
        (3, "ts", pd.Timestamp(MIDNIGHT, unit="ms", tz="UTC"), "is older than the one before it"),
        (3, "ts", pd.NaT, "bar 3 has no time"),
    ],
)
def test_a_row_that_cannot_be_true_is_named(tmp_path: Path, row: int, column: str, value: object, words: str) -> None:
    frame = _frame()
    values: list[Any] = frame[column].tolist()
    values[row] = value
    frame[column] = values
    assert words in _refusal(_parquet(tmp_path, frame))


def test_a_column_of_words_is_refused(tmp_path: Path) -> None:
    assert "column close holds" in _refusal(_parquet(tmp_path, _frame(close=["1", "2", "3", "4", "5"])))


def test_an_empty_field_in_a_csv_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("ts,open,high,low,close,volume\n1704067200000,1,1,1,1,1\n1704070800000,1,1,1,,1\n")
    assert "bar 1 has no close" in _refusal(path)


@pytest.mark.parametrize("seconds", [1_704_067_200, 1_704_067_200_000_000_000])
def test_times_in_seconds_or_nanoseconds_are_refused(tmp_path: Path, seconds: int) -> None:
    step = seconds // MIDNIGHT if seconds > MIDNIGHT else 1
    at = seconds + np.arange(5) * 3600 * max(step, 1)
    assert "is not in milliseconds since 1970" in _refusal(_parquet(tmp_path, _frame(ts=at)))


def test_trades_that_are_no_whole_numbers_are_refused(tmp_path: Path) -> None:
    for wrong in (np.nan, 1.5):
        trades = np.array([1.0, 2.0, wrong, 4.0, 5.0])
        assert "trades" in _refusal(_parquet(tmp_path, _frame(trades=trades)))


@pytest.mark.parametrize("name", ["x.parquet", "x.csv"])
@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02 not a table \xff\xfe", b"PAR1PAR1"])
def test_a_broken_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    _refusal(tmp_path / name)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = write_bars(tmp_path / "x.parquet", drawn_bars(np.random.default_rng(5), 500))
    path.write_bytes(path.read_bytes()[:-100])
    assert "cannot be read as parquet" in _refusal(path)


def test_foreign_metadata_that_is_no_text_is_left_alone(tmp_path: Path) -> None:
    table = pq.ParquetFile(_parquet(tmp_path, _frame())).read()
    pq.write_table(table.replace_schema_metadata({b"other": b"\xff\xfe\x00"}), tmp_path / "x.parquet")
    assert len(read_bars(tmp_path / "x.parquet")) == 5


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "there is no file of bars at" in _refusal(tmp_path / "absent.parquet")


def test_raw_rows_are_read_in_any_order_with_what_is_missing_as_nan(tmp_path: Path) -> None:
    at = [1704070800000, 1704067200000, 1704067200000, 1704074400001]
    rows = "".join(f"{t},1,2,0.5,{close},-3\n" for t, close in zip(at, ("1", "", "7", "1e9"), strict=True))
    path = tmp_path / "kraken_XBT_1h.csv"
    path.write_text(f"ts,open,high,low,close,volume\n{rows}")
    raw = read_raw(path)
    assert list(raw.opened_at) == at
    assert same_bits(raw.close, np.array([1.0, np.nan, 7.0, 1e9]))
    assert list(raw.volume) == [-3.0] * 4
    assert (raw.interval, raw.symbol, raw.trades) == ("1h", "XBT", None)


def test_a_null_count_of_trades_is_nan_in_raw_rows_and_refused_in_bars(tmp_path: Path) -> None:
    path = _parquet(tmp_path, _frame(trades=pd.array([1, None, 3, 4, 5], dtype="Int64")))
    trades = read_raw(path).trades
    assert trades is not None
    assert same_bits(trades, np.array([1.0, np.nan, 3.0, 4.0, 5.0]))
    assert "bar 1 has no trades" in _refusal(path)


@pytest.mark.parametrize("stray_ms", [1, 30_000, 60_000, 1_800_000])
def test_a_stray_row_does_not_hide_the_interval(tmp_path: Path, stray_ms: int) -> None:
    at = [*(MIDNIGHT + i * HOUR for i in range(6)), MIDNIGHT + 2 * HOUR + stray_ms]
    assert read_raw(_parquet(tmp_path, _frame(count=7, ts=at))).interval == "1h"


def test_columns_come_back_from_their_bytes_to_the_last_bit() -> None:
    columns = {
        TIME: np.array([MIDNIGHT, MIDNIGHT + 1], np.int64),
        "rate": np.array([0.1, np.nan]),
        "trades": np.array([np.nan, 9_007_199_254_740_991.0]),
    }
    back, facts = decode(encode(columns, {"venue": "x", "month": "2024-01"}))
    assert list(back) == list(columns)
    assert all(same_bits(back[name], columns[name]) for name in columns)
    assert facts == {"venue": "x", "month": "2024-01"}


def test_bytes_that_are_no_parquet_are_refused() -> None:
    with pytest.raises(BarsError, match="not a Parquet file"):
        decode(b"PAR1 but nothing else PAR1")


def test_an_interval_that_the_times_do_not_show_is_asked_for(tmp_path: Path) -> None:
    one = _parquet(tmp_path, _frame(count=1))
    assert "does not say its interval, and 1 bars do not show it" in _refusal(one)
    assert read_bars(one, interval="4h").interval == "4h"
    odd = _frame()
    odd["ts"] = pd.to_datetime(MIDNIGHT + np.arange(5) * 420_000, unit="ms", utc=True)
    assert "bars 420000 ms apart are on no known interval" in _refusal(_parquet(tmp_path, odd, "odd.parquet"))


def test_a_gap_does_not_hide_the_interval(tmp_path: Path) -> None:
    frame = _frame().drop(index=[1, 2])
    assert read_bars(_parquet(tmp_path, frame)).interval == "1h"


@pytest.mark.parametrize("asked", ["30m", "4h"])
def test_an_interval_asked_for_that_the_times_contradict_is_refused(tmp_path: Path, asked: str) -> None:
    """Hourly bars taken for half-hourly ones would be known before they close."""
    path = _parquet(tmp_path, _frame())
    assert _refusal(path, interval=asked).endswith(f"most rows are 1h apart, not {asked}")
    odd = _frame()
    odd["ts"] = pd.to_datetime(MIDNIGHT + np.arange(5) * 6 * HOUR, unit="ms", utc=True)
    assert "most rows are 21600000 ms apart, not 1h" in _refusal(_parquet(tmp_path, odd, "odd.parquet"), interval="1h")
    assert read_bars(path, interval="1h").interval == "1h"


@pytest.mark.parametrize("count", [1, 50])
def test_an_interval_asked_for_that_the_file_contradicts_is_refused(tmp_path: Path, count: int) -> None:
    path = write_bars(tmp_path / "x.parquet", drawn_bars(np.random.default_rng(8), count))
    assert _refusal(path, interval="30m").endswith("its bars are of 1h, as it says, not of 30m")
    assert read_bars(path, interval="1h").interval == "1h"


def test_a_file_of_bars_with_gaps_alone_is_believed_when_it_says_its_interval(tmp_path: Path) -> None:
    bars = drawn_bars(np.random.default_rng(9), 6, gaps=dict.fromkeys(range(1, 6), 1))
    path = write_bars(tmp_path / "x.parquet", bars)
    _assert_same(read_bars(path), bars)
    _assert_same(read_bars(path, interval="1h"), bars)


@pytest.mark.parametrize("name", ["ts", "close", "note"])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_column_name_that_comes_twice_is_refused(tmp_path: Path, name: str, suffix: str) -> None:
    table = pq.ParquetFile(_parquet(tmp_path, _frame(note=np.arange(5)))).read()
    table = table.append_column(name, table.column(name))
    path = tmp_path / f"x.{suffix}"
    if suffix == "csv":
        pa_csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    assert _refusal(path).endswith(f"has more than one column {name}")


@pytest.mark.parametrize(
    ("start", "end", "first", "count"),
    [
        (None, None, 0, 48),
        ("2024-01-01T05:00", None, 5, 43),
        ("2024-01-01T05:00:00.001", None, 6, 42),
        (None, "2024-01-02", 0, 24),
        ("2024-01-01T23:00Z", "2024-01-02T01:00Z", 23, 2),
        ("2024-01-01T02:00+02:00", "2024-01-01T03:00+02:00", 0, 1),
        (MIDNIGHT + HOUR, MIDNIGHT + 3 * HOUR, 1, 2),
        (np.int64(MIDNIGHT + HOUR), datetime(2024, 1, 1, 3, tzinfo=UTC), 1, 2),
    ],
)
def test_start_is_in_and_end_is_out(
    tmp_path: Path, start: Instant | None, end: Instant | None, first: int, count: int
) -> None:
    path = write_bars(tmp_path / "x.parquet", drawn_bars(np.random.default_rng(6), 48))
    cut = read_bars(path, start=start, end=end)
    assert (int(cut.opened_at[0]), len(cut)) == (MIDNIGHT + first * HOUR, count)


def test_an_empty_range_and_a_date_that_is_none_are_refused(tmp_path: Path) -> None:
    path = write_bars(tmp_path / "x.parquet", drawn_bars(np.random.default_rng(7), 48))
    assert "has no bar between 2025-01-01 and None" in _refusal(path, start="2025-01-01")
    with pytest.raises(BarsError, match="'yesterday' is not an ISO date"):
        read_bars(path, start="yesterday")
    with pytest.raises(BarsError, match=r"1704067200000\.0 is no instant"):
        read_bars(path, start=float(MIDNIGHT))  # type: ignore[arg-type]  # what the signature forbids


def test_a_source_that_is_neither_file_nor_series_is_refused() -> None:
    with pytest.raises(BarsError, match=r"bars.xlsx: neither a .parquet or .csv file nor"):
        read_bars("bars.xlsx")


def test_recorded_data_is_read_as_it_is_described(tmp_path: Path) -> None:
    path = data_folder() / "ohlcv" / "binanceusdm_BTCUSDT_1h.parquet"
    if not path.is_file():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    bars = read_bars(path)
    assert (len(bars), bars.interval, bars.symbol) == (33_363, "1h", "BTCUSDT")
    moment = datetime(2019, 9, 8, 17, tzinfo=timezone(timedelta(0)))
    assert int(bars.opened_at[0]) == int(moment.timestamp() * 1000)
    assert bars.trades is not None
    assert bars.segments() == [(0, 33_363)]
    assert datetime.fromtimestamp(int(bars.closed_at[-1]) / 1000, UTC).hour == 19
    _assert_same(read_bars(write_bars(tmp_path / "copy.parquet", bars)), bars)


def test_a_file_of_stamps_and_rates_is_a_funding_series(tmp_path: Path) -> None:
    path = tmp_path / "funding.csv"
    path.write_text("ts,funding_rate\n1704067200000,0.0001\n1704096000000,-0.0002\n")
    series = read_funding(path)
    assert series.stamps.tolist() == [1_704_067_200_000, 1_704_096_000_000]
    assert series.rates.tolist() == [0.0001, -0.0002]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ts,price\n1704067200000,1\n", "has no columns ts and rate; it has ts, price"),
        ("ts,rate\n1704096000000,0.1\n1704067200000,0.1\n", "funding stamps must increase"),
        ("ts,rate\n1704067200000,inf\n", "funding rates must be finite"),
        ("ts,rate\n1704067200,0.1\n", "is not in milliseconds since 1970"),
    ],
)
def test_a_file_that_is_no_funding_series_costs_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "funding.csv"
    path.write_text(text)
    with pytest.raises(BarsError, match=sentence):
        read_funding(path)
