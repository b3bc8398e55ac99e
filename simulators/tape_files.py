"""The tape of a finished market as Parquet files: bars, trades and, where they were kept, order events and quotes.

Times are UTC milliseconds in column `ts`, prices in ticks, sizes in lots; every file says the tick and the lot of
itself. Writes whole files or none, and knows nothing of what is done with them.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..market.durable import write_whole
from ..market.parquet import TIME, encode, write_bars
from .crowd import CrowdMarket
from .world import Label

BARS, TRADES, LABELS, ORDERS, QUOTES = (f"{name}.parquet" for name in ("bars", "tape", "labels", "orders", "quotes"))


def write_tape(market: CrowdMarket, folder: str | Path, *, orders: bool = False, quotes: bool = False) -> list[Path]:
    """Write bars, trades and the labelled orders of a market, and on demand every order event and quote.

    `orders` needs a market with `all_orders=True`, `quotes` one with `quotes=True`.
    """
    folder = Path(folder)
    tables = {TRADES: market.trades(), LABELS: market.labels()}
    if orders:
        tables[ORDERS] = market.events()
    if quotes:
        tables[QUOTES] = market.quotes()
    facts = facts_of(market)
    return [
        write_bars(folder / BARS, market.bars()),
        *(_write(folder / name, rows, facts) for name, rows in tables.items()),
    ]


def facts_of(market: CrowdMarket) -> dict[str, str]:
    """What a file of this market says of itself."""
    labels = " ".join(f"{int(label)}={label.name.lower()}" for label in Label)
    return {
        "symbol": market.instrument().symbol,
        "interval": market.crowd.unit.interval,
        "tick": repr(market.tick),
        "lot": repr(market.lot),
        "scenario": market.scenario.name,
        "labels": labels,
    }


def _write(path: Path, rows: NDArray[np.void], facts: dict[str, str]) -> Path:
    names = rows.dtype.names or ()
    columns = {TIME: np.ascontiguousarray(rows["at_ms"])} | {
        name: np.ascontiguousarray(rows[name]) for name in names if name != "at_ms"
    }
    write_whole(path, encode(columns, facts))
    return path
