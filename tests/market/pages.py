"""A loopback exchange over real sockets: pages and files in the shapes that venues serve, and faults on demand.

A fault waits in `faults` for the first request whose address contains its words ("$" is the end of an address),
spoils that answer, and is gone.
"""

import hashlib
import io
import json
import os
import socket
import ssl
import struct
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from wavetank.market.bars import Bar, Bars

Row = list[Any]
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


@dataclass(frozen=True)
class Answer:
    """What is sent; `told` is the Content-Length, `ends` how the connection ends."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    told: int | None = None
    ends: str = "well"  # or "reset", or "silent": nothing is sent until the server closes


Spoil = Callable[[Answer], Answer]


def status(code: int, **headers: str) -> Spoil:
    """Another status; `Retry_After="7"` is a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Answer(b"<html>busy</html>", code, named)


def cut(share: float = 0.5) -> Spoil:
    """A body that ends early, and says so by its length: the bytes are simply broken."""
    return lambda answer: replace(answer, body=answer.body[: int(len(answer.body) * share)])


def short(share: float = 0.5) -> Spoil:
    """A body that ends before the length that was promised."""
    return lambda answer: replace(answer, body=answer.body[: int(len(answer.body) * share)], told=len(answer.body))


def reset(share: float = 0.0) -> Spoil:
    """The connection is reset, before anything is sent or in the middle of the body."""
    return lambda answer: replace(
        answer, body=answer.body[: int(len(answer.body) * share)], told=len(answer.body), ends="reset"
    )


def silent(answer: Answer) -> Answer:
    """Nothing comes."""
    return replace(answer, ends="silent")


def rows_changed(change: Callable[[list[Any]], list[Any]]) -> Spoil:
    """A page of JSON with other rows."""
    return lambda answer: replace(answer, body=json.dumps(change(json.loads(answer.body))).encode())


class LoopbackExchange:
    """What the venue holds, what was asked of it, and how it fails."""

    def __init__(self) -> None:
        self.klines: dict[tuple[str, str], list[Row]] = {}  # by symbol and interval
        self.funding: dict[str, list[dict[str, Any]]] = {}
        self.files: dict[str, bytes] = {}
        self.others: dict[str, Callable[[dict[str, str]], Answer]] = {}  # by path: venues of other shapes
        self.page_cap = 1000
        self.used_weight: list[int] = []  # told one after the other; then no more
        self.faults: list[tuple[str, Spoil]] = []
        self.spoils: Callable[[str, Answer], Answer] = lambda address, honest: honest
        self.asked: list[str] = []
        self.agents: list[str] = []
        self.base = ""
        self.closing = threading.Event()

    def publish(self, path: str, csv: str, *, name: str | None = None) -> None:
        """An archive file and its checksum."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name or path.rpartition("/")[2].replace(".zip", ".csv"), csv)
        self.files[path] = packed.getvalue()
        digest = hashlib.sha256(packed.getvalue()).hexdigest()
        self.files[f"{path}.CHECKSUM"] = f"{digest}  {path.rpartition('/')[2]}\n".encode()

    def answer(self, address: str) -> Answer:
        """The honest answer, spoiled by the first fault that waits for this address."""
        answer = self._honest(address)
        for number, (words, spoil) in enumerate(self.faults):
            if words in f"{address}$":
                del self.faults[number]
                return spoil(answer)
        return self.spoils(address, answer)

    def paths(self) -> list[str]:
        """The paths that were asked for, without queries."""
        return [urlsplit(address).path for address in self.asked]

    def _honest(self, address: str) -> Answer:
        parts = urlsplit(address)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path in self.others:
            return self.others[parts.path](query)
        if parts.path.startswith("/data/"):
            body = self.files.get(parts.path[1:])
            return Answer(b"<Error><Code>NoSuchKey</Code></Error>", 404) if body is None else Answer(body)
        answer = self._page(parts.path, query)
        headers = {"X-MBX-USED-WEIGHT-1M": str(self.used_weight.pop(0))} if self.used_weight else {}
        return replace(answer, headers=answer.headers | headers)

    def _page(self, path: str, query: dict[str, str]) -> Answer:
        rows: list[Any] | None
        time: Any  # where a row keeps its time
        if path in ("/api/v3/klines", "/fapi/v1/klines"):
            rows, time = self.klines.get((query["symbol"], query["interval"])), 0
        elif path == "/fapi/v1/fundingRate":
            rows, time = self.funding.get(query["symbol"]), "fundingTime"
        else:
            return Answer(b"not found", 404)
        if rows is None:
            return Answer(b'{"code":-1121,"msg":"Invalid symbol."}', 400)
        first, last = int(query.get("startTime", 0)), int(query.get("endTime", 1 << 62))
        page = [row for row in rows if first <= int(row[time]) <= last]
        return Answer(json.dumps(page[: min(int(query["limit"]), self.page_cap)]).encode())


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[LoopbackExchange]:
    """A loopback exchange on a free port of 127.0.0.1, until the block ends."""
    exchange = LoopbackExchange()

    class Requests(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            exchange.asked.append(self.path)
            exchange.agents.append(self.headers["User-Agent"])
            answer = exchange.answer(self.path)
            if answer.ends == "silent":
                exchange.closing.wait(30)
                return
            if answer.ends != "reset" or answer.body:
                self._send(answer)
            if answer.ends == "reset":
                self._reset()

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body) if answer.told is None else answer.told))
            self.end_headers()
            self.wfile.write(answer.body)

        def _reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hung up is what some tests want."""

    with Server(("127.0.0.1", 0), Requests) as server, pytest.MonkeyPatch.context() as direct:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        exchange.base = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        direct.setenv("no_proxy", "127.0.0.1")
        try:
            yield exchange
        finally:
            exchange.closing.set()
            server.shutdown()
            thread.join()


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    def monotonic(self) -> float:
        return self.now_s


def kline_rows(bars: Bars) -> list[Row]:
    """Bars as Binance's REST address spells them: twelve cells, decimals as text."""
    return [_kline_row(bar, bars.interval_ms) for bar in bars]


def bars_of(rows: list[Row], interval: str, symbol: str) -> Bars:
    """The truth that rows spell, by another way than the code under test: row by row."""
    facts = []
    for row in rows:
        open_, high, low, close, volume = (float(cell) for cell in row[1:6])
        facts.append(Bar(row[0], open_, high, low, close, volume, float(row[9]), int(row[8])))
    return Bars.from_rows(interval, facts, symbol)


def csv_of(rows: list[Row], *, header: bool = False, microseconds: bool = False) -> str:
    """Rows as a file of the archive."""
    scale = 1000 if microseconds else 1
    lines = [",".join([str(row[0] * scale), *(str(cell) for cell in row[1:])]) for row in rows]
    return "\n".join([HEADER, *lines] if header else lines) + "\n"


def _kline_row(bar: Bar, interval_ms: int) -> Row:
    quote, taker = bar.volume * bar.close, bar.volume * 0.4
    prices = [f"{price:.8f}" for price in (bar.open, bar.high, bar.low, bar.close, bar.volume)]
    closed_at, trades = bar.opened_at + interval_ms - 1, int(bar.volume) % 997
    return [bar.opened_at, *prices, closed_at, f"{quote:.8f}", trades, f"{taker:.8f}", f"{quote * 0.4:.8f}", "0"]
