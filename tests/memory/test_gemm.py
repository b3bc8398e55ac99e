"""Codes of eight bits: their products are integers' products, and no similarity is farther from them than the bound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavetank.memory import gemm
from wavetank.memory.gemm import BLOCK, code_slack, integer_product, quantised
from wavetank.memory.moments import Singles


def rows(rng: np.random.Generator, n: int, width: int, kind: str) -> Singles:
    values = rng.normal(size=(n, width))
    if kind == "decaying":  # what a rotation by principal directions leaves: all in the first few columns
        values *= 0.7 ** np.arange(width)
    if kind == "spiked":
        values[:, 0] = 50.0
    if kind != "long":
        values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    return np.asarray(values, np.float32)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    width=st.sampled_from([1, 3, 46, 128]),
    kinds=st.tuples(*[st.sampled_from(["plain", "decaying", "spiked", "long"])] * 2),
)
def test_no_similarity_is_farther_from_its_code_than_the_bound(seed: int, width: int, kinds: tuple[str, str]) -> None:
    rng = np.random.default_rng(seed)
    left, right = rows(rng, 40, width, kinds[0]), rows(rng, 60, width, kinds[1])
    a, b = quantised(left), quantised(right)
    exact = left.astype(np.float64) @ right.astype(np.float64).T
    coded = a.scale * b.scale * (a.codes.astype(np.int64) @ b.codes.astype(np.int64).T)
    slack = code_slack(a, b, np.linalg.norm(left.astype(np.float64), axis=1))
    assert (np.abs(exact - coded) <= slack[:, None]).all()


def test_the_bound_is_worth_having_for_unit_vectors() -> None:
    unit = rows(np.random.default_rng(1), 2000, 128, "decaying")
    codes = quantised(unit)
    slack = code_slack(codes, codes, np.ones(2000))
    assert slack.max() < 0.04
    assert np.abs(codes.codes).max() == gemm.LARGEST  # the scale uses all eight bits


def test_vectors_of_nothing_have_codes_of_nothing() -> None:
    codes = quantised(np.zeros((3, 8), np.float32))
    assert not codes.codes.any()
    assert codes.error.max() == 0.0
    assert quantised(np.zeros((0, 8), np.float32)).blocks() == []


def test_blocks_are_the_codes_transposed() -> None:
    codes = quantised(rows(np.random.default_rng(2), BLOCK + 5, 16, "plain"))
    blocks = codes.blocks()
    assert [block.shape for block in blocks] == [(16, BLOCK), (16, 5)]
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1).T, codes.codes)


@pytest.mark.parametrize("shape", [(1, 128, 2048), (17, 128, 5), (512, 128, 2048), (33, 46, 100)])
def test_the_integer_product_is_the_product_of_integers(shape: tuple[int, int, int]) -> None:
    product = integer_product()
    assert product is not None, "torch of this house has one"
    queries, width, points = shape
    rng = np.random.default_rng(3)
    left = rng.integers(-127, 128, (queries, width), np.int8)
    right = rng.integers(-127, 128, (width, points), np.int8)
    out = np.empty((queries, points), np.int32)
    product(left, right, out)
    np.testing.assert_array_equal(out, left.astype(np.int64) @ right.astype(np.int64))


def test_a_product_that_is_wrong_is_not_used() -> None:
    def saturating(left: gemm.Codes, right: gemm.Codes, out: gemm.Products) -> None:
        out[:] = np.clip(left.astype(np.int32) @ right.astype(np.int32), -32768, 32767)

    def refusing(left: gemm.Codes, right: gemm.Codes, out: gemm.Products) -> None:
        raise RuntimeError("not on this device")

    assert not gemm._is_right(saturating)
    assert not gemm._is_right(refusing)


def test_threads_of_torch_are_given_back() -> None:
    import torch

    before = torch.get_num_threads()
    with gemm.one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
