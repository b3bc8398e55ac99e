"""N arenas in one compiled call walk as N single ones, bit for bit: the single one is Python over the Mesa model."""

import copy
import os
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from wavetank.envs.arena import ArenaEnv, BatchArenaEnv
from wavetank.envs.observation import ObservationSpec
from wavetank.market.costs import Costs
from wavetank.market.jit import COMPILED, set_threads, threads
from wavetank.market.limits import Limits

from . import interpreted_arena

COUNT = 3
WIDE = ObservationSpec("wide", 1, ("return_1", "rsi_14", "rsi_14@5m"), window=4)
SETUPS: dict[str, dict[str, Any]] = {
    "box": {"episode_bars": 7},
    "discrete": {"episode_bars": 9, "actions": "discrete:5", "observation": "spine"},
    "stormy mixture": {"episode_bars": 8, "scenario": {"normal": 0.4, "flash_crash": 0.6}, "role": "judge"},
    "halting": {
        "episode_bars": 30,
        "limits": Limits("live", 1.0, 2.0, 0.001, 0.0015, terminate_on_halt=True),
        "size": 8.0,
        "rewards": {"log_growth": 1.0, "drawdown": 0.3, "differential_sharpe": 0.1},
    },
    "window": {"episode_bars": 11, "observation": WIDE, "costs": Costs(borrow_bps_per_day=100.0)},
    "clipped": {"episode_bars": 10, "limits": Limits("clip", max_exposure=0.5, max_order=0.3), "observation": "spine"},
}


@pytest.mark.parametrize("name", SETUPS)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_row_of_the_batch_is_the_single_arena(name: str, workers: int) -> None:
    setup, before = SETUPS[name], threads()
    set_threads(workers)
    try:
        ended = _walk_beside(setup, steps=26)
    finally:
        set_threads(before)
    assert ended >= COUNT, "the walk must reach into a second episode"


def test_limits_do_end_the_halting_walk() -> None:
    """Else the case above would say nothing of termination."""
    env = BatchArenaEnv(num_envs=COUNT, **SETUPS["halting"])
    env.reset(seed=11)
    actions = np.random.default_rng(0).uniform(-1, 1, (26, COUNT))
    assert any(env.step(action)[2].any() for action in actions)


def test_next_step_autoreset_rests_a_step_and_goes_on_as_the_same_step_one() -> None:
    same, later = (BatchArenaEnv(num_envs=2, episode_bars=3, observation="spine", autoreset=mode)
                   for mode in ("SAME_STEP", "NEXT_STEP"))  # fmt: skip
    assert np.array_equal(same.reset(seed=4)[0], later.reset(seed=4)[0])
    for k in range(6):
        action = np.array([0.5, -0.5]) * (-1) ** k
        told, rewards, _, truncated, infos = same.step(action)
        seen, also, _, over, more = later.step(action)
        assert np.array_equal(rewards, also)
        assert np.array_equal(truncated, over)
        if truncated.all():
            assert np.array_equal(infos["final_obs"], seen)
            assert np.array_equal(infos["episode"]["r"], more["episode"]["r"])
            seen, resting, _, over, _ = later.step(np.ones(2))
            assert not resting.any()
            assert not over.any()
        assert np.array_equal(told, seen)


