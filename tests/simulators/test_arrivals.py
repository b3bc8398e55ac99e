"""Messages under way and their arrival at a book laid by hand: late, shuffled, held or dropped at a halt."""

import math
from typing import Any

import pytest

from wavetank.simulators import ladder, world
from wavetank.simulators.arrivals import deliver
from wavetank.simulators.cohorts import act_noise
from wavetank.simulators.makers import act_makers
from wavetank.simulators.matching import Event
from wavetank.simulators.population import Makers, Noise
from wavetank.simulators.world import Knob, Part, World

from .laid_book import OWNER, SIDE, laid, live_blind, repeat, resting, sent

RULES = Makers(traders=1, every=1, quote_levels=3, half_spread=4.0, size=1.0, inventory_limit=10.0, skew=1.0)


@pytest.fixture
def market() -> World:
    return laid()


def example(**changes: Any) -> Noise:
    return Noise(**({"traders": 4, "rate": 0.5, "limit_share": 0.0} | changes))


def test_lives_are_exponential_and_orders_leave_the_book_at_their_end(market: World) -> None:
    rules = Noise(traders=4, rate=0.5, limit_share=1.0, life=20.0)
    live_blind(market, 300, act_noise, Part.NOISE, rules)
    assert abs(resting(market) - 80 - 2.0 * 20.0) < 4 * math.sqrt(40.0)
    for _ in range(400):
        market.clock[world.STEP] += 1
        deliver(market)
    assert resting(market) == 80
    assert market.cohorts[Part.NOISE, world.LOST] == 0


def test_an_order_counts_once_in_the_flow_however_many_it_trades_with(market: World) -> None:
    act_noise(market, int(Part.NOISE), example(rate=2.0, size=4.0, size_cap=4.0))
    orders = sent(market)
    market.clock[world.STEP] = 1
    deliver(market)
    assert int(market.book.head[ladder.TRADES]) > len(orders) > 0
    assert market.mood[world.ARRIVED] == orders[:, SIDE].sum()


def test_a_message_that_finds_no_room_is_counted_as_lost(market: World) -> None:
    market.clock[world.FRESH_ROW] = world.UNDERWAY_ROOM - 1
    repeat(market, 10, act_noise, Part.NOISE, Noise(traders=2, rate=1.0))
    assert int(market.cohorts[Part.NOISE, world.LOST]) > 0
    assert len(sent(market)) == 0


def test_latency_is_counted_in_steps(market: World) -> None:
    act_noise(market, int(Part.NOISE), example(rate=2.0, latency=3))
    assert len(sent(market)) > 0
    for step in range(1, 5):
        market.clock[world.STEP] = step
        deliver(market)
        traded = int(market.book.head[ladder.TRADES]) > 0
        assert traded == (step >= 3)


def test_arrivals_of_one_step_are_shuffled(market: World) -> None:
    rules = example(traders=6, rate=30.0)
    act_noise(market, int(Part.NOISE), rules)
    posted = [int(owner) for owner in sent(market)[:, OWNER]]
    market.clock[world.STEP] = 1
    deliver(market)
    events = market.book.events[: int(market.book.head[ladder.LOGGED])]
    accepted = events[events[:, ladder.EVENT_KIND] == Event.ACCEPTED]
    arrived = [int(owner) for owner in accepted[:, ladder.EVENT_OWNER]]
    assert sorted(arrived) == sorted(posted)
    assert arrived != posted


@pytest.mark.parametrize(("halt", "arrive_later"), [(1.0, True), (2.0, False)])
def test_a_halted_venue_keeps_or_drops_what_arrives_and_trades_nothing(
    market: World, halt: float, arrive_later: bool
) -> None:
    act_noise(market, int(Part.NOISE), example(rate=3.0))
    market.knobs[Part.VENUE, Knob.HALT] = halt
    for step in range(1, 4):
        market.clock[world.STEP] = step
        deliver(market)
    assert market.book.head[ladder.TRADES] == 0
    market.knobs[Part.VENUE, Knob.HALT] = 0.0
    market.clock[world.STEP] = 4
    deliver(market)
    assert (int(market.book.head[ladder.TRADES]) > 0) == arrive_later


@pytest.mark.parametrize("halt", [1.0, 2.0])
def test_an_outage_leaves_a_maker_with_the_quotes_it_knows_of(market: World, halt: float) -> None:
    live_blind(market, 3, act_makers, Part.MAKERS, RULES)
    market.knobs[Part.VENUE, Knob.HALT] = halt
    live_blind(market, 20, act_makers, Part.MAKERS, RULES)
    market.knobs[Part.VENUE, Knob.HALT] = 0.0
    live_blind(market, 3, act_makers, Part.MAKERS, RULES)
    assert resting(market) == 80 + 6


def test_a_halted_venue_takes_cancels(market: World) -> None:
    live_blind(market, 1, act_makers, Part.MAKERS, RULES)
    assert resting(market) == 86
    act_makers(market, int(Part.MAKERS), RULES)  # its cancels arrive when the venue has halted
    market.knobs[Part.VENUE, Knob.HALT] = 2.0
    market.clock[world.STEP] += 1
    deliver(market)
    assert resting(market) == 80


def test_rows_are_used_again(market: World) -> None:
    live_blind(market, 2_000, act_noise, Part.NOISE, example(limit_share=0.9, life=5.0))
    assert market.clock[world.FRESH_ROW] < 40
    assert market.clock[world.FRESH_NODE] < 60
    assert market.clock[world.NEXT_ID] > 3_000
