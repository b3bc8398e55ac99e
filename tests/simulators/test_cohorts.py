"""Each class of traders alone before a book laid by hand: does it send what its docstring says?"""

import math

import pytest

from wavetank.simulators import cohorts, ladder, world
from wavetank.simulators.arrivals import deliver
from wavetank.simulators.climate import look_around
from wavetank.simulators.cohorts import act_chartist, act_executor, act_fundamental, act_noise, act_readers
from wavetank.simulators.makers import act_makers
from wavetank.simulators.matching import LIMIT, MARKET, POST_SLIDE, Event
from wavetank.simulators.population import Chartist, Executor, Fundamental, Makers, Noise, Readers, Value
from wavetank.simulators.world import Knob, Part, World

from .laid_book import KIND, LIFE, LOTS, OWNER, PRICE, SIDE, TRADER, laid, live_blind, repeat, resting, sent, street


@pytest.fixture
def market() -> World:
    return laid()


def test_noise_sends_at_its_rate_and_splits_limit_from_market_as_told(market: World) -> None:
    repeat(market, 400, act_noise, Part.NOISE, Noise(traders=4, rate=0.5, size_cap=0.2, limit_share=0.7))
    orders = sent(market)
    assert abs(len(orders) - 800) < 4 * math.sqrt(800)
    assert abs((orders[:, KIND] == POST_SLIDE).mean() - 0.7) < 4 * math.sqrt(0.21 / len(orders))
    assert set(orders[:, KIND]) == {POST_SLIDE, MARKET}
    assert set(orders[:, OWNER]) == {5, 6, 7, 8}
    assert set(orders[:, LOTS]) == {200}


def test_a_noise_traders_orders_keep_their_side_through_a_metaorder(market: World) -> None:
    rules = Noise(traders=1, rate=1.0, size_cap=0.2, children_exponent=0.3, children_cap=50.0)
    repeat(market, 300, act_noise, Part.NOISE, rules)
    sides = sent(market)[:, SIDE]
    assert (sides[1:] == sides[:-1]).mean() > 0.85
    assert set(sides) == {1, -1}


def test_drawn_lives_have_the_mean_they_should(market: World) -> None:
    repeat(market, 500, act_noise, Part.NOISE, Noise(traders=4, rate=0.5, limit_share=1.0, life=50.0))
    lives = sent(market)[:, LIFE]
    assert abs(lives.mean() - 50.0) < 4 * 50.0 / math.sqrt(len(lives))
    assert lives.min() >= 1


@pytest.mark.parametrize(("value", "side"), [(1020.0, 1), (980.0, -1)])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_fundamental_traders_take_towards_value_and_more_the_further_it_is(
    market: World, value: float, side: int, power: float
) -> None:
    rules = Fundamental(
        traders=2,
        rate=0.5,
        error_sd=0.0,
        threshold=0.01,
        threshold_high=0.01,
        size=0.1,
        size_cap=6.0,
        power=power,
        size_exponent=1e9,
    )
    market.mood[world.LOG_VALUE] = math.log(value)
    repeat(market, 50, act_fundamental, Part.FUNDAMENTAL, rules)
    orders = sent(market)
    strength = abs(math.log(value / 1000.0)) / 0.01
    assert set(orders[:, SIDE]) == {side}
    assert set(orders[:, KIND]) == {MARKET}
    assert set(orders[:, LOTS]) == {math.floor(0.1 * strength**power * 1000)}


def test_fundamental_traders_wait_where_the_price_is_right(market: World) -> None:
    rules = Fundamental(traders=2, rate=0.5, error_sd=0.001, threshold=0.05, threshold_high=0.05)
    live_blind(market, 50, act_fundamental, Part.FUNDAMENTAL, rules)
    assert resting(market) > 80
    assert not (market.book.events[:, ladder.EVENT_KIND] == Event.TRADE).any()


def test_patient_fundamental_traders_need_a_larger_gap(market: World) -> None:
    rules = Fundamental(traders=3, rate=1.0, error_sd=0.0, threshold=0.01, threshold_high=0.03)
    market.mood[world.LOG_VALUE] = math.log(1000.0) + 0.021  # beyond the thresholds .01 and .02, within .03
    repeat(market, 60, act_fundamental, Part.FUNDAMENTAL, rules)
    orders = sent(market)
    assert set(orders[orders[:, KIND] == MARKET][:, OWNER]) == {TRADER, TRADER + 1}
    assert set(orders[orders[:, KIND] == POST_SLIDE][:, OWNER]) == {TRADER + 2}


def test_a_slow_learner_moves_its_belief_by_a_share_of_each_surprise(market: World) -> None:
    start = math.log(1000.0)
    market.traders[TRADER, cohorts.BELIEF] = start
    market.mood[world.LOG_VALUE] = start + 0.1
    rules = Fundamental(traders=1, rate=1.0, error_sd=0.0, learning=0.25, threshold=0.5, threshold_high=0.5)
    repeat(market, 30, act_fundamental, Part.FUNDAMENTAL, rules)
    looks = len(sent(market))
    assert looks > 10
    believed = float(market.traders[TRADER, cohorts.BELIEF]) - start
    assert believed == pytest.approx(0.1 * (1 - 0.75**looks), rel=1e-9)


@pytest.mark.parametrize(("lean", "side"), [(1.0, 1), (-1.0, -1)])
def test_chartists_follow_or_fade_a_rise(market: World, lean: float, side: int) -> None:
    market.history.fill(math.log(990.0))
    market.traders[:, cohorts.HORIZON] = 30
    repeat(market, 50, act_chartist, Part.TREND, Chartist(traders=3, rate=0.3, lean=lean, limit_share=0.3))
    orders = sent(market)
    assert len(orders) > 20
    assert set(orders[:, SIDE]) == {side}
    assert 0.0 < (orders[:, KIND] == POST_SLIDE).mean() < 0.6


