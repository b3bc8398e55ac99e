"""The oracle is a slow twin in plain Python, on small whole numbers: there every product is exact and ties abound."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wavetank.memory import gemm, recall
from wavetank.memory.moments import PastError
from wavetank.memory.recall import Prepared, Product, nearest_as_of

ROOT = Path(__file__).parents[2]
Case = dict[str, Any]


def brute_force(case: Case) -> tuple[list[list[int]], list[list[float]]]:
    found: list[list[int]] = []
    scores: list[list[float]] = []
    for q, query in enumerate(case["query_vectors"].tolist()):
        ranked = []
        for i, point in enumerate(case["vectors"].tolist()):
            at, known = case["query_at"][q], case["known_at"][i]
            own = case["symbol"] is None or case["symbol"][i] == case["query_symbol"][q]
            if known <= (at - case["embargo"] if own else at) and known <= at:
                ranked.append((-sum(a * b for a, b in zip(query, point, strict=True)), i))
        kept: list[tuple[float, int]] = []
        seen = set()
        for score, i in sorted(ranked):
            label = i if case["episode"] is None else case["episode"][i]
            if label not in seen:
                seen.add(label)
                kept.append((score, i))
        kept = kept[: case["k"]]
        missing = case["k"] - len(kept)
        found.append([i for _, i in kept] + [-1] * missing)
        scores.append([-score for score, _ in kept] + [-np.inf] * missing)
    return found, scores


@st.composite
def cases(draw: st.DrawFn) -> Case:
    n, q, width = draw(st.integers(0, 40)), draw(st.integers(1, 12)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    symbols = draw(st.booleans())
    return {
        "vectors": rng.integers(-2, 3, (n, width)).astype(np.float32),
        "known_at": rng.integers(0, 30, n),
        "query_vectors": rng.integers(-2, 3, (q, width)).astype(np.float32),
        "query_at": rng.integers(-2, 32, q),
        "k": draw(st.integers(1, 6)),
        "symbol": rng.integers(0, 3, n) if symbols else None,
        "query_symbol": rng.integers(0, 3, q) if symbols else None,
        "embargo": draw(st.sampled_from([0, 1, 7])),
        "episode": rng.integers(0, 8, n) if draw(st.booleans()) else None,
    }


Shape = tuple[int, int, int]  # queries and points of a block, queries to a leader
SHAPES: list[Shape] = [(3, 4, 2), (5, 7, 3), (512, 2048, 16)]
PRODUCTS: list[Product] = ["float32", "int8"]


def searched(case: Case, shape: Shape, product: Product | None = None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recall, "QUERY_BLOCK", shape[0])
        patch.setattr(recall, "POINT_BLOCK", shape[1])
        patch.setattr(gemm, "BLOCK", shape[1])
        patch.setattr(recall, "LED", shape[2])
        return nearest_as_of(**case, product=product)


@pytest.mark.parametrize("product", PRODUCTS)
@settings(max_examples=150, deadline=None)
@given(case=cases(), shape=st.sampled_from(SHAPES))
def test_neighbours_equal_brute_force_ties_included(product: Product, case: Case, shape: Shape) -> None:
    indices, similarities = searched(case, shape, product)
    found, scores = brute_force(case)
    assert indices.tolist() == found
    assert similarities.tolist() == scores
    assert indices.dtype == np.int64
    assert similarities.dtype == np.float32


def unit(rng: np.random.Generator, n: int, width: int) -> NDArray[np.float32]:
    rows = rng.normal(size=(n, width))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def test_near_ties_that_a_float32_product_confuses_are_ordered_by_their_exact_value() -> None:
    rng = np.random.default_rng(1)
    centre = unit(rng, 1, 64)[0]
    points = (centre + rng.normal(0.0, 3e-8, (3000, 64))).astype(np.float32)  # all within a few units of 1
    queries = unit(rng, 5, 64)
    exact = (queries.astype(np.float64) @ points.astype(np.float64).T).astype(np.float32)
    indices, similarities = nearest_as_of(points, np.arange(3000), queries, np.full(5, 3000), k=20)
    for q in range(5):
        expected = np.lexsort((np.arange(3000), -exact[q]))[:20]
        assert indices[q].tolist() == expected.tolist()
        assert similarities[q].tolist() == exact[q][expected].tolist()


def market(n: int, width: int, seed: int) -> Case:
    """Three symbols whose vectors drift: near-copies in time, as a real history has them."""
    rng = np.random.default_rng(seed)
    drift = np.zeros((3, width))
    rows = []
    for i in range(n):
        drift[i % 3] = 0.95 * drift[i % 3] + rng.normal(size=width) * (1.0 + np.arange(width)) ** -0.5
        rows.append(drift[i % 3] / np.linalg.norm(drift[i % 3]))
    vectors, symbol = np.array(rows, np.float32), np.arange(n) % 3
    return {
        "vectors": vectors,
        "known_at": np.arange(n) // 3 + 8,
        "query_vectors": vectors,
        "query_at": np.arange(n) // 3,
        "k": 16,
        "symbol": symbol,
        "query_symbol": symbol,
        "embargo": 40,
        "episode": (symbol << 32) + np.arange(n) // 3 // 8,
    }


def test_neither_product_nor_blocks_nor_threads_nor_leaders_change_a_single_bit() -> None:
    case = market(2400, 48, 2)
    whole = nearest_as_of(**case, product="float32", workers=1)
    assert (whole[0][-600:] >= 0).all()
    for shape in ((7, 33, 3), (100, 2048, 64), (512, 2048, 16)):
        for product in PRODUCTS:
            parts = searched(case, shape, product)
            np.testing.assert_array_equal(parts[0], whole[0])
            np.testing.assert_array_equal(parts[1], whole[1])
    threads = nearest_as_of(**case, product="int8", workers=3)
    np.testing.assert_array_equal(threads[0], whole[0])
    np.testing.assert_array_equal(threads[1], whole[1])


@pytest.mark.slow
@pytest.mark.parametrize("rules", [True, False])
def test_a_market_of_thousands_equals_brute_force_to_the_last_index(rules: bool) -> None:
    """The oracle here is a float64 product over the whole prefix and numpy's sort."""
    case = market(9000, 128, 3)
    if not rules:
        case |= {"symbol": None, "query_symbol": None, "embargo": 0, "episode": None}
    indices, similarities = nearest_as_of(**case, product="int8")
    vectors, known = case["vectors"].astype(np.float64), case["known_at"]
    for q in range(150, 9000, 113):
        scores = (vectors @ vectors[q]).astype(np.float32).astype(np.float64)
        allowed = known <= case["query_at"][q]
        if rules:
            allowed &= (case["symbol"] != case["symbol"][q]) | (known <= case["query_at"][q] - 40)
        order = np.lexsort((np.arange(9000), -np.where(allowed, scores, -np.inf)))
        order = order[allowed[order]]
        if rules:
            order = order[np.sort(np.unique(case["episode"][order], return_index=True)[1])]
        expected = order[:16]
        assert indices[q, : len(expected)].tolist() == expected.tolist()
        np.testing.assert_allclose(similarities[q, : len(expected)], scores[expected], atol=1e-7)


