"""The re-scored live recall against the batch recall, over moments of two symbols with many ties."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from wavetank.memory.edge import EdgeMemory
from wavetank.memory.moments import Moments, PastError, symbol_code
from wavetank.memory.recall import nearest_as_of
from wavetank.memory.rescore import nearest_in, similarities
from wavetank.memory.scoring import similarity
from wavetank.memory.store import Neighbour, Payload, ingest

N, WIDTH, HORIZON_MS = 600, 4, 50
NAMES = {symbol_code("X"): "X", symbol_code("Y"): "Y"}


def crowd_of_twins() -> Moments:
    """Only 40 directions for 600 moments: every similarity is a tie of fifteen."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(40, WIDTH))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    known = np.sort(rng.integers(1000, 4000, N))
    symbol = rng.choice(list(NAMES), N)
    ids = rng.permutation(N)
    order = np.lexsort((ids, known))
    a, b, c = rng.normal(size=(3, N)).astype(np.float32)
    vectors = directions[rng.integers(0, 40, N)].astype(np.float32)
    return Moments(ids[order], symbol, known - 300, known, a, b, c, vectors, NAMES)


@pytest.mark.parametrize("embargo", [0, 400])
def test_live_recall_equals_batch_recall_ties_and_episodes_included(tmp_path: Path, embargo: int) -> None:
    moments = crowd_of_twins()
    queries = moments.vectors[::29]
    asked = np.random.default_rng(1).integers(900, 4100, len(queries))
    code = symbol_code("X")
    indices, similarities = nearest_as_of(
        moments.vectors,
        moments.known_at,
        queries,
        asked,
        k=7,
        symbol=moments.symbol,
        query_symbol=np.full(len(queries), code),
        embargo=embargo,
        episode=moments.episodes(HORIZON_MS),
    )
    with EdgeMemory(tmp_path / "s", WIDTH) as memory:
        ingest(memory, moments)
        for q, query in enumerate(queries):
            found = nearest_in(memory, query, int(asked[q]), k=7, symbol="X", embargo=embargo, episode_ms=HORIZON_MS)
            rows = indices[q][indices[q] >= 0]
            assert [hit.id for hit in found] == moments.id[rows].tolist()
            assert [hit.similarity for hit in found] == similarities[q][: len(rows)].tolist()


def one_crowded_episode() -> Moments:
    """The nearest hundred are near-copies of one episode; the other episodes lie behind them."""
    near = np.tile(np.array([[1.0, 0.0]], np.float32), (100, 1))
    far = np.tile(np.array([[0.6, 0.8]], np.float32), (5, 1))
    known = np.r_[np.full(100, 10), 100 + 10 * np.arange(5)]
    code = symbol_code("X")
    none = np.zeros(105, np.float32)
    return Moments(np.arange(105), np.full(105, code), known, known, none, none, none, np.r_[near, far], {code: "X"})


def test_crowded_episodes_are_fetched_past_until_k_are_found(tmp_path: Path) -> None:
    moments = one_crowded_episode()
    with EdgeMemory(tmp_path / "s", 2) as memory:
        ingest(memory, moments)
        found = nearest_in(memory, moments.vectors[0], 1000, k=4, episode_ms=20)
        assert [hit.id for hit in found] == [0, 100, 102, 104]


def test_vectorised_similarities_are_the_kernel_s_to_the_last_bit_compiled_or_not() -> None:
    rng = np.random.default_rng(4)
    interpreted = getattr(similarity, "py_func", similarity)
    for width in (1, 2, 7, 32, 127, 128, 393):
        rows = (rng.normal(size=(200, width)) * 10.0 ** rng.integers(-6, 3, (200, width))).astype(np.float32)
        rows[0], rows[1] = 0.0, -0.0
        vector = rng.normal(size=width).astype(np.float32)
        found = np.array(similarities(vector, list(rows)), np.float32)
        for kernel in (similarity, interpreted):
            expected = np.array([kernel(vector, row) for row in rows], np.float32)
            np.testing.assert_array_equal(found.view(np.int32), expected.view(np.int32))
    assert similarities(vector, []) == []


@pytest.mark.parametrize(("ef", "fetched"), [(None, 40), (12, 12), (300, 40)])
def test_an_approximate_answer_is_no_longer_than_its_beam(tmp_path: Path, ef: int | None, fetched: int) -> None:
    moments = crowd_of_twins()
    asked: list[tuple[int, int | None]] = []

    class Noting(EdgeMemory):
        def query(self, vector: ArrayLike, as_of: int, k: int, **terms: Any) -> list[Neighbour]:
            asked.append((k, terms["ef"]))
            return super().query(vector, as_of, k, **terms)

    with Noting(tmp_path / "s", WIDTH) as memory:
        ingest(memory, moments)
        assert len(nearest_in(memory, moments.vectors[0], 5000, k=5, exact=False, ef=ef)) == 5
    assert asked == [(fetched, ef)]


def test_an_approximate_answer_is_fetched_past_near_copies_too(tmp_path: Path) -> None:
    moments = one_crowded_episode()
    with EdgeMemory(tmp_path / "s", 2) as memory:
        ingest(memory, moments)
        found = nearest_in(memory, moments.vectors[0], 1000, k=4, episode_ms=20, exact=False, ef=8)
        assert [hit.id for hit in found] == [0, 100, 102, 104]


class Contrary(EdgeMemory):
    """A store within its rights: right to the bounds of float32, and of equal points it returns the last ones."""

    def query(self, vector: ArrayLike, as_of: int, k: int, **terms: Any) -> list[Neighbour]:
        hits = super().query(vector, as_of, 10_000, **terms)
        noise = np.random.default_rng(k).uniform(-1e-7, 1e-7, len(hits))
        blurred = [hit._replace(similarity=hit.similarity + e) for hit, e in zip(hits, noise, strict=True)]
        return sorted(blurred, key=lambda hit: (-hit.similarity, -hit.payload["known"]))[:k]


def test_ties_and_near_ties_beyond_the_first_fetch_are_settled_as_in_the_batch(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    twins = np.tile(np.array([[0.6, 0.8]], np.float32), (200, 1))
    twins[50:] += rng.integers(-1, 2, (150, 2)).astype(np.float32) * np.float32(2.0**-24)
    known = np.sort(rng.integers(0, 50, 200))
    with Contrary(tmp_path / "s", 2) as memory:
        memory.upsert(range(200), twins, [Payload(known=int(at)) for at in known])
        for as_of in (20, 30, 50):
            expected, _ = nearest_as_of(twins, known, twins[:1], [as_of], k=3)
            assert [hit.id for hit in nearest_in(memory, twins[0], as_of, k=3)] == expected[0].tolist()


def test_points_without_outcomes_or_times_cannot_become_columns(tmp_path: Path) -> None:
    with EdgeMemory(tmp_path / "s", 2) as memory:
        memory.upsert([1], [[1.0, 0.0]], [{"known": 5}])
        with pytest.raises(PastError, match="point 1 carries no closed_at"):
            nearest_in(memory, np.array([1, 0], np.float32), 9, k=1, episode_ms=20)
