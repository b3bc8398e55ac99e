import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from torch import nn

from wavetank.agents.export import export_graph
from wavetank.agents.frozen import FrozenPolicy
from wavetank.agents.networks import ScalerLayer
from wavetank.agents.policy import PPOConfig, TrainingError
from wavetank.agents.sb3 import SB3Trainer
from wavetank.agents.scaling import Scaler
from wavetank.agents.seal import SealError

from .leaky import CENTRE, EPISODE, Draws, LeakyVecEnv, LeakyVector, exposures, leaky_scaler, leaky_vector

rllib = pytest.importorskip("wavetank.agents.rllib", exc_type=ImportError)
pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

SHORT = PPOConfig(rollout=16, minibatch=64, epochs=2, hidden=(8,), learning_rate=3e-3, seed=5)
LEARNING = PPOConfig(rollout=64, minibatch=256, epochs=6, learning_rate=3e-3, gamma=0.5, reward_scale=100.0, seed=3)
UPDATE = 16 * 8


class Watcher:
    def __init__(self) -> None:
        self.seen: list[tuple[int, dict[str, float]]] = []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.seen.append((step, dict(values)))


def trainer(config: PPOConfig = SHORT, **keywords: Any) -> Any:
    return rllib.RLlibTrainer(config, keywords.pop("scaler", leaky_scaler()), num_envs=8, **keywords)


def weights_hash(network: nn.Module) -> str:
    return hashlib.sha256(b"".join(w.numpy().tobytes() for _, w in sorted(network.state_dict().items()))).hexdigest()


@pytest.mark.parametrize("discrete", [False, True])
def test_it_learns_a_leaked_sign_and_leaves_as_the_same_kind_of_policy(tmp_path: Path, discrete: bool) -> None:
    action = spaces.Discrete(3) if discrete else LeakyVecEnv().action_space
    learner = trainer(LEARNING, env_config={"action": action})
    network = learner.fit(leaky_vector, 3072)
    policy = FrozenPolicy.from_graph(export_graph(network, tmp_path / "p.onnx", 4))
    rows = np.concatenate([Draws(50).rows() for _ in range(10)])
    followed = exposures(policy.act(rows).action, action) * np.sign(rows[:, 0] - CENTRE[0])
    assert followed.mean() > 0.6
    module = learner._algorithm.get_module("default_policy")
    with torch.no_grad():
        inputs = module.forward_inference({"obs": torch.from_numpy(rows)})["action_dist_inputs"]
    wanted = module.get_inference_action_dist_cls().from_logits(inputs).to_deterministic().sample().numpy()
    wanted = wanted.reshape(-1) if discrete else wanted[:, 0].clip(-1, 1)
    assert np.abs(policy.act(rows).action[:, 0] - wanted).max() <= 1e-5
    learner.close()


