"""Moments: a market's state at one close, and what followed it once that is known.

The outcome of bar i becomes known at the close of bar i + horizon, inside one segment. Outcomes are float32:
a store that keeps its payload as JSON loses the last bit of a float64. Knows nothing of files or neighbours.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bars
from ..market.jit import kernel

HORIZON = 24  # bars
EXACT_MS = 2**53  # instants below it survive the float64 of a range filter

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Singles = NDArray[np.float32]
OUTCOMES = ("forward_return", "forward_drawdown", "forward_volatility")


class PastError(ValueError):
    """The past is not what it should be: torn, locked, of another embedder, or asked in a wrong way."""


class Embedding(Protocol):
    """Bars to vectors: what recall, archive and the live past need of an embedder."""

    @property
    def window(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def digest(self) -> str: ...
    @property
    def high_volatility(self) -> float: ...
    def vectors(self, bars: Bars) -> Singles: ...
    def vector(self, window: Bars) -> Singles: ...


@dataclass(frozen=True, eq=False)
class Moments:
    """Columns of n matured moments, sorted by (known_at, id): the order that settles every tie.

    `id`, `symbol` (a code of `names`), `closed_at`, `known_at` int64 (n,); `vectors` (n, D) float32;
    outcomes float32 (n,): log return, deepest fall from a peak on the way, volatility per bar.
    """

    id: Ints
    symbol: Ints
    closed_at: Ints
    known_at: Ints
    forward_return: Singles
    forward_drawdown: Singles
    forward_volatility: Singles
    vectors: Singles
    names: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.id)

    def episodes(self, episode_ms: int) -> Ints:
        """One label a stretch of `episode_ms` of one symbol: neighbours of one label are near-copies."""
        return (self.symbol << 32) + self.closed_at // episode_ms


def symbol_code(symbol: str) -> int:
    """31 bits of the symbol's hash: a number that needs no registry."""
    return int.from_bytes(hashlib.sha256(symbol.encode()).digest()[:4], "big") >> 1


def moments_of(bars: Bars, embedder: Embedding, horizon: int = HORIZON) -> Moments:
    """Every moment of these bars whose window is whole and whose outcome lies inside them."""
    return matured(bars, embedder.vectors(bars), horizon)


def matured(bars: Bars, vectors: Singles, horizon: int = HORIZON) -> Moments:
    """The same, from `vectors` (T, D) made before; rows with NaN are not moments."""
    if horizon < 1:
        raise PastError(f"horizon {horizon} must be at least one bar")
    outcomes = forward_outcomes(bars, horizon)
    rows = np.flatnonzero(np.isfinite(outcomes[:, 0]) & np.isfinite(vectors[:, 0]))
    code = symbol_code(bars.symbol)
    return Moments(
        (code << 32) + bars.opened_at[rows] // bars.interval_ms,
        np.full(len(rows), code, np.int64),
        bars.closed_at[rows],
        bars.closed_at[rows + horizon],
        np.ascontiguousarray(outcomes[rows, 0]),
        np.ascontiguousarray(outcomes[rows, 1]),
        np.ascontiguousarray(outcomes[rows, 2]),
        vectors[rows],
        {code: bars.symbol},
    )


def forward_outcomes(bars: Bars, horizon: int) -> Singles:
    """(T, 3) float32: log return, drawdown and volatility of the next `horizon` bars; NaN where unknown."""
    out = np.full((len(bars), len(OUTCOMES)), np.nan, np.float32)
    for start, stop in bars.segments():
        _fill_outcomes(bars.low, bars.close, start, stop - horizon, horizon, out)
    return out


@kernel
def _fill_outcomes(low: Floats, close: Floats, start: int, stop: int, horizon: int, out: Singles) -> None:
    for i in range(start, stop):
        peak = float(close[i])
        fall, squares = 0.0, 0.0
        for j in range(i + 1, i + horizon + 1):
            fall = max(fall, 1.0 - float(low[j]) / peak)
            peak = max(peak, float(close[j]))
            move = math.log(float(close[j]) / float(close[j - 1]))
            squares += move * move
        out[i, 0] = math.log(float(close[i + horizon]) / float(close[i]))
        out[i, 1] = fall
        out[i, 2] = math.sqrt(squares / float(horizon))
