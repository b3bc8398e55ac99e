"""The seventeen facts against other libraries, closed forms and slow plain twins; a dead market has none of them."""

import math

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.tsa import stattools  # type: ignore[import-untyped]  # ships no types

from wavetank.simulators import stylised
from wavetank.simulators.nulls import garch
from wavetank.simulators.stylised import BOXES, DECAY_LAGS, FACTS, PACES, facts_of, hurst

Floats = NDArray[np.float64]
MINUTE = PACES["1m"]


@pytest.fixture(scope="module")
def window() -> tuple[Floats, Floats]:
    """Returns with tails and clusters, and volumes that go with them."""
    rng = np.random.default_rng(3)
    returns = 1e-3 * garch(rng.standard_t(4, 2880) / math.sqrt(2.0), 0.09, 0.90)
    return returns, np.abs(returns) * 1e5 + rng.exponential(50.0, 2880)


@pytest.fixture(scope="module")
def facts(window: tuple[Floats, Floats]) -> dict[str, float]:
    return dict(zip(FACTS, facts_of(*window, MINUTE).tolist(), strict=True))


def test_autocorrelations_are_those_of_statsmodels(window: tuple[Floats, Floats], facts: dict[str, float]) -> None:
    of_r = stattools.acf(window[0], nlags=10)
    of_a = stattools.acf(np.abs(window[0]), nlags=50)
    assert facts["return_acf_1"] == pytest.approx(of_r[1])
    assert facts["return_acf_2_10"] == pytest.approx(np.mean(np.abs(of_r[2:])))
    for lag in (1, 10, 50):
        assert facts[f"volatility_acf_{lag}"] == pytest.approx(of_a[lag])


def test_the_decay_is_the_line_that_polyfit_lays_through_statsmodels_autocorrelations(
    window: tuple[Floats, Floats], facts: dict[str, float]
) -> None:
    seen = stattools.acf(np.abs(window[0]), nlags=100)[list(DECAY_LAGS)]
    kept = seen > 0.005
    slope = np.polyfit(np.log(np.array(DECAY_LAGS)[kept]), np.log(seen[kept]), 1)[0]
    assert facts["volatility_decay"] == pytest.approx(-slope)


def test_kurtosis_and_its_fall_with_aggregation_are_scipy_s(
    window: tuple[Floats, Floats], facts: dict[str, float]
) -> None:
    quarters = [window[0][i : i + 15].sum() for i in range(0, 2880, 15)]
    assert facts["kurtosis"] == pytest.approx(stats.kurtosis(window[0]))
    assert facts["gaussianity"] == pytest.approx(stats.kurtosis(quarters) / stats.kurtosis(window[0]))
    hourly = dict(zip(FACTS, facts_of(*window, PACES["1h"]), strict=True))
    fours = [window[0][i : i + 4].sum() for i in range(0, 2880, 4)]
    assert hourly["gaussianity"] == pytest.approx(stats.kurtosis(fours) / stats.kurtosis(window[0]))


def test_where_there_are_no_tails_their_fall_is_undefined() -> None:
    flat = np.random.default_rng(0).uniform(-1.0, 1.0, 2880)
    values = dict(zip(FACTS, facts_of(flat, np.ones(2880), MINUTE), strict=True))
    assert values["kurtosis"] == pytest.approx(-1.2, abs=0.05)
    assert math.isnan(values["gaussianity"])


@pytest.mark.parametrize("exponent", [1.5, 3.0])
def test_hill_finds_the_exponent_of_an_exact_pareto_tail(exponent: float) -> None:
    ranks = (np.arange(100_000) + 0.5) / 100_000
    pareto = (1.0 - ranks) ** (-1.0 / exponent)
    assert stylised.tail_exponent(pareto, 0.05) == pytest.approx(exponent, rel=0.01)


def test_hill_is_the_mean_log_excess_over_the_largest_value_left_out(
    window: tuple[Floats, Floats], facts: dict[str, float]
) -> None:
    ordered = sorted(np.abs(window[0]))
    excess = [math.log(value / ordered[-145]) for value in ordered[-144:]]
    assert facts["tail_exponent"] == pytest.approx(144 / sum(excess))


def test_fluctuation_analysis_equals_a_line_fitted_in_every_box(window: tuple[Floats, Floats]) -> None:
    profile = np.cumsum(window[0] - window[0].mean())
    fluctuations = []
    for box in BOXES:
        rest = []
        for begin in range(0, len(profile) - box + 1, box):
            piece, time = profile[begin : begin + box], np.arange(box)
            rest.append(np.mean((piece - np.polyval(np.polyfit(time, piece, 1), time)) ** 2))
        fluctuations.append(math.sqrt(np.mean(rest)))
    slope = np.polyfit(np.log(BOXES), np.log(fluctuations), 1)[0]
    assert hurst(window[0]) == pytest.approx(slope, rel=1e-6)
    assert (BOXES[0], BOXES[-1]) == (16, 512)


def test_white_noise_has_no_memory_and_its_sum_has_all() -> None:
    noise = np.random.default_rng(1).normal(size=50_000)
    assert hurst(noise) == pytest.approx(0.5, abs=0.03)
    assert hurst(np.cumsum(noise)) == pytest.approx(1.5, abs=0.03)


