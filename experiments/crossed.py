"""The interval of a mean over two kinds of luck at once: trained policies by row, markets by column.

Every policy meets every market, so the cells are not independent: one lucky training lifts a whole row, one easy market
a whole column. An interval over all cells, as if each were a draw of its own, would be too narrow. Knows no policy.
"""

import math

import numpy as np
from numpy.typing import NDArray

from .statistics import Interval

Floats = NDArray[np.float64]


def crossed_interval(values: Floats, level: float = 0.95) -> Interval:
    """The mean of (rows, columns) float64 and its interval under effects of rows and of columns.

    The variance of the mean is that of the row means plus that of the column means less that of single cells, which
    both contain, and never less than the larger of the two; Student's quantile has Satterthwaite's degrees of freedom.
    With one column, or one row, that side is taken as it is: nothing is said of others. Raises ValueError where neither
    side has two members, or a value is not finite.
    """
    if values.ndim != 2 or max(values.shape) < 2:
        raise ValueError(f"an interval over rows and columns needs two of either, got {values.shape}")
    if not np.all(np.isfinite(values)):
        raise ValueError("an interval over rows and columns needs finite values")
    rows, columns = values.shape
    mean = float(values.mean())
    by_row, by_column = _of_mean(values.mean(axis=1)), _of_mean(values.mean(axis=0))
    variance = max(by_row + by_column - _of_cell(values), by_row, by_column)
    if variance <= 0.0:
        return Interval(mean, mean, mean, level)
    spread = sum(part * part / (count - 1) for part, count in ((by_row, rows), (by_column, columns)) if count > 1)
    half = math.sqrt(variance) * _student((1.0 + level) / 2.0, variance * variance / spread)
    return Interval(mean, mean - half, mean + half, level)


def _of_mean(means: Floats) -> float:
    """Variance of the mean of these means; 0 where there is one."""
    return float(np.var(means, ddof=1)) / len(means) if len(means) > 1 else 0.0


def _of_cell(values: Floats) -> float:
    """Variance that what neither row nor column explains gives to the mean."""
    rows, columns = values.shape
    if rows == 1 or columns == 1:
        return 0.0
    left = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0, keepdims=True) + values.mean()
    unexplained: float = float(np.sum(left * left)) / ((rows - 1) * (columns - 1))
    return unexplained / values.size


def _student(probability: float, freedom: float) -> float:
    from scipy.stats import t  # 0.5 s, needed by this statistic alone

    return float(t.ppf(probability, freedom))
