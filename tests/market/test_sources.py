"""Fetching into a real store from a loopback exchange: what is asked for, in which order, and what is stored."""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wavetank.market.bars import DAY_MS
from wavetank.market.http import UnknownSymbol
from wavetank.market.months import Month, months_between
from wavetank.market.sources import Fetched
from wavetank.market.store import Store, data_folder, read_bars

from .fetching import (
    CLOSED,
    FEB,
    INTERVAL,
    JAN,
    MARCH,
    NOW,
    REST,
    ROWS,
    SPOT,
    STEP,
    TRUTH,
    assert_holds,
    fetch_into,
    loopback_binance,
    of_month,
    stored,
    suspects,
)
from .handmade import same_bits
from .pages import (
    LoopbackExchange,
    csv_of,
    kline_rows,
    rows_changed,
)


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    with loopback_binance() as served:
        yield served


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_months_that_are_over_come_from_the_archive_and_the_rest_page_by_page(
    exchange: LoopbackExchange, store: Store
) -> None:
    done = fetch_into(exchange, store)
    assert_holds(store, TRUTH)
    assert done == Fetched(new=len(TRUTH), pieces=3)
    files = [f"/{SPOT}BTCUSDT-4h-{month}.zip" for month in (JAN, FEB)]
    assert exchange.paths() == [path for file in files for path in (f"{file}.CHECKSUM", file)] + [REST] * 2
    assert "startTime=1614556800000&endTime=1614988799999&limit=1000" in exchange.asked[-2]


def test_rows_keep_the_name_of_where_they_come_from(exchange: LoopbackExchange, store: Store) -> None:
    fetch_into(exchange, store)
    (series,) = store.series()
    assert set(series.sources) == {"BTCUSDT-4h-2021-01.zip", "BTCUSDT-4h-2021-02.zip", REST}


def test_a_month_that_was_taken_is_not_asked_for_again(exchange: LoopbackExchange, store: Store) -> None:
    fetch_into(exchange, store)
    marks, before = store.marked("binance", "BTCUSDT", INTERVAL), len(exchange.asked)
    again = fetch_into(exchange, store)
    assert exchange.paths()[before:] == [REST] * 2
    assert again == Fetched(same=len(of_month(MARCH, TRUTH)), pieces=1)
    name = "BTCUSDT-4h-2021-01.zip"
    assert marks[name] == hashlib.sha256(exchange.files[SPOT + name]).hexdigest()


def test_a_month_of_the_archive_is_taken_whole_where_the_range_cuts_it(
    exchange: LoopbackExchange, store: Store
) -> None:
    fetch_into(exchange, store, start_ms=JAN.begin_ms + 20 * DAY_MS, end_ms=FEB.begin_ms + DAY_MS)
    assert_holds(store, of_month(JAN) + of_month(FEB))


def test_a_month_that_the_archive_lacks_comes_page_by_page_and_is_marked(
    exchange: LoopbackExchange, store: Store
) -> None:
    del exchange.files[f"{SPOT}BTCUSDT-4h-2021-02.zip.CHECKSUM"]
    fetch_into(exchange, store)
    assert_holds(store, TRUTH)
    before = len(exchange.asked)
    again = fetch_into(exchange, store, end_ms=FEB.end_ms)
    assert exchange.paths()[before:] == [f"/{SPOT}BTCUSDT-4h-2021-02.zip.CHECKSUM"]  # it may be there by now
    assert again == Fetched()


def test_a_part_of_a_month_is_not_taken_for_the_month(exchange: LoopbackExchange, store: Store) -> None:
    del exchange.files[f"{SPOT}BTCUSDT-4h-2021-02.zip.CHECKSUM"]
    fetch_into(exchange, store, start_ms=FEB.begin_ms + 10 * DAY_MS, end_ms=FEB.end_ms)
    fetch_into(exchange, store, start_ms=FEB.begin_ms, end_ms=FEB.begin_ms + 5 * DAY_MS)
    fetch_into(exchange, store, start_ms=FEB.begin_ms, end_ms=FEB.end_ms)
    assert_holds(store, of_month(FEB))


def test_what_the_archive_publishes_later_is_compared_with_the_pages(exchange: LoopbackExchange, store: Store) -> None:
    name = f"{SPOT}BTCUSDT-4h-2021-02.zip"
    checksum = exchange.files.pop(f"{name}.CHECKSUM")
    fetch_into(exchange, store)
    exchange.files[f"{name}.CHECKSUM"] = checksum
    assert fetch_into(exchange, store, end_ms=FEB.end_ms) == Fetched(same=len(of_month(FEB)), pieces=1)
    assert "BTCUSDT-4h-2021-02.zip" in store.marked("binance", "BTCUSDT", INTERVAL)