@pytest.mark.parametrize("interval,half_life", [("1m", 60), ("1h", 24)])
def test_scaled_returns_are_those_over_pandas_average_of_the_bars_before(
    window: tuple[Floats, Floats], interval: str, half_life: int
) -> None:
    returns = pd.Series(window[0])
    scaled = returns / np.sqrt((returns**2).ewm(halflife=half_life, adjust=False).mean().shift(1))
    values = dict(zip(FACTS, facts_of(*window, PACES[interval]), strict=True))
    assert values["scaled_kurtosis"] == pytest.approx(stats.kurtosis(scaled[3 * half_life :]))


@pytest.mark.parametrize(
    "rows,fano",
    [
        (range(60, 72), 11.4),  # all 12 of the largest 1 % of 1,200 in one of 20 cells: (144/20 − 0.36) ÷ 0.6
        (range(0, 720, 60), 0.4),  # one in each of 12 cells: (12/20 − 0.36) ÷ 0.6
    ],
)
def test_burstiness_is_variance_over_mean_of_large_moves_in_a_cell(rows: range, fano: float) -> None:
    returns = np.random.default_rng(2).uniform(-1.0, 1.0, 1200)
    returns[rows] = 5.0
    values = dict(zip(FACTS, facts_of(returns, np.ones(1200), MINUTE), strict=True))
    assert values["burstiness"] == pytest.approx(fano)


def test_time_asymmetry_is_that_of_numpy_and_turns_its_sign_with_time(
    window: tuple[Floats, Floats], facts: dict[str, float]
) -> None:
    net = np.array([abs(window[0][i : i + 5].sum()) for i in range(0, 2880, 5)])
    active = np.array([np.abs(window[0][i : i + 5]).sum() for i in range(0, 2880, 5)])
    forward, backward = np.corrcoef(net[:-1], active[1:])[0, 1], np.corrcoef(active[:-1], net[1:])[0, 1]
    assert facts["time_asymmetry"] == pytest.approx(forward - backward)
    turned = dict(zip(FACTS, facts_of(window[0][::-1].copy(), window[1], MINUTE), strict=True))
    assert turned["time_asymmetry"] == pytest.approx(-facts["time_asymmetry"])


def test_a_market_that_net_moves_wake_up_is_asymmetric() -> None:
    rng, last = np.random.default_rng(4), 0.0
    returns: list[float] = []
    for _ in range(576):
        block = rng.normal(0.0, 0.3 + abs(last), 5) if abs(last) < 20 else rng.normal(0.0, 1.0, 5)
        returns.extend(block)
        last = block.sum() / 3.0
    values = dict(zip(FACTS, facts_of(np.array(returns), np.ones(2880), MINUTE), strict=True))
    assert values["time_asymmetry"] > 0.05


def test_volume_and_volatility_correlate_as_numpy_says(window: tuple[Floats, Floats], facts: dict[str, float]) -> None:
    assert facts["volume_volatility"] == pytest.approx(np.corrcoef(window[1], np.abs(window[0]))[0, 1])


def test_the_variance_ratio_is_1_for_a_random_walk_and_20_for_one_that_never_turns() -> None:
    rng = np.random.default_rng(5)
    walk = facts_of(rng.normal(size=200_000), np.ones(200_000), MINUTE)
    runs = facts_of(np.repeat(rng.normal(size=10_000), 20), np.ones(200_000), MINUTE)
    ratio = FACTS.index("variance_ratio")
    assert walk[ratio] == pytest.approx(1.0, abs=0.05)
    assert runs[ratio] == pytest.approx(20.0)


def test_leverage_is_the_mean_correlation_of_a_return_with_later_sizes(
    window: tuple[Floats, Floats], facts: dict[str, float]
) -> None:
    r, a = window[0], np.abs(window[0])
    assert facts["leverage"] == pytest.approx(np.mean([np.corrcoef(r[:-k], a[k:])[0, 1] for k in range(1, 11)]))


def test_facts_have_no_scale(window: tuple[Floats, Floats]) -> None:
    here = facts_of(*window, MINUTE)
    assert facts_of(window[0] * 40.0, window[1] * 7.0, MINUTE) == pytest.approx(here)


@pytest.mark.parametrize("returns", [np.zeros(2880), np.full(2880, 0.01)])
def test_a_market_that_never_turns_has_no_fact_but_its_evenness(returns: Floats) -> None:
    values = dict(zip(FACTS, facts_of(returns, np.ones(2880), MINUTE), strict=True))
    assert [name for name, value in values.items() if not math.isnan(value)] in ([], ["burstiness"])


def test_a_wrong_window_is_refused_with_its_value() -> None:
    good = np.random.default_rng(0).normal(size=2880)
    with pytest.raises(ValueError, match="a window of 100 returns is too short"):
        facts_of(good[:100], np.ones(100), MINUTE)
    with pytest.raises(ValueError, match="shape"):
        facts_of(good, np.ones(2879), MINUTE)
    with pytest.raises(ValueError, match="return 7 is nan"):
        facts_of(np.where(np.arange(2880) == 7, math.nan, good), np.ones(2880), MINUTE)
    with pytest.raises(ValueError, match="volume 3 is -2"):
        facts_of(good, np.where(np.arange(2880) == 3, -2.0, 1.0), MINUTE)
