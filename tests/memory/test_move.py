"""A store copied into another engine and back: the same ids, bits and payloads, or no copy at all."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from wavetank.memory.edge import EdgeDraft, EdgeMemory
from wavetank.memory.moments import PastError
from wavetank.memory.move import content_of, move
from wavetank.memory.server import IN_PROCESS, ServerDraft, ServerMemory
from wavetank.memory.store import Page, Payload

from .test_edge import NOW, WIDTH, units
from .test_server import URL

N = 2500


def points() -> Page:
    """Shuffled ids, vectors of any length, outcomes with every bit of a float32 in use."""
    rng = np.random.default_rng(7)
    ids = ((1 << 60) + rng.permutation(10 * N)[:N]).tolist()
    vectors = units(N) * rng.uniform(0.1, 3.0, (N, 1)).astype(np.float32)
    outcomes = rng.normal(size=(N, 3)).astype(np.float32)
    payloads = [
        Payload(
            known=NOW + i,
            symbol="XYZ"[i % 3],
            closed_at=NOW - i,
            forward_return=float(a),
            forward_drawdown=float(b),
            forward_volatility=float(c),
        )
        for i, (a, b, c) in enumerate(outcomes)
    ]
    return Page(ids, np.asarray(vectors, np.float32), payloads)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[EdgeMemory]:
    with EdgeMemory(tmp_path / "source", WIDTH, embedder="e1") as memory:
        memory.upsert(*points())
        yield memory


def by_id(pages: Iterator[Page]) -> dict[int, tuple[bytes, dict[str, object]]]:
    """What each point is; outcomes are float32, and an engine's JSON may write them with another last digit."""
    return {
        identity: (vector.tobytes(), {k: np.float32(v) if isinstance(v, float) else v for k, v in payload.items()})
        for page in pages
        for identity, vector, payload in zip(page.ids, page.vectors, page.payloads, strict=True)
    }


def there_and_back(source: EdgeMemory, draft: ServerDraft, back: Path) -> None:
    told: list[tuple[int, int]] = []
    moved = move(source, draft, lambda done, total: told.append((done, total)))
    assert moved.count == N
    assert told[-1] == (N, N)
    returned = EdgeDraft(back, WIDTH, embedder="e1")
    assert move(draft, returned) == moved
    with EdgeMemory(back, WIDTH, embedder="e1", create=False) as memory:
        truth = by_id(iter([points()]))
        assert by_id(source.pages()) == truth
        assert by_id(memory.pages()) == truth


def test_edge_to_the_client_in_process_and_back_is_the_same_to_the_last_bit(source: EdgeMemory, tmp_path: Path) -> None:
    draft = ServerDraft(IN_PROCESS, WIDTH, embedder="e1")
    there_and_back(source, draft, tmp_path / "back")
    draft.close()


@pytest.mark.skipif(not URL, reason="QDRANT_URL names no server: start one and set it to run this test")
def test_edge_to_a_server_and_back_is_the_same_to_the_last_bit(source: EdgeMemory, tmp_path: Path) -> None:
    name = f"move-{tmp_path.name}"
    draft = ServerDraft(URL, WIDTH, name=name, embedder="e1")
    there_and_back(source, draft, tmp_path / "back")
    with ServerMemory(URL, WIDTH, name=name, embedder="e1", create=False) as memory:
        assert memory.count() == N
    draft.discard()


class Interrupted(EdgeDraft):
    """A draft whose process ends after so many batches."""

    batches = 0

    def upsert(self, ids: Sequence[int], vectors: ArrayLike, payloads: Sequence[Payload]) -> None:
        self.batches -= 1
        if self.batches < 0:
            raise KeyboardInterrupt
        super().upsert(ids, vectors, payloads)


def test_an_interrupted_move_is_no_store_and_goes_on_where_it_stopped(source: EdgeMemory, tmp_path: Path) -> None:
    draft = Interrupted(tmp_path / "t", WIDTH, embedder="e1")
    draft.batches = 2
    with pytest.raises(KeyboardInterrupt):
        move(source, draft)
    draft.close()
    assert not (tmp_path / "t").exists()
    again = Interrupted(tmp_path / "t", WIDTH, embedder="e1")
    again.batches = 1  # two of three batches of a thousand stand already
    assert move(source, again) == content_of(source.pages())
    with EdgeMemory(tmp_path / "t", WIDTH, embedder="e1", create=False) as memory:
        assert by_id(memory.pages()) == by_id(source.pages())


class Forgetful(EdgeDraft):
    """A draft that changes one thing about its points."""

    fault = ""

    def upsert(self, ids: Sequence[int], vectors: ArrayLike, payloads: Sequence[Payload]) -> None:
        matrix, told = np.array(vectors, np.float32), [Payload(**payload) for payload in payloads]
        if self.fault == "a point":
            ids, matrix, told = ids[1:], matrix[1:], told[1:]
        if self.fault == "a bit":
            matrix[3, 5] = np.nextafter(matrix[3, 5], np.float32(9.0))
        if self.fault == "an outcome":
            told[4]["forward_drawdown"] = float(np.nextafter(np.float32(told[4]["forward_drawdown"]), np.float32(9.0)))
        if self.fault == "an instant":
            told[4]["known"] += 1
        if self.fault == "two ids":
            ids = [ids[1], ids[0], *ids[2:]]
        super().upsert(ids, matrix, told)


@pytest.mark.parametrize("fault", ["a point", "a bit", "an outcome", "an instant", "two ids"])
def test_a_copy_that_differs_is_refused_and_dropped(source: EdgeMemory, tmp_path: Path, fault: str) -> None:
    draft = Forgetful(tmp_path / "t", WIDTH, embedder="e1")
    draft.fault = fault
    with pytest.raises(
        PastError, match="the copy differs and was dropped: 2[0-9]+ points of digest .* stand where 2500"
    ):
        move(source, draft)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_the_digest_of_a_store_does_not_know_the_order_of_its_points() -> None:
    whole = points()
    order = np.random.default_rng(1).permutation(N)
    turned = Page([whole.ids[i] for i in order], whole.vectors[order], [whole.payloads[i] for i in order])
    halves = [Page(turned.ids[a:b], turned.vectors[a:b], turned.payloads[a:b]) for a, b in ((0, 900), (900, N))]
    assert content_of([whole]) == content_of(halves)


def test_a_server_shows_a_draft_under_its_name_only_once_it_is_published() -> None:
    draft = ServerDraft(IN_PROCESS, WIDTH, embedder="e1")
    names = {collection.name for collection in draft._client.get_collections().collections}
    assert not draft._client.collection_exists("moments-e1")
    draft.publish()
    assert draft._client.collection_exists("moments-e1")
    assert names == {"moments-of-e1"}
    draft.discard()
