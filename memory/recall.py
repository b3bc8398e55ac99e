"""Exact as-of recall: the k nearest moments among those whose outcome was known, in batch.

Sorted by the instant at which an outcome became known, "known by t" is a prefix: no filter engine is needed.
A blocked float32 product finds candidates; whatever lies within its error bound of the k-th best is scored
again by one scalar function, whose float32 value is the similarity. Knows nothing of stores.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ..market.bars import Bars
from ..market.jit import kernel
from .columns import MEMORY_COLUMNS, fill_table, wide
from .moments import HORIZON, Embedding, Ints, Moments, PastError, Singles, moments_of
from .points import Points, checked

NEIGHBOURS = 16
QUERY_BLOCK = 256
POINT_BLOCK = 2048
FEW_QUERIES = 64
ONE_THREAD = 1 << 18  # multiplications up to which OpenBLAS wakes no other thread
ROUNDING = 2.0**-24  # half a unit in the last place of a float32

Progress = Callable[[int, int], None]  # queries done, queries in all


def nearest_as_of(
    vectors: ArrayLike,
    known_at: ArrayLike,
    query_vectors: ArrayLike,
    query_at: ArrayLike,
    *,
    k: int,
    symbol: ArrayLike | None = None,
    query_symbol: ArrayLike | None = None,
    embargo: int = 0,
    episode: ArrayLike | None = None,
    progress: Progress | None = None,
) -> tuple[Ints, Singles]:
    """Find for each query the k most similar points that were known at it; exact.

    A point counts if `known_at <= query_at`; one of the query's symbol, if `known_at <= query_at - embargo`
    (one unit of time for all three; without symbols every point is of the query's symbol). Of the points with
    one `episode` label only the most similar counts. Similarity is the dot product; ties go to the lower row.
    Symbols and episodes may be numbers or names.
    Returns indices (Q, k) int64 and similarities (Q, k) float32, most similar first; missing ones −1, −inf.
    """
    points, queries, asked_at, asked_symbol = checked(
        vectors, known_at, query_vectors, query_at, symbol, query_symbol, episode
    )
    if k < 1:
        raise PastError(f"k {k} must be at least 1")
    if embargo < 0:
        raise PastError(f"embargo {embargo} must be 0 or more")
    indices = np.full((len(queries), k), -1, np.int64)
    similarities = np.full((len(queries), k), -np.inf, np.float32)
    slack = product_slack(queries.shape[1], _longest(points.vectors) * _longest(queries))
    by_time = np.argsort(asked_at, kind="stable")  # queries of one block then share nearly one prefix
    for start in range(0, len(queries), QUERY_BLOCK):
        rows = by_time[start : start + QUERY_BLOCK]
        found = _search(points, queries[rows], asked_at[rows], asked_symbol[rows], k, embargo, slack)
        indices[rows], similarities[rows] = found
        if progress is not None:
            progress(min(start + QUERY_BLOCK, len(queries)), len(queries))
    return indices, similarities


def memory_table(
    bars: Bars,
    embedder: Embedding,
    *,
    k: int = NEIGHBOURS,
    horizon: int = HORIZON,
    embargo: int | None = None,
    progress: Progress | None = None,
) -> Singles:
    """(T, 10) float32 of MEMORY_COLUMNS: at each bar, what followed the most similar earlier bars.

    `horizon` and `embargo` (default: the longer of horizon and window) are in bars; an episode is a horizon.
    """
    out = np.zeros((len(bars), len(MEMORY_COLUMNS)), np.float32)
    vectors = embedder.vectors(bars)
    rows = np.flatnonzero(np.isfinite(vectors[:, 0]))
    moments = moments_of(bars, embedder, horizon)
    if not len(rows) or not len(moments):
        return out
    indices, similarities = nearest_as_of(
        moments.vectors,
        moments.known_at,
        vectors[rows],
        bars.closed_at[rows],
        k=k,
        embargo=embargo_ms(embedder, bars.interval_ms, horizon, embargo),
        episode=moments.episodes(horizon * bars.interval_ms),
        progress=progress,
    )
    write_columns(moments, indices, similarities, embedder.high_volatility, rows, out)
    return out


def write_columns(
    moments: Moments, indices: Ints, similarities: Singles, high_volatility: float, rows: Ints, out: Singles
) -> None:
    """Write the ten columns of each query to `out[rows[query]]`."""
    outcomes = (moments.forward_return, moments.forward_drawdown, moments.forward_volatility)
    fill_table(indices, similarities, *outcomes, high_volatility, rows, out)


def embargo_ms(embedder: Embedding, interval_ms: int, horizon: int, embargo: int | None) -> int:
    """The same-symbol embargo in ms: `embargo` bars, by default the longer of horizon and feature window."""
    return interval_ms * (max(horizon, embedder.window) if embargo is None else embargo)


def product_slack(width: int, norms: float = 1.0) -> float:
    """A bound on |float32 product − similarity|, in whatever order it was summed: twice gamma_D × |x| |y|.

    `norms` is |x| |y|, by default that of unit vectors.
    """
    return (2.0 * width + 4.0) * ROUNDING * norms


def _longest(rows: Singles) -> float:
    return math.sqrt(float(np.square(rows, dtype=np.float64).sum(axis=1).max())) if len(rows) else 0.0


@kernel
def similarity(left: Singles, right: Singles) -> float:
    """The dot product of two (D,) float32 vectors, summed in float64 in order, rounded to float32."""
    total = 0.0
    for i in range(left.shape[0]):
        total += wide(left[i]) * wide(right[i])
    return wide(np.float32(total))


def _search(
    points: Points, queries: Singles, asked_at: Ints, asked_symbol: Ints, k: int, embargo: int, slack: float
) -> tuple[Ints, Singles]:
    """One block of queries against its prefix of the points, from the newest block of points back."""
    best_id = np.full((len(queries), k), -1, np.int64)
    best_episode = np.zeros((len(queries), k), np.int64)
    best = np.full((len(queries), k), -np.inf, np.float32)
    count = np.zeros(len(queries), np.int64)
    prefix = np.searchsorted(points.known_at, asked_at, "right")
    for stop in range(int(prefix.max()), 0, -POINT_BLOCK):
        first = max(0, stop - POINT_BLOCK)
        products = _products(queries, points.vectors[first:stop])
        _scan(
            products,
            first,
            prefix,
            queries,
            asked_at - embargo,
            asked_symbol,
            points.vectors,
            points.known_at,
            points.symbol,
            points.episode,
            points.id,
            slack,
            best,
            best_id,
            best_episode,
            count,
        )
    return best_id, best


def _products(queries: Singles, vectors: Singles) -> Singles:
    """(q, p) float32. For few queries in pieces that BLAS works out on this thread: waking its others, where they share
    cores with anybody, takes ten times as long as the product."""
    if len(queries) > FEW_QUERIES:
        return queries @ vectors.T
    rows = max(1, ONE_THREAD // max(1, vectors.size))
    out = np.empty((len(queries), len(vectors)), np.float32)
    for start in range(0, len(queries), rows):
        np.matmul(queries[start : start + rows], vectors.T, out=out[start : start + rows])
    return out


@kernel
def _scan(
    products: Singles,
    first: int,
    prefix: Ints,
    queries: Singles,
    own_until: Ints,
    asked_symbol: Ints,
    vectors: Singles,
    known_at: Ints,
    symbol: Ints,
    episode: Ints,
    ids: Ints,
    slack: float,
    best: Singles,
    best_id: Ints,
    best_episode: Ints,
    count: Ints,
) -> None:
    k = best.shape[1]
    for q in range(products.shape[0]):
        width = min(products.shape[1], prefix[q] - first)
        for column in range(width):
            if count[q] == k and wide(products[q, column]) < wide(best[q, k - 1]) - slack:
                continue
            row = first + column
            if symbol[row] == asked_symbol[q] and known_at[row] > own_until[q]:
                continue
            value = similarity(queries[q], vectors[row])
            offer(value, ids[row], episode[row], q, best, best_id, best_episode, count)


@kernel
def offer(
    value: float,
    identity: int,
    episode: int,
    q: int,
    best: Singles,
    best_id: Ints,
    best_episode: Ints,
    count: Ints,
) -> None:
    """Put a point into query q's list, sorted by (similarity, id), unless its episode holds a better one."""
    end = count[q]
    for place in range(count[q]):
        if best_episode[q, place] == episode:
            held = wide(best[q, place])
            if value < held or (value == held and identity > best_id[q, place]):
                return
            end = place
    if end == count[q]:
        if count[q] < best.shape[1]:
            count[q] += 1
        else:
            end -= 1
            worst = wide(best[q, end])
            if value < worst or (value == worst and identity > best_id[q, end]):
                return
    place = end
    while place > 0 and (
        wide(best[q, place - 1]) < value or (wide(best[q, place - 1]) == value and best_id[q, place - 1] > identity)
    ):
        best[q, place] = best[q, place - 1]
        best_id[q, place] = best_id[q, place - 1]
        best_episode[q, place] = best_episode[q, place - 1]
        place -= 1
    best[q, place] = value
    best_id[q, place] = identity
    best_episode[q, place] = episode
