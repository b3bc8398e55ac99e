"""One bar in order: each of the seven steps by hand, with numbers that can be worked out on paper."""

import math

import numpy as np
import pytest

from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs, Funding
from wavetank.market.exchange import BarExchange, close_for_gap
from wavetank.market.ledger import LIQUIDATED, RUINED, SOLVENT, open_account
from wavetank.market.limits import Limits, State
from wavetank.market.orders import Fill, Instrument, Kind, Order, Reason

from .handmade import HOUR, MIDNIGHT, flat_bar
from .venues import FREE, MARGIN, ONE, a_bar, a_holder, a_venue

# 1: UTC day rolls


def test_1_the_day_baseline_is_the_equity_of_the_last_mark_before_the_day() -> None:
    venue = a_holder(5)
    venue.on_bar(a_bar(MIDNIGHT + 23 * HOUR, 100, 110, 100, 110))
    assert (venue.account.day_equity, venue.account.equity) == (1_000.0, 1_050.0)
    venue.on_bar(a_bar(MIDNIGHT + 24 * HOUR, 120, 130, 120, 130))
    assert (venue.account.day_equity, venue.account.equity) == (1_050.0, 1_150.0)
    venue.on_bar(a_bar(MIDNIGHT + 25 * HOUR, 130, 140, 130, 140))
    assert venue.account.day_equity == 1_050.0


def test_1_a_day_that_a_gap_swallowed_still_rolls() -> None:
    venue = a_holder(5)
    venue.on_bar(a_bar(MIDNIGHT + 50 * HOUR, 110, 110, 110, 110))
    assert venue.account.day_equity == 1_000.0
    venue.on_bar(a_bar(MIDNIGHT + 80 * HOUR, 120, 120, 120, 120))
    assert venue.account.day_equity == 1_050.0


def test_1_the_first_bar_of_all_rolls_nothing() -> None:
    venue = BarExchange(terms_of(MARGIN, FREE, Limits(mode="live")), HOUR, 1_000.0)
    venue.account = venue.account._replace(state=int(State.REDUCING))
    venue.on_bar(flat_bar(100.0))
    assert venue.account.state == State.REDUCING


# 2: the open


def test_2_a_market_order_fills_at_the_open_of_the_next_bar() -> None:
    venue = a_venue()
    venue.submit(Order(5, client_id="a-1"))
    fills = venue.on_bar(a_bar(ONE, 103, 109, 99, 101))
    assert fills == [Fill(ONE + HOUR - 1, 5, 103.0, 0.0, Reason.ORDER, "a-1")]
    assert (venue.account.cash, venue.account.equity) == (1_000.0 - 515, 990.0)


@pytest.mark.parametrize(("lots", "price"), [(4, 100.2), (-4, 99.8)])
def test_2_the_price_is_worse_by_half_the_spread(lots: int, price: float) -> None:
    venue = a_venue(Costs(10.0, 0, 20.0, 0, 1.0, 0))
    venue.submit(Order(lots))
    (fill,) = venue.on_bar(flat_bar(100.0, ONE))
    assert fill.price == pytest.approx(price)
    assert fill.fee == pytest.approx(4 * price * 0.001)


def test_2_the_price_is_worse_by_the_impact_of_what_fills() -> None:
    venue = a_venue(Costs(0, 0, 0, 0.5, 0.04, 0))
    venue.sigma = 0.02  # as estimated before this bar
    venue.submit(Order(70))
    (fill,) = venue.on_bar(flat_bar(100.0, ONE))
    assert fill.lots == 40, "participation cuts the order to 4 % of 1,000"
    assert fill.price == pytest.approx(100 * (1 + 0.5 * 0.02 * math.sqrt(0.04)))


def test_2_volatility_and_volume_of_the_bar_itself_do_not_price_its_fill() -> None:
    prices = []
    for bar in (flat_bar(100.0, ONE), a_bar(ONE, 100, 180, 60, 170, volume=1e9)):
        venue = a_venue(Costs(0, 0, 0, 0.5, 0.1, 0))
        venue.sigma = 0.02
        venue.submit(Order(300))
        fill = venue.on_bar(bar)[0]
        assert fill.lots == 100
        prices.append(fill.price)
    assert prices[0] == prices[1] == pytest.approx(100 * (1 + 0.01 * math.sqrt(0.1)))


def test_2_what_participation_leaves_expires() -> None:
    venue = a_venue(Costs(0, 0, 0, 0, 0.01, 0))
    venue.submit(Order(-25))
    assert [fill.lots for fill in venue.on_bar(flat_bar(100.0, ONE))] == [-10]
    assert venue.on_bar(flat_bar(100.0, ONE + HOUR)) == []
    assert venue.account.lots == -10


