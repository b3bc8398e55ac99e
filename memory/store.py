"""What every live store of the past does, and the checks that each makes before it touches its engine.

Stores are indexes: written only when an outcome is known, rebuildable from the archive, and never asked
without an instant. Knows no engine: `edge.py` and `server.py` do.
"""

from collections.abc import Sequence
from typing import NamedTuple, NotRequired, Protocol, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from .moments import EXACT_MS, Moments, PastError, Singles
from .recall import Progress

BATCH = 1000  # points an upsert: an acknowledged batch is on disk


class Payload(TypedDict):
    """What a point carries besides its vector; `known` (ms UTC) is what the as-of filter reads."""

    known: int
    symbol: NotRequired[str]
    closed_at: NotRequired[int]
    forward_return: NotRequired[float]
    forward_drawdown: NotRequired[float]
    forward_volatility: NotRequired[float]


class Neighbour(NamedTuple):
    """One hit of a store; `vector` is the stored (D,) float32, bit for bit."""

    id: int
    similarity: float
    vector: Singles
    payload: Payload


class MarketMemory(Protocol):
    """A store of moments: Qdrant Edge in this process, or a Qdrant server."""

    @property
    def width(self) -> int: ...
    def upsert(self, ids: Sequence[int], vectors: ArrayLike, payloads: Sequence[Payload]) -> None:
        """Insert or replace points; when it returns, a killed process loses none of them."""

    def query(
        self,
        vector: ArrayLike,
        as_of: int,
        k: int,
        *,
        symbol: str | None = None,
        embargo: int = 0,
        exact: bool = True,
    ) -> list[Neighbour]:
        """Return up to k points with known ≤ as_of (≤ as_of − embargo if of `symbol`), best first."""

    def count(self) -> int: ...
    def optimize(self) -> bool: ...
    def close(self) -> None: ...


def ingest(memory: MarketMemory, moments: Moments, progress: Progress | None = None) -> None:
    """Upsert moments in batches; the same moments again change nothing."""
    for start in range(0, len(moments), BATCH):
        rows = range(start, min(start + BATCH, len(moments)))
        payloads = [payload_of(moments, row) for row in rows]
        memory.upsert([int(moments.id[row]) for row in rows], moments.vectors[start : rows.stop], payloads)
        if progress is not None:
            progress(rows.stop, len(moments))


def payload_of(moments: Moments, row: int) -> Payload:
    """One moment's payload, as plain Python values that survive JSON."""
    return Payload(
        known=int(moments.known_at[row]),
        symbol=moments.names[int(moments.symbol[row])],
        closed_at=int(moments.closed_at[row]),
        forward_return=float(moments.forward_return[row]),
        forward_drawdown=float(moments.forward_drawdown[row]),
        forward_volatility=float(moments.forward_volatility[row]),
    )


def checked_points(
    where: str, width: int, ids: Sequence[int], vectors: ArrayLike, payloads: Sequence[Payload]
) -> list[list[float]]:
    """Vectors as lists, which the engines take faster than arrays, once nothing about the points is wrong."""
    matrix = np.asarray(vectors, np.float32)
    if matrix.ndim != 2 or matrix.shape[1] != width:
        raise PastError(f"{where} holds vectors of width {width}, these are of shape {matrix.shape}")
    if not len(ids) == len(matrix) == len(payloads):
        raise PastError(f"{len(ids)} ids, {len(matrix)} vectors and {len(payloads)} payloads do not match")
    broken = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(broken):
        raise PastError(f"the vector of point {ids[int(broken[0])]} for {where} holds NaN or infinity")
    for identity, payload in zip(ids, payloads, strict=True):
        _check_instant(payload.get("known"), f"known of point {identity} for {where}")
        for name in ("forward_return", "forward_drawdown", "forward_volatility"):
            value = payload.get(name)
            if value is not None and not np.isfinite(float(str(value))):
                raise PastError(f"{name} of point {identity} for {where} is {value}")
    lists: list[list[float]] = matrix.tolist()
    return lists


def checked_query(where: str, width: int, vector: ArrayLike, as_of: int | None, k: int, embargo: int) -> list[float]:
    """The query vector as a list, once nothing about the question is wrong."""
    row = np.asarray(vector, np.float32)
    if row.shape != (width,):
        raise PastError(f"{where} holds vectors of width {width}, the query is of shape {row.shape}")
    if not np.isfinite(row).all():
        raise PastError(f"the query to {where} holds NaN or infinity")
    _check_instant(as_of, f"as_of of a query to {where}")
    if k < 1:
        raise PastError(f"k {k} of a query to {where} must be at least 1")
    if embargo < 0:
        raise PastError(f"embargo {embargo} of a query to {where} must be 0 or more")
    values: list[float] = row.tolist()
    return values


def _check_instant(value: object, what: str) -> None:
    """Instants go through float64 filters, which are exact below 2**53."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= int(value) < EXACT_MS:
        raise PastError(f"{what} must be an instant in ms UTC, not {value!r}")
