"""A pump group and those who follow it, alone before a book laid by hand."""

import math

import pytest

from wavetank.simulators import following, ladder, world
from wavetank.simulators.arrivals import deliver
from wavetank.simulators.following import act_followers
from wavetank.simulators.matching import LIMIT, SELL
from wavetank.simulators.population import Followers, Pumpers
from wavetank.simulators.pumping import act_pumpers
from wavetank.simulators.world import Knob, Label, Part, World

from .laid_book import STREET, TRADER, arrived, give, held, laid, live, street

GROUP = Pumpers(traders=4, size=0.1, budget=1.0, burst=3, slice=0.25)
ORGANISER, *MEMBERS = range(TRADER, TRADER + 4)
CROWD = Followers(traders=4, rate=1.0, horizon=10.0, threshold=0.02, size=0.2, stop=0.05)


@pytest.fixture
def market() -> World:
    return laid()


def turn(state: World, part: Part, **knobs: float) -> None:
    for name, value in knobs.items():
        state.knobs[part, Knob[name.upper()]] = value


def pump(state: World, steps: int, rules: Pumpers = GROUP) -> None:
    live(state, steps, act_pumpers, Part.PUMPERS, rules)


def test_the_organiser_gathers_quietly_at_its_share_of_all_volume(market: World) -> None:
    market.book.head[ladder.TRADED] = 123_456  # before it woke
    pump(market, 2)
    turn(market, Part.PUMPERS, participation=0.2)
    for _ in range(50):
        market.book.head[ladder.TRADED] += 40  # others trade
        pump(market, 1)
    assert {row[1:] for row in arrived(market)} <= {(ORGANISER, 1, lots, Label.PUMP) for lots in range(1, 101)}
    assert held(market, ORGANISER) == pytest.approx(0.25 * 40 * 49, abs=11)
    assert [held(market, owner) for owner in MEMBERS] == [0, 0, 0]


def test_in_a_rush_each_buys_its_budget_in_bursts_and_the_organiser_is_there_from_the_first_step(
    market: World,
) -> None:
    turn(market, Part.PUMPERS, rush=0.2)
    pump(market, 2)
    first = [row for row in arrived(market) if row[1] == ORGANISER]
    assert [row[0] for row in first] == [1, 1, 1]  # several orders in one step
    assert all(50 <= row[3] <= 150 for row in first)
    pump(market, 80)
    assert [held(market, owner) for owner in range(TRADER, TRADER + 4)] == [1_000] * 4
    assert {row[4] for row in arrived(market)} == {Label.PUMP}
    woke = {owner: min(row[0] for row in arrived(market) if row[1] == owner) for owner in MEMBERS}
    assert len(set(woke.values())) > 1


def test_what_finds_no_seller_is_not_spent(market: World) -> None:
    thin = laid(levels=1, lots=500)
    turn(thin, Part.PUMPERS, rush=1.0, size=2.0)
    pump(thin, 20)
    assert sum(held(thin, owner) for owner in range(TRADER, TRADER + 4)) == 500
    street(thin, [(LIMIT, SELL, 1020 + i, 1_000) for i in range(10)])
    pump(thin, 20)
    assert [held(thin, owner) for owner in range(TRADER, TRADER + 4)] == [2_000] * 4


def test_the_organiser_sells_first_in_slices_and_then_the_members_until_all_are_flat(market: World) -> None:
    for owner in range(TRADER, TRADER + 4):
        give(market, owner, 1_000, -1_000_000)
    turn(market, Part.PUMPERS, dump=0.3)
    pump(market, 120)
    assert [held(market, owner) for owner in range(TRADER, TRADER + 4)] == [0] * 4
    sales = arrived(market)
    mine = [row for row in sales if row[1] == ORGANISER]
    assert [row[3] for row in mine] == [
        250,
        187,
        140,
        105,
        100,
        100,
        100,
        18,
    ]  # a quarter of what is left, at least 100
    assert [row[0] for row in mine] == list(range(1, 9))
    assert min(row[0] for row in sales if row[1] in MEMBERS) > mine[-1][0]
    assert {(row[2], row[4]) for row in sales} == {(-1, Label.DUMP)}


