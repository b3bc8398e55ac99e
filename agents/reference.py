"""What a policy's training slice looked like, column by column: the yardstick for drift and novelty later.

Written into a passport at export. Knows no bars and no policy: rows of finite numbers, and the names of their columns.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
DRIFT_BINS = 10

Floats = NDArray[np.float64]
Reference = dict[str, NDArray[np.float64] | NDArray[np.str_]]


def reference_of(rows: NDArray[np.float32], columns: Sequence[str]) -> Reference:
    """Describe rows (T, n) float32 of the named columns.

    `columns` (n,) names; `levels` (q,) and `quantiles` (q, n); `bin_edges` (9, n) deciles and `bin_shares` (10, n) of
    the rows in (-inf, e0], (e0, e1], … (e8, inf), the bins of `market.drift.psi`; `centre` and `spread` (n,) for
    `novelty_of`, and `novelty` (q,) the quantiles of what it says of these rows.
    """
    if rows.ndim != 2 or len(rows) < DRIFT_BINS or not np.isfinite(rows).all():
        raise ValueError(f"reference rows of shape {rows.shape} must be {DRIFT_BINS} or more, all finite")
    if rows.shape[1] != len(columns):
        raise ValueError(f"reference rows have {rows.shape[1]} columns, {len(columns)} are named")
    data = rows.astype(np.float64)
    ranks = [-(-len(data) * k // DRIFT_BINS) - 1 for k in range(1, DRIFT_BINS)]
    edges = np.sort(data, axis=0)[ranks]  # values of the slice itself: a flag's are 0 and 1
    low, centre, high = np.quantile(data, (0.25, 0.5, 0.75), axis=0)
    spread = np.where(high > low, high - low, 1.0)  # of a column that hardly ever moves
    told: Reference = {
        "columns": np.array(columns, np.str_),
        "levels": np.array(QUANTILES),
        "quantiles": np.quantile(data, QUANTILES, axis=0),
        "bin_edges": edges,
        "bin_shares": np.stack([_shares(data[:, k], edges[:, k]) for k in range(len(columns))], axis=1),
        "centre": centre,
        "spread": spread,
    }
    return told | {"novelty": np.quantile(novelty_of(data, centre, spread), QUANTILES)}


def novelty_of(rows: Floats, centre: Floats, spread: Floats) -> Floats:
    """(T,) float64: how far rows (T, n) lie from the slice's middle, the mean over columns in interquartile ranges."""
    far: Floats = np.abs((rows - centre) / spread).mean(axis=1)
    return far


def read_reference(path: Path, columns: Sequence[str]) -> Reference:
    """Read what `reference_of` gave; ValueError where it describes other columns, or is not whole."""
    try:
        with np.load(path, allow_pickle=False) as file:
            told = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    described = [str(name) for name in told.get("columns", ())]
    if described != list(columns):
        other = next((a for a, b in zip(described, columns, strict=False) if a != b), f"{len(described)} columns")
        raise ValueError(f"{path.name} describes {other}, not the {len(columns)} columns that the policy was fitted on")
    missing = {"levels", "quantiles", "bin_edges", "bin_shares", "centre", "spread", "novelty"} - set(told)
    if missing:
        raise ValueError(f"{path.name} has no {min(missing)}")
    return told


def _shares(column: Floats, edges: Floats) -> Floats:
    counts = np.bincount(np.searchsorted(edges, column, side="left"), minlength=DRIFT_BINS)
    return counts / len(column)
