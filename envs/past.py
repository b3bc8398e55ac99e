"""The desk's past: where the ten memory columns come from.

`Nothing` for observations without memory, `Tabled` for a matrix made beforehand, `Live` for a store that is
asked, and fed, bar by bar. In exact mode `Live` equals `Tabled` to the last bit. Knows no account, no policy.
"""

import json
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..market.bars import INTERVALS, Bar, Bars
from ..memory.columns import MEMORY_COLUMNS
from ..memory.moments import HORIZON, Embedding, Moments, PastError, matured
from ..memory.recall import NEIGHBOURS, Progress, embargo_ms
from ..memory.rescore import columns_of, nearest_in
from ..memory.scoring import similarity
from ..memory.store import MarketMemory, ingest
from ..memory.table import memory_table

Singles = NDArray[np.float32]


class Past(Protocol):
    """What the desk asks: the memory columns at a close that it has just seen."""

    def columns(self, closed_at: int) -> Singles:
        """Return (10,) float32, MEMORY_COLUMNS at `closed_at` (ms UTC)."""


@runtime_checkable
class Fed(Past, Protocol):
    """A Past that must see every bar before it is asked about that bar's close, and that can be restored."""

    def on_bar(self, bar: Bar) -> None: ...
    def state(self) -> bytes: ...
    def restore(self, state: bytes) -> None: ...


class Nothing:
    """No past: for an observation without memory columns."""

    def columns(self, closed_at: int) -> Singles:
        """Return (0,) float32: there are no columns."""
        return np.empty(0, np.float32)


class Tabled:
    """A matrix of columns made beforehand, looked up by the exact instant of a close."""

    def __init__(self, closed_at: ArrayLike, matrix: ArrayLike) -> None:
        self._closed_at = np.array(closed_at, np.int64)
        self._matrix = np.array(matrix, np.float32)
        self._matrix.flags.writeable = False
        shape = (len(self._closed_at), len(MEMORY_COLUMNS))
        if self._matrix.shape != shape:
            raise ValueError(f"the matrix of a past is {self._matrix.shape}, it must be {shape}")
        if not np.isfinite(self._matrix).all():
            raise ValueError("the matrix of a past holds NaN or infinity")
        if np.any(np.diff(self._closed_at) <= 0):
            raise ValueError("the instants of a past must rise")

    @classmethod
    def of(
        cls,
        bars: Bars,
        embedder: Embedding,
        *,
        k: int = NEIGHBOURS,
        horizon: int = HORIZON,
        embargo: int | None = None,
        before: Moments | None = None,
        shuffled: int | None = None,
        cache: Path | None = None,
        progress: Progress | None = None,
    ) -> "Tabled":
        """Make a history's table, each row from what was known at its close; keywords as for `memory_table`."""
        table = memory_table(
            bars,
            embedder,
            k=k,
            horizon=horizon,
            embargo=embargo,
            before=before,
            shuffled=shuffled,
            cache=cache,
            progress=progress,
        )
        return cls(bars.closed_at, table)

    def columns(self, closed_at: int) -> Singles:
        """Return a copy of the row of `closed_at`; an instant without a row is an error."""
        row = int(np.searchsorted(self._closed_at, closed_at))
        if row == len(self._closed_at) or self._closed_at[row] != closed_at:
            raise ValueError(f"the tabled past has no row for the close at {closed_at}")
        columns: Singles = self._matrix[row].copy()
        return columns

    def matrix_for(self, bars: Bars) -> Singles:
        """(T, 10) float32, one row a bar of `bars`; a bar without a row is an error."""
        wanted = bars.closed_at
        rows = np.minimum(np.searchsorted(self._closed_at, wanted), len(self._closed_at) - 1)
        missing = np.flatnonzero(self._closed_at[rows] != wanted)
        if len(missing):
            raise ValueError(f"the tabled past has no row for the close at {int(wanted[missing[0]])}")
        matrix: Singles = self._matrix[rows]
        return matrix


