"""GET over HTTP with patience: what passes is tried again, what does not is refused in one sentence.

Standard library only. Clock, sleep and jitter come in as arguments. Knows no venue: who asks says how an answer is
read, and raises `Recoverable` where it is cut short.
"""

import json
import logging
import ssl
from collections.abc import Callable, Mapping
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from itertools import count
from typing import TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import Request, build_opener

import numpy as np

from .pace import MINUTE_S, Lane, Pace

log = logging.getLogger(__name__)

AGENT = "wavetank"
BACKOFF_S, LONGEST_BACKOFF_S = 1.0, 60.0
LARGEST_BODY = 1 << 28  # bytes: a month of one-minute bars is 3 MB packed
TOO_FAST = (418, 429)  # 418: a venue's ban of an address that did not heed 429
PASSING = (408, *TOO_FAST)
USED_WEIGHT = "X-MBX-USED-WEIGHT-1M"

T = TypeVar("T")


class HttpError(ValueError):
    """A request that is refused for good. `status` is None where no answer came; `code` is the venue's own."""

    def __init__(self, sentence: str, *, status: int | None = None, code: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.code = status, code


class UnknownSymbol(HttpError):
    """A refusal because the other side lists no such symbol, or lists it no more."""


class Recoverable(Exception):
    """What may pass by itself: worth another try, not before `retry_after_s`."""

    def __init__(self, what: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


class Client:
    """Asks, waits, asks again. Each lane has one pace, whatever symbols and addresses use it."""

    def __init__(
        self,
        *,
        sleep: Callable[[float], None],
        monotonic: Callable[[], float],
        rng: np.random.Generator,
        tries: int = 6,
        timeout_s: float = 30.0,
        patience_s: float = 600.0,
    ) -> None:
        """`timeout_s` bounds each wait for the network, ten times it a whole answer; `patience_s` one Retry-After."""
        if tries < 1:
            raise ValueError(f"tries is {tries}, and a request takes at least one")
        self._sleep, self._monotonic, self._rng = sleep, monotonic, rng
        self._tries, self._timeout_s, self._patience_s = tries, timeout_s, patience_s
        self._opener = build_opener()
        self._paces: dict[str, Pace] = {}

    def get(self, url: str, read: Callable[[bytes], T], *, lane: Lane, weight: float = 1.0) -> T:
        """What `read` makes of the answer to `url`; HttpError where it stays away or is refused."""
        if not url.startswith(("http://", "https://")):
            raise HttpError(f"{url} is no http address")
        return self.attempt(url, lambda: read(self._body_of(url, lane, weight)))

    def attempt(self, asked: str, once: Callable[[], T]) -> T:
        """Call `once` until it raises no Recoverable: up to `tries` times, with exponential backoff and jitter."""
        for number in count(1):
            try:
                return once()
            except Recoverable as fault:
                if number >= self._tries:
                    raise HttpError(f"asked for {asked} {number} times, and the last answer was: {fault}") from fault
                delay_s = self._delay_s(asked, number, fault)
                log.info("%s: %s; try %d follows in %.1f s", asked, fault, number + 1, delay_s)
                self._sleep(delay_s)
        raise AssertionError("count() ended")

    def pace(self, lane: Lane) -> Pace:
        """The one pace of a lane."""
        if lane.name not in self._paces:
            self._paces[lane.name] = Pace(lane, sleep=self._sleep, monotonic=self._monotonic)
        return self._paces[lane.name]

    def _delay_s(self, asked: str, number: int, fault: Recoverable) -> float:
        if fault.retry_after_s > self._patience_s:
            longer = f"which is longer than {self._patience_s:g} s"
            raise HttpError(f"{asked}: {fault}, with the word to wait {fault.retry_after_s:g} s, {longer}") from fault
        backoff_s = min(LONGEST_BACKOFF_S, BACKOFF_S * 2.0 ** (number - 1))
        return max(fault.retry_after_s, backoff_s * (0.5 + 0.5 * float(self._rng.random())))

    def _body_of(self, url: str, lane: Lane, weight: float) -> bytes:
        pace = self.pace(lane)
        pace.spend(weight)
        try:
            with self._opener.open(Request(url, headers={"User-Agent": AGENT}), timeout=self._timeout_s) as answer:
                _heed(pace, answer.headers)
                return self._read(url, answer)
        except HTTPError as error:
            with error:
                _heed(pace, error.headers)
                raise _refusal(url, error) from None
        except URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise HttpError(f"{url}: {error.reason}") from error
            raise Recoverable(f"no connection ({error.reason})") from error
        except (OSError, HTTPException) as error:
            raise Recoverable(f"a broken connection ({error or type(error).__name__})") from error

    def _read(self, url: str, answer: HTTPResponse) -> bytes:
        """The whole body. A length that was promised is checked here: `read` with a size would not tell."""
        promised = answer.headers.get("Content-Length")
        until = self._monotonic() + 10.0 * self._timeout_s
        parts, size = [], 0
        while part := answer.read(1 << 16):
            parts.append(part)
            size += len(part)
            if size > LARGEST_BODY:
                raise HttpError(f"{url}: the answer is longer than {LARGEST_BODY} bytes")
            if self._monotonic() > until:
                raise Recoverable(f"{size} bytes came in {10.0 * self._timeout_s:g} s, and not the end")
        if promised is not None and promised.isdigit() and size != int(promised):
            raise Recoverable(f"{size} of {promised} bytes came")
        return b"".join(parts)


def _heed(pace: Pace, headers: Mapping[str, str] | Message) -> None:
    used = headers.get(USED_WEIGHT)
    if used is not None and used.isdigit():
        pace.heed(int(used))


def _refusal(url: str, error: HTTPError) -> HttpError | Recoverable:
    """What a status of 400 or more means: worth another try, or not."""
    if error.code in PASSING or error.code >= 500:
        wait_s = retry_after_s(error.headers)
        if wait_s is None:
            wait_s = MINUTE_S if error.code in TOO_FAST else 0.0
        return Recoverable(f"status {error.code} ({error.reason})", retry_after_s=wait_s)
    code, message = _said(error)
    return HttpError(f"{url} answered {error.code}: {message or error.reason}", status=error.code, code=code)


def retry_after_s(headers: Mapping[str, str] | Message) -> float | None:
    """Seconds that Retry-After asks for, as a number or as a date beside the server's own Date; else None."""
    asked = headers.get("Retry-After")
    if asked is None:
        return None
    if asked.strip().isdigit():
        return float(asked)
    try:
        until, said_at = parsedate_to_datetime(asked), parsedate_to_datetime(headers.get("Date") or "")
        return max(0.0, (until - said_at).total_seconds())
    except (TypeError, ValueError):
        return None


def _said(error: HTTPError) -> tuple[int | None, str]:
    """The venue's own code and message, where the body is JSON that holds them."""
    try:
        body = json.loads(error.read(1 << 16))
        return int(body["code"]), str(body["msg"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return None, ""
