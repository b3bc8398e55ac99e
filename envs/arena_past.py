"""The past of an arena: the training slice's archive, frozen, and what each market has itself lived through since.

A market's own moments count under a symbol of their own, once their outcome is known and no sooner than the embargo
lets them. Asked once a bar for all markets together. Knows no account and no crowd.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..market.bars import INTERVALS, Bars
from ..market.jit import kernel
from ..memory.columns import MEMORY_COLUMNS
from ..memory.moments import HORIZON, Embedding, Moments, forward_outcomes, symbol_code
from ..memory.recall import NEIGHBOURS, embargo_ms, nearest_as_of, offer, similarity, write_columns

OWN = symbol_code("an arena's own market")
ALWAYS = 2**53 - 1  # an instant behind every archive: what trained the policy is known, whatever a crowd's clock says

Ints = NDArray[np.int64]
Singles = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ArenaMemory:
    """A frozen archive and how it is asked; `horizon` and `embargo` (of a market's own moments) are in bars."""

    embedder: Embedding
    archive: Moments
    neighbours: int = NEIGHBOURS
    horizon: int = HORIZON
    embargo: int | None = None

    @property
    def bars(self) -> int:
        """The last bars of a market that must be shown at each close."""
        return max(self.embedder.window, self.horizon + 1)


class Kept(NamedTuple):
    """What one market has lived through: how many moments (`lived`), when they closed, their vectors and outcomes; and
    the vectors of the last horizon + 1 bars, whose outcomes are not known yet."""

    lived: Ints
    closed_at: Ints
    vectors: Singles
    outcomes: Singles
    recent: Singles


class Told:
    """A desk's past that is told what it is asked for next."""

    row: Singles = np.zeros(len(MEMORY_COLUMNS), np.float32)

    def columns(self, closed_at: int) -> Singles:
        """Return the columns told last."""
        return self.row


class Recollection:
    """The pasts of `count` markets of one interval, each with room for `room` bars."""

    def __init__(self, memory: ArenaMemory, interval: str, count: int, room: int) -> None:
        width = memory.embedder.width
        self._memory, self._step = memory, INTERVALS[interval]
        self._embargo = embargo_ms(memory.embedder, self._step, memory.horizon, memory.embargo)
        self._episodes = memory.archive.episodes(memory.horizon * self._step)
        self.kept = Kept(
            np.zeros((count, 1), np.int64),
            np.zeros((count, room), np.int64),
            np.zeros((count, room, width), np.float32),
            np.zeros((count, room, 3), np.float32),
            np.full((count, memory.horizon + 1, width), np.nan, np.float32),
        )

    def taken(self, i: int) -> Kept:
        """A copy of what market i has lived through."""
        lived = int(self.kept.lived[i, 0])
        count, closed_at, vectors, outcomes, recent = (array[i] for array in self.kept)
        return Kept(
            count.copy(), closed_at[:lived].copy(), vectors[:lived].copy(), outcomes[:lived].copy(), recent.copy()
        )

    def put(self, i: int, kept: Kept) -> None:
        """Let market i have lived through this and nothing else."""
        for name, array in self.kept._asdict().items():
            lived = getattr(kept, name)
            array[i, : len(lived)] = lived

    def columns(self, rows: Sequence[int], shown: Sequence[Bars]) -> Singles:
        """(n, 10) float32, MEMORY_COLUMNS at the close of the last bar shown of each market in `rows`."""
        for i, bars in zip(rows, shown, strict=True):
            self._live(i, bars)
        out = np.zeros((len(rows), len(MEMORY_COLUMNS)), np.float32)
        asked = np.array(rows, np.int64)
        whole = np.flatnonzero(np.isfinite(self.kept.recent[asked, -1, 0]))
        if len(whole):
            at = np.array([bars.closed_at[-1] for bars in shown], np.int64)
            self._recall(asked[whole], at[whole], whole, out)
        return out

    def _live(self, i: int, bars: Bars) -> None:
        """Take in the bar that just closed, and the moment whose outcome it makes known."""
        memory, kept = self._memory, self.kept
        kept.recent[i, :-1] = kept.recent[i, 1:]
        kept.recent[i, -1] = memory.embedder.vector(bars)
        ripe = kept.recent[i, 0]
        if len(bars) <= memory.horizon or not np.isfinite(ripe[0]):
            return
        first, at = len(bars) - memory.horizon - 1, int(kept.lived[i, 0])
        kept.closed_at[i, at] = bars.closed_at[first]
        kept.vectors[i, at] = ripe
        kept.outcomes[i, at] = forward_outcomes(bars.slice(first, len(bars)), memory.horizon)[0]
        kept.lived[i, 0] = at + 1

    def _recall(self, rows: Ints, at: Ints, places: Ints, out: Singles) -> None:
        memory, kept, k = self._memory, self.kept, self._memory.neighbours
        archive, size = memory.archive, len(memory.archive)
        asked = np.ascontiguousarray(kept.recent[rows, -1])
        found = np.full((len(rows), k), -1, np.int64), np.full((len(rows), k), -np.inf, np.float32)
        if size:
            found = nearest_as_of(
                archive.vectors,
                archive.known_at,
                asked,
                np.full(len(rows), ALWAYS),
                k=k,
                episode=self._episodes,
            )
        indices, similarities = found
        span = memory.horizon * self._step
        _own_too(
            rows, asked, at - self._embargo - span, kept.lived, kept.closed_at, kept.vectors, OWN << 32, span, size,
            np.append(self._episodes, np.int64(0)), indices, similarities,
        )  # fmt: skip
        write_columns(
            self._picked(rows, indices), _in_line(indices), similarities, memory.embedder.high_volatility, places, out
        )

    def _picked(self, rows: Ints, indices: Ints) -> Moments:
        """The outcomes of the neighbours found, one after the other; the rest of a moment is of no interest here."""
        archive, size = self._memory.archive, len(self._memory.archive)
        outcomes = np.zeros((*indices.shape, 3), np.float32)
        there = (indices >= 0) & (indices < size)
        for column, known in enumerate((archive.forward_return, archive.forward_drawdown, archive.forward_volatility)):
            outcomes[there, column] = known[indices[there]]
        query, place = np.nonzero(indices >= size)
        outcomes[query, place] = self.kept.outcomes[rows[query], indices[query, place] - size]
        flat, none = np.ascontiguousarray(outcomes.reshape(-1, 3).T), np.zeros(0, np.int64)
        return Moments(none, none, none, none, flat[0], flat[1], flat[2], np.zeros((0, 0), np.float32))

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of what all markets have lived through, by name."""
        return {f"past/{name}": array.copy() for name, array in self.kept._asdict().items()}

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where `state` was taken."""
        for name, array in self.kept._asdict().items():
            array[:] = state[f"past/{name}"]


def _in_line(indices: Ints) -> Ints:
    """Neighbours numbered one after the other, where there is one."""
    return np.where(indices >= 0, np.arange(indices.size).reshape(indices.shape), -1)


@kernel
def _own_too(
    rows: Ints,
    asked: Singles,
    closed_until: Ints,
    counts: Ints,
    closed_at: Ints,
    vectors: Singles,
    label: int,
    span: int,
    size: int,
    episodes: Ints,
    indices: Ints,
    similarities: Singles,
) -> None:
    """Add the markets' own moments, numbered from `size` on, to the neighbours found in the archive."""
    k = indices.shape[1]
    labels = np.zeros((len(rows), k), np.int64)
    held = np.zeros(len(rows), np.int64)
    for q in range(len(rows)):
        for j in range(k):
            if indices[q, j] >= 0:
                labels[q, j] = episodes[indices[q, j]]
                held[q] = j + 1
        i = rows[q]
        for j in range(counts[i, 0]):
            if closed_at[i, j] <= closed_until[q]:
                value = similarity(asked[q], vectors[i, j])
                offer(value, size + j, label + closed_at[i, j] // span, q, similarities, indices, labels, held)
