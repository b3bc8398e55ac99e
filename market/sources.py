"""Fetch: a range of bars, and of funding, from a venue into a store, month by month.

A month that is over comes whole from the venue's archive, if it has one, else page by page. A month that was taken is
marked and not asked for again, so a fetch that died goes on where it was. Rows that cannot be true go to quarantine.
Knows the order of the work; files, pages and addresses are `binance_source`'s and `ccxt_source`'s.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .bars import DAY_MS, INTERVALS, YEAR_2100_MS, Bars, Ints
from .binance_archive import BinanceArchive
from .binance_rest import BinanceRest
from .binance_source import VENUES, Archived, BinanceBars, BinanceFunding
from .ccxt_source import PREFIX, CcxtBars
from .funding import Funding
from .http import Client, UnknownSymbol
from .instants import iso
from .klines import SECOND_MS
from .months import Month, months_between
from .quality import Rules, sift
from .raw import RawBars

log = logging.getLogger(__name__)

USUAL_RULES = Rules()

Progress = Callable[[str, int, int], None]  # the piece at work, how many are done, how many there are


@dataclass(frozen=True, slots=True)
class Sites:
    """Where the venues' public data is. `ccxt` sends every ccxt venue to one address; None leaves each at its own."""

    archive: str = "https://data.binance.vision"
    spot: str = "https://data-api.binance.vision"
    usdm: str = "https://fapi.binance.com"
    ccxt: str | None = None


class Fetched(NamedTuple):
    """What a fetch did: bars new, the same as known, new in quarantine; months that gave rows; funding rates new.

    `changed` counts known bars that gained a column, or under `replace` took another's place; `strays` funding rates
    that came without having been asked for, and were left out.
    """

    new: int = 0
    same: int = 0
    quarantined: int = 0
    pieces: int = 0
    funding: int = 0
    changed: int = 0
    strays: int = 0

    def plus(self, **more: int) -> "Fetched":
        """The same with these counts added."""
        return self._replace(**{name: getattr(self, name) + count for name, count in more.items()})


class Counts(Protocol):
    """What an append tells."""

    @property
    def new(self) -> int: ...
    @property
    def same(self) -> int: ...
    @property
    def changed(self) -> int: ...


class Sink(Protocol):
    """The side of a store that takes rows."""

    def append(self, venue: str, symbol: str, bars: Bars, *, source: str, replace: bool = False) -> Counts: ...

    def append_funding(
        self, venue: str, symbol: str, funding: Funding, *, source: str, replace: bool = False
    ) -> Counts: ...

    def quarantine(self, venue: str, symbol: str, rejected: RawBars, reasons: Sequence[str], *, source: str) -> int: ...


class MarkedSink(Sink, Protocol):
    """A sink that remembers which pieces were taken, and the sha256 that each had."""

    def mark(self, venue: str, symbol: str, interval: str, piece: str, sha256: str) -> object: ...

    def marked(self, venue: str, symbol: str, interval: str) -> Mapping[str, str]: ...


class Source(Protocol):
    """Rows of one kind: bars of an interval, or funding. Neighbours are no further apart than `spacing_ms`."""

    @property
    def kind(self) -> str: ...
    @property
    def spacing_ms(self) -> int: ...
    @property
    def origin(self) -> str: ...

    def archive_name(self, month: Month) -> str | None: ...

    def archived(self, month: Month) -> Archived[RawBars | Funding] | None: ...

    def ask(self, begin_ms: int, end_ms: int) -> RawBars | Funding: ...


def fetch(
    store: MarkedSink,
    venue: str,
    symbol: str,
    interval: str,
    start_ms: int,
    end_ms: int,
    *,
    now_ms: int,
    client: Client,
    funding: bool = False,
    replace: bool = False,
    sites: Sites = Sites(),
    rules: Rules = USUAL_RULES,
    progress: Progress | None = None,
) -> Fetched:
    """Bring the bars that open in [start, end) and are closed at `now_ms` into the store; with `funding`, its rates.

    `venue` is `binance` (spot), `binanceusdm` (USD-M perpetuals) or `ccxt:NAME`. A month of the archive is stored
    whole, also where the range cuts it. A bar that is known with other values is an error, unless `replace`, which
    asks for months that were taken before too.
    """
    _check(venue, symbol, interval, start_ms, end_ms, funding)
    closed_ms = now_ms // INTERVALS[interval] * INTERVALS[interval]  # what opens from here on is not closed yet
    work = _Fetching(store, venue, symbol, now_ms, replace, rules)
    parts = [(_bars_of(venue, symbol, interval, client, sites), min(end_ms, closed_ms))]
    if funding:
        parts.append((_funding_of(venue, symbol, client, sites), min(end_ms, now_ms)))
    pieces = [(source, month, until) for source, until in parts for month in months_between(start_ms, until)]
    for number, (source, month, until_ms) in enumerate(pieces, 1):
        work.take(source, month, max(start_ms, month.begin_ms), min(until_ms, month.end_ms))
        if progress is not None:
            progress(f"{symbol} {source.kind} {month}", number, len(pieces))
    return work.result()


