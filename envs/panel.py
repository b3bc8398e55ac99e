"""A panel: the tapes of many assets laid side by side on the union of their bars' instants, ready for portfolios.

One row a time, all assets of a row beside each other, so that a step reads one stretch of memory. Everything at row t
is known at the close of row t, except funding and the day roll, which belong to the row itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..market.bars import CROSSED_GAP, DAY_MS
from ..market.portfolio import ABSENT, CLOSE, FRESH, FUNDING, HIGH, LOW, OPEN, PRESENCE, SIGMA, STALE, VOLUME
from . import tape as columns
from .portfolio_columns import FRESH_FLAG, N_OWN
from .tape import FIRST, Tape

_COPIED = (
    (OPEN, columns.OPEN),
    (HIGH, columns.HIGH),
    (LOW, columns.LOW),
    (CLOSE, columns.CLOSE),
    (FUNDING, columns.FUNDING),
    (SIGMA, columns.SIGMA),
    (VOLUME, columns.VOLUME),
)


@dataclass(frozen=True, eq=False)
class Panel:
    """`opened_at` (T,) int64; `prices` (T, K, 8) float64 by the constants of `market.portfolio`; `rolled` (T,) float64;
    `rows` (T, K × (columns + 4)) float32 with `fresh` set and the other own columns 0; `segments` (S, 3) int64 as in
    Tape: first row with an asset to trade, one past the last, whether a gap of all assets follows."""

    tapes: tuple[Tape, ...]
    opened_at: NDArray[np.int64]
    prices: NDArray[np.float64]
    rolled: NDArray[np.float64]
    rows: NDArray[np.float32]
    segments: NDArray[np.int64]

    @classmethod
    def of(cls, tapes: Sequence[Tape]) -> "Panel":
        """Lay the tapes side by side; ValueError where they are of several intervals."""
        interval = tapes[0].bars.interval
        for k, other in enumerate(tapes):
            if other.bars.interval != interval:
                raise ValueError(f"asset {k} has {other.bars.interval} bars, asset 0 has {interval} bars")
        opened_at = np.unique(np.concatenate([tape.bars.opened_at for tape in tapes]))
        width = tapes[0].rows.shape[1] + N_OWN
        prices = np.empty((len(opened_at), len(tapes), 8))
        rows = np.zeros((len(opened_at), len(tapes), width), np.float32)
        for k, tape in enumerate(tapes):
            _lay(tape, opened_at, prices[:, k], rows[:, k])
        days = opened_at // DAY_MS
        rolled = np.zeros(len(opened_at))
        rolled[1:] = days[1:] > days[:-1]
        present = (prices[:, :, PRESENCE] == FRESH).any(axis=1)
        segments = _segments(opened_at, present, tapes[0].bars.interval_ms)
        return cls(tuple(tapes), opened_at, prices, rolled, rows.reshape(len(opened_at), -1), segments)

    def __len__(self) -> int:
        return len(self.opened_at)


def _lay(tape: Tape, opened_at: NDArray[np.int64], prices: NDArray[np.float64], rows: NDArray[np.float32]) -> None:
    """One asset's columns: its own bars while it is warm, behind them their last close."""
    bars, warm = tape.bars, _warm(tape)
    last = np.searchsorted(bars.opened_at, opened_at, "right") - 1  # the last bar that has opened by then, or -1
    known = last >= 0
    missing = np.where(known, opened_at - bars.opened_at[last], 0) // bars.interval_ms
    tradable = known & warm[last]
    presence = np.where(tradable & (missing == 0), FRESH, np.where(tradable & (missing <= CROSSED_GAP), STALE, ABSENT))
    last_warm = np.maximum.accumulate(np.where(warm, np.arange(len(bars)), -1))[last]
    listed = known & (last_warm >= 0)
    prices[:] = 0.0
    prices[:, OPEN : CLOSE + 1] = 1.0  # before the first row that can be traded: a price that nobody reads
    for mine, theirs in _COPIED:
        prices[listed, mine] = tape.prices[last_warm[listed], theirs]
    away = listed & (presence != FRESH)
    for column in (OPEN, HIGH, LOW):
        prices[away, column] = prices[away, CLOSE]
    prices[away, FUNDING] = 0.0
    prices[:, PRESENCE] = presence
    seen = presence != ABSENT
    rows[seen, :-N_OWN] = tape.rows[last[seen]]
    rows[:, FRESH_FLAG - N_OWN] = presence == FRESH


def _warm(tape: Tape) -> NDArray[np.bool_]:
    """Bars whose columns speak, also where nothing follows them: that is not known yet."""
    stretches = tape.bars.segments()
    first = int(tape.segments[0, FIRST])
    lead = first - next(start for start, stop in stretches if start <= first < stop)
    warm = np.zeros(len(tape), np.bool_)
    for start, stop in stretches:
        warm[start + lead : stop] = True
    return warm


def _segments(opened_at: NDArray[np.int64], present: NDArray[np.bool_], interval_ms: int) -> NDArray[np.int64]:
    breaks = np.flatnonzero(np.diff(opened_at) > (CROSSED_GAP + 1) * interval_ms) + 1
    stretches = list(pairwise([0, *(int(b) for b in breaks), len(opened_at)]))
    found = []
    for k, (start, stop) in enumerate(stretches):
        first = start + int(np.argmax(present[start:stop]))
        if present[first] and stop - first > 1:
            found.append((first, stop, int(k + 1 < len(stretches))))
    return np.array(found, np.int64)
