"""The order book's figures against pandas, statsmodels, closed forms and tapes worked out on paper."""

import math

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa import stattools  # type: ignore[import-untyped]  # ships no types

from wavetank.simulators.book_metrics import BANDS, book_metrics, in_band, merged, regime

from .hand_tapes import Table, quotes, trades

STEPS = 4_000


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def tape() -> tuple[Table, Table]:
    """Quotes that wander, and about two market orders a step of one to three prints each."""
    draw = np.random.default_rng(5)
    mid = 30_000 + np.cumsum(draw.integers(-3, 4, STEPS))
    half = draw.integers(1, 4, STEPS)
    top = quotes(
        bid_ticks=mid - half,
        ask_ticks=mid + half,
        bid_lots=draw.integers(1, 50, STEPS),
        ask_lots=draw.integers(1, 50, STEPS),
        messages=100 + 20 * np.arange(STEPS),
        near_lots=draw.integers(90, 110, STEPS),
        far_lots=draw.integers(450, 550, STEPS),
    )
    orders = 2 * STEPS
    prints = draw.integers(1, 4, orders)
    side = np.where(np.cumsum(draw.random(orders) < 0.2) % 2 == 0, 1, -1)
    step = np.sort(draw.integers(0, STEPS, orders))
    ids = np.arange(7, 7 + orders)
    return top, trades(
        step=np.repeat(step, prints),
        side=np.repeat(side, prints),
        taker_id=np.repeat(ids, prints),
        lots=np.ceil(draw.pareto(1.5, int(prints.sum())) * 10).astype(np.int64) + 1,
    )


@pytest.fixture(scope="module")
def orders(tape: tuple[Table, Table]) -> pd.DataFrame:
    """The market orders as pandas groups them."""
    frame = pd.DataFrame({name: tape[1][name] for name in ("taker_id", "step", "side", "lots")})
    return frame.groupby("taker_id").agg({"step": "first", "side": "first", "lots": "sum"})


@pytest.fixture(scope="module")
def figures(tape: tuple[Table, Table]) -> dict[str, float]:
    return book_metrics(*tape, rng())


def test_prints_of_one_order_are_one(tape: tuple[Table, Table], orders: pd.DataFrame) -> None:
    found = merged(tape[1])
    assert np.array_equal(np.stack(found, axis=1), orders[["step", "side", "lots"]].to_numpy())
    assert len(orders) < len(tape[1])


def test_signs_remember_as_statsmodels_says(orders: pd.DataFrame, figures: dict[str, float]) -> None:
    seen = stattools.acf(orders["side"].to_numpy().astype(float), nlags=100)
    for lag in (1, 10, 100):
        assert figures[f"sign_acf_{lag}"] == pytest.approx(seen[lag])
    assert figures["sign_acf_1"] == pytest.approx(0.6, abs=0.05)  # a fifth of the orders turns the sign: 1 − 2/5


def test_sizes_are_those_of_whole_orders(orders: pd.DataFrame, figures: dict[str, float]) -> None:
    ordered = np.sort(orders["lots"].to_numpy())
    count = len(ordered) // 20
    assert figures["size_tail"] == pytest.approx(count / np.sum(np.log(ordered[-count:] / ordered[-count - 1])))
    assert figures["size_median_over_mean"] == pytest.approx(orders["lots"].median() / orders["lots"].mean())


def test_returns_go_with_the_imbalance_before_and_the_volume_within(
    tape: tuple[Table, Table], orders: pd.DataFrame, figures: dict[str, float]
) -> None:
    top = pd.DataFrame({name: tape[0][name] for name in tape[0].dtype.names or ()}).set_index("step")
    move = np.log((top["bid_ticks"] + top["ask_ticks"]) / 2).diff()
    lean = (top["bid_lots"] - top["ask_lots"]) / (top["bid_lots"] + top["ask_lots"])
    volume = orders.groupby("step")["lots"].sum().reindex(top.index, fill_value=0)
    signed = (orders["side"] * orders["lots"]).groupby(orders["step"]).sum().reindex(top.index, fill_value=0)
    assert figures["imbalance_next_return"] == pytest.approx(lean.shift(1).corr(move))
    assert figures["signed_volume_return"] == pytest.approx(signed[1:].corr(move[1:]))
    assert figures["volume_abs_return"] == pytest.approx(volume[1:].corr(move[1:].abs()))


def test_a_price_that_follows_the_imbalance_by_one_step_shows_it_and_one_that_leads_does_not() -> None:
    lean = np.random.default_rng(1).choice([-1, 1], STEPS)
    for shift, seen in ((1, 1.0), (0, 0.0)):
        mid = 30_000 + np.cumsum(np.concatenate([np.zeros(shift, np.int64), lean[: STEPS - shift]]))
        top = quotes(bid_ticks=mid - 1, ask_ticks=mid + 1, bid_lots=5 + 4 * lean, ask_lots=5 - 4 * lean)
        figures = book_metrics(top, trades(step=[0]), rng())
        assert figures["imbalance_next_return"] == pytest.approx(seen, abs=0.05)


def test_spread_depth_and_messages_are_counted_on_paper() -> None:
    top = quotes(
        ask_ticks=[100, 100, 100, 120],
        messages=[10, 14, 20, 30],
        near_lots=[10, 10, 10, 10],
        far_lots=[30, 50, 40, 40],
    )
    figures = book_metrics(top, trades(step=[1, 1, 2, 3], taker_id=[1, 1, 2, 3]), rng())
    assert figures["time_at_one_tick"] == 0.75
    assert figures["spread_p99_over_median"] == pytest.approx(np.percentile([1, 1, 1, 21], 99))
    assert figures["quotes_per_market_order"] == pytest.approx((20 - 3) / 3)
    assert figures["depth_100bp_over_10bp"] == 4.0


@pytest.mark.parametrize("rate", [0.05, 0.5, 3.0])
def test_a_poisson_flow_has_a_pace_of_one_however_many_orders_share_a_step(rate: float) -> None:
    step = np.repeat(np.arange(40_000), np.random.default_rng(2).poisson(rate, 40_000))
    figures = book_metrics(quotes(step=range(40_000)), trades(step=step), rng())
    assert figures["interarrival_cv"] == pytest.approx(1.0, abs=0.06)


def test_orders_in_bursts_have_a_pace_above_one() -> None:
    draw = np.random.default_rng(3)
    lively = np.repeat(draw.choice([0.1, 4.0], 400), 10)
    step = np.repeat(np.arange(STEPS), draw.poisson(lively))
    assert book_metrics(quotes(step=range(STEPS)), trades(step=step), rng())["interarrival_cv"] > 1.3


def test_a_market_without_trades_or_sides_has_no_figures_and_breaks_nothing() -> None:
    empty = quotes(bid_ticks=[0] * 5, ask_ticks=[0] * 5, near_lots=[0] * 5)
    figures = book_metrics(empty, trades(step=[]), rng())
    assert list(figures) == list(BANDS)
    assert all(math.isnan(value) for value in figures.values())
    assert not any(in_band(name, value) for name, value in figures.items())


def test_regimes_are_told_by_the_time_at_one_tick() -> None:
    assert [regime(share) for share in (0.99, 0.90, 0.89)] == ["large tick", "large tick", "small tick"]


def test_missing_quotes_are_refused_with_their_steps() -> None:
    with pytest.raises(ValueError, match="quotes jump from step 1 to 3"):
        book_metrics(quotes(step=[0, 1, 3]), trades(step=[]), rng())
    with pytest.raises(ValueError, match="2 quotes are too few"):
        book_metrics(quotes(step=[0, 1]), trades(step=[]), rng())
