"""Chunks of trading and their own past: what was traded in the last 25 seconds, and what was usual in the hours before.

A *cell* is the grid of the clock (5 s); a *chunk* is the last few cells, looked at whenever a cell closes in which
something traded. The usual is made of chunks that share no cell with the one looked at. All spans are parameters, for a
market whose step is a minute counts in "s-equivalents". Knows no feature and no alarm.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .jit import kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RUSH, ORDERS, TRADES, VOLUME, BUY_VOLUME, QUANTITY, HIGH = range(7)
CELL_COLUMNS = 7  # counts; volumes in the quote currency; quantity in the asset; the highest price
RETURN, LAST = QUANTITY, HIGH  # of a chunk, where its quantity and high are no longer wanted
USUAL_COLUMNS = 6  # RUSH … BUY_VOLUME, RETURN: what has a mean and a spread
PAST_COLUMNS = 7
SUMS, SQUARES, BUSY = range(3)  # rows of `usual`: Σx, Σx², and how many chunks had any
CELL, IS_OPEN, CLOSED, ENTERED, MERGING_AT = range(5)  # of `clock`; the open orders follow
HOP, PARTS, WINDOW, WARM, RING = range(5)  # of `pace`
PRICE_CHUNKS = 10  # chunks back that a price is compared with, as in La Morgia's rolling(10)


@dataclass(frozen=True, slots=True)
class Pace:
    """How a detector cuts time, in milliseconds: chunks of `chunk_ms`, one every `hop_ms`, judged against `window_ms`.

    Speaks once `warm_ms` of usual trading are known. `of_step(60_000)` is the same pace in a market of 1-minute steps.
    """

    chunk_ms: int = 25_000
    hop_ms: int = 5_000
    window_ms: int = 6 * 3_600_000
    warm_ms: int = 40 * 60_000

    def __post_init__(self) -> None:
        if self.hop_ms < 1 or self.chunk_ms % self.hop_ms or self.chunk_ms < self.hop_ms:
            raise ValueError(f"a chunk of {self.chunk_ms} ms is not a whole number of hops of {self.hop_ms} ms")
        if not self.chunk_ms <= self.warm_ms <= self.window_ms:
            raise ValueError(
                f"warm_ms {self.warm_ms} lies outside {self.chunk_ms} (a chunk) … {self.window_ms} (window)"
            )

    @property
    def parts(self) -> int:
        return self.chunk_ms // self.hop_ms

    @property
    def window(self) -> int:
        return self.window_ms // self.hop_ms

    def of_step(self, step_ms: int) -> "Pace":
        """The pace whose seconds are market steps of `step_ms`."""
        spans = (self.chunk_ms, self.hop_ms, self.window_ms, self.warm_ms)
        return Pace(*(span * step_ms // 1000 for span in spans))

    def numbers(self) -> Ints:
        """The pace as kernels read it."""
        ring = max(self.window + self.parts, (PRICE_CHUNKS + 1) * self.parts) + 1
        return np.array([self.hop_ms, self.parts, self.window, self.warm_ms // self.hop_ms, ring], np.int64)


class Chunks(NamedTuple):
    """Everything remembered of one market. `last` is the last price; `chunk` what the last cells add up to."""

    pace: Ints
    clock: Ints
    cell: Floats
    cells: Floats
    chunk: Floats
    past: Floats
    usual: Floats
    last: Floats


def new_chunks(pace: Pace) -> Chunks:
    """The memory before the first print."""
    numbers = pace.numbers()
    return Chunks(
        numbers,
        np.zeros(MERGING_AT + 6, np.int64),
        np.zeros(CELL_COLUMNS),
        np.zeros((pace.parts, CELL_COLUMNS)),
        np.zeros(CELL_COLUMNS),
        np.zeros((int(numbers[RING]), PAST_COLUMNS)),
        np.zeros((3, USUAL_COLUMNS)),
        np.zeros(1),
    )


@kernel
def close_cell(state: Chunks) -> None:
    """Close the open cell: make the chunk that ends with it, let an older one enter the usual and the oldest leave."""
    pace, clock, cells, chunk = state.pace, state.clock, state.cells, state.chunk
    parts, at = int(pace[PARTS]), int(clock[CLOSED])
    cells[at % parts] = state.cell
    chunk[:] = cells[0]
    for part in range(1, min(parts, at + 1)):
        for column in range(HIGH):
            chunk[column] += cells[part, column]
        chunk[HIGH] = max(chunk[HIGH], cells[part, HIGH])
    ring, last = int(pace[RING]), float(state.last[0])
    row = state.past[at % ring]
    for column in range(RETURN):
        row[column] = chunk[column]
    before = state.past[(at - parts) % ring, LAST] if at >= parts else last
    row[RETURN] = log_ratio(last, before)
    row[LAST] = last
    _learn(state, at - parts)
    state.cell[:] = 0.0
    clock[CLOSED], clock[IS_OPEN] = at + 1, 0


@kernel
def skip_cells(state: Chunks, count: int) -> None:
    """Close `count` cells in which nothing traded; more than the whole memory say no more than that many."""
    for _ in range(min(count, int(state.pace[RING]))):
        close_cell(state)


@kernel
def log_ratio(price: float, before: float) -> float:
    """The log return between two prices, 0 where either is unknown."""
    return math.log(price / before) if price > 0.0 and before > 0.0 else 0.0


@kernel
def _learn(state: Chunks, entering: int) -> None:
    """Let chunk `entering` become usual. Sums are taken anew once a window: differences would drift."""
    if entering < 0:
        return
    window, ring = int(state.pace[WINDOW]), int(state.pace[RING])
    state.clock[ENTERED] = min(entering + 1, window)
    if entering % window == 0:
        state.usual[:] = 0.0
        for back in range(min(entering + 1, window)):
            _weigh(state.usual, state.past[(entering - back) % ring], 1.0)
        return
    _weigh(state.usual, state.past[entering % ring], 1.0)
    if entering >= window:
        _weigh(state.usual, state.past[(entering - window) % ring], -1.0)


@kernel
def _weigh(usual: Floats, row: Floats, weight: float) -> None:
    for column in range(USUAL_COLUMNS):
        value = row[column]
        usual[SUMS, column] += weight * value
        usual[SQUARES, column] += weight * (value * value)
        usual[BUSY, column] += weight if value != 0.0 else 0.0
