"""The client against real sockets: what passes is waited for, what does not is refused in one sentence."""

import json
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wavetank.market import http
from wavetank.market.http import Client, HttpError, Recoverable
from wavetank.market.pace import Lane

from .pages import Answer, FakeTime, LoopbackExchange, Spoil, cut, reset, serving, short, silent, status

LANE = Lane("test", 6000.0)
BODY = json.dumps(list(range(100))).encode()


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    with serving() as served:
        served.others["/page"] = lambda query: Answer(BODY)
        yield served


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


def _client(time: FakeTime, **changed: Any) -> Client:
    return Client(sleep=time.sleep, monotonic=time.monotonic, rng=np.random.default_rng(7), **changed)


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise Recoverable("broken JSON") from error


def _get(exchange: LoopbackExchange, client: Client, path: str = "/page") -> Any:
    return client.get(exchange.base + path, _read, lane=LANE)


def _refusal(exchange: LoopbackExchange, client: Client, path: str = "/page") -> HttpError:
    with pytest.raises(HttpError) as caught:
        _get(exchange, client, path)
    assert "\n" not in str(caught.value)
    assert exchange.base + path in str(caught.value)
    return caught.value


def _backoffs(count: int) -> list[float]:
    """Exponential with half of it drawn, by hand: 1, 2, 4, … s, at most 60."""
    rng = np.random.default_rng(7)
    return [min(60.0, 2.0**k) * (0.5 + 0.5 * rng.random()) for k in range(count)]


def test_an_answer_is_read_at_once_and_the_request_says_who_asks(exchange: LoopbackExchange, time: FakeTime) -> None:
    assert _get(exchange, _client(time)) == list(range(100))
    assert (exchange.asked, exchange.agents, time.slept) == (["/page"], ["wavetank"], [])


@pytest.mark.parametrize("code", [429, 418, 503])
def test_retry_after_is_honoured_to_the_second(exchange: LoopbackExchange, time: FakeTime, code: int) -> None:
    exchange.faults.append(("", status(code, Retry_After="37")))
    assert _get(exchange, _client(time)) == list(range(100))
    assert time.slept == [37.0]


def test_retry_after_as_a_date_counts_from_the_servers_own_clock(exchange: LoopbackExchange, time: FakeTime) -> None:
    until = {"Retry_After": "Wed, 21 Oct 2065 07:28:00 GMT"}
    exchange.faults.append(("", status(429, **until)))
    client = _client(time, patience_s=1e10)
    assert _get(exchange, client) == list(range(100))
    assert 1e9 < time.slept[0] < 2e9  # the loopback server's Date is today's


def test_a_retry_after_of_nothing_still_backs_off(exchange: LoopbackExchange, time: FakeTime) -> None:
    exchange.faults.append(("", status(429, Retry_After="0")))
    _get(exchange, _client(time))
    assert time.slept == _backoffs(1)


@pytest.mark.parametrize("code", [429, 418])
def test_too_fast_without_a_word_on_waiting_waits_a_minute(
    exchange: LoopbackExchange, time: FakeTime, code: int
) -> None:
    exchange.faults.append(("", status(code)))
    _get(exchange, _client(time))
    assert time.slept == [60.0]


def test_a_ban_longer_than_our_patience_is_told_not_waited_for(exchange: LoopbackExchange, time: FakeTime) -> None:
    exchange.faults.append(("", status(418, Retry_After="259200")))
    assert "to wait 259200 s, which is longer than 600 s" in str(_refusal(exchange, _client(time)))
    assert time.slept == []


