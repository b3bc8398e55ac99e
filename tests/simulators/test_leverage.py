"""Leverage on paper: who is closed out, how, who pays, and that money is neither made nor lost."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavetank.simulators import ladder, liquidation, world
from wavetank.simulators.leverage import act_leveraged
from wavetank.simulators.matching import Event
from wavetank.simulators.population import Leveraged
from wavetank.simulators.world import Knob, Label, Part, World

from .laid_book import BANK, FUND, STREET, TRADER, arrived, cash, events, give, held, laid, live, shock

RULES = Leveraged(traders=6, rate=0.0, back=50.0, hold=100.0, horizon=30.0)
ONE, TWO, THREE, FOUR = range(TRADER, TRADER + 4)
FAR_AWAY = 1e9


@pytest.fixture
def market() -> World:
    return leveraged(laid())


def leveraged(state: World, collateral: int = 500) -> World:
    """Six flat traders who brought `collateral` each, with a leverage of 20."""
    rows = state.traders[TRADER : TRADER + 6]
    rows[:, liquidation.LEVERAGE], rows[:, liquidation.CLOSES_AT] = 20.0, FAR_AWAY
    rows[:, [liquidation.BRINGS, liquidation.STAKE]] = collateral
    return state


def look(state: World, steps: int = 1) -> None:
    live(state, steps, act_leveraged, Part.LEVERAGED, RULES)


def taken_over(state: World, owner: int) -> bool:
    return bool(state.traders[owner, liquidation.STATE] == liquidation.TAKEN_OVER)


@pytest.mark.parametrize(
    ("lots", "money", "low"),
    [
        (1_000, -995_000, False),  # worth 1,000,000 at 1000, equity 5,000: just the half per cent
        (1_000, -995_001, True),
        (-1_000, 1_005_000, False),
        (-1_000, 1_004_999, True),
    ],
)
def test_a_position_is_taken_over_below_maintenance_and_not_at_it(
    market: World, lots: int, money: int, low: bool
) -> None:
    give(market, ONE, lots, money)
    look(market)
    assert taken_over(market, ONE) is low
    assert market.clock[world.LIQUIDATED] == low


@pytest.mark.parametrize(("money", "low"), [(-995_497, False), (-995_498, True)])
def test_a_mid_between_two_ticks_counts_its_half(market: World, money: int, low: bool) -> None:
    shock(market, 1_000)  # the best ask is 1011 now, the mid 1000.5: 5,002.5 are needed
    give(market, ONE, 1_000, money)
    look(market)
    assert taken_over(market, ONE) is low


def test_a_position_in_liquidation_goes_to_the_book_in_slices_that_only_reduce_it(market: World) -> None:
    give(market, ONE, 400, -400_000)
    look(market, 8)
    slices = [(step, owner, side, lots) for step, owner, side, lots, label in arrived(market)]
    sizes = [100, 75, 56, 50, 50, 50, 19]  # a quarter of what is left, at least 0.05 of the asset
    assert slices == [(1 + i, ONE, -1, lots) for i, lots in enumerate(sizes)]
    assert {row[-1] for row in arrived(market)} == {Label.LIQUIDATION}
    assert held(market, ONE) == 0


def test_the_fund_takes_what_is_left_over(market: World) -> None:
    give(market, ONE, 100, -98_000)  # sold at 990: 1,000 are left
    market.traders[ONE, liquidation.STATE] = liquidation.TAKEN_OVER
    look(market, 6)
    assert (held(market, ONE), cash(market, ONE), cash(market, FUND)) == (0, 0, 1_000)


def test_the_fund_pays_what_is_missing(market: World) -> None:
    give(market, FUND, 0, 5_000)
    give(market, ONE, 100, -99_700)  # sold at 990: 700 are missing
    look(market, 6)
    assert (held(market, ONE), cash(market, ONE), cash(market, FUND)) == (0, 0, 4_300)
    assert market.clock[world.SOCIALISED] == 0


def flat_bankrupt(state: World, debt: int, fund: int) -> None:
    give(state, ONE, 0, -debt)
    give(state, FUND, 0, fund)


def test_what_the_fund_cannot_pay_is_shared_by_those_in_profit(market: World) -> None:
    flat_bankrupt(market, 300, 100)
    give(market, TWO, 0, 800)  # flat, in profit by 300
    give(market, THREE, -2, 2_600)  # short, equity 600: in profit by 100
    give(market, FOUR, 2, -1_550)  # long, equity 450: at a loss
    look(market)
    assert [cash(market, owner) for owner in (ONE, TWO, THREE, FOUR, FUND)] == [0, 800 - 150, 2_600 - 50, -1_550, 0]
    assert (market.clock[world.SOCIALISED], market.clock[world.LIQUIDATED]) == (200, 1)


def test_what_is_beyond_all_profits_is_the_banks_loss(market: World) -> None:
    flat_bankrupt(market, 300, 0)
    give(market, TWO, 0, 520)
    look(market)
    assert [cash(market, owner) for owner in (ONE, TWO, BANK)] == [0, 500, -280]
    assert market.clock[world.SOCIALISED] == 300


def test_a_bankrupt_is_closed_against_the_best_ranked_at_the_price_at_which_it_owes_nothing(market: World) -> None:
    give(market, FUND, 0, 100)
    give(market, ONE, 10, -10_500)  # bankrupt at 1050, and 500 short at the mark
    give(market, TWO, -6, 6_900)  # profit 400 of 500 × leverage 6,000/900 = 5.3
    give(market, THREE, -8, 8_950)  # profit 450 of 500 × leverage 8,000/950 = 7.6: first
    give(market, FOUR, -9, 9_900)  # equity 900, but only 450 at 1050: it would be closed at a loss
    traded = int(market.book.head[ladder.TRADED])
    look(market)
    assert [held(market, owner) for owner in (ONE, TWO, THREE, FOUR)] == [0, -4, 0, -9]
    assert [cash(market, owner) for owner in (ONE, TWO, THREE, FOUR)] == [0, 4_800, 550, 9_900]
    rows = events(market, Event.DELEVERAGED)
    columns = [ladder.EVENT_OWNER, ladder.EVENT_SIDE, ladder.EVENT_LOTS, ladder.EVENT_PRICE]
    assert rows[:, columns].tolist() == [[ONE, -1, 8, 1050], [THREE, 1, 8, 1050], [ONE, -1, 2, 1050], [TWO, 1, 2, 1050]]
    assert market.clock[world.DELEVERAGED] == 10
    assert len(events(market, Event.TRADE)) == 0
    assert market.book.head[ladder.TRADED] == traded
    look(market)
    assert (cash(market, FUND), market.clock[world.SOCIALISED]) == (100, 0)


def test_a_bankrupt_short_is_closed_against_longs(market: World) -> None:
    give(market, ONE, -10, 9_500)  # bankrupt at 950
    give(market, TWO, 4, -2_900)  # equity 1,100, at 950 still 900
    look(market)
    assert [held(market, owner) for owner in (ONE, TWO)] == [-6, 0]
    assert [cash(market, owner) for owner in (ONE, TWO)] == [5_700, 900]


def test_nobody_is_deleveraged_while_the_fund_can_pay(market: World) -> None:
    give(market, FUND, 0, 500)
    give(market, ONE, 10, -10_500)
    give(market, TWO, -10, 11_500)
    look(market)
    assert (held(market, ONE), held(market, TWO)) == (10, -10)
    assert market.clock[world.DELEVERAGED] == 0


def test_somebody_takes_the_place_of_a_trader_who_was_closed_out(market: World) -> None:
    flat_bankrupt(market, 300, 300)
    look(market, 50)
    assert cash(market, ONE) == 0
    look(market)
    assert (cash(market, ONE), cash(market, BANK)) == (500, -500)
    assert market.traders[ONE, liquidation.STATE] == liquidation.ACTIVE


@pytest.mark.parametrize(("before", "side"), [(990.0, 1), (1010.0, -1)])
def test_positions_are_opened_with_the_trend_at_leverage_times_what_is_brought(
    market: World, before: float, side: int
) -> None:
    market.history.fill(math.log(before))
    market.knobs[Part.LEVERAGED, Knob.SIZE] = 3.0
    rules = RULES._replace(rate=9.0, traders=1)
    act_leveraged(market, int(Part.LEVERAGED), rules)
    market.clock[world.STEP] += 1
    live(market, 1, act_leveraged, Part.LEVERAGED, RULES)
    assert held(market, ONE) == side * 30  # 20 × 3 × 500 ÷ 1000
    paid = 30 * (1010 if side > 0 else 990) * side
    assert (cash(market, ONE), cash(market, BANK)) == (1_500 - paid, -1_500)
    assert market.traders[ONE, liquidation.STAKE] == 1_500


@pytest.mark.parametrize(("bias", "longs"), [(0.4, {1}), (0.0, {1, -1}), (-0.6, {-1})])
def test_without_a_trend_a_share_goes_long_and_a_bias_moves_it(market: World, bias: float, longs: set[int]) -> None:
    market.knobs[Part.LEVERAGED, Knob.BIAS] = bias
    act_leveraged(market, int(Part.LEVERAGED), RULES._replace(rate=5.0))
    live(market, 2, act_leveraged, Part.LEVERAGED, RULES)
    assert {int(np.sign(held(market, owner))) for owner in range(TRADER, TRADER + 6)} - {0} == longs


def test_a_position_is_closed_when_its_time_is_up(market: World) -> None:
    give(market, ONE, -20, 20_600)
    market.traders[ONE, liquidation.CLOSES_AT] = 5.0
    look(market, 6)
    assert held(market, ONE) == -20
    look(market)
    assert (held(market, ONE), cash(market, ONE)) == (0, 20_600 - 20 * 1010)
    assert market.clock[world.LIQUIDATED] == 0


def test_size_zero_or_no_traders_opens_nothing_and_a_halted_venue_closes_nothing_out(market: World) -> None:
    rates = RULES._replace(rate=5.0)
    market.knobs[Part.LEVERAGED, Knob.SIZE] = 0.0
    live(market, 5, act_leveraged, Part.LEVERAGED, rates)
    live(market, 5, act_leveraged, Part.LEVERAGED, rates._replace(traders=0))
    assert not market.book.accounts[TRADER:STREET].any()
    give(market, ONE, 1_000, -1_000_000)
    market.knobs[Part.VENUE, Knob.HALT] = 1.0
    look(market)
    assert not taken_over(market, ONE)


def fall_after_a_sale(positions: bool) -> int:
    """The best bid after 16,000 lots were sold into a book with or without four staggered longs."""
    state = leveraged(laid())
    for i, owner in enumerate((ONE, TWO, THREE, FOUR)):
        if positions:  # they fall short below a mid of 993, 991, 989, 987; each moves it by 2
            give(state, owner, 4_000, -4_000 * (993 - 2 * i) + 4_000 * 5)
    shock(state, -16_000)  # the mid is 992
    look(state, 60)
    return int(state.book.head[ladder.BEST_BID])


def test_a_fall_feeds_on_leveraged_longs_and_stops_without_them() -> None:
    assert fall_after_a_sale(positions=False) == 990 - 16
    assert fall_after_a_sale(positions=True) == 990 - 16 - 16


LOTS = st.integers(-3_000, 3_000)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(LOTS, st.integers(-60, 60)), min_size=6, max_size=6), st.integers(0, 60_000), LOTS)
def test_money_and_lots_are_neither_made_nor_lost(book: list[tuple[int, int]], fund: int, move: int) -> None:
    state = leveraged(laid(60, 300), 20_000)
    give(state, FUND, 0, fund)
    for owner, (lots, edge) in enumerate(book, TRADER):
        give(state, owner, lots, -lots * 1000 + abs(lots) * edge)
    if move != 0:
        shock(state, 4 * move)
    rules = RULES._replace(rate=0.05, hold=5.0)
    for _ in range(80):
        live(state, 1, act_leveraged, Part.LEVERAGED, rules)
        assert state.book.accounts.sum(axis=0).tolist() == [0, 0]
        assert cash(state, FUND) >= 0
    away = state.traders[TRADER : TRADER + 6, liquidation.STATE] == liquidation.AWAY
    assert not state.book.accounts[TRADER : TRADER + 6][away].any()
