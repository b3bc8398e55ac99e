import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge
from numpy.typing import NDArray

from wavetank.memory.edge import IDENTITY, SHARD, EdgeDraft, EdgeMemory
from wavetank.memory.moments import PastError
from wavetank.memory.store import Payload

NOW = 1_700_000_000_123  # odd milliseconds: a float32 filter would blur them
WIDTH = 8


def units(n: int, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(n, WIDTH))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def payload(known: int, symbol: str = "X") -> Payload:
    return Payload(
        known=known,
        symbol=symbol,
        closed_at=known - 10,
        forward_return=0.1,
        forward_drawdown=0.2,
        forward_volatility=0.3,
    )


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[EdgeMemory]:
    with EdgeMemory(tmp_path / "store", WIDTH, embedder="e1") as opened:
        yield opened


def test_the_as_of_filter_is_exact_to_the_millisecond(memory: EdgeMemory) -> None:
    vectors = units(50)
    memory.upsert(range(50), vectors, [payload(NOW + i) for i in range(50)])
    for as_of in (NOW - 1, NOW, NOW + 7, NOW + 49, NOW + 1000):
        found = {hit.id for hit in memory.query(vectors[0], as_of, 50)}
        assert found == {i for i in range(50) if NOW + i <= as_of}


def test_the_embargo_hides_fresh_outcomes_of_the_asked_symbol_only(memory: EdgeMemory) -> None:
    payloads = [payload(NOW + i, "XY"[i % 2]) for i in range(20)]
    memory.upsert(range(20), units(20), payloads)
    found = {hit.id for hit in memory.query(units(1)[0], NOW + 19, 20, symbol="X", embargo=9)}
    assert found == {i for i in range(20) if i % 2 == 1 or i <= 10}


def test_hits_are_ordered_by_similarity_and_bring_vector_and_payload_unchanged(memory: EdgeMemory) -> None:
    vectors = units(200)
    outcomes = np.random.default_rng(1).normal(size=200).astype(np.float32)
    payloads = [Payload(**{**payload(NOW), "forward_return": float(r)}) for r in outcomes]
    memory.upsert(range(200), vectors, payloads)
    hits = memory.query(vectors[5], NOW, 200)
    expected = np.argsort(-(vectors.astype(np.float64) @ vectors[5]))
    assert [hit.id for hit in hits] == expected.tolist()
    for hit in hits:
        np.testing.assert_array_equal(hit.vector, vectors[hit.id])
        assert np.float32(hit.payload["forward_return"]) == outcomes[hit.id]


def test_vectors_of_any_length_are_kept_as_they_are(memory: EdgeMemory) -> None:
    vectors = units(2) * np.array([[3.0], [0.5]], np.float32)
    memory.upsert([1, 2], vectors, [payload(NOW)] * 2)
    hits = memory.query(vectors[0], NOW, 1)
    np.testing.assert_array_equal(hits[0].vector, vectors[0])
    assert hits[0].similarity == pytest.approx(9.0, rel=1e-5)


def test_the_same_points_again_change_nothing(memory: EdgeMemory) -> None:
    for _ in range(3):
        memory.upsert(range(10), units(10), [payload(NOW)] * 10)
    assert memory.count() == 10


def test_a_closed_store_answers_nothing_and_opens_again_with_all_points(tmp_path: Path) -> None:
    memory = EdgeMemory(tmp_path / "s", WIDTH, embedder="e1")
    memory.upsert(range(10), units(10), [payload(NOW)] * 10)
    assert memory.optimize() is False  # ten points need no graph
    memory.close()
    memory.close()
    with pytest.raises(PastError, match="is closed"):
        memory.count()
    with EdgeMemory(tmp_path / "s", WIDTH) as again:
        assert again.count() == 10
        assert len(again.query(units(1)[0], NOW, 10)) == 10


@pytest.mark.parametrize(
    ("vector", "as_of", "k", "sentence"),
    [
        (np.zeros(7), NOW, 1, r"holds vectors of width 8, the query is of shape \(7,\)"),
        (np.full(8, np.nan), NOW, 1, "the query to .* holds NaN or infinity"),
        (np.zeros(8), None, 1, "as_of of a query to .* must be an instant in ms UTC, not None"),
        (np.zeros(8), 1.5e12, 1, "must be an instant in ms UTC, not 1500000000000.0"),
        (np.zeros(8), 2**53, 1, "must be an instant in ms UTC, not 9007199254740992"),
        (np.zeros(8), NOW, 0, "k 0 of a query to .* must be at least 1"),
    ],
)
def test_a_wrong_question_is_one_sentence(
    memory: EdgeMemory, vector: NDArray[np.float64], as_of: int, k: int, sentence: str
) -> None:
    with pytest.raises(PastError, match=sentence):
        memory.query(vector, as_of, k)


def test_a_question_without_an_instant_cannot_be_asked(memory: EdgeMemory) -> None:
    with pytest.raises(TypeError, match="as_of"):
        memory.query(np.zeros(8), k=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("vectors", "payloads", "sentence"),
    [
        (np.zeros((1, 7)), [payload(NOW)], r"holds vectors of width 8, these are of shape \(1, 7\)"),
        (np.full((1, 8), np.inf), [payload(NOW)], "the vector of point 3 .* holds NaN or infinity"),
        (np.zeros((1, 8)), [], "1 ids, 1 vectors and 0 payloads do not match"),
        (np.zeros((1, 8)), [{"symbol": "X"}], "known of point 3 .* must be an instant in ms UTC, not None"),
        (np.zeros((1, 8)), [{**payload(NOW), "forward_return": np.nan}], "forward_return of point 3 .* is nan"),
    ],
)
def test_a_wrong_point_is_one_sentence_and_is_not_stored(
    memory: EdgeMemory, vectors: NDArray[np.float64], payloads: list[Payload], sentence: str
) -> None:
    with pytest.raises(PastError, match=sentence):
        memory.upsert([3], vectors, payloads)
    assert memory.count() == 0


