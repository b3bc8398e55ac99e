"""Volatility and volume estimates: a plain recursion is the oracle; each segment starts anew; nothing looks ahead."""

import math

import numpy as np
import pytest

from wavetank.market.bars import Bar
from wavetank.market.conditions import STATE_SIZE, conditions_of, update_conditions

from .handmade import MIDNIGHT, drawn_bars, flat_bar, same_bits
from .twin import plain_conditions


def test_the_first_bar_gives_parkinsons_estimate() -> None:
    state = np.zeros(STATE_SIZE)
    sigma, volume = update_conditions(state, Bar(MIDNIGHT, 100.0, 110.0, 95.0, 100.0, 7.0))
    assert sigma == pytest.approx(math.log(110 / 95) / math.sqrt(4 * math.log(2)))
    assert volume == 7.0


def test_the_second_bar_moves_variance_and_volume_by_a_thirty_second() -> None:
    state = np.zeros(STATE_SIZE)
    update_conditions(state, flat_bar(100.0, volume=32.0))
    sigma, volume = update_conditions(state, flat_bar(110.0, volume=64.0))
    assert sigma == pytest.approx(math.log(1.1) / math.sqrt(32))
    assert volume == pytest.approx(33.0)


def test_every_row_equals_the_plain_recursion_over_its_own_segment() -> None:
    bars = drawn_bars(np.random.default_rng(1), 60, gaps={20: 4, 40: 3})
    got = conditions_of(bars)
    for start, stop in ((0, 20), (20, 60)):
        for t in range(start, stop):
            expected = plain_conditions([bars.bar(i) for i in range(start, t + 1)])
            assert got[t] == pytest.approx(np.array(expected), rel=1e-12)


def test_the_batch_is_the_stream_to_the_last_bit() -> None:
    bars = drawn_bars(np.random.default_rng(2), 300)
    state = np.zeros(STATE_SIZE)
    streamed = np.array([update_conditions(state, bar) for bar in bars])
    assert same_bits(streamed, conditions_of(bars))


def test_what_comes_later_changes_nothing_before() -> None:
    bars = drawn_bars(np.random.default_rng(3), 100)
    assert same_bits(conditions_of(bars.slice(0, 40)), conditions_of(bars)[:40])