def test_points_that_are_asked_again_answer_as_they_did() -> None:
    case = market(600, 16, 4)
    past = Prepared(case["vectors"], case["known_at"], case["symbol"], case["episode"])
    whole = nearest_as_of(**case)
    for part in (slice(0, 3), slice(500, 600), slice(0, 600)):
        found = past.nearest(
            case["query_vectors"][part], case["query_at"][part], k=16, query_symbol=case["symbol"][part], embargo=40
        )
        np.testing.assert_array_equal(found[0], whole[0][part])
        np.testing.assert_array_equal(found[1], whole[1][part])


def test_without_torch_the_answer_is_the_same() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from tests.memory.test_recall import digest_of_a_search; print(digest_of_a_search(None))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest_of_a_search("int8")


def digest_of_a_search(product: Product | None) -> str:
    found = nearest_as_of(**market(900, 24, 5), product=product)
    return hashlib.sha256(found[0].tobytes() + found[1].tobytes()).hexdigest()


def test_an_integer_product_that_is_not_there_is_an_error_where_it_was_asked_for() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gemm, "integer_product", lambda: None)
        with pytest.raises(PastError, match="no integer product here: it needs torch"):
            nearest_as_of(**wrong(), product="int8")


def test_an_outcome_counts_from_the_very_instant_at_which_it_is_known() -> None:
    one = np.ones((1, 1), np.float32)
    assert nearest_as_of(one, [10], one, [10], k=1)[0].tolist() == [[0]]
    assert nearest_as_of(one, [10], one, [9], k=1)[0].tolist() == [[-1]]
    assert nearest_as_of(one, [10], one, [12], k=1, embargo=2)[0].tolist() == [[0]]
    assert nearest_as_of(one, [10], one, [12], k=1, embargo=3)[0].tolist() == [[-1]]


