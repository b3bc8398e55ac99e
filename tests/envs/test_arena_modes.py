"""Every mode of the arena: a row of the batch is the single arena bit for bit, and the checkers are content."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from numpy.typing import NDArray
from stable_baselines3.common.env_checker import check_env as sb3_check

from wavetank.envs.adapters import SB3VecEnv
from wavetank.envs.arena import ArenaEnv, BatchArenaEnv
from wavetank.envs.observation import ObservationSpec
from wavetank.market.costs import Costs
from wavetank.market.jit import set_threads, threads
from wavetank.market.limits import Limits

COUNT = 3
WIDE = ObservationSpec("wide", 1, ("return_1", "rsi_14", "rsi_14@5m"), window=4)
SHORT: dict[str, Any] = {"observation": "spine", "pool": 4}
FEES = Costs(taker_fee_bps=7.0, maker_fee_bps=-1.0, borrow_bps_per_day=50.0)
MODES: dict[str, dict[str, Any]] = {
    "book": {"book": 5, "episode_bars": 7, **SHORT},
    "book and window": {"book": 3, "episode_bars": 7, "observation": WIDE, "pool": 4},
    "wakes": {"wake_steps": 17, "episode_bars": 3, **SHORT},
    "wakes, book and window": {"wake_steps": 25, "book": 2, "episode_bars": 4, "observation": WIDE, "pool": 4},
    "wakes on fills": {"wake_on_fill": True, "episode_bars": 6, "actions": "discrete", **SHORT},
    "orders": {"actions": "orders", "episode_bars": 7, "costs": FEES, **SHORT},
    "orders, book and wakes": {
        "actions": "orders", "book": 4, "wake_steps": 9, "wake_on_fill": True, "episode_bars": 2, "costs": FEES,
        "order_levels": 2, "order_sizes": [0.05, 0.4], "scenario": {"normal": 0.5, "flash_crash": 0.5},
        "rewards": {"log_growth": 1.0, "drawdown": 0.3, "cost": 0.1}, **SHORT,
    },
    "orders under limits": {
        "actions": "orders", "wake_steps": 20, "episode_bars": 18, "size": 8.0,
        "limits": Limits("live", 0.8, 0.5, 0.0003, 0.0005), **SHORT,
    },
    "orders until halted": {
        "actions": "orders", "wake_steps": 30, "episode_bars": 30, "size": 8.0, "book": 1,
        "limits": Limits("live", 1.0, 2.0, 0.0003, 0.0006, terminate_on_halt=True), **SHORT,
    },
    "hours": {"interval": "1h", "actions": "orders", "wake_steps": 30, "book": 2, "episode_bars": 5, **SHORT},
}  # fmt: skip


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_row_of_the_batch_is_the_single_arena(name: str, workers: int) -> None:
    before = threads()
    set_threads(workers)
    try:
        ended, states = _walk_beside(MODES[name], steps=60)
    finally:
        set_threads(before)
    assert ended >= COUNT, "the walk must reach into a second episode"
    if name == "orders under limits":
        assert states == {"ACTIVE", "REDUCING", "HALTED"}


@pytest.mark.parametrize("name", MODES)
def test_one_seed_walks_one_way(name: str) -> None:
    env = ArenaEnv(**MODES[name])
    actions = _drawn(env, np.random.default_rng(5), 8)
    walks = []
    for seed in (3, 4, 3):
        walk = [env.reset(seed=seed)[0].tobytes()]
        for action in actions:
            observation, reward, ended, over, _ = env.step(action)
            walk.append(observation.tobytes() + np.float64(reward).tobytes())
            if ended or over:
                break
        walks.append(walk)
    assert walks[0] == walks[2] != walks[1]


@pytest.mark.filterwarnings("ignore:.*A Box observation space (minimum|maximum) value is .*infinity.*:UserWarning")
@pytest.mark.filterwarnings("ignore:Your observation .*has an unconventional shape.*:UserWarning")
@pytest.mark.parametrize("name", MODES)
def test_gymnasium_and_sb3_are_content(name: str) -> None:
    env = ArenaEnv(**MODES[name])
    gymnasium_check(env, skip_render_check=True)
    sb3_check(env, warn=True, skip_render_check=True)


def test_a_batch_of_order_actions_walks_as_sb3_takes_it() -> None:
    batch = BatchArenaEnv(num_envs=2, **MODES["orders, book and wakes"])
    env = SB3VecEnv(batch, base_seed=3)
    assert env.reset().shape == (2, *batch.setup.shape)
    ends = 0
    for _ in range(40):
        actions = np.stack([env.action_space.sample() for _ in range(2)])
        observations, _, _, infos = env.step(actions)
        assert batch.observation_space.contains(observations)
        ends += sum("terminal_observation" in info for info in infos)
    assert ends > 0


def test_next_step_autoreset_rests_a_step_and_goes_on_as_the_same_step_one() -> None:
    mode = MODES["orders, book and wakes"]
    same, later = (BatchArenaEnv(num_envs=1, autoreset=name, **mode) for name in ("SAME_STEP", "NEXT_STEP"))
    assert np.array_equal(same.reset(seed=4)[0], later.reset(seed=4)[0])
    ends = 0
    for action in _drawn(same, np.random.default_rng(6), 60):
        told, rewards, _, truncated, infos = same.step(action[None])
        seen, also, _, over, _ = later.step(action[None])
        assert np.array_equal(rewards, also)
        assert np.array_equal(truncated, over)
        if truncated.all():
            ends += 1
            assert np.array_equal(infos["final_obs"], seen)
            seen, *_ = later.step(action[None])
        assert np.array_equal(told, seen)
    assert ends > 0


def test_a_state_goes_on_to_the_last_bit_and_so_does_a_copy() -> None:
    mode = MODES["orders, book and wakes"]
    env, other = (BatchArenaEnv(num_envs=2, **mode) for _ in range(2))
    env.reset(seed=5)
    actions = _drawn(env, np.random.default_rng(7), 40).reshape(20, 2, 4)
    for action in actions[:7]:
        env.step(action)
    other.reset(seed=77)
    other.set_state(env.state())
    copied, thawed = copy.deepcopy(env), pickle.loads(pickle.dumps(env))
    for action in actions[7:]:
        told = env.step(action)
        for twin in (other, copied, thawed):
            again = twin.step(action)
            assert told[0].tobytes() == again[0].tobytes()
            assert np.array_equal(told[1], again[1])


def _drawn(env: Any, rng: np.random.Generator, count: int) -> NDArray[Any]:
    """(count, …) actions of one market."""
    if env.setup.menu:
        return rng.integers(0, env.setup.menu.counts, (count, 4))
    if env.setup.actions == "discrete":
        return rng.integers(0, 3, count)
    return rng.uniform(-1, 1, count).astype(np.float32)


def _walk_beside(mode: dict[str, Any], steps: int) -> tuple[int, set[str]]:
    """Walk a batch beside single arenas and compare all that they tell; how many episodes ended, states seen."""
    batch = BatchArenaEnv(num_envs=COUNT, parts=True, **mode)
    singles = [ArenaEnv(**mode) for _ in range(COUNT)]
    seen, _ = batch.reset(seed=11)
    assert seen.tobytes() == np.stack([env.reset(seed=11 + i)[0] for i, env in enumerate(singles)]).tobytes()
    rng, ended, states = np.random.default_rng(0), 0, set[str]()
    for _ in range(steps):
        actions = _drawn(batch, rng, COUNT)
        seen, rewards, terminated, truncated, infos = batch.step(actions)
        for i, env in enumerate(singles):
            observation, reward, over, late, info = env.step(actions[i])
            states.add(info["state"])
            assert (reward, over, late) == (rewards[i], terminated[i], truncated[i])
            assert list(info["reward_parts"].values()) == infos["reward_parts"][i].tolist()
            assert tuple(batch.arenas.field.lots[i]) == (info["order_lots"], info["filled_lots"])
            if over or late:
                ended += 1
                assert infos["final_obs"][i].tobytes() == observation.tobytes()
                assert infos["episode"]["equity"][i] == info["equity"]
                observation, _ = env.reset()
            else:
                assert batch.arenas.account(i) == env.account
            assert seen[i].tobytes() == observation.tobytes()
    batch.close()
    return ended, states
