from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.market.bars import Bars
from wavetank.memory import embed
from wavetank.memory.embed import CLIP, WIDTH, WINDOW, Embedder
from wavetank.memory.moments import PastError
from wavetank.memory.statistics import raw_statistics

from .walks import HOUR_MS, START, splice, walk

BARS = walk(400, gap_at=250)
EMBEDDER = Embedder.fit(BARS, 250, window=32, width=16)


def test_a_window_alone_gives_the_bits_of_its_row_in_the_batch() -> None:
    rows = EMBEDDER.vectors(BARS)
    assert rows.dtype == np.float32
    for t in range(len(BARS)):  # warm-up and the rows after the gap too: NaN where the batch has NaN
        np.testing.assert_array_equal(EMBEDDER.vector(BARS.slice(0, t + 1)), rows[t])
        np.testing.assert_array_equal(EMBEDDER.vector(BARS.slice(max(0, t - 31), t + 1)), rows[t])


def test_windows_of_many_markets_at_once_have_the_bits_of_each() -> None:
    rows = EMBEDDER.vectors(BARS)
    ends = [10, 31, 60, 249, 250, 265, 280, 281, 399]  # too short, whole, across the gap, whole again
    histories = [BARS.slice(max(0, t - 40), t + 1) for t in ends]
    np.testing.assert_array_equal(EMBEDDER.vectors_of(histories), rows[ends])
    np.testing.assert_array_equal(np.stack([EMBEDDER.vector(bars) for bars in histories]), rows[ends])
    assert np.isnan(rows[[10, 250, 265, 280]]).all()
    assert np.isfinite(rows[[31, 60, 249, 281, 399]]).all()
    assert EMBEDDER.vectors_of([]).shape == (0, 16)
    assert np.isnan(EMBEDDER.vectors_of([BARS.slice(0, 5)])).all()


def test_blocks_of_a_long_history_have_the_bits_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = EMBEDDER.vectors(BARS)
    for size in (1, 7, 300):
        monkeypatch.setattr(embed, "BLOCK", size)
        np.testing.assert_array_equal(EMBEDDER.vectors(BARS), rows)


def test_the_rotation_without_compiled_code_has_the_bits_of_the_one_with_it() -> None:
    raw = raw_statistics(BARS, 32)[31:250]
    for width in (1, 16, 128):
        embedder = Embedder.fit(BARS, 250, window=32, width=width)
        turned = [np.full((len(raw), width), np.nan, np.float32) for _ in range(3)]
        given = raw, embedder.centre, embedder.scale, embedder.rotation, np.empty(width)
        embed._turn_compiled(*given, turned[0])
        embed._turn_plainly(*given, turned[1])
        for row in range(len(raw)):  # nor does it matter how many rows are turned at once
            embed._turn_plainly(raw[row : row + 1], *given[1:], turned[2][row : row + 1])
        np.testing.assert_array_equal(turned[1], turned[0])
        np.testing.assert_array_equal(turned[2], turned[0])
        np.testing.assert_array_equal(turned[0], embedder.vectors(BARS)[31:250])


def test_the_usual_embedding_has_128_columns_of_64_bars() -> None:
    bars = walk(300)
    embedder = Embedder.fit(bars)
    assert (embedder.window, embedder.width) == (WINDOW, WIDTH) == (64, 128)
    assert np.isfinite(embedder.vectors(bars)).all(axis=1).tolist() == [False] * 63 + [True] * 237


def test_all_directions_together_keep_every_similarity() -> None:
    raw = raw_statistics(BARS, 32)[31:250]
    embedder = Embedder.fit(BARS, 250, window=32)
    scaled = np.clip(np.nan_to_num((raw - raw.mean(axis=0)) / raw.std(axis=0)), -CLIP, CLIP)
    scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
    vectors = embedder.vectors(BARS)[31:250].astype(np.float64)
    np.testing.assert_allclose(vectors @ vectors.T, scaled @ scaled.T, atol=1e-5)


def test_neither_the_price_level_nor_the_unit_of_volume_moves_a_vector() -> None:
    scaled = {name: getattr(BARS, name) * 7.0 for name in ("open", "high", "low", "close")}
    other = replace(BARS, **scaled, volume=BARS.volume * 3.0)
    np.testing.assert_allclose(EMBEDDER.vectors(other), EMBEDDER.vectors(BARS), atol=1e-6)


