import hashlib
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
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
from wavetank.agents.keys import PPOConfig
from wavetank.agents.layers import ScalerLayer
from wavetank.agents.masking import Masking, allowed
from wavetank.agents.policy import TrainingError
from wavetank.agents.sb3 import SB3Trainer
from wavetank.agents.scaling import Scaler
from wavetank.agents.seal import SealError

from .leaky import BOX, CENTRE, EPISODE, WIDTH, Draws, LeakyVecEnv, LeakyVector, exposures, leaky_scaler, leaky_vector
from .vectors import patient_vector, tricky_vector

rllib = pytest.importorskip("wavetank.agents.rllib", exc_type=ImportError)
rllib_algorithm = pytest.importorskip("wavetank.agents.rllib_algorithm", exc_type=ImportError)
pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

SHORT = PPOConfig(rollout=16, minibatch=64, epochs=2, hidden=(8,), learning_rate=3e-3, seed=5)
LEARNING = PPOConfig(rollout=64, minibatch=256, epochs=6, learning_rate=3e-3, gamma=0.5, reward_scale=100.0, seed=3)
UPDATE = 16 * 8


class Watcher:
    """Notes every update, but for what the clock says."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, dict[str, float]]] = []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.seen.append((step, {name: value for name, value in values.items() if not name.startswith("time/")}))


@pytest.fixture
def trainer() -> Iterator[Any]:
    """Makes trainers, and closes them when the test is over."""
    made: list[Any] = []

    def make(config: PPOConfig = SHORT, **keywords: Any) -> Any:
        made.append(rllib.RLlibTrainer(config, keywords.pop("scaler", leaky_scaler()), num_envs=8, **keywords))
        return made[-1]

    yield make
    for one in made:
        one.close()


def weights_hash(network: nn.Module) -> str:
    return hashlib.sha256(b"".join(w.numpy().tobytes() for _, w in sorted(network.state_dict().items()))).hexdigest()


def learner_of(trainer: Any) -> Any:
    return trainer._algorithm.learner_group._learner


@pytest.mark.parametrize("discrete", [False, True])
def test_it_learns_a_leaked_sign_and_leaves_as_the_same_kind_of_policy(
    tmp_path: Path, trainer: Any, discrete: bool
) -> None:
    action = spaces.Discrete(3) if discrete else BOX
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


@pytest.mark.parametrize("units", [0, 8])
def test_only_a_recurrent_policy_follows_the_leak_of_the_row_before(trainer: Any, units: int) -> None:
    learner = trainer(replace(LEARNING, lstm=units, hidden=(16,)), env_config={"lag": True})
    network = learner.fit(tricky_vector, 8 * 64 * 36)
    draws, before, state, followed = Draws(64), np.zeros(64, np.float32), torch.zeros(64, network.state_size), []
    for step in range(EPISODE):
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


@pytest.mark.parametrize("separate", [True, False])
def test_a_window_is_read_by_convolutions(trainer: Any, separate: bool) -> None:
    keys = replace(LEARNING, encoder="conv", conv_channels=(8,), conv_kernel=3, separate=separate)
    network = trainer(keys, env_config={"window": 6}).fit(tricky_vector, 3072)
    windows = np.zeros((200, 6, WIDTH), np.float32)
    windows[:, -1] = np.concatenate([Draws(50).rows() for _ in range(4)])
    followed = network(torch.from_numpy(windows))[0][:, 0].numpy() * np.sign(windows[:, -1, 0] - CENTRE[0])
    assert followed.mean() > 0.6


def test_levels_that_the_account_forbids_are_never_chosen(trainer: Any) -> None:
    """The leaky rows' third column stands for the trading state, the fourth for the position."""
    masking = Masking((-1.0, 0.0, 1.0), position=3, trading_state=2)
    scaler = Scaler.identity(WIDTH)
    learner = trainer(
        replace(SHORT, mask=True), scaler=scaler, masking=masking, env_config={"action": spaces.Discrete(3)}
    )
    learner.fit(leaky_vector, UPDATE)
    learner._algorithm.env_runner.env.draws = Halted(8)
    rollout = learner._algorithm.env_runner.sample()
    rows, chosen = rollout.observations[1:].reshape(-1, WIDTH), rollout.actions[1:].reshape(-1)
    free = allowed(masking, rows)
    assert 0.2 < free.mean() < 0.9
    assert free[np.arange(len(rows)), chosen].all()
    assert len(set(chosen)) == 3


class Halted(Draws):
    """Rows with trading states and positions."""

    def rows(self) -> Any:
        rows = super().rows()
        rows[:, 2] = [0.5 * rng.integers(0, 3) for rng in self.rngs]
        rows[:, 3] = [float(rng.integers(-1, 2)) for rng in self.rngs]
        return rows


