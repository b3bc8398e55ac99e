"""What a batch recall searches and asks: arrays of the caller, checked and in the order of `known_at`.

Knows nothing of similarity.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .moments import Ints, PastError, Singles
from .scoring import Searched

Labels = Mapping[str, int] | None  # the numbers of names; None where the labels are numbers themselves

_NO_SUCH = -(2**62)  # a label that no point bears


def checked_points(
    vectors: ArrayLike, known_at: ArrayLike, symbol: ArrayLike | None, episode: ArrayLike | None
) -> tuple[Searched, Labels]:
    """Points in order, and what their symbols are called; wrong shapes, types or NaN are refused."""
    matrix, known = _matrix(vectors, "vectors"), _times(known_at, "known_at")
    rows = np.arange(len(matrix), dtype=np.int64)
    symbols, names = (np.zeros(len(matrix), np.int64), None) if symbol is None else _numbered(symbol)
    episodes = rows if episode is None else _numbered(episode)[0]
    _check_rows(len(matrix), "vectors", known_at=known, symbol=symbols, episode=episodes)
    order = rows
    if not np.all(known[:-1] <= known[1:]):  # an archive is sorted already: nothing is copied
        order = np.argsort(known, kind="stable")
        matrix, known, symbols, episodes = matrix[order], known[order], symbols[order], episodes[order]
    line = np.argsort(symbols, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order[line]] = rows
    return Searched(matrix, known, symbols, episodes, order, line, place), names


def checked_queries(
    vectors: ArrayLike, asked_at: ArrayLike, symbol: ArrayLike | None, width: int, names: Labels
) -> tuple[Singles, Ints, Ints]:
    """Query vectors, their instants and the numbers of their symbols."""
    queries, at = _matrix(vectors, "query_vectors"), _times(asked_at, "query_at")
    if queries.shape[1] != width:
        raise PastError(f"queries are {queries.shape[1]} wide, the points {width}")
    symbols = np.zeros(len(queries), np.int64) if symbol is None else _known_numbers(symbol, names)
    _check_rows(len(queries), "query_vectors", query_at=at, query_symbol=symbols)
    return queries, at, symbols


def _check_rows(rows: int, of: str, **columns: Ints) -> None:
    for name, column in columns.items():
        if len(column) != rows:
            raise PastError(f"{name} has {len(column)} rows, {of} have {rows}")


def _numbered(labels: ArrayLike) -> tuple[Ints, Labels]:
    """Labels as numbers, equal where the labels are equal."""
    column: NDArray[np.generic] = np.ravel(labels)
    if np.issubdtype(column.dtype, np.integer) or not len(column):
        return np.ascontiguousarray(column, np.int64), None
    names, codes = np.unique([str(label) for label in column], return_inverse=True)
    return np.ascontiguousarray(codes, np.int64), {str(name): code for code, name in enumerate(names)}


def _known_numbers(labels: ArrayLike, names: Labels) -> Ints:
    column: NDArray[np.generic] = np.ravel(labels)
    if np.issubdtype(column.dtype, np.integer):
        if names is not None:
            raise PastError("query_symbol holds numbers where symbol holds names")
        return np.ascontiguousarray(column, np.int64)
    return np.array([(names or {}).get(str(label), _NO_SUCH) for label in column], np.int64)


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