def test_the_next_storm_finds_every_budget_whole_and_a_calm_or_halted_market_finds_nobody(market: World) -> None:
    pump(market, 10)
    turn(market, Part.PUMPERS, rush=1.0)
    turn(market, Part.VENUE, halt=1.0)
    live(market, 5, act_pumpers, Part.PUMPERS, GROUP)
    assert arrived(market) == []
    turn(market, Part.VENUE, halt=0.0)
    pump(market, 20)
    turn(market, Part.PUMPERS, rush=0.0)
    pump(market, 5)
    turn(market, Part.PUMPERS, rush=1.0)
    pump(market, 20)
    assert [held(market, owner) for owner in range(TRADER, TRADER + 4)] == [2_000] * 4


def watch(state: World, prices: list[float], rules: Followers = CROWD) -> None:
    """Followers see these prices, one a step, whatever the book says."""
    for price in prices:
        step = int(state.clock[world.STEP])
        state.book.head[ladder.NOW] = step
        deliver(state)
        state.mood[world.LOG_MID] = state.history[step & (world.HISTORY - 1)] = math.log(price)
        act_followers(state, int(Part.FOLLOWERS), rules)
        state.clock[world.STEP] += 1
    deliver(state)


def holders(state: World) -> int:
    return sum(held(state, owner) > 0 for owner in range(TRADER, TRADER + 4))


CALM = [1000.0] * 12
RISE = [1000.0 + 3.0 * i for i in range(1, 12)]  # by more than 2 % within 10 steps from 1021 on


def test_followers_chase_a_fast_rise_once_a_storm_and_only_where_it_lets_them_look(market: World) -> None:
    watch(market, CALM + RISE)
    assert arrived(market) == []
    turn(market, Part.FOLLOWERS, rush=1.0)
    watch(market, [RISE[-1] + 3.0 * i for i in range(10)])
    assert [held(market, owner) for owner in range(TRADER, TRADER + 4)] == [200] * 4
    assert [row[2:] for row in arrived(market)] == [(1, 200, Label.FOLLOW)] * 4


def test_followers_wait_until_the_rise_is_fast_enough(market: World) -> None:
    turn(market, Part.FOLLOWERS, rush=1.0)
    watch(market, CALM + RISE[:6])
    assert holders(market) == 0
    watch(market, RISE[6:8])  # 1021 is 2.1 per cent up
    assert holders(market) == 4


def test_followers_sell_when_the_price_breaks_by_the_stop_below_the_highest_since_they_bought(market: World) -> None:
    turn(market, Part.FOLLOWERS, rush=1.0)
    watch(market, CALM + RISE)
    turn(market, Part.FOLLOWERS, rush=0.0)  # the storm is over, what they hold is not
    watch(market, [1100.0, 1100.0 * math.exp(-0.049)])
    assert holders(market) == 4
    watch(market, [1100.0 * math.exp(-0.051)])
    assert holders(market) == 0
    assert [row[2:] for row in arrived(market)[4:]] == [(-1, 200, Label.FOLLOW)] * 4
    assert market.traders[TRADER, following.AWAKE] == 1.0
    watch(market, [1046.0, 1046.0])
    assert market.traders[TRADER, following.AWAKE] == 0.0


def test_followers_sell_what_rises_no_more(market: World) -> None:
    turn(market, Part.FOLLOWERS, rush=1.0)
    watch(market, CALM + RISE)
    watch(market, [1033.0] * 9)
    assert holders(market) == 4
    watch(market, [1033.0] * 2)
    assert holders(market) == 0


def test_followers_look_about_as_often_as_the_storm_says(market: World) -> None:
    many = CROWD._replace(traders=12, horizon=300.0)
    turn(market, Part.FOLLOWERS, rush=0.05)
    watch(market, [1100.0] * 30, many)
    bought = sum(held(market, owner) > 0 for owner in range(TRADER, TRADER + 12))
    expected = 12 * (1.0 - 0.95**30)
    assert abs(bought - expected) < 4 * math.sqrt(expected * 0.95**30)


def test_pump_and_followers_keep_the_sums(market: World) -> None:
    turn(market, Part.PUMPERS, rush=0.5, participation=0.1)
    pump(market, 10)
    turn(market, Part.PUMPERS, rush=0.0, dump=0.5)
    pump(market, 30)
    assert market.book.accounts.sum(axis=0).tolist() == [0, 0]
    assert market.book.accounts[STREET].any()
