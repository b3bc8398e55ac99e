"""A winter of BTCUSDT on a loopback exchange, how it is fetched into a store, and what must be there then."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from wavetank.market.bars import DAY_MS, INTERVALS, Bars
from wavetank.market.http import Client
from wavetank.market.months import Month
from wavetank.market.sources import Fetched, Sites, fetch
from wavetank.market.store import Store

from .handmade import HOUR, drawn_bars, same_bits
from .pages import (
    Answer,
    FakeTime,
    LoopbackExchange,
    Row,
    Spoil,
    bars_of,
    csv_of,
    cut,
    kline_rows,
    reset,
    rows_changed,
    serving,
    short,
    status,
)

STEP, INTERVAL = INTERVALS["4h"], "4h"
JAN, FEB, MARCH = Month(2021, 1), Month(2021, 2), Month(2021, 3)
START, NOW = JAN.begin_ms, MARCH.begin_ms + 5 * DAY_MS + HOUR  # the bar of 00:00 on March 6 is open
CLOSED = MARCH.begin_ms + 5 * DAY_MS  # what opens before is closed
SPOT, USDM = "data/spot/monthly/klines/BTCUSDT/4h/", "data/futures/um/monthly/klines/BTCUSDT/4h/"
REST = "/api/v3/klines"
ROWS = kline_rows(drawn_bars(np.random.default_rng(11), 420, interval="4h", opened_at=START, gaps={100: 3, 300: 9}))
TRUTH = [row for row in ROWS if row[0] < CLOSED]


def of_month(month: Month, rows: list[Row] = ROWS) -> list[Row]:
    return [row for row in rows if month.begin_ms <= row[0] < month.end_ms]


def _shuffled(rows: list[Row]) -> list[Row]:
    return [rows[k] for k in np.random.default_rng(2).permutation(len(rows))]


HARMLESS: dict[str, Spoil] = {
    "429 with Retry-After": status(429, Retry_After="3"),
    "418 with Retry-After": status(418, Retry_After="3"),
    "500": status(500),
    "503": status(503),
    "reset": reset(),
    "reset in the middle": reset(0.7),
    "fewer bytes than promised": short(0.6),
    "truncated": cut(0.6),
}
OF_PAGES: dict[str, Spoil] = {
    "duplicate rows": rows_changed(lambda rows: [*rows, *rows[:4], *rows[-1:]]),
    "out of order": rows_changed(_shuffled),
    "an empty page": rows_changed(lambda rows: []),
    "a page of before": rows_changed(lambda rows: of_month(JAN)[:5]),
    "half a page": rows_changed(lambda rows: rows[: max(1, len(rows) // 2)]),
    "no page": lambda _: Answer(b'{"code": 0}'),
}


@contextmanager
def loopback_binance() -> Iterator[LoopbackExchange]:
    """January and February are published, March is not."""
    with serving() as served:
        served.klines["BTCUSDT", INTERVAL] = ROWS
        served.page_cap = 20
        for month in (JAN, FEB):
            served.publish(f"{SPOT}BTCUSDT-4h-{month}.zip", csv_of(of_month(month)))
        yield served


def fetch_into(exchange: LoopbackExchange, store: Store, time: FakeTime | None = None, **changed: Any) -> Fetched:
    clock = time or FakeTime()
    asked: dict[str, Any] = dict(
        venue="binance",
        symbol="BTCUSDT",
        interval=INTERVAL,
        start_ms=START,
        end_ms=NOW,
        now_ms=NOW,
        client=Client(sleep=clock.sleep, monotonic=clock.monotonic, rng=np.random.default_rng(3)),
        sites=Sites(exchange.base, exchange.base, exchange.base),
    )
    return fetch(store, **(asked | changed))


def stored(store: Store, venue: str = "binance") -> Bars:
    return store.read(venue, "BTCUSDT", INTERVAL)


def assert_holds(store: Store, rows: list[Row], venue: str = "binance") -> None:
    found, truth = stored(store, venue), bars_of(rows, INTERVAL, "BTCUSDT")
    for name in ("opened_at", "open", "high", "low", "close", "volume", "taker_buy_volume", "trades"):
        assert same_bits(getattr(found, name), getattr(truth, name)), name


def segments(store: Store) -> dict[str, str]:
    """Every file of the store but its manifest, by the sha256 of its bytes."""
    files = [path for path in store.root.rglob("*.parquet") if path.is_file()]
    return {str(path.relative_to(store.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def suspects(store: Store) -> list[tuple[int, str]]:
    kept = store.quarantined("binance", "BTCUSDT", INTERVAL)
    return list(zip((int(at) for at in kept.rows.opened_at), kept.reasons, strict=True))
