"""An interval over trained policies and markets at once, against closed forms and draws whose mean is known."""

import numpy as np
import pytest
from scipy import stats

from wavetank.experiments.crossed import crossed_interval


def crossed(rng: np.random.Generator, rows: int, columns: int, *sds: float) -> np.ndarray:
    """Effects of rows, of columns and of cells around a mean of 0."""
    by_row, by_column, by_cell = sds
    effects = by_row * rng.standard_normal((rows, 1)) + by_column * rng.standard_normal((1, columns))
    return np.asarray(effects + by_cell * rng.standard_normal((rows, columns)))


def test_of_one_column_it_is_student_s_interval() -> None:
    values = np.array([0.3, -0.1, 0.8, 0.2, 0.45])
    low, high = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    for shape in ((5, 1), (1, 5)):
        found = crossed_interval(values.reshape(shape))
        assert (found.estimate, found.low, found.high) == pytest.approx((values.mean(), low, high))


def test_where_rows_and_columns_add_up_so_do_their_variances() -> None:
    by_row, by_column = np.array([1.0, 2.0, 6.0]), np.array([0.0, 4.0, 5.0, 7.0])
    found = crossed_interval(by_row[:, None] + by_column[None, :])
    parts = by_row.var(ddof=1) / 3, by_column.var(ddof=1) / 4
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 3)
    assert found.estimate == 7.0
    assert found.high - 7.0 == pytest.approx(stats.t.ppf(0.975, freedom) * sum(parts) ** 0.5)


@pytest.mark.parametrize("sds", [(1.0, 1.0, 1.0), (2.0, 0.3, 1.0), (0.2, 2.0, 1.0), (0.0, 0.0, 1.0)])
def test_it_holds_the_true_mean_as_often_as_it_says(sds: tuple[float, float, float]) -> None:
    rng, draws = np.random.default_rng(5), 600
    found = [crossed_interval(crossed(rng, 5, 12, *sds)) for _ in range(draws)]
    share = np.mean([each.low <= 0.0 <= each.high for each in found])
    assert 0.93 <= share <= 1.0  # four standard errors below .95; of cells alone it is wider than it need be


def test_an_interval_over_all_cells_would_hold_it_far_too_rarely() -> None:
    """Why this one is needed."""
    rng, held = np.random.default_rng(6), list[bool]()
    for _ in range(300):
        cells = crossed(rng, 5, 12, 1.0, 1.0, 0.5).ravel()
        low, high = stats.t.interval(0.95, 59, loc=cells.mean(), scale=stats.sem(cells))
        held.append(bool(low <= 0.0 <= high))
    assert np.mean(held) < 0.7


def test_values_without_any_spread_leave_no_width() -> None:
    found = crossed_interval(np.full((3, 4), 0.25))
    assert (found.low, found.estimate, found.high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("shape", [(1, 1), (4,), (2, 2, 2)])
def test_too_few_values_carry_no_interval(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="needs two of either"):
        crossed_interval(np.zeros(shape))


def test_a_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        crossed_interval(np.array([[0.0, np.nan], [1.0, 2.0]]))
