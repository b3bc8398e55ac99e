"""The store for those who outgrow one machine: a Qdrant server or cluster, by the client.

The only file that knows qdrant-client. `":memory:"` runs the client's own slow engine, for parity tests.
Knows nothing of bars or columns.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import ArrayLike
from qdrant_client import QdrantClient, models

from .moments import PastError
from .store import Neighbour, Payload, checked_points, checked_query

IN_PROCESS = ":memory:"


class ServerMemory:
    """A MarketMemory on a server at `url`; its collection is created where none stands.

    The embedder's digest is part of the collection's name, so a store of another embedder is another store.
    """

    def __init__(self, url: str, width: int, *, name: str = "moments", embedder: str = "") -> None:
        self._where, self._width = url, width
        self._collection = f"{name}-{embedder[:12]}" if embedder else name
        self._is_local = url == IN_PROCESS
        self._client = QdrantClient(IN_PROCESS) if self._is_local else QdrantClient(url=url)
        if self._client.collection_exists(self._collection):
            self._check_width()
        else:
            self._create()

    @property
    def width(self) -> int:
        return self._width

    def upsert(self, ids: Sequence[int], vectors: ArrayLike, payloads: Sequence[Payload]) -> None:
        rows = checked_points(self._where, self._width, ids, vectors, payloads)
        points = models.Batch(
            ids=[int(identity) for identity in ids],
            vectors=rows,
            payloads=[dict(payload) for payload in payloads],
        )
        self._client.upsert(self._collection, points, wait=True)

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
        row = checked_query(self._where, self._width, vector, as_of, k, embargo)
        answer = self._client.query_points(
            self._collection,
            query=row,
            query_filter=_known_by(int(as_of), symbol, embargo),
            search_params=None if self._is_local else models.SearchParams(exact=exact),
            limit=k,
            with_payload=True,
            with_vectors=True,
        )
        found = [
            Neighbour(int(hit.id), float(hit.score), np.array(hit.vector, np.float32), cast(Payload, hit.payload))
            for hit in answer.points
        ]
        return sorted(found, key=lambda hit: (-hit.similarity, hit.payload["known"], hit.id))

    def count(self) -> int:
        return int(self._client.count(self._collection, exact=True).count)

    def optimize(self) -> bool:
        """Nothing to do from here: a server optimizes in the background."""
        return False

    def close(self) -> None:
        self._client.close()

    def _create(self) -> None:
        self._client.create_collection(
            self._collection,  # Dot, not Cosine: unit vectors then come back bit for bit
            vectors_config=models.VectorParams(size=self._width, distance=models.Distance.DOT),
            hnsw_config=models.HnswConfigDiff(m=16, ef_construct=100, full_scan_threshold=10_000),
        )
        if self._is_local:  # has no payload indexes
            return
        integer = models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=False, range=True)
        keyword = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD)
        self._client.create_payload_index(self._collection, "known", integer)
        self._client.create_payload_index(self._collection, "symbol", keyword)

    def _check_width(self) -> None:
        held = self._client.get_collection(self._collection).config.params.vectors
        if not isinstance(held, models.VectorParams) or held.size != self._width:
            raise PastError(f"collection {self._collection} at {self._where} does not hold width {self._width}")


def _known_by(as_of: int, symbol: str | None, embargo: int) -> models.Filter:
    known = models.FieldCondition(key="known", range=models.Range(lte=float(as_of)))
    if symbol is None or embargo == 0:
        return models.Filter(must=[known])
    own = models.FieldCondition(key="symbol", match=models.MatchValue(value=symbol))
    fresh = models.FieldCondition(key="known", range=models.Range(gt=float(as_of - embargo)))
    return models.Filter(must=[known], must_not=[models.Filter(must=[own, fresh])])