def stored_name(symbol: str) -> str:
    """A symbol as the store names it: `BTC/USD`, as ccxt writes it, would be a folder in a folder."""
    return symbol.replace("/", "-")


def _check(venue: str, symbol: str, interval: str, start_ms: int, end_ms: int, funding: bool) -> None:
    if venue not in VENUES and not venue.startswith(PREFIX):
        raise ValueError(f"venue {venue!r} is none of {', '.join(VENUES)}, {PREFIX}NAME")
    if venue in VENUES and not (symbol.replace("_", "").isalnum() and symbol == symbol.upper()):
        raise ValueError(f"symbol {symbol!r} is not written in capital letters and digits, as BTCUSDT is")
    if interval not in INTERVALS:
        raise ValueError(f"interval {interval!r} is not one of {', '.join(INTERVALS)}")
    if not 0 <= start_ms < end_ms <= YEAR_2100_MS:
        raise ValueError(f"there is no time from {start_ms} ms to {end_ms} ms before 2100")
    if funding and venue != "binanceusdm":
        raise ValueError(f"funding comes from binanceusdm, not from {venue}")


def _bars_of(venue: str, symbol: str, interval: str, client: Client, sites: Sites) -> Source:
    if venue in VENUES:
        return BinanceBars(*_binance(venue, symbol, client, sites), symbol, interval)
    return CcxtBars(client, venue, symbol, interval, sites.ccxt)


def _funding_of(venue: str, symbol: str, client: Client, sites: Sites) -> Source:
    return BinanceFunding(*_binance(venue, symbol, client, sites))


def _binance(venue: str, symbol: str, client: Client, sites: Sites) -> tuple[BinanceArchive, BinanceRest]:
    archive = BinanceArchive(client, sites.archive, venue, symbol)
    return archive, BinanceRest(client, sites.spot if venue == "binance" else sites.usdm, venue, symbol)


