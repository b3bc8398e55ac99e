"""The value, the mood and the knobs: moments against their closed forms, and what a storm's schedule does to them."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.simulators import ladder, matching, world
from wavetank.simulators.climate import imbalance, look_around, move_value, reference_ticks, set_knobs, turn_knobs
from wavetank.simulators.draws import keys_of
from wavetank.simulators.ladder import Book, empty_book
from wavetank.simulators.matching import LIMIT, process
from wavetank.simulators.population import Makers, Readers, Value
from wavetank.simulators.world import Knob, Part, World, empty_world

CALM = Value(sd_per_step=1e-4, factor_sd=0.5, factor_half_life=50.0, activity_exponent=0.8)


@pytest.fixture
def state() -> World:
    made = empty_world(empty_book(4096, 64, 2, 256), 2)
    made.keys[:] = keys_of(np.random.SeedSequence(9).spawn(world.PARTS))
    set_knobs(made.knobs)
    made.book.head[ladder.LAST] = 1000
    made.mood[world.LOG_MID] = math.log(1000.0)
    return made


def walked(state: World, value: Value, steps: int) -> NDArray[np.float64]:
    """Log value, log factor, factor and activity after each step, (steps, 4)."""
    rows = np.zeros((steps, 4))
    for step in range(steps):
        state.clock[world.STEP] = step
        turn_knobs(state)
        move_value(state, value)
        rows[step] = state.mood[[world.LOG_VALUE, world.LOG_FACTOR, world.FACTOR, world.ACTIVITY]]
    return rows


def test_the_factor_is_an_ornstein_uhlenbeck_process_with_the_half_life_and_spread_told(state: World) -> None:
    log_factor = walked(state, CALM, 60_000)[1_000:, 1]
    centred = log_factor - log_factor.mean()
    lagged = float((centred[50:] * centred[:-50]).mean() / (centred * centred).mean())
    assert abs(log_factor.mean()) < 0.1
    assert log_factor.std() == pytest.approx(0.5, rel=0.1)
    assert lagged == pytest.approx(0.5, abs=0.08)


def test_steps_of_the_value_have_the_factors_spread_and_activity_follows_it(state: World) -> None:
    rows = walked(state, CALM, 20_000)
    steps = np.diff(rows[:, 0]) / (1e-4 * rows[1:, 2])
    assert steps.std() == pytest.approx(1.0, rel=0.03)
    assert abs(steps.mean()) < 0.03
    assert np.allclose(rows[:, 2], np.exp(rows[:, 1]), rtol=1e-12)
    assert np.allclose(rows[:, 3], rows[:, 2] ** 0.8, rtol=1e-12)


def test_news_are_rare_jumps(state: World) -> None:
    value = CALM._replace(factor_sd=0.0, news_rate=0.01, news_sd=5e-3)
    steps = np.diff(walked(state, value, 20_000)[:, 0]) / 1e-4
    jumps = np.abs(steps) > 6.0  # six calm deviations
    share = 2.0 * (1.0 - 0.5 * (1.0 + math.erf(6.0 / math.sqrt(2.0 * (1.0 + 50.0**2)))))
    assert jumps.mean() == pytest.approx(0.01 * share, rel=0.25)


def test_attention_makes_everyone_busier_in_proportion_to_the_move_up_to_its_cap(state: World) -> None:
    value = CALM._replace(factor_sd=0.0, attention=0.5, attention_span=200.0, attention_cap=3.0)
    usual = 1e-4 * math.sqrt(100.0)
    for move, busy in ((0.0, 1.0), (usual, 1.5), (-2.0 * usual, 2.0), (9.0 * usual, 2.5)):
        state.mood[world.MOVE] = move
        move_value(state, value)
        assert state.mood[world.ACTIVITY] == pytest.approx(busy, rel=1e-12)


def test_a_drift_is_spread_over_its_span_and_ends_with_it(state: World) -> None:
    still = CALM._replace(sd_per_step=0.0)
    state.schedule[0] = 10, 110, Part.VALUE, Knob.DRIFT, -0.25
    state.clock[world.SCHEDULED] = 1
    value = walked(state, still, 200)[:, 0]
    assert value[9] == 0.0
    assert value[60] == pytest.approx(-0.25 * 51 / 100)
    assert value[109] == value[199] == pytest.approx(-0.25)


def test_factors_multiply_shares_add_and_both_end(state: World) -> None:
    state.schedule[:3] = [
        [5, 20, Part.MAKERS, Knob.SIZE, 0.5],
        [10, 30, Part.MAKERS, Knob.SIZE, 0.5],
        [10, 30, Part.EXECUTOR, Knob.PARTICIPATION, -0.2],
    ]
    state.clock[world.SCHEDULED] = 3
    told = []
    for step in (0, 5, 10, 20, 30):
        state.clock[world.STEP] = step
        turn_knobs(state)
        told.append((state.knobs[Part.MAKERS, Knob.SIZE], state.knobs[Part.EXECUTOR, Knob.PARTICIPATION]))
    assert told == [(1.0, 0.0), (0.5, 0.0), (0.25, -0.2), (0.5, -0.2), (1.0, 0.0)]


def test_a_storm_in_the_value_stirs_volatility_and_activity(state: World) -> None:
    state.schedule[0] = 0, 10, Part.VALUE, Knob.RATE, 3.0
    state.clock[world.SCHEDULED] = 1
    rows = walked(state, CALM._replace(factor_sd=0.0), 12)
    assert rows[:10, 2] == pytest.approx(3.0)
    assert rows[:10, 3] == pytest.approx(3.0**0.8)
    assert rows[10:, 2] == pytest.approx(1.0)


def lay(book: Book, rows: list[tuple[int, int, int]]) -> None:
    messages = np.zeros((len(rows), matching.MESSAGE_WIDTH), np.int64)
    for i, (side, ticks, lots) in enumerate(rows):
        messages[i, :6] = LIMIT, i + 1, 0, side, ticks, lots
    process(book, messages, len(rows), np.zeros(len(rows), np.int64))


def test_the_price_is_the_mid_and_the_last_trade_where_a_side_is_empty(state: World) -> None:
    assert reference_ticks(state.book) == 1000.0
    lay(state.book, [(1, 990, 5)])
    assert reference_ticks(state.book) == 1000.0
    lay(state.book, [(-1, 1013, 5)])
    assert reference_ticks(state.book) == 1000.0  # id 1 lives already: refused, still one side
    messages = np.array([[LIMIT, 77, 1, -1, 1013, 5, 0, 0]])
    process(state.book, messages, 1, np.zeros(1, np.int64))
    assert reference_ticks(state.book) == 1001.5


def test_the_imbalance_weighs_the_five_best_levels(state: World) -> None:
    assert imbalance(state.book) == 0.0
    lay(state.book, [(1, 990 - i, 10) for i in range(7)] + [(-1, 1010 + i, 30) for i in range(2)])
    assert imbalance(state.book) == pytest.approx((50 - 60) / 110)


def test_looking_around_averages_the_imbalance_with_its_half_life_and_the_move_with_its_span(state: World) -> None:
    lay(state.book, [(1, 990, 10)])
    readers, value, makers = Readers(half_life=4.0), CALM._replace(attention_span=10.0), Makers(flow_span=4.0)
    state.mood[world.ARRIVED] = 6.0
    state.book.head[ladder.LAST] = 1100
    look_around(state, value, readers, makers)
    weight = math.log(2.0) / 4.0
    assert state.mood[world.IMBALANCE] == pytest.approx(weight)
    assert state.mood[world.MOVE] == pytest.approx(math.log(1.1))
    look_around(state, value, readers, makers)
    assert state.mood[world.IMBALANCE] == pytest.approx(1.0 - (1.0 - weight) ** 2)
    assert state.mood[world.MOVE] == pytest.approx(0.9 * math.log(1.1))
    assert state.mood[[world.FLOW, world.ARRIVED]].tolist() == [4.5, 0.0]
