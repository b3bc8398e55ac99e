"""The ten columns over a history: against a plain twin, and blind to the future to the last bit."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from wavetank.memory.columns import MEMORY_COLUMNS, outcome_columns
from wavetank.memory.embed import Embedder
from wavetank.memory.moments import forward_outcomes, moments_of, together, with_lent_outcomes
from wavetank.memory.recall import nearest_as_of
from wavetank.memory.table import memory_table

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


def test_a_table_out_of_the_cache_is_the_table(tmp_path: Path) -> None:
    table = memory_table(BARS, EMBEDDER, horizon=6, cache=tmp_path)
    np.testing.assert_array_equal(table, memory_table(BARS, EMBEDDER, horizon=6))
    (kept,) = tmp_path.iterdir()
    np.testing.assert_array_equal(memory_table(BARS, EMBEDDER, horizon=6, cache=tmp_path), table)
    np.testing.assert_array_equal(  # neighbours do not depend on what their outcomes are
        memory_table(BARS, EMBEDDER, horizon=6, shuffled=1, cache=tmp_path),
        memory_table(BARS, EMBEDDER, horizon=6, shuffled=1),
    )
    assert list(tmp_path.iterdir()) == [kept]
    memory_table(BARS, EMBEDDER, horizon=6, k=9, cache=tmp_path)
    memory_table(splice(BARS, walk(500, seed=99), 499), EMBEDDER, horizon=6, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_lent_outcomes_are_somebody_elses_and_never_of_later() -> None:
    moments = moments_of(BARS, EMBEDDER, 6)
    lent = with_lent_outcomes(moments, 3, 6 * HOUR_MS)
    place = {outcome: i for i, outcome in enumerate(moments.forward_return.tolist())}
    drawn = np.array([place[outcome] for outcome in lent.forward_return.tolist()])
    assert (moments.known_at[drawn] <= moments.known_at).all()
    assert (drawn != np.arange(len(drawn))).mean() > 0.9
    np.testing.assert_array_equal(lent.forward_drawdown, moments.forward_drawdown[drawn])  # an outcome stays together
    np.testing.assert_array_equal(lent.forward_volatility, moments.forward_volatility[drawn])
    np.testing.assert_array_equal(lent.vectors, moments.vectors)
    assert not np.array_equal(with_lent_outcomes(moments, 4, 6 * HOUR_MS).forward_return, lent.forward_return)


def test_lent_outcomes_change_from_bar_to_bar_as_little_as_they_did() -> None:
    """Else a policy would trade more on them, and lose by that alone."""
    bars = walk(3000, seed=4)
    moments = moments_of(bars, Embedder.fit(bars, window=32, width=12), 24)
    lent = with_lent_outcomes(moments, 3, 24 * HOUR_MS)
    before, after = (np.corrcoef(one.forward_return[:-1], one.forward_return[1:])[0, 1] for one in (moments, lent))
    assert before > 0.9
    assert after > 0.85


def test_each_symbol_lends_to_itself_alone() -> None:
    one, other = (moments_of(walk(500, seed=seed, symbol=name), EMBEDDER, 6) for seed, name in ((1, "A"), (2, "B")))
    both = together(one, other)
    lent = with_lent_outcomes(both, 3, 6 * HOUR_MS)
    for part in (one, other):
        own = both.symbol == part.symbol[0]
        np.testing.assert_array_equal(lent.forward_return[own], with_lent_outcomes(part, 3, 6 * HOUR_MS).forward_return)


def test_moments_of_an_archive_count_beside_those_of_the_bars() -> None:
    """What a desk remembers that was trained on one stretch and lives through the next: a table over both, cut."""
    whole = memory_table(BARS, EMBEDDER, horizon=6)
    early, late = BARS.slice(0, 260), BARS.slice(200, 500)
    archive = moments_of(early, EMBEDDER, 6)
    table = memory_table(late, EMBEDDER, horizon=6, before=archive)
    alone = memory_table(late, EMBEDDER, horizon=6)
    np.testing.assert_array_equal(table[60:], whole[260:])  # by then every window of the late bars is whole
    assert not np.array_equal(alone[100:], table[100:])


def test_two_archives_are_one_in_order_and_what_stands_in_both_counts_once() -> None:
    early, late = (moments_of(BARS.slice(*part), EMBEDDER, 6) for part in ((0, 260), (200, 300)))
    both, whole = together(early, late), moments_of(BARS.slice(0, 300), EMBEDDER, 6)
    for name in ("id", "known_at", "forward_return", "vectors"):
        np.testing.assert_array_equal(getattr(both, name), getattr(whole, name))


def test_lent_outcomes_know_no_future_either() -> None:
    cut = 380
    other = splice(BARS, walk(500, seed=99), cut)
    table, changed = (memory_table(bars, EMBEDDER, horizon=6, shuffled=1) for bars in (BARS, other))
    np.testing.assert_array_equal(changed[:cut], table[:cut])
    plain = memory_table(BARS, EMBEDDER, horizon=6)
    novelty = MEMORY_COLUMNS.index("novelty")
    np.testing.assert_array_equal(table[:, novelty], plain[:, novelty])
    on = plain[:, AVAILABLE] == 1
    assert (table[on, 0] != plain[on, 0]).mean() > 0.9


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
