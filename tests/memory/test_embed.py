from pathlib import Path

import numpy as np
import pytest

from wavetank.memory.embed import CLIP, Embedder
from wavetank.memory.moments import PastError
from wavetank.memory.statistics import raw_statistics

from .walks import walk

BARS = walk(400, gap_at=250)
EMBEDDER = Embedder.fit(BARS, 250, window=32, width=16)


def test_a_window_alone_gives_the_bits_of_its_row_in_the_batch() -> None:
    rows = EMBEDDER.vectors(BARS)
    assert rows.dtype == np.float32
    for t in range(len(BARS)):  # warm-up and the rows after the gap too: NaN where the batch has NaN
        np.testing.assert_array_equal(EMBEDDER.vector(BARS.slice(0, t + 1)), rows[t])
        np.testing.assert_array_equal(EMBEDDER.vector(BARS.slice(max(0, t - 31), t + 1)), rows[t])


def test_rows_are_unit_vectors_except_while_the_window_is_not_whole() -> None:
    norms = np.linalg.norm(EMBEDDER.vectors(BARS).astype(np.float64), axis=1)
    warm = np.r_[31:250, 281:400]
    np.testing.assert_allclose(norms[warm], 1.0, atol=1e-6)
    assert np.isnan(np.delete(norms, warm)).all()


def test_the_rotation_is_that_of_a_singular_value_decomposition() -> None:
    raw = raw_statistics(BARS, 32)[31:250]
    scaled = np.clip(np.nan_to_num((raw - raw.mean(axis=0)) / raw.std(axis=0)), -CLIP, CLIP)
    directions = np.linalg.svd(scaled, full_matrices=False)[2][:16].T
    overlap = np.abs((directions * EMBEDDER.rotation).sum(axis=0))
    np.testing.assert_allclose(overlap, 1.0, atol=1e-6)
    turned = scaled @ EMBEDDER.rotation
    expected = turned / np.linalg.norm(turned, axis=1, keepdims=True)
    np.testing.assert_allclose(EMBEDDER.vectors(BARS)[31:250], expected, atol=1e-6)


def test_bars_after_the_training_slice_do_not_change_the_fit() -> None:
    assert Embedder.fit(BARS.slice(0, 300), 250, window=32, width=16).digest == EMBEDDER.digest
    assert Embedder.fit(BARS, 249, window=32, width=16).digest != EMBEDDER.digest
    assert EMBEDDER.fitted_until == BARS.closed_at[249]


def test_a_saved_embedder_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    EMBEDDER.save(tmp_path / "embedder.npz")
    again = Embedder.load(tmp_path / "embedder.npz")
    assert again.digest == EMBEDDER.digest
    assert (again.high_volatility, again.width) == (EMBEDDER.high_volatility, 16)
    np.testing.assert_array_equal(again.vectors(BARS), EMBEDDER.vectors(BARS))
    assert [path.name for path in tmp_path.iterdir()] == ["embedder.npz"]


def test_a_changed_torn_or_missing_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "embedder.npz"
    with pytest.raises(PastError, match="there is no embedder at .*embedder.npz"):
        Embedder.load(path)
    EMBEDDER.save(path)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, "centre": arrays["centre"] + 1e-9})
    with pytest.raises(PastError, match="its digest differs"):
        Embedder.load(path)
    EMBEDDER.save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(PastError, match="cannot be read"):
        Embedder.load(path)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "embedder.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(PastError, match="cannot be read"):
        Embedder.load(tmp_path / "embedder.npy")


@pytest.mark.parametrize(
    ("stop", "window", "width", "sentence"),
    [
        (401, 32, 16, "the training slice ends at bar 401, the history has 400"),
        (0, 32, 16, "the training slice ends at bar 0"),
        (250, 40, 16, "window 40 must be a multiple of 16"),
        (250, 32, 47, "width 47 must lie between 1 and 46"),
        (60, 32, 16, "29 whole windows of 32 bars are too few"),
    ],
)
def test_a_fit_that_cannot_be_is_refused(stop: int, window: int, width: int, sentence: str) -> None:
    with pytest.raises(PastError, match=sentence):
        Embedder.fit(BARS, stop, window=window, width=width)


def test_bars_of_another_interval_are_refused() -> None:
    daily = Embedder("1d", 32, 0, 0.01, EMBEDDER.centre, EMBEDDER.scale, EMBEDDER.rotation)
    with pytest.raises(PastError, match="fitted on 1d bars, these are 1h"):
        daily.vectors(BARS)