def test_2_nothing_fills_where_nothing_was_traded() -> None:
    venue = a_venue()
    venue.volume = 0.0
    venue.submit(Order(5))
    assert venue.on_bar(flat_bar(100.0, ONE)) == []


@pytest.mark.parametrize(("held", "order", "filled"), [(5, -9, -5), (5, -3, -3), (5, 2, 0), (-5, 9, 5), (0, 4, 0)])
def test_2_an_order_that_only_reduces_never_adds(held: int, order: int, filled: int) -> None:
    venue = a_holder(held) if held else a_venue()
    venue.submit(Order(order, reduce_only=True))
    fills = venue.on_bar(flat_bar(100.0, ONE + HOUR))
    assert sum(fill.lots for fill in fills) == filled


# 3: funding


def idle_until(venue: BarExchange, hour: int, price: float) -> None:
    """Flat bars up to, and without, the one that opens at `hour`: orders do not outlive a long gap."""
    opened_at = max(venue.last_opened_at + HOUR, MIDNIGHT)
    while opened_at < MIDNIGHT + hour * HOUR:
        venue.on_bar(flat_bar(price, opened_at))
        opened_at += HOUR


def test_3_funding_falls_on_the_position_after_the_fill_at_the_price_of_the_open() -> None:
    costs = Costs(0, 0, 0, 0, 1.0, funding_bps_per_8h=10.0)
    venue = a_venue(costs)
    idle_until(venue, 8, 100.0)
    venue.submit(Order(5))
    venue.on_bar(a_bar(MIDNIGHT + 8 * HOUR, 100, 120, 100, 120))
    assert venue.account.funding == pytest.approx(5 * 100 * 0.001)
    idle_until(venue, 16, 120.0)
    venue.submit(Order(-5))
    venue.on_bar(flat_bar(120.0, MIDNIGHT + 16 * HOUR))
    assert venue.account.funding == pytest.approx(0.5), "who leaves at the open of the stamp does not pay it"


def test_3_a_short_receives_what_a_long_pays_and_other_hours_are_free() -> None:
    venue = a_holder(-5, costs=Costs(0, 0, 0, 0, 1.0, funding_bps_per_8h=10.0))
    venue.on_bar(flat_bar(100.0, MIDNIGHT + 7 * HOUR))
    assert venue.account.funding == 0.0
    venue.on_bar(flat_bar(100.0, MIDNIGHT + 8 * HOUR))
    assert venue.account.funding == pytest.approx(-0.5)
    assert venue.account.equity == pytest.approx(1_000.5)


def test_3_funding_comes_before_the_resting_orders() -> None:
    venue = a_venue(Costs(0, 0, 0, 0, 1.0, funding_bps_per_8h=10.0))
    idle_until(venue, 8, 100.0)
    venue.submit(Order(5, Kind.LIMIT, 95))
    fills = venue.on_bar(a_bar(MIDNIGHT + 8 * HOUR, 100, 100, 90, 95))
    assert [fill.lots for fill in fills] == [5]
    assert venue.account.funding == 0.0


# 5: liquidation


@pytest.mark.parametrize(("low", "liquidated"), [(89.0, False), (88.9, False), (88.8, True)])
def test_5_a_long_is_liquidated_when_the_low_leaves_less_than_maintenance(low: float, liquidated: bool) -> None:
    # 50 at 100 with 1,000: worth 1000 + 50 (p − 100) against 0.1 · 50 p, equal at p = 88.888…
    venue = a_holder(50)
    fills = venue.on_bar(a_bar(ONE + HOUR, 100, 101, low, 100))
    assert (venue.account.ruin, venue.account.lots) == ((LIQUIDATED, 0) if liquidated else (SOLVENT, 50))
    if liquidated:
        assert [fill[1:3] for fill in fills] == [(-50, low)], "closed at the worst price"
        assert fills[0].reason == Reason.LIQUIDATION
        assert fills[0].fee == pytest.approx(0.02 * 50 * low)
        assert venue.account.equity == pytest.approx(1_000 - 50 * (100 - low) - fills[0].fee)


@pytest.mark.parametrize(("high", "liquidated"), [(109.0, False), (109.09, False), (109.1, True)])
def test_5_a_short_is_liquidated_at_the_high(high: float, liquidated: bool) -> None:
    # −50 at 100 with 1,000: worth 6000 − 50 p against 5 p, equal at p = 109.0909…
    venue = a_holder(-50)
    fills = venue.on_bar(a_bar(ONE + HOUR, 100, high, 99, 100))
    assert [fill[1:3] for fill in fills] == ([(50, high)] if liquidated else [])


