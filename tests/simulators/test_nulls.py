"""Null models share with a real window what they say, and nothing else."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from wavetank.simulators.nulls import NULL_NAMES, draw_null, garch, garch_kurtosis
from wavetank.simulators.stylised import acf

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def window() -> tuple[Floats, Floats]:
    """Clustered returns, and a volume that is a function of each."""
    rng = np.random.default_rng(8)
    returns = 1e-3 * garch(rng.normal(size=20_000), 0.09, 0.90)
    return returns, 1.0 + 1e5 * np.abs(returns)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.mark.parametrize("name", NULL_NAMES)
def test_a_null_is_as_long_as_its_window_and_comes_again_with_its_seed(
    window: tuple[Floats, Floats], name: str
) -> None:
    one, again = draw_null(name, rng(), window), draw_null(name, rng(), window)
    assert one[0].shape == one[1].shape == window[0].shape
    assert np.array_equal(one, again)
    assert set(one[1]) <= set(window[1])


@pytest.mark.parametrize("name", NULL_NAMES)
def test_only_shuffled_pairs_keep_a_volume_beside_its_return(window: tuple[Floats, Floats], name: str) -> None:
    returns, volume = draw_null(name, rng(), window)
    together = abs(np.corrcoef(np.abs(returns), volume)[0, 1])
    assert together == pytest.approx(1.0) if name == "shuffled_pairs" else together < 0.03


@pytest.mark.parametrize("name", ["shuffled", "shuffled_pairs"])
def test_shuffled_returns_are_the_same_in_another_order(window: tuple[Floats, Floats], name: str) -> None:
    returns, _ = draw_null(name, rng(), window)
    assert np.array_equal(np.sort(returns), np.sort(window[0]))
    assert not np.array_equal(returns, window[0])
    assert acf(np.abs(window[0]), (10,))[0] > 0.1 > 0.03 > abs(acf(np.abs(returns), (10,))[0])


@pytest.mark.parametrize("name", ["iid_t3", "iid_t4", "gaussian", "bid_ask_bounce", "garch_normal"])
def test_a_null_has_the_variance_of_its_window(window: tuple[Floats, Floats], name: str) -> None:
    draws = np.concatenate([draw_null(name, np.random.default_rng(k), window)[0] for k in range(20)])
    assert draws.std() == pytest.approx(window[0].std(), rel=0.12)


def test_student_draws_are_scipy_s_distribution_scaled_to_the_window(window: tuple[Floats, Floats]) -> None:
    returns, _ = draw_null("iid_t4", rng(), window)
    scale = window[0].std() / math.sqrt(2.0)
    assert stats.kstest(returns / scale, stats.t(4).cdf).pvalue > 0.01


def test_phases_turn_and_the_spectrum_stays(window: tuple[Floats, Floats]) -> None:
    returns, _ = draw_null("phase_randomised", rng(), window)
    assert np.abs(np.fft.rfft(returns)) == pytest.approx(np.abs(np.fft.rfft(window[0])))
    assert acf(returns, range(1, 20)) == pytest.approx(acf(window[0], range(1, 20)), abs=0.01)
    assert stats.kurtosis(window[0]) > 1.0 > abs(stats.kurtosis(returns))


def test_bounce_gives_the_autocorrelation_of_roll(window: tuple[Floats, Floats]) -> None:
    returns, _ = draw_null("bid_ask_bounce", rng(), window)
    seen = acf(returns, range(4))
    assert seen[1] == pytest.approx(-1.0 / 3.0, abs=0.03)  # −s² ÷ (σ² + 2 s²) with s = σ
    assert seen[2:] == pytest.approx(np.zeros(2), abs=0.03)


def test_garch_has_the_kurtosis_of_bollerslev_s_formula() -> None:
    assert garch_kurtosis(0.2, 0.5) == pytest.approx(0.24 / 0.43)
    walk = garch(np.random.default_rng(2).normal(size=1_000_000), 0.2, 0.5)
    assert walk.var() == pytest.approx(1.0, rel=0.02)
    assert stats.kurtosis(walk) == pytest.approx(garch_kurtosis(0.2, 0.5), abs=0.06)


def test_garch_is_its_recursion_step_by_step() -> None:
    walk = garch(np.array([1.0, -2.0, 0.5]), 0.25, 0.5)
    # variances: 1 · ¼ + ¼ · 1 + ½ · 1 = 1 · ¼ + ¼ · 4 + ½ · 1 = 1.75
    assert walk == pytest.approx([1.0, -2.0, 0.5 * math.sqrt(1.75)])


def test_an_unknown_null_is_refused_by_name(window: tuple[Floats, Floats]) -> None:
    with pytest.raises(ValueError, match="no null model 'garhc'"):
        draw_null("garhc", rng(), window)
