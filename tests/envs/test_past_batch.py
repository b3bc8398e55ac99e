"""The live past held against the batch, over long walks with gaps, alone and beside other symbols' archives."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.memory.walks import HOUR_MS, walk

from wavetank.envs.past import Live, Tabled
from wavetank.market.bars import Bars
from wavetank.memory.columns import MEMORY_COLUMNS
from wavetank.memory.edge import EdgeMemory
from wavetank.memory.embed import Embedder
from wavetank.memory.moments import OUTCOMES, Moments, moments_of
from wavetank.memory.recall import nearest_as_of
from wavetank.memory.store import ingest
from wavetank.memory.table import write_columns

HORIZON, K = 6, 10


def long_walk(symbol: str, seed: int) -> Bars:
    """1,600 bars in three segments, the middle one begun behind a short gap, which is crossed."""
    bars = walk(1600, seed=seed, symbol=symbol)
    opened_at = bars.opened_at.copy()
    for row, missing in ((500, 2), (620, 30), (1210, 5)):
        opened_at[row:] += missing * HOUR_MS
    return replace(bars, opened_at=opened_at)


@pytest.mark.slow
def test_over_a_long_walk_with_gaps_the_default_embedder_remembers_alike_live_and_in_the_table(tmp_path: Path) -> None:
    bars = long_walk("X", 3)
    embedder = Embedder.fit(bars, 700)
    tabled = Tabled.of(bars, embedder)
    with EdgeMemory(tmp_path / "s", embedder.width, embedder=embedder.digest) as memory:
        past, available = Live(memory, embedder, interval="1h", symbol="X"), 0.0
        for bar, closed_at in zip(bars, bars.closed_at.tolist(), strict=True):
            past.on_bar(bar)
            row = past.columns(closed_at)
            assert row.tobytes() == tabled.columns(closed_at).tobytes(), closed_at
            available += float(row[-1])
    assert embedder.width == 128
    assert available > 1000


@pytest.mark.slow
def test_beside_the_archive_of_other_symbols_live_finds_what_one_search_over_all_finds(tmp_path: Path) -> None:
    """Each bar's columns against a search over the moments of three symbols, every instant's known ones."""
    bars, others = long_walk("X", 3), [long_walk("Y", 4), long_walk("Z", 5)]
    embedder = Embedder.fit(bars, 700)
    archives = [moments_of(other, embedder, HORIZON) for other in others]
    twin = searched(bars, [moments_of(bars, embedder, HORIZON), *archives], embedder)
    with EdgeMemory(tmp_path / "s", embedder.width, embedder=embedder.digest) as memory:
        for archive in archives:
            ingest(memory, archive)
        past = Live(memory, embedder, interval="1h", symbol="X", k=K, horizon=HORIZON)
        for t, bar in enumerate(bars):
            past.on_bar(bar)
            assert past.columns(int(bars.closed_at[t])).tobytes() == twin[t].tobytes(), t
    assert twin[:, -1].sum() > 1300


def searched(bars: Bars, moments: Sequence[Moments], embedder: Embedder) -> NDArray[np.float32]:
    """(T, 10): one search for every bar over all of these moments, in the order that settles ties."""
    names = ("id", "symbol", "closed_at", "known_at", *OUTCOMES, "vectors")
    columns = [np.concatenate([getattr(part, name) for part in moments]) for name in names]
    order = np.lexsort((columns[0], columns[3]))
    i, symbol, closed, known, gain, fall, volatility, states = (column[order] for column in columns)
    whole = Moments(i, symbol, closed, known, gain, fall, volatility, states)
    vectors, span = embedder.vectors(bars), HORIZON * HOUR_MS
    rows = np.flatnonzero(np.isfinite(vectors[:, 0]))
    indices, similarities = nearest_as_of(
        whole.vectors,
        whole.known_at,
        vectors[rows],
        bars.closed_at[rows],
        k=K,
        symbol=whole.symbol,
        query_symbol=np.full(len(rows), moments[0].symbol[0]),
        embargo=embedder.window * HOUR_MS,
        episode=whole.episodes(span),
    )
    out: NDArray[np.float32] = np.zeros((len(bars), len(MEMORY_COLUMNS)), np.float32)
    write_columns(whole, indices, similarities, embedder.high_volatility, rows, out)
    return out