def test_5_exactly_maintenance_is_enough() -> None:
    # 50 at 80 with 1,000, maintenance 1/4: worth 1000 + 50 (p − 80) against 12.5 p, equal at p = 80
    venue = BarExchange(
        terms_of(Instrument(lot=1.0, max_leverage=3.9, maintenance=0.25), FREE, Limits()), HOUR, 1_000.0
    )
    venue.warm(flat_bar(80.0))
    venue.submit(Order(50))
    venue.on_bar(a_bar(ONE, 80, 80, 80, 80))
    assert venue.account.ruin == SOLVENT
    venue.on_bar(a_bar(ONE + HOUR, 80, 80, 79.99, 80))
    assert venue.account.ruin == LIQUIDATED


@pytest.mark.parametrize("lots", [50, -50])
def test_5_a_liquidation_never_costs_more_than_everything(lots: int) -> None:
    venue = a_holder(lots)
    bar = a_bar(ONE + HOUR, 100, 100, 20, 30) if lots > 0 else a_bar(ONE + HOUR, 100, 200, 100, 190)
    (fill,) = venue.on_bar(bar)
    assert fill.price == pytest.approx(80.0 if lots > 0 else 120.0), "the price at which nothing is left"
    assert fill.fee == pytest.approx(0.0, abs=1e-9)
    assert venue.account.equity == pytest.approx(0.0, abs=1e-9)
    assert venue.account.ruin == LIQUIDATED


def test_5_the_fee_takes_no_more_than_what_is_left() -> None:
    venue = a_holder(50)
    (fill,) = venue.on_bar(a_bar(ONE + HOUR, 100, 100, 81, 90))  # worth 50 at 81, the fee would be 81
    assert fill.fee == pytest.approx(50.0)
    assert venue.account.equity == pytest.approx(0.0, abs=1e-9)


def test_5_liquidation_looks_at_the_position_after_the_resting_orders() -> None:
    venue = a_holder(50)
    venue.submit(Order(-40, Kind.STOP, 95))
    fills = venue.on_bar(a_bar(ONE + HOUR, 100, 100, 85, 86))
    assert [fill.reason for fill in fills] == [Reason.STOP]
    assert venue.account.ruin == SOLVENT
    assert venue.account.equity == pytest.approx(1_000 - 40 * 5 - 10 * 14)


def test_5_a_position_without_leverage_is_never_liquidated() -> None:
    venue = a_holder(10)
    venue.on_bar(a_bar(ONE + HOUR, 100, 100, 0.5, 0.5))
    assert venue.account.ruin == SOLVENT
    assert venue.account.equity == pytest.approx(5.0)


# 6: mark


def test_6_the_account_is_marked_at_the_close() -> None:
    venue = a_holder(5)
    venue.on_bar(a_bar(ONE + HOUR, 101, 130, 95, 120))
    assert (venue.account.equity, venue.account.peak) == (1_100.0, 1_100.0)
    venue.on_bar(a_bar(ONE + 2 * HOUR, 120, 200, 95, 104))
    assert (venue.account.equity, venue.account.peak) == (1_020.0, 1_100.0), "a high inside a bar is no peak"


def test_6_idle_bars_count_from_the_bar_of_the_last_fill() -> None:
    venue = a_holder(5)
    assert venue.account.idle_bars == 1
    venue.on_bar(flat_bar(100.0, ONE + HOUR))
    assert venue.account.idle_bars == 2
    venue.submit(Order(1))
    venue.on_bar(flat_bar(100.0, ONE + 2 * HOUR))
    assert venue.account.idle_bars == 1


# 7: limits


def test_7_limits_latch_on_the_mark_at_the_close_and_not_on_what_was_inside_the_bar() -> None:
    limits = Limits(mode="live", daily_loss=0.05, drawdown=0.5)
    venue = a_holder(50, limits=limits)
    venue.on_bar(a_bar(ONE + HOUR, 100, 100, 92, 99.1))
    assert venue.account.state == State.ACTIVE
    venue.on_bar(a_bar(ONE + 2 * HOUR, 99, 100, 99, 99.0))
    assert venue.account.state == State.REDUCING


def test_7_a_latch_that_opens_with_the_day_can_close_at_its_first_mark() -> None:
    venue = a_holder(50, limits=Limits(mode="live", daily_loss=0.05, drawdown=0.9))
    venue.on_bar(flat_bar(98.0, MIDNIGHT + 23 * HOUR))
    assert venue.account.state == State.REDUCING
    venue.on_bar(flat_bar(98.0, MIDNIGHT + 24 * HOUR))
    assert venue.account.state == State.ACTIVE
    venue.on_bar(flat_bar(96.0, MIDNIGHT + 48 * HOUR))
    assert venue.account.state == State.REDUCING


# gaps, ruin, and the venue as an object


