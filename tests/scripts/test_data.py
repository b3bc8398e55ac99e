"""The door to the store, walked from files and from a loopback exchange to exit codes."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.market.handmade import HOUR, MIDNIGHT, drawn_bars, same_bits
from tests.market.pages import kline_rows, rows_changed, serving

from wavetank.market.bars import Bars
from wavetank.market.store import Store, data_folder, read_bars, write_bars
from wavetank.scripts import cli

BARS = drawn_bars(np.random.default_rng(1), 60 * 24)
OF = ("--venue", "binance", "--symbol", "BTC")
DATA = data_folder().resolve()
SERIES = ("binance", "BTC", "1h")


class Door:
    """`wavetank data …` in this process and in an empty folder: what it returned, printed and complained of."""

    def __init__(self, patch: pytest.MonkeyPatch, output: pytest.CaptureFixture[str]) -> None:
        self._patch, self._output = patch, output

    def __call__(self, *words: object) -> tuple[int, str]:
        code, out, _ = self._called(*words)
        return code, out

    def mistake(self, *words: object) -> str:
        code, out, complaint = self._called(*words)
        assert (code, out) == (2, "")
        assert complaint.startswith("wavetank data: ")
        assert complaint.count("\n") == 1
        return complaint

    def _called(self, *words: object) -> tuple[int, str, str]:
        self._output.readouterr()
        self._patch.setattr(sys, "argv", ["wavetank", "data", *map(str, words)])
        code = cli.main()
        captured = self._output.readouterr()
        return code, captured.out, captured.err


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Door:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WAVETANK_STORE", raising=False)
    return Door(monkeypatch, capsys)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_bars(tmp_path / "some.parquet", BARS)


def _csv(path: Path, rows: list[str]) -> Path:
    path.write_text("ts,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    return path


def _row(hour: int, close: object = 1, volume: object = 1) -> str:
    return f"{MIDNIGHT + hour * HOUR},1,2,0.5,{close},{volume}"


def test_a_file_goes_into_the_store_and_again_changes_nothing(door: Door, file: Path) -> None:
    assert door("import", file, *OF) == (
        0, "some.parquet: 1,440 bars new, 0 known, 0 changed → binance BTC 1h in store\n",
    )  # fmt: skip
    back = read_bars(*SERIES)
    assert back.symbol == "BTC"
    assert all(same_bits(getattr(back, name), getattr(BARS, name)) for name in ("opened_at", "close", "volume"))
    assert door("import", file, *OF)[1].startswith("some.parquet: 0 bars new, 1,440 known")


@pytest.mark.parametrize("place", ["--root", "WAVETANK_STORE"])
def test_the_store_lies_where_it_is_told_to(
    door: Door, file: Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--root", tmp_path / "there") if place == "--root" else ()
    if not words:
        monkeypatch.setenv(place, str(tmp_path / "there"))
    assert door("import", file, *OF, *words)[0] == 0
    assert not Path("store").exists()
    assert Store(tmp_path / "there").last(*SERIES) == int(BARS.opened_at[-1])
    assert "binance BTC 1h" in door("ls", *words)[1]


def test_bad_rows_go_to_quarantine_with_their_reason_and_the_exit_code_says_so(door: Door, tmp_path: Path) -> None:
    rows = [_row(0), _row(1, close=-1), _row(2), _row(2), _row(3, volume=""), _row(5), f"{MIDNIGHT + 7},1,1,1,1,1"]
    code, told = door("import", _csv(tmp_path / "x.csv", rows), *OF)
    assert code == 1
    assert told.splitlines()[0] == "x.csv: 3 bars new, 0 known, 0 changed → binance BTC 1h in store"
    assert "  1 rows came twice and are kept once" in told
    assert "  3 rows into quarantine:" in told
    assert "2024-01-01T01:00:00Z  close -1.0 is no price" in told
    assert list(Store().read(*SERIES).opened_at) == [MIDNIGHT + hour * HOUR for hour in (0, 2, 5)]
    assert set(Store().quarantined(*SERIES).rows.opened_at) == {MIDNIGHT + HOUR, MIDNIGHT + 3 * HOUR, MIDNIGHT + 7}
    code, told = door("gaps", *SERIES)
    assert code == 0
    assert told.splitlines()[:4] == [
        "binance BTC 1h: 2 gaps, 3 bars missing",
        "  2024-01-01T01:00:00Z to 2024-01-01T02:00:00Z          1",
        "  2024-01-01T03:00:00Z to 2024-01-01T05:00:00Z          2",
        "and 3 rows in quarantine",
    ]
    assert "2024-01-01T01:00:00Z  close -1.0 is no price" in told
    assert told.count("(x.csv)") == 3
    facts = json.loads(door("gaps", *SERIES, "--json")[1])
    assert facts["gaps"][1] == {"from_ms": MIDNIGHT + 3 * HOUR, "to_ms": MIDNIGHT + 5 * HOUR, "missing": 2}
    assert [row["opened_at"] for row in facts["quarantine"]] == [MIDNIGHT + 7, MIDNIGHT + HOUR, MIDNIGHT + 3 * HOUR]


def test_a_time_beyond_every_calendar_is_told_too(door: Door, tmp_path: Path) -> None:
    rows = [*(_row(hour) for hour in range(4)), f"{MIDNIGHT * 1000},1,1,1,1,1"]
    code, told = door("import", _csv(tmp_path / "x.csv", rows), *OF)
    assert code == 1
    assert f"{MIDNIGHT * 1000} ms  opened_at" in told
    assert f"{MIDNIGHT * 1000} ms  opened_at" in door("gaps", *SERIES)[1]


def test_a_file_of_bad_rows_alone_leaves_them_in_quarantine(door: Door, tmp_path: Path) -> None:
    rows = [_row(hour, close=0) for hour in range(5)]
    code, told = door("import", _csv(tmp_path / "x.csv", rows), *OF)
    assert code == 1
    assert told.startswith("x.csv: no row is a bar")
    assert "… and 2 more" in told
    assert Store().series()[0].quarantined == 5


def test_rows_that_lack_an_optional_value_take_it_from_no_other(door: Door, tmp_path: Path) -> None:
    frame = pd.read_parquet(write_bars(tmp_path / "x.parquet", BARS))
    frame["trades"] = np.where(np.arange(len(frame)) < 800, np.nan, np.arange(len(frame)))
    frame["taker_buy_volume"] = np.where(np.arange(len(frame)) % 1000 == 5, np.nan, frame["volume"] / 4)
    frame.to_parquet(tmp_path / "x.parquet")
    code, told = door("import", tmp_path / "x.parquet", *OF, "--interval", "1h")
    assert code == 0
    assert told.splitlines() == [
        "x.parquet: 1,440 bars new, 0 known, 0 changed → binance BTC 1h in store",
        "  not every row has taker_buy_volume and trades",
    ]
    facts = Store().series()[0]
    assert (facts.taker_buy_volume, facts.trades) == ("some", "some")
    known = Store().read(*SERIES, int(BARS.opened_at[1006]))
    assert known.taker_buy_volume is not None
    assert known.trades is not None
    assert same_bits(known.taker_buy_volume, BARS.volume[1006:] / 4)
    assert list(known.trades) == list(range(1006, 1440))
    early = Store().read(*SERIES, int(BARS.opened_at[6]), int(BARS.opened_at[800]))
    assert early.trades is None
    assert early.taker_buy_volume is not None
    assert door("import", tmp_path / "x.parquet", *OF, "--interval", "1h")[1].startswith("x.parquet: 0 bars new, 1,440")


def test_a_file_that_contradicts_the_store_is_a_mistake_unless_replace(door: Door, tmp_path: Path) -> None:
    door("import", _csv(tmp_path / "x.csv", [_row(hour) for hour in range(3)]), *OF)
    other = _csv(tmp_path / "y.csv", [_row(0), _row(1, close=1.5), _row(2)])
    told = door.mistake("import", other, *OF)
    assert "binance BTC 1h: close at 2024-01-01T01:00:00Z is known as 1.0 and comes as 1.5" in told
    assert door("import", other, *OF, "--replace")[1].startswith("y.csv: 0 bars new, 2 known, 1 changed")
    assert list(Store().read(*SERIES).close) == [1.0, 1.5, 1.0]


def test_a_file_that_is_refused_leaves_nothing_behind(door: Door, tmp_path: Path) -> None:
    """New rows without a taker volume, a row for quarantine, and last a row that contradicts what is known."""
    head = "ts,open,high,low,close,volume,taker_buy_volume\n"
    known, half = tmp_path / "known.csv", tmp_path / "half.csv"
    known.write_text(head + "".join(f"{_row(hour)},0.5\n" for hour in range(3)))
    door("import", known, *OF)
    before = {path: path.read_bytes() for path in Path("store").rglob("*") if path.is_file()}
    new = [f"{_row(hour)},\n" for hour in range(4, 9)] + [f"{_row(9, close=-1)},0.5\n"]
    half.write_text(head + "".join([*new, f"{_row(1, close=1.5)},0.5\n"]))
    assert "close at 2024-01-01T01:00:00Z is known as 1.0 and comes as 1.5" in door.mistake("import", half, *OF)
    assert {path: path.read_bytes() for path in Path("store").rglob("*") if path.is_file()} == before
    code, told = door("import", half, *OF, "--replace")
    assert (code, told.splitlines()[0]) == (
        1, "half.csv: 5 bars new, 0 known, 1 changed → binance BTC 1h in store",
    )  # fmt: skip
    assert Store().series()[0].quarantined == 1


def test_of_several_files_one_that_cannot_be_read_leaves_the_store_as_it_was(door: Door, file: Path) -> None:
    assert "there is no file of bars at no.parquet" in door.mistake("import", file, "no.parquet", *OF)
    assert not Path("store").exists()


@pytest.mark.parametrize("interval", ["30m", "4h"])
def test_an_interval_that_the_rows_are_not_on_is_a_mistake(door: Door, file: Path, interval: str) -> None:
    told = door.mistake("import", file, *OF, "--interval", interval)
    assert f"its bars are of 1h, as it says, not of {interval}" in told
    pd.read_parquet(file).to_parquet(file)  # which says nothing any more
    assert f"most rows are 1h apart, not {interval}" in door.mistake("import", file, *OF, "--interval", interval)


def test_a_file_that_says_what_its_rows_are_not_on_is_a_mistake(door: Door, tmp_path: Path) -> None:
    file = write_bars(tmp_path / "x.parquet", dataclasses.replace(BARS, interval="30m"))
    assert "most rows are 1h apart, not 30m" in door.mistake("import", file, *OF)


def test_an_empty_file_is_a_mistake(door: Door, tmp_path: Path) -> None:
    raw = write_bars(tmp_path / "x.parquet", BARS)
    pd.read_parquet(raw).iloc[:0].to_parquet(raw)
    assert "x.parquet holds no rows" in door.mistake("import", raw, *OF, "--interval", "1h")


def test_series_are_listed_one_a_line(door: Door, file: Path) -> None:
    assert door("ls")[1].startswith("the store at store holds nothing yet: ")
    door("import", file, *OF)
    head, line = door("ls")[1].splitlines()
    assert head.split() == ["series", "first", "last", "rows", "gaps", "missing", "taker", "trades", "quarantine"]
    expected = "binance BTC 1h 2024-01-01 00:00 2024-02-29 23:00 1,440 0 0 none none 0"
    assert " ".join(line.split()) == expected
    assert json.loads(door("ls", "--json")[1])[0]["rows"] == 1440


def test_a_file_is_checked_and_the_exit_code_says_what_became_of_it(door: Door, file: Path, tmp_path: Path) -> None:
    code, told = door("check", file)
    assert code == 0
    assert told.startswith("some.parquet, 1h: passed\n1,440 rows: 1,440 good")
    rows = [_row(hour) for hour in range(20)]
    rows[7] = _row(7, close=-1)
    code, told = door("check", _csv(tmp_path / "x.csv", rows), "--out", "docs")
    assert code == 1
    assert told.startswith("x.csv, 1h: failed\n20 rows: 19 good, 1 rejected")
    assert told.endswith("quality.json, quality.txt, quality.html in docs\n")
    assert json.loads(Path("docs/quality.json").read_text())["rejected"] == 1
    assert Path("docs/quality.html").read_text().startswith("<!")
    assert not Path("store").exists()


def test_a_series_is_checked_with_its_quarantine_its_range_and_a_reference(
    door: Door, file: Path, tmp_path: Path
) -> None:
    door("import", file, *OF)
    code, told = door("check", *SERIES, "--end", "2024-01-11")
    assert code == 0
    assert told.startswith("binance BTC, 1h: passed\n240 rows: 240 good")
    assert "drift" not in told
    louder = drawn_bars(np.random.default_rng(2), 60 * 24, sigma=0.2, volume=1e9)
    reference = write_bars(tmp_path / "other.parquet", louder)
    _, told = door("check", *SERIES, "--reference", reference)
    assert "drift psi" in told
    assert "warning: drift psi" in told
    door("import", _csv(tmp_path / "bad.csv", [_row(hour, close=-1) for hour in range(4)]), *OF)
    assert "warning: quarantine: 4 rows of this series are in quarantine" in door("check", *SERIES)[1]


def test_a_file_is_checked_in_the_range_that_is_asked_for(door: Door, file: Path) -> None:
    code, told = door("check", file, "--start", str(MIDNIGHT + 24 * HOUR), "--end", "2024-01-11")
    assert code == 0
    assert told.startswith("some.parquet, 1h: passed\n216 rows: 216 good")
    assert "'nonsense' is not an ISO date" in door.mistake("check", file, "--start", "2024-01-02", "--end", "nonsense")
    assert "some.parquet has no row between 2025-01-01 and None" in door.mistake("check", file, "--start", "2025-01-01")
    door("import", file, *OF)
    assert door("check", *SERIES, "--end", str(MIDNIGHT + 24 * HOUR))[1].startswith("binance BTC, 1h: passed\n24 rows")


@pytest.mark.parametrize("flag", [("--symbol", "ETH"), ("--interval", "4h")])
def test_what_names_a_file_does_not_name_a_series(door: Door, file: Path, flag: tuple[str, str]) -> None:
    door("import", file, *OF)
    told = door.mistake("check", *SERIES, *flag)
    assert f"{flag[0]} is of a file; the series is binance BTC 1h" in told


def test_an_interval_that_a_checked_file_contradicts_is_a_mistake(door: Door, file: Path) -> None:
    assert "its bars are of 1h, as it says, not of 30m" in door.mistake("check", file, "--interval", "30m")


def test_an_instrument_has_rules_of_its_own(door: Door, file: Path) -> None:
    highest = float(BARS.high.max())
    assert door("check", file, "--rule", f"price_high={highest * 0.999!r}")[0] == 1
    code, told = door("import", file, *OF, "--rule", f"price_high={highest!r}", "--rule", "stale_bars=9")
    assert code == 1
    assert f"is no price in (0, {highest:g})" in told
    assert Store().series()[0].quarantined == np.count_nonzero(BARS.high >= highest)
    sparse = write_bars(file.with_name("sparse.parquet"), Bars.from_rows("1h", [*BARS][:50] + [*BARS][60:]))
    assert door("check", sparse)[0] == 0
    assert door("check", sparse, "--rule", "fatal=jump,gap")[0] == 1


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("price=5", "there is no rule 'price'; there are price_low, price_high, "),
        ("jump=high", "the rule 'jump=high' sets no number"),
        ("stale_bars=2.5", "the rule 'stale_bars=2.5' sets no number"),
        ("fatal=jumps", "the rule 'fatal=jumps' names no check of time, grid, "),
        ("jump=-1", "rule jump is -1.0, which is not above 0"),
    ],
)
def test_a_wrong_rule_is_one_sentence(door: Door, file: Path, rule: str, told: str) -> None:
    assert told in door.mistake("check", file, "--rule", rule)


def test_check_takes_a_file_or_a_series(door: Door) -> None:
    assert "check takes a FILE, or VENUE SYMBOL INTERVAL, not a b" in door.mistake("check", "a", "b")


def test_verify_tells_a_damaged_file(door: Door, file: Path) -> None:
    door("import", file, *OF)
    assert door("verify") == (0, "2 files of store compared with the manifest, 0 differences\n")
    damaged = next(Path("store").rglob("02/*.parquet"))
    damaged.write_bytes(b"rust")
    code, told = door("verify")
    assert code == 1
    assert told.startswith(f"{damaged} is damaged")


def test_a_lost_manifest_is_rebuilt(door: Door, file: Path) -> None:
    door("import", file, *OF)
    Path("store/manifest.db").unlink()
    assert "make it anew (`wavetank data rebuild`)" in door.mistake("import", file, *OF)
    assert door("rebuild")[1].startswith("2 files of store are named again")
    assert door("import", file, *OF)[1].startswith("some.parquet: 0 bars new, 1,440 known")


def test_what_is_not_there_is_one_sentence(door: Door) -> None:
    assert "there is no store at store" in door.mistake("gaps", *SERIES)
    assert "there is no store at store" in door.mistake("verify")
    assert not Path("store").exists()


def test_a_fetch_brings_bars_and_funding_and_again_asks_for_less(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as exchange:
        exchange.klines["BTCUSDT", "1h"] = kline_rows(BARS)
        exchange.funding["BTCUSDT"] = [
            {
                "symbol": "BTCUSDT",
                "fundingTime": MIDNIGHT + stamp * 8 * HOUR,
                "fundingRate": "0.00010000",
                "markPrice": "",
            }
            for stamp in range(180)
        ]
        words = ("fetch", "BTCUSDT", "1h", "--venue", "binanceusdm", "--funding", "--start", "2024-01-01")
        there = ("--end", str(MIDNIGHT + 40 * 24 * HOUR), "--archive", exchange.base, "--api", exchange.base)
        code, told = door(*words, *there)
        assert told == "960 bars new, 0 known, 0 changed, 120 funding rates new → binanceusdm BTCUSDT 1h in store\n"
        assert code == 0
        before = len(exchange.asked)
        assert door(*words, *there)[1].startswith("0 bars new, ")
        assert len(exchange.asked) - before < before
        assert door(*words, *there, "--replace")[1].startswith("0 bars new, 960 known")
        exchange.funding["BTCUSDT"][0]["fundingTime"] -= 24 * HOUR
        exchange.faults.append(("fundingRate?", rows_changed(lambda page: [*exchange.funding["BTCUSDT"][:1], *page])))
        code, told = door(*words, *there, "--replace")
        assert told.splitlines()[1:] == ["  1 funding rates were not asked for and are left out"]
        assert code == 1
        exchange.klines["BTCUSDT", "1h"][1000][4] = "-1"
        code, told = door(*words, *there, "--end", "20240229")
    assert code == 1
    assert "  1 rows into quarantine: `wavetank data gaps binanceusdm BTCUSDT 1h` says why" in told
    assert same_bits(read_bars("binanceusdm", "BTCUSDT", "1h").opened_at[:960], BARS.opened_at[:960])
    assert list(Store().funding("binanceusdm", "BTCUSDT").rates[:120]) == [0.0001] * 120


def test_recorded_data_goes_through_the_door(door: Door) -> None:
    path = DATA / "ohlcv" / "binanceusdm_BTCUSDT_1h.parquet"
    if not path.is_file():
        pytest.skip(f"no recorded data at {DATA} (WAVETANK_DATA)")
    assert door("import", path, "--venue", "binanceusdm", "--symbol", "BTCUSDT")[0] == 0
    assert door("gaps", "binanceusdm", "BTCUSDT", "1h")[1] == "binanceusdm BTCUSDT 1h: 0 gaps, 0 bars missing\n"
    whole, back = read_bars(path), read_bars("binanceusdm", "BTCUSDT", "1h")
    for name in ("opened_at", "open", "high", "low", "close", "volume", "taker_buy_volume", "trades"):
        assert same_bits(getattr(back, name), getattr(whole, name)), name
