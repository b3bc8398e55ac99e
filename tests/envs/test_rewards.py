"""Reward parts on paper."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wavetank.envs.rewards import N_MOMENTS, PARTS, RUIN_SHARE, Reward, log_near_one, reward_into
from wavetank.market.ledger import Account, open_account


def _account(**changed: float) -> Account:
    return open_account(1_000.0)._replace(**changed)  # type: ignore[arg-type]


def _parts(before: Account, after: Account) -> dict[str, float]:
    return _walked([before, after], {"log_growth": 1.0})[-1]


def _walked(accounts: list[Account], weights: dict[str, float]) -> list[dict[str, float]]:
    """The parts of every bar between two accounts; those that are rewarded by weight must add up to the reward."""
    reward = Reward.of(weights)
    parts, sums, moments = np.zeros((1, reward.built_in)), np.zeros((1, reward.built_in)), np.zeros((1, N_MOMENTS))
    told, total = [], np.zeros(reward.built_in)
    for before, after in pairwise(accounts):
        got = reward_into(0, before, after, reward.rule, parts, sums, moments)
        told.append(dict(zip(reward.names, parts[0].tolist(), strict=True)))
        assert got == pytest.approx(sum(weights.get(name, 0.0) * value for name, value in told[-1].items()), abs=1e-15)
        total += parts[0]
    assert sums[0] == pytest.approx(total, abs=1e-15)
    return told


def test_four_parts_are_always_watched_and_others_where_they_are_named() -> None:
    assert Reward.of().names == ("log_growth", "cost", "turnover", "drawdown")
    assert Reward.of({"differential_sharpe": 1.0}).names == (*Reward.of().names, "differential_sharpe")
    assert set(PARTS) == {*Reward.of().names, "downside", "differential_sharpe"}


def test_growth_is_the_log_of_equity_after_over_before() -> None:
    parts = _parts(_account(), _account(equity=1_100.0, peak=1_100.0))
    assert parts == pytest.approx({"log_growth": math.log(1.1), "cost": 0.0, "turnover": 0.0, "drawdown": 0.0})


def test_costs_are_fees_and_funding_as_a_share_of_the_equity_before() -> None:
    before = _account(equity=2_000.0, fees=7.0, funding=-3.0, turnover=100.0)
    after = _account(equity=2_000.0, fees=9.0, funding=1.0, turnover=350.0)
    parts = _parts(before, after)
    assert parts["cost"] == pytest.approx(-6 / 2_000)
    assert parts["turnover"] == pytest.approx(-250 / 2_000)


def test_funding_that_is_received_is_a_negative_cost() -> None:
    assert _parts(_account(funding=0.0), _account(funding=-5.0))["cost"] == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("before", "after", "part"),
    [
        ((1_000, 1_000), (900, 1_000), -0.1),
        ((900, 1_000), (850, 1_000), -0.05),
        ((850, 1_000), (950, 1_000), 0.0),  # climbing out of it is not paid
        ((950, 1_000), (1_200, 1_200), 0.0),
    ],
)
def test_only_the_growth_of_a_drawdown_counts(
    before: tuple[float, float], after: tuple[float, float], part: float
) -> None:
    (equity, peak), (equity_after, peak_after) = before, after
    parts = _parts(
        _account(equity=float(equity), peak=float(peak)), _account(equity=float(equity_after), peak=float(peak_after))
    )
    assert parts["drawdown"] == pytest.approx(part)


@pytest.mark.parametrize("equity", [0.0, -50.0, 1e-30])
def test_ruin_costs_much_but_not_infinitely_much(equity: float) -> None:
    assert _parts(_account(), _account(equity=equity))["log_growth"] == pytest.approx(math.log(RUIN_SHARE))


def test_from_nothing_there_is_no_reward() -> None:
    told = _walked([_account(equity=0.0), _account(equity=10.0)], dict.fromkeys(PARTS, 1.0))
    assert set(told[0].values()) == {0.0}
    assert len(told[0]) == len(PARTS)


def test_borrow_is_a_cost_like_any_other() -> None:
    assert _parts(_account(borrow=1.0), _account(borrow=3.0))["cost"] == pytest.approx(-0.002)


def test_downside_is_the_square_of_a_loss_and_nothing_else() -> None:
    equities = [1_000.0, 1_100.0, 990.0]
    told = _walked([_account(equity=e, peak=2_000.0) for e in equities], {"downside": 2.0})
    assert [part["downside"] for part in told] == pytest.approx([0.0, -(math.log(0.9) ** 2)])


def test_the_differential_sharpe_ratio_is_the_slope_of_an_exponential_sharpe_ratio() -> None:
    """Moody and Saffell: D = dS/dη at η = 0, for S = A / sqrt(B − A²) with moments that forget."""
    growth = np.random.default_rng(5).normal(0.001, 0.02, 200)
    equities = 1_000.0 * np.exp(np.concatenate([[0.0], np.cumsum(growth)]))
    told = _walked([_account(equity=float(e), peak=1e9) for e in equities], {"differential_sharpe": 1.0})
    mean = square = 0.0
    for k, step in enumerate(growth):
        if k > 1:
            tiny = 1e-7
            ahead, behind = (_sharpe(mean, square, step, eta) for eta in (tiny, -tiny))
            assert told[k]["differential_sharpe"] == pytest.approx((ahead - behind) / (2 * tiny), rel=1e-5)
        mean, square = mean + 0.01 * (step - mean), square + 0.01 * (step * step - square)


def _sharpe(mean: float, square: float, step: float, eta: float) -> float:
    mean, square = mean + eta * (step - mean), square + eta * (step * step - square)
    return mean / math.sqrt(square - mean * mean)


@given(st.floats(1e-4, 50.0) | st.floats(0.85, 1.15))
def test_the_logarithm_near_one_is_the_logarithm(ratio: float) -> None:
    assert log_near_one(ratio) == pytest.approx(math.log(ratio), rel=1e-15, abs=1e-300)


def test_weights_stand_in_the_order_of_the_parts() -> None:
    weights: NDArray[np.float64] = Reward.of({"drawdown": 0.5, "log_growth": 1.0}).rule.weights
    assert weights.tolist() == [1.0, 0.0, 0.0, 0.5]


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"profit": 1.0}, "there is no reward part 'profit'; known are log_growth, cost, turnover, drawdown, .*"),
        ({"cost": math.nan}, "reward part cost has weight nan"),
        ({"cost": 0.0}, "a reward needs at least one part with a weight"),
        ({}, "a reward needs at least one part with a weight"),
    ],
)
def test_weights_that_cannot_be_are_refused(weights: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        Reward.of(weights)