def test_a_long_gap_closes_the_position_at_the_last_close_at_four_times_the_cost() -> None:
    terms = terms_of(MARGIN, Costs(10.0, 0, 20.0, 0.5, 0.0001, 0, gap_multiple=4.0), Limits())
    account = a_holder(50).account
    after = close_for_gap(account, 110.0, 0.02, 5_000.0, terms)
    price = 110 * (1 - 4 * (0.002 + 0.5 * 0.02 * math.sqrt(50 / 5_000)))
    fee = 4 * 50 * price * 0.001
    assert (after.lots, after.entry) == (0, 0.0)
    assert after.cash == pytest.approx(1_000 - 5_000 + 50 * price - fee)
    assert after.equity == after.cash
    assert after.fees == pytest.approx(fee)
    assert close_for_gap(open_account(7.0), 110.0, 0.02, 5_000.0, terms) == open_account(7.0)


def test_a_gap_that_costs_more_than_everything_ruins() -> None:
    after = close_for_gap(a_holder(50).account, 79.0, 0.0, 5_000.0, terms_of(MARGIN, FREE, Limits()))
    assert after.ruin == RUINED


def test_a_fill_is_known_at_the_close_of_its_bar() -> None:
    venue = a_venue()
    venue.submit(Order(5))
    assert venue.on_bar(flat_bar(100.0, ONE))[0].at == MIDNIGHT + 2 * HOUR - 1


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        (Order(0), "an order of 0 lots is not an order"),
        (Order(5, Kind.LIMIT, 0), "a LIMIT order needs a price above 0, got 0 ticks"),
        (Order(5, Kind.STOP, -3), "a STOP order needs a price above 0, got -3 ticks"),
    ],
)
def test_an_order_that_is_none_is_refused(order: Order, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        a_venue().submit(order)


def test_a_second_market_order_for_one_bar_is_refused() -> None:
    venue = a_venue()
    venue.submit(Order(5))
    with pytest.raises(ValueError, match="a market order of 5 lots already waits for the next bar"):
        venue.submit(Order(-2))


def test_bars_seen_before_trading_change_estimates_and_nothing_else() -> None:
    venue = BarExchange(terms_of(MARGIN, FREE, Limits()), HOUR, 1_000.0)
    for k, bar in enumerate([a_bar(MIDNIGHT, 100, 110, 90, 105, 10.0), a_bar(ONE, 105, 106, 104, 104, 30.0)]):
        venue.warm(bar)
        assert venue.account._replace(idle_bars=0) == open_account(1_000.0)
        assert (venue.volume, venue.last_opened_at) == ((10.0, 10 + 20 / 32)[k], bar.opened_at)
    assert venue.sigma > 0.0


def test_an_account_of_a_thousand_bars_without_orders_keeps_its_cash() -> None:
    venue = a_venue(Costs())
    for k, close in enumerate(100 + np.random.default_rng(1).random(1_000)):
        venue.on_bar(flat_bar(float(close), MIDNIGHT + (k + 1) * HOUR))
    assert venue.account.equity == venue.account.cash == 1_000.0


def test_3_a_series_of_funding_replaces_the_constant() -> None:
    """Rates published before their stamps: 1 % at 01:00 and 2 % at 01:30, both inside the bar at 01:00."""
    series = Funding(np.array([ONE, ONE + HOUR // 2, ONE + HOUR]), np.array([0.01, 0.02, 0.04]))
    venue = BarExchange(terms_of(MARGIN, FREE, Limits()), HOUR, 1_000.0, 99.0, series)
    venue.warm(flat_bar(100.0))
    venue.account = open_account(1_000.0)
    venue.submit(Order(5))
    venue.on_bar(flat_bar(100.0, ONE))
    assert venue.account.funding == pytest.approx(500 * 0.03)
    venue.on_bar(flat_bar(100.0, ONE + HOUR))
    assert venue.account.funding == pytest.approx(500 * 0.07)
    venue.on_bar(flat_bar(100.0, ONE + 7 * HOUR))
    assert venue.account.funding == pytest.approx(500 * 0.07), "at 08:00 the constant would have been due"


def test_5_nobody_is_paid_to_give_a_short_back() -> None:
    """Funding has eaten the cash that the short brought: at a price of 0 the debt remains, and no fee is charged."""
    venue = a_holder(-5)
    venue.account = venue.account._replace(cash=-40.0)
    fills = venue.on_bar(a_bar(ONE + HOUR, 100, 101, 99, 100))
    assert [(fill.lots, fill.price, fill.fee) for fill in fills] == [(5, 0.0, 0.0)]
    assert (venue.account.equity, venue.account.ruin) == (-40.0, LIQUIDATED)