class _Fetching:
    """One fetch at work: where rows go, which pieces are known, what has been counted."""

    def __init__(self, store: MarkedSink, venue: str, symbol: str, now_ms: int, replace: bool, rules: Rules) -> None:
        self._store, self._series = store, (venue, stored_name(symbol))
        self._now_ms, self._replace, self._rules = now_ms, replace, rules
        self._marks: dict[str, Mapping[str, str]] = {}
        self._counts = Fetched()
        self._is_known = False  # the venue lists, or listed, this symbol
        self._unlisted: UnknownSymbol | None = None

    def take(self, source: Source, month: Month, begin_ms: int, end_ms: int) -> None:
        """Bring one month's rows of [begin, end) into the store; what was taken before, only to replace it."""
        if source.kind not in self._marks:
            self._marks[source.kind] = self._store.marked(*self._series, source.kind)
        marks = self._marks[source.kind]
        self._is_known = self._is_known or bool(marks)
        taken = {} if self._replace else marks
        name, asked = source.archive_name(month), f"{source.origin} {month}"
        if name is not None and month.end_ms <= self._now_ms and (name in taken or self._unpack(source, month, name)):
            return
        if asked not in taken and self._unlisted is None:
            self._ask(source, month, begin_ms, end_ms, asked)

    def result(self) -> Fetched:
        """The counts; UnknownSymbol where nothing was ever there under this name."""
        if self._unlisted is not None and not self._is_known:
            raise self._unlisted
        if self._unlisted is not None:
            log.warning("%s; what its archive holds is stored", self._unlisted)
        return self._counts

    def _unpack(self, source: Source, month: Month, name: str) -> bool:
        found = source.archived(month)
        if found is None:
            return False
        self._keep(found.rows, month.begin_ms, month.end_ms, month.end_ms, name)
        self._store.mark(*self._series, source.kind, name, found.sha256)
        self._is_known = True
        return True

    def _ask(self, source: Source, month: Month, begin_ms: int, end_ms: int, piece: str) -> None:
        """Page by page. A month that the rows fill from its first to its last is marked too."""
        try:
            rows = source.ask(begin_ms, end_ms)
        except UnknownSymbol as error:
            self._unlisted = error  # delisted, or misspelt: only the other months' files can tell
            return
        self._is_known = True
        # A page may hold what comes after the end; a clock may be wrong by seconds, but not by a day.
        kept = self._keep(rows, begin_ms, end_ms, max(end_ms, self._now_ms + DAY_MS), source.origin)
        if kept is not None and _fills(_times(kept), month, source.spacing_ms):
            self._store.mark(*self._series, source.kind, piece, _digest(kept))

    def _keep(
        self, rows: RawBars | Funding, begin_ms: int, end_ms: int, horizon_ms: int, source: str
    ) -> Bars | Funding | None:
        """Store the rows of [begin, end) that can be true, and return them."""
        if isinstance(rows, Funding):
            kept: Bars | Funding | None = self._keep_funding(rows, begin_ms, end_ms, horizon_ms, source)
        else:
            kept = self._keep_bars(rows, begin_ms, end_ms, horizon_ms, source)
        self._counts = self._counts.plus(pieces=int(kept is not None))
        return kept

    def _keep_bars(self, raw: RawBars, begin_ms: int, end_ms: int, horizon_ms: int, source: str) -> Bars | None:
        """Rows from the end to the horizon are another piece's; all others outside are strangers."""
        at = raw.opened_at
        is_stranger = (at < begin_ms) | (at >= horizon_ms)
        if is_stranger.any():
            reasons = [f"opened_at {time} ms was not asked for: {begin_ms} … {end_ms} was" for time in at[is_stranger]]
            self._reject(raw.take(is_stranger), reasons, source)
        sifted = sift(raw.take((at >= begin_ms) & (at < end_ms)), self._rules)
        if len(sifted.rejected):
            self._reject(sifted.rejected, sifted.reasons, source)
        if sifted.bars is not None:
            added = self._store.append(*self._series, sifted.bars, source=source, replace=self._replace)
            self._counts = self._counts.plus(new=added.new, same=added.same, changed=added.changed)
        return sifted.bars

    def _keep_funding(self, rates: Funding, begin_ms: int, end_ms: int, horizon_ms: int, source: str) -> Funding | None:
        """As bars; but a rate has no quarantine to go to, so strangers are told and left out."""
        at, first_ms = rates.stamps, begin_ms // SECOND_MS * SECOND_MS  # stamps are rounded to the second
        strays = at[(at < first_ms) | (at >= horizon_ms)]
        if len(strays):
            words = "%s: %d funding rates were not asked for and are left out, the first of %s"
            log.warning(words, source, len(strays), iso(int(strays[0])))
        self._counts = self._counts.plus(strays=len(strays))
        is_asked = (at >= first_ms) & (at < end_ms)
        if not is_asked.any():
            return None
        kept = Funding(at[is_asked], rates.rates[is_asked])
        added = self._store.append_funding(*self._series, kept, source=source, replace=self._replace)
        self._counts = self._counts.plus(funding=added.new)
        return kept

    def _reject(self, rejected: RawBars, reasons: Sequence[str], source: str) -> None:
        fresh = self._store.quarantine(*self._series, rejected, reasons, source=source)
        self._counts = self._counts.plus(quarantined=fresh)


def _times(kept: Bars | Funding) -> Ints:
    return kept.stamps if isinstance(kept, Funding) else kept.opened_at


def _fills(times: Ints, month: Month, spacing_ms: int) -> bool:
    return bool(times[0] < month.begin_ms + spacing_ms and times[-1] >= month.end_ms - spacing_ms)


def _digest(kept: Bars | Funding) -> str:
    """Of rows that came in pages, which no file holds."""
    columns = (kept.rates,) if isinstance(kept, Funding) else (kept.open, kept.high, kept.low, kept.close, kept.volume)
    return hashlib.sha256(b"".join(column.tobytes() for column in (_times(kept), *columns))).hexdigest()
