"""What the store knows beside its rows: gaps, lists, funding, quarantine, pieces taken, names."""

from pathlib import Path

import numpy as np
import pytest

from wavetank.market.bars import Bar, Bars
from wavetank.market.costs import Funding
from wavetank.market.raw import RawBars
from wavetank.market.store import Added, Gap, Store, StoreError

from .handmade import HOUR, MIDNIGHT, same_bits
from .stored import DAY, FEBRUARY, FEBRUARY_ROW, MARCH, QUARTER, SERIES, added, assert_same, files


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_gaps_are_found_within_and_between_months_and_close_when_filled(store: Store) -> None:
    holes = [(10, 12), (FEBRUARY_ROW - 3, FEBRUARY_ROW + 2), (1500, 1501)]
    absent = {i for a, b in holes for i in range(a, b)}
    added(store, Bars.from_rows("1h", [QUARTER.bar(i) for i in range(len(QUARTER)) if i not in absent], "DRAWN"))
    at = QUARTER.opened_at
    assert store.gaps(*SERIES) == [Gap(int(at[a]), int(at[b]), b - a) for a, b in holes]
    assert (store.series()[0].gaps, store.series()[0].missing) == (3, 8)
    added(store, QUARTER.slice(FEBRUARY_ROW - 1, FEBRUARY_ROW + 1))
    assert store.gaps(*SERIES)[1:3] == [
        Gap(int(at[FEBRUARY_ROW - 3]), int(at[FEBRUARY_ROW - 1]), 2),
        Gap(int(at[FEBRUARY_ROW + 1]), int(at[FEBRUARY_ROW + 2]), 1),
    ]
    added(store)
    assert store.gaps(*SERIES) == []


def test_a_month_without_any_bar_is_one_gap(store: Store) -> None:
    added(store, QUARTER.slice(0, FEBRUARY_ROW))
    added(store, QUARTER.slice(60 * 24, len(QUARTER)))
    assert store.gaps(*SERIES) == [Gap(FEBRUARY, MARCH, 29 * 24)]


def test_series_are_listed_with_what_the_manifest_knows_without_opening_a_file(store: Store) -> None:
    assert store.series() == []
    added(store)
    store.append("kraken", "XBT", Bars.from_rows("1d", [Bar(MIDNIGHT, 1, 2, 0.5, 1.5, 3)]), source="archive")
    store.append("kraken", "XBT", Bars.from_rows("1d", [Bar(MIDNIGHT + DAY, 1, 2, 0.5, 1.5, 3)]), source="REST")
    for file in files(store.root):
        (store.root / file).unlink()
    drawn, xbt = store.series()
    assert drawn[:7] == ("binance", "DRAWN", "1h", len(QUARTER), MIDNIGHT, int(QUARTER.opened_at[-1]), 3)
    assert (drawn.taker_buy_volume, drawn.quarantined, drawn.sources) == ("none", 0, ("test",))
    assert (xbt.interval, xbt.rows, xbt.segments, xbt.sources) == ("1d", 2, 1, ("REST", "archive"))


def test_the_last_bar_is_known_and_none_where_there_is_no_series(store: Store) -> None:
    assert store.last(*SERIES) is None
    assert not store.root.exists()
    added(store)
    assert store.last(*SERIES) == int(QUARTER.opened_at[-1])
    assert store.last("binance", "OTHER", "1h") is None


