"""The venue's calendar: bars come forward only, and a long gap leaves nothing of what was before."""

import pytest

from wavetank.market.bars import Bar
from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.exchange import BarExchange
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument, Kind, Order

from .handmade import HOUR, MIDNIGHT, flat_bar

TERMS = terms_of(Instrument(), Costs(), Limits())


def bar_at(hours: int, volume: float = 1000.0) -> Bar:
    return flat_bar(100.0, MIDNIGHT + hours * HOUR, volume)


@pytest.mark.parametrize("again", [5, 4])
def test_a_bar_that_is_not_newer_is_refused(again: int) -> None:
    venue = BarExchange(TERMS, HOUR)
    venue.on_bar(bar_at(5))
    for take in (venue.on_bar, venue.warm):
        with pytest.raises(ValueError, match="not newer than the last one"):
            take(bar_at(again))


def test_orders_and_estimates_outlive_a_gap_of_three_bars() -> None:
    venue = BarExchange(TERMS, HOUR)
    venue.on_bar(bar_at(0))
    venue.submit(Order(1, Kind.LIMIT, 100))
    venue.submit(Order(7))
    assert [fill.lots for fill in venue.on_bar(bar_at(4))] == [7]
    assert [rests.order for rests in venue.resting] == [Order(1, Kind.LIMIT, 100)]
    assert venue.seen == 2


def test_a_longer_gap_expires_every_order_and_starts_the_estimates_anew() -> None:
    venue, fresh = BarExchange(TERMS, HOUR), BarExchange(TERMS, HOUR)
    venue.on_bar(bar_at(0, volume=5.0))
    venue.submit(Order(1, Kind.LIMIT, 100))
    venue.submit(Order(7))
    assert venue.on_bar(bar_at(5)) == []
    fresh.on_bar(bar_at(5))
    assert venue.resting == []
    assert (venue.sigma, venue.volume, venue.seen) == (fresh.sigma, fresh.volume, 1)
