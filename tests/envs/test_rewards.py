"""Reward parts on paper."""

import math

import pytest

from wavetank.envs.rewards import PARTS, RUIN_SHARE, reward_parts, reward_weights
from wavetank.market.ledger import Account, open_account


def _account(**changed: float) -> Account:
    return open_account(1_000.0)._replace(**changed)  # type: ignore[arg-type]


def _parts(before: Account, after: Account) -> dict[str, float]:
    return dict(zip(PARTS, reward_parts(before, after), strict=True))


def test_the_parts_have_the_names_of_the_contract() -> None:
    assert PARTS == ("log_growth", "cost", "turnover", "drawdown")


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
    assert reward_parts(_account(equity=0.0), _account(equity=10.0)) == (0.0, 0.0, 0.0, 0.0)


def test_weights_stand_in_the_order_of_the_parts() -> None:
    assert reward_weights({"drawdown": 0.5, "log_growth": 1.0}).tolist() == [1.0, 0.0, 0.0, 0.5]


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"profit": 1.0}, "there is no reward part 'profit'; known are log_growth, cost, turnover, drawdown"),
        ({"cost": math.nan}, "reward part cost has weight nan"),
        ({"cost": 0.0}, "a reward needs at least one part with a weight"),
        ({}, "a reward needs at least one part with a weight"),
    ],
)
def test_weights_that_cannot_be_are_refused(weights: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        reward_weights(weights)
