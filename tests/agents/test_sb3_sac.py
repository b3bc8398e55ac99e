from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from wavetank.agents.export import export_graph
from wavetank.agents.frozen import FrozenPolicy
from wavetank.agents.keys import SACConfig
from wavetank.agents.policy import TrainingError
from wavetank.agents.sb3_sac import REPORT_EVERY, SB3SACTrainer

from .leaky import BOX, CENTRE, Draws, LeakyVecEnv, exposures, leaky_scaler
from .test_sb3 import Watcher, timeless, weights_hash

ENVS = 256
SHORT = SACConfig(buffer=8192, learning_starts=512, minibatch=64, hidden=(8,), seed=5, reward_scale=100.0)


def test_it_learns_to_follow_a_leaked_sign_and_leaves_as_it_predicts(tmp_path: Path) -> None:
    config = SACConfig(
        buffer=20_000, learning_starts=256, minibatch=128, hidden=(16,), learning_rate=3e-3, gamma=0.5,
        gradient_steps=4, reward_scale=100.0, entropy=0.1, seed=3,
    )  # fmt: skip
    trainer = SB3SACTrainer(config, leaky_scaler())
    network = trainer.fit(LeakyVecEnv(32), 32 * 150)
    policy = FrozenPolicy.from_graph(export_graph(network, tmp_path / "p.onnx", 4))
    rows = Draws(200).rows()
    decision = policy.act(rows)
    assert trainer._model is not None
    wanted, _ = trainer._model.predict(rows, deterministic=True)
    assert np.abs(decision.action - wanted).max() <= 1e-5
    assert (exposures(decision.action, BOX) * np.sign(rows[:, 0] - CENTRE[0])).mean() > 0.6
    assert ((decision.confidence >= 0.0) & (decision.confidence <= 1.0)).all()


def test_a_resumed_training_goes_on_to_the_last_bit(tmp_path: Path) -> None:
    """The checkpoint falls where the memory of transitions has wrapped around."""
    whole, parts = Watcher(), Watcher()
    wanted = weights_hash(SB3SACTrainer(SHORT, leaky_scaler(), whole).fit(LeakyVecEnv(ENVS), 3 * REPORT_EVERY))
    trainer = SB3SACTrainer(SHORT, leaky_scaler(), parts)
    trainer.fit(LeakyVecEnv(ENVS), REPORT_EVERY + 2 * ENVS)
    trainer.save(tmp_path / "checkpoint")
    torch.rand(3)
    again, env = SB3SACTrainer(SHORT, leaky_scaler(), parts), LeakyVecEnv(ENVS)
    again.resume(tmp_path / "checkpoint", env)
    assert again.steps == REPORT_EVERY + 2 * ENVS
    assert weights_hash(again.fit(env, 3 * REPORT_EVERY)) == wanted
    assert timeless(parts.seen) == timeless(whole.seen)
    assert len(whole.seen) == 3


def test_first_actions_are_the_run_s_own_before_and_after_a_resumption(tmp_path: Path) -> None:
    early = SACConfig(buffer=4096, learning_starts=100_000, minibatch=64, hidden=(8,), seed=5)
    whole = SB3SACTrainer(early, leaky_scaler())
    whole.fit(LeakyVecEnv(8), 80)
    trainer = SB3SACTrainer(early, leaky_scaler())
    trainer.fit(LeakyVecEnv(8), 40)
    trainer.save(tmp_path / "checkpoint")
    again, env = SB3SACTrainer(early, leaky_scaler()), LeakyVecEnv(8)
    again.resume(tmp_path / "checkpoint", env)
    again.fit(env, 80)
    first, second = (trainer._model.replay_buffer.actions[:10] for trainer in (whole, again))
    assert np.array_equal(first, second)
    assert len(np.unique(first)) == 80


def test_what_sac_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"sac chooses a target exposure .* has Discrete\(3\)"):
        SB3SACTrainer(SHORT, leaky_scaler()).fit(LeakyVecEnv(action=spaces.Discrete(3)), 8)
    trainer = SB3SACTrainer(SHORT, leaky_scaler())
    trainer.fit(LeakyVecEnv(), 64)
    trainer.save(tmp_path / "c")
    changed: dict[str, Any] = {name: getattr(SHORT, name) for name in SHORT.__slots__} | {"tau": 0.1}
    with pytest.raises(TrainingError, match=r"has config\.tau 0\.005, not 0\.1"):
        SB3SACTrainer(SACConfig(**changed), leaky_scaler()).resume(tmp_path / "c", LeakyVecEnv())