@pytest.mark.parametrize("changes", [{}, {"orthogonal": False}, {"separate": False}])
def test_both_backends_begin_with_the_same_weights_and_optimizer(trainer: Any, changes: dict[str, Any]) -> None:
    keys = replace(SHORT, learning_rate=0.0, **changes)
    here, there = SB3Trainer(keys, leaky_scaler()), trainer(keys)
    assert weights_hash(here.fit(LeakyVecEnv(), UPDATE)) == weights_hash(there.fit(leaky_vector, UPDATE))
    model: Any = here._model
    assert learner_of(there).optimizer.defaults == model.policy.optimizer.defaults | {"lr": 0.0}


def test_scaler_layers_of_both_backends_are_equal_to_the_last_bit_after_training(tmp_path: Path, trainer: Any) -> None:
    rng = np.random.default_rng(0)
    scaler = Scaler(CENTRE + rng.standard_normal(4) / 3, rng.random(4) + 0.1, np.array([10.0, 10.0, 10.0, np.inf]))
    here, there = SB3Trainer(SHORT, scaler), trainer(scaler=scaler)
    here.fit(LeakyVecEnv(), UPDATE)
    there.fit(leaky_vector, UPDATE)
    there.save(tmp_path / "c")
    there.resume(tmp_path / "c", leaky_vector)  # RLlib narrows what it sends to float32
    rows = (Draws(300).rows() * 10.0 ** rng.integers(-6, 6, (300, 4))).astype(np.float32)
    modules = [here.policy(), there.policy(), there._algorithm.env_runner.module, learner_of(there).network]
    for module in modules:
        (layer,) = (part for part in module.modules() if isinstance(part, ScalerLayer))
        assert np.array_equal(layer(torch.from_numpy(rows)).numpy(), scaler.apply(rows))


