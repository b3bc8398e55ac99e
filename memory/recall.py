"""Exact as-of recall: the k nearest moments among those whose outcome was known, in batch.

Sorted by the instant at which an outcome became known, "known by t" is a prefix: no filter engine is needed. A blocked
product of eight-bit integers, or of float32 where there is none, says which pairs are worth scoring; whatever lies
within its error bound of the k-th best is scored to the last bit, so the answer is the same whichever it was. Knows
nothing of stores.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from . import gemm
from .moments import Embedding, Ints, PastError, Singles
from .points import checked_points, checked_queries
from .scoring import (
    Asked,
    Best,
    Floats,
    Searched,
    follow,
    no_best,
    order_doubt,
    product_slack,
    scan_codes,
    scan_singles,
)

NEIGHBOURS = 16
QUERY_BLOCK = 512
POINT_BLOCK = gemm.BLOCK
LED = 16  # queries of a symbol, next to each other in time, of which one leads
FEW_QUERIES = 64
ONE_THREAD = 1 << 18  # multiplications up to which OpenBLAS wakes no other thread
WORTH_TORCH = 1 << 30  # pairs from which the integer product repays the seconds that importing torch takes

Progress = Callable[[int, int], None]  # queries done, queries in all
Product = Literal["int8", "float32"]


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
    product: Product | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[Ints, Singles]:
    """Find for each query the k most similar points that were known at it; exact.

    A point counts if `known_at <= query_at`; one of the query's symbol, if `known_at <= query_at - embargo`
    (one unit of time for all three; without symbols every point is of the query's symbol). Of the points with
    one `episode` label only the most similar counts. Similarity is the dot product; ties go to the lower row.
    Symbols and episodes may be numbers or names. `product` and `workers` (threads; default: one a core) change how
    long it takes and nothing else.
    Returns indices (Q, k) int64 and similarities (Q, k) float32, most similar first; missing ones −1, −inf.
    """
    if (symbol is None) != (query_symbol is None):
        raise PastError("symbol and query_symbol go together: one of them is missing")
    past = Prepared(vectors, known_at, symbol, episode, product=product)
    return past.nearest(
        query_vectors, query_at, k=k, query_symbol=query_symbol, embargo=embargo, workers=workers, progress=progress
    )


class Prepared:
    """Points that are asked more than once: checked, sorted and turned into codes once."""

    def __init__(
        self,
        vectors: ArrayLike,
        known_at: ArrayLike,
        symbol: ArrayLike | None = None,
        episode: ArrayLike | None = None,
        *,
        product: Product | None = None,
    ) -> None:
        self._points, self._names = checked_points(vectors, known_at, symbol, episode)
        self._longest = _longest(self._points.vectors)
        self._product = product
        if product == "int8" and gemm.integer_product() is None:
            raise PastError("there is no integer product here: it needs torch, extra research")

    def __len__(self) -> int:
        return len(self._points.vectors)

    def nearest(
        self,
        query_vectors: ArrayLike,
        query_at: ArrayLike,
        *,
        k: int,
        query_symbol: ArrayLike | None = None,
        embargo: int = 0,
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> tuple[Ints, Singles]:
        """Answer as `nearest_as_of` does."""
        queries, asked_at, asked_symbol = checked_queries(
            query_vectors, query_at, query_symbol, self._points.vectors.shape[1], self._names
        )
        if k < 1:
            raise PastError(f"k {k} must be at least 1")
        if embargo < 0:
            raise PastError(f"embargo {embargo} must be 0 or more")
        by_time = np.argsort(asked_at, kind="stable")  # queries of one block then share nearly one prefix
        blocks = [by_time[start : start + QUERY_BLOCK] for start in range(0, len(queries), QUERY_BLOCK)]
        search = self._int8(queries) if self._takes_codes(len(queries)) else self._float32(queries)
        prefix = np.searchsorted(self._points.known_at, asked_at, "right")
        doubt = order_doubt(queries.shape[1], self._longest * _longest(queries))
        indices = np.full((len(queries), k), -1, np.int64)
        similarities = np.full((len(queries), k), -np.inf, np.float32)

        def asked_by(rows: Ints) -> Asked:
            at, until = asked_at[rows], asked_at[rows] - embargo
            return Asked(queries[rows], at, prefix[rows], asked_symbol[rows], until, search.slack[rows], doubt)

        def answer(block: Ints) -> int:
            led, leaders, followers = _led(block, asked_symbol)
            first, found = asked_by(leaders), no_best(len(leaders), k)
            search.block(leaders, first, found)
            rest, best = asked_by(followers), no_best(len(followers), k)
            follow(self._points, rest, led, first, found, best)
            search.block(followers, rest, best)
            for rows, lists in ((leaders, found), (followers, best)):
                indices[rows], similarities[rows] = lists.id, lists.similarity
            return len(block)

        threads = min(len(blocks), workers or _cores())
        with gemm.one_thread() if search.is_int8 and threads > 1 else nullcontext():
            _walk(answer, blocks, threads, len(queries), progress)
        return indices, similarities

    def _takes_codes(self, queries: int) -> bool:
        if self._product is not None:
            return self._product == "int8"
        if queries <= gemm.FEWEST_ROWS or self._points.vectors.shape[1] > gemm.WIDEST:
            return False
        is_worth_it = gemm.is_loaded() or queries * len(self) >= WORTH_TORCH
        return is_worth_it and gemm.integer_product() is not None

    @cached_property
    def _codes(self) -> tuple[gemm.Quantised, list[gemm.Codes]]:
        codes = gemm.quantised(self._points.vectors)
        return codes, codes.blocks()

    def _int8(self, queries: Singles) -> "_Int8":
        points, blocks = self._codes
        asked = gemm.quantised(queries)
        norms = np.sqrt(np.square(queries, dtype=np.float64).sum(axis=1))
        return _Int8(self._points, gemm.code_slack(asked, points, norms), asked, points.scale, blocks)

    def _float32(self, queries: Singles) -> "_Float32":
        slack = product_slack(queries.shape[1], self._longest * _longest(queries))
        return _Float32(self._points, np.full(len(queries), slack))


def embargo_ms(embedder: Embedding, interval_ms: int, horizon: int, embargo: int | None) -> int:
    """The same-symbol embargo in ms: `embargo` bars, by default the longer of horizon and feature window."""
    return interval_ms * (max(horizon, embedder.window) if embargo is None else embargo)


@dataclass(frozen=True, eq=False)
class _Int8:
    """A search by integer products; `slack` is each query's."""

    points: Searched
    slack: Floats
    queries: gemm.Quantised
    scale: float
    blocks: list[gemm.Codes] = field(repr=False)
    is_int8 = True

    def block(self, rows: Ints, asked: Asked, best: Best) -> None:
        """Search the prefix of one block of queries, from the newest block of points back."""
        multiply = gemm.integer_product()
        assert multiply is not None
        left = np.ascontiguousarray(self.queries.codes[rows])
        scale = self.scale * self.queries.scale
        room = np.empty((len(rows), POINT_BLOCK), np.int32)
        for number in range((int(asked.prefix.max(initial=0)) - 1) // gemm.BLOCK, -1, -1):
            right = self.blocks[number]
            products = room if right.shape[1] == gemm.BLOCK else np.empty((len(rows), right.shape[1]), np.int32)
            multiply(left, right, products)
            scan_codes(products, scale, number * gemm.BLOCK, self.points, asked, best)


@dataclass(frozen=True, eq=False)
class _Float32:
    """A search by float32 products."""

    points: Searched
    slack: Floats
    is_int8 = False

    def block(self, rows: Ints, asked: Asked, best: Best) -> None:
        """Search the prefix of one block of queries, from the newest block of points back."""
        for stop in range(int(asked.prefix.max(initial=0)), 0, -POINT_BLOCK):
            first = max(0, stop - POINT_BLOCK)
            products = _products(asked.vectors, self.points.vectors[first:stop])
            scan_singles(products, first, self.points, asked, best)


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


def _walk(
    answer: Callable[[Ints], int], blocks: list[Ints], threads: int, queries: int, progress: Progress | None
) -> None:
    """Answer all blocks, on several threads where they are asked for; the first mistake ends it."""
    done = 0
    if threads <= 1:
        for rows in blocks:
            done += answer(rows)
            if progress is not None:
                progress(done, queries)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(answer, rows) for rows in blocks]
        try:
            for ready in as_completed(waiting):
                done += ready.result()
                if progress is not None:
                    progress(done, queries)
        finally:
            for one in waiting:
                one.cancel()


def _led(block: Ints, symbol: Ints) -> tuple[Ints, Ints, Ints]:
    """Which queries of a block lead, which follow, and, as numbers of leaders, whom."""
    order = block[np.argsort(symbol[block], kind="stable")]  # by symbol, and by time within it
    leads = np.zeros(len(order), bool)
    leads[LED // 2 :: LED] = True
    leads[-1] |= not leads.any()
    near = np.minimum(np.arange(len(order)) // LED, leads.sum() - 1)
    return near[~leads], order[leads], order[~leads]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _longest(rows: Singles) -> float:
    return math.sqrt(float(np.square(rows, dtype=np.float64).sum(axis=1).max())) if len(rows) else 0.0
