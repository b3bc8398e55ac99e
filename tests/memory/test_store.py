"""Who may write into a store of the past: moments whose outcome is known, and no other."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from numpy.typing import ArrayLike

from wavetank.envs.past import Live
from wavetank.memory.edge import EdgeMemory
from wavetank.memory.embed import Embedder
from wavetank.memory.moments import PastError, moments_of
from wavetank.memory.move import content_of, pages_of
from wavetank.memory.store import BATCH, Payload, ingest, store_name

from .walks import walk

BARS = walk(260)
EMBEDDER = Embedder.fit(BARS, 260, window=32, width=12)
HORIZON = 6


def test_a_moment_of_the_future_is_refused_and_none_is_written(tmp_path: Path) -> None:
    moments = moments_of(BARS, EMBEDDER, HORIZON)
    now = int(moments.known_at[-1])
    with EdgeMemory(tmp_path / "s", EMBEDDER.width) as memory:
        with pytest.raises(PastError, match=f"known at {now} cannot be stored at {now - 1}: its outcome is not known"):
            ingest(memory, moments, as_of=now - 1)
        assert memory.count() == 0
        ingest(memory, moments, as_of=now)
        assert memory.count() == len(moments)


class Watched(EdgeMemory):
    """A store that notes the latest `known` of each upsert, and which refuses to be optimized."""

    def __init__(self, path: Path, width: int) -> None:
        super().__init__(path, width)
        self.written: list[int] = []

    def upsert(self, ids: Sequence[int], vectors: ArrayLike, payloads: Sequence[Payload]) -> None:
        super().upsert(ids, vectors, payloads)
        self.written.append(max(payload["known"] for payload in payloads))

    def optimize(self) -> bool:
        raise AssertionError("a decision must not wait for a graph")


def test_the_live_past_writes_an_outcome_at_the_close_that_makes_it_known_and_builds_no_graph(tmp_path: Path) -> None:
    with Watched(tmp_path / "s", EMBEDDER.width) as memory:
        past = Live(memory, EMBEDDER, interval="1h", symbol="X", horizon=HORIZON)
        for i, bar in enumerate(BARS):
            past.on_bar(bar)
            past.columns(int(BARS.closed_at[i]))
            assert memory.written == BARS.closed_at[31 + HORIZON : i + 1].tolist()
        assert memory.count() == len(BARS) - 31 - HORIZON


def test_moments_are_written_in_batches_and_the_progress_is_told(tmp_path: Path) -> None:
    moments = moments_of(walk(BATCH + 300), EMBEDDER, HORIZON)
    told: list[tuple[int, int]] = []
    with EdgeMemory(tmp_path / "s", EMBEDDER.width) as memory:
        ingest(memory, moments, lambda done, total: told.append((done, total)))
        assert told == [(BATCH, len(moments)), (len(moments), len(moments))]
        (page,) = memory.pages(2 * BATCH)
        assert content_of([page]) == content_of(pages_of(moments))


def test_a_name_tells_the_embedder() -> None:
    assert store_name("edge", "0123456789abcdef") == "edge-0123456789ab"
    assert store_name("moments", "") == "moments"
