"""Each class of traders alone before a book laid by hand: does it do what its docstring says?"""

import math
from collections.abc import Callable

import numpy as np
import pytest

from wavetank.simulators import cohorts, ladder, world
from wavetank.simulators.draws import keys_of
from wavetank.simulators.ladder import Ints, empty_book
from wavetank.simulators.matching import ALL_EVENTS, Event, submit_limit
from wavetank.simulators.population import Chartist, Executor, Fundamental, Makers, Noise
from wavetank.simulators.world import Knob, Part, World, empty_world, set_knobs

OWNERS, STREET = 12, 11  # the street owns the book's first orders
TRADER = 5  # first owner of the cohort under test


@pytest.fixture
def market() -> World:
    """Bids from 990 down and asks from 1010 up, a thousand lots each, mid 1000; everyone calm."""
    state = empty_world(empty_book(4096, 1024, OWNERS, 1 << 14))
    state.book.head[ladder.LOG_KINDS] = ALL_EVENTS
    state.book.head[ladder.LAST] = 1000
    state.keys[:] = keys_of(np.random.SeedSequence(3).spawn(world.PARTS))
    state.cohorts[:, world.FIRST_OWNER] = TRADER
    state.mood[[world.FACTOR, world.ACTIVITY, world.LOT]] = 1.0, 1.0, 0.001
    state.mood[world.MID], state.mood[world.LOG_VALUE] = 1000.0, math.log(1000.0)
    state.history.fill(math.log(1000.0))
    set_knobs(state.knobs)
    for i in range(40):
        submit_limit(state.book, 1_000_000 + 2 * i, STREET, 1, 990 - i, 1000, 0)
        submit_limit(state.book, 1_000_001 + 2 * i, STREET, -1, 1010 + i, 1000, 0)
    state.book.head[ladder.LOGGED] = 0
    return state


def sent(state: World) -> Ints:
    """Accepted orders: side, ticks (0 at market), lots, owner."""
    events = state.book.events[: int(state.book.head[ladder.LOGGED])]
    accepted = events[events[:, ladder.EVENT_KIND] == Event.ACCEPTED]
    picked: Ints = accepted[:, [ladder.EVENT_SIDE, ladder.EVENT_PRICE, ladder.EVENT_LOTS, ladder.EVENT_OWNER]]
    return picked


def repeat(state: World, steps: int, act: Callable[..., None], who: Part, rules: tuple[float, ...]) -> None:
    for _ in range(steps):
        act(state, int(who), rules)
        state.clock[world.STEP] += 1


def test_noise_sends_at_its_rate_and_splits_limit_from_market_as_told(market: World) -> None:
    repeat(market, 400, cohorts.act_noise, Part.NOISE, Noise(traders=4, rate=0.5, size_cap=0.2, limit_share=0.7))
    orders = sent(market)
    assert abs(len(orders) - 800) < 4 * math.sqrt(800)
    assert abs((orders[:, 1] > 0).mean() - 0.7) < 4 * math.sqrt(0.21 / len(orders))
    assert set(orders[:, 3]) == {5, 6, 7, 8}
    assert set(orders[:, 2]) == {200}


def test_a_noise_traders_orders_keep_their_side_through_a_metaorder(market: World) -> None:
    rules = Noise(traders=1, rate=1.0, size_cap=0.2, children_exponent=0.3, children_cap=50.0)
    repeat(market, 300, cohorts.act_noise, Part.NOISE, rules)
    sides = sent(market)[:, 0]
    assert (sides[1:] == sides[:-1]).mean() > 0.85
    assert set(sides) == {1, -1}


def test_resting_orders_live_about_as_long_as_told(market: World) -> None:
    rules = Noise(traders=4, rate=0.5, limit_share=1.0, life=20.0)
    repeat(market, 300, cohorts.act_noise, Part.NOISE, rules)
    held = int(market.cohorts[Part.NOISE, world.RESTING])
    assert abs(held - 2.0 * 20.0) < 4 * math.sqrt(40.0)
    assert ladder_orders(market) == 80 + held


def ladder_orders(state: World) -> int:
    return int(state.book.head[ladder.BIDS] + state.book.head[ladder.ASKS])


@pytest.mark.parametrize(("value", "side"), [(1020.0, 1), (980.0, -1)])
def test_fundamental_traders_take_towards_value_and_more_the_further_it_is(
    market: World, value: float, side: int
) -> None:
    rules = Fundamental(traders=2, rate=0.5, error_sd=0.0, threshold=0.01, size=0.1, size_cap=6.0)
    market.mood[world.LOG_VALUE] = math.log(value)
    repeat(market, 50, cohorts.act_fundamental, Part.FUNDAMENTAL, rules)
    orders = sent(market)
    strength = abs(math.log(value / 1000.0)) / 0.01
    assert set(orders[:, 0]) == {side}
    assert set(orders[:, 1]) == {0}
    assert set(orders[:, 2]) == {math.floor(0.1 * strength * 1000)}