def test_a_store_of_another_embedder_or_width_is_refused(memory: EdgeMemory) -> None:
    memory.close()
    with pytest.raises(PastError, match="is of embedder e1, not e2"):
        EdgeMemory(memory.path, WIDTH, embedder="e2")
    with pytest.raises(PastError, match="holds vectors of width 8, not 9"):
        EdgeMemory(memory.path, 9, embedder="e1")


def test_a_store_without_its_identity_is_torn(memory: EdgeMemory) -> None:
    memory.close()
    (memory.path / IDENTITY).write_text("{")
    with pytest.raises(PastError, match="store.json cannot be read"):
        EdgeMemory(memory.path, WIDTH)
    (memory.path / IDENTITY).unlink()
    with pytest.raises(PastError, match="store.json is missing"):
        EdgeMemory(memory.path, WIDTH)


def test_a_store_whose_index_is_broken_is_one_sentence(memory: EdgeMemory) -> None:
    memory.close()
    (memory.path / "shard" / "edge_config.json").write_text("{")
    with pytest.raises(PastError, match="cannot open"):
        EdgeMemory(memory.path, WIDTH)


@pytest.mark.parametrize("lost", [b"", None])
def test_a_store_whose_vectors_are_torn_is_one_sentence(memory: EdgeMemory, lost: bytes | None) -> None:
    """One of the engine's files cut short makes it panic; missing, it makes it hand out points without vectors."""
    memory.upsert(range(50), units(50), [payload(NOW)] * 50)
    memory.close()
    (file,) = memory.path.glob("shard/segments/*/vector_storage/vectors/status.dat")
    file.write_bytes(lost) if lost is not None else file.unlink()
    with pytest.raises(PastError, match="the store at .* (cannot open|is torn: point [0-9]+ has no vector)"):
        EdgeMemory(memory.path, WIDTH)


def test_a_second_opener_is_told_that_the_store_is_locked(memory: EdgeMemory) -> None:
    code = f"from wavetank.memory.edge import EdgeMemory; EdgeMemory({str(memory.path)!r}, {WIDTH})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "is locked: another process has it open" in done.stderr.splitlines()[-1]


def test_both_payload_indexes_are_there_before_the_first_point(memory: EdgeMemory) -> None:
    memory.close()
    shard = qdrant_edge.EdgeShard.load(str(memory.path / SHARD))
    info = shard.info()
    assert (info.points_count, sorted(info.payload_schema)) == (0, ["known", "symbol"])
    shard.close()


def test_pages_tell_every_point_once_ids_rising(memory: EdgeMemory) -> None:
    ids = [(1 << 62) + 7 * i for i in range(25)]
    memory.upsert(ids[::-1], units(25), [payload(NOW + i) for i in range(25)])
    pages = list(memory.pages(10))
    assert [len(page.ids) for page in pages] == [10, 10, 5]
    assert [identity for page in pages for identity in page.ids] == ids
    np.testing.assert_array_equal(np.concatenate([page.vectors for page in pages]), units(25)[::-1])
    assert [point["known"] for page in pages for point in page.payloads] == [NOW + i for i in range(25)][::-1]


def test_an_empty_store_has_no_pages(memory: EdgeMemory) -> None:
    assert list(memory.pages()) == []


@pytest.mark.parametrize(("exact", "ef"), [(True, 64), (False, 4)])
def test_a_beam_that_could_not_be_honoured_is_refused(memory: EdgeMemory, exact: bool, ef: int) -> None:
    with pytest.raises(PastError, match=f"ef {ef} of a query to .* needs exact=False and must be at least k, 5"):
        memory.query(units(1)[0], NOW, 5, exact=exact, ef=ef)


def test_a_store_that_must_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(PastError, match="there is no store at .*nowhere"):
        EdgeMemory(tmp_path / "nowhere", WIDTH, create=False)
    assert not (tmp_path / "nowhere").exists()


def test_what_a_process_killed_while_making_a_store_left_is_made_anew(tmp_path: Path) -> None:
    half = tmp_path / "s" / (SHARD + ".part") / "segments"
    half.mkdir(parents=True)
    (half / "half").write_bytes(b"half")
    with EdgeMemory(tmp_path / "s", WIDTH) as memory:
        assert memory.count() == 0
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == sorted([IDENTITY, SHARD])


def test_a_draft_has_its_name_only_once_it_is_published(tmp_path: Path) -> None:
    draft = EdgeDraft(tmp_path / "s", WIDTH, embedder="e1")
    draft.upsert([1], units(1), [payload(NOW)])
    assert [path.name for path in tmp_path.iterdir()] == ["s.part"]
    draft.publish()
    with EdgeMemory(tmp_path / "s", WIDTH, embedder="e1", create=False) as memory:
        assert memory.count() == 1
    with pytest.raises(PastError, match="there is a store at .* already"):
        EdgeDraft(tmp_path / "s", WIDTH)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_discarded_draft_leaves_nothing(tmp_path: Path) -> None:
    draft = EdgeDraft(tmp_path / "s", WIDTH)
    draft.upsert([1], units(1), [payload(NOW)])
    draft.discard()
    assert list(tmp_path.iterdir()) == []
