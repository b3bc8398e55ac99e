"""The quick similarity is the slow one to the last bit, near the edges of rounding too."""

import math
from fractions import Fraction

import numpy as np
import pytest

from wavetank.market.jit import kernel
from wavetank.memory.moments import Singles
from wavetank.memory.scoring import order_doubt, quick_similarity, similarity


@kernel
def both(left: Singles, right: Singles, doubt: float, out: Singles) -> None:
    for i in range(left.shape[0]):
        out[i, 0] = quick_similarity(left, i, right, i, doubt)
        out[i, 1] = similarity(left[i], right[i])


@pytest.mark.parametrize("width", [1, 7, 46, 128])
def test_quick_and_slow_agree_on_every_bit(width: int) -> None:
    rng = np.random.default_rng(width)
    left, right = (rng.normal(size=(20_000, width)).astype(np.float32) / math.sqrt(width) for _ in range(2))
    longest = float(np.linalg.norm(left.astype(np.float64), axis=1).max())
    out = np.empty((20_000, 2), np.float32)
    both(left, right, order_doubt(width, longest * float(np.linalg.norm(right, axis=1).max())), out)
    np.testing.assert_array_equal(out[:, 0], out[:, 1])
    assert len(np.unique(out[:, 0])) > 10_000


def test_they_agree_where_the_order_of_the_sum_decides_the_rounding() -> None:
    """1 + half a unit in the last place, and a crumb that only some orders keep: float32 rounds either way."""
    half = np.float32(2.0**-12)
    left = np.array([[1.0, half, 0.0, 2.0**-15, -(2.0**-15)] * 8 + [0.0] * 24], np.float32)
    right = np.array([[1.0, half, 0.0, 2.0**-14, 2.0**-14] * 8 + [0.0] * 24], np.float32)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(64) for _ in range(500)]
    many_left, many_right = (np.stack([side[0, order] for order in orders]) for side in (left, right))
    exact = sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(left[0], right[0], strict=True))
    scaled = float(exact)
    out = np.empty((500, 2), np.float32)
    both(many_left, many_right, order_doubt(64, scaled * 2.0), out)
    np.testing.assert_array_equal(out[:, 0], out[:, 1])


def test_a_similarity_is_the_sum_in_order_rounded_once() -> None:
    rng = np.random.default_rng(9)
    left, right = rng.normal(size=(2, 128)).astype(np.float32)
    products = left.astype(np.float64) * right.astype(np.float64)
    assert similarity(left, right) == float(np.float32(np.add.accumulate(products)[-1]))
