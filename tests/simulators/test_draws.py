"""Counter-based draws: their laws, their independence, and an oracle in plain Python integers."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.simulators import draws

N = 20_000


@pytest.fixture
def keys() -> NDArray[np.int64]:
    return draws.keys_of(np.random.SeedSequence(5).spawn(3))


def sample(keys: NDArray[np.int64], row: int, step: int, lane: int, n: int) -> NDArray[np.float64]:
    stream = np.zeros(draws.STREAM_WIDTH, np.int64)
    draws.rekey(stream, keys, row, step, lane)
    return np.array([draws.uniform(stream) for _ in range(n)])


def test_uniform_equals_the_published_hash_in_plain_integers(keys: NDArray[np.int64]) -> None:
    def triple32(x: int) -> int:
        for shift, factor in ((17, 0xED5AD4BB), (11, 0xAC4C1B51), (15, 0x31848BAB)):
            x = (x ^ (x >> shift)) * factor % 2**32
        return x ^ (x >> 14)

    weyl, step, lane = 0x9E3779B9, -7, 3
    first = triple32((int(keys[1, 0]) + step * weyl) % 2**32)
    second = triple32(int(keys[1, 1]) ^ first)
    first = triple32((first + lane * weyl) % 2**32)
    second = triple32((second + first) % 2**32)
    expected = [(triple32(first ^ triple32((second + i * weyl) % 2**32)) + 0.5) / 2**32 for i in range(1, 6)]
    assert sample(keys, 1, step, lane, 5).tolist() == expected


def test_uniform_fills_the_unit_interval_evenly(keys: NDArray[np.int64]) -> None:
    values = sample(keys, 0, 0, 0, N)
    counts = np.histogram(values, 50, (0.0, 1.0))[0]
    chi2 = float((((counts - N / 50) ** 2) / (N / 50)).sum())
    assert 0.0 < values.min() < values.max() < 1.0
    assert chi2 < 49 + 4 * math.sqrt(2 * 49)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 4 / math.sqrt(N)


@pytest.mark.parametrize("other", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -1, 0)])
def test_streams_of_another_key_step_or_lane_are_unrelated(
    keys: NDArray[np.int64], other: tuple[int, int, int]
) -> None:
    mine, its = sample(keys, 0, 0, 0, N), sample(keys, *other, N)
    assert abs(np.corrcoef(mine, its)[0, 1]) < 4 / math.sqrt(N)


def test_first_draws_of_successive_steps_are_uniform_and_uncorrelated(keys: NDArray[np.int64]) -> None:
    values = np.array([sample(keys, 2, step, 1, 1)[0] for step in range(5_000)])
    assert abs(values.mean() - 0.5) < 4 * math.sqrt(1 / 12 / 5_000)
    assert abs(values.var() - 1 / 12) < 0.005
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 4 / math.sqrt(5_000)


def test_laws_have_their_moments(keys: NDArray[np.int64]) -> None:
    stream = np.zeros(draws.STREAM_WIDTH, np.int64)
    draws.rekey(stream, keys, 0, 3, 0)
    normal = np.array([draws.normal(stream) for _ in range(N)])
    counts = np.array([draws.poisson(stream, 1.7) for _ in range(N)])
    sizes = np.array([draws.pareto(stream, 3.0) for _ in range(N)])
    places = np.array([draws.index_below(stream, 5) for _ in range(N)])
    assert abs(normal.mean()) < 4 / math.sqrt(N)
    assert abs(normal.var() - 1.0) < 4 * math.sqrt(2 / N)
    assert abs((normal**4).mean() - 3.0) < 0.3
    assert abs(counts.mean() - 1.7) < 4 * math.sqrt(1.7 / N)
    assert abs(counts.var() - 1.7) < 0.12
    assert sizes.min() >= 1.0
    assert abs((sizes > 2.0).mean() - 0.125) < 4 * math.sqrt(0.11 / N)
    assert np.bincount(places, minlength=5).min() > N / 5 * 0.93


def test_keys_of_are_the_same_for_the_same_seed_and_differ_between_children() -> None:
    one, again = (draws.keys_of(np.random.SeedSequence(9).spawn(4)) for _ in range(2))
    assert np.array_equal(one, again)
    assert len(np.unique(one)) == 8