@pytest.mark.parametrize("more", [{}, {"wake_steps": 40}])
def test_own_columns_and_parts_walk_in_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, more: dict[str, Any]
) -> None:
    """What cannot be compiled into the walk is called beside it, and gives the same."""
    (tmp_path / "arena_own.py").write_text(
        "from wavetank.envs.own import Feature\n"
        "def update(state, bar):\n    state[0] += bar.volume\n    return bar.volume / state[0]\n"
        "share = Feature(update, size=1)\n"
        "def calm(before, after):\n    return -abs(after.equity - before.equity) / before.equity\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = ObservationSpec("own", 1, ("return_1", "arena_own:share", "rsi_14"), window=2)
    setup = {"episode_bars": 5, "observation": spec, "rewards": {"log_growth": 1.0, "arena_own:calm": 0.5}, **more}
    assert _walk_beside(setup, steps=12) >= COUNT


def test_a_state_goes_on_to_the_last_bit_in_another_env_and_so_does_a_copy() -> None:
    env = BatchArenaEnv("normal", 2, episode_bars=6, observation="spine")
    env.reset(seed=5)
    actions = np.random.default_rng(1).uniform(-1, 1, (14, 2))
    for action in actions[:4]:
        env.step(action)
    other = BatchArenaEnv("normal", 2, episode_bars=6, observation="spine")
    other.reset(seed=77)
    other.set_state(env.state())
    copied, thawed = copy.deepcopy(env), pickle.loads(pickle.dumps(env))
    for action in actions[4:]:
        told = env.step(action)
        for twin in (other, copied, thawed):
            again = twin.step(action)
            assert told[0].tobytes() == again[0].tobytes()
            assert np.array_equal(told[1], again[1])


def test_a_reset_mask_begins_only_its_rows() -> None:
    env = BatchArenaEnv("normal", 2, episode_bars=6, observation="spine")
    env.reset(seed=5)
    seen = env.step(np.array([0.4, 0.4]))[0]
    again, _ = env.reset(options={"reset_mask": np.array([False, True])})
    assert np.array_equal(again[0], seen[0])
    assert not np.array_equal(again[1], seen[1])


def test_each_episode_of_a_mixture_draws_its_scenario_by_weight() -> None:
    env = ArenaEnv({"normal": 0.25, "flash_crash": 0.75}, episode_bars=1, observation="spine", pool=2)
    env.reset(seed=1)
    drawn = [env.market.scenario.name for _ in range(200) if env.reset()]
    share = drawn.count("flash_crash") / len(drawn)
    assert abs(share - 0.75) < 4 * (0.75 * 0.25 / 200) ** 0.5
    assert (env.market.storm is None) == (drawn[-1] == "normal")


def test_a_list_of_scenarios_is_drawn_evenly_and_a_wrong_one_is_refused() -> None:
    env = ArenaEnv(["normal", "flash_crash"], episode_bars=1, observation="spine", pool=2)
    env.reset(seed=1)
    drawn = [env.market.scenario.name for _ in range(100) if env.reset()]
    assert 30 < drawn.count("normal") < 70
    for wrong, what in (({"normal": 0.0}, "weight 0.0"), ([], "none was given"), (["normal", "normal"], "twice")):
        with pytest.raises(ValueError, match=what):
            ArenaEnv(wrong, observation="spine")


@pytest.mark.skipif(not COMPILED, reason="numba is switched off")
def test_compiled_and_interpreted_tell_the_same_to_the_last_bit() -> None:
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, interpreted_arena.__file__], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", interpreted_arena.digest()]


def _walk_beside(setup: dict[str, Any], steps: int) -> int:
    """Walk a batch beside single arenas and compare all that they tell; how many episodes ended."""
    batch = BatchArenaEnv(num_envs=COUNT, parts=True, **setup)
    singles = [ArenaEnv(**setup) for _ in range(COUNT)]
    seen, _ = batch.reset(seed=11)
    assert seen.tobytes() == np.stack([env.reset(seed=11 + i)[0] for i, env in enumerate(singles)]).tobytes()
    rng, ended = np.random.default_rng(0), 0
    for _ in range(steps):
        discrete = "discrete" in setup.get("actions", "box")
        actions = rng.integers(0, 5, COUNT) if discrete else rng.uniform(-1, 1, COUNT).astype(np.float32)
        seen, rewards, terminated, truncated, infos = batch.step(actions)
        for i, env in enumerate(singles):
            observation, reward, over, late, info = env.step(actions[i])
            assert (reward, over, late) == (rewards[i], terminated[i], truncated[i])
            assert list(info["reward_parts"].values()) == infos["reward_parts"][i].tolist()
            assert tuple(batch.arenas.field.lots[i]) == (info["order_lots"], info["filled_lots"])
            if over or late:
                ended += 1
                assert infos["_final_obs"][i]
                assert infos["final_obs"][i].tobytes() == observation.tobytes()
                assert infos["episode"]["equity"][i] == info["equity"]
                observation, _ = env.reset()
            else:
                assert batch.arenas.account(i) == env.account
            assert seen[i].tobytes() == observation.tobytes()
    batch.close()
    return ended
