"""Parity of the two engines on the client's own in-process engine, and on a real server where one is named."""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import numpy as np
import pytest

from wavetank.memory.edge import EdgeMemory
from wavetank.memory.moments import PastError
from wavetank.memory.server import IN_PROCESS, ServerDraft, ServerMemory
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


def test_the_client_in_process_refuses_a_beam_that_it_does_not_have() -> None:
    server = ServerMemory(IN_PROCESS, WIDTH)
    with pytest.raises(PastError, match=":memory: has no graph that an ef of 64 could search"):
        server.query(units(1)[0], NOW, 5, exact=False, ef=64)
    server.close()


class Scribe(BaseHTTPRequestHandler):
    """A server that writes down what it is asked, says yes to all, and knows no collection."""

    asked: ClassVar[list[tuple[str, str, dict[str, Any]]]] = []

    def _answer(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        path = self.path.partition("?")[0]
        self.asked.append((self.command, path, body | {"key": self.headers.get("api-key")}))
        results: dict[str, Any] = {"exists": {"exists": False}, "/aliases": {"aliases": []}}
        default = {"operation_id": 0, "status": "completed"} if path.endswith(("index", "points")) else True
        answer = json.dumps(
            {"result": results.get(path, results.get(path.rsplit("/", 1)[1], default)), "status": "ok", "time": 0.0}
        )
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(answer.encode())

    do_GET = do_PUT = do_POST = _answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_a_server_is_told_of_the_payload_indexes_before_the_first_point_and_a_draft_gets_its_name_last() -> None:
    with HTTPServer(("127.0.0.1", 0), Scribe) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        with pytest.warns(UserWarning, match="insecure connection"):
            draft = ServerDraft(f"http://127.0.0.1:{http.server_port}", WIDTH, embedder="e1", api_key="secret")
        draft.upsert([1], units(1), [payload(NOW)])
        draft.publish()
        draft.close()
        http.shutdown()
    made = [(path, body) for verb, path, body in Scribe.asked if verb != "GET"]
    assert [path for path, _ in made] == [
        "/collections/moments-of-e1",
        "/collections/moments-of-e1/index",
        "/collections/moments-of-e1/index",
        "/collections/moments-of-e1/points",
        "/collections/aliases",
    ]
    assert made[0][1]["vectors"] == {"size": WIDTH, "distance": "Dot"}
    assert [body["field_name"] for _, body in made[1:3]] == ["known", "symbol"]
    (action,) = made[4][1]["actions"]
    assert action == {"create_alias": {"collection_name": "moments-of-e1", "alias_name": "moments-e1"}}
    assert all(body["key"] == "secret" for _, _, body in Scribe.asked)


def test_a_server_that_does_not_answer_is_one_sentence() -> None:
    with pytest.raises(PastError, match="the server at http://127.0.0.1:9 cannot open moments-e1: .*refused"):
        ServerMemory("http://127.0.0.1:9", WIDTH, embedder="e1")


def test_a_collection_that_must_exist_is_not_made() -> None:
    with pytest.raises(PastError, match="there is no collection moments-e1 at :memory:"):
        ServerMemory(IN_PROCESS, WIDTH, embedder="e1", create=False)


def test_the_server_asks_as_strictly_as_edge() -> None:
    server = ServerMemory(IN_PROCESS, WIDTH)
    with pytest.raises(PastError, match="as_of of a query to :memory: must be an instant"):
        server.query(units(1)[0], None, 1)  # type: ignore[arg-type]
    with pytest.raises(PastError, match="width 8, these are of shape"):
        server.upsert([1], np.zeros((1, 3)), [payload(NOW)])
    server.close()
