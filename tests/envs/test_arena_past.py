"""The arena's past: a frozen archive and the market's own matured moments, held against one search over both."""

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.envs.arena import ArenaEnv, BatchArenaEnv
from wavetank.envs.arena_past import ALWAYS, OWN, ArenaMemory, Recollection
from wavetank.envs.observation import ObservationSpec
from wavetank.market.bars import Bars
from wavetank.memory.columns import MEMORY_COLUMNS
from wavetank.memory.embed import Embedder
from wavetank.memory.moments import Embedding, Moments, moments_of
from wavetank.memory.recall import nearest_as_of
from wavetank.memory.table import write_columns
from wavetank.simulators.crowd import CrowdMarket

HORIZON, K = 6, 12
SPEC = ObservationSpec("remembering", 1, ("return_1", "rsi_14"), MEMORY_COLUMNS, window=2)


@pytest.fixture(scope="module")
def memory() -> ArenaMemory:
    training = CrowdMarket("normal", 31).run(700).bars()
    embedder = Embedder.fit(training, window=32, width=8)
    return ArenaMemory(embedder, moments_of(training, embedder, HORIZON), K, HORIZON)


@pytest.fixture(scope="module")
def lived() -> Bars:
    return CrowdMarket("normal", 32).run(220).bars()


def test_it_recalls_what_one_search_over_archive_and_own_moments_finds(memory: ArenaMemory, lived: Bars) -> None:
    past, own = Recollection(memory, "1m", 2, len(lived)), set[bytes]()
    for t in range(len(lived)):
        told = past.columns([1], [lived.slice(max(0, t + 1 - memory.bars), t + 1)])[0]
        if t % 20 == 19 or t > len(lived) - 4:
            assert told.tobytes() == _searched(memory, lived.slice(0, t + 1)).tobytes(), t
            assert told[MEMORY_COLUMNS.index("available")] == (t >= memory.embedder.window - 1)
            own.add(told.tobytes())
    assert len(own) > 10
    assert past.taken(1).lived[0] > 150
    assert past.taken(0).lived[0] == 0


def test_own_moments_are_recalled_and_not_before_their_embargo(memory: ArenaMemory, lived: Bars) -> None:
    """Without an archive, whatever is recalled is the market's own."""
    empty = np.zeros(0, np.float32)
    none = _outcomes(empty, empty, empty, np.zeros((0, memory.embedder.width), np.float32))
    past = Recollection(ArenaMemory(memory.embedder, none, K, HORIZON, embargo=40), "1m", 1, len(lived))
    available = []
    for t in range(len(lived)):
        shown = lived.slice(max(0, t + 1 - memory.bars), t + 1)
        available.append(bool(past.columns([0], [shown])[0, MEMORY_COLUMNS.index("available")]))
    first = available.index(True)
    assert first >= memory.embedder.window - 1 + HORIZON + 40
    assert all(available[first:])


class OneByOne:
    """The same embedder, for those that see one market at a time."""

    def __init__(self, embedder: Embedding) -> None:
        self.window, self.width, self.digest = embedder.window, embedder.width, embedder.digest
        self.high_volatility, self.vectors, self.vector = embedder.high_volatility, embedder.vectors, embedder.vector


def test_many_markets_asked_together_recall_as_each_alone(memory: ArenaMemory, lived: Bars) -> None:
    """Twenty markets, each a stretch of its own; alone they are asked through an embedder that sees one at a time, and
    some bars without the others."""
    count, bars = 20, 90
    single = replace(memory, embedder=OneByOne(memory.embedder))
    starts = [6 * i for i in range(count)]
    together, alone = Recollection(memory, "1m", count, bars), Recollection(single, "1m", count, bars)
    rng, told = np.random.default_rng(3), set[bytes]()
    ages = np.zeros(count, int)
    while ages.min() < bars:
        rows = [i for i in range(count) if ages[i] < bars and rng.uniform() < 0.9]
        shown = [lived.slice(starts[i] + max(0, ages[i] + 1 - memory.bars), starts[i] + ages[i] + 1) for i in rows]
        found = together.columns(rows, shown)
        for place, i in enumerate(rows):
            assert alone.columns([i], [shown[place]])[0].tobytes() == found[place].tobytes()
            told.add(found[place].tobytes())
        ages[rows] += 1
    assert len(told) > 100
    for name, array in together.kept._asdict().items():
        assert array.tobytes() == getattr(alone.kept, name).tobytes(), name


