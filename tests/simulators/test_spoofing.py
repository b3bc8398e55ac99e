"""A spoofer alone before a book laid by hand, and the one thing that it needs: somebody who reads the book."""

import pytest

from wavetank.simulators import ladder, spoofing, world
from wavetank.simulators.cohorts import act_readers
from wavetank.simulators.ladder import Ints
from wavetank.simulators.matching import LIMIT, Event
from wavetank.simulators.population import Readers, Spoofer
from wavetank.simulators.spoofing import act_spoofer
from wavetank.simulators.world import Knob, Label, Part, World

from .laid_book import STREET, TRADER, events, held, laid, live, shock, street

RULES = Spoofer(cycle=20, first_level=3, layers=3, size=2.0, life=5, real=0.4, behind=2)


@pytest.fixture
def market() -> World:
    return laid()


def turn(state: World, **knobs: float) -> None:
    for name, value in knobs.items():
        state.knobs[Part.SPOOFER, Knob[name.upper()]] = value


def spoof(state: World, steps: int, rules: Spoofer = RULES) -> None:
    live(state, steps, act_spoofer, Part.SPOOFER, rules)


def shown(state: World, label: Label) -> list[tuple[int, int, int, int]]:
    """The spoofer's orders of one label, as they arrived: step, side, ticks, lots."""
    rows = events(state, Event.ACCEPTED)
    rows = rows[rows[:, ladder.EVENT_LABEL] == label]
    columns = [ladder.EVENT_AT, ladder.EVENT_SIDE, ladder.EVENT_PRICE, ladder.EVENT_LOTS]
    return [tuple(int(row[c]) for c in columns) for row in rows]  # type: ignore[misc]


def mine(state: World) -> int:
    """The spoofer's orders that rest now."""
    slots = state.book.ids[state.book.ids[:, 0] != 0, 1]
    return int((state.book.orders[slots, ladder.OWNER] == TRADER).sum())


def gone(state: World) -> Ints:
    """When its orders were cancelled, and their labels."""
    rows = events(state, Event.CANCELLED)
    picked: Ints = rows[rows[:, ladder.EVENT_OWNER] == TRADER][:, [ladder.EVENT_AT, ladder.EVENT_LABEL]]
    return picked


def test_a_show_is_layers_from_a_level_outwards_and_one_order_that_is_meant(market: World) -> None:
    turn(market, show=1.0, bias=1.0)
    spoof(market, 3)
    assert shown(market, Label.SPOOF) == [(1, 1, 988 - i, 2_000) for i in range(3)]
    assert shown(market, Label.SPOOF_REAL) == [(1, -1, 1012, 400)]
    assert mine(market) == 4


def test_a_layer_is_capped_and_grows_with_the_storm(market: World) -> None:
    turn(market, show=1.0, bias=-1.0, size=3.0)
    spoof(market, 3, RULES._replace(size_cap=5.0))
    assert shown(market, Label.SPOOF) == [(1, -1, 1012 + i, 5_000) for i in range(3)]
    assert shown(market, Label.SPOOF_REAL) == [(1, 1, 988, 400)]


def test_a_show_ends_after_its_life_and_the_next_one_is_on_the_other_side(market: World) -> None:
    turn(market, show=1.0)
    spoof(market, 50)
    layers = shown(market, Label.SPOOF)
    assert [row[0] for row in layers] == [1] * 3 + [21] * 3 + [41] * 3
    sides = [row[1] for row in layers[::3]]
    assert sides == [sides[0], -sides[0], sides[0]]
    assert set(gone(market)[:, 0]) == {6, 26, 46}
    assert not events(market, Event.TRADE).size


@pytest.mark.parametrize(("bias", "sides"), [(1.0, {1}), (-1.0, {-1})])
def test_a_bias_favours_a_side(market: World, bias: float, sides: set[int]) -> None:
    turn(market, show=1.0, bias=bias, rate=2.0, life=0.5)
    spoof(market, 100)
    layers = shown(market, Label.SPOOF)
    assert {row[1] for row in layers} == sides
    assert sorted({row[0] for row in layers}) == list(range(1, 101, 10))


def test_everything_is_withdrawn_when_the_price_comes_a_level_nearer(market: World) -> None:
    turn(market, show=1.0, bias=1.0)
    spoof(market, 3)
    shock(market, -1_000)  # the best level is gone, of two before the layers
    spoof(market, 2)
    assert gone(market).tolist() == [[4, Label.SPOOF]] * 3 + [[4, Label.SPOOF_REAL]]
    assert mine(market) == 0
    spoof(market, 14)
    assert len(shown(market, Label.SPOOF)) == 3  # and not before the next cycle


