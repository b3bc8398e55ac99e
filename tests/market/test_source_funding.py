"""Funding comes beside the bars of a perpetual, from archive and pages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetank.market.store import Store

from .fetching import (
    CLOSED,
    HARMLESS,
    INTERVAL,
    JAN,
    MARCH,
    OF_PAGES,
    ROWS,
    START,
    TRUTH,
    USDM,
    assert_holds,
    fetch_into,
    loopback_binance,
    of_month,
)
from .handmade import HOUR
from .pages import LoopbackExchange, csv_of, rows_changed


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    with loopback_binance() as served:
        yield served


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def _settlements() -> list[dict[str, Any]]:
    rng = np.random.default_rng(8)
    stamps = range(START, CLOSED, 8 * HOUR)
    return [
        {
            "symbol": "BTCUSDT",
            "fundingTime": at + int(rng.integers(0, 30)),
            "fundingRate": f"{rng.normal(0, 1e-4):.8f}",
            "markPrice": "34287.54619963",
        }
        for at in stamps
    ]


def _with_funding(exchange: LoopbackExchange, strays: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """`strays` are instants of rows that stand beside January's in its file."""
    rows = _settlements()
    exchange.klines["BTCUSDT", INTERVAL], exchange.funding["BTCUSDT"] = ROWS, rows
    lines = [f"{row['fundingTime']},8,{row['fundingRate']}" for row in rows if row["fundingTime"] < JAN.end_ms]
    lines += [f"{at},8,0.00010000" for at in strays]
    path = "data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2021-01.zip"
    exchange.publish(path, "calc_time,funding_interval_hours,last_funding_rate\n" + "\n".join(lines) + "\n")
    exchange.publish(f"{USDM}BTCUSDT-4h-2021-01.zip", csv_of(of_month(JAN), header=True))
    return rows


def test_bars_and_funding_of_a_perpetual_come_together(exchange: LoopbackExchange, store: Store) -> None:
    rows = _with_funding(exchange)
    done = fetch_into(exchange, store, venue="binanceusdm", funding=True)
    assert_holds(store, TRUTH, "binanceusdm")
    rates = store.funding("binanceusdm", "BTCUSDT")
    assert list(rates.stamps) == list(range(START, CLOSED, 8 * HOUR))
    assert list(rates.rates) == [float(row["fundingRate"]) for row in rows]
    assert (done.new, done.funding, done.pieces) == (len(TRUTH), len(rows), 6)
    assert set(store.marked("binanceusdm", "BTCUSDT", "funding")) == {
        "BTCUSDT-fundingRate-2021-01.zip",
        "/fapi/v1/fundingRate 2021-02",
    }
    before = len(exchange.asked)
    assert fetch_into(exchange, store, venue="binanceusdm", funding=True).funding == 0
    asked = [address for address in exchange.asked[before:] if address.startswith("/fapi/v1/fundingRate?")]
    assert all(int(address.partition("startTime=")[2].partition("&")[0]) >= MARCH.begin_ms for address in asked)


@pytest.mark.parametrize(
    ("of_page", "of_file"), [("418 with Retry-After", "503"), ("truncated", "truncated"), ("an empty page", "reset")]
)
def test_a_fault_in_funding_leaves_no_trace(
    exchange: LoopbackExchange, store: Store, of_page: str, of_file: str
) -> None:
    rows = _with_funding(exchange)
    faults = HARMLESS | OF_PAGES
    exchange.faults += [("/fapi/v1/fundingRate?", faults[of_page]), ("fundingRate-2021-01.zip$", faults[of_file])]
    fetch_into(exchange, store, venue="binanceusdm", funding=True)
    assert exchange.faults == []
    assert list(store.funding("binanceusdm", "BTCUSDT").rates) == [float(row["fundingRate"]) for row in rows]


YEAR_2100 = 4_102_444_800_000


def test_rates_that_were_not_asked_for_are_left_out_and_told(
    exchange: LoopbackExchange, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """A file is asked for its month, a page for its range: what is older, or beyond every clock, is no answer to it."""
    rows = _with_funding(exchange, strays=(0, JAN.end_ms, YEAR_2100))
    foreign = [{"fundingTime": at, "fundingRate": "0.00010000"} for at in (8 * HOUR, YEAR_2100)]
    exchange.faults.append(("/fapi/v1/fundingRate?", rows_changed(lambda page: [*foreign, *page])))
    done = fetch_into(exchange, store, venue="binanceusdm", funding=True)
    rates = store.funding("binanceusdm", "BTCUSDT")
    assert list(rates.stamps) == list(range(START, CLOSED, 8 * HOUR))
    assert list(rates.rates) == [float(row["fundingRate"]) for row in rows]
    assert (done.funding, done.strays) == (len(rows), 5)
    file, page = (message for message in caplog.messages if "were not asked for" in message)
    assert file.startswith("BTCUSDT-fundingRate-2021-01.zip: 3 funding rates were not asked for and are left out, ")
    assert file.endswith("the first of 1970-01-01T00:00:00Z")
    assert page.startswith("/fapi/v1/fundingRate: 2 funding rates")
    assert page.endswith("the first of 1970-01-01T08:00:00Z")


def test_rates_of_after_the_end_are_another_pieces(exchange: LoopbackExchange, store: Store) -> None:
    _with_funding(exchange)
    later = {"fundingTime": MARCH.begin_ms, "fundingRate": "0.00010000"}
    exchange.faults.append(("/fapi/v1/fundingRate?", rows_changed(lambda page: [*page, later])))
    done = fetch_into(exchange, store, venue="binanceusdm", funding=True, end_ms=MARCH.begin_ms)
    assert done.strays == 0
    assert int(store.funding("binanceusdm", "BTCUSDT").stamps[-1]) == MARCH.begin_ms - 8 * HOUR


def test_a_settlement_told_late_counts_from_its_second(exchange: LoopbackExchange, store: Store) -> None:
    _with_funding(exchange)
    exchange.funding["BTCUSDT"][-1]["fundingTime"] = at = CLOSED - 8 * HOUR + 9
    done = fetch_into(exchange, store, venue="binanceusdm", funding=True, start_ms=at - 5)
    assert (done.funding, done.strays) == (1, 0)


def test_replace_asks_again_for_rates_that_were_taken(exchange: LoopbackExchange, store: Store) -> None:
    rows = _with_funding(exchange)
    fetch_into(exchange, store, venue="binanceusdm", funding=True)
    for row in rows:
        row["fundingRate"] = "0.00020000"
    exchange.publish(
        "data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2021-01.zip",
        "calc_time,funding_interval_hours,last_funding_rate\n"
        + "".join(f"{row['fundingTime']},8,0.00020000\n" for row in rows if row["fundingTime"] < JAN.end_ms),
    )
    fetch_into(exchange, store, venue="binanceusdm", funding=True, replace=True)
    assert list(store.funding("binanceusdm", "BTCUSDT").rates) == [0.0002] * len(rows)
