import math

import numpy as np
import pytest

from wavetank.memory.columns import FEWEST, MEMORY_COLUMNS, TEMPERATURE, fill_table, outcome_columns

RETURNS = np.array([0.04, -0.02, 0.01, 0.03, -0.01, 0.02, -0.04, 0.05], np.float32)
FALLS = np.array([0.01, 0.05, 0.02, 0.0, 0.03, 0.01, 0.08, 0.0], np.float32)
STIRS = np.array([0.01, 0.03, 0.01, 0.01, 0.02, 0.01, 0.04, 0.01], np.float32)


def columns(similarities: list[float], known: int = 8) -> dict[str, float]:
    ten = outcome_columns(np.array(similarities, np.float32), RETURNS, FALLS, STIRS, known, 0.015)
    return dict(zip(MEMORY_COLUMNS, ten, strict=True))


def test_equally_similar_neighbours_give_plain_means() -> None:
    ten = columns([0.5] * 8)
    assert ten["outcome_mean"] == pytest.approx(0.01, rel=1e-6)
    assert ten["outcome_sigma"] == pytest.approx(float(np.std(RETURNS.astype(float))), rel=1e-6)
    assert ten["win_rate"] == pytest.approx(5 / 8)
    assert ten["forward_drawdown"] == pytest.approx(0.025, rel=1e-6)
    assert ten["forward_volatility"] == pytest.approx(0.0175, rel=1e-6)
    assert ten["novelty"] == pytest.approx(0.5)
    assert ten["agreement"] == pytest.approx(0.01 / math.sqrt(float(np.mean(RETURNS.astype(float) ** 2))), rel=1e-6)
    assert ten["log_effective_k"] == pytest.approx(math.log(8))
    assert ten["high_volatility_share"] == pytest.approx(3 / 8)
    assert ten["available"] == 1.0


def test_a_more_similar_neighbour_weighs_more_by_the_temperature() -> None:
    similarities = np.array([0.9, 0.8, 0.7, 0.7, 0.6, 0.5, 0.5, 0.1], np.float32)
    weights = np.exp((similarities.astype(float) - 0.9) / TEMPERATURE)
    weights /= weights.sum()
    ten = columns(similarities.tolist())
    assert ten["outcome_mean"] == pytest.approx(float(weights @ RETURNS), rel=1e-5)
    variance = float(weights @ (RETURNS - weights @ RETURNS) ** 2)
    assert ten["outcome_sigma"] == pytest.approx(math.sqrt(variance), rel=1e-5)
    assert ten["log_effective_k"] == pytest.approx(math.log(1 / float(weights @ weights)), rel=1e-5)
    assert ten["novelty"] == pytest.approx(1 - 0.6, rel=1e-5)


def test_one_overwhelming_neighbour_is_an_effective_k_of_one() -> None:
    ten = columns([1.0] + [-1.0] * 7)
    assert ten["log_effective_k"] == pytest.approx(0.0, abs=1e-6)
    assert ten["outcome_mean"] == pytest.approx(0.04, rel=1e-5)
    assert ten["agreement"] == pytest.approx(1.0)


def test_fewer_than_eight_known_outcomes_are_no_past() -> None:
    assert FEWEST == 8
    assert set(columns([0.5] * 8, known=7).values()) == {0.0}


def test_outcomes_that_are_all_nothing_agree_and_stay_finite() -> None:
    zeros = np.zeros(8, np.float32)
    ten = outcome_columns(np.full(8, 0.5, np.float32), zeros, zeros, zeros, 8, 0.0)
    assert np.isfinite(ten).all()
    assert ten[MEMORY_COLUMNS.index("agreement")] == 1.0


def test_the_table_gathers_each_row_from_its_neighbours() -> None:
    indices = np.array([[7, 6, 5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 5, 6, -1]])
    similarities = np.full((2, 8), 0.5, np.float32)
    similarities[1, 7] = -np.inf
    out = np.full((4, 10), 9.0, np.float32)
    fill_table(indices, similarities, RETURNS, FALLS, STIRS, 0.015, np.array([3, 1]), out)
    flipped = outcome_columns(similarities[0], RETURNS[::-1].copy(), FALLS[::-1].copy(), STIRS[::-1].copy(), 8, 0.015)
    np.testing.assert_array_equal(out[3], np.array(flipped).astype(np.float32))
    np.testing.assert_array_equal(out[1], np.zeros(10))  # seven neighbours: not available
    np.testing.assert_array_equal(out[[0, 2]], 9.0)
