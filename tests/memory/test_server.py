"""Parity of the two engines on the client's own in-process engine, and on a real server where one is named."""

import os
from pathlib import Path

import numpy as np
import pytest

from wavetank.memory.edge import EdgeMemory
from wavetank.memory.moments import PastError
from wavetank.memory.server import IN_PROCESS, ServerMemory
from wavetank.memory.store import MarketMemory

from .test_edge import NOW, WIDTH, payload, units

URL = os.environ.get("QDRANT_URL", "")


def fill(memory: MarketMemory) -> None:
    payloads = [payload(NOW + 3 * i, "XYZ"[i % 3]) for i in range(400)]
    memory.upsert(range(400), units(400), payloads)


def check_parity(server: ServerMemory, path: Path) -> None:
    with EdgeMemory(path, WIDTH) as edge:
        for memory in (edge, server):
            fill(memory)
            fill(memory)
            assert memory.count() == 400
        rng = np.random.default_rng(3)
        for vector in units(40, seed=4):
            as_of, embargo = NOW + int(rng.integers(0, 1300)), int(rng.integers(0, 300))
            mine = edge.query(vector, as_of, 12, symbol="X", embargo=embargo)
            theirs = server.query(vector, as_of, 12, symbol="X", embargo=embargo)
            assert [hit.id for hit in mine] == [hit.id for hit in theirs]
            assert [hit.payload for hit in mine] == [hit.payload for hit in theirs]
            for a, b in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(a.vector, b.vector)
                assert a.similarity == pytest.approx(b.similarity, abs=1e-6)


def test_edge_and_the_client_in_process_find_the_same(tmp_path: Path) -> None:
    server = ServerMemory(IN_PROCESS, WIDTH, embedder="e1")
    check_parity(server, tmp_path / "edge")
    server.close()


@pytest.mark.skipif(not URL, reason="QDRANT_URL names no server: start one and set it to run this test")
def test_edge_and_a_server_find_the_same(tmp_path: Path) -> None:
    server = ServerMemory(URL, WIDTH, name=f"parity-{tmp_path.name}", embedder="e1")
    check_parity(server, tmp_path / "edge")
    server.close()


def test_the_server_asks_as_strictly_as_edge() -> None:
    server = ServerMemory(IN_PROCESS, WIDTH)
    with pytest.raises(PastError, match="as_of of a query to :memory: must be an instant"):
        server.query(units(1)[0], None, 1)  # type: ignore[arg-type]
    with pytest.raises(PastError, match="width 8, these are of shape"):
        server.upsert([1], np.zeros((1, 3)), [payload(NOW)])
    server.close()
