"""Tick files: recorded trades in Parquet, `ts` (a timestamp), `side` (buy or sell), `price` and `amount`, as prints.

The second file that reads Parquet: bars have their own columns and faults. Knows no venue.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .prints import BUY, SELL, Prints

COLUMNS = ("ts", "side", "price", "amount")


def read_ticks(path: Path) -> Prints:
    """Every trade of the file, in its order. Raises ValueError in one sentence where it is not such a file."""
    try:
        table = pq.read_table(path, columns=list(COLUMNS))
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{path}: not a tick file: {error}") from error
    side = table["side"].to_numpy(zero_copy_only=False)
    unknown = np.flatnonzero((side != "buy") & (side != "sell"))
    if len(unknown):
        raise ValueError(f"{path}: trade {unknown[0]} has side {side[unknown[0]]!r}, neither buy nor sell")
    at_ms = table["ts"].cast(pa.timestamp("ms", "UTC")).cast(pa.int64()).to_numpy()
    try:
        return Prints(at_ms, table["price"].to_numpy(), table["amount"].to_numpy(), np.where(side == "buy", BUY, SELL))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
