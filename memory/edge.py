"""The default store of the past: a Qdrant Edge shard in this process, on this disk.

The only file that knows qdrant-edge-py. One process owns a shard; the embedder whose vectors it holds is
written beside it. Knows nothing of bars or columns.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import qdrant_edge as qdrant
from numpy.typing import ArrayLike

from .moments import PastError
from .store import Neighbour, Payload, checked_points, checked_query

IDENTITY = "store.json"
SHARD = "shard"
T = TypeVar("T")


class EdgeMemory:
    """A MarketMemory in this process; opened where one stands, else created.

    `embedder` is the digest of what makes its vectors; given again, it must be that of the store's creation.
    """

    def __init__(self, path: str | Path, width: int, *, embedder: str = "") -> None:
        self._path, self._width = Path(path), width
        if width < 1:
            raise PastError(f"width {width} of the store at {path} must be at least 1")
        self._settle_identity(embedder)
        self._shard: qdrant.EdgeShard | None = self._open_shard()
        # Before any point: HNSW gets its edges for the filter only if the index is there first.
        schema = self._call("info", self._engine().info).payload_schema
        if "known" not in schema:
            self._index("known", qdrant.IntegerIndexParams(lookup=False, range=True))
        if "symbol" not in schema:
            self._index("symbol", qdrant.KeywordIndexParams())

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
    ) -> list[Neighbour]:
        row = checked_query(str(self._path), self._width, vector, as_of, k, embargo)
        request = qdrant.QueryRequest(
            limit=k,
            query=qdrant.Query.Nearest(row),
            filter=_known_by(int(as_of), symbol, embargo),
            params=qdrant.SearchParams(exact=exact),
            with_payload=True,
            with_vector=True,
        )
        hits = self._call("query", lambda: self._engine().query(request))
        found = [
            Neighbour(
                int(cast(int, hit.id)),
                float(hit.score),
                np.array(hit.vector, np.float32),
                cast(Payload, hit.payload),
            )
            for hit in hits
        ]
        return sorted(found, key=lambda hit: (-hit.similarity, hit.payload["known"], hit.id))

    def count(self) -> int:
        return self._call("count", lambda: self._engine().count(qdrant.CountRequest(exact=True)))

    def optimize(self) -> bool:
        """Build the search structures that its size calls for; blocks. True if any was built."""
        return self._call("optimize", lambda: self._engine().optimize())

    def close(self) -> None:
        """Flush and let go of the shard; a closed store answers nothing."""
        if self._shard is None:
            return
        self._call("flush", self._shard.flush)
        self._shard.close()
        self._shard = None

    def __enter__(self) -> "EdgeMemory":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _engine(self) -> "qdrant.EdgeShard":
        if self._shard is None:
            raise PastError(f"the store at {self._path} is closed")
        return self._shard

    def _index(self, name: str, params: "qdrant.IntegerIndexParams | qdrant.KeywordIndexParams") -> None:
        operation = qdrant.UpdateOperation.create_field_index(name, params)
        self._call("index", lambda: self._engine().update(operation))

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

    def _open_shard(self) -> "qdrant.EdgeShard":
        shard = self._path / SHARD
        if (shard / "edge_config.json").exists():
            return self._call("open", lambda: qdrant.EdgeShard.load(str(shard)))
        shard.mkdir(exist_ok=True)
        config = qdrant.EdgeConfig(  # Dot, not Cosine: unit vectors then come back bit for bit
            vectors=qdrant.EdgeVectorParams(size=self._width, distance=qdrant.Distance.Dot),
            hnsw_config=qdrant.HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=10_000),
        )
        return self._call("create", lambda: qdrant.EdgeShard.create(str(shard), config))

    def _call(self, what: str, action: Callable[[], T]) -> T:
        try:
            return action()
        except Exception as error:
            if type(error) is not Exception:  # the binding raises the bare class for all that goes wrong in it
                raise
            if "WouldBlock" in str(error):
                raise PastError(f"the store at {self._path} is locked: another process has it open") from None
            raise PastError(f"the store at {self._path} cannot {what}: {error}") from None


def _known_by(as_of: int, symbol: str | None, embargo: int) -> "qdrant.Filter":
    known = qdrant.FieldCondition("known", range=qdrant.RangeFloat(lte=float(as_of)))
    if symbol is None or embargo == 0:
        return qdrant.Filter(must=[known])
    own = qdrant.FieldCondition("symbol", match=qdrant.MatchValue(symbol))
    fresh = qdrant.FieldCondition("known", range=qdrant.RangeFloat(gt=float(as_of - embargo)))
    return qdrant.Filter(must=[known], must_not=[qdrant.Filter(must=[own, fresh])])
