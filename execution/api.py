"""The control API on 127.0.0.1: health, positions, risk, metrics, and the kill switch.

The only file that knows fastapi, uvicorn and jwt. Every request needs a bearer token of the right scope. It sees the
session through a `Face` and decides nothing.
"""

import socket
import threading
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import jwt
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse

from .runner import RunnerError

HOST = "127.0.0.1"
SCOPES = ("read", "kill")
ALGORITHM = "HS256"
START_S = 10.0  # to answer; else the port is reported as unusable

Given = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]


class Face(Protocol):
    """What the API shows of a session, and the one thing that it may do to it."""

    def health(self) -> dict[str, Any]: ...
    def positions(self) -> dict[str, Any]: ...
    def risk(self) -> dict[str, Any]: ...
    def metrics(self) -> tuple[bytes, str]: ...
    def kill(self, by: str) -> int: ...


def issue_token(secret: str, scope: str, *, now_ms: int, hours: float, subject: str = "local") -> str:
    """A bearer token for `scope` ("read", "kill", or both with a space between) that expires after `hours`."""
    unknown = set(scope.split()) - set(SCOPES)
    if unknown or not scope.split():
        raise ValueError(f"scope {scope!r} is not made of {', '.join(SCOPES)}")
    issued = now_ms // 1000
    claims = {"sub": subject, "scope": scope, "iat": issued, "exp": issued + int(hours * 3600)}
    return jwt.encode(claims, secret, ALGORITHM)


def make_app(face: Face, secret: str) -> FastAPI:
    """The application: five routes, each behind a token."""
    app = FastAPI(openapi_url=None)  # nothing is served without a token, its own description included
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])  # no DNS rebinding
    may_read, may_kill = Depends(_Scope(secret, "read")), Depends(_Scope(secret, "kill"))

    @app.get("/health", dependencies=[may_read])
    def health() -> dict[str, Any]:
        return face.health()

    @app.get("/positions", dependencies=[may_read])
    def positions() -> dict[str, Any]:
        return face.positions()

    @app.get("/risk", dependencies=[may_read])
    def risk() -> dict[str, Any]:
        return face.risk()

    @app.get("/metrics", dependencies=[may_read])
    def metrics() -> Response:
        text, content_type = face.metrics()
        return Response(text, media_type=content_type)

    @app.post("/kill")
    def kill(subject: str = may_kill) -> dict[str, Any]:
        return {"state": "HALTED", "journal_row": face.kill(subject)}

    @app.exception_handler(RunnerError)
    def unavailable(request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, 503)

    return app


@dataclass(frozen=True)
class _Scope:
    """Lets a request pass whose token is signed by us, not expired, and of the scope; answers its subject."""

    secret: str
    scope: str

    def __call__(self, request: Request, given: Given) -> str:
        if "origin" in request.headers:  # a browser's page has no business here
            raise HTTPException(403, "requests from web pages are refused")
        if given is None:
            raise HTTPException(401, "a bearer token is needed", {"WWW-Authenticate": "Bearer"})
        try:  # PyJWT compares signatures in constant time
            claims = jwt.decode(
                given.credentials, self.secret, [ALGORITHM], options={"require": ["exp", "iat", "sub", "scope"]}
            )
        except jwt.InvalidTokenError as error:
            raise HTTPException(401, "the token is not valid", {"WWW-Authenticate": "Bearer"}) from error
        if self.scope not in str(claims["scope"]).split():
            raise HTTPException(403, f"the token has no scope {self.scope}")
        return str(claims["sub"])


class ApiServer:
    """The application on a socket of this machine, in a thread of its own."""

    def __init__(self, app: FastAPI, port: int) -> None:
        """Bind the port at once (0: a free one). Raises OSError where it is taken."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
        except OSError as error:
            self._socket.close()
            raise OSError(error.errno, error.strerror, f"{HOST}:{port}") from error
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="wavetank-api", daemon=True)

    @property
    def address(self) -> str:
        """http://127.0.0.1:PORT"""
        return f"http://{HOST}:{self._socket.getsockname()[1]}"

    def start(self) -> None:
        """Serve until `stop`; returns when requests are answered."""
        self._thread.start()
        for _ in range(int(START_S / 0.01)):
            if self._server.started:
                return
            self._thread.join(0.01)
        raise OSError(None, "the API did not start", self.address)

    def stop(self) -> None:
        """End the thread and free the port."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])