def test_a_memory_that_was_asked_travels_to_another_process(memory: ArenaMemory, lived: Bars) -> None:
    shown = [lived.slice(60, 60 + memory.bars)]
    first = Recollection(memory, "1m", 1, 5).columns([0], shown)
    sent = pickle.dumps(memory)
    assert len(sent) == len(pickle.dumps(replace(memory)))  # nothing that was prepared goes along
    again = Recollection(pickle.loads(sent), "1m", 1, 5).columns([0], shown)
    assert again.tobytes() == first.tobytes()
    assert first[0, -1] == 1.0


def test_a_moment_whose_outcome_crosses_a_gap_is_not_lived_through(memory: ArenaMemory, lived: Bars) -> None:
    opened_at = lived.opened_at.copy()
    opened_at[70:] += 20 * lived.interval_ms
    broken, window = replace(lived, opened_at=opened_at), memory.embedder.window
    past = Recollection(memory, "1m", 1, len(broken))
    for t in range(120):
        past.columns([0], [broken.slice(max(0, t + 1 - memory.bars), t + 1)])
    kept, own = past.taken(0), moments_of(broken.slice(0, 120), memory.embedder, HORIZON)
    assert len(own) == (70 - window + 1 - HORIZON) + (50 - window + 1 - HORIZON)
    np.testing.assert_array_equal(kept.closed_at, own.closed_at)
    np.testing.assert_array_equal(kept.outcomes[:, 0], own.forward_return)
    np.testing.assert_array_equal(kept.vectors, own.vectors)


@pytest.mark.parametrize("more", [{}, {"wake_steps": 25, "book": 2}])
def test_a_row_of_the_batch_remembers_as_the_single_arena(memory: ArenaMemory, more: dict[str, Any]) -> None:
    setup: dict[str, Any] = {"observation": SPEC, "past": memory, "episode_bars": 9, "pool": 4, **more}
    batch, singles = BatchArenaEnv("normal", 3, **setup), [ArenaEnv("normal", **setup) for _ in range(3)]
    seen, _ = batch.reset(seed=2)
    assert seen.tobytes() == np.stack([env.reset(seed=2 + i)[0] for i, env in enumerate(singles)]).tobytes()
    assert seen[:, -1, 2 + MEMORY_COLUMNS.index("available")].all()
    for action in np.random.default_rng(0).uniform(-1, 1, (40, 3)):
        seen, rewards, _, truncated, _ = batch.step(action)
        for i, env in enumerate(singles):
            observation, reward, _, over, _ = env.step(action[i])
            if over:
                observation, _ = env.reset()
            assert (reward, over) == (rewards[i], truncated[i])
            assert observation.tobytes() == seen[i].tobytes()
    other = BatchArenaEnv("normal", 3, **setup)
    other.reset(seed=9)
    other.set_state(batch.state())
    assert other.step(np.zeros(3))[0].tobytes() == batch.step(np.zeros(3))[0].tobytes()


def test_columns_and_past_must_match(memory: ArenaMemory) -> None:
    for keywords in ({"observation": SPEC}, {"observation": "spine", "past": memory}):
        with pytest.raises(ValueError, match="the past does not match"):
            ArenaEnv("normal", **keywords)


def _searched(memory: ArenaMemory, bars: Bars) -> NDArray[np.float32]:
    """The ten columns from one search over the archive, known always, and the own moments with their embargo."""
    archive, own = memory.archive, moments_of(bars, memory.embedder, HORIZON)
    out: NDArray[np.float32] = np.zeros((1, len(MEMORY_COLUMNS)), np.float32)
    query = memory.embedder.vectors(bars)[-1:]
    if not np.isfinite(query[0, 0]):
        return out.reshape(-1)
    step = bars.interval_ms
    embargo, now = step * max(HORIZON, memory.embedder.window), int(bars.closed_at[-1])
    known = own.known_at <= now - embargo
    both = [np.concatenate([getattr(archive, name), getattr(own, name)[known]]) for name in
            ("forward_return", "forward_drawdown", "forward_volatility", "vectors")]  # fmt: skip
    episodes = np.concatenate(
        [archive.episodes(HORIZON * step), (OWN << 32) + own.closed_at[known] // (HORIZON * step)]
    )
    rows = np.arange(len(episodes))
    found = nearest_as_of(both[3], rows, query, np.array([ALWAYS]), k=K, episode=episodes)
    write_columns(_outcomes(*both), *found, memory.embedder.high_volatility, np.zeros(1, np.int64), out)
    return out.reshape(-1)


def _outcomes(
    returns: NDArray[np.float32],
    falls: NDArray[np.float32],
    volatilities: NDArray[np.float32],
    vectors: NDArray[np.float32],
) -> Moments:
    """Moments of which only what followed counts."""
    at = np.zeros(len(returns), np.int64)
    return Moments(at, at, at, at, returns, falls, volatilities, vectors)
