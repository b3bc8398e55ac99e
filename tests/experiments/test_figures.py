import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from wavetank.experiments.evaluate import Track
from wavetank.experiments.figures import LARGEST_ANNUAL, METRICS, max_drawdown, metrics_of

HOUR = 3_600_000


def track_of(equity: list[float], **columns: list[float]) -> Track:
    rows = len(equity)
    base: dict[str, Any] = {name: np.zeros(rows) for name in ("exposure", "action", "fees", "funding", "turnover")}
    base |= {name: np.array(values, np.float64) for name, values in columns.items() if name != "trades"}
    trades = np.array(columns.get("trades", [0] * rows), np.int64)
    closed_at = np.arange(rows, dtype=np.int64) * HOUR
    close = np.full(rows, 100.0)
    state = np.zeros(rows, np.int8)
    return Track("hand", HOUR, closed_at, close, np.array(equity), **base, trades=trades, state=state)


def test_figures_of_four_bars_are_those_on_paper() -> None:
    track = track_of(
        [100.0, 110.0, 99.0, 108.9, 108.9],
        exposure=[0.0, 1.0, 1.0, -0.5, 0.0],
        fees=[0.0, 0.1, 0.2, 0.3, 0.4],
        funding=[0.0, 0.0, 0.1, 0.1, 0.1],
        turnover=[0.0, 110.0, 110.0, 209.0, 317.9],
        trades=[0, 1, 1, 2, 3],
    )
    found = metrics_of(track)

    assert set(found) == set(METRICS)
    assert found["total_return"] == pytest.approx(0.089)
    assert found["max_drawdown"] == pytest.approx(0.1)  # 110 -> 99
    assert found["cost_share"] == pytest.approx(0.005)  # (0.4 + 0.1) / 100
    assert found["exposure_mean"] == pytest.approx(0.5)
    # 110/100 + 0/110 + 99/99 + 108.9/108.9 in four hours
    assert found["turnover_per_day"] == pytest.approx((1.1 + 1.0 + 1.0) / 4 * 24)
    assert (found["trades"], found["bars"], found["final_equity"]) == (3, 4, 108.9)
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
    assert found["annual_return"] == found["max_drawdown"] == 0.0


def test_ruin_is_a_loss_of_everything_and_stays_finite() -> None:
    found = metrics_of(track_of([100.0, 50.0, 0.0, 0.0]))

    assert found["total_return"] == found["annual_return"] == -1.0
    assert found["max_drawdown"] == 1.0
    assert all(math.isfinite(value) for value in found.values())


def test_a_lucky_hour_is_not_annualised_to_infinity() -> None:
    assert metrics_of(track_of([100.0, 300.0]))["annual_return"] == LARGEST_ANNUAL


def test_drawdown_is_measured_from_the_highest_peak_so_far() -> None:
    assert max_drawdown(np.array([4.0, 5.0, 4.0, 8.0, 2.0, 6.0])) == 0.75
