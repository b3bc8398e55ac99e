"""Bars of any venue that ccxt knows. The only file that knows ccxt.

ccxt spells the requests and reads the answers; waiting, trying again and giving up are `http.Client`'s, on its clock.
"""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from .bars import INTERVALS, Floats
from .http import Client, HttpError, Recoverable, UnknownSymbol, retry_after_s
from .months import Month
from .pace import MINUTE_S, Lane
from .raw import RawBars

PREFIX = "ccxt:"
PAGE = 500  # bars, where ccxt does not say how many a venue gives at once

T = TypeVar("T")


class CcxtBars:
    """Bars of one symbol, written as ccxt writes it: `BTC/USD`, `BTC/USDT:USDT`. Page by page: ccxt has no archive."""

    def __init__(self, client: Client, venue: str, symbol: str, interval: str, base: str | None = None) -> None:
        """`base` sends every request to another address; ValueError where ccxt is missing or knows no such venue."""
        self._client, self._symbol = client, symbol
        self.kind, self.spacing_ms, self.origin = interval, INTERVALS[interval], f"{venue} fetch_ohlcv"
        self._ccxt = _library()
        self._exchange = _exchange(self._ccxt, venue.removeprefix(PREFIX), client)
        if base is not None:
            self._exchange.urls["api"] = _moved(self._exchange.urls["api"], base)
        self._silent_until = 0

    def archive_name(self, month: Month) -> None:
        """None: there is no file of this month."""

    def archived(self, month: Month) -> None:
        """None: there is no file of this month."""

    def ask(self, begin_ms: int, end_ms: int) -> RawBars:
        """Rows that open in [begin, end), as told; without taker volume and trades, which ccxt has not."""
        self._check()
        limit = int(self._exchange.feature_value(self._symbol, "fetchOHLCV", "limit") or PAGE)
        rows: list[list[Any]] = []
        cursor = max(begin_ms, self._silent_until)
        while cursor < end_ms:
            page = self._page(cursor, limit)
            rows += page
            first = min((row[0] for row in page), default=cursor)
            if first >= end_ms:
                self._silent_until = first  # many venues give the newest bars only, whatever is asked for
            reached = max((row[0] for row in page if row[0] >= cursor), default=cursor + (limit - 1) * self.spacing_ms)
            cursor = reached + self.spacing_ms
        return _raw(rows, self._symbol, self.kind)

    def _check(self) -> None:
        self._ask("markets", self._exchange.load_markets)
        if self._symbol not in self._exchange.markets:
            raise UnknownSymbol(f"{self._exchange.id} lists no symbol {self._symbol!r}")
        timeframes = self._exchange.timeframes or {}
        if self.kind not in timeframes or not self._exchange.has["fetchOHLCV"]:
            raise ValueError(
                f"{self._exchange.id} has no bars of {self.kind}; it has {', '.join(timeframes) or 'none'}"
            )

    def _page(self, cursor: int, limit: int) -> list[list[Any]]:
        def once() -> list[list[Any]]:
            page: list[list[Any]] = self._exchange.fetch_ohlcv(self._symbol, self.kind, since=cursor, limit=limit)
            return page

        return self._ask(f"{self.kind} bars of {self._symbol} from {cursor} ms", once)

    def _ask(self, what: str, once: Callable[[], T]) -> T:
        asked = f"{self._exchange.id}: {what}"

        def told() -> T:
            try:
                return once()
            except self._ccxt.OperationFailed as error:
                raise Recoverable(_sentence(error), retry_after_s=self._wait_s(error)) from error
            except self._ccxt.BaseError as error:
                raise HttpError(f"{asked} was refused: {_sentence(error)}") from error

        return self._client.attempt(asked, told)

    def _wait_s(self, error: Exception) -> float:
        asked_s = retry_after_s(self._exchange.last_response_headers or {})
        if asked_s is None and isinstance(error, self._ccxt.DDoSProtection | self._ccxt.RateLimitExceeded):
            return MINUTE_S
        return asked_s or 0.0


def _library() -> Any:
    try:
        import ccxt  # here, not above: an extra that most installations lack
    except ImportError as error:
        raise ValueError("venues beside binance and binanceusdm need ccxt: pip install 'wavetank[ccxt]'") from error
    return ccxt


def _exchange(ccxt: Any, name: str, client: Client) -> Any:
    """A ccxt exchange that waits by our pace, and takes an answer that is no JSON for a failure, not for no bars."""
    if name not in ccxt.exchanges:
        raise ValueError(f"ccxt knows no venue {name!r}")
    exchange = getattr(ccxt, name)({"enableRateLimit": True})
    exchange.enableLastResponseHeaders = True
    pace = client.pace(Lane(f"{PREFIX}{name}", MINUTE_S * 1000.0 / exchange.rateLimit))  # rateLimit: ms a request
    fetched = exchange.fetch

    def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        exchange.last_response_headers = None  # an answer that never comes must not speak with the last one's headers
        answer = fetched(url, method, headers, body)
        if isinstance(answer, str | bytes):
            raise ccxt.NetworkError(f"{method} {url}: {answer[:80]!r} is no JSON")
        return answer

    exchange.fetch = fetch
    exchange.throttle = lambda cost=None: pace.spend(1.0 if cost is None else float(cost))
    return exchange


def _moved(urls: Any, base: str) -> Any:
    if isinstance(urls, dict):
        return {name: _moved(url, base) for name, url in urls.items()}
    return base.rstrip("/") + urlsplit(urls).path if isinstance(urls, str) else urls


def _raw(rows: list[list[Any]], symbol: str, interval: str) -> RawBars:
    def column(index: int) -> Floats:
        return np.array([np.nan if row[index] is None else row[index] for row in rows], np.float64)

    opened_at = np.array([row[0] for row in rows], np.int64)
    return RawBars(interval, opened_at, column(1), column(2), column(3), column(4), column(5), symbol=symbol)


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
