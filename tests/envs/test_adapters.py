"""The batch environment in the trainers' shapes: what they store is what the env returned."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env

from wavetank.agents.keys import PPOConfig
from wavetank.agents.policy import Paced
from wavetank.agents.sb3 import SB3Trainer
from wavetank.agents.scaling import Scaler
from wavetank.envs.adapters import SB3VecEnv, rllib_arena_creator, rllib_creator
from wavetank.envs.arena import BatchArenaEnv
from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.trading import TradingEnv
from wavetank.market.bars import Bars

from ..market.handmade import drawn_bars

ENVS = 8


@pytest.fixture(scope="module")
def bars() -> Bars:
    return drawn_bars(np.random.default_rng(9), 400)


@pytest.mark.filterwarnings("ignore:Your observation .* has an unconventional shape")
@pytest.mark.parametrize("actions", ["box", "discrete"])
def test_sb3_accepts_the_single_env(bars: Bars, actions: str) -> None:
    check_env(TradingEnv(bars, actions=actions), warn=False)


def test_weights_are_those_of_an_env_that_copies_everything(bars: Bars) -> None:
    """SB3 stores an observation one step late: a reused buffer would silently train on the next one."""
    wanted = _weights_of_sb3(_vec(bars, copy=True))
    assert _weights_of_sb3(_vec(bars, copy=False)) == wanted
    assert _weights_of_sb3(_vec(bars, copy=False, buffers=1)) != wanted  # so this test can fail


def test_our_trainer_keeps_no_array_of_the_env(bars: Bars) -> None:
    wanted = _weights_of_trainer(_vec(bars, copy=True))
    assert _weights_of_trainer(_vec(bars, copy=False)) == wanted
    assert _weights_of_trainer(_vec(bars, copy=False, buffers=1)) == wanted


def test_episode_ends_are_told_as_sb3_expects(bars: Bars) -> None:
    env = SB3VecEnv(BatchTradingEnv(bars, ENVS, episode_bars=3), base_seed=1)
    env.reset()
    for _ in range(2):
        _, _, done, infos = env.step(np.zeros((ENVS, 1), np.float32))
        assert not done.any()
        assert infos == [{}] * ENVS
    _, _, done, infos = env.step(np.zeros((ENVS, 1), np.float32))
    assert done.all()
    assert infos[0]["TimeLimit.truncated"] is True
    assert infos[0]["episode"]["l"] == 3
    assert infos[0]["terminal_observation"].shape == (env.observation_space.shape or ())
    assert len({id(info) for info in infos}) == ENVS


def test_the_base_seed_wins_over_the_librarys_small_one(bars: Bars) -> None:
    env = SB3VecEnv(BatchTradingEnv(bars, ENVS, episode_bars=50), base_seed=2**63 + 5)
    env.seed(0)
    wanted, _ = BatchTradingEnv(bars, ENVS, episode_bars=50).reset(seed=2**63 + 5)
    assert env.reset().tobytes() == wanted.tobytes()


def test_an_env_that_resets_a_step_late_is_refused(bars: Bars) -> None:
    with pytest.raises(ValueError, match="SAME_STEP"):
        SB3VecEnv(BatchTradingEnv(bars, 2, autoreset="NEXT_STEP"))


def test_rllibs_runners_are_seeded_by_worker_whatever_they_pass(bars: Bars) -> None:
    class Config(dict[str, Any]):
        worker_index = 2

    create = rllib_creator(bars, lambda worker: 1000 + worker, episode_bars=50)
    seen, _ = create(Config(num_envs=3)).reset(seed=7)
    wanted, _ = BatchTradingEnv(bars, 3, episode_bars=50).reset(seed=1002)
    assert seen.tobytes() == wanted.tobytes()


def test_arenas_are_made_for_rllib_as_one_batch_seeded_by_worker() -> None:
    class Config(dict[str, Any]):
        worker_index = 2

    keywords: dict[str, Any] = {"episode_bars": 3, "observation": "spine", "pool": 3}
    env = rllib_arena_creator(["normal", "spoofing"], lambda worker: 1000 + worker, **keywords)(Config(num_envs=2))
    plain = BatchArenaEnv(["normal", "spoofing"], 2, autoreset="NEXT_STEP", **keywords)
    assert isinstance(env, BatchArenaEnv)
    assert env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    assert env.reset(seed=7)[0].tobytes() == plain.reset(seed=1002)[0].tobytes()
    for _ in range(5):
        assert env.step(np.ones(2))[0].tobytes() == plain.step(np.ones(2))[0].tobytes()
    assert env.reset(seed=7)[0].tobytes() == plain.reset(seed=7)[0].tobytes()  # the first reset alone


def test_a_curriculum_is_passed_on_and_others_have_none(bars: Bars) -> None:
    class Staged(BatchTradingEnv):
        def advance(self, steps: int) -> None:
            self.told = steps

    staged, plain = SB3VecEnv(Staged(bars, 2)), SB3VecEnv(BatchTradingEnv(bars, 2))
    assert isinstance(staged, Paced)
    assert not isinstance(plain, Paced)
    staged.advance(7)
    assert staged.env.told == 7  # type: ignore[attr-defined]


def test_the_trainer_tells_its_steps_before_a_checkpoint_holds_the_env(bars: Bars) -> None:
    told, saved = list[int](), list[list[int]]()

    class Staged(BatchTradingEnv):
        def advance(self, steps: int) -> None:
            told.append(steps)

    class Looks:
        def on_update(self, step: int, values: Any) -> None:
            saved.append(list(told))

    keys = PPOConfig(rollout=8, minibatch=32, epochs=1, hidden=(8,), seed=3)
    spec = ObservationSpec.load("spine")
    env = SB3VecEnv(Staged(bars, ENVS, episode_bars=21, observation=spec, copy=False), base_seed=4)
    SB3Trainer(keys, Scaler.identity(spec.width)).fit(env, 3 * 64, [Looks()])
    assert saved == [[64], [64, 128], [64, 128, 192]]


@pytest.mark.parametrize("changes", [{}, {"encoder": "conv", "conv_channels": (4,), "conv_kernel": 3}, {"lstm": 4}])
def test_a_window_of_bars_is_trained_on_and_resumed_to_the_last_bit(
    bars: Bars, tmp_path: Path, changes: dict[str, Any]
) -> None:
    spec = replace(ObservationSpec.load("spine"), window=6)
    keys = PPOConfig(rollout=8, minibatch=32, epochs=2, hidden=(8,), seed=3, **changes)

    def env() -> SB3VecEnv:
        return SB3VecEnv(BatchTradingEnv(bars, ENVS, episode_bars=21, observation=spec, copy=False), base_seed=4)

    scaler = Scaler.identity(spec.width)
    wanted = _digest(SB3Trainer(keys, scaler).fit(env(), 6 * 64).state_dict())
    trainer, again, its = SB3Trainer(keys, scaler), SB3Trainer(keys, scaler), env()
    trainer.fit(env(), 3 * 64)
    again.resume(trainer.save(tmp_path / "checkpoint"), its)
    network = again.fit(its, 6 * 64)
    assert _digest(network.state_dict()) == wanted
    assert network.shape == (6, spec.width)


def test_a_state_of_other_episodes_is_refused_and_touches_nothing(bars: Bars) -> None:
    few, many = (BatchTradingEnv(bars, count, episode_bars=30) for count in (ENVS, 2 * ENVS))
    few.reset(seed=1)
    many.reset(seed=1)
    before = few.state()
    with pytest.raises(ValueError, match="the state's money does not fit these episodes"):
        few.set_state(many.state())
    assert all(np.array_equal(array, before[name]) for name, array in few.state().items())


@pytest.mark.parametrize("keywords", [{}, {"vary_costs": 2.0}, {"autoreset": "NEXT_STEP"}, {"actions": "discrete:5"}])
def test_episodes_are_taken_up_where_they_were_put_aside(bars: Bars, keywords: dict[str, Any]) -> None:
    """Another env, made alike and somewhere else by now, walks on as the first would have."""
    first, second = (BatchTradingEnv(bars, ENVS, episode_bars=17, **keywords) for _ in range(2))
    first.reset(seed=5)
    second.reset(seed=99)
    first.action_space.seed(1)
    actions = [first.action_space.sample() for _ in range(60)]
    for action in actions[:25]:
        first.step(action)
        second.step(action)
    second.set_state(first.state())
    for action in actions[25:]:
        for ours, theirs in zip(first.step(action)[:4], second.step(action)[:4], strict=True):
            assert np.array_equal(ours, theirs)


def _vec(bars: Bars, copy: bool, buffers: int = 2) -> SB3VecEnv:
    env = BatchTradingEnv(bars, ENVS, episode_bars=20, copy=copy)
    kept = env._batch.buffers
    kept._steps = kept._steps[:buffers]
    return SB3VecEnv(env, base_seed=1)


def _weights_of_sb3(vec: SB3VecEnv) -> str:
    model = PPO("MlpPolicy", vec, n_steps=16, batch_size=64, n_epochs=2, learning_rate=1e-2, seed=1, device="cpu")
    model.learn(3 * 16 * ENVS)
    return _digest(model.policy.state_dict())


def _weights_of_trainer(vec: SB3VecEnv) -> str:
    assert isinstance(vec.env, BatchTradingEnv)
    rows = vec.env.episodes.tape.rows
    scaler = Scaler.fit(rows[np.isfinite(rows).all(axis=1)])
    config = PPOConfig(rollout=16, minibatch=64, epochs=2, hidden=(8,), learning_rate=1e-2)
    return _digest(SB3Trainer(config, scaler).fit(vec, 3 * 16 * ENVS).state_dict())


def _digest(weights: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for weight in weights.values():
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()
