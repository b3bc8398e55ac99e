"""The order-book block, held against the market's own level-2 and level-3 views."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetank.envs.arena import ArenaEnv
from wavetank.envs.arena_book import ABOUT_BLOCK, MOST_BPS, block_columns
from wavetank.envs.observation import ObservationSpec
from wavetank.simulators.book_views import order_rows

LEVELS = 4
NOTHING = np.array([0, 0, 0, 0])


@pytest.fixture(scope="module")
def plain() -> ArenaEnv:
    return ArenaEnv("normal", episode_bars=8, observation="spine", pool=4, book=LEVELS, tape=True)


@pytest.fixture(scope="module")
def ordering() -> ArenaEnv:
    return ArenaEnv(
        "normal", episode_bars=8, observation="spine", pool=4, book=LEVELS, actions="orders", wake_steps=7, tape=True
    )


def test_the_block_follows_the_account_and_is_named(plain: ArenaEnv, ordering: ArenaEnv) -> None:
    for env, more in ((plain, 0), (ordering, 7)):
        assert env.setup.columns[: env.setup.spec.width] == env.setup.spec.columns
        assert env.observation_space.shape == (env.setup.spec.width + 4 * LEVELS + 3 + more,)
        observation, _ = env.reset(seed=1)
        assert observation.shape == env.observation_space.shape
        assert observation.dtype == np.float32
    told = ", ".join(ABOUT_BLOCK)
    for name in block_columns(2, inside=True, own=True):
        assert name.replace("_1_", "_k_").replace("_2_", "_k_") in told


def test_the_page_tells_of_every_column() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "arena.md").read_text()
    for names, about in ABOUT_BLOCK.items():
        assert f"| `{names}` | {about} |" in page


@pytest.mark.parametrize("seed", range(4))
def test_the_block_is_what_the_markets_level_2_shows(plain: ArenaEnv, seed: int) -> None:
    observation, _ = plain.reset(seed=seed)
    for target in (0.0, 0.7, -0.7, 0.0):
        _assert_block(plain, observation)
        observation, *_ = plain.step(np.array([target], np.float32))


def test_an_observation_without_the_block_is_the_beginning_of_one_with_it(plain: ArenaEnv) -> None:
    bare = ArenaEnv("normal", episode_bars=8, observation="spine", pool=4)
    told = [(plain.reset(seed=9)[0], bare.reset(seed=9)[0])]
    for target in (0.3, -0.9):
        action = np.array([target], np.float32)
        told.append((plain.step(action)[0], bare.step(action)[0]))
    for with_block, without in told:
        assert with_block[: len(without)].tobytes() == without.tobytes()


@pytest.mark.parametrize("sides", [(1,), (-1,), (1, -1)])
def test_a_one_sided_or_empty_book_is_told_in_finite_numbers(plain: ArenaEnv, sides: tuple[int, ...]) -> None:
    plain.reset(seed=4)
    vacuum = plain.market.add_trader(f"vacuum {sides}")
    for side in sides:
        plain.market.submit_market(vacuum, side * 10_000_000, delay_steps=59)
    observation, *_ = plain.step(np.zeros(1, np.float32))
    bids, asks = plain.market.depth(1)
    assert (len(bids), len(asks)) == (0 if -1 in sides else 1, 0 if 1 in sides else 1)
    _assert_block(plain, observation)
    assert np.isfinite(observation).all()
    assert np.abs(observation).max() <= MOST_BPS
    named = dict(zip(plain.setup.columns, observation.tolist(), strict=True))
    assert named["spread_bps"] == MOST_BPS
    if 1 in sides:
        assert (named["ask_1_bps"], named["ask_1_lots"]) == (MOST_BPS, 0.0)
    if len(sides) == 2:
        assert named["imbalance"] == 0.0


def test_own_orders_are_told_with_their_place_in_the_queue(ordering: ArenaEnv) -> None:
    """The oracle counts level-3 rows: price, own lots, lots that stand before."""
    ahead = list[float]()
    for seed in range(6):
        observation, _ = ordering.reset(seed=seed)
        rng = np.random.default_rng(seed)
        while True:
            _assert_block(ordering, observation)
            named = dict(zip(ordering.setup.columns, observation.tolist(), strict=True))
            ahead += [named["own_bid_ahead"], named["own_ask_ahead"]]
            action = np.array([rng.integers(1, 3), rng.integers(1, 5), 0, rng.integers(0, 5) == 0])
            observation, _, terminated, truncated, _ = ordering.step(action)
            if terminated or truncated:
                break
    assert any(0.0 < share < 1.0 for share in ahead)
    assert 0.0 in ahead


def test_a_window_keeps_the_books_of_its_closes_and_shows_the_newest_as_it_is_now() -> None:
    spec = ObservationSpec("wide", 1, ("return_1", "rsi_14"), window=3)
    env = ArenaEnv("normal", episode_bars=5, observation=spec, pool=4, book=2, wake_steps=20)
    first, _ = env.reset(seed=2)
    assert first.shape == (3, spec.width + 4 * 2 + 3 + 1)
    assert (first[:, spec.width :] == first[-1, spec.width :]).all()  # before the first decision: as it is
    at_closes = [*first]
    for k in range(1, 13):
        seen, *_ = env.step(np.array([0.8 if k % 2 else -0.8], np.float32))
        if k % 3 == 0:
            at_closes.append(seen[-1])
        else:
            newest = at_closes[-1]
            assert (seen[-1, :2] == newest[:2]).all()
            assert not (seen[-1, 2:] == newest[2:]).all()
        kept = seen if k % 3 == 0 else seen[:-1]
        last = at_closes[-3:] if k % 3 == 0 else at_closes[-3:-1]
        assert (kept[:, 2:] == np.stack(last)[:, 2:]).all()  # account and book, as observed at those closes


@pytest.mark.parametrize("levels", [-1, 21])
def test_a_depth_that_cannot_be_shown_is_refused(levels: int) -> None:
    with pytest.raises(ValueError, match=f"book {levels} "):
        ArenaEnv("normal", observation="spine", book=levels)


def _assert_block(env: ArenaEnv, observation: np.ndarray[Any, Any]) -> None:
    told, width = observation[env.setup.spec.width :], len(env.setup.block)
    assert len(told) == width
    expected = _expected(env)
    assert list(expected) == list(env.setup.block)
    np.testing.assert_allclose(told, list(expected.values()), rtol=1e-6, atol=1e-6)


def _expected(env: ArenaEnv) -> dict[str, float]:
    """The block in plain Python from what a stranger sees of the market."""
    market, named = env.market, dict[str, float]()
    volumes = [bar.volume for bar in map(market.bars().bar, range(env.setup.warm_up))]
    unit = float(np.median(volumes)) / market.lot / 60
    sides = dict(zip(("bid", "ask"), market.depth(LEVELS), strict=True))
    bids, asks = sides["bid"], sides["ask"]
    mid = (bids[0, 0] + asks[0, 0]) / 2 if len(bids) and len(asks) else float(market.last_ticks)
    for side, rows in sides.items():
        far = -MOST_BPS if side == "bid" else MOST_BPS
        for k in range(1, LEVELS + 1):
            there = k <= len(rows)
            named[f"{side}_{k}_bps"] = _bps(rows[k - 1, 0], mid) if there else far
            named[f"{side}_{k}_lots"] = math.log(1 + rows[k - 1, 1] / unit) if there else 0.0
    total = bids[:, 1].sum() + asks[:, 1].sum()
    named["imbalance"] = (bids[:, 1].sum() - asks[:, 1].sum()) / total if total else 0.0
    spread = 1e4 * (asks[0, 0] - bids[0, 0]) / mid if len(bids) and len(asks) else MOST_BPS
    named["spread_bps"] = min(spread, MOST_BPS)
    named["since_close_bps"] = _bps(mid, market.last_bar().close / market.tick)
    if env.setup.wakes_inside:
        named["bar_elapsed"] = (market.steps % 60) / 60
    if env.setup.menu:
        orders = order_rows(market.world.book)
        for side, sign in (("bid", 1), ("ask", -1)):
            mine = orders[(orders["owner"] == env.owner) & (orders["side"] == sign)]
            far = -MOST_BPS * sign
            named[f"own_{side}_bps"] = _bps(mine["ticks"][0], mid) if len(mine) else far
            named[f"own_{side}_lots"] = math.log(1 + mine["lots"].sum() / unit)
            named[f"own_{side}_ahead"] = 1.0
            if len(mine):
                queue = orders[(orders["ticks"] == mine["ticks"][0]) & (orders["side"] == sign)]
                place = int(np.flatnonzero(queue["owner"] == env.owner)[0])
                named[f"own_{side}_ahead"] = queue["lots"][:place].sum() / queue["lots"].sum()
    return named


def _bps(price: float, reference: float) -> float:
    return float(min(max(1e4 * (price / reference - 1), -MOST_BPS), MOST_BPS))
