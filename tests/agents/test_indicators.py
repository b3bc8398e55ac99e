from typing import Any

import numpy as np
import pandas as pd
import pytest
import talib
from numpy.typing import NDArray

from wavetank.agents.indicators import (
    highest,
    moving_band,
    moving_mean,
    push_highest,
    queue_size,
    relative_strength,
    smoothed,
    window_size,
)

Floats = NDArray[np.float64]
PRICES: Floats = 100.0 * np.exp(np.cumsum(0.02 * np.random.default_rng(5).standard_normal(700)))
OFFSET = 3  # an indicator keeps to its own stretch of the row


def walked(kernel: Any, size: int, prices: Floats, *given: float) -> list[Any]:
    state = np.zeros(OFFSET + size + 2)
    state[:OFFSET] = state[-2:] = 7.0
    found = [kernel(state, OFFSET, *given, float(price)) for price in prices]
    assert (state[:OFFSET] == 7.0).all()
    assert (state[-2:] == 7.0).all()
    return found


@pytest.mark.parametrize("window", [2, 3, 20, 133])
def test_moving_means_are_those_of_talib(window: int) -> None:
    found = walked(moving_mean, window_size(window), PRICES, window)
    assert found[window - 1 :] == pytest.approx(talib.SMA(PRICES, window)[window - 1 :], rel=1e-12)


def test_a_moving_mean_over_one_bar_is_the_bar() -> None:
    assert walked(moving_mean, window_size(1), PRICES, 1) == PRICES.tolist()


@pytest.mark.parametrize("window", [2, 5, 20, 90])
def test_bands_are_those_of_talib(window: int) -> None:
    found = np.array(walked(moving_band, window_size(window), PRICES, window))[window - 1 :]
    upper, middle, _ = (line[window - 1 :] for line in talib.BBANDS(PRICES, window, 1.0, 1.0))
    assert found[:, 0] == pytest.approx(middle, rel=1e-12)
    assert found[:, 1] == pytest.approx(upper - middle, rel=1e-9)


def test_neither_mean_nor_deviation_drifts_over_a_hundred_thousand_prices_far_from_zero() -> None:
    prices = 60_000.0 + np.random.default_rng(6).standard_normal(100_003) * 0.01
    means = walked(moving_mean, window_size(50), prices, 50)
    bands = walked(moving_band, window_size(50), prices, 50)
    assert means[-1] == pytest.approx(float(np.mean(prices[-50:])), rel=1e-14)
    assert bands[-1][1] == pytest.approx(float(np.std(prices[-50:])), rel=1e-7)


def test_a_giant_that_has_left_the_window_leaves_no_trace() -> None:
    prices = np.concatenate([1e8 * (1.0 + PRICES), 0.01 * PRICES])
    means = walked(moving_mean, window_size(50), prices, 50)
    bands = walked(moving_band, window_size(50), prices, 50)
    assert means[-1] == pytest.approx(float(np.mean(prices[-50:])), rel=1e-13)
    assert bands[-1][0] == pytest.approx(float(np.mean(prices[-50:])), rel=1e-13)
    assert bands[-1][1] == pytest.approx(float(np.std(prices[-50:])), rel=1e-12)


@pytest.mark.parametrize("span", [1, 9, 26])
def test_exponential_averages_are_those_of_pandas(span: int) -> None:
    state = np.zeros(1)
    found = [smoothed(state, 0, float(span), float(price), t == 0) for t, price in enumerate(PRICES)]
    assert found == pytest.approx(pd.Series(PRICES).ewm(span=span, adjust=False).mean().to_numpy(), rel=1e-12)


@pytest.mark.parametrize("window", [2, 14, 40])
def test_relative_strength_is_that_of_talib(window: int) -> None:
    state = np.zeros(3)
    found = [relative_strength(state, 0, float(window), float(price), float(t)) for t, price in enumerate(PRICES)]
    assert found[window:] == pytest.approx(talib.RSI(PRICES, window)[window:], rel=1e-9)


def test_relative_strength_of_what_never_moves_or_never_falls_is_said_without_a_division() -> None:
    still, rising = np.zeros(3), np.zeros(3)
    assert [relative_strength(still, 0, 3.0, 10.0, float(t)) for t in range(5)] == [50.0] * 5
    assert [relative_strength(rising, 0, 3.0, 10.0 + t, float(t)) for t in range(5)][1:] == [100.0] * 4


@pytest.mark.parametrize("window", [1, 2, 7, 55])
@pytest.mark.parametrize("prices", [PRICES, PRICES[::-1], np.sort(PRICES), np.sort(PRICES)[::-1], np.round(PRICES, -1)])
def test_the_highest_of_a_window_is_that_of_pandas(window: int, prices: Floats) -> None:
    state = np.zeros(queue_size(window) + 1)
    state[-1] = 7.0
    found = []
    for t, price in enumerate(prices):
        push_highest(state, 0, window, float(t), float(price))
        found.append(highest(state, 0))
    assert found == pd.Series(prices).rolling(window, min_periods=1).max().tolist()
    assert state[-1] == 7.0