FAULTS = {
    "500": status(500),
    "503": status(503),
    "408": status(408),
    "reset": reset(),
    "reset in the middle": reset(0.5),
    "fewer bytes than promised": short(),
    "truncated JSON": cut(),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_what_may_pass_is_tried_again_with_exponential_backoff(
    exchange: LoopbackExchange, time: FakeTime, fault: Spoil
) -> None:
    exchange.faults += [("", fault)] * 4
    assert _get(exchange, _client(time)) == list(range(100))
    assert len(exchange.asked) == 5
    assert time.slept == _backoffs(4)


def test_a_short_answer_that_could_be_a_whole_one_is_not_believed(exchange: LoopbackExchange, time: FakeTime) -> None:
    exchange.others["/number"] = lambda query: Answer(b"1234567890")
    exchange.faults.append(("", short()))
    assert _get(exchange, _client(time), "/number") == 1234567890
    assert len(exchange.asked) == 2


def test_a_server_that_says_nothing_is_left_and_asked_again(exchange: LoopbackExchange, time: FakeTime) -> None:
    exchange.faults.append(("", silent))
    assert _get(exchange, _client(time, timeout_s=0.05)) == list(range(100))
    assert len(time.slept) == 1


def test_an_answer_that_drips_for_ever_is_left(exchange: LoopbackExchange, time: FakeTime) -> None:
    moments = iter(np.arange(0.0, 1e6, 301.0))  # every look at the clock is five minutes later
    client = Client(sleep=time.sleep, monotonic=lambda: float(next(moments)), rng=np.random.default_rng(7), tries=2)
    assert "bytes came in 300 s, and not the end" in str(_refusal(exchange, client))


def test_where_nobody_listens_the_sentence_says_so(time: FakeTime) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/page"
    with pytest.raises(HttpError, match=r"asked for http://127.* 3 times, .*no connection .*refused") as caught:
        _client(time, tries=3).get(url, _read, lane=LANE)
    assert caught.value.status is None
    assert time.slept == _backoffs(2)


def test_tries_are_bounded_and_the_last_answer_is_told(exchange: LoopbackExchange, time: FakeTime) -> None:
    exchange.faults += [("", status(503))] * 9
    assert "6 times, and the last answer was: status 503 (Service Unavailable)" in str(
        _refusal(exchange, _client(time))
    )
    assert len(exchange.asked) == 6


def test_backoff_never_grows_beyond_a_minute(exchange: LoopbackExchange, time: FakeTime) -> None:
    exchange.faults += [("", status(500))] * 9
    _get(exchange, _client(time, tries=10))
    assert time.slept == _backoffs(9)
    assert 30.0 <= time.slept[-1] <= 60.0


@pytest.mark.parametrize("code", [400, 401, 403, 404, 451])
def test_what_is_our_fault_is_not_asked_twice(exchange: LoopbackExchange, time: FakeTime, code: int) -> None:
    exchange.faults.append(("", status(code)))
    error = _refusal(exchange, _client(time))
    assert (error.status, len(exchange.asked), time.slept) == (code, 1, [])


def test_the_venues_own_code_and_words_are_told(exchange: LoopbackExchange, time: FakeTime) -> None:
    exchange.others["/page"] = lambda query: Answer(b'{"code":-1100,"msg":"Illegal characters."}', 400)
    error = _refusal(exchange, _client(time))
    assert (error.code, str(error)) == (-1100, f"{exchange.base}/page answered 400: Illegal characters.")


def test_an_answer_without_end_is_refused(
    exchange: LoopbackExchange, time: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LARGEST_BODY", 50)
    assert "longer than 50 bytes" in str(_refusal(exchange, _client(time)))


def _self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = datetime(2020, 1, 1, tzinfo=UTC)
    unsigned = x509.CertificateBuilder(name, name, key.public_key(), 1, made, made + timedelta(days=36_500))
    certificate = unsigned.sign(key, hashes.SHA256())
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "both.pem").write_bytes(key.private_bytes(*plain) + certificate.public_bytes(plain[0]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(time: FakeTime, tmp_path: Path) -> None:
    with serving(_self_signed(tmp_path)) as served, pytest.raises(HttpError, match="certificate verify failed"):
        _client(time).get(served.base.replace("http:", "https:") + "/page", _read, lane=LANE)
    assert (served.asked, time.slept) == ([], [])


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/page"])
def test_only_http_is_asked(time: FakeTime, url: str) -> None:
    with pytest.raises(HttpError, match="no http address"):
        _client(time).get(url, _read, lane=LANE)


def test_near_the_limit_the_client_waits_for_the_next_minute(exchange: LoopbackExchange, time: FakeTime) -> None:
    exchange.klines["BTCUSDT", "1h"] = []
    exchange.used_weight += [4799, 4800, 12]
    client, path = _client(time), "/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=1"
    _get(exchange, client, path)
    _get(exchange, client, path)
    assert time.slept == []
    _get(exchange, client, path)
    assert time.slept == [60.0]
    _get(exchange, client, path)
    assert time.slept == [60.0]


def test_a_refusal_counts_its_weight_too(exchange: LoopbackExchange, time: FakeTime) -> None:
    exchange.used_weight += [5990]
    path = "/api/v3/klines?symbol=NONE&interval=1h&limit=1"
    client = _client(time)
    _refusal(exchange, client, path)
    _get(exchange, client)
    assert time.slept == [60.0]


def test_a_client_without_tries_is_refused(time: FakeTime) -> None:
    with pytest.raises(ValueError, match="tries is 0"):
        _client(time, tries=0)
