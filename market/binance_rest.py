"""Binance's REST addresses for bars and funding: the newest weeks, of which no archive exists yet.

Walks pages by start time and mistrusts an empty one. Knows no store and no month; cells are read by `klines`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from .bars import INTERVALS
from .funding import Funding
from .http import Client, HttpError, Recoverable, UnknownSymbol
from .klines import OPENED_AT, bars_of_rows, funding_of_rows
from .pace import Lane
from .raw import RawBars

UNKNOWN_SYMBOL = -1121
_NEVER = 1 << 62  # ms


@dataclass(frozen=True, slots=True)
class Pages:
    """Where rows are asked for: at most `limit` a page, for a `weight` out of the lane; `time_of` reads a row."""

    path: str
    limit: int
    weight: float
    lane: Lane
    time_of: Callable[[Any], int]


def _opened_at(row: Any) -> int:
    return int(row[OPENED_AT])


def _settled_at(row: Any) -> int:
    return int(row["fundingTime"])


_USDM = Lane("binance usd-m", 2400.0)
BARS = {
    "binance": Pages("/api/v3/klines", 1000, 2.0, Lane("binance spot", 6000.0), _opened_at),
    "binanceusdm": Pages("/fapi/v1/klines", 1500, 10.0, _USDM, _opened_at),
}
# Funding has a limit of its own, 500 requests in 5 minutes: kept by a weight of 24 out of the 2,400 a minute.
FUNDING = Pages("/fapi/v1/fundingRate", 1000, 24.0, _USDM, _settled_at)


class BinanceRest:
    """Pages of one symbol."""

    def __init__(self, client: Client, base: str, venue: str, symbol: str) -> None:
        self._client, self._base, self._venue, self._symbol = client, base.rstrip("/"), venue, symbol
        self._bars = BARS[venue]
        self._silent_until: dict[str, int] = {}
        self.origin = self._bars.path

    def bars(self, interval: str, begin_ms: int, end_ms: int) -> RawBars:
        """Rows that open in [begin, end), as told: repeats, disorder and strangers among them."""
        rows = self._walk(self._bars, begin_ms, end_ms, INTERVALS[interval], {"interval": interval})
        return bars_of_rows(rows, self._symbol, interval, self.origin)

    def funding(self, begin_ms: int, end_ms: int) -> Funding:
        """Rates that were settled in [begin, end)."""
        return funding_of_rows(self._walk(FUNDING, begin_ms, end_ms, 1, {}), FUNDING.path)

    def _walk(self, pages: Pages, begin_ms: int, end_ms: int, step_ms: int, query: dict[str, str]) -> list[Any]:
        rows: list[Any] = []
        cursor = max(begin_ms, self._silent_until.get(pages.path, 0))
        while cursor < end_ms:
            page = self._page(pages, cursor, end_ms, query)
            rows += page
            # a time beyond the end is no way to walk: it may be a stranger's
            cursor = max((at for at in map(pages.time_of, page) if at < end_ms), default=end_ms) + step_ms
        return rows

    def _page(self, pages: Pages, cursor: int, end_ms: int, query: dict[str, str]) -> list[Any]:
        """A page that leads on from `cursor`; an empty one only where nothing is before the end."""

        def once() -> list[Any]:
            page = self._ask(pages, startTime=cursor, endTime=end_ms - 1, limit=pages.limit, **query)
            if not page:
                self._expect_nothing(pages, cursor, end_ms, query)
            elif max(map(pages.time_of, page)) < cursor:
                raise Recoverable(f"a page that ends before {cursor} ms, where it was to begin")
            return page

        return self._client.attempt(f"{pages.path} of {self._symbol} from {cursor} ms", once)

    def _expect_nothing(self, pages: Pages, cursor: int, end_ms: int, query: dict[str, str]) -> None:
        """Ask for the next row, however late it comes: before a listing or in a halt, months need no asking."""
        following = self._ask(pages, startTime=cursor, limit=1, **query)
        at = max(map(pages.time_of, following), default=_NEVER)
        if cursor <= at < end_ms:
            raise Recoverable(f"an empty page, although there is a row at {at} ms")
        self._silent_until[pages.path] = at

    def _ask(self, pages: Pages, **query: Any) -> list[Any]:
        url = f"{self._base}{pages.path}?{urlencode({'symbol': self._symbol, **query})}"
        try:
            return self._client.get(url, lambda body: _rows(body, pages), lane=pages.lane, weight=pages.weight)
        except HttpError as error:
            if error.code == UNKNOWN_SYMBOL:
                raise UnknownSymbol(f"{self._venue} lists no symbol {self._symbol!r} ({error})") from error
            raise


def _rows(body: bytes, pages: Pages) -> list[Any]:
    """The rows of a page; Recoverable where it is cut short, or where a row has no time to walk by."""
    try:
        page = json.loads(body)
        if not isinstance(page, list):
            raise ValueError(f"{str(page)[:80]} is no page")
        for row in page:
            pages.time_of(row)
    except (ValueError, TypeError, LookupError) as error:
        raise Recoverable(f"a broken page ({error})") from error
    return page
