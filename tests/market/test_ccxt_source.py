"""The real ccxt exchange class, sent to a loopback server that answers in the shapes of Kraken's public pages."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetank.market.bars import INTERVALS, Bars
from wavetank.market.ccxt_source import CcxtBars
from wavetank.market.http import Client, HttpError, UnknownSymbol
from wavetank.market.months import Month
from wavetank.market.sources import Fetched, Sites, fetch
from wavetank.market.store import Store

from .handmade import drawn_bars, same_bits
from .pages import Answer, FakeTime, LoopbackExchange, Spoil, cut, reset, serving, short, status

ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed: pip install 'wavetank[ccxt]'")

INTERVAL, STEP = "4h", INTERVALS["4h"]
JAN, FEB = Month(2021, 1), Month(2021, 2)
NOW = FEB.begin_ms + 3 * 86_400_000 + 60_000
OHLC = "/0/public/OHLC"
PAIR: dict[str, Any] = {
    "altname": "XBTUSD", "wsname": "XBT/USD", "aclass_base": "currency", "base": "XXBT", "aclass_quote": "currency",
    "quote": "ZUSD", "lot": "unit", "cost_decimals": 5, "pair_decimals": 1, "lot_decimals": 8, "lot_multiplier": 1,
    "leverage_buy": [2, 3], "leverage_sell": [2, 3], "fees": [[0, 0.4]], "fees_maker": [[0, 0.25]],
    "fee_volume_currency": "ZUSD", "margin_call": 80, "margin_stop": 40, "ordermin": "0.00005", "costmin": "0.5",
    "tick_size": "0.1", "status": "online",
}  # fmt: skip
ASSETS = {
    "XXBT": {"aclass": "currency", "altname": "XBT", "decimals": 10, "display_decimals": 5, "status": "enabled"},
    "ZUSD": {"aclass": "currency", "altname": "USD", "decimals": 4, "display_decimals": 2, "status": "enabled"},
}
TRUTH = drawn_bars(np.random.default_rng(4), 210, interval=INTERVAL, opened_at=JAN.begin_ms, gaps={50: 2})


def _answer(result: Any, *errors: str) -> Answer:
    return Answer(json.dumps({"error": errors, "result": result}).encode())


def _ohlc(bars: Bars, newest: int) -> Any:
    """As Kraken answers: what opens after `since` (seconds), the last bar still open, never more than the newest."""

    def page(query: dict[str, str]) -> Answer:
        since_ms = 1000 * int(query.get("since", 0))
        rows: list[list[Any]] = [
            [bar.opened_at // 1000, *(repr(price) for price in bar[1:5]), repr(bar.close), repr(bar.volume), 7]
            for bar in bars
            if bar.opened_at <= NOW
        ]
        told = [row for row in rows[-newest:] if row[0] * 1000 > since_ms]
        return _answer({"XXBTZUSD": told, "last": told[-1][0] if told else 0})

    return page


@pytest.fixture
def kraken() -> Iterator[LoopbackExchange]:
    with serving() as served:
        served.others["/0/public/AssetPairs"] = lambda query: _answer({"XXBTZUSD": PAIR})
        served.others["/0/public/Assets"] = lambda query: _answer(ASSETS)
        served.others[OHLC] = _ohlc(TRUTH, 720)
        yield served


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def _client(time: FakeTime) -> Client:
    return Client(sleep=time.sleep, monotonic=time.monotonic, rng=np.random.default_rng(3))


def _fetch(kraken: LoopbackExchange, store: Store, time: FakeTime | None = None, **changed: Any) -> Fetched:
    asked: dict[str, Any] = dict(
        venue="ccxt:kraken",
        symbol="BTC/USD",
        interval=INTERVAL,
        start_ms=JAN.begin_ms,
        end_ms=NOW,
        now_ms=NOW,
        client=_client(time or FakeTime()),
        sites=Sites(ccxt=kraken.base),
    )
    return fetch(store, **(asked | changed))


def _assert_whole(store: Store) -> None:
    stored = store.read("ccxt:kraken", "BTC-USD", INTERVAL)
    closed = TRUTH.slice(0, int(np.sum(TRUTH.closed_at < NOW)))
    assert len(closed) < len(TRUTH)
    for name in ("opened_at", "open", "high", "low", "close", "volume"):
        assert same_bits(getattr(stored, name), getattr(closed, name)), name
    assert stored.taker_buy_volume is None
    assert stored.trades is None


def test_bars_of_another_venue_come_through_ccxt(kraken: LoopbackExchange, store: Store) -> None:
    done = _fetch(kraken, store)
    _assert_whole(store)
    assert (done.same, done.quarantined, done.pieces) == (0, 0, 2)
    assert store.series()[0].sources == ("ccxt:kraken fetch_ohlcv",)
    assert set(kraken.paths()) == {"/0/public/AssetPairs", "/0/public/Assets", OHLC}


def test_a_month_that_is_full_is_not_asked_for_again(kraken: LoopbackExchange, store: Store) -> None:
    first = _fetch(kraken, store)
    assert list(store.marked("ccxt:kraken", "BTC-USD", INTERVAL)) == ["ccxt:kraken fetch_ohlcv 2021-01"]
    before = len(kraken.asked)
    again = _fetch(kraken, store)
    asked = [address for address in kraken.asked[before:] if address.startswith(OHLC)]
    assert all(int(address.partition("since=")[2]) >= FEB.begin_ms // 1000 - STEP // 1000 for address in asked)
    assert again.new == 0
    assert 0 < again.same < first.new


def test_a_venue_that_gives_only_the_newest_bars_is_not_asked_for_every_month(
    kraken: LoopbackExchange, store: Store
) -> None:
    kraken.others[OHLC] = _ohlc(TRUTH, 10)
    _fetch(kraken, store, start_ms=Month(2015, 1).begin_ms)
    stored = store.read("ccxt:kraken", "BTC-USD", INTERVAL)
    assert int(stored.opened_at[-1]) + STEP <= NOW
    assert len(stored) == 9  # ten, and the last is open
    assert kraken.paths().count(OHLC) <= 3
    assert store.marked("ccxt:kraken", "BTC-USD", INTERVAL) == {}  # no month of these is whole


FAULTS: dict[str, Spoil] = {
    "429": status(429, Retry_After="9"),
    "503": status(503),
    "520": status(520),
    "reset": reset(),
    "reset in the middle": reset(0.5),
    "fewer bytes than promised": short(),
    "truncated JSON": cut(),
    "the venue's own words for too fast": lambda _: _answer({}, "EAPI:Rate limit exceeded"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("path", ["/0/public/AssetPairs", OHLC])
def test_a_fault_that_passes_leaves_no_trace(kraken: LoopbackExchange, store: Store, fault: Spoil, path: str) -> None:
    time = FakeTime()
    kraken.faults.append((path, fault))
    _fetch(kraken, store, time)
    assert kraken.faults == []
    assert len(time.slept) == 1
    _assert_whole(store)


def test_retry_after_is_honoured_and_silence_about_it_waits_a_minute(kraken: LoopbackExchange, store: Store) -> None:
    time = FakeTime()
    kraken.faults += [(OHLC, status(429, Retry_After="9")), (OHLC, status(429))]
    _fetch(kraken, store, time)
    assert time.slept == [9.0, 60.0]


def test_an_answer_that_never_comes_does_not_speak_with_the_words_of_the_last_one(
    kraken: LoopbackExchange, store: Store
) -> None:
    time = FakeTime()
    kraken.faults += [(OHLC, status(429, Retry_After="50")), (OHLC, reset())]
    _fetch(kraken, store, time)
    assert time.slept[0] == 50.0
    assert time.slept[1] <= 2.0


def test_a_venue_that_tells_only_of_before_is_walked_past(
    kraken: LoopbackExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([[[JAN.begin_ms - STEP, 1.0, 1.0, 1.0, 1.0, 1.0]]] * 3)
    monkeypatch.setattr(ccxt.kraken, "fetch_ohlcv", lambda *args, **named: next(told))
    bars = CcxtBars(_client(FakeTime()), "ccxt:kraken", "BTC/USD", INTERVAL, kraken.base)
    assert list(bars.ask(JAN.begin_ms, JAN.begin_ms + 3 * 720 * STEP).opened_at) == [JAN.begin_ms - STEP] * 3


def test_requests_keep_the_pace_that_ccxt_knows_of_the_venue(kraken: LoopbackExchange) -> None:
    kraken.others[OHLC] = lambda query: _answer({"XXBTZUSD": [], "last": 0})
    time = FakeTime()
    client = _client(time)
    bars = CcxtBars(client, "ccxt:kraken", "BTC/USD", "1m", kraken.base)
    assert len(bars.ask(JAN.begin_ms, JAN.begin_ms + 30 * 720 * 60_000)) == 0
    assert kraken.paths().count(OHLC) == 30
    # A unit a second, four fifths of it steadily after a burst of twelve; ccxt counts a page of bars as 1.2 units.
    assert sum(time.slept) == pytest.approx((2 + 30 * 1.2 - 12) / 0.8)


def test_a_symbol_that_the_venue_lacks_is_named(kraken: LoopbackExchange, store: Store) -> None:
    with pytest.raises(UnknownSymbol, match="^kraken lists no symbol 'NOPE/USD'$"):
        _fetch(kraken, store, symbol="NOPE/USD")
    assert not store.root.exists()


def test_an_interval_that_the_venue_lacks_is_named(kraken: LoopbackExchange, store: Store) -> None:
    with pytest.raises(ValueError, match="kraken has no bars of 3m; it has 1m, 5m, "):
        _fetch(kraken, store, interval="3m")


def test_a_venue_that_ccxt_lacks_is_named(kraken: LoopbackExchange, store: Store) -> None:
    with pytest.raises(ValueError, match="^ccxt knows no venue 'nyse'$"):
        _fetch(kraken, store, venue="ccxt:nyse")


def test_a_refusal_of_the_venue_is_not_asked_twice(kraken: LoopbackExchange, store: Store) -> None:
    kraken.faults.append((OHLC, lambda _: _answer({}, "EGeneral:Invalid arguments")))
    with pytest.raises(HttpError, match=r"^kraken: 4h bars of BTC/USD from \d+ ms was refused: .*Invalid arguments"):
        _fetch(kraken, store)
    assert kraken.paths().count(OHLC) == 1


def test_a_venue_that_stays_away_is_given_up_in_one_sentence(kraken: LoopbackExchange, store: Store) -> None:
    kraken.faults += [(OHLC, status(503))] * 6
    with pytest.raises(HttpError, match=r"^asked for kraken: 4h bars of BTC/USD from \d+ ms 6 times, ") as caught:
        _fetch(kraken, store)
    assert "\n" not in str(caught.value)
