"""The control API over a real socket: who gets in, what they see, and that a kill is durable."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import pytest

from wavetank.execution.api import ApiServer, issue_token, make_app
from wavetank.execution.clock import WallClock
from wavetank.execution.journal import Journal, Kind, read_rows
from wavetank.execution.metrics import SessionMetrics
from wavetank.execution.panel import Panel
from wavetank.execution.runner import Runner

from .toy import Says, made_bars, run_session, session, terms, trader

SECRET = "an example of a secret, forty letters long"
LATE = 4_000_000_000  # seconds: the year 2096
ROUTES = ("/health", "/positions", "/risk", "/metrics")


class Answer(NamedTuple):
    status: int
    text: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Live(NamedTuple):
    port: int
    runner: Runner
    journal: Journal
    path: Path

    def ask(self, route: str, token: str | None = None, method: str = "GET", **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        given = dict(headers) | ({"Authorization": f"Bearer {token}"} if token else {})
        connection.request(method, route, headers=given)
        reply = connection.getresponse()
        answer = Answer(reply.status, reply.read().decode(), {k.lower(): v for k, v in reply.getheaders()})
        connection.close()
        return answer


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """A session of 70 bars, long, and its API."""
    metrics = SessionMetrics()
    path = tmp_path / "a.db"
    journal, runner, feed = session(path, made_bars(70), trader(Says(0.5)), watch=metrics.watch)
    runner.run(feed)
    server = ApiServer(make_app(Panel(runner, metrics, terms(), "TOY"), SECRET), 0)
    server.start()
    yield Live(int(server.address.rpartition(":")[2]), runner, journal, path)
    server.stop()
    journal.close()


def token(scope: str, secret: str = SECRET, now_ms: int | None = None) -> str:
    return issue_token(secret, scope, now_ms=WallClock().now_ms() if now_ms is None else now_ms, hours=1.0)


def forged(**changes: Any) -> str:
    claims = {"sub": "x", "scope": "read kill", "iat": 1, "exp": LATE} | changes
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, SECRET, "HS256")


REFUSED = {
    "no token": (None, 401),
    "no token at all": ("", 401),
    "not a token": ("abc", 401),
    "another secret": (token("read kill", "another secret, but just as long as the right one"), 401),
    "expired": (token("read kill", now_ms=1_000_000_000_000), 401),
    "not valid yet": (forged(iat=LATE - 1), 401),
    "no expiry": (forged(exp=None), 401),
    "no scope": (forged(scope=None), 401),
    "no algorithm": (jwt.encode({"sub": "x", "scope": "read kill", "iat": 1, "exp": LATE}, "", "none"), 401),
    "another algorithm": (
        jwt.encode({"sub": "x", "scope": "read kill", "iat": 1, "exp": LATE}, SECRET * 2, "HS512"),
        401,
    ),
    "empty scope": (forged(scope=""), 403),
    "a scope that only begins alike": (forged(scope="reads killer"), 403),
}


def test_nobody_gets_in_without_a_valid_token(live: Live) -> None:
    for who, (given, status) in REFUSED.items():
        for route in ROUTES:
            assert (who, live.ask(route, given).status) == (who, status)
        answer = live.ask("/kill", given, "POST")
        assert (who, answer.status) == (who, status)
        assert (answer.headers.get("www-authenticate") == "Bearer") == (status == 401)
    assert live.runner.parts.gates.halted_by is None
    assert not list(read_rows(live.path, Kind.KILL))


def test_scopes_do_not_imply_each_other(live: Live) -> None:
    assert live.ask("/kill", token("read"), "POST").status == 403
    assert live.ask("/risk", token("kill")).status == 403
    assert live.ask("/risk", token("read kill")).status == 200


def test_web_pages_and_foreign_hosts_are_refused(live: Live) -> None:
    assert live.ask("/health", token("read"), Origin="http://127.0.0.1").status == 403
    assert live.ask("/kill", token("kill"), "POST", Origin="null").status == 403
    assert live.ask("/health", token("read"), Host="evil.example").status == 400
    assert live.ask("/health", token("read"), Host="localhost").status == 200


def test_nothing_else_is_served(live: Live) -> None:
    for route in ("/docs", "/openapi.json", "/redoc", "/", "/health/"):
        assert live.ask(route, token("read kill")).status in (307, 404)
    assert live.ask("/kill", token("kill")).status == 405
    assert live.ask("/health", token("read"), "POST").status == 405


def test_reading_shows_the_session(live: Live) -> None:
    last = live.runner.last
    assert last is not None
    assert live.ask("/health", token("read")).json == {
        "status": "ok",
        "bars": 70,
        "last_bar_opened_at": 69 * 3_600_000,
    }
    positions = live.ask("/positions", token("read")).json
    (position,) = positions["positions"]
    assert positions["equity"] == last.account.equity
    assert position["lots"] == last.account.lots > 0
    assert position["notional"] == pytest.approx(position["quantity"] * last.bar.close)
    assert positions["cash"] + position["notional"] == pytest.approx(positions["equity"])
    risk = live.ask("/risk", token("read")).json
    assert (risk["state"], risk["causes"]) == ("ACTIVE", [])
    assert 0.45 < risk["used"]["exposure"] < 0.55


def test_metrics_count_what_the_journal_holds(live: Live) -> None:
    answer = live.ask("/metrics", token("read"))
    assert answer.headers["content-type"].startswith("text/plain; version=")
    told = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    counted = {"bars": Kind.BAR, "decisions": Kind.DECISION, "orders": Kind.INTENT, "fills": Kind.FILL}
    for name, kind in counted.items():
        assert float(told[f"wavetank_{name}_total"]) == len(list(read_rows(live.path, kind))) > 0
    assert live.runner.last is not None
    assert float(told["wavetank_equity"]) == live.runner.last.account.equity
    assert float(told["wavetank_trading_state"]) == 0
    assert float(told['wavetank_denials_total{code="killed"}']) == 0
    assert float(told["wavetank_decision_latency_seconds_count"]) == 70


def test_a_kill_over_the_socket_is_durable_and_survives_the_restart(live: Live) -> None:
    answer = live.ask("/kill", token("kill"), "POST")
    assert answer.status == 200
    (row,) = read_rows(live.path, Kind.KILL)
    assert answer.json == {"state": "HALTED", "journal_row": row.seq}
    assert row.facts == {"by": "local"}
    assert live.ask("/risk", token("read")).json["state"] == "HALTED"
    live.journal.close()
    again = run_session(live.path, made_bars(75), trader(Says(0.5)))
    assert again.last is not None
    assert (again.last.state.name, again.last.account.lots) == ("HALTED", 0)


def test_a_kill_that_cannot_be_journalled_is_no_success(live: Live) -> None:
    live.runner.close()
    answer = live.ask("/kill", token("kill"), "POST")
    assert answer.status == 503
    assert "nothing left to kill" in answer.json["detail"]


def test_a_taken_port_is_an_error_that_names_it(live: Live) -> None:
    with pytest.raises(OSError, match=f"127.0.0.1:{live.port}"):
        ApiServer(make_app(Panel(live.runner, SessionMetrics(), terms(), "TOY"), SECRET), live.port)


def test_before_the_first_bar_there_is_nothing_to_show(tmp_path: Path) -> None:
    journal, runner, _ = session(tmp_path / "a.db", made_bars(70))
    panel = Panel(runner, SessionMetrics(), terms(), "TOY")
    assert panel.health()["status"] == "waiting for the first bar"
    with pytest.raises(RuntimeError, match="has not seen a bar yet"):
        panel.risk()
    journal.close()


@pytest.mark.parametrize("scope", ["", "write", "read write"])
def test_tokens_are_issued_for_known_scopes_alone(scope: str) -> None:
    with pytest.raises(ValueError, match="is not made of read, kill"):
        token(scope)
