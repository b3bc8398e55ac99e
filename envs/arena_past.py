"""The past of an arena: the training slice's archive, frozen, and what each market has itself lived through since.

A market's own moments count under a symbol of their own, once their outcome is known and no sooner than the embargo
lets them. Asked once a bar for all markets together. Knows no account and no crowd.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..market.bars import INTERVALS, Bars
from ..market.jit import kernel
from ..memory import gemm
from ..memory.columns import MEMORY_COLUMNS
from ..memory.moments import HORIZON, Embedding, Moments, last_outcomes, symbol_code
from ..memory.recall import NEIGHBOURS, Prepared, embargo_ms
from ..memory.rescore import UNIT
from ..memory.scoring import offer, order_doubt, quick_similarity
from ..memory.table import write_columns

OWN = symbol_code("an arena's own market")
WORTH_CODES = 4096  # moments of an archive from which products of integers repay the seconds that torch takes to come
ALWAYS = 2**53 - 1  # an instant behind every archive: what trained the policy is known, whatever a crowd's clock says

Ints = NDArray[np.int64]
Singles = NDArray[np.float32]


@runtime_checkable
class Batched(Protocol):
    """An embedder that sees many markets at once."""

    def vectors_of(self, histories: Sequence[Bars]) -> Singles:
        """(n, D) float32 at the last bar of each: the bits of `vector`."""


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

    def __getstate__(self) -> dict[str, Any]:
        """Everything but what was prepared, which another process prepares for itself."""
        return {name: value for name, value in self.__dict__.items() if name != "_searched"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def prepared(self, episode_ms: int) -> tuple[Prepared | None, Ints]:
        """The archive, ready to be asked, which is made once for all arenas; and its episodes, with a last one that
        belongs to nobody. An empty archive is not asked."""
        if episode_ms not in self._searched:
            episodes = self.archive.episodes(episode_ms)
            past = None
            if len(self.archive) >= WORTH_CODES:
                gemm.integer_product()  # once torch is in the process, which it is to train, recall goes by it
            if len(self.archive):
                past = Prepared(self.archive.vectors, self.archive.known_at, episode=episodes)
            self._searched[episode_ms] = past, np.append(episodes, np.int64(0))
        return self._searched[episode_ms]

    @cached_property
    def _searched(self) -> dict[int, tuple[Prepared | None, Ints]]:
        return {}


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
        asked = np.array(rows, np.int64)
        self._live(asked, shown)
        out = np.zeros((len(rows), len(MEMORY_COLUMNS)), np.float32)
        whole = np.flatnonzero(np.isfinite(self.kept.recent[asked, -1, 0]))
        if len(whole):
            at = np.array([bars.closed_at[-1] for bars in shown], np.int64)
            self._recall(asked[whole], at[whole], whole, out)
        return out

    def _live(self, rows: Ints, shown: Sequence[Bars]) -> None:
        """Take in the bar that just closed in each market, and the moment whose outcome it makes known."""
        memory, kept = self._memory, self.kept
        kept.recent[rows, :-1] = kept.recent[rows, 1:]
        kept.recent[rows, -1] = _vectors_of(memory.embedder, shown)
        ripe, outcomes = kept.recent[rows, 0], last_outcomes(shown, memory.horizon)
        known = np.flatnonzero(np.isfinite(ripe[:, 0]) & np.isfinite(outcomes[:, 0]))
        lived, at = rows[known], kept.lived[rows[known], 0]
        kept.closed_at[lived, at] = [shown[n].closed_at[-memory.horizon - 1] for n in known.tolist()]
        kept.vectors[lived, at] = ripe[known]
        kept.outcomes[lived, at] = outcomes[known]
        kept.lived[lived, 0] = at + 1

    def _recall(self, rows: Ints, at: Ints, places: Ints, out: Singles) -> None:
        memory, kept, k = self._memory, self.kept, self._memory.neighbours
        asked = np.ascontiguousarray(kept.recent[rows, -1])
        span = memory.horizon * self._step
        archive, episodes = memory.prepared(span)
        found = np.full((len(rows), k), -1, np.int64), np.full((len(rows), k), -np.inf, np.float32)
        if archive is not None:
            # A product is too short to share out: other threads would take longer to wake than to help.
            with gemm.one_thread() if gemm.is_loaded() else nullcontext():
                found = archive.nearest(asked, np.full(len(rows), ALWAYS), k=k)
        indices, similarities = found
        doubt = order_doubt(asked.shape[1], UNIT)
        _own_too(
            rows, asked, doubt, at - self._embargo - span, kept.lived, kept.closed_at, kept.vectors, OWN << 32, span,
            len(memory.archive), episodes, indices, similarities,
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


def _vectors_of(embedder: Embedding, shown: Sequence[Bars]) -> Singles:
    if isinstance(embedder, Batched):
        return embedder.vectors_of(shown)
    return np.stack([embedder.vector(bars) for bars in shown])


def _in_line(indices: Ints) -> Ints:
    """Neighbours numbered one after the other, where there is one."""
    return np.where(indices >= 0, np.arange(indices.size).reshape(indices.shape), -1)


@kernel
def _own_too(
    rows: Ints,
    asked: Singles,
    doubt: float,
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
        own = vectors[i]
        for j in range(counts[i, 0]):
            if closed_at[i, j] <= closed_until[q]:
                value = quick_similarity(asked, q, own, j, doubt)
                offer(value, size + j, label + closed_at[i, j] // span, q, similarities, indices, labels, held)
