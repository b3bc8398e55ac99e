"""Fetching from a venue that fails: every fault by itself, then all of them by chance."""

import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavetank.market.bars import DAY_MS
from wavetank.market.binance_archive import ChecksumError
from wavetank.market.http import HttpError
from wavetank.market.sources import Fetched
from wavetank.market.store import Series, Store

from .fetching import (
    FEB,
    HARMLESS,
    INTERVAL,
    JAN,
    MARCH,
    NOW,
    OF_PAGES,
    REST,
    ROWS,
    SPOT,
    STEP,
    TRUTH,
    assert_holds,
    fetch_into,
    loopback_binance,
    of_month,
    segments,
    suspects,
)
from .pages import (
    Answer,
    FakeTime,
    LoopbackExchange,
    Row,
    Spoil,
    csv_of,
    rows_changed,
    status,
)


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    with loopback_binance() as served:
        yield served


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.mark.parametrize("fault", HARMLESS.values(), ids=HARMLESS.keys())
def test_a_fault_that_passes_leaves_no_trace(
    exchange: LoopbackExchange, store: Store, time: FakeTime, fault: Spoil
) -> None:
    exchange.faults += [(words, fault) for words in (".CHECKSUM$", "2021-02.zip$", f"{REST}?")]
    done = fetch_into(exchange, store, time)
    assert exchange.faults == []
    assert len(time.slept) == 3  # each tried once more, after a wait
    assert done == Fetched(new=len(TRUTH), pieces=3)
    assert_holds(store, TRUTH)


@pytest.mark.parametrize("fault", OF_PAGES.values(), ids=OF_PAGES.keys())
def test_a_strange_page_leaves_no_trace(exchange: LoopbackExchange, store: Store, fault: Spoil) -> None:
    exchange.faults.append((f"{REST}?", fault))
    done = fetch_into(exchange, store)
    assert exchange.faults == []
    assert done == Fetched(new=len(TRUTH), pieces=3)
    assert_holds(store, TRUTH)


def test_how_long_was_slept_is_what_was_asked_for(exchange: LoopbackExchange, store: Store, time: FakeTime) -> None:
    exchange.faults += [(f"{REST}?", status(429, Retry_After="11")), (f"{REST}?", status(418, Retry_After="120"))]
    fetch_into(exchange, store, time)
    assert time.slept == [11.0, 120.0]


def test_near_its_limit_the_venue_is_left_alone_for_a_minute(
    exchange: LoopbackExchange, store: Store, time: FakeTime
) -> None:
    exchange.used_weight += [4900, 2]
    fetch_into(exchange, store, time)
    assert time.slept == [60.0]


def test_many_pages_never_take_more_weight_than_the_lane_allows(
    exchange: LoopbackExchange, store: Store, time: FakeTime
) -> None:
    exchange.klines["BTCUSDT", INTERVAL], exchange.page_cap = ROWS, 1
    done = fetch_into(exchange, store, time, venue="binanceusdm", start_ms=FEB.begin_ms)
    assert done.new == len([row for row in TRUTH if row[0] >= FEB.begin_ms])
    spent = 10.0 * exchange.paths().count("/fapi/v1/klines")
    assert spent - 480.0 <= sum(time.slept) * 32.0 <= spent  # 2,400 a minute: 480 at once, then 32 a second


def test_a_wrong_checksum_is_asked_for_once_more(exchange: LoopbackExchange, store: Store) -> None:
    path = f"{SPOT}BTCUSDT-4h-2021-02.zip"
    exchange.faults.append((f"{path}.CHECKSUM", lambda answer: Answer(b"0" * 64 + b"  BTCUSDT-4h-2021-02.zip\n")))
    fetch_into(exchange, store)
    assert_holds(store, TRUTH)
    assert exchange.paths().count(f"/{path}") == 2


