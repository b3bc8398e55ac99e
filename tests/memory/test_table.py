"""The ten columns over a history: against a plain twin, and blind to the future to the last bit."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from wavetank.memory.columns import MEMORY_COLUMNS, outcome_columns
from wavetank.memory.embed import Embedder
from wavetank.memory.moments import forward_outcomes, moments_of
from wavetank.memory.recall import memory_table, nearest_as_of

from .walks import HOUR_MS, splice, walk

ROOT = Path(__file__).parents[2]
BARS = walk(500, gap_at=300)
EMBEDDER = Embedder.fit(BARS, 300, window=32, width=12)
AVAILABLE = MEMORY_COLUMNS.index("available")


def test_the_table_equals_a_plain_search_bar_by_bar() -> None:
    horizon, embargo, k = 6, 40, 10
    table = memory_table(BARS, EMBEDDER, k=k, horizon=horizon, embargo=embargo)
    vectors, outcomes = EMBEDDER.vectors(BARS).astype(np.float64), forward_outcomes(BARS, horizon)
    closed = BARS.closed_at
    for t in (100, 200, 299, 350, 499):
        ranked = []
        for i in range(len(BARS) - horizon):
            known = np.isfinite(outcomes[i, 0]) and np.isfinite(vectors[i, 0])
            if known and closed[i + horizon] <= closed[t] - embargo * HOUR_MS:
                ranked.append((-float(np.float32(vectors[i] @ vectors[t])), i))
        chosen: dict[int, tuple[float, int]] = {}
        for score, i in sorted(ranked):
            chosen.setdefault(int(closed[i]) // (horizon * HOUR_MS), (score, i))
        best = list(chosen.values())[:k]
        assert len(best) == k or t == 100
        scores = np.array([-score for score, _ in best], np.float32)
        a, b, c = outcomes[[i for _, i in best]].T.copy()
        ten = outcome_columns(scores, a, b, c, len(best), EMBEDDER.high_volatility)
        np.testing.assert_allclose(table[t], ten, rtol=1e-5, atol=1e-6)


def test_the_past_is_empty_at_the_start_and_after_a_gap_until_windows_are_whole() -> None:
    table = memory_table(BARS, EMBEDDER, horizon=6)
    on = np.flatnonzero(table[:, AVAILABLE])
    # window 32 + outcome 6 + embargo 32, then eight episodes of six bars
    assert 31 + 6 + 32 + 7 * 6 - 6 <= on[0] <= 31 + 6 + 32 + 8 * 6
    assert not table[: on[0]].any()
    assert not table[300:331].any()
    assert table[331:, AVAILABLE].all()
    assert np.isfinite(table).all()


def test_another_future_leaves_every_vector_neighbour_and_column_of_the_past_as_it_was() -> None:
    cut, horizon = 380, 6
    other = splice(BARS, walk(500, seed=99), cut)
    embedder = Embedder.fit(other, 300, window=32, width=12)
    assert embedder.digest == EMBEDDER.digest
    np.testing.assert_array_equal(embedder.vectors(other)[:cut], EMBEDDER.vectors(BARS)[:cut])
    table, changed = memory_table(BARS, EMBEDDER, horizon=horizon), memory_table(other, embedder, horizon=horizon)
    np.testing.assert_array_equal(changed[:cut], table[:cut])
    assert not np.array_equal(changed[cut:], table[cut:])  # the future did change
    np.testing.assert_array_equal(
        memory_table(BARS.slice(0, cut), EMBEDDER, horizon=horizon), table[:cut]
    )  # nor does it matter whether there is a future


def test_outcomes_that_are_not_known_yet_cannot_be_found_however_alluring() -> None:
    moments = moments_of(BARS, EMBEDDER, 6)
    asked_at = int(BARS.closed_at[380])
    query = EMBEDDER.vectors(BARS)[380][None, :]
    before = nearest_as_of(moments.vectors, moments.known_at, query, [asked_at], k=16)
    vectors = moments.vectors.copy()
    vectors[moments.known_at > asked_at] = query[0]  # perfect matches, all of them in the future
    after = nearest_as_of(vectors, moments.known_at, query, [asked_at], k=16)
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[1], before[1])
    assert (moments.known_at[before[0][0]] <= asked_at).all()


def digest() -> str:
    bars = walk(220)
    embedder = Embedder("1h", 32, 0, 0.01, EMBEDDER.centre, EMBEDDER.scale, EMBEDDER.rotation)
    table = memory_table(bars, embedder, horizon=3, embargo=3)
    assert table[:, AVAILABLE].any()
    return hashlib.sha256(embedder.vectors(bars).tobytes() + table.tobytes()).hexdigest()


def test_interpreted_kernels_give_the_same_bits() -> None:
    code = "from tests.memory.test_table import digest; print(digest())"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == digest()
