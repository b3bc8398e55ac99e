"""Measures of what is odd about a bar, each against a slow twin or paper."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavetank.market.oddities import BLOCK, dislocations, moves, pauses, rolling_volume, spans, stale_runs, surges

from .handmade import drawn_bars, hourly


def test_moves_and_spans_are_shares_of_the_close_before_and_of_the_low() -> None:
    bars = hourly([(10, 12, 8, 10, 1), (10, 15, 10, 15, 1), (15, 15, 3, 3, 1)])
    assert moves(bars.close) == pytest.approx([0.0, 0.5, 0.8])
    assert spans(bars) == pytest.approx([0.5, 0.5, 4.0])


def test_pauses_count_the_bars_missing_before_each_one() -> None:
    bars = drawn_bars(np.random.default_rng(1), 6, gaps={2: 1, 5: 30})
    assert pauses(bars).tolist() == [0, 0, 1, 0, 0, 30]


def test_a_price_near_nothing_is_infinitely_far_and_no_crash() -> None:
    assert moves(np.array([1e-320, 1.0])).tolist() == [0.0, np.inf]


def test_surges_are_multiples_of_the_usual_volume_and_nothing_where_that_is_nothing() -> None:
    assert surges(np.array([1.0, 1.0, 1.0, 8.0])).tolist() == [1.0, 1.0, 1.0, 8.0]
    assert surges(np.array([0.0, 0.0, 0.0, 8.0])).tolist() == [0.0] * 4


@given(st.lists(st.floats(0.01, 1e5), max_size=30))
def test_dislocations_equal_a_slow_twin(closes: list[float]) -> None:
    told = dislocations(np.array(closes))
    for i, close in enumerate(closes):
        inside = 2 <= i < len(closes) - 2
        expected = abs(close / sorted(closes[i - 2 : i + 3])[2] - 1.0) if inside else 0.0
        assert told[i] == expected


@given(st.lists(st.tuples(st.sampled_from([1.0, 2.0]), st.sampled_from([0.0, 3.0, 4.0])), min_size=1, max_size=30))
def test_stale_runs_equal_a_slow_twin(told: list[tuple[float, float]]) -> None:
    runs, start = [], 0
    for i in range(1, len(told) + 1):
        goes_on = i < len(told) and told[i][0] == told[i - 1][0] and told[i][1] in (0.0, told[i - 1][1])
        if not goes_on:
            runs += [(start, i)] if i - start > 1 else []
            start = i
    starts, stops = stale_runs(hourly([(price, price, price, price, volume) for price, volume in told]))
    assert list(zip(starts.tolist(), stops.tolist(), strict=True)) == runs


@pytest.mark.parametrize("count", [1, BLOCK - 1, BLOCK, 2 * BLOCK + 5, 3 * BLOCK, 7 * BLOCK + 63])
def test_the_rolling_volume_is_the_median_of_the_blocks_around(count: int) -> None:
    volume = np.random.default_rng(count).exponential(size=count)
    told = rolling_volume(volume)
    last = max(count // BLOCK, 1) - 1  # the last block takes what is left
    block_of = [min(i // BLOCK, last) for i in range(count)]
    for i in range(count):
        around = sorted(v for v, block in zip(volume, block_of, strict=True) if abs(block - block_of[i]) <= 1)
        half = len(around) // 2
        expected = around[half] if len(around) % 2 else (around[half - 1] + around[half]) / 2
        assert told[i] == expected
