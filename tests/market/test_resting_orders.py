"""Step 4 of a bar by hand: resting limits and stops, when they fill, at which price, and which of two comes first."""

from decimal import Decimal

import pytest

from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.exchange import Quote, resting_price
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument, Kind, Order, Reason

from .handmade import HOUR, MIDNIGHT, flat_bar
from .venues import FREE, ONE, a_bar, a_holder, a_venue


@pytest.mark.parametrize(("low", "fills"), [(96.0, 0), (95.0, 0), (94.5, 0), (94.0, 1), (90.0, 1)])
def test_4_a_limit_to_buy_fills_only_if_the_price_trades_through_it_by_a_tick(low: float, fills: int) -> None:
    venue = a_venue(Costs(10.0, 2.0, 50.0, 0.5, 1.0, 0))
    venue.submit(Order(5, Kind.LIMIT, 95, client_id="b"))
    done = venue.on_bar(a_bar(ONE, 100, 100, low, 98))
    assert len(done) == fills
    if fills:
        assert done[0][1:3] == (5, 95.0), "at its price, without spread or impact"
        assert done[0].fee == pytest.approx(5 * 95 * 0.0002), "a maker's fee"
        assert (done[0].reason, done[0].client_id) == (Reason.LIMIT, "b")


@pytest.mark.parametrize(("high", "fills"), [(105.0, 0), (105.5, 0), (106.0, 1)])
def test_4_a_limit_to_sell_fills_only_if_the_price_trades_through_it_by_a_tick(high: float, fills: int) -> None:
    venue = a_venue()
    venue.submit(Order(-5, Kind.LIMIT, 105))
    assert len(venue.on_bar(a_bar(ONE, 100, high, 100, 100))) == fills


@pytest.mark.parametrize("side", [1, -1])
def test_4_prices_on_a_decimal_grid_touch_and_cross_exactly(side: int) -> None:
    """35 × 0.01 is 0.35000000000000003: comparing floats would miss a touch in one price of eight."""
    terms = terms_of(Instrument(tick=0.01), FREE, Limits())
    for ticks in range(2, 30_000, 7):
        trigger = ticks * terms.tick
        level, beyond = (float(Decimal(ticks - side * k) / 100) for k in (0, 1))
        touched = Quote(level, level, level, level, 0.0, 0.0, 0.0)
        crossed = Quote(beyond, beyond, beyond, beyond, 0.0, 0.0, 0.0)
        assert resting_price(Kind.LIMIT, side, trigger, touched, terms) == 0.0
        assert resting_price(Kind.LIMIT, side, trigger, crossed, terms) == trigger
        assert resting_price(Kind.STOP, side, trigger, touched, terms) > 0.0
        assert resting_price(Kind.STOP, side, trigger, crossed, terms) == 0.0


@pytest.mark.parametrize(
    ("bar", "price"),
    [
        ((100, 104, 99, 100), None),
        ((100, 105, 99, 100), 105.0),
        ((108, 109, 107, 109), 108.0),  # the market opened beyond it: at the open
    ],
)
def test_4_a_stop_to_buy_fills_at_the_worse_of_its_trigger_and_the_open(
    bar: tuple[float, float, float, float], price: float | None
) -> None:
    venue = a_venue(Costs(10.0, 2.0, 100.0, 0, 1.0, 0))
    venue.submit(Order(5, Kind.STOP, 105))
    fills = venue.on_bar(a_bar(ONE, *bar))
    if price is None:
        assert fills == []
    else:
        assert fills[0].price == pytest.approx(price * 1.01), "a taker's price"
        assert fills[0].fee == pytest.approx(5 * price * 1.01 * 0.001), "and a taker's fee"
        assert fills[0].reason == Reason.STOP


@pytest.mark.parametrize(
    ("bar", "price"), [((100, 104, 96, 100), 0.0), ((100, 100, 95, 100), 95.0), ((90, 91, 89, 90), 90.0)]
)
def test_4_a_stop_to_sell_mirrors_it(bar: tuple[float, float, float, float], price: float) -> None:
    venue = a_venue()
    venue.submit(Order(-5, Kind.STOP, 95))
    assert sum(fill.price for fill in venue.on_bar(a_bar(ONE, *bar))) == price


def test_4_if_stop_and_limit_could_both_have_been_hit_the_stop_was() -> None:
    venue = a_holder(5)
    venue.submit(Order(-5, Kind.LIMIT, 110, reduce_only=True))
    venue.submit(Order(-5, Kind.STOP, 90, reduce_only=True))
    fills = venue.on_bar(a_bar(ONE + HOUR, 100, 115, 85, 112))
    assert [(fill.reason, fill.price) for fill in fills] == [(Reason.STOP, 90.0)]
    assert [rests.order.kind for rests in venue.resting] == [Kind.LIMIT]


def test_4_a_resting_order_rests_until_it_fills_or_is_cancelled() -> None:
    venue = a_venue()
    venue.submit(Order(5, Kind.LIMIT, 95))
    venue.submit(Order(5, Kind.LIMIT, 50))
    venue.submit(Order(3))
    for hour in (1, 2, 3):
        venue.on_bar(flat_bar(100.0, MIDNIGHT + hour * HOUR))
    assert len(venue.on_bar(a_bar(MIDNIGHT + 4 * HOUR, 100, 100, 80, 90))) == 1
    venue.submit(Order(1))
    assert venue.cancel_all() == 2
    assert venue.on_bar(a_bar(MIDNIGHT + 5 * HOUR, 90, 90, 10, 90)) == []


def test_4_a_resting_order_that_only_reduces_vanishes_with_the_position() -> None:
    venue = a_venue()
    venue.submit(Order(-5, Kind.STOP, 95, reduce_only=True))
    assert venue.on_bar(a_bar(ONE, 100, 100, 90, 92)) == []
    assert venue.resting == []


def test_4_a_stop_with_nothing_to_reduce_holds_no_limit_back() -> None:
    venue = a_venue()
    venue.submit(Order(-5, Kind.STOP, 90, reduce_only=True))  # left over from a position that is gone
    venue.submit(Order(5, Kind.LIMIT, 95))
    fills = venue.on_bar(a_bar(ONE, 100, 100, 94, 96))
    assert [(fill.reason, fill.price) for fill in fills] == [(Reason.LIMIT, 95.0)]
    assert [rests.order.kind for rests in venue.resting] == [Kind.STOP]


def test_4_an_entry_and_the_stop_behind_it_may_both_fill_in_one_bar() -> None:
    """From 100 to 85 the price passes 95, where the entry buys, and then 90, where its stop sells."""
    venue = a_venue()
    venue.submit(Order(-5, Kind.STOP, 90, reduce_only=True))
    venue.submit(Order(5, Kind.LIMIT, 95))
    fills = venue.on_bar(a_bar(ONE, 100, 100, 85, 97))
    assert [(fill.reason, fill.lots, fill.price) for fill in fills] == [
        (Reason.LIMIT, 5, 95.0),
        (Reason.STOP, -5, 90.0),
    ]
    assert venue.account.equity == 1_000.0 - 25.0
    assert venue.resting == []


def test_an_order_of_no_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind 7 is none of an order"):
        a_venue().submit(Order(1, 7, 100))
