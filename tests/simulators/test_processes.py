"""Closed-form markets: the laws that their docstrings promise, measured on drawn bars."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.market.bars import Bars
from wavetank.simulators.processes import MeanReversion, RandomWalk, mean_reversion, random_walk

N = 60_000
LAW = MeanReversion(stationary_sd=0.03, half_life_bars=6.0, substeps=4)


@pytest.fixture(scope="module")
def log_close() -> NDArray[np.float64]:
    bars = mean_reversion(N, rng=np.random.default_rng(1), parameters=LAW)
    return np.log(bars.close / LAW.price)


def test_deviations_have_the_stationary_law(log_close: NDArray[np.float64]) -> None:
    memory = (1 + LAW.keep) / (1 - LAW.keep)  # of an AR(1): that many bars count as one
    assert abs(log_close.mean()) < 4 * LAW.stationary_sd * math.sqrt(memory / N)
    assert abs(log_close.std() / LAW.stationary_sd - 1) < 4 * math.sqrt(memory / N)


def test_a_deviation_halves_in_one_half_life(log_close: NDArray[np.float64]) -> None:
    slope = np.polyfit(log_close[:-6], log_close[6:], 1)[0]
    assert abs(slope - 0.5) < 0.03


def test_the_sign_policy_earns_the_documented_edge_and_holding_earns_nothing(log_close: NDArray[np.float64]) -> None:
    returns = np.diff(log_close)
    error = LAW.return_sd / math.sqrt(N)
    assert abs((-np.sign(log_close[:-1]) * returns).mean() - LAW.edge_per_bar) < 4 * error
    assert LAW.edge_per_bar > 20 * error
    assert abs(returns.mean()) < 4 * error
    assert abs(returns.std() / LAW.return_sd - 1) < 0.03


def test_no_sign_policy_earns_on_the_random_walk() -> None:
    bars = random_walk(N, rng=np.random.default_rng(2), parameters=RandomWalk(return_sd=0.004))
    returns = np.diff(np.log(bars.close))
    error = 0.004 / math.sqrt(N)
    assert abs(returns.std() / 0.004 - 1) < 0.02
    assert abs((np.sign(returns[:-1]) * returns[1:]).mean()) < 4 * error


@pytest.mark.parametrize("draw", [mean_reversion, random_walk])
def test_bars_open_at_the_last_close_and_touch_their_extremes(draw: Callable[..., Bars]) -> None:
    bars = draw(200, rng=np.random.default_rng(3), interval="5m", opened_at=1_700_000_100_000)
    assert (bars.interval, len(bars), int(bars.opened_at[0])) == ("5m", 200, 1_700_000_100_000)
    assert np.array_equal(bars.open[1:], bars.close[:-1])
    assert np.all(np.diff(bars.opened_at) == 300_000)
    assert (bars.high > np.maximum(bars.open, bars.close)).mean() > 0.5
    assert (bars.low < np.minimum(bars.open, bars.close)).mean() > 0.5
    assert bars.volume.min() > 0


def test_same_generator_state_same_bars() -> None:
    one, again = (mean_reversion(50, rng=np.random.default_rng(4)) for _ in range(2))
    other = mean_reversion(50, rng=np.random.default_rng(5))
    assert np.array_equal(one.close, again.close)
    assert not np.array_equal(one.close, other.close)


def test_wrong_input_is_named() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="n_bars is 0"):
        mean_reversion(0, rng=rng)
    with pytest.raises(ValueError, match="7 ms is not on the 1h grid"):
        random_walk(5, rng=rng, opened_at=7)
    with pytest.raises(ValueError, match="'7h'"):
        random_walk(5, rng=rng, interval="7h")
    with pytest.raises(ValueError, match="half_life_bars is 0"):
        MeanReversion(half_life_bars=0)