class Live:
    """A store that is asked at every close and fed when an outcome becomes known; one symbol at one interval.

    The store may hold other moments too (a training slice's archive): they count by the same as-of rule. Own
    state is the last window + horizon bars; after a crash the same bars may come again and change nothing.
    With `exact` the neighbours are the nearest there are; without, the store's graph answers from `ef` candidates.
    """

    def __init__(
        self,
        memory: MarketMemory,
        embedder: Embedding,
        *,
        interval: str,
        symbol: str = "",
        k: int = NEIGHBOURS,
        horizon: int = HORIZON,
        embargo: int | None = None,
        exact: bool = True,
        ef: int | None = None,
    ) -> None:
        if exact and ef is not None:
            raise PastError(f"ef {ef} is a matter of the approximate search, and the live past is asked exactly")
        if memory.width != embedder.width:
            raise PastError(f"the store is {memory.width} wide, the embedder {embedder.width}")
        self._memory, self._embedder, self._exact, self._ef = memory, embedder, exact, ef
        self._interval, self._symbol, self._k, self._horizon = interval, symbol, k, horizon
        self._embargo = embargo
        self._rows: list[Bar] = []
        self._vectors: list[Singles] = []  # of the last horizon + 1 bars

    def on_bar(self, bar: Bar) -> None:
        """Take the bar that just closed; store the moment whose outcome it makes known."""
        rows = [*self._rows, bar][-self._embedder.window - self._horizon :]
        bars = Bars.from_rows(self._interval, rows, self._symbol)  # refuses an old or impossible bar
        vectors = [*self._vectors, self._embedder.vector(bars)][-self._horizon - 1 :]
        ingest(self._memory, self._matured(bars, vectors), as_of=int(bars.closed_at[-1]))
        self._rows, self._vectors = rows, vectors

    def close(self) -> None:
        """Let go of the store, so that another process may open it."""
        self._memory.close()

    def columns(self, closed_at: int) -> Singles:
        """Ask the store; `closed_at` must be the close of the last bar that came in."""
        step = INTERVALS[self._interval]
        last = self._rows[-1].opened_at + step - 1 if self._rows else None
        if closed_at != last:
            raise PastError(f"the live past stands at the close of {last}, it was asked about {closed_at}")
        if np.isnan(self._vectors[-1][0]):
            return np.zeros(len(MEMORY_COLUMNS), np.float32)
        neighbours = nearest_in(
            self._memory,
            self._vectors[-1],
            closed_at,
            k=self._k,
            symbol=self._symbol,
            embargo=embargo_ms(self._embedder, step, self._horizon, self._embargo),
            episode_ms=self._horizon * step,
            exact=self._exact,
            ef=self._ef,
        )
        return columns_of(neighbours, self._embedder.high_volatility)

    def state(self) -> bytes:
        """Everything but the store, as JSON: the terms, and the bars that are still needed."""
        return json.dumps({"terms": self._terms(), "bars": self._rows}).encode()

    def restore(self, state: bytes) -> None:
        """Go on where `state` was taken; refused if terms differ or the store has lost the last moment."""
        try:
            held = json.loads(state)
            terms, rows = dict(held["terms"]), [Bar(*row) for row in held["bars"]]
        except (ValueError, KeyError, TypeError) as error:
            raise PastError(f"the saved state of the live past cannot be read: {error}") from None
        for name, value in self._terms().items():
            if terms.get(name) != value:
                raise PastError(f"the live past was saved with {name} {terms.get(name)!r}, not {value!r}")
        self._rows, self._vectors = rows, []
        if rows:
            bars = Bars.from_rows(self._interval, rows, self._symbol)
            self._vectors = list(self._embedder.vectors(bars)[-self._horizon - 1 :])
            self._check_store(bars)

    def _terms(self) -> dict[str, str | int | bool | None]:
        return {
            "embedder": self._embedder.digest,
            "interval": self._interval,
            "symbol": self._symbol,
            "k": self._k,
            "horizon": self._horizon,
            "embargo": self._embargo,
            "exact": self._exact,
            "ef": self._ef,
        }

    def _matured(self, bars: Bars, vectors: list[Singles]) -> Moments:
        """The moment whose outcome the last of these bars makes known; none if its window was not whole."""
        ripe = bars.slice(max(0, len(bars) - self._horizon - 1), len(bars))
        return matured(ripe, np.stack(vectors), self._horizon)

    def _check_store(self, bars: Bars) -> None:
        """The store must still hold the moment that it acknowledged last."""
        last = self._matured(bars, self._vectors)
        if not len(last):
            return
        vector, known_at = last.vectors[0], int(last.known_at[0])
        hits = nearest_in(self._memory, vector, known_at, k=1)
        if not hits or hits[0].similarity < similarity(vector, vector):
            raise PastError(f"the store has lost the moment known at {known_at}: rebuild it from its archive")