def test_fundamental_traders_wait_where_the_price_is_right(market: World) -> None:
    rules = Fundamental(traders=2, rate=0.5, error_sd=0.001, threshold=0.05)
    repeat(market, 50, cohorts.act_fundamental, Part.FUNDAMENTAL, rules)
    assert (sent(market)[:, 1] > 0).all()
    assert not (market.book.events[:, ladder.EVENT_KIND] == Event.TRADE).any()


@pytest.mark.parametrize(("lean", "side"), [(1.0, 1), (-1.0, -1)])
def test_chartists_follow_or_fade_a_rise(market: World, lean: float, side: int) -> None:
    market.history.fill(math.log(990.0))
    market.traders[:, cohorts.HORIZON] = 30
    repeat(market, 50, cohorts.act_chartist, Part.TREND, Chartist(traders=3, rate=0.3, lean=lean, limit_share=0.3))
    orders = sent(market)
    assert len(orders) > 20
    assert set(orders[:, 0]) == {side}
    assert 0.0 < (orders[:, 1] > 0).mean() < 0.6


def test_trend_followers_sit_still_without_a_trend(market: World) -> None:
    repeat(market, 50, cohorts.act_chartist, Part.TREND, Chartist(traders=3, rate=0.3))
    assert len(sent(market)) == 0


RULES = Makers(traders=1, every=1, quote_levels=3, half_spread=4.0, size=1.0, inventory_limit=10.0, skew=1.0)


def test_makers_quote_both_sides_around_the_mid_and_replace_their_quotes(market: World) -> None:
    cohorts.act_makers(market, int(Part.MAKERS), RULES)
    half = 4.0 * 1.5
    expected = [[side, 1000 - side * int(half * k), 1000 * k, TRADER] for side in (1, -1) for k in (1, 2, 3)]
    assert sent(market).tolist() == expected
    market.mood[world.MID] = 1002.0
    repeat(market, 5, cohorts.act_makers, Part.MAKERS, RULES)
    assert ladder_orders(market) == 80 + 6


def test_makers_lean_against_inventory_and_fall_silent_at_its_limit(market: World) -> None:
    market.book.accounts[TRADER, ladder.POSITION] = 5_000
    cohorts.act_makers(market, int(Part.MAKERS), RULES)
    quotes = sent(market)
    assert quotes[quotes[:, 0] == 1][0, 1] == 1000 - 3 - 6
    assert quotes[quotes[:, 0] == -1][0, 1] == 1000 - 3 + 6
    assert quotes[quotes[:, 0] == 1][:, 2].sum() == 5_000
    market.book.accounts[TRADER, ladder.POSITION] = 10_000
    market.book.head[ladder.LOGGED] = 0
    cohorts.act_makers(market, int(Part.MAKERS), RULES)
    assert set(sent(market)[:, 0]) == {-1}


def test_a_storms_knobs_reach_the_cohort(market: World) -> None:
    market.knobs[Part.MAKERS, Knob.SIZE] = 0.0
    cohorts.act_makers(market, int(Part.MAKERS), RULES)
    assert len(sent(market)) == 0
    market.knobs[Part.NOISE, Knob.RATE] = 0.0
    repeat(market, 20, cohorts.act_noise, Part.NOISE, Noise(traders=5, rate=0.04))
    assert len(sent(market)) == 0
    market.knobs[Part.NOISE, Knob.RATE] = 1.0
    market.knobs[Part.NOISE, Knob.ALARM] = 30.0
    repeat(market, 20, cohorts.act_noise, Part.NOISE, Noise(traders=5, rate=0.04))
    assert len(sent(market)) > 60


def test_the_executor_keeps_its_share_of_all_volume_in_the_storms_direction_and_labels_its_orders(
    market: World,
) -> None:
    rules = Executor()
    cohorts.act_executor(market, int(Part.EXECUTOR), rules)
    market.knobs[Part.EXECUTOR, Knob.PARTICIPATION] = -0.2
    market.cohorts[Part.EXECUTOR, world.MARK] = 1
    for _ in range(10):
        market.book.head[ladder.TRADED] += 40  # others trade
        cohorts.act_executor(market, int(Part.EXECUTOR), rules)
    orders = sent(market)
    assert orders.tolist() == [[-1, 0, 10, TRADER]] * 10
    trades = market.book.events[market.book.events[:, ladder.EVENT_KIND] == Event.TRADE]
    assert set(trades[:, ladder.EVENT_LABEL]) == {1}
    assert -int(market.book.accounts[TRADER, ladder.POSITION]) == 100


def test_an_order_without_room_in_the_bag_is_counted_as_lost(market: World) -> None:
    market.cohorts[Part.NOISE, world.RESTING] = world.RESTING_ROOM
    rules = Noise(traders=2, rate=1.0, limit_share=1.0, life=1e12)
    repeat(market, 10, cohorts.act_noise, Part.NOISE, rules)
    assert int(market.cohorts[Part.NOISE, world.LOST]) > 0
    assert ladder_orders(market) == 80