def test_a_market_that_stands_still_has_a_vector_too() -> None:
    still = np.full(64, 5.0)
    bars = Bars("1h", START + HOUR_MS * np.arange(64), still, still, still, still, np.zeros(64))
    assert np.linalg.norm(EMBEDDER.vector(bars)) == pytest.approx(1.0)


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
    assert Embedder.fit(splice(BARS, walk(400, seed=7), 250), 250, window=32, width=16).digest == EMBEDDER.digest
    assert EMBEDDER.fitted_until == BARS.closed_at[249]


def test_high_volatility_is_what_two_thirds_of_the_training_slice_lie_below() -> None:
    moves = np.diff(np.log(BARS.close[:250]))
    volatility = [np.sqrt(np.mean(moves[t - 31 : t] ** 2)) for t in range(31, 250)]
    assert EMBEDDER.high_volatility == pytest.approx(np.quantile(volatility, 2 / 3), rel=1e-9)


@pytest.mark.parametrize("name", ["centre", "scale", "rotation"])
def test_any_other_number_is_another_digest(name: str) -> None:
    digests = {EMBEDDER.digest}
    for place in (0, 7, -1):
        array = getattr(EMBEDDER, name).copy()
        array.flat[place] = np.nextafter(array.flat[place], 9.0)
        digests.add(replace(EMBEDDER, **{name: array}).digest)
    assert len(digests) == 4


def test_other_terms_are_another_digest() -> None:
    others = [
        replace(EMBEDDER, window=48),
        replace(EMBEDDER, interval="1m"),
        replace(EMBEDDER, fitted_until=EMBEDDER.fitted_until + 1),
        replace(EMBEDDER, high_volatility=np.nextafter(EMBEDDER.high_volatility, 1.0)),
        replace(EMBEDDER, rotation=np.ascontiguousarray(EMBEDDER.rotation[:, :15])),
    ]
    assert len({EMBEDDER.digest, *(other.digest for other in others)}) == 6


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
    np.savez(path, **{**arrays, "version": np.array(1)})
    with pytest.raises(PastError, match="is of version 1, this house reads 2"):
        Embedder.load(path)
    EMBEDDER.save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(PastError, match="cannot be read"):
        Embedder.load(path)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("rotation", np.zeros((46, 32))),
        ("rotation", np.zeros(128)),
        ("rotation", np.zeros((128, 0))),
        ("rotation", np.zeros((128, 129))),
        ("centre", np.zeros(46)),
        ("scale", np.full(128, np.nan)),
        ("window", np.array([64, 64])),
        ("window", np.array(40)),
        ("interval", np.array("1y")),
        ("high_volatility", np.array("calm")),
    ],
)
def test_a_file_of_other_shapes_is_refused_before_a_kernel_sees_it(
    name: str, array: NDArray[np.generic], tmp_path: Path
) -> None:
    path = tmp_path / "embedder.npz"
    EMBEDDER.save(path)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, name: array})
    with pytest.raises(PastError, match="embedder .*embedder.npz cannot be read"):
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
        (250, 16, 16, "window 16 must be a multiple of 16 and at least 32"),
        (250, 32, 129, "width 129 must lie between 1 and 128"),
        (250, 32, 0, "width 0 must lie between 1 and 128"),
        (60, 32, 16, "29 whole windows of 32 bars are too few to fit an embedding, 128 needed"),
        (158, 32, 16, "127 whole windows of 32 bars are too few"),
    ],
)
def test_a_fit_that_cannot_be_is_refused(stop: int, window: int, width: int, sentence: str) -> None:
    with pytest.raises(PastError, match=sentence):
        Embedder.fit(BARS, stop, window=window, width=width)


def test_bars_of_another_interval_are_refused() -> None:
    daily = Embedder("1d", 32, 0, 0.01, EMBEDDER.centre, EMBEDDER.scale, EMBEDDER.rotation)
    with pytest.raises(PastError, match="fitted on 1d bars, these are 1h"):
        daily.vectors(BARS)
    with pytest.raises(PastError, match="fitted on 1d bars, these are 1h"):
        daily.vectors_of([BARS])