def test_the_embargo_spares_other_symbols() -> None:
    one = np.ones((1, 1), np.float32)
    for own, found in ((7, [[-1]]), (8, [[0]])):
        indices, _ = nearest_as_of(one, [10], one, [10], k=1, embargo=5, symbol=[7], query_symbol=[own])
        assert indices.tolist() == found


def test_symbols_and_episodes_may_be_names() -> None:
    rng = np.random.default_rng(5)
    points, known = unit(rng, 60, 4), np.arange(60)
    symbol, episode = rng.integers(0, 3, 60), rng.integers(0, 20, 60)
    names = np.array(["BTC", "ETH", "SOL"])
    numbered = nearest_as_of(
        points, known, points, known, k=5, symbol=symbol, query_symbol=symbol, embargo=9, episode=episode
    )
    named = nearest_as_of(
        points,
        known,
        points,
        known,
        k=5,
        symbol=names[symbol],
        query_symbol=names[symbol].tolist(),
        embargo=9,
        episode=[f"e{label}" for label in episode],
    )
    np.testing.assert_array_equal(named[0], numbered[0])
    assert (numbered[0] >= 0).any()


def test_progress_counts_every_query() -> None:
    told: list[tuple[int, int]] = []
    points = np.ones((5, 2), np.float32)
    queries = np.ones((600, 2), np.float32)
    nearest_as_of(points, np.arange(5), queries, np.arange(600), k=1, progress=lambda d, n: told.append((d, n)))
    assert {done for done, _ in told} in ({512, 600}, {88, 600})  # whichever block is ready first
    assert told[-1] == (600, 600)


def wrong(**changes: object) -> Case:
    fine: Case = {
        "vectors": np.zeros((3, 2), np.float32),
        "known_at": np.arange(3),
        "query_vectors": np.zeros((2, 2), np.float32),
        "query_at": np.arange(2),
        "k": 1,
    }
    return {**fine, **changes}


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (wrong(vectors=np.full((3, 2), np.nan)), "vectors row 0 holds NaN or infinity"),
        (wrong(query_vectors=np.array([[0, 1], [np.inf, 0]])), "query_vectors row 1 holds NaN or infinity"),
        (wrong(query_vectors=np.zeros((2, 3))), "queries are 3 wide, the points 2"),
        (wrong(vectors=np.zeros(3)), "vectors must be .rows, width., not of shape .3,"),
        (wrong(known_at=np.arange(4)), "known_at has 4 rows, vectors have 3"),
        (wrong(query_at=np.arange(3)), "query_at has 3 rows, query_vectors have 2"),
        (wrong(known_at=np.array([0.5, 1, 2])), "known_at must be one column of integers"),
        (wrong(k=0), "k 0 must be at least 1"),
        (wrong(embargo=-1), "embargo -1 must be 0 or more"),
        (wrong(symbol=[1, 1, 1]), "symbol and query_symbol go together"),
    ],
)
def test_a_wrong_question_is_one_sentence(case: Case, sentence: str) -> None:
    with pytest.raises(PastError, match=sentence):
        nearest_as_of(**case)