def test_a_bar_that_the_archive_tells_otherwise_stops_the_fetch_unless_it_may_replace(
    exchange: LoopbackExchange, store: Store
) -> None:
    name = f"{SPOT}BTCUSDT-4h-2021-02.zip"
    del exchange.files[f"{name}.CHECKSUM"]
    fetch_into(exchange, store)
    other = [list(row) for row in of_month(FEB)]
    other[5][5] = "1.5"
    other[5][9] = "0.5"
    exchange.publish(name, csv_of(other))
    with pytest.raises(ValueError, match=r"volume .* 1\.5"):
        fetch_into(exchange, store)
    assert name not in store.marked("binance", "BTCUSDT", INTERVAL)
    assert fetch_into(exchange, store, replace=True).changed == 1
    assert_holds(store, of_month(JAN) + other + of_month(MARCH, TRUTH))


def test_replace_asks_again_for_months_that_were_taken(exchange: LoopbackExchange, store: Store) -> None:
    """January came as a file, February page by page; the venue corrects a bar of each."""
    name = f"{SPOT}BTCUSDT-4h-2021-01.zip"
    del exchange.files[f"{SPOT}BTCUSDT-4h-2021-02.zip.CHECKSUM"]
    fetch_into(exchange, store)
    other = [list(row) for row in ROWS]
    for row in (of_month(JAN, other)[5], of_month(FEB, other)[5]):
        row[5], row[9] = "1.5", "0.5"
    exchange.klines["BTCUSDT", INTERVAL] = other
    exchange.publish(name, csv_of(of_month(JAN, other)))
    assert fetch_into(exchange, store).changed == 0
    assert fetch_into(exchange, store, replace=True).changed == 2
    assert_holds(store, [row for row in other if row[0] < CLOSED])
    marks = store.marked("binance", "BTCUSDT", INTERVAL)
    assert marks["BTCUSDT-4h-2021-01.zip"] == hashlib.sha256(exchange.files[name]).hexdigest()
    before = len(exchange.asked)
    assert fetch_into(exchange, store, end_ms=JAN.end_ms) == Fetched()
    assert len(exchange.asked) == before


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("microseconds", [False, True])
def test_every_dialect_of_the_archive_is_understood(
    exchange: LoopbackExchange, store: Store, header: bool, microseconds: bool
) -> None:
    text = csv_of(of_month(JAN), header=header, microseconds=microseconds)
    exchange.publish(f"{SPOT}BTCUSDT-4h-2021-01.zip", text)
    fetch_into(exchange, store)
    assert_holds(store, TRUTH)


def test_the_unclosed_last_bar_is_dropped_even_if_it_is_served(exchange: LoopbackExchange, store: Store) -> None:
    open_bar = next(row for row in ROWS if row[0] == CLOSED)
    exchange.faults.append((f"{REST}?", rows_changed(lambda rows: [*rows, open_bar])))
    done = fetch_into(exchange, store)
    assert_holds(store, TRUTH)
    assert int(stored(store).closed_at[-1]) < NOW < int(open_bar[6])
    assert (done.quarantined, suspects(store)) == (0, [])


def test_a_bar_is_closed_at_its_last_millisecond_and_not_before(exchange: LoopbackExchange, store: Store) -> None:
    fetch_into(exchange, store, now_ms=CLOSED - 1)
    assert int(stored(store).opened_at[-1]) == CLOSED - 2 * STEP
    fetch_into(exchange, store, now_ms=CLOSED)
    assert int(stored(store).opened_at[-1]) == CLOSED - STEP


def test_months_before_a_listing_are_asked_for_once_and_no_more(exchange: LoopbackExchange, store: Store) -> None:
    fetch_into(exchange, store, start_ms=Month(2019, 1).begin_ms)
    assert_holds(store, TRUTH)
    asked = [address for address in exchange.asked if address.startswith(f"{REST}?")]
    assert len(asked) == 4  # one empty month, when the first bar opens, and the two pages of March
    assert "limit=1" in asked[1]


def test_a_symbol_that_nobody_knows_is_named(exchange: LoopbackExchange, store: Store) -> None:
    with pytest.raises(UnknownSymbol, match=r"^binance lists no symbol 'NOPEUSDT' \(.*/api/v3/klines.*Invalid symbol"):
        fetch_into(exchange, store, symbol="NOPEUSDT")
    assert exchange.paths().count(REST) == 1
    assert not store.root.exists()


