"""The yardstick of a training slice, held against numpy, another drift measure of the house, and paper."""

from pathlib import Path

import numpy as np
import pytest

from wavetank.agents.reference import DRIFT_BINS, novelty_of, read_reference, reference_of
from wavetank.market.drift import LEAST_SHARE, psi

COLUMNS = ("walk", "ramp", "flag")


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    flags = np.repeat([0.0, 1.0], [4_000, 1_000])
    return np.stack([rng.standard_normal(5_000), np.arange(5_000), flags], axis=1).astype(np.float32)


def test_reference_describes_the_rows_it_was_made_of(rows: np.ndarray) -> None:
    reference = reference_of(rows, COLUMNS)
    assert reference["columns"].tolist() == list(COLUMNS)
    median = reference["quantiles"][list(reference["levels"]).index(0.5)]
    assert median == pytest.approx(np.median(rows, axis=0))
    assert median == pytest.approx(reference["centre"])
    assert reference["bin_edges"].shape == (DRIFT_BINS - 1, 3)
    assert reference["bin_shares"][:, :2] == pytest.approx(np.full((DRIFT_BINS, 2), 0.1), abs=1e-3)
    assert sorted(reference["bin_shares"][:, 2])[-2:] == pytest.approx([0.2, 0.8])
    assert reference["bin_shares"].sum(axis=0) == pytest.approx(np.ones(3))


@pytest.mark.parametrize("column", range(3))
def test_edges_and_shares_give_the_population_stability_index_of_the_house(rows: np.ndarray, column: int) -> None:
    reference = reference_of(rows, COLUMNS)
    sample = rows[3_000:4_600, column].astype(np.float64) * 0.7
    edges, expected = reference["bin_edges"][:, column], reference["bin_shares"][:, column]
    found = np.bincount(np.searchsorted(edges, sample), minlength=DRIFT_BINS) / len(sample)
    p, q = np.maximum(expected, LEAST_SHARE), np.maximum(found, LEAST_SHARE)
    by_hand = float(np.sum((q - p) * np.log(q / p)))
    assert by_hand == pytest.approx(psi(rows[:, column].astype(np.float64), sample), rel=1e-12)
    assert by_hand > 0.05


def test_novelty_is_the_mean_distance_in_interquartile_ranges() -> None:
    rows = np.stack([np.arange(101), np.full(101, 7)], axis=1).astype(np.float32)  # quartiles 25, 50, 75
    reference = reference_of(rows, ("ramp", "still"))
    assert reference["spread"].tolist() == [50.0, 1.0]
    seen = np.array([[50.0, 7.0], [100.0, 7.0], [50.0, 9.0]])
    told = novelty_of(seen, reference["centre"], reference["spread"])  # type: ignore[arg-type]  # these two are numbers
    assert told.tolist() == [0.0, 0.5, 1.0]
    levels = dict(zip(reference["levels"].tolist(), reference["novelty"].tolist(), strict=True))
    assert (levels[0.0], levels[0.5], levels[1.0]) == (0.0, 0.25, 0.5)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (np.zeros((9, 1), np.float32), ("a",)),
        (np.full((50, 1), np.nan, np.float32), ("a",)),
        (np.zeros((50, 2), np.float32), ("a",)),
    ],
)
def test_too_few_rows_holes_and_unnamed_columns_are_refused(rows: np.ndarray, columns: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="reference rows"):
        reference_of(rows, columns)


def test_it_is_read_back_whole_and_refused_where_it_is_of_other_columns(tmp_path: Path, rows: np.ndarray) -> None:
    path, reference = tmp_path / "reference.npz", reference_of(rows, COLUMNS)
    np.savez(path, **reference)  # type: ignore[arg-type]  # numpy types savez too narrowly
    read = read_reference(path, COLUMNS)
    assert read.keys() == reference.keys()
    assert all(np.array_equal(read[name], reference[name]) for name in reference)
    with pytest.raises(ValueError, match=r"reference\.npz describes ramp, not the 3 columns"):
        read_reference(path, ("walk", "slope", "flag"))
    with pytest.raises(ValueError, match=r"reference\.npz describes 3 columns, not the 2 columns"):
        read_reference(path, COLUMNS[:2])
    del reference["novelty"]
    np.savez(path, **reference)  # type: ignore[arg-type]  # as above
    with pytest.raises(ValueError, match=r"reference\.npz has no novelty"):
        read_reference(path, COLUMNS)
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"reference\.npz cannot be read"):
        read_reference(path, COLUMNS)
