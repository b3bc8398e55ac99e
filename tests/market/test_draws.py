"""Counter-based randomness gives Random123's numbers, in range and evenly spread."""

import numpy as np
import pytest

from wavetank.market.draws import below, threefry, uniform

_MASK = 0xFFFFFFFF
_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)  # R_32x2 of the paper's table


def _plain_threefry(key: tuple[int, int], counter: tuple[int, int]) -> tuple[int, int]:
    """Twenty rounds as the paper's listing has them: a key injection after every fourth."""
    schedule = (*key, 0x1BD11BDA ^ key[0] ^ key[1])
    x = [(counter[k] + key[k]) & _MASK for k in (0, 1)]
    for r in range(20):
        by = _ROTATIONS[r % 8]
        x[0] = (x[0] + x[1]) & _MASK
        x[1] = ((x[1] << by | x[1] >> (32 - by)) & _MASK) ^ x[0]
        if r % 4 == 3:
            s = r // 4 + 1
            x = [(x[0] + schedule[s % 3]) & _MASK, (x[1] + schedule[(s + 1) % 3] + s) & _MASK]
    return x[0], x[1]


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((_MASK, _MASK), (_MASK, _MASK), (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_published_known_answers(
    counter: tuple[int, int], key: tuple[int, int], words: tuple[int, int]
) -> None:
    assert threefry(*key, *counter) == words
    assert _plain_threefry(key, counter) == words


def test_threefry_equals_its_plain_twin_everywhere() -> None:
    for words in np.random.default_rng(1).integers(0, 2**32, (2_000, 4)).tolist():
        assert threefry(*words) == _plain_threefry((words[0], words[1]), (words[2], words[3]))


def test_a_uniform_is_the_first_53_bits_of_its_two_words() -> None:
    rng = np.random.default_rng(2)
    for stream in rng.integers(-(2**63), 2**63, 500).tolist():
        bits = stream & 0xFFFFFFFFFFFFFFFF
        words = _plain_threefry((bits >> 32, bits & _MASK), (3, 5))
        assert uniform(stream, 3, 5) == ((words[0] << 32 | words[1]) >> 11) / 2**53


def test_draws_are_in_range_and_evenly_spread() -> None:
    draws = np.array([uniform(7, 0, k) for k in range(20_000)])
    assert draws.min() >= 0.0
    assert draws.max() < 1.0
    counts = np.bincount([below(10, 7, 1, k) for k in range(20_000)], minlength=10)
    assert len(counts) == 10
    chi_squared = float(((counts - 2_000) ** 2 / 2_000).sum())
    assert chi_squared < 27.9  # the 0.1 % point of 9 degrees of freedom; the draws are fixed
    assert abs(draws.mean() - 0.5) < 0.01


def test_stream_episode_and_draw_each_change_the_number() -> None:
    at = [(s, e, d) for s in (-5, 0, 1, 2**40, 2**62) for e in range(8) for d in range(8)]
    assert len({uniform(*where) for where in at}) == len(at)


def test_below_one_is_always_nothing() -> None:
    assert {below(1, stream, 0, 0) for stream in range(200)} == {0}
