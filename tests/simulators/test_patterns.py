"""A market of words, read back from its bars: what words are, what they mean, what knowing them earns."""

import numpy as np
import pytest

from wavetank.simulators.patterns import LENGTH, MEANING, QUIET, WORDS, Patterns, patterns

CLEAR = Patterns(noise=1e-9)


def moves_of(count: int, seed: int = 1) -> np.ndarray:
    """Log returns from close to close of a market without noise, the first bar's from its open."""
    bars = patterns(count, rng=np.random.default_rng(seed), parameters=CLEAR)
    return np.diff(np.log(np.r_[bars.open[0], bars.close]))


def test_words_add_up_to_nothing_are_orthogonal_and_mean_up_as_often_as_down() -> None:
    assert np.array_equal(WORDS @ WORDS.T, LENGTH * np.eye(len(WORDS)))
    assert not WORDS.sum(axis=1).any()
    assert MEANING.sum() == 0.0


def test_after_every_word_comes_what_it_means_and_its_opposite_means_the_same() -> None:
    moves, read = moves_of(20_000), set[tuple[int, float]]()
    at = 0
    while at + QUIET[1] + 2 * LENGTH < len(moves):
        at += int(np.argmax(np.abs(moves[at:]) > 0.5 * CLEAR.drift))  # the quiet is over
        word = WORDS @ moves[at : at + LENGTH] / (LENGTH * CLEAR.size)
        known = int(np.argmax(np.abs(word)))
        assert np.abs(word[known]) == pytest.approx(1.0, abs=1e-5)
        after = moves[at + LENGTH : at + 2 * LENGTH]
        assert after == pytest.approx(np.full(LENGTH, MEANING[known] * CLEAR.drift), abs=1e-6)
        assert MEANING[known] * after.sum() == pytest.approx(CLEAR.edge_per_cycle, abs=1e-6)
        read.add((known, float(np.sign(word[known]))))
        at += 2 * LENGTH
    assert len(read) == 2 * len(WORDS)


def test_equal_seeds_draw_equal_bars_and_none_is_refused() -> None:
    one, other, third = (patterns(300, rng=np.random.default_rng(seed)) for seed in (4, 4, 5))

    assert one.close.tobytes() == other.close.tobytes() != third.close.tobytes()
    assert np.array_equal(one.open[1:], one.close[:-1])
    with pytest.raises(ValueError, match="n_bars is 0"):
        patterns(0, rng=np.random.default_rng(4))
