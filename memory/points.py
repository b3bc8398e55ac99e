"""What a batch recall searches and asks: arrays of the caller, checked and in the order of `known_at`.

Knows nothing of similarity.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .moments import Ints, PastError, Singles


@dataclass(frozen=True, eq=False)
class Points:
    """The searched moments in the order of `known_at`; `id` is the caller's row, which settles ties."""

    vectors: Singles
    known_at: Ints
    symbol: Ints
    episode: Ints
    id: Ints


def checked(
    vectors: ArrayLike,
    known_at: ArrayLike,
    query_vectors: ArrayLike,
    query_at: ArrayLike,
    symbol: ArrayLike | None,
    query_symbol: ArrayLike | None,
    episode: ArrayLike | None,
) -> tuple[Points, Singles, Ints, Ints]:
    """Points in order, query vectors, their instants and symbols; wrong shapes, types or NaN are refused."""
    matrix, known = _matrix(vectors, "vectors"), _times(known_at, "known_at")
    queries, asked_at = _matrix(query_vectors, "query_vectors"), _times(query_at, "query_at")
    if queries.shape[1] != matrix.shape[1]:
        raise PastError(f"queries are {queries.shape[1]} wide, the points {matrix.shape[1]}")
    if (symbol is None) != (query_symbol is None):
        raise PastError("symbol and query_symbol go together: one of them is missing")
    symbols, asked = np.zeros(len(matrix), np.int64), np.zeros(len(queries), np.int64)
    if symbol is not None and query_symbol is not None:
        symbols, asked = _labels(symbol, query_symbol)
    rows = np.arange(len(matrix), dtype=np.int64)
    episodes = rows if episode is None else _labels(episode, [])[0]
    _check_rows(len(matrix), "vectors", known_at=known, symbol=symbols, episode=episodes)
    _check_rows(len(queries), "query_vectors", query_at=asked_at, query_symbol=asked)
    if np.all(known[:-1] <= known[1:]):  # an archive is sorted already: nothing is copied
        return Points(matrix, known, symbols, episodes, rows), queries, asked_at, asked
    order = np.argsort(known, kind="stable")
    points = Points(matrix[order], known[order], symbols[order], episodes[order], order)
    return points, queries, asked_at, asked


def _check_rows(rows: int, of: str, **columns: Ints) -> None:
    for name, column in columns.items():
        if len(column) != rows:
            raise PastError(f"{name} has {len(column)} rows, {of} have {rows}")


def _labels(points: ArrayLike, queries: ArrayLike) -> tuple[Ints, Ints]:
    """Labels as numbers: equal where the labels are equal."""
    left: NDArray[np.generic] = np.ravel(points)
    right: NDArray[np.generic] = np.ravel(queries)
    if all(np.issubdtype(labels.dtype, np.integer) or not len(labels) for labels in (left, right)):
        return np.ascontiguousarray(left, np.int64), np.ascontiguousarray(right, np.int64)
    _, codes = np.unique([str(label) for label in (*left, *right)], return_inverse=True)
    numbers = np.ascontiguousarray(codes, np.int64)
    return numbers[: len(left)], numbers[len(left) :]


def _matrix(values: ArrayLike, name: str) -> Singles:
    matrix = np.ascontiguousarray(values, np.float32)
    if matrix.ndim != 2:
        raise PastError(f"{name} must be (rows, width), not of shape {matrix.shape}")
    broken = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(broken):
        raise PastError(f"{name} row {int(broken[0])} holds NaN or infinity")
    return matrix


def _times(values: ArrayLike, name: str) -> Ints:
    column: NDArray[np.generic] = np.asarray(values)
    if column.ndim != 1 or (column.size and not np.issubdtype(column.dtype, np.integer)):
        raise PastError(f"{name} must be one column of integers, not {column.dtype} of shape {column.shape}")
    return np.ascontiguousarray(column, np.int64)
