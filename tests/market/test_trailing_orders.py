"""Trailing stops by hand: they follow the extremes of closed bars, never back, and fill as a taker."""

import math

import numpy as np
import pytest

from wavetank.market.bars import Bar
from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.exchange import BarExchange
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument, Kind, Order, Reason

from .handmade import HOUR, drawn_bars
from .venues import ONE, a_bar, a_holder, a_venue


def test_a_trailing_stop_follows_the_highs_of_closed_bars() -> None:
    venue = a_holder(5)  # its last close is 100
    venue.submit(Order(-5, Kind.TRAILING, 10, reduce_only=True))
    assert venue.on_bar(a_bar(ONE + HOUR, 100, 120, 91, 118)) == [], "the low of 91 is above 100 − 10"
    assert venue.on_bar(a_bar(ONE + 2 * HOUR, 118, 119, 111, 112)) == [], "the trail stands at 120 − 10"
    fills = venue.on_bar(a_bar(ONE + 3 * HOUR, 112, 113, 109, 111))
    assert [(fill.lots, fill.price, fill.reason) for fill in fills] == [(-5, 110.0, Reason.STOP)]
    assert venue.resting == []


def test_a_high_and_a_low_of_one_bar_are_not_put_in_order() -> None:
    """In one bar the price may have fallen before it rose: the trail moves when the bar has closed."""
    venue = a_holder(5)
    venue.submit(Order(-5, Kind.TRAILING, 10))
    assert venue.on_bar(a_bar(ONE + HOUR, 100, 150, 95, 100)) == []
    fills = venue.on_bar(a_bar(ONE + 2 * HOUR, 100, 101, 99, 100))
    assert fills[0].price == 100.0, "the open lies below 150 − 10: the worse of trigger and open"


def test_one_to_buy_follows_the_lows() -> None:
    venue = a_holder(-5)
    venue.submit(Order(5, Kind.TRAILING, 10))
    assert venue.on_bar(a_bar(ONE + HOUR, 100, 105, 80, 82)) == []
    fills = venue.on_bar(a_bar(ONE + 2 * HOUR, 82, 91, 81, 90))
    assert [(fill.lots, fill.price) for fill in fills] == [(5, 90.0)]


def test_a_trailing_stop_pays_as_a_taker() -> None:
    venue = a_holder(5, costs=Costs(10.0, 2.0, 100.0, 0, 1.0, 0))
    venue.submit(Order(-5, Kind.TRAILING, 10))
    paid = venue.account.fees
    fill = venue.on_bar(a_bar(ONE + HOUR, 100, 100, 85, 88))[0]
    assert fill.price == pytest.approx(90.0 * 0.99)
    assert fill.fee == pytest.approx(5 * 90.0 * 0.99 * 0.001) == venue.account.fees - paid


def test_a_venue_that_has_seen_no_price_takes_no_trailing_stop() -> None:
    venue = BarExchange(terms_of(Instrument(), Costs(), Limits()), HOUR)
    with pytest.raises(ValueError, match="a trailing stop follows prices, and this venue has seen none yet"):
        venue.submit(Order(-1, Kind.TRAILING, 10))
    with pytest.raises(ValueError, match="a TRAILING order needs a price above 0, got 0 ticks"):
        a_venue().submit(Order(-1, Kind.TRAILING, 0))


@pytest.mark.parametrize("side", [1, -1])
def test_trails_on_drawn_bars_equal_a_plain_search(side: int) -> None:
    fills = 0
    for seed in range(40):
        bars = list(drawn_bars(np.random.default_rng(seed), 30))
        venue = BarExchange(terms_of(Instrument(lot=1.0, tick=0.01), Costs(0, 0, 0, 0, 1.0, 0), Limits()), HOUR, 1e9)
        venue.warm(bars[0])
        venue.submit(Order(-side, Kind.TRAILING, 400))
        expected = _plain(bars, side, 4.0)
        found = None
        for k, bar in enumerate(bars[1:], start=1):
            for fill in venue.on_bar(bar):
                found = (k, fill.price)
        assert (found is None) == (expected is None)
        assert found is None or expected is None or found == pytest.approx(expected, rel=1e-12)
        fills += found is not None
    assert fills > 30


def _plain(bars: list[Bar], side: int, distance: float) -> tuple[int, float] | None:
    """The bar and the price of a stop to sell (side 1) or to buy (−1)."""
    best = bars[0].close
    for k, bar in enumerate(bars[1:], start=1):
        trigger = best - side * distance
        reached = bar.low <= trigger if side > 0 else bar.high >= trigger
        if reached and math.isfinite(trigger):
            return k, (min if side > 0 else max)(bar.open, trigger)
        best = max(best, bar.high) if side > 0 else min(best, bar.low)
    return None
