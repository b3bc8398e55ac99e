import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnvWrapper, VecNormalize
from torch import nn

from wavetank.agents.export import export_graph
from wavetank.agents.frozen import FrozenPolicy
from wavetank.agents.keys import PPOConfig
from wavetank.agents.policy import TrainingError
from wavetank.agents.sb3 import SB3Trainer
from wavetank.agents.sb3_env import unwrapped
from wavetank.agents.sb3_ppo import network_of
from wavetank.agents.scaling import Scaler
from wavetank.agents.seal import SealError

from .leaky import BOX, CENTRE, Draws, LeakyVecEnv, exposures, leaky_scaler

SHORT = PPOConfig(rollout=16, minibatch=64, epochs=2, hidden=(8,), learning_rate=3e-3, seed=5)
LEARNING = PPOConfig(rollout=64, minibatch=256, epochs=6, learning_rate=3e-3, gamma=0.5, reward_scale=100.0, seed=3)
UPDATE = 16 * 8  # steps of one SHORT update over eight envs


class Watcher:
    """Notes every update; stops the training after `patience` of them."""

    def __init__(self, patience: int = 10**9) -> None:
        self.seen: list[tuple[int, dict[str, float]]] = []
        self.patience = patience

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.seen.append((step, dict(values)))

    def on_update(self, step: int, values: Mapping[str, float]) -> bool | None:
        self.log(step, values)
        return len(self.seen) < self.patience


class Forgetful(VecEnvWrapper):
    """An env without `state`."""

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        return self.venv.step_wait()

    def __getattr__(self, name: str) -> Any:
        if name in ("state", "set_state"):
            raise AttributeError(name)
        return super().__getattr__(name)


def timeless(seen: list[tuple[int, dict[str, float]]]) -> list[tuple[int, dict[str, float]]]:
    return [(step, {k: v for k, v in values.items() if not k.startswith("time/")}) for step, values in seen]


