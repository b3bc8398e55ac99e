"""Binance's cells become columns: with a header or without, in milli- or microseconds, whole or garbled."""

import math

import numpy as np
import pytest

from wavetank.market.klines import bars_of_csv, bars_of_rows, funding_of_csv, funding_of_rows

from .handmade import HOUR, MIDNIGHT, drawn_bars, same_bits
from .pages import HEADER, bars_of, csv_of, kline_rows

ROWS = kline_rows(drawn_bars(np.random.default_rng(5), 30, gaps={7: 2}))
SPOT = "1735689600000000,4.15,4.158,4.1506,4.1554,539.23,1735693199999999,2240.39,13,401.82,1669.98,0\n"


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("microseconds", [False, True])
def test_a_file_of_any_dialect_spells_the_same_bars(header: bool, microseconds: bool) -> None:
    raw = bars_of_csv(csv_of(ROWS, header=header, microseconds=microseconds), "BTCUSDT", "1h", "a.csv")
    truth = bars_of(ROWS, "1h", "BTCUSDT")
    assert same_bits(raw.bars().opened_at, truth.opened_at)
    for name in ("open", "high", "low", "close", "volume", "taker_buy_volume", "trades"):
        assert same_bits(getattr(raw.bars(), name), getattr(truth, name)), name
    assert raw.symbol == "BTCUSDT"


def test_a_row_as_the_archive_documents_it_is_read_cell_by_cell() -> None:
    raw = bars_of_csv(SPOT, "X", "1h", "a.csv")
    assert list(raw.opened_at) == [1_735_689_600_000]
    told = (raw.open, raw.high, raw.low, raw.close, raw.volume, raw.taker_buy_volume, raw.trades)
    assert [column[0] for column in told if column is not None] == [4.15, 4.158, 4.1506, 4.1554, 539.23, 401.82, 13.0]


def test_a_fraction_of_a_millisecond_stays_off_the_grid() -> None:
    raw = bars_of_csv(SPOT.replace("1735689600000000", "1735689600000001"), "X", "1h", "a.csv")
    assert raw.opened_at[0] % HOUR == 1


@pytest.mark.parametrize("cell", ["", "abc", "--"])
def test_a_cell_that_is_no_number_becomes_nan_for_the_judge(cell: str) -> None:
    raw = bars_of_csv(SPOT.replace("4.158", cell), "X", "1h", "a.csv")
    assert math.isnan(raw.high[0])
    assert raw.low[0] == 4.1506


def test_a_null_in_a_page_becomes_nan() -> None:
    row = [MIDNIGHT, "1", "1", "1", None, "1", 0, "1", 1, "1", "1", "0"]
    assert math.isnan(bars_of_rows([row], "X", "1h", "/page").close[0])


def test_no_rows_are_no_bars() -> None:
    assert len(bars_of_csv("", "X", "1h", "a.csv")) == 0
    assert len(bars_of_csv(HEADER + "\n", "X", "1h", "a.csv")) == 0
    assert len(funding_of_rows([], "/page").stamps) == 0


def test_columns_in_another_order_are_refused() -> None:
    text = csv_of(ROWS, header=True).replace("open,high", "high,open", 1)
    with pytest.raises(
        ValueError, match=r"^a.csv: the columns are called open_time, high, open, .*not open_time, open"
    ):
        bars_of_csv(text, "X", "1h", "a.csv")


@pytest.mark.parametrize("row", [[MIDNIGHT, "1"], "1,2,3,4,5,6,7,8,9,a,b,c", None])
def test_a_row_without_twelve_cells_is_refused(row: object) -> None:
    with pytest.raises(ValueError, match=r"^/page: row 1 is .*, not 12 cells"):
        bars_of_rows([ROWS[0], row], "X", "1h", "/page")  # type: ignore[list-item]  # what a venue may send


@pytest.mark.parametrize("time", ["soon", "", "1e12", "17356896000000000000"])
def test_a_row_without_a_time_is_refused(time: str) -> None:
    text = SPOT + SPOT.replace("1735689600000000", time)
    with pytest.raises(ValueError, match="^a.csv: row 1 has the time "):
        bars_of_csv(text, "X", "1h", "a.csv")


def test_funding_of_the_archive_is_read_to_the_second() -> None:
    text = "calc_time,funding_interval_hours,last_funding_rate\n1780272000001,8,0.00005703\n1780300800017,4,-0.0001\n"
    rates = funding_of_csv(text, "f.csv")
    assert list(rates.stamps) == [1_780_272_000_000, 1_780_300_800_000]
    assert list(rates.rates) == [0.00005703, -0.0001]


def test_funding_is_put_in_order_and_an_identical_repeat_falls_away() -> None:
    rows = [{"fundingTime": at, "fundingRate": rate} for at, rate in [(9000, "0.3"), (1001, "0.1"), (1002, "0.1")]]
    rates = funding_of_rows(rows, "/page")
    assert (list(rates.stamps), list(rates.rates)) == ([1000, 9000], [0.1, 0.3])


def test_two_rates_for_one_settlement_are_refused() -> None:
    rows = [{"fundingTime": at, "fundingRate": rate} for at, rate in [(1001, "0.1"), (1002, "0.2")]]
    with pytest.raises(ValueError, match=r"^/page: funding at 1000 ms is 0.1 and 0.2"):
        funding_of_rows(rows, "/page")


@pytest.mark.parametrize("rate", ["", "nan", "inf", "n/a"])
def test_a_rate_that_is_no_number_is_refused(rate: str) -> None:
    with pytest.raises(ValueError, match=r"^f.csv: the funding rate at 1000 ms is .*, which is no number"):
        funding_of_csv(f"1000,8,{rate}\n", "f.csv")


@pytest.mark.parametrize("rows", [[{"fundingTime": 1}], [[1, 2]]])
def test_funding_without_its_names_is_refused(rows: list[object]) -> None:
    with pytest.raises(ValueError, match="^/page: a row of funding has no "):
        funding_of_rows(rows, "/page")  # type: ignore[arg-type]  # what a venue may send
