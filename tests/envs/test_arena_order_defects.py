"""ABIDES-Gym's defects once more, where actions are orders and wakes lie inside bars (see test_arena_defects.py)."""

import random  # noqa: TID251  # to show that nobody draws from it
import tracemalloc
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from wavetank.envs.arena import ArenaEnv, BatchArenaEnv

SETUP: dict[str, Any] = {
    "episode_bars": 2, "observation": "spine", "pool": 4, "actions": "orders", "book": 3, "wake_steps": 20,
}  # fmt: skip
HOLD, TAKE, QUOTE, SELL = (np.array(action) for action in ((0, 0, 0, 0), (1, 0, 1, 0), (1, 5, 1, 0), (2, 0, 1, 0)))


@pytest.fixture(scope="module")
def env() -> ArenaEnv:
    return ArenaEnv("normal", **SETUP)


@pytest.mark.parametrize("action", [TAKE, QUOTE, SELL])
def test_a_the_first_reward_of_a_second_episode_is_its_own(env: ArenaEnv, action: np.ndarray[Any, Any]) -> None:
    _finish(env, 3, action)
    env.reset()
    for _ in range(4):
        _, reward, _, _, info = env.step(HOLD)
        assert reward == 0.0
        assert (info["lots"], info["fees"], info["filled_lots"]) == (0, 0.0, 0)


def test_a_the_same_holds_in_a_batch() -> None:
    batch = BatchArenaEnv("normal", 3, **SETUP)
    batch.reset(seed=3)
    for k in range(6):
        told = batch.step(np.stack([TAKE, QUOTE, SELL] if k % 2 else [QUOTE, QUOTE, TAKE]))
    assert told[3].all()
    for _ in range(5):
        assert batch.step(np.stack([HOLD] * 3))[1].tolist() == [0.0, 0.0, 0.0]


def test_b_nothing_of_an_episode_survives_it(env: ArenaEnv) -> None:
    fresh = ArenaEnv("normal", **SETUP)
    _finish(env, 8, QUOTE)
    assert env.market.position(env.owner) == env.account.lots
    assert _walk(env, 9) == _walk(fresh, 9)
    assert env.market.cash(env.owner) == fresh.market.cash(fresh.owner)


@pytest.mark.parametrize(("action", "sign"), [(TAKE, 1), (SELL, -1)])
def test_c_signs_are_those_of_the_action(env: ArenaEnv, action: np.ndarray[Any, Any], sign: int) -> None:
    env.reset(seed=5)
    _, _, _, _, info = env.step(action)
    assert np.sign(info["order_lots"]) == np.sign(info["lots"]) == np.sign(info["exposure"]) == sign


def test_d_bids_stand_below_the_mid_and_asks_above(env: ArenaEnv) -> None:
    observation, _ = env.reset(seed=5)
    named = dict(zip(env.setup.columns, observation.tolist(), strict=True))
    assert all(named[f"bid_{k}_bps"] < 0.0 < named[f"ask_{k}_bps"] for k in (1, 2, 3))
    assert named["bid_1_bps"] > named["bid_2_bps"] > named["bid_3_bps"]
    assert named["ask_1_bps"] < named["ask_2_bps"] < named["ask_3_bps"]


def test_e_arenas_do_not_touch_the_global_generators_nor_each_other(env: ArenaEnv) -> None:
    before = random.getstate(), np.random.get_state()[1].tobytes()  # type: ignore[index]  # noqa: NPY002
    alone = _walk(env, 12)
    other, beside = ArenaEnv("flash_crash", **SETUP), []
    env.reset(seed=12)
    other.reset(seed=1)
    for action in (TAKE, QUOTE, HOLD, SELL):
        other.step(QUOTE)
        beside.append(env.step(action)[0].tobytes())
    assert beside == alone
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == before  # type: ignore[index]  # noqa: NPY002


def test_f_a_step_copies_no_book() -> None:
    """A market's arrays are 8 MB."""
    batch = BatchArenaEnv("normal", 4, **(SETUP | {"episode_bars": 50}))
    batch.reset(seed=2)
    batch.step(np.stack([HOLD] * 4))
    tracemalloc.start()
    for k in range(10):
        batch.step(np.stack([QUOTE if k % 2 else TAKE] * 4))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


def test_g_observations_are_scaled_and_more_can_be_said_than_a_market_order(env: ArenaEnv) -> None:
    spent = set[int]()
    for seed in range(3):
        env.reset(seed=seed)
        for size in (0, 1, 2):
            observation, _, _, _, info = env.step(np.array([1 + size % 2, 1 + size, size, 0]))
            spent.add(abs(info["order_lots"]))
            assert np.abs(observation).max() <= 50.0
            assert observation.dtype == np.float32
    assert len(spent) > 3


def test_h_the_env_speaks_todays_gymnasium(env: ArenaEnv) -> None:
    with pytest.warns(UserWarning, match="infinity"):  # an unbounded Box is told, and is meant
        check_env(env, skip_render_check=True)
    assert isinstance(env.action_space, gymnasium.spaces.MultiDiscrete)
    env.reset(seed=1)
    assert len(env.step(env.action_space.sample())) == 5


def _finish(env: ArenaEnv, seed: int, action: np.ndarray[Any, Any]) -> None:
    env.reset(seed=seed)
    while not any(env.step(action)[2:4]):
        pass


def _walk(env: ArenaEnv, seed: int) -> list[bytes]:
    env.reset(seed=seed)
    return [env.step(action)[0].tobytes() for action in (TAKE, QUOTE, HOLD, SELL)]
