"""The memory columns of a whole history: at each bar, what followed the most similar earlier bars.

Knows how recall and columns go together; nothing of stores or accounts.
"""

from pathlib import Path

import numpy as np

from ..market.bars import Bars
from ..market.jit import source_digest
from . import scoring
from .columns import MEMORY_COLUMNS, fill_table
from .moments import HORIZON, Embedding, Ints, Moments, Singles, matured, symbol_code, together, with_lent_outcomes
from .recall import NEIGHBOURS, Prepared, Progress, embargo_ms
from .shared import key_of, shared_neighbours


def memory_table(
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
) -> Singles:
    """(T, 10) float32 of MEMORY_COLUMNS: at each bar, what followed the most similar earlier bars.

    `horizon` and `embargo` (default: the longer of horizon and window) are in bars; an episode is a horizon. Moments
    of `before`, an archive's, count beside those of these bars, by the same rule; of two of one bar, these bars' one.
    With `shuffled`, a seed, the neighbours stay and their outcomes are lent by others: see `with_lent_outcomes`. What
    was found is kept in `cache` and not searched for again; processes that look for the same share the work.
    """
    out = np.zeros((len(bars), len(MEMORY_COLUMNS)), np.float32)
    vectors = embedder.vectors(bars)
    rows = np.flatnonzero(np.isfinite(vectors[:, 0]))
    moments = matured(bars, vectors, horizon)
    if before is not None:
        moments = together(moments, before)  # as in a store, into which a desk writes what it lives through
    if not len(rows) or not len(moments):
        return out
    embargo, episode_ms = embargo_ms(embedder, bars.interval_ms, horizon, embargo), horizon * bars.interval_ms
    episodes = moments.episodes(episode_ms)
    asked, at = vectors[rows], bars.closed_at[rows]
    past, own = Prepared(moments.vectors, moments.known_at, moments.symbol, episodes), symbol_code(bars.symbol)

    def nearest(some: Ints, progress: Progress | None = None) -> tuple[Ints, Singles]:
        symbols = np.full(len(some), own)
        return past.nearest(asked[some], at[some], k=k, query_symbol=symbols, embargo=embargo, progress=progress)

    if cache is None:
        found = nearest(np.arange(len(rows)), progress)
    else:
        source = source_digest(Path(scoring.__file__))
        key = key_of(source, k, embargo, own, moments.vectors, moments.known_at, moments.symbol, episodes, asked, at)
        found = shared_neighbours(cache / key, len(rows), k, nearest, progress)
    outcomes = moments if shuffled is None else with_lent_outcomes(moments, shuffled, episode_ms)
    write_columns(outcomes, *found, embedder.high_volatility, rows, out)
    return out


def write_columns(
    moments: Moments, indices: Ints, similarities: Singles, high_volatility: float, rows: Ints, out: Singles
) -> None:
    """Write the ten columns of each query to `out[rows[query]]`."""
    outcomes = (moments.forward_return, moments.forward_drawdown, moments.forward_volatility)
    fill_table(indices, similarities, *outcomes, high_volatility, rows, out)
