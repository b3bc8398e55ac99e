"""Recorded bars and funding rates, from a file or from the store, as the `market` part of a config names them."""

from pathlib import Path

from ..conf.market_schema import BarsSchema
from ..market.bars import Bars
from ..market.funding import Funding
from ..market.store import Store, read_bars, read_funding
from .terrain import CourseError


def history_bars(market: BarsSchema) -> Bars:
    """The recorded bars that `market` names."""
    if market.path is None:
        raise CourseError(
            "env=history needs bars: market.path=FILE.parquet, or market=btc_1h; env=process makes its own"
        )
    series = _stored(market.path, 3)
    if series is None:
        return read_bars(market.path, interval=market.interval, start=market.start, end=market.end)
    if market.interval not in (None, series[2]):
        raise CourseError(f"market.path names {series[2]} bars, market.interval is {market.interval}")
    venue, symbol, interval = series
    return read_bars(venue, symbol, interval, market.start, market.end)


def funding_of(market: BarsSchema, bars: Bars) -> Funding | None:
    """The funding rates that `market` names for these bars; None where the assumed constant is charged.

    Raises ValueError where they do not reach over the bars: what lies beyond them would be free.
    """
    if market.funding is None:
        return None
    series = _stored(market.funding, 2)
    rates = read_funding(market.funding) if series is None else Store().funding(*series)
    try:
        rates.check_covers(int(bars.opened_at[0]), int(bars.closed_at[-1]))
    except ValueError as error:
        raise CourseError(f"market.funding={market.funding}: {error}") from error
    return rates


def _stored(address: str, parts: int) -> list[str] | None:
    """The parts of an address in the store; None where it is a file's."""
    if Path(address).suffix.lower() in (".parquet", ".csv"):
        return None
    found = address.split("/")
    if len(found) != parts or not all(found):
        wanted = "/".join(("VENUE", "SYMBOL", "INTERVAL")[:parts])
        raise CourseError(f"{address} is neither a .parquet or .csv file nor {wanted} in the store")
    return found
