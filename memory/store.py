"""What every live store of the past does, and the checks that each makes before it touches its engine.

Stores are indexes: written only when an outcome is known, rebuildable from the archive, and never asked
without an instant. Knows no engine: `edge.py` and `server.py` do.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, NotRequired, Protocol, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from .moments import EXACT_MS, Moments, PastError, Singles
from .recall import Progress

BATCH = 1000  # points an upsert: an acknowledged batch is on disk
EF = 256  # beam of an approximate search unless told: what it finds and what it costs stands in docs/benchmarks.md
LINKS, CONSTRUCTION_EF = 32, 160  # of the graph: edges a point, and the beam that it is built with
SCANNED_KIB = 10_000  # of vectors: up to it points are scanned rather than walked
OVERSAMPLING = 4.0  # times k: what the beam found by int8 codes and is weighed again by float32


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


class Page(NamedTuple):
    """Points as they stand in a store: what an upsert takes."""

    ids: list[int]
    vectors: Singles
    payloads: list[Payload]


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
        ef: int | None = None,
    ) -> list[Neighbour]:
        """Return up to k points with known ≤ as_of (≤ as_of − embargo if of `symbol`), best first.

        Without `exact` a large store answers from its graph, `ef` (default: EF, at least k) candidates wide.
        `":memory:"` has no graph: it searches exactly whatever it is asked, and refuses an `ef`.
        """

    def count(self) -> int: ...
    def optimize(self) -> bool:
        """Build the graph that its size calls for; True if any was built. Blocks for minutes: never in a decision."""

    def close(self) -> None: ...


class Listed(MarketMemory, Protocol):
    """A store that can also tell all that it holds: what a move needs."""

    def pages(self, size: int = BATCH) -> Iterator[Page]:
        """Every point once, ids rising."""


def store_name(kind: str, embedder: str) -> str:
    """The name of a store of one embedder, a folder's or a collection's: vectors of two must never meet."""
    return f"{kind}-{embedder[:12]}" if embedder else kind


def ingest(
    memory: MarketMemory, moments: Moments, progress: Progress | None = None, *, as_of: int | None = None
) -> None:
    """Upsert moments in batches; the same moments again change nothing.

    `as_of` is now: a moment whose outcome is not known by then is refused, and none is written. None only for what
    comes out of an archive, which holds no other moments.
    """
    if as_of is not None and len(moments) and (last := int(moments.known_at.max())) > as_of:
        raise PastError(f"a moment known at {last} cannot be stored at {as_of}: its outcome is not known yet")
    for start in range(0, len(moments), BATCH):
        rows = range(start, min(start + BATCH, len(moments)))
        memory.upsert(*page_of(moments, rows))
        if progress is not None:
            progress(rows.stop, len(moments))


def page_of(moments: Moments, rows: range) -> Page:
    """These rows of the moments as points."""
    payloads = [payload_of(moments, row) for row in rows]
    return Page(moments.id[rows.start : rows.stop].tolist(), moments.vectors[rows.start : rows.stop], payloads)


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


def checked_query(
    where: str, width: int, vector: ArrayLike, as_of: int | None, k: int, embargo: int, exact: bool, ef: int | None
) -> list[float]:
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
    if ef is not None and (exact or ef < k):
        raise PastError(f"ef {ef} of a query to {where} needs exact=False and must be at least k, {k}")
    values: list[float] = row.tolist()
    return values


def beam(k: int, ef: int | None) -> tuple[int, float]:
    """How wide to search a graph for k, and how many times k to weigh again: never more than the beam found."""
    width = max(EF, k) if ef is None else ef
    return width, min(OVERSAMPLING, width / k)


def _check_instant(value: object, what: str) -> None:
    """Instants go through float64 filters, which are exact below 2**53."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= int(value) < EXACT_MS:
        raise PastError(f"{what} must be an instant in ms UTC, not {value!r}")