def test_same_seed_same_weights(trainer: Any) -> None:
    hashes = [weights_hash(trainer(replace(SHORT, seed=seed)).fit(leaky_vector, 3 * UPDATE)) for seed in (5, 5, 6)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_dummy_step_after_an_episode_is_no_sample(trainer: Any) -> None:
    learner = trainer(replace(SHORT, rollout=60, minibatch=60, gamma=0.0))  # so that returns are the rewards
    learner.fit(leaky_vector, 1)
    rollout = learner._algorithm.env_runner.sample()
    assert np.abs(rollout.returns[rollout.real]).max() <= 0.0101 < LeakyVector.DUMMY
    assert 60 * 8 - 8 * 5 < rollout.steps < 60 * 8 - 8
    first = np.flatnonzero(rollout.starts[1:].any(axis=1)) + 1
    assert not rollout.real[first - 1][rollout.starts[first]].any()  # a dummy stands before every later start
    lengths = {int(episode["l"]) for episode in rollout.ended}
    assert lengths == set(range(EPISODE, EPISODE + 8))  # an episode of n steps is n steps long, not n + 1


def test_each_worker_has_a_seed_of_its_own_derived_from_the_config(trainer: Any) -> None:
    learner = trainer(runners=2)
    learner.fit(leaky_vector, 2 * UPDATE)
    seen = learner._algorithm.env_runner_group.foreach_env_runner(
        lambda runner: runner.env.seeds_seen[0], local_env_runner=False
    )
    assert len(set(seen)) == 2
    assert min(abs(a - b) for a in seen for b in [*seen, 5] if a != b) > 1_000_000


@pytest.mark.parametrize("changes", [{}, {"learning_rate_end": 1e-4, "horizon": 6 * UPDATE}])
def test_figures_are_those_of_the_other_backend(trainer: Any, changes: dict[str, Any]) -> None:
    here, there, keys = Watcher(), Watcher(), replace(SHORT, **changes)
    SB3Trainer(keys, leaky_scaler(), here).fit(LeakyVecEnv(), 3 * UPDATE)
    trainer(keys, metrics=there).fit(leaky_vector, 3 * UPDATE)
    assert len(there.seen) >= 3
    (_, theirs), (_, ours) = here.seen[-1], there.seen[-1]
    assert set(ours) == set(theirs)
    assert ours["train/entropy"] == pytest.approx(theirs["train/entropy"], rel=0.05)
    assert abs(ours["rollout/return"]) < 24 * 0.01
    begun = [0, *(step for step, _ in there.seen)]
    rates = [keys.rates(step).learning_rate for step in begun]
    assert [figures["train/learning_rate"] for _, figures in there.seen] == pytest.approx(rates[:-1])


def test_parts_of_the_reward_are_told_and_returns_are_unscaled(trainer: Any) -> None:
    watcher = Watcher()
    trainer(replace(SHORT, reward_scale=50.0), metrics=watcher).fit(tricky_vector, 3 * UPDATE)
    figures = watcher.seen[-1][1]
    assert figures["reward/late"] == 7.0
    assert abs(figures["rollout/return"]) < 24 * 0.01


@pytest.mark.parametrize("keywords", [{}, {"runners": 2}, {"lstm": 6}])
def test_a_resumed_training_goes_on_to_the_last_bit(tmp_path: Path, trainer: Any, keywords: dict[str, Any]) -> None:
    keys = replace(SHORT, lstm=keywords.get("lstm", 0), entropy=0.01, entropy_end=0.0, horizon=3000)
    runners = keywords.get("runners", 0)
    whole, after = Watcher(), Watcher()
    first = trainer(keys, runners=runners, metrics=whole)
    wanted = first.fit(patient_vector, 6 * UPDATE * max(1, runners))
    first.close()
    half = trainer(keys, runners=runners)
    half.fit(patient_vector, 3 * UPDATE * max(1, runners))
    half.save(tmp_path / "c")
    half.close()
    again = trainer(keys, runners=runners, metrics=after)
    again.resume(tmp_path / "c", patient_vector)
    found = again.fit(patient_vector, 6 * UPDATE * max(1, runners))
    assert weights_hash(found) == weights_hash(wanted)
    assert after.seen == whole.seen[-len(after.seen) :]
    assert 0 < len(after.seen) < len(whole.seen)


def test_where_episodes_cannot_be_put_aside_state_and_counters_go_on_and_episodes_begin_anew(
    tmp_path: Path, trainer: Any
) -> None:
    learner = trainer()
    before = learner.fit(leaky_vector, 2 * UPDATE)
    seeds = learner._algorithm.env_runner.env.seeds_seen
    learner.save(tmp_path / "c")
    again = trainer()
    again.resume(tmp_path / "c", leaky_vector)
    assert again.steps == learner.steps >= 2 * UPDATE
    assert weights_hash(again.policy()) == weights_hash(before)
    assert weights_hash(again.fit(leaky_vector, again.steps + 1)) != weights_hash(before)
    assert learner.steps < again.steps <= learner.steps + UPDATE
    assert again._algorithm.env_runner.env.seeds_seen not in ([], seeds)


def test_a_damaged_or_foreign_checkpoint_is_refused(tmp_path: Path, trainer: Any) -> None:
    learner = trainer()
    learner.fit(leaky_vector, UPDATE)
    folder = learner.save(tmp_path / "c")
    others: list[tuple[dict[str, Any], str]] = [
        ({"scaler": Scaler.identity(4)}, "scaler.centre"),
        ({"config": replace(SHORT, clip=0.3)}, "config.clip 0.2, not 0.3"),
        ({"env_config": {"action": spaces.Discrete(3)}}, r"action Box.*, not Discrete\(3\)"),
        ({"runners": 2}, "runners 0, not 2"),
    ]
    for other, named in others:
        with pytest.raises(TrainingError, match=f"has {named}"):
            trainer(**other).resume(folder, leaky_vector)
    (folder / "checkpoint.json").write_text("{}")
    with pytest.raises(SealError, match=r"checkpoint\.json differs"):
        trainer().resume(folder, leaky_vector)


@pytest.mark.parametrize("runners", [0, 1])
def test_a_nan_in_an_observation_stops_the_training_with_its_place(trainer: Any, runners: int) -> None:
    learner = trainer(runners=runners, env_config={"spoil_at": 20})
    with pytest.raises(TrainingError, match="env 0 gave nan in column 2 of its observation"):
        learner.fit(tricky_vector, 4 * UPDATE)
    assert learner.steps == pytest.approx(UPDATE, abs=8)


def test_a_loss_that_is_no_number_stops_the_training_and_leaves_the_weights_before_it(trainer: Any) -> None:
    learner = trainer(replace(SHORT, reward_scale=1e38))
    with pytest.raises(TrainingError, match=r"became (nan|inf) in epoch 1 of the update at step \d+; the weights are"):
        learner.fit(leaky_vector, 4 * UPDATE)
    assert all(bool(weight.isfinite().all()) for weight in learner_of(learner).network.parameters())


def pids(learner: Any) -> dict[int, int]:
    told = learner._algorithm.env_runner_group.foreach_env_runner(
        lambda runner: (runner.worker_index, os.getpid()), local_env_runner=False
    )
    return dict(told)


def test_the_loss_of_runners_in_mid_training_is_survived(trainer: Any) -> None:
    watcher = Watcher()
    learner = trainer(runners=2, metrics=watcher)
    learner.fit(leaky_vector, 2 * UPDATE)
    for victims in ({1}, {1, 2}):
        before = pids(learner)
        for victim in victims:
            os.kill(before[victim], signal.SIGKILL)
        learner.fit(leaky_vector, learner.steps + 1)
        for _ in range(200):
            if set(pids(learner)) == {1, 2}:
                break
            learner.fit(leaky_vector, learner.steps + 1)
        after = pids(learner)
        assert {index for index in after if after[index] != before[index]} == victims
    learner.fit(leaky_vector, learner.steps + 1)
    taken = np.diff([0, *(step for step, _ in watcher.seen)])
    assert len(taken) >= 4
    assert ((taken >= 2 * UPDATE - 2 * 8) & (taken <= 2 * UPDATE)).all()  # whole updates, less one dummy an env
    assert learner.steps == sum(taken)


def test_runners_that_hang_are_told_after_a_bounded_wait(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rllib_algorithm, "PATIENCE_S", 0.5)
    learner = trainer(runners=2, env_config={"sleep_s": 60.0})
    with pytest.raises(TrainingError, match=r"only 0 of 2 rollouts came within 0\.5 s"):
        learner.fit(tricky_vector, UPDATE)
    learner.close()  # does not wait for them either


def test_learners_elsewhere_take_the_steps_of_one_here(tmp_path: Path, trainer: Any) -> None:
    wanted = trainer().fit(patient_vector, 3 * UPDATE)
    several = trainer(learners=2)
    several.fit(patient_vector, UPDATE)
    several.save(tmp_path / "c")
    several.close()
    several.resume(tmp_path / "c", patient_vector)
    found = several.fit(patient_vector, 3 * UPDATE)
    pairs = zip(found.parameters(), wanted.parameters(), strict=True)
    assert max(float((one - other).abs().max()) for one, other in pairs) <= 1e-5
    learner_elsewhere = several._algorithm.learner_group.foreach_learner(lambda learner: os.getpid())
    elsewhere = {answer.get() for answer in learner_elsewhere} - {os.getpid()}
    assert len(elsewhere) == 2
    os.kill(elsewhere.pop(), signal.SIGKILL)
    with pytest.raises(TrainingError, match="a learner is lost: go on from the last checkpoint"):
        several.fit(patient_vector, 9 * UPDATE)


def test_a_loss_that_is_no_number_elsewhere_is_told_here(trainer: Any) -> None:
    learner = trainer(replace(SHORT, reward_scale=1e38), learners=1)
    with pytest.raises(TrainingError, match=r"^the (loss|gradient) became (nan|inf) in epoch 1 of the update"):
        learner.fit(leaky_vector, 4 * UPDATE)


def test_more_processes_than_the_cluster_has_room_for_are_refused(trainer: Any) -> None:
    with pytest.raises(ValueError, match="runners and learners ask for 5 CPUs, the Ray cluster has 2"):
        trainer(runners=3, learners=2).fit(leaky_vector, UPDATE)


def test_an_env_that_a_runner_cannot_make_is_told_in_one_sentence(trainer: Any) -> None:
    here = os.getpid()

    def only_here(told: dict[str, Any]) -> LeakyVector:
        if os.getpid() != here:
            raise FileNotFoundError("bars.parquet is not on this machine")
        return leaky_vector(told)

    with pytest.raises(TrainingError, match=r"^a runner could not start: .*bars\.parquet is not on this machine$"):
        trainer(runners=1).fit(only_here, UPDATE)


def test_an_env_that_resets_in_the_same_step_is_refused(trainer: Any) -> None:
    def same_step(config: dict[str, Any]) -> LeakyVector:
        env = leaky_vector(config)
        env.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        return env

    with pytest.raises(ValueError, match="NEXT_STEP autoreset"):
        trainer().fit(same_step, UPDATE)


def test_an_env_of_another_width_is_refused(trainer: Any) -> None:
    with pytest.raises(ValueError, match=r"shape \(4,\), the scaler has 7 columns"):
        trainer(scaler=Scaler.identity(7)).fit(leaky_vector, UPDATE)


def test_an_unknown_env_name_is_refused(trainer: Any) -> None:
    with pytest.raises(ValueError, match="no env 'nowhere' is registered"):
        trainer().fit("nowhere", UPDATE)


def test_nothing_trained_is_nothing_to_save(tmp_path: Path, trainer: Any) -> None:
    with pytest.raises(ValueError, match="nothing is trained yet"):
        trainer().save(tmp_path / "c")