def test_the_order_that_is_meant_brings_the_inventory_back(market: World) -> None:
    turn(market, show=1.0, bias=1.0)
    spoof(market, 3)
    shock(market, 2_200)  # takes the asks 1010 and 1011, and 200 of those at 1012 behind the street's thousand
    assert held(market, TRADER) == 0
    shock(market, 1_000)
    assert held(market, TRADER) == -200
    turn(market, bias=-1.0)
    spoof(market, 30)
    assert shown(market, Label.SPOOF_REAL)[1][1::2] == (1, 600)  # back to 0, and 400 beyond
    turn(market, bias=1.0)
    spoof(market, 12)
    assert shown(market, Label.SPOOF_REAL)[2][1::2] == (-1, 200)  # no more than 400 held short


def test_after_the_storm_it_withdraws_and_closes_what_it_holds(market: World) -> None:
    turn(market, show=1.0, bias=1.0)
    spoof(market, 3)
    shock(market, 3_100)
    assert held(market, TRADER) == -100
    turn(market, show=0.0)
    spoof(market, 12)
    assert (mine(market), held(market, TRADER)) == (0, 0)
    assert shown(market, Label.SPOOF_REAL)[-1][1:] == (1, 0, 100)
    assert market.traders[TRADER, spoofing.AWAKE] == 0.0
    before = len(events(market, Event.ACCEPTED))
    spoof(market, 50)
    assert len(events(market, Event.ACCEPTED)) == before


def test_the_evasive_one_quotes_both_sides_one_by_one_in_drawn_sizes_and_lives(market: World) -> None:
    turn(market, show=2.0, bias=1.0)
    spoof(market, 400, RULES._replace(size=8.0))
    layers, others = shown(market, Label.SPOOF), shown(market, Label.SPOOF_REAL)
    assert {row[1] for row in layers} == {1}
    assert {row[1] for row in others} == {-1}
    assert max(row[3] for row in layers) < 8.0 * 1_000 * 0.3 * 1.5 + 1  # smaller than a plain layer
    assert len({row[3] for row in layers}) > 20
    quotes = [row for row in others if row[3] != 400]
    assert 0.15 < sum(row[3] for row in quotes) / sum(row[3] for row in layers) < 0.6
    began = sorted({row[0] for row in shown(market, Label.SPOOF) + others})
    assert len(began) > 2 * 400 // 20  # layers of one show arrive in different steps
    turn(market, show=0.0)
    spoof(market, 30)
    assert mine(market) == 0


def test_a_halted_venue_sees_no_show(market: World) -> None:
    turn(market, show=1.0)
    market.knobs[Part.VENUE, Knob.HALT] = 1.0
    spoof(market, 3)
    market.knobs[Part.VENUE, Knob.HALT] = 0.0
    assert shown(market, Label.SPOOF) == []


def mid_after_a_show(readers: Readers, show: bool) -> float:
    """Where the mid is after some shows on the bids of a book that nobody trades in but readers."""
    state = laid(lots=100)
    state.cohorts[Part.READERS, world.FIRST_OWNER] = TRADER + 1
    turn(state, show=float(show), bias=1.0)

    def act(world_: World, who: int, rules: Spoofer) -> None:
        if readers.traders > 0:
            act_readers(world_, int(Part.READERS), readers)
        act_spoofer(world_, who, rules)

    live(state, 60, act, Part.SPOOFER, RULES._replace(size=10.0), readers)
    return float(state.mood[world.MID])


def test_a_show_moves_the_price_by_those_who_read_the_book_and_by_nobody_else() -> None:
    reading = Readers(traders=4, rate=0.05, half_life=2.0, threshold=0.3, limit_share=0.5)
    blind = reading._replace(traders=0)
    assert mid_after_a_show(blind, show=True) == mid_after_a_show(blind, show=False) == 1000.0
    assert mid_after_a_show(reading, show=True) > mid_after_a_show(reading, show=False) + 1.0


def test_a_spoofer_fits_the_book_it_finds() -> None:
    short = laid(levels=2)
    turn(short, show=1.0, bias=1.0)
    spoof(short, 3)
    assert shown(short, Label.SPOOF) == [(1, 1, 988 - i, 2_000) for i in range(3)]  # ticks beyond the last level
    low = laid(levels=0)
    street(low, [(LIMIT, 1, 3, 100), (LIMIT, -1, 9, 100)])
    turn(low, show=1.0, bias=1.0)
    spoof(low, 3)
    assert [row[2] for row in shown(low, Label.SPOOF)] == [1]  # there is no price below 1
    assert held(low, STREET) == 0