def test_a_checksum_that_stays_wrong_is_refused_and_nothing_of_the_month_is_written(
    exchange: LoopbackExchange, store: Store
) -> None:
    path = f"{SPOT}BTCUSDT-4h-2021-02.zip"
    promised, honest = "0" * 64, hashlib.sha256(exchange.files[path]).hexdigest()
    exchange.files[f"{path}.CHECKSUM"] = f"{promised}  BTCUSDT-4h-2021-02.zip\n".encode()
    with pytest.raises(ChecksumError) as caught:
        fetch_into(exchange, store)
    assert str(caught.value) == (
        f"{exchange.base}/{path} has sha256 {honest}, and {promised} is promised; nothing was written"
    )
    assert exchange.paths().count(f"/{path}") == 2
    assert_holds(store, of_month(JAN))
    assert list(store.marked("binance", "BTCUSDT", INTERVAL)) == ["BTCUSDT-4h-2021-01.zip"]


@pytest.mark.parametrize("told", [b"", b"<html>", b"abc  BTCUSDT-4h-2021-01.zip\n"])
def test_a_checksum_that_is_none_is_refused(exchange: LoopbackExchange, store: Store, told: bytes) -> None:
    exchange.files[f"{SPOT}BTCUSDT-4h-2021-01.zip.CHECKSUM"] = told
    with pytest.raises(HttpError, match=r"CHECKSUM 6 times, and the last answer was: .* is no sha256"):
        fetch_into(exchange, store)


def test_a_zip_without_its_csv_is_refused(exchange: LoopbackExchange, store: Store) -> None:
    exchange.publish(f"{SPOT}BTCUSDT-4h-2021-01.zip", "nothing", name="readme.txt")
    with pytest.raises(HttpError, match="holds 0 CSV files, not one"):
        fetch_into(exchange, store)


def test_rows_that_cannot_be_true_go_to_quarantine_with_their_reason_and_their_source(
    exchange: LoopbackExchange, store: Store
) -> None:
    rows = [list(row) for row in of_month(JAN)]
    rows[3][2] = "0.0001"  # a high below the low
    rows[8][0] += 1  # off the grid
    rows[9][4] = "?"  # a close that is no number
    exchange.publish(f"{SPOT}BTCUSDT-4h-2021-01.zip", csv_of([*rows, ROWS[200], [-STEP, *ROWS[0][1:]]]))
    done = fetch_into(exchange, store)
    assert_holds(store, [row for k, row in enumerate(TRUTH) if k not in (3, 8, 9)])
    reasons = dict(suspects(store))
    assert done.quarantined == len(reasons) == 5
    assert "high 0.0001 lies below" in reasons[rows[3][0]]
    assert "off the 4h grid" in reasons[rows[8][0]]
    assert "close nan is no price" in reasons[rows[9][0]]
    for stranger in (ROWS[200][0], -STEP):
        asked = f"{JAN.begin_ms} … {JAN.end_ms} was"
        assert reasons[stranger] == f"opened_at {stranger} ms was not asked for: {asked}"
    kept = store.quarantined("binance", "BTCUSDT", INTERVAL)
    assert set(kept.sources) == {"BTCUSDT-4h-2021-01.zip"}


def test_rows_of_one_instant_that_disagree_go_to_quarantine(exchange: LoopbackExchange, store: Store) -> None:
    def doubled(rows: list[Row]) -> list[Row]:
        other = list(rows[6])
        other[5] = "0.25"
        other[9] = "0.125"
        return [*rows, other]

    exchange.faults.append((f"{REST}?", rows_changed(doubled)))
    done = fetch_into(exchange, store)
    disputed = of_month(MARCH)[6]
    assert_holds(store, [row for row in TRUTH if row is not disputed])
    assert done.quarantined == 2
    assert [at for at, _ in suspects(store)] == [disputed[0]] * 2
    assert fetch_into(exchange, store).new == 1  # told plainly the next time, the bar is stored


