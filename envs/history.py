"""A whole history of bars as kernels walk it: arrays in one tuple, a Bar at any row. Knows no columns."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bar, Bars
from ..market.jit import inlined_kernel


class History(NamedTuple):
    """Columns of bars, (T,) each; `taker_buy_volume` and `trades` are (0,) where the source has none."""

    opened_at: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    taker_buy_volume: NDArray[np.float64]
    trades: NDArray[np.int64]

    @classmethod
    def of(cls, bars: Bars) -> "History":
        """The bars' own arrays, not copied."""
        return cls(
            bars.opened_at,
            bars.open,
            bars.high,
            bars.low,
            bars.close,
            bars.volume,
            bars.volume[:0] if bars.taker_buy_volume is None else bars.taker_buy_volume,
            bars.opened_at[:0] if bars.trades is None else bars.trades,
        )


@inlined_kernel
def bar_at(history: History, t: int) -> Bar:
    """Row t as a Bar of plain numbers."""
    return Bar(
        int(history.opened_at[t]),
        float(history.open[t]),
        float(history.high[t]),
        float(history.low[t]),
        float(history.close[t]),
        float(history.volume[t]),
        float(history.taker_buy_volume[t]) if len(history.taker_buy_volume) > 0 else -1.0,
        int(history.trades[t]) if len(history.trades) > 0 else -1,
    )


def plain_bars(history: History, start: int, stop: int) -> Iterator[Bar]:
    """Rows start … stop − 1 one by one, for code that is not compiled."""
    cut = slice(start, stop)
    taker, trades = history.taker_buy_volume[cut].tolist(), history.trades[cut].tolist()
    columns = [values[cut].tolist() for values in history[:6]]
    return map(Bar, *columns, taker or [-1.0] * (stop - start), trades or [-1] * (stop - start))
