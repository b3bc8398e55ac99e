"""A tape: bars made ready for episodes. Prices and estimates packed a cache line a bar, feature rows, segments.

Everything at row t is known at the close of bar t, except funding and the day roll, which belong to the bar itself.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..market.bars import DAY_MS, Bars
from ..market.conditions import CONDITION_WARM_UP, conditions_of
from ..market.costs import Funding, funding_per_bar
from .features import feature_matrix, warm_up
from .observation import ObservationSpec
from .past import Tabled

OPEN, HIGH, LOW, CLOSE, FUNDING, ROLLED, SIGMA, VOLUME = range(8)  # columns of `prices`
FIRST, STOP, GAP = range(3)  # columns of `segments`
LINE = 16  # float32 cells in a cache line; the prices fill the first one of a row

Table = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Tape:
    """`table` (T, 16 n) float32 holds a bar's row in whole cache lines: the eight prices as float64, then `width`
    market and memory columns, then nothing. `segments` (S, 3) int64: first bar that can be observed, one past the
    last, whether a long gap follows."""

    bars: Bars
    spec: ObservationSpec
    table: Table
    width: int
    segments: NDArray[np.int64]

    @property
    def prices(self) -> NDArray[np.float64]:
        """(T, 8) float64 by the constants above."""
        return self.table.view(np.float64)[:, : LINE // 2]

    @property
    def rows(self) -> Table:
        """(T, market + memory) float32."""
        return self.table[:, LINE : LINE + self.width]

    @classmethod
    def of(
        cls,
        bars: Bars,
        spec: ObservationSpec,
        *,
        funding_bps_per_8h: float,
        funding: Funding | None = None,
        past: Tabled | None = None,
    ) -> "Tape":
        """Lay bars on a tape; ValueError where no segment outlasts the columns' warm-up."""
        rows = _rows(bars, spec, past)
        table = _empty_table(len(bars), rows.shape[1])
        table[:, LINE : LINE + rows.shape[1]] = rows
        _write_prices(table.view(np.float64), bars, funding_bps_per_8h, funding)
        return cls(bars, spec, table, rows.shape[1], _segments(bars, spec))

    def __len__(self) -> int:
        return len(self.bars)


def _empty_table(bars: int, width: int) -> Table:
    """A table that begins at a cache line, with nothing behind its columns.

    Not from `zeros`: numpy asks for large pages for an `empty` array alone, and a long table is read all over.
    """
    cells = LINE * (1 + -(-width // LINE))
    room = np.empty(bars * cells + LINE, np.float32)
    start = -(room.ctypes.data // room.itemsize) % LINE
    table = room[start : start + bars * cells].reshape(bars, cells)
    table[:, LINE + width :] = 0.0
    return table


def _write_prices(out: NDArray[np.float64], bars: Bars, funding_bps_per_8h: float, funding: Funding | None) -> None:
    out[:, OPEN], out[:, HIGH], out[:, LOW], out[:, CLOSE] = bars.open, bars.high, bars.low, bars.close
    out[:, FUNDING] = funding_per_bar(bars.opened_at, bars.interval_ms, funding_bps_per_8h, funding)
    days = bars.opened_at // DAY_MS
    out[0, ROLLED] = 0.0
    out[1:, ROLLED] = days[1:] > days[:-1]
    out[:, SIGMA : VOLUME + 1] = conditions_of(bars)


def _rows(bars: Bars, spec: ObservationSpec, past: Tabled | None) -> NDArray[np.float32]:
    market = feature_matrix(bars, spec.market)
    if not spec.memory:
        if past is not None:
            raise ValueError(f"observation {spec.name} has no memory columns, yet a past was given")
        return market
    if past is None:
        raise ValueError(f"observation {spec.name} has memory columns, but no past was given")
    return np.ascontiguousarray(np.hstack([market, past.matrix_for(bars)]), np.float32)


def _segments(bars: Bars, spec: ObservationSpec) -> NDArray[np.int64]:
    need = max(warm_up(spec.market, bars.interval_ms), CONDITION_WARM_UP) + spec.window - 1
    stretches = bars.segments()
    found = [
        (start + need - 1, stop, int(k + 1 < len(stretches)))
        for k, (start, stop) in enumerate(stretches)
        if stop - start > need
    ]
    if not found:
        longest = max(stop - start for start, stop in stretches)
        raise ValueError(
            f"observation {spec.name} needs {need} bars to warm up and one to trade; the longest stretch has {longest}"
        )
    return np.array(found, np.int64)
