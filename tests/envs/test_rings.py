"""Sliding windows against numpy and pandas over a million values: nothing drifts, and what has left is gone."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from wavetank.envs import rings
from wavetank.market.jit import COMPILED, calling_kernel

from ..market.handmade import same_bits

Floats = NDArray[np.float64]
COUNT = 1_000_000 if COMPILED else 5_000


@calling_kernel
def _slide(slide: Any, state: Floats, values: Floats, out: Floats) -> None:
    for i in range(len(values)):
        out[i] = slide(state, values[i])


@calling_kernel
def _slide_moments(slide: Any, state: Floats, values: Floats, means: Floats, squares: Floats) -> None:
    for i in range(len(values)):
        means[i], squares[i] = slide(state, values[i])


def _slid(slide: Any, size: int, values: Floats) -> Floats:
    out = np.empty(len(values))
    _slide(slide, np.zeros(size), values, out)
    return out


def _wild(count: int) -> Floats:
    """Positive values over thirty decades, so that a sum that subtracts what leaves would keep none of the small."""
    rng = np.random.default_rng(5)
    return np.exp(rng.standard_normal(count)) * np.where(rng.random(count) < 0.001, 1e15, 1e-6)


@pytest.mark.parametrize("window", [1, 2, 24, 168])
def test_a_sliding_sum_does_not_drift_over_a_million_values(window: int) -> None:
    values = _wild(COUNT)
    got = _slid(rings.sliding_sum, rings.block_size(window), values)
    np.testing.assert_allclose(got[:window], np.cumsum(values[:window]), rtol=1e-12)
    np.testing.assert_allclose(got[window - 1 :], sliding_window_view(values, window).sum(axis=1), rtol=1e-12)
    running = np.cumsum(values)
    if window > 1:
        naive = running[window:] - running[:-window]
        assert np.median(np.abs(naive / got[window:] - 1)) > 1e-3, "this test would let a drifting sum pass"


@pytest.mark.parametrize("window", [1, 2, 24, 168])
def test_a_sliding_highest_is_the_highest(window: int) -> None:
    values = np.random.default_rng(6).standard_normal(COUNT).round(2)  # with ties, and below zero
    got = _slid(rings.sliding_highest, rings.block_size(window), values)
    assert np.array_equal(got, pd.Series(values).rolling(window, min_periods=1).max())


@pytest.mark.parametrize("window", [2, 20, 60])
def test_sliding_moments_keep_their_digits_at_high_prices(window: int) -> None:
    """A price of 10⁹ that moves by a thousandth: sums of squares would hold no digit of its variance."""
    noise = np.random.default_rng(7).standard_normal(COUNT)
    values = 1e9 + np.round(noise * 1024) / 2**20  # exact in binary, so the noise alone has the same differences
    means, squares = np.empty(COUNT), np.empty(COUNT)
    _slide_moments(rings.sliding_moments, np.zeros(rings.moments_size(window)), values, means, squares)
    exact = sliding_window_view(values - 1e9, window)
    np.testing.assert_allclose(
        means[window - 1 :] - 1e9, exact.mean(axis=1), rtol=0, atol=3e-6
    )  # 25 units in the last place
    np.testing.assert_allclose(squares[window - 1 :], exact.var(axis=1) * window, rtol=2e-3, atol=1e-12)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=40, max_size=60), st.lists(st.floats(-1e300, 1e300), min_size=8, max_size=8)
)
def test_what_has_left_the_window_is_gone_to_the_last_bit(values: list[float], other: list[float]) -> None:
    """Two streams that differ in their first eight values agree again as soon as these are out of the window."""
    for window in (1, 3, 7, 16):
        for slide, size in (
            (rings.sliding_sum, rings.block_size(window)),
            (rings.sliding_highest, rings.block_size(window)),
        ):
            a, b = np.zeros(size), np.zeros(size)
            for i, value in enumerate(values):
                x, y = slide(a, value), slide(b, other[i] if i < len(other) else value)
                assert i < len(other) + window - 1 or x == y
        a, b = np.zeros(rings.moments_size(window)), np.zeros(rings.moments_size(window))
        for i, value in enumerate(values):
            one, two = rings.sliding_moments(a, value), rings.sliding_moments(b, other[i] if i < len(other) else value)
            assert i < len(other) + window - 1 or one == two


@pytest.mark.parametrize("at", [0, 1, 4, 5, 6, 23])
def test_a_copied_state_goes_on_to_the_last_bit(at: int) -> None:
    values = _wild(40)
    whole = _slid(rings.sliding_sum, rings.block_size(5), values)
    state = np.zeros(rings.block_size(5))
    before = [rings.sliding_sum(state, float(value)) for value in values[:at]]
    state = np.frombuffer(state.tobytes(), np.float64).copy()
    after = [rings.sliding_sum(state, float(value)) for value in values[at:]]
    assert same_bits(np.array(before + after), whole)


def test_a_ring_keeps_the_last_values_and_gives_the_oldest() -> None:
    ring = np.zeros(rings.ring_size(3))
    oldest = []
    for value in (1.0, 2.0, 3.0, 4.0, 5.0):
        rings.push(ring, value)
        oldest.append(rings.oldest(ring))
    assert oldest == [1.0, 1.0, 1.0, 2.0, 3.0]
