"""Growth by day against sums worked out by hand; its interval against the one-seed bootstrap and known means."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from wavetank.experiments.evaluate import Track
from wavetank.experiments.paired_growth import FEWEST_DAYS, NOTHING_LEFT, crossed_growth, growth_of
from wavetank.experiments.statistics import mean_difference

DAY, HOUR = 86_400_000, 3_600_000
Floats = NDArray[np.float64]


def track_of(equity: Floats, *, step: int = HOUR, begun: int = 0, name: str = "track") -> Track:
    count = len(equity)
    columns: dict[str, Any] = {field.name: np.zeros(count) for field in fields(Track)[2:]}
    columns |= {"equity": equity, "closed_at": begun + np.arange(1, count + 1, dtype=np.int64) * step - 1}
    return Track(name, step, **columns | {"trades": np.zeros(count, np.int64), "state": np.zeros(count, np.int8)})


def test_the_bars_of_a_day_add_up_and_a_day_ends_at_midnight() -> None:
    rates = np.zeros(24 * FEWEST_DAYS)
    rates[24], rates[47], rates[48] = 0.01, 0.02, 0.04  # the second day's first and last close, the third's first
    unit, values = growth_of([track_of(100.0 * np.exp(np.cumsum(rates)))])

    assert unit == "day"
    assert values.shape == (1, FEWEST_DAYS)
    assert values[0, :4] == pytest.approx([0.0, 0.03, 0.04, 0.0])


def test_few_days_are_compared_bar_by_bar() -> None:
    unit, values = growth_of([track_of(np.array([100.0, 110.0, 99.0]))])

    assert unit == "bar"
    assert values[0] == pytest.approx(np.log([1.1, 0.9]))


def test_before_fees_every_bar_has_its_own_back() -> None:
    paid = replace(track_of(np.array([100.0, 99.0, 107.0])), fees=np.array([0.0, 1.0, 4.0]))
    _, values = growth_of([paid], before_fees=True)

    assert values[0] == pytest.approx([0.0, np.log(110.0 / 99.0)])


def test_ruin_counts_as_a_ten_thousandth_and_what_ended_early_stays_where_it_was() -> None:
    ruined, lived = track_of(np.array([100.0, 50.0, -3.0])), track_of(np.array([100.0, 100.0, 100.0, 200.0]))
    _, values = growth_of([ruined, lived])

    assert values[0] == pytest.approx([np.log(0.5), np.log(NOTHING_LEFT / 0.5), 0.0])
    assert values[1] == pytest.approx([0.0, 0.0, np.log(2.0)])


def test_tracks_of_different_bars_are_refused() -> None:
    one, other = track_of(np.ones(3), name="one"), track_of(np.ones(3), begun=HOUR, name="other")
    with pytest.raises(ValueError, match="tracks one and other do not begin on the same bar"):
        growth_of([one, other])


def test_of_one_seed_it_is_the_stationary_bootstrap_of_a_mean() -> None:
    rng = np.random.default_rng(3)
    ours, theirs = rng.normal(0.001, 0.01, 300), rng.normal(0.0, 0.01, 300)
    found = crossed_growth((ours - theirs)[None], rng=np.random.default_rng(5), block=4.0)
    known = mean_difference(ours, theirs, rng=np.random.default_rng(5), block=4.0)

    assert (found.estimate, found.low, found.high) == pytest.approx((known.estimate, known.low, known.high), abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("by_seed", "by_day", "by_cell"), [(1.0, 1.0, 1.0), (3.0, 0.3, 1.0), (0.05, 2.0, 1.0)])
def test_it_holds_the_true_mean_as_often_as_it_says(by_seed: float, by_day: float, by_cell: float) -> None:
    """Seeds have effects of their own, days hang together, and every cell has luck of its own."""
    rng, held = np.random.default_rng(7), list[bool]()
    for _ in range(400):
        days = lfilter([1.0], [1.0, -0.2], rng.standard_normal(250))[50:]
        seeds = 0.1 * by_seed * rng.standard_normal((5, 1))
        found = crossed_growth(seeds + by_day * days + by_cell * rng.standard_normal((5, 200)), rng=rng, draws=400)
        held.append(found.low <= 0.0 <= found.high)
    assert 0.91 <= np.mean(held) <= 0.99


def test_without_the_seeds_it_would_be_too_narrow() -> None:
    """Seeds that differ by ten times what the days leave uncertain."""
    rng = np.random.default_rng(8)
    differences = np.arange(5.0)[:, None] + 0.1 * rng.standard_normal((5, 200))
    both, pooled = (
        crossed_growth(given, rng=np.random.default_rng(1)) for given in (differences, differences.mean(axis=0)[None])
    )
    assert both.high - both.low > 20.0 * (pooled.high - pooled.low)


def test_seeds_that_agree_add_nothing_to_the_days() -> None:
    days = np.random.default_rng(9).standard_normal(200)
    five, one = (crossed_growth(np.tile(days, (n, 1)), rng=np.random.default_rng(1)) for n in (5, 1))
    assert (five.low, five.high) == pytest.approx((one.low, one.high), abs=0.02)
    same = crossed_growth(np.full((3, 100), 0.25), rng=np.random.default_rng(1))
    assert (same.low, same.estimate, same.high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("shape", [(4,), (0, 5)])
def test_what_is_no_table_of_seeds_and_periods_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="differences of seeds and periods"):
        crossed_growth(np.zeros(shape), rng=np.random.default_rng(1))
