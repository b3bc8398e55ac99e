"""Moments: a market's state at one close, and what followed it once that is known.

The outcome of bar i becomes known at the close of bar i + horizon, inside one segment. Outcomes are float32:
a store that keeps its payload as JSON loses the last bit of a float64. Knows nothing of files or neighbours.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..market.bars import CROSSED_GAP, Bars
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


def together(first: Moments, second: Moments) -> Moments:
    """Both in one, in the order of (known_at, id); a moment that stands in both counts once, as the first has it."""
    new = ~np.isin(second.id, first.id)
    names = [field.name for field in fields(Moments) if field.name != "names"]
    columns = {name: np.concatenate([getattr(first, name), getattr(second, name)[new]]) for name in names}
    order = np.lexsort((columns["id"], columns["known_at"]))
    return Moments(**{name: column[order] for name, column in columns.items()}, names={**first.names, **second.names})


def with_lent_outcomes(moments: Moments, seed: int, stretch_ms: int) -> Moments:
    """The same moments, each with the outcome of another, known no later: a memory that forgot what followed what.

    Outcomes are lent by stretches of one symbol, so that they change from bar to bar as little as they did: else every
    column would jump, a policy would trade more for it, and lose by that alone. Later moments change no earlier draw.
    """
    drawn = np.empty(len(moments), np.int64)
    for symbol in np.unique(moments.symbol):
        rows = np.flatnonzero(moments.symbol == symbol)
        _, starts, stretch = np.unique(moments.closed_at[rows] // stretch_ms, return_index=True, return_inverse=True)
        chances = np.random.default_rng([seed, int(symbol)]).random(len(starts))
        lenders = (chances * (starts + 1)).astype(np.int64)  # where the stretch that lends begins: at its own at latest
        drawn[rows] = rows[lenders[stretch] + np.arange(len(rows)) - starts[stretch]]
    return replace(moments, **{name: getattr(moments, name)[drawn] for name in OUTCOMES})


def forward_outcomes(bars: Bars, horizon: int) -> Singles:
    """(T, 3) float32: log return, drawdown and volatility of the next `horizon` bars; NaN where unknown."""
    out = np.full((len(bars), len(OUTCOMES)), np.nan, np.float32)
    for start, stop in bars.segments():
        _fill_outcomes(bars.low, bars.close, start, stop - horizon, horizon, out)
    return out


def last_outcomes(histories: Sequence[Bars], horizon: int) -> Singles:
    """(n, 3) float32: the outcome that the last bar of each history makes known; NaN where it makes none known.

    The bits of `forward_outcomes` at the bar `horizon` before the last.
    """
    out = np.full((len(histories), len(OUTCOMES)), np.nan, np.float32)
    for row, bars in enumerate(histories):
        first = len(bars) - horizon - 1
        longest = (CROSSED_GAP + 1) * bars.interval_ms
        if first >= 0 and (np.diff(bars.opened_at[first:]) <= longest).all():
            _fill_outcomes(bars.low[first:], bars.close[first:], 0, 1, horizon, out[row : row + 1])
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
