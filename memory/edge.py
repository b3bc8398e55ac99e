"""The default store of the past: a Qdrant Edge shard in this process, on this disk.

The only file that knows qdrant-edge-py. One process owns a shard; the embedder whose vectors it holds is
written beside it. Knows nothing of bars or columns.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Self, TypeVar, cast

import numpy as np
import qdrant_edge as qdrant
from numpy.typing import ArrayLike

from .moments import PastError, Singles
from .store import (
    BATCH,
    CONSTRUCTION_EF,
    LINKS,
    SCANNED_KIB,
    Neighbour,
    Page,
    Payload,
    beam,
    checked_points,
    checked_query,
)

IDENTITY, SHARD = "store.json", "shard"
T = TypeVar("T")


class EdgeMemory:
    """A MarketMemory in this process; opened where one stands, else created, unless `create` forbids it.

    `embedder` is the digest of what makes its vectors; given again, it must be that of the store's creation.
    """

    def __init__(self, path: str | Path, width: int, *, embedder: str = "", create: bool = True) -> None:
        self._path, self._width = Path(path), width
        self._shard: qdrant.EdgeShard | None = None
        if width < 1:
            raise PastError(f"width {width} of the store at {path} must be at least 1")
        if not create and not (self._path / SHARD).exists():
            raise PastError(f"there is no store at {path}")
        self._settle_identity(embedder)
        if not (self._path / SHARD).exists():
            self._create_shard()
        self._shard = self._call("open", lambda: qdrant.EdgeShard.load(str(self._path / SHARD)))
        self._look()

    @property
    def width(self) -> int:
        return self._width

    @property
    def path(self) -> Path:
        return self._path

    def upsert(self, ids: Sequence[int], vectors: ArrayLike, payloads: Sequence[Payload]) -> None:
        rows = checked_points(str(self._path), self._width, ids, vectors, payloads)
        points = [
            qdrant.Point(int(identity), row, dict(payload))
            for identity, row, payload in zip(ids, rows, payloads, strict=True)
        ]
        operation = qdrant.UpdateOperation.upsert_points(points)
        self._call("upsert", lambda: self._engine().update(operation))

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
        row = checked_query(str(self._path), self._width, vector, as_of, k, embargo, exact, ef)
        request = qdrant.QueryRequest(
            limit=k,
            query=qdrant.Query.Nearest(row),
            filter=_known_by(int(as_of), symbol, embargo),
            params=qdrant.SearchParams(exact=True) if exact else _through_graph(k, ef),
            with_payload=True,
            with_vector=True,
        )
        hits = self._call("query", lambda: self._engine().query(request))
        vectors = self._vectors(hits)
        found = [
            Neighbour(int(cast(int, hit.id)), float(hit.score), vector, cast(Payload, hit.payload))
            for hit, vector in zip(hits, vectors, strict=True)
        ]
        return sorted(found, key=lambda hit: (-hit.similarity, hit.payload["known"], hit.id))

    def count(self) -> int:
        return self._call("count", lambda: self._engine().count(qdrant.CountRequest(exact=True)))

    def optimize(self) -> bool:
        return self._call("optimize", lambda: self._engine().optimize())

    def pages(self, size: int = BATCH) -> Iterator[Page]:
        after: qdrant.PointId | None = None
        while True:
            request = qdrant.ScrollRequest(offset=after, limit=size, with_payload=True, with_vector=True)
            records, after = self._call("list", partial(self._engine().scroll, request))
            if records:
                yield Page(
                    [int(cast(int, record.id)) for record in records],
                    self._vectors(records),
                    [cast(Payload, record.payload) for record in records],
                )
            if after is None:
                return

    def close(self) -> None:
        """Flush and let go of the shard; a closed store answers nothing."""
        if self._shard is None:
            return
        self._call("flush", self._shard.flush)
        self._shard.close()
        self._shard = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _engine(self) -> "qdrant.EdgeShard":
        if self._shard is None:
            raise PastError(f"the store at {self._path} is closed")
        return self._shard

    def _look(self) -> None:
        """Read one point: without its vectors a store would find nothing, as in a market that nothing resembles."""
        try:
            next(self.pages(1), None)
        except PastError:
            self._shard = None  # the engine lets go of it
            raise

    def _vectors(self, points: "Sequence[qdrant.ScoredPoint] | Sequence[qdrant.Record]") -> Singles:
        """(n, D): a point whose vector was lost to a torn file comes with something else in its place."""
        rows = [point.vector for point in points]
        for i, row in enumerate(rows):
            if not isinstance(row, list):
                raise PastError(f"the store at {self._path} is torn: point {points[i].id} has no vector")
        return np.array(rows, np.float32).reshape(len(rows), self._width)

    def _settle_identity(self, embedder: str) -> None:
        file = self._path / IDENTITY
        if not file.exists():
            if (self._path / SHARD).exists():
                raise PastError(f"the store at {self._path} is torn: {IDENTITY} is missing")
            self._path.mkdir(parents=True, exist_ok=True)
            part = file.with_name(file.name + ".part")
            part.write_text(json.dumps({"width": self._width, "embedder": embedder}))
            part.replace(file)
        try:
            held = json.loads(file.read_text())
            width, other = int(held["width"]), str(held["embedder"])
        except (ValueError, KeyError, TypeError):
            raise PastError(f"the store at {self._path} is torn: {IDENTITY} cannot be read") from None
        if width != self._width:
            raise PastError(f"the store at {self._path} holds vectors of width {width}, not {self._width}")
        if embedder and embedder != other:
            raise PastError(f"the store at {self._path} is of embedder {other[:12] or '(none)'}, not {embedder[:12]}")

    def _create_shard(self) -> None:
        """Make an empty shard beside its place, and give it its name once it is whole."""
        part, whole = self._path / (SHARD + ".part"), self._path / SHARD
        shutil.rmtree(part, ignore_errors=True)  # of a process that was killed here
        part.mkdir()
        config = qdrant.EdgeConfig(  # Dot, not Cosine: unit vectors then come back bit for bit
            vectors=qdrant.EdgeVectorParams(size=self._width, distance=qdrant.Distance.Dot),
            hnsw_config=qdrant.HnswIndexConfig(m=LINKS, ef_construct=CONSTRUCTION_EF, full_scan_threshold=SCANNED_KIB),
            # The graph is built and walked over codes, a quarter of the size; float32 vectors stay and settle the best.
            quantization_config=qdrant.ScalarQuantizationConfig(
                type=qdrant.ScalarType.Int8, memory=qdrant.Memory.Pinned
            ),
            max_search_threads=1,  # one question at a time: handing parts of it to others costs more than it saves
        )
        shard = self._call("create", lambda: qdrant.EdgeShard.create(str(part), config))
        # Before any point: HNSW gets its edges for the filter only if the index is there first.
        for name, params in (
            ("known", qdrant.IntegerIndexParams(lookup=False, range=True)),
            ("symbol", qdrant.KeywordIndexParams()),
        ):
            operation = qdrant.UpdateOperation.create_field_index(name, params)
            self._call("index", partial(shard.update, operation))
        shard.flush()
        shard.close()
        part.replace(whole)

    def _call(self, what: str, action: Callable[[], T]) -> T:
        try:
            return action()
        except BaseException as error:
            # The binding raises the bare class for all that goes wrong in it, and a panic where a file is torn.
            if type(error) is not Exception and type(error).__name__ != "PanicException":
                raise
            if "WouldBlock" in str(error):
                raise PastError(f"the store at {self._path} is locked: another process has it open") from None
            raise PastError(f"the store at {self._path} cannot {what}: {error}") from None


class EdgeDraft(EdgeMemory):
    """A store in the making beside its place: `path` itself is there only once `publish` has been called."""

    def __init__(self, path: str | Path, width: int, *, embedder: str = "") -> None:
        self._whole = Path(path)
        if self._whole.exists():
            raise PastError(f"there is a store at {path} already")
        super().__init__(self._whole.with_name(self._whole.name + ".part"), width, embedder=embedder)

    def publish(self) -> None:
        """Close the whole store and give it its name."""
        self.close()
        self._path.replace(self._whole)
        self._path = self._whole

    def discard(self) -> None:
        """Close it and leave nothing behind."""
        self.close()
        shutil.rmtree(self._path)


def _through_graph(k: int, ef: int | None) -> "qdrant.SearchParams":
    width, oversampling = beam(k, ef)
    again = qdrant.QuantizationSearchParams(rescore=True, oversampling=oversampling)
    return qdrant.SearchParams(hnsw_ef=width, quantization=again)


def _known_by(as_of: int, symbol: str | None, embargo: int) -> "qdrant.Filter":
    known = qdrant.FieldCondition("known", range=qdrant.RangeFloat(lte=float(as_of)))
    if symbol is None or embargo == 0:
        return qdrant.Filter(must=[known])
    own = qdrant.FieldCondition("symbol", match=qdrant.MatchValue(symbol))
    fresh = qdrant.FieldCondition("known", range=qdrant.RangeFloat(gt=float(as_of - embargo)))
    return qdrant.Filter(must=[known], must_not=[qdrant.Filter(must=[own, fresh])])
