"""The same ids from every engine, over thousands of points with ties, symbols and an embargo, graph or no graph."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from wavetank.memory.edge import EdgeMemory
from wavetank.memory.moments import Moments, Singles, symbol_code
from wavetank.memory.recall import nearest_as_of
from wavetank.memory.rescore import nearest_in
from wavetank.memory.server import IN_PROCESS, ServerMemory
from wavetank.memory.store import MarketMemory, Neighbour, ingest

pytestmark = pytest.mark.slow

START, EPISODE_MS = 1_700_000_000_123, 40
NAMES = {symbol_code(name): name for name in "XYZ"}


def lived(n: int, width: int, seed: int) -> Moments:
    """n moments of three symbols; every third repeats an earlier vector, and many became known at one instant."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, width)) * 0.9 ** np.arange(width)
    vectors = np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
    repeats = np.arange(1, n)[::3]
    vectors[repeats] = vectors[rng.integers(0, repeats)]
    known = START + np.sort(rng.integers(0, n, n))
    ids = rng.permutation(n)
    order = np.lexsort((ids, known))
    a, b, c = rng.normal(size=(3, n)).astype(np.float32)
    return Moments(ids[order], rng.choice(list(NAMES), n), known - 60, known, a, b, c, vectors, NAMES)


def questions(moments: Moments, count: int, seed: int) -> Iterator[tuple[Singles, int, str | None, int, int | None]]:
    """Vector, instant, symbol, embargo, episode: stored vectors and new ones, early and late, each rule on and off."""
    rng = np.random.default_rng(seed)
    new = lived(count, moments.vectors.shape[1], seed + 1).vectors
    for i in range(count):
        vector = moments.vectors[rng.integers(len(moments))] if i % 2 else new[i]
        as_of = START + int(rng.integers(-5, len(moments) + 5))
        symbol, embargo = ("XYZ"[i % 3], int(rng.integers(0, len(moments)))) if i % 4 else (None, 0)
        yield vector, as_of, symbol, embargo, EPISODE_MS if i % 5 else None


def told(found: list[Neighbour]) -> list[tuple[int, float]]:
    return [(hit.id, hit.similarity) for hit in found]


@pytest.mark.parametrize("seed", range(3))
def test_edge_and_the_client_in_process_find_the_same_ids_ties_included(tmp_path: Path, seed: int) -> None:
    moments = lived(3000, 12, seed)
    with EdgeMemory(tmp_path / "s", 12) as edge, ServerMemory(IN_PROCESS, 12) as server:
        stores: tuple[MarketMemory, MarketMemory] = edge, server
        for store in stores:
            ingest(store, moments)
        for vector, as_of, symbol, embargo, episode in questions(moments, 40, seed):
            mine, theirs = (
                nearest_in(store, vector, as_of, k=12, symbol=symbol, embargo=embargo, episode_ms=episode)
                for store in stores
            )
            assert told(mine) == told(theirs)
            assert all(hit.payload["known"] <= as_of for hit in mine)


def test_a_graph_changes_no_exact_answer_and_the_approximate_one_sees_no_future(tmp_path: Path) -> None:
    moments = lived(21_000, 128, 5)
    codes = {name: code for code, name in NAMES.items()}
    with EdgeMemory(tmp_path / "s", 128) as memory:
        ingest(memory, moments)
        asked = list(questions(moments, 30, 6))
        before = [_exact(memory, *question) for question in asked]
        assert memory.optimize()
        assert [_exact(memory, *question) for question in asked] == before
        hits = wanted = 0
        for (vector, as_of, symbol, embargo, episode), found in zip(asked, before, strict=True):
            rows, similarities = nearest_as_of(
                moments.vectors,
                moments.known_at,
                vector[None],
                [as_of],
                k=12,
                symbol=moments.symbol,
                query_symbol=[codes.get(symbol or "", -1)],
                embargo=embargo,
                episode=None if episode is None else moments.episodes(episode),
            )
            there = rows[0] >= 0
            assert found == list(zip(moments.id[rows[0][there]].tolist(), similarities[0][there].tolist(), strict=True))
            near = memory.query(vector, as_of, 12, symbol=symbol, embargo=embargo, exact=False, ef=64)
            exact = memory.query(vector, as_of, 12, symbol=symbol, embargo=embargo)
            assert all(hit.payload["known"] <= as_of for hit in near)
            worst = exact[-1].similarity - 1e-6 if exact else 0.0
            hits += sum(hit.similarity >= worst for hit in near)
            wanted += len(exact)
        assert hits > 0.9 * wanted > 0


def _exact(
    memory: EdgeMemory, vector: Singles, as_of: int, symbol: str | None, embargo: int, episode: int | None
) -> list[tuple[int, float]]:
    return told(nearest_in(memory, vector, as_of, k=12, symbol=symbol, embargo=embargo, episode_ms=episode))
