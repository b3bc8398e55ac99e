"""What a trade costs, by closed form; when funding falls due, by walking the clock."""

import math

import numpy as np
import pytest

from wavetank.market.bars import DAY_MS, INTERVALS
from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs, Funding, assumed_funding, funding_per_bar, impact, taker_price
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument
from wavetank.market.terms import Terms, terms_rows

from .handmade import HOUR, MIDNIGHT
from .twin import assumed_rate


def _terms(lot: float = 0.01, **costs: float) -> Terms:
    return terms_of(Instrument(lot=lot), Costs(**costs), Limits())


@pytest.mark.parametrize(
    ("lots", "sigma", "volume", "share"),
    [
        (400, 0.02, 100.0, 0.002),  # 0.5 · 0.02 · √(4 / 100)
        (-400, 0.02, 100.0, 0.002),
        (10_000, 0.01, 100.0, 0.005),  # all of a bar's volume: Y · σ
        (2_500, 0.04, 100.0, 0.01),
        (400, 0.0, 100.0, 0.0),
        (0, 0.02, 100.0, 0.0),
        (400, 0.02, 0.0, 0.0),
    ],
)
def test_impact_is_half_sigma_times_the_root_of_the_volume_share(
    lots: int, sigma: float, volume: float, share: float
) -> None:
    assert impact(lots, sigma, volume, _terms()) == pytest.approx(share, rel=1e-12)


def test_impact_of_four_times_the_order_is_twice_as_large() -> None:
    terms = _terms(impact_y=0.9)
    assert impact(400, 0.03, 77.0, terms) == pytest.approx(2 * impact(100, 0.03, 77.0, terms), rel=1e-12)


def test_a_taker_pays_half_spread_and_impact_on_top_of_the_price() -> None:
    terms = _terms(half_spread_bps=10.0)
    assert taker_price(200.0, 400, 0.02, 100.0, 1.0, terms) == pytest.approx(200 * 1.003)
    assert taker_price(200.0, -400, 0.02, 100.0, 1.0, terms) == pytest.approx(200 * 0.997)
    assert taker_price(200.0, -400, 0.02, 100.0, 4.0, terms) == pytest.approx(200 * 0.988)


def test_no_cost_makes_a_price_negative() -> None:
    assert taker_price(200.0, -400, 90.0, 100.0, 4.0, _terms()) == 0.0


@pytest.mark.parametrize("interval", INTERVALS)
def test_assumed_funding_counts_the_stamps_in_each_bar_of_two_days(interval: str) -> None:
    length = INTERVALS[interval]
    opens = np.arange(MIDNIGHT, MIDNIGHT + 2 * DAY_MS, length)
    expected = [float(assumed_rate(int(at), length, 1.5)) for at in opens]
    assert sum(expected) == pytest.approx(6 * 1.5e-4)
    assert funding_per_bar(opens, length, 1.5) == pytest.approx(np.array(expected), rel=1e-12)
    assert [assumed_funding(int(at), length, 1.5) for at in opens] == pytest.approx(expected, rel=1e-12)


def test_a_stamp_belongs_to_the_bar_that_opens_on_it() -> None:
    eight = MIDNIGHT + 8 * HOUR
    assert assumed_funding(eight, HOUR, 1.0) == pytest.approx(1e-4)
    assert assumed_funding(eight - HOUR, HOUR, 1.0) == 0.0
    assert assumed_funding(eight + HOUR, HOUR, 1.0) == 0.0


def test_a_funding_series_is_summed_from_open_to_before_the_close() -> None:
    stamps = np.array([-1, 0, 1, HOUR - 1, HOUR, 5 * HOUR + 7]) + MIDNIGHT
    rates = np.array([64.0, 1.0, 2.0, 4.0, 8.0, -16.0]) / 1024
    opens = np.arange(7) * HOUR + MIDNIGHT
    naive = [sum(rate for stamp, rate in zip(stamps, rates, strict=True) if at <= stamp < at + HOUR) for at in opens]
    assert list(funding_per_bar(opens, HOUR, 1.0, Funding(stamps, rates))) == naive
    assert [1024 * due for due in naive] == [7, 8, 0, 0, 0, -16, 0]


def test_a_funding_series_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="funding has 2 stamps and 1 rates"):
        Funding(np.array([1, 2]), np.array([0.1]))
    with pytest.raises(ValueError, match="funding stamps must increase"):
        Funding(np.array([2, 2]), np.array([0.1, 0.1]))
    with pytest.raises(ValueError, match="funding rates must be finite"):
        Funding(np.array([1, 2]), np.array([0.1, math.nan]))
    with pytest.raises(ValueError, match=r"a funding rate of -2.1 is not a share: 0.0001 is one basis point"):
        Funding(np.array([1, 2]), np.array([0.1, -2.1]))
    with pytest.raises(ValueError, match=r"funding of shapes \(2, 1\) and \(2,\) is no series"):
        Funding(np.array([[1], [2]]), np.array([0.1, 0.1]))


@pytest.mark.parametrize(
    ("first", "last", "covers"), [(0, 72, True), (8, 64, True), (9, 72, False), (0, 63, False), (100, 120, False)]
)
def test_a_series_covers_bars_where_one_period_is_missing_at_most(first: int, last: int, covers: bool) -> None:
    stamps = MIDNIGHT + HOUR * np.arange(first, last + 1)
    series = Funding(stamps, np.full(len(stamps), 1e-4))
    if covers:
        series.check_covers(MIDNIGHT, MIDNIGHT + 72 * HOUR)
    else:
        with pytest.raises(ValueError, match="funding rates run from 2024-01-0.* the bars from 2024-01-01 00:00 to"):
            series.check_covers(MIDNIGHT, MIDNIGHT + 72 * HOUR)


@pytest.mark.parametrize(
    ("name", "value"),
    [("taker_fee_bps", -1.0), ("half_spread_bps", math.nan), ("participation", math.inf), ("gap_multiple", -4.0)],
)
def test_a_cost_that_cannot_be_is_refused_with_its_name_and_value(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^costs: {name} {value} must be a finite number, 0 or more$"):
        Costs(**{name: value})


def test_a_rebate_and_funding_that_longs_receive_are_allowed() -> None:
    terms = _terms(maker_fee_bps=-0.5, funding_bps_per_8h=-3.0)
    assert terms.maker_fee == pytest.approx(-5e-5)


def test_terms_hold_shares_in_their_order() -> None:
    instrument = Instrument("X", "v", 0.5, 0.25, 7.0, 3.0, 0.01, 0.02)
    costs = Costs(1.0, 2.0, 3.0, 0.4, 0.5, 6.0, 7.0, borrow_bps_per_day=9.0)
    limits = Limits("live", 0.9, 0.8, 0.07, 0.06, True)
    expected = (
        0.5,
        0.25,
        7.0,
        3.0,
        0.01,
        0.02,
        1e-4,
        2e-4,
        3e-4,
        0.4,
        9e-4,
        0.5,
        7.0,
        2.0,
        0.9,
        0.8,
        0.07,
        0.06,
        1.0,
        0.03,
    )
    terms = terms_of(instrument, costs, limits, dead_band=0.03)
    assert terms == pytest.approx(expected)
    assert terms_rows(terms, 3).tolist() == [list(terms)] * 3
    with pytest.raises(ValueError, match=r"dead_band 1.0 must lie in \[0, 1\)"):
        terms_of(instrument, costs, limits, dead_band=1.0)