def test_scaler_layers_of_both_backends_are_equal_to_the_last_bit_after_training(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scaler = Scaler(CENTRE + rng.standard_normal(4) / 3, rng.random(4) + 0.1, np.array([10.0, 10.0, 10.0, np.inf]))
    here, there = SB3Trainer(SHORT, scaler), trainer(scaler=scaler)
    here.fit(LeakyVecEnv(), UPDATE)
    there.fit(leaky_vector, UPDATE)
    there.save(tmp_path / "c")
    there.resume(tmp_path / "c", leaky_vector)  # RLlib narrows what it sends and saves to float32
    rows = (Draws(300).rows() * 10.0 ** rng.integers(-6, 6, (300, 4))).astype(np.float32)
    algorithm = there._algorithm
    modules = [
        here.policy(),
        algorithm.get_module(),
        algorithm.env_runner.module,
        algorithm.learner_group._learner.module["default_policy"],
    ]
    for module in modules:
        (layer,) = (part for part in module.modules() if isinstance(part, ScalerLayer))
        assert np.array_equal(layer(torch.from_numpy(rows)).numpy(), scaler.apply(rows))
    there.close()


def test_same_seed_same_weights() -> None:
    hashes = []
    for seed in (5, 5, 6):
        learner = trainer(PPOConfig(**{**{k: getattr(SHORT, k) for k in SHORT.__slots__}, "seed": seed}))
        hashes.append(weights_hash(learner.fit(leaky_vector, 3 * UPDATE)))
        learner.close()
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_dummy_step_after_an_episode_never_reaches_the_learner() -> None:
    learner = trainer()
    learner.fit(leaky_vector, UPDATE)
    episodes = learner._algorithm.env_runner.sample(num_timesteps=60 * 8)
    rewards = np.concatenate([episode.get_rewards() for episode in episodes])
    assert np.abs(rewards).max() <= 0.01 < LeakyVector.DUMMY
    whole = [len(episode) for episode in episodes if episode.is_done and episode.t_started == 0]
    assert min(whole) == EPISODE  # an episode of n steps is n steps long, not n + 1
    first = [episode.get_observations(0) for episode in episodes if episode.t_started == 0]
    last = [episode.get_observations(-1) for episode in episodes if episode.is_done]
    assert not any(np.array_equal(a, b) for a in first for b in last)
    learner.close()


def test_each_worker_has_a_seed_of_its_own_derived_from_the_config() -> None:
    learner = trainer(PPOConfig(rollout=16, minibatch=64, epochs=1, hidden=(8,), seed=5), runners=2)
    learner.fit(leaky_vector, 2 * UPDATE)
    seen = learner._algorithm.env_runner_group.foreach_env_runner(
        lambda runner: runner.env.unwrapped.seeds_seen[0], local_env_runner=False
    )
    assert len(set(seen)) == 2
    assert min(abs(a - b) for a in seen for b in [*seen, 5] if a != b) > 1_000_000
    learner.close()


def test_figures_have_the_names_of_the_other_backend() -> None:
    here, there = Watcher(), Watcher()
    SB3Trainer(SHORT, leaky_scaler(), here).fit(LeakyVecEnv(), 3 * UPDATE)
    learner = trainer(metrics=there)
    learner.fit(leaky_vector, 3 * UPDATE)
    assert len(there.seen) >= 3
    last = there.seen[-1][1]
    assert {"train/loss", "train/entropy", "train/std", "rollout/return", "rollout/length"} <= set(last)
    assert set(last) <= set(here.seen[-1][1])
    assert abs(last["rollout/return"]) < 24 * 0.01
    learner.close()


def test_checkpoint_brings_back_weights_and_counters_and_training_goes_on(tmp_path: Path) -> None:
    learner = trainer()
    before = learner.fit(leaky_vector, 2 * UPDATE)
    learner.save(tmp_path / "c")
    steps = learner.steps
    learner.close()
    again = trainer()
    again.resume(tmp_path / "c", leaky_vector)
    assert again.steps == steps >= 2 * UPDATE
    assert weights_hash(again.policy()) == weights_hash(before)
    after = again.fit(leaky_vector, steps + UPDATE)
    assert again.steps >= steps + UPDATE
    assert weights_hash(after) != weights_hash(before)
    again.close()


def test_a_damaged_or_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    learner = trainer()
    learner.fit(leaky_vector, UPDATE)
    folder = learner.save(tmp_path / "c")
    learner.close()
    with pytest.raises(TrainingError, match="another scaler"):
        trainer(scaler=Scaler.identity(4)).resume(folder, leaky_vector)
    (folder / "checkpoint.json").write_text("{}")
    with pytest.raises(SealError, match=r"checkpoint\.json differs"):
        trainer().resume(folder, leaky_vector)


@pytest.mark.parametrize(("key", "value"), [("target_kl", 0.02), ("normalize_advantage", False)])
def test_a_key_that_rllib_cannot_honour_is_an_error_that_says_so(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"rllib cannot honour {key}"):
        trainer(PPOConfig(**{key: value}))  # type: ignore[arg-type]  # each key has its own type


def test_an_env_that_resets_in_the_same_step_is_refused() -> None:
    def same_step(config: dict[str, Any]) -> LeakyVector:
        env = leaky_vector(config)
        env.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        return env

    with pytest.raises(ValueError, match="NEXT_STEP autoreset"):
        trainer().fit(same_step, UPDATE)


def test_an_env_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(4,\), the scaler has 7 columns"):
        trainer(scaler=Scaler.identity(7)).fit(leaky_vector, UPDATE)


def test_an_unknown_env_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no env 'nowhere' is registered"):
        trainer().fit("nowhere", UPDATE)