def test_trend_followers_sit_still_without_a_trend(market: World) -> None:
    repeat(market, 50, act_chartist, Part.TREND, Chartist(traders=3, rate=0.3))
    assert len(sent(market)) == 0


@pytest.mark.parametrize("side", [1, -1])
def test_book_readers_go_with_the_heavier_side_and_rest_where_none_is(market: World, side: int) -> None:
    rules = Readers(traders=3, rate=0.5, half_life=1.0, threshold=0.4, limit_share=0.5)
    look_around(market, Value(), rules, Makers())
    repeat(market, 30, act_readers, Part.READERS, rules)
    assert len(sent(market)) == 0  # five levels of a thousand lots on either side
    street(market, [(LIMIT, side, 1000 - side * 5, 20_000)])
    for _ in range(20):
        look_around(market, Value(), rules, Makers())
    repeat(market, 30, act_readers, Part.READERS, rules)
    orders = sent(market)
    assert len(orders) > 10
    assert set(orders[:, SIDE]) == {side}
    assert 0.2 < (orders[:, KIND] == MARKET).mean() < 0.8


RULES = Makers(traders=1, every=1, quote_levels=3, half_spread=4.0, size=1.0, inventory_limit=10.0, skew=1.0)


def test_makers_quote_both_sides_around_the_mid_and_replace_their_quotes(market: World) -> None:
    act_makers(market, int(Part.MAKERS), RULES)
    half = 4.0 * 1.5
    expected = [[side, 1000 - side * int(half * k), 1000 * k, TRADER] for side in (1, -1) for k in (1, 2, 3)]
    assert sent(market)[:, :4].tolist() == expected
    market.clock[world.STEP] += 1
    deliver(market)
    assert resting(market) == 80 + 6
    market.mood[world.MID] = 1002.0
    live_blind(market, 5, act_makers, Part.MAKERS, RULES)
    assert resting(market) == 80 + 6


def test_makers_lean_against_inventory_and_fall_silent_at_its_limit(market: World) -> None:
    market.book.accounts[TRADER, ladder.POSITION] = 5_000
    act_makers(market, int(Part.MAKERS), RULES)
    quotes = sent(market)
    assert quotes[quotes[:, SIDE] == 1][0, PRICE] == 1000 - 3 - 6
    assert quotes[quotes[:, SIDE] == -1][0, PRICE] == 1000 - 3 + 6
    assert quotes[quotes[:, SIDE] == 1][:, LOTS].sum() == 5_000
    market.book.accounts[TRADER, ladder.POSITION] = 10_000
    market.calendar.fill(0)
    act_makers(market, int(Part.MAKERS), RULES)
    quotes = sent(market)
    assert set(quotes[:, SIDE]) == {-1}


@pytest.mark.parametrize(("flow", "shift"), [(15.0, 3), (-60.0, -6)])
def test_makers_shift_their_quotes_with_a_one_sided_flow_up_to_a_bound(market: World, flow: float, shift: int) -> None:
    market.mood[world.FLOW] = flow
    act_makers(market, int(Part.MAKERS), RULES._replace(flow_lean=1.0, flow_usual=30.0))
    quotes = sent(market)
    assert quotes[quotes[:, SIDE] == 1][0, PRICE] == 1000 + shift - 6
    assert quotes[quotes[:, SIDE] == -1][0, PRICE] == 1000 + shift + 6


def test_a_storms_knobs_reach_the_cohort(market: World) -> None:
    market.knobs[Part.MAKERS, Knob.SIZE] = 0.0
    act_makers(market, int(Part.MAKERS), RULES)
    assert len(sent(market)) == 0
    market.knobs[Part.NOISE, Knob.RATE] = 0.0
    repeat(market, 20, act_noise, Part.NOISE, Noise(traders=5, rate=0.04))
    assert len(sent(market)) == 0
    market.knobs[Part.NOISE, Knob.RATE] = 1.0
    market.knobs[Part.NOISE, Knob.ALARM] = 30.0
    repeat(market, 20, act_noise, Part.NOISE, Noise(traders=5, rate=0.04))
    assert len(sent(market)) > 60


def test_the_executor_keeps_its_share_of_all_volume_in_the_storms_direction_and_labels_its_orders(
    market: World,
) -> None:
    rules = Executor()
    act_executor(market, int(Part.EXECUTOR), rules)
    market.knobs[Part.EXECUTOR, Knob.PARTICIPATION] = -0.2
    market.cohorts[Part.EXECUTOR, world.MARK] = 1
    for _ in range(10):
        market.book.head[ladder.TRADED] += 40  # others trade
        market.clock[world.STEP] += 1
        act_executor(market, int(Part.EXECUTOR), rules)
        market.clock[world.STEP] += 1
        deliver(market)
    trades = market.book.events[market.book.events[:, ladder.EVENT_KIND] == Event.TRADE]
    assert set(trades[:, ladder.EVENT_LABEL]) == {1}
    assert set(trades[:, ladder.EVENT_SIDE]) == {-1}
    assert -int(market.book.accounts[TRADER, ladder.POSITION]) == 100


def test_the_executor_fires_one_shot_for_each_time_the_knob_is_turned(market: World) -> None:
    rules = Executor(bar_volume=2.0)
    for shot in (0.0, -3.0, -3.0, -3.0, 0.0, 3.0):
        market.knobs[Part.EXECUTOR, Knob.SHOT] = shot
        act_executor(market, int(Part.EXECUTOR), rules)
    assert sent(market)[:, [SIDE, LOTS, KIND]].tolist() == [[-1, 6_000, MARKET], [1, 6_000, MARKET]]
