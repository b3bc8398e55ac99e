import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavetank.experiments.evaluate import Track
from wavetank.experiments.figures import METRICS, max_drawdown, metrics_of
from wavetank.experiments.ratios import LARGEST_ANNUAL, LOSSLESS

from .hand_tracks import kept_track, times, track_of, walk_of

IN_MONEY = {
    "profit", "final_equity", "max_drawdown_money", "expectancy", "average_win", "average_loss", "open_profit",
    "fees", "funding", "borrow",
}  # fmt: skip


def test_figures_of_four_bars_are_those_on_paper() -> None:
    track = track_of(
        [100.0, 110.0, 99.0, 108.9, 108.9],
        exposure=[0.0, 1.0, 1.0, -0.5, 0.0],
        fees=[0.0, 0.1, 0.2, 0.3, 0.4],
        funding=[0.0, 0.0, 0.1, 0.1, 0.1],
        borrow=[0.0, 0.0, 0.0, 0.2, 0.2],
        turnover=[0.0, 110.0, 110.0, 209.0, 317.9],
        trades=[0, 1, 1, 2, 3],
    )
    found = metrics_of(track)

    assert set(found) == set(METRICS)
    assert found["total_return"] == pytest.approx(0.089)
    assert found["max_drawdown"] == pytest.approx(0.1)  # 110 -> 99
    assert found["cost_share"] == pytest.approx(0.007)  # (0.4 + 0.1 + 0.2) / 100
    assert found["exposure_mean"] == pytest.approx(0.5)
    # 110/100 + 0/110 + 99/99 + 108.9/108.9 in four hours
    assert found["turnover_per_day"] == pytest.approx((1.1 + 1.0 + 1.0) / 4 * 24)
    assert (found["trades"], found["bars"], found["final_equity"]) == (3, 4, 108.9)
    assert (found["fees"], found["funding"], found["borrow"]) == pytest.approx((0.4, 0.1, 0.2))
    assert found["cost_of_gross"] == pytest.approx(0.7 / 9.6)  # 8.9 earned after 0.7 of cost
    assert (found["exposure_net"], found["exposure_max"], found["time_in_market"]) == (0.3, 1.0, 0.75)
    assert (found["profit"], found["best_bar"], found["worst_bar"]) == pytest.approx((8.9, 0.1, -0.1))
    assert (found["max_drawdown_money"], found["recovered"]) == pytest.approx((11.0, 0.0))
    # returns 0.1, -0.1, 0.1, 0: mean 0.025, downside sqrt(0.01 / 4) = 0.05
    assert found["sortino"] == pytest.approx(0.5 * math.sqrt(365 * 24))
    assert found["sharpe"] == pytest.approx(0.025 / math.sqrt(0.0275 / 3) * math.sqrt(8760))


def test_figures_agree_with_pandas_on_a_long_walk() -> None:
    rng = np.random.default_rng(3)
    equity = 1e5 * np.exp(np.cumsum(0.002 * rng.standard_normal(3000)))
    found = metrics_of(track_of(equity.tolist()))
    series = pd.Series(equity)
    returns = series.pct_change().dropna()
    years = len(returns) / 8760

    assert found["sharpe"] == pytest.approx(returns.mean() / returns.std() * math.sqrt(8760), rel=1e-9)
    downside = math.sqrt((returns.clip(upper=0) ** 2).mean())
    assert found["sortino"] == pytest.approx(returns.mean() / downside * math.sqrt(8760), rel=1e-9)
    assert found["max_drawdown"] == pytest.approx((1 - series / series.cummax()).max(), rel=1e-12)
    annual = (series.iloc[-1] / series.iloc[0]) ** (1 / years) - 1
    assert found["annual_return"] == pytest.approx(annual, rel=1e-9)
    assert found["calmar"] == pytest.approx(annual / found["max_drawdown"], rel=1e-9)


def test_an_idle_account_has_no_ratio_rather_than_nan() -> None:
    found = metrics_of(track_of([100.0] * 10))

    assert found["sharpe"] == found["sortino"] == found["calmar"] == 0.0
    assert {name for name, value in found.items() if value != 0.0} == {"final_equity", "bars", "recovered", "cf_holds"}


def test_ruin_is_a_loss_of_everything_and_stays_finite() -> None:
    found = metrics_of(track_of([100.0, 50.0, 0.0, 0.0]))

    assert found["total_return"] == found["annual_return"] == -1.0
    assert found["max_drawdown"] == 1.0
    assert all(math.isfinite(value) for value in found.values())