def test_a_bad_row_that_is_told_again_is_counted_once(exchange: LoopbackExchange, store: Store) -> None:
    rows = [list(row) for row in ROWS]
    rows[-60][3] = "-1"
    exchange.klines["BTCUSDT", INTERVAL] = rows
    assert rows[-60][0] in [row[0] for row in of_month(MARCH, TRUTH)]
    assert [fetch_into(exchange, store).quarantined for _ in range(2)] == [1, 0]


def test_a_time_beyond_reason_in_a_page_is_no_way_to_walk(exchange: LoopbackExchange, store: Store) -> None:
    stranger = [NOW + 40 * DAY_MS // STEP * STEP, *ROWS[0][1:]]
    exchange.faults.append((f"{REST}?", rows_changed(lambda rows: [*rows, stranger])))
    assert fetch_into(exchange, store).quarantined == 1
    assert_holds(store, TRUTH)


def test_where_the_venue_stays_away_the_sentence_says_what_was_asked_and_what_came(
    exchange: LoopbackExchange, store: Store
) -> None:
    exchange.faults += [(f"{REST}?", status(503))] * 6
    with pytest.raises(HttpError, match=r"^asked for http.*symbol=BTCUSDT.* 6 times, .*: status 503") as caught:
        fetch_into(exchange, store)
    assert "\n" not in str(caught.value)
    assert_holds(store, of_month(JAN) + of_month(FEB))


def test_a_page_that_stays_empty_though_bars_follow_is_refused(exchange: LoopbackExchange, store: Store) -> None:
    exchange.faults += [("limit=1000", rows_changed(lambda rows: []))] * 6
    with pytest.raises(HttpError, match=rf"an empty page, although there is a row at {MARCH.begin_ms} ms"):
        fetch_into(exchange, store)


def test_a_place_that_forbids_itself_is_not_asked_again(exchange: LoopbackExchange, store: Store) -> None:
    exchange.faults.append((f"{REST}?", status(451)))
    with pytest.raises(HttpError, match="answered 451"):
        fetch_into(exchange, store)
    assert exchange.paths().count(REST) == 1


@cache
def _calm() -> tuple[dict[str, str], list[Series]]:
    """What a fetch without any fault leaves."""
    with loopback_binance() as served, TemporaryDirectory() as folder:
        store = Store(folder)
        fetch_into(served, store)
        return segments(store), store.series()


@pytest.mark.slow
@given(st.lists(st.sampled_from([None, None, *HARMLESS, *OF_PAGES, "wrong checksum"]), max_size=24), st.integers(0, 3))
@settings(max_examples=25)
def test_any_sequence_of_faults_that_pass_stores_the_same_bytes(kinds: list[str | None], quiet: int) -> None:
    with loopback_binance() as served, TemporaryDirectory() as folder:
        served.spoils = _storm(kinds, quiet)
        store = Store(folder)
        fetch_into(served, store)
        assert (segments(store), store.series()) == _calm()
        assert len(segments(store)) == 3


def _storm(kinds: list[str | None], quiet: int) -> Callable[[str, Answer], Answer]:
    """One fault a request, as far as it fits that request; at most four in a row, one wrong checksum in all."""
    waiting, state = list(kinds), {"row": 0, "wrong": 0}

    def fits(kind: str, address: str) -> bool:
        if kind == "wrong checksum":
            return address.endswith(".CHECKSUM") and state["wrong"] == 0
        # Who lies twice, on a page and on what follows it, is believed: the next opening is always told honestly.
        return kind in HARMLESS or (address.startswith(f"{REST}?") and "limit=1000" in address)

    def spoiled(address: str, honest: Answer) -> Answer:
        kind = waiting.pop(0) if waiting else None
        if kind is None or honest.status != 200 or not fits(kind, address) or state["row"] >= 4 - quiet:
            state["row"] = 0
            return honest
        state["row"] += 1
        if kind == "wrong checksum":
            state["wrong"] = 1
            return Answer(b"f" * 64)
        return (HARMLESS | OF_PAGES)[kind](honest)

    return spoiled
