"""The store for those who outgrow one machine: a Qdrant server or cluster, by the client.

The only file that knows qdrant-client. `":memory:"` runs the client's own slow engine, for parity tests.
Knows nothing of bars or columns.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Self, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException

from .moments import PastError
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
    store_name,
)

IN_PROCESS = ":memory:"
NAME = "moments"
PATIENCE_S = 60  # for one call
T = TypeVar("T")


class ServerMemory:
    """A MarketMemory on a server at `url`; its collection is created where none stands, unless `create` forbids it.

    The embedder's digest is part of the collection's name, so a store of another embedder is another store.
    """

    def __init__(
        self,
        url: str,
        width: int,
        *,
        name: str = NAME,
        embedder: str = "",
        api_key: str | None = None,
        create: bool = True,
    ) -> None:
        self._where, self._width = url, width
        self._collection = store_name(name, embedder)
        self._is_local = url == IN_PROCESS
        self._client = _client(url, api_key)
        if self._exists(self._collection):
            self._check_width()
        elif create:
            self._create()
        else:
            raise PastError(f"there is no collection {self._collection} at {url}")

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
        self._call("upsert", lambda: self._client.upsert(self._collection, points, wait=True))

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
        row = checked_query(self._where, self._width, vector, as_of, k, embargo, exact, ef)
        if self._is_local and ef is not None:
            raise PastError(f"{IN_PROCESS} has no graph that an ef of {ef} could search: it is always exact")
        params = models.SearchParams(exact=True) if exact else _through_graph(k, ef)
        answer = self._call(
            "query",
            lambda: self._client.query_points(
                self._collection,
                query=row,
                query_filter=_known_by(int(as_of), symbol, embargo),
                search_params=None if self._is_local else params,
                limit=k,
                with_payload=True,
                with_vectors=True,
            ),
        )
        found = [
            Neighbour(int(hit.id), float(hit.score), np.array(hit.vector, np.float32), cast(Payload, hit.payload))
            for hit in answer.points
        ]
        return sorted(found, key=lambda hit: (-hit.similarity, hit.payload["known"], hit.id))

    def count(self) -> int:
        return int(self._call("count", lambda: self._client.count(self._collection, exact=True)).count)

    def optimize(self) -> bool:
        """Nothing to do from here: a server optimizes in the background."""
        return False

    def pages(self, size: int = BATCH) -> Iterator[Page]:
        after: models.ExtendedPointId | None = None
        while True:
            records, after = self._call("list", partial(self._scroll, size, after))
            if records:
                yield Page(
                    [int(record.id) for record in records],
                    np.array([record.vector for record in records], np.float32),
                    [cast(Payload, record.payload) for record in records],
                )
            if after is None:
                return

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _scroll(
        self, size: int, after: models.ExtendedPointId | None
    ) -> tuple[list[models.Record], models.ExtendedPointId | None]:
        return self._client.scroll(self._collection, limit=size, offset=after, with_payload=True, with_vectors=True)

    def _exists(self, name: str) -> bool:
        """Whether a collection, or an alias of one, has this name."""
        if self._call("open", lambda: self._client.collection_exists(name)):
            return True
        return any(alias.alias_name == name for alias in self._call("open", self._client.get_aliases).aliases)

    def _create(self) -> None:
        self._call("create", self._make)

    def _make(self) -> None:
        self._client.create_collection(
            self._collection,  # Dot, not Cosine: unit vectors then come back bit for bit
            vectors_config=models.VectorParams(size=self._width, distance=models.Distance.DOT),
            hnsw_config=models.HnswConfigDiff(m=LINKS, ef_construct=CONSTRUCTION_EF, full_scan_threshold=SCANNED_KIB),
            quantization_config=models.ScalarQuantization(
                scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
            ),
        )
        if self._is_local:  # has no payload indexes
            return
        integer = models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=False, range=True)
        keyword = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD)
        self._client.create_payload_index(self._collection, "known", integer)
        self._client.create_payload_index(self._collection, "symbol", keyword)

    def _check_width(self) -> None:
        held = self._call("open", lambda: self._client.get_collection(self._collection)).config.params.vectors
        if not isinstance(held, models.VectorParams) or held.size != self._width:
            raise PastError(f"collection {self._collection} at {self._where} does not hold width {self._width}")

    def _call(self, what: str, action: Callable[[], T]) -> T:
        try:
            return action()
        except ApiException as error:
            reason = " ".join(str(error).split())
            raise PastError(f"the server at {self._where} cannot {what} {self._collection}: {reason}") from None


class ServerDraft(ServerMemory):
    """A store in the making, in a collection of another name: its own is an alias that `publish` sets."""

    def __init__(
        self, url: str, width: int, *, name: str = NAME, embedder: str = "", api_key: str | None = None
    ) -> None:
        self._alias = store_name(name, embedder)
        super().__init__(url, width, name=f"{name}-of", embedder=embedder, api_key=api_key)
        if self._exists(self._alias):
            self.close()
            raise PastError(f"there is a collection {self._alias} at {url} already")

    def publish(self) -> None:
        """Give the whole store its name."""
        alias = models.CreateAlias(collection_name=self._collection, alias_name=self._alias)
        operation = models.CreateAliasOperation(create_alias=alias)
        self._call("name", lambda: self._client.update_collection_aliases([operation]))

    def discard(self) -> None:
        """Leave nothing behind."""
        self._call("delete", lambda: self._client.delete_collection(self._collection))
        self.close()


def _client(url: str, api_key: str | None) -> QdrantClient:
    if url == IN_PROCESS:
        return QdrantClient(IN_PROCESS)
    try:
        return QdrantClient(url=url, api_key=api_key, timeout=PATIENCE_S, check_compatibility=False)
    except ValueError as error:
        raise PastError(f"{url} is not the address of a server: {error}") from None


def _through_graph(k: int, ef: int | None) -> models.SearchParams:
    width, oversampling = beam(k, ef)
    again = models.QuantizationSearchParams(rescore=True, oversampling=oversampling)
    return models.SearchParams(hnsw_ef=width, quantization=again)


def _known_by(as_of: int, symbol: str | None, embargo: int) -> models.Filter:
    known = models.FieldCondition(key="known", range=models.Range(lte=float(as_of)))
    if symbol is None or embargo == 0:
        return models.Filter(must=[known])
    own = models.FieldCondition(key="symbol", match=models.MatchValue(value=symbol))
    fresh = models.FieldCondition(key="known", range=models.Range(gt=float(as_of - embargo)))
    return models.Filter(must=[known], must_not=[models.Filter(must=[own, fresh])])