def test_a_lucky_hour_is_not_annualised_to_infinity() -> None:
    assert metrics_of(track_of([100.0, 300.0]))["annual_return"] == LARGEST_ANNUAL


def test_drawdown_is_measured_from_the_highest_peak_so_far() -> None:
    assert max_drawdown(np.array([4.0, 5.0, 4.0, 8.0, 2.0, 6.0])) == 0.75


HARD: dict[str, Track] = {
    "one bar": track_of([100.0, 101.0]),
    "one bar lost": track_of([100.0, 0.0]),
    "ruin in a trip": track_of([100.0, 80.0, 0.0, 0.0], exposure=[0.0, 2.0, 0.0, 0.0], trades=[0, 1, 2, 2]),
    "below nothing": track_of([100.0, 50.0, -3.0], exposure=[0.0, 2.0, 0.0], trades=[0, 1, 2]),
    "all bars lost": track_of([100.0 * 0.9**i for i in range(30)], exposure=[1.0] * 30),
    "all bars won": track_of([100.0 * 1.1**i for i in range(30)], exposure=[1.0] * 30),
    "a hair's breadth": track_of([100.0, 100.0 + 1e-13, 100.0], fees=[0.0, 0.0, 1e-13]),
    "a fortune": track_of([1e-6, 1e6, 1e12]),
}


@pytest.mark.parametrize("name", HARD)
def test_every_figure_of_a_hard_track_is_finite_and_goes_into_json(name: str) -> None:
    found = metrics_of(HARD[name])

    assert list(found) == list(METRICS)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_all_wins_and_all_losses_are_told_apart() -> None:
    won, lost = metrics_of(HARD["all bars won"]), metrics_of(HARD["all bars lost"])

    assert (won["omega"], lost["omega"]) == (LOSSLESS, 0.0)
    assert (won["var_95"], lost["var_95"]) == pytest.approx((-0.1, 0.1))
    assert (won["max_drawdown"], lost["recovered"]) == (0.0, 0.0)
    assert lost["longest_drawdown_bars"] == 29


@pytest.mark.parametrize("seed", range(3))
def test_money_has_no_scale_but_where_the_figure_is_money(seed: int) -> None:
    track, _ = kept_track(seed, 300)
    one, seven = metrics_of(track), metrics_of(times(track, 7.0))

    for name in METRICS:
        expected = 7.0 * one[name] if name in IN_MONEY else one[name]
        assert seven[name] == pytest.approx(expected, rel=1e-7, abs=1e-9), name
    assert all(one[name] != 0.0 for name in IN_MONEY - {"open_profit"})


@settings(max_examples=40)
@given(steps=st.lists(st.floats(-1.0, 3.0), min_size=1, max_size=30))
def test_figures_are_finite_and_in_order_whatever_the_account_lives_through(steps: list[float]) -> None:
    found = metrics_of(track_of(np.cumprod(np.array([1e5, *(1.0 + step for step in steps)]))))

    assert all(math.isfinite(value) for value in found.values())
    assert found["cvar_99"] >= found["cvar_95"] - 1e-12
    assert found["cvar_95"] >= found["var_95"] - 1e-12
    assert found["var_99"] >= found["var_95"] - 1e-12
    assert 0.0 <= found["ulcer_index"] <= found["max_drawdown"] <= 1.0
    assert found["worst_bar"] <= -found["var_99"] + 1e-12


def test_backwards_a_track_earns_loses_and_falls_as_much_but_suffers_otherwise() -> None:
    track = walk_of(5, 800)
    steps = track.returns[::-1]
    found, turned = metrics_of(track), metrics_of(track_of(1e5 * np.cumprod(np.concatenate([[1.0], 1.0 + steps]))))

    for name in (
        "total_return",
        "sharpe",
        "sortino",
        "omega",
        "skew",
        "var_95",
        "cvar_99",
        "cf_var_99",
        "cf_cvar_95",
        "max_drawdown",
    ):
        assert turned[name] == pytest.approx(found[name], rel=1e-8), name
    assert turned["ulcer_index"] != pytest.approx(found["ulcer_index"], rel=1e-3)


def test_without_costs_more_would_have_been_earned_by_the_share_they_took() -> None:
    track, _ = kept_track(1, 300)
    found = metrics_of(track)
    paid = found["fees"] + found["funding"] + found["borrow"]
    gross = found["profit"] + paid

    assert min(found["fees"], found["borrow"]) > 0.0
    assert found["cost_of_gross"] == pytest.approx(max(0.0, paid / gross) * (gross > 0.0))
    assert found["round_trips"] > 20
