"""Binance as a source: months that are over from its archive, the rest page by page.

Binds where a file or a page is (`binance_archive`, `binance_rest`) to how it is read (`klines`). Knows no store.
"""

from typing import Generic, NamedTuple, TypeVar

from .bars import INTERVALS
from .binance_archive import BinanceArchive
from .binance_rest import BARS, FUNDING, BinanceRest
from .funding import Funding
from .klines import bars_of_csv, funding_of_csv
from .months import Month
from .raw import RawBars

VENUES = tuple(BARS)
LONGEST_PERIOD_MS = 8 * 3_600_000  # funding is settled every 8 hours, or more often

Rows = TypeVar("Rows", covariant=True)


class Archived(NamedTuple, Generic[Rows]):
    """A month out of the archive: the sha256 of its file, and the rows in it."""

    sha256: str
    rows: Rows


class BinanceBars:
    """Bars of one symbol and interval."""

    def __init__(self, archive: BinanceArchive, rest: BinanceRest, symbol: str, interval: str) -> None:
        self._archive, self._rest, self._symbol = archive, rest, symbol
        self.kind, self.spacing_ms, self.origin = interval, INTERVALS[interval], rest.origin

    def archive_name(self, month: Month) -> str:
        """What a month's file is called, published or not."""
        return _name(self._archive.bars_path(self.kind, month))

    def archived(self, month: Month) -> Archived[RawBars] | None:
        """A month's file, None where it is not published."""
        taken = self._archive.take(self._archive.bars_path(self.kind, month))
        if taken is None:
            return None
        return Archived(taken.sha256, bars_of_csv(taken.text, self._symbol, self.kind, taken.name))

    def ask(self, begin_ms: int, end_ms: int) -> RawBars:
        """Rows that open in [begin, end), as told."""
        return self._rest.bars(self.kind, begin_ms, end_ms)


class BinanceFunding:
    """Funding rates of one perpetual."""

    kind, spacing_ms, origin = "funding", LONGEST_PERIOD_MS, FUNDING.path

    def __init__(self, archive: BinanceArchive, rest: BinanceRest) -> None:
        self._archive, self._rest = archive, rest

    def archive_name(self, month: Month) -> str:
        """What a month's file is called, published or not."""
        return _name(self._archive.funding_path(month))

    def archived(self, month: Month) -> Archived[Funding] | None:
        """A month's file, None where it is not published."""
        taken = self._archive.take(self._archive.funding_path(month))
        return None if taken is None else Archived(taken.sha256, funding_of_csv(taken.text, taken.name))

    def ask(self, begin_ms: int, end_ms: int) -> Funding:
        """Rates that were settled in [begin, end)."""
        return self._rest.funding(begin_ms, end_ms)


def _name(path: str) -> str:
    return path.rpartition("/")[2]