def test_funding_is_kept_as_bars_are(store: Store) -> None:
    stamps = np.arange(MIDNIGHT, MARCH, 8 * HOUR) + 1
    rates = np.random.default_rng(3).normal(0, 1e-4, len(stamps))
    for cut in (slice(50, None), slice(0, 60)):
        store.append_funding("binanceusdm", "BTCUSDT", Funding(stamps[cut], rates[cut]), source="test")
    back = store.funding("binanceusdm", "BTCUSDT")
    assert same_bits(back.stamps, stamps)
    assert same_bits(back.rates, rates)
    part = store.funding("binanceusdm", "BTCUSDT", "2024-02-01", "2024-02-02")
    assert list(part.stamps) == [FEBRUARY + 1, FEBRUARY + 8 * HOUR + 1, FEBRUARY + 16 * HOUR + 1]
    with pytest.raises(StoreError, match=r"binanceusdm BTCUSDT funding: rate at 2024-01-01T00:00:00.001Z is known as"):
        store.append_funding("binanceusdm", "BTCUSDT", Funding(stamps[:1], rates[:1] + 0.1), source="test")
    assert store.append_funding("binanceusdm", "BTCUSDT", Funding(stamps[:0], rates[:0]), source="t") == Added(0, 0, 0)
    facts = store.series()[0]
    assert facts[:4] == ("binanceusdm", "BTCUSDT", "funding", len(stamps))
    assert (facts.gaps, facts.missing) == (None, None)


def test_rows_in_quarantine_never_vanish_and_are_kept_once(store: Store) -> None:
    at = np.array([MIDNIGHT + 5, MIDNIGHT, MIDNIGHT], np.int64)
    close = np.array([np.nan, np.inf, -1.0])
    ones = np.ones(3)
    rejected = RawBars("1h", at, ones, ones, ones, close, ones, None, np.array([np.nan, 2.5, 3.0]), "DRAWN")
    reasons = ["off the grid", "no price", "negative"]
    assert store.quarantine("binance", "DRAWN", rejected, reasons, source="a") == 3
    assert store.quarantine("binance", "DRAWN", rejected, reasons, source="b") == 0
    assert store.quarantine("binance", "DRAWN", rejected.take(np.array([0])), ["other"], source="b") == 1
    held = store.quarantined(*SERIES)
    assert list(held.rows.opened_at) == [MIDNIGHT, MIDNIGHT, MIDNIGHT + 5, MIDNIGHT + 5]
    assert {(why, source) for why, source in zip(held.reasons, held.sources, strict=True)} == {
        ("no price", "a"), ("negative", "a"), ("off the grid", "a"), ("other", "b"),
    }  # fmt: skip
    row = held.reasons.index("no price")
    assert held.rows.close[row] == np.inf
    assert held.rows.taker_buy_volume is None
    assert held.rows.trades is not None
    assert held.rows.trades[row] == 2.5
    assert np.isnan(held.rows.close[held.reasons.index("off the grid")])
    assert store.series()[0].quarantined == 4
    assert store.series()[0].rows == 0
    assert store.gaps(*SERIES) == []
    with pytest.raises(StoreError, match="3 rejected rows come with 1 reasons"):
        store.quarantine("binance", "DRAWN", rejected, ["one"], source="a")


def test_pieces_taken_are_remembered_with_their_content(store: Store) -> None:
    assert store.marked(*SERIES) == {}
    store.mark(*SERIES, "2024-01.zip", "aa")
    store.mark(*SERIES, "2024-02.zip", "bb")
    store.mark(*SERIES, "2024-01.zip", "cc")
    store.mark("binance", "OTHER", "1h", "2024-01.zip", "dd")
    assert Store(store.root).marked(*SERIES) == {"2024-01.zip": "cc", "2024-02.zip": "bb"}


def test_a_symbol_with_a_slash_is_kept_under_a_dash(store: Store) -> None:
    bars = Bars.from_rows("1d", [Bar(MIDNIGHT, 1, 2, 0.5, 1.5, 3)], "BTC/USD:USD")
    store.append("ccxt:kraken", "BTC-USD:USD", bars, source="test")
    assert store.read("ccxt:kraken", "BTC-USD:USD", "1d").symbol == "BTC-USD:USD"


def test_a_store_can_be_opened_again(store: Store) -> None:
    added(store)
    assert_same(Store(store.root).read(*SERIES), QUARTER)