def weights_hash(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, weight in sorted(network.state_dict().items()):
        digest.update(name.encode() + weight.numpy().tobytes())
    return digest.hexdigest()


def trained(env: LeakyVecEnv, updates: int = 3, config: PPOConfig = SHORT) -> str:
    return weights_hash(SB3Trainer(config, leaky_scaler()).fit(env, updates * UPDATE))


@pytest.mark.parametrize("action", [BOX, spaces.Discrete(3)])
def test_it_learns_to_follow_a_leaked_sign(action: Any) -> None:
    network = SB3Trainer(LEARNING, leaky_scaler()).fit(LeakyVecEnv(action=action), 3072)
    rows = Draws(200).rows()
    followed = exposures(network(torch.from_numpy(rows))[0].numpy(), action) * np.sign(rows[:, 0] - CENTRE[0])
    assert followed.mean() > 0.6  # 1 is perfect, 0 is chance


@pytest.mark.slow
@pytest.mark.parametrize("units", [0, 8])
def test_only_a_recurrent_policy_follows_the_leak_of_the_row_before(tmp_path: Path, units: int) -> None:
    """Judged as it is exported, step by step with its state."""
    config = PPOConfig(**{**vars_of(LEARNING), "lstm": units, "hidden": (16,), "entropy": 0.0})
    network = SB3Trainer(config, leaky_scaler()).fit(LeakyVecEnv(16, lag=True), 16 * 64 * 24)
    draws, before, state = Draws(64), np.zeros(64, np.float32), torch.zeros(64, network.state_size)
    followed: list[np.ndarray] = []
    for step in range(15):
        rows = draws.rows()
        starts = torch.full((64,), step == 0)
        answer = network(torch.from_numpy(rows), *((state, starts) if units else ()))
        state = answer[3] if units else state
        if step:
            followed.append(answer[0][:, 0].numpy() * np.sign(before - CENTRE[0]))
        before = rows[:, 0]
    if units:
        assert np.mean(followed) > 0.6  # 1 is perfect, 0 is chance
    else:
        assert abs(np.mean(followed)) < 0.2


@pytest.mark.parametrize("action", [BOX, spaces.Discrete(3)])
def test_the_exported_policy_equals_the_library_s_own_prediction(tmp_path: Path, action: Any) -> None:
    trainer = SB3Trainer(SHORT, leaky_scaler())
    network = trainer.fit(LeakyVecEnv(action=action), 2 * UPDATE)
    policy = FrozenPolicy.from_graph(export_graph(network, tmp_path / "p.onnx", 4))
    rows = np.concatenate([Draws(50).rows() for _ in range(10)])
    assert trainer._model is not None
    wanted, _ = trainer._model.predict(rows, deterministic=True)
    assert np.abs(policy.act(rows).action[:, 0] - wanted.reshape(-1)).max() <= 1e-5
    assert len(np.unique(wanted)) > 1


def test_the_scaler_inside_the_policy_equals_the_numpy_one() -> None:
    trainer = SB3Trainer(SHORT, leaky_scaler())
    trainer.fit(LeakyVecEnv(), UPDATE)
    assert trainer._model is not None
    rows = Draws(50).rows()
    scaled = network_of(trainer._model).scaler(torch.from_numpy(rows)).numpy()
    assert np.array_equal(scaled, leaky_scaler().apply(rows))


def test_same_seed_same_weights_and_another_seed_other_weights() -> None:
    np.random.seed(99)  # noqa: NPY002 - the state that somebody left behind must not matter
    first = trained(LeakyVecEnv())
    assert trained(LeakyVecEnv()) == first
    assert trained(LeakyVecEnv(), config=PPOConfig(**{**vars_of(SHORT), "seed": 6})) != first


def test_an_env_that_reuses_its_arrays_trains_the_same_weights() -> None:
    assert trained(LeakyVecEnv(reuse=True)) == trained(LeakyVecEnv())


def test_training_in_two_pieces_equals_one_piece() -> None:
    env, trainer = LeakyVecEnv(), SB3Trainer(SHORT, leaky_scaler())
    trainer.fit(env, UPDATE)
    assert trainer.steps == UPDATE
    assert weights_hash(trainer.fit(env, 3 * UPDATE)) == trained(LeakyVecEnv())


def test_figures_come_once_an_update_under_slash_names() -> None:
    sink, callback = Watcher(), Watcher()
    SB3Trainer(SHORT, leaky_scaler(), sink).fit(LeakyVecEnv(), 3 * UPDATE, [callback])
    assert [step for step, _ in sink.seen] == [UPDATE, 2 * UPDATE, 3 * UPDATE]
    assert callback.seen == sink.seen
    last = sink.seen[-1][1]
    assert {"train/loss", "train/entropy", "train/kl", "rollout/return", "rollout/length"} <= set(last)
    assert last["rollout/length"] == 16
    assert abs(last["rollout/return"]) < 16 * 0.01  # unscaled, whatever the trainer scales by


def test_a_callback_can_stop_the_training() -> None:
    trainer = SB3Trainer(SHORT, leaky_scaler())
    trainer.fit(LeakyVecEnv(), 100 * UPDATE, [Watcher(patience=2)])
    assert trainer.steps == 2 * UPDATE


def test_episodes_are_seeded_from_the_config_alone() -> None:
    last: list[np.ndarray] = []
    for changed in ({}, {"learning_rate": 0.0}, {"seed": 6}):
        env = LeakyVecEnv()
        env.draws.seed(int(np.random.default_rng(len(last)).integers(99)))  # whatever it walked on before
        SB3Trainer(PPOConfig(**{**vars_of(SHORT), **changed}), leaky_scaler()).fit(env, UPDATE)
        last.append(env.buffer)
    assert np.array_equal(last[0], last[1])
    assert not np.array_equal(last[0], last[2])


def test_reward_scale_multiplies_what_the_trainer_sees() -> None:
    doubled = PPOConfig(**{**vars_of(SHORT), "reward_scale": 2.0})
    assert trained(LeakyVecEnv(), config=doubled) != trained(LeakyVecEnv())


def test_checkpoint_brings_back_weights_counters_and_optimizer(tmp_path: Path) -> None:
    trainer = SB3Trainer(SHORT, leaky_scaler())
    before = trainer.fit(LeakyVecEnv(), 2 * UPDATE)
    trainer.save(tmp_path / "checkpoint")
    again = SB3Trainer(SHORT, leaky_scaler())
    again.resume(tmp_path / "checkpoint", LeakyVecEnv())
    assert again.steps == 2 * UPDATE
    assert weights_hash(again.policy()) == weights_hash(before)
    assert trainer._model is not None
    assert again._model is not None
    old, new = (model.policy.optimizer.state_dict()["state"][0] for model in (trainer._model, again._model))
    assert old["step"] == new["step"] > 0
    assert np.array_equal(old["exp_avg"].numpy(), new["exp_avg"].numpy())
    again.fit(unwrapped(again._model.get_env()), 3 * UPDATE)
    assert again.steps == 3 * UPDATE


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"learning_rate_end": 0.0, "clip_end": 0.05, "schedule": "cosine", "horizon": 6 * UPDATE},
        {"lstm": 6, "entropy": 0.01, "entropy_end": 0.0, "horizon": 6 * UPDATE},
        {"lstm": 6, "separate": False},
    ],
)
def test_a_resumed_training_goes_on_to_the_last_bit(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Weights, and every figure but speed, are those of a training that was never interrupted; the checkpoint falls
    into the middle of an episode."""
    config = PPOConfig(**{**vars_of(SHORT), "rollout": 24, "minibatch": 96, **changes})
    update = 24 * 8
    whole, parts = Watcher(), Watcher()
    wanted = weights_hash(SB3Trainer(config, leaky_scaler(), whole).fit(LeakyVecEnv(), 6 * update))
    trainer = SB3Trainer(config, leaky_scaler(), parts)
    trainer.fit(LeakyVecEnv(), 3 * update)
    trainer.save(tmp_path / "checkpoint")
    np.random.random(7)  # noqa: NPY002 - somebody draws in between
    torch.rand(5)
    again, env = SB3Trainer(config, leaky_scaler(), parts), LeakyVecEnv()
    again.resume(tmp_path / "checkpoint", env)
    assert weights_hash(again.fit(env, 6 * update)) == wanted
    assert timeless(parts.seen) == timeless(whole.seen)


def test_an_env_that_cannot_put_its_episodes_aside_begins_new_ones_alike_each_time(tmp_path: Path) -> None:
    trainer = SB3Trainer(SHORT, leaky_scaler())
    trainer.fit(Forgetful(LeakyVecEnv()), UPDATE)
    trainer.save(tmp_path / "checkpoint")
    hashes = []
    for _ in range(2):
        again, env = SB3Trainer(SHORT, leaky_scaler()), Forgetful(LeakyVecEnv())
        again.resume(tmp_path / "checkpoint", env)
        hashes.append(weights_hash(again.fit(env, 3 * UPDATE)))
    assert hashes[0] == hashes[1]


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    trainer = SB3Trainer(SHORT, leaky_scaler())
    trainer.fit(LeakyVecEnv(), UPDATE)
    weights = trainer.save(tmp_path / "checkpoint") / "training.pt"
    broken = bytearray(weights.read_bytes())
    broken[len(broken) // 2] ^= 1
    weights.write_bytes(broken)
    with pytest.raises(SealError, match=r"training\.pt differs"):
        SB3Trainer(SHORT, leaky_scaler()).resume(tmp_path / "checkpoint", LeakyVecEnv())


def test_a_checkpoint_of_other_scaling_config_or_action_is_refused(tmp_path: Path) -> None:
    trainer = SB3Trainer(SHORT, leaky_scaler())
    trainer.fit(LeakyVecEnv(), UPDATE)
    trainer.save(tmp_path / "c")
    with pytest.raises(TrainingError, match="has scaler"):
        SB3Trainer(SHORT, Scaler.identity(4)).resume(tmp_path / "c", LeakyVecEnv())
    with pytest.raises(TrainingError, match=r"has config\.epochs 2, not 6"):
        SB3Trainer(LEARNING, leaky_scaler()).resume(tmp_path / "c", LeakyVecEnv())
    with pytest.raises(TrainingError, match="has action"):
        SB3Trainer(SHORT, leaky_scaler()).resume(tmp_path / "c", LeakyVecEnv(action=spaces.Discrete(3)))


def test_a_nan_in_an_observation_stops_the_training_with_its_place() -> None:
    env = LeakyVecEnv()
    env.spoil_at = 20
    with pytest.raises(TrainingError, match="env 0 gave nan in column 2"):
        SB3Trainer(SHORT, leaky_scaler()).fit(env, 3 * UPDATE)


def test_a_loss_that_is_no_number_stops_the_training_and_says_where() -> None:
    config = PPOConfig(**{**vars_of(SHORT), "learning_rate": 1e30})
    with pytest.raises(TrainingError, match=rf"became .* in epoch \d of the update at step ({UPDATE}|{2 * UPDATE})"):
        SB3Trainer(config, leaky_scaler()).fit(LeakyVecEnv(), 3 * UPDATE)


def test_running_normalisation_is_refused() -> None:
    with pytest.raises(ValueError, match="VecNormalize"):
        SB3Trainer(SHORT, leaky_scaler()).fit(VecNormalize(LeakyVecEnv()), UPDATE)


def test_spaces_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(4,\), the scaler has 7 columns"):
        SB3Trainer(SHORT, Scaler.identity(7)).fit(LeakyVecEnv(), UPDATE)
    with pytest.raises(ValueError, match=r"is neither Box\(-1, 1, \(1,\)\) nor Discrete"):
        SB3Trainer(SHORT, leaky_scaler()).fit(LeakyVecEnv(action=spaces.Box(-2, 2, (1,))), UPDATE)


def test_nothing_trained_is_nothing_to_save(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing is trained yet"):
        SB3Trainer(SHORT, leaky_scaler()).save(tmp_path / "x")


def vars_of(config: PPOConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.__slots__}