def test_of_a_delisted_symbol_the_archive_is_stored_and_its_end_told(
    exchange: LoopbackExchange, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    del exchange.klines["BTCUSDT", INTERVAL]
    done = fetch_into(exchange, store, start_ms=Month(2020, 12).begin_ms)
    assert_holds(store, of_month(JAN) + of_month(FEB))
    assert done.pieces == 2
    assert "binance lists no symbol 'BTCUSDT'" in caplog.text


def test_a_symbol_in_any_script_is_asked_for(exchange: LoopbackExchange, store: Store) -> None:
    path = "data/spot/monthly/klines/%E5%B8%81USDT/4h/%E5%B8%81USDT-4h-2021-01.zip"
    exchange.publish(path, csv_of(of_month(JAN)))
    exchange.klines["币USDT", INTERVAL] = ROWS
    fetch_into(exchange, store, symbol="币USDT")
    assert len(store.read("binance", "币USDT", INTERVAL)) == len(TRUTH)
    assert f"/{path}" in exchange.asked


def test_progress_names_each_month_and_counts_them(exchange: LoopbackExchange, store: Store) -> None:
    told: list[tuple[str, int, int]] = []
    fetch_into(exchange, store, progress=lambda *step: told.append(step))
    assert told == [(f"BTCUSDT 4h 2021-0{k}", k, 3) for k in (1, 2, 3)]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"venue": "nyse"}, "venue 'nyse' is none of binance, binanceusdm, ccxt:NAME"),
        ({"symbol": "btcusdt"}, "symbol 'btcusdt' is not written in capital letters and digits"),
        ({"symbol": "../X"}, r"symbol '\.\./X' is not written"),
        ({"symbol": ""}, "symbol '' is not written"),
        ({"interval": "7m"}, "interval '7m' is not one of 1m, 3m"),
        ({"start_ms": NOW}, f"there is no time from {NOW} ms to {NOW} ms"),
        ({"start_ms": -1}, "there is no time from -1 ms"),
        ({"end_ms": NOW * 1000}, f"there is no time from 1609459200000 ms to {NOW * 1000} ms before 2100"),
        ({"funding": True}, "funding comes from binanceusdm, not from binance"),
    ],
)
def test_a_wrong_input_costs_one_sentence_and_no_request(
    exchange: LoopbackExchange, store: Store, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        fetch_into(exchange, store, **changed)
    assert exchange.asked == []
    assert not store.root.exists()


def test_without_ccxt_the_sentence_names_the_extra(store: Store, exchange: LoopbackExchange) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "ccxt", None)  # as if it were not installed
        with pytest.raises(ValueError, match=r"need ccxt: pip install 'wavetank\[ccxt\]'$"):
            fetch_into(exchange, store, venue="ccxt:kraken", symbol="BTC/USD")


def test_a_range_that_has_not_begun_yet_holds_nothing(exchange: LoopbackExchange, store: Store) -> None:
    assert fetch_into(exchange, store, start_ms=NOW + DAY_MS, end_ms=NOW + 2 * DAY_MS) == Fetched()
    assert exchange.asked == []


def test_recorded_bars_come_through_archive_and_pages_to_the_last_bit(exchange: LoopbackExchange, store: Store) -> None:
    path = data_folder() / "ohlcv" / "binanceusdm_BTCUSDT_1h.parquet"
    if not path.is_file():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    months = months_between(Month(2021, 4).begin_ms, Month(2021, 7).begin_ms)
    now_ms = months[-1].begin_ms + 20 * DAY_MS
    recorded = read_bars(path, start=months[0].begin_ms, end=now_ms)
    exchange.page_cap, exchange.klines["BTCUSDT", "1h"] = 1500, kline_rows(recorded)
    for month in months[:-1]:
        rows = of_month(month, exchange.klines["BTCUSDT", "1h"])
        exchange.publish(f"data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-{month}.zip", csv_of(rows, header=True))
    span: dict[str, Any] = dict(start_ms=months[0].begin_ms, end_ms=now_ms, now_ms=now_ms)
    done = fetch_into(exchange, store, venue="binanceusdm", interval="1h", **span)
    assert (done.new, done.quarantined) == (len(recorded), 0)
    stored = store.read("binanceusdm", "BTCUSDT", "1h")
    for name in ("opened_at", "open", "high", "low", "close", "volume"):
        assert same_bits(getattr(stored, name), getattr(recorded, name)), name


def test_the_loopback_exchange_serves_what_it_says() -> None:
    """The oracle of all of the above: its pages are those rows, and its files match their checksums."""
    with loopback_binance() as served:
        page = json.loads(served.answer(f"{REST}?symbol=BTCUSDT&interval=4h&startTime=0&limit=2").body)
        assert page == ROWS[:2]
        path = f"{SPOT}BTCUSDT-4h-2021-01.zip"
        assert served.files[f"{path}.CHECKSUM"].split()[0].decode() == hashlib.sha256(served.files[path]).hexdigest()
