"""The same keys mean the same thing: one rollout, given to the updates of both backends, leaves the same weights."""

import copy
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from wavetank.agents import sb3_ppo
from wavetank.agents.keys import PPOConfig
from wavetank.agents.masking import Masking
from wavetank.agents.networks import ActorCritic
from wavetank.agents.objective import Samples
from wavetank.agents.policy import TrainingError
from wavetank.agents.rllib_rollout import Rollout
from wavetank.agents.rllib_update import Batch, as_batch, update
from wavetank.agents.sb3 import SB3Trainer
from wavetank.agents.scaling import Scaler

from .leaky import LeakyVecEnv, leaky_scaler

STEPS, COUNT, WIDTH = 20, 8, 4  # the leaky env's episodes are of 16 steps
SMALL: dict[str, Any] = dict(
    rollout=STEPS, minibatch=40, epochs=3, hidden=(8, 8), learning_rate=3e-3, entropy=0.01, seed=5
)
CPU = torch.device("cpu")
WINDOW = (8, WIDTH)
VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "clip": {"clip": 0.02},
    "value_coef": {"value_coef": 2.0},
    "max_grad_norm": {"max_grad_norm": 0.01},
    "entropy": {"entropy": 0.5},
    "normalize_advantage": {"normalize_advantage": False},
    "target_kl": {"target_kl": 1e-4},
    "schedules": {"learning_rate_end": 0.0, "clip_end": 0.01, "entropy_end": 1.0, "horizon": 512},
    "cosine": {"learning_rate_end": 0.0, "horizon": 512, "schedule": "cosine"},
    "epochs": {"epochs": 1},
    "minibatch": {"minibatch": 160},
    "activation": {"activation": "silu"},
    "orthogonal": {"orthogonal": False},
    "separate": {"separate": False},
    "log_std_init": {"log_std_init": -1.0},
    "conv": {"encoder": "conv", "conv_channels": (4, 6), "conv_kernel": 3},
}


def keys_of(**changes: Any) -> PPOConfig:
    return PPOConfig(**(SMALL | changes))


def network_of(keys: PPOConfig, shape: tuple[int, ...] = (WIDTH,), levels: int = 0) -> ActorCritic:
    torch.manual_seed(keys.seed)
    masking = Masking((-1.0, 0.0, 1.0), position=0, trading_state=1) if keys.mask else None
    return ActorCritic(Scaler.identity(WIDTH), shape, keys, levels or 1, levels > 0, masking)


def drawn(network: ActorCritic, keys: PPOConfig, dummies: int = 0) -> Rollout:
    """What `network` might have done on noise; `dummies` rows an env are none, and hold what would wreck any update."""
    rng = np.random.default_rng(1)

    def noise(*more: int) -> np.ndarray:
        return rng.standard_normal((STEPS, COUNT, *more)).astype(np.float32)

    levels = 0 if network.log_std is not None else network.action.out_features
    observations = noise(*network.shape)
    if keys.mask:  # trading states 0, 1/2, 1 and positions among the levels
        observations[..., 0] = rng.integers(-1, 2, (STEPS, COUNT))
        observations[..., 1] = rng.integers(0, 3, (STEPS, COUNT)) / 2
    actions = rng.integers(0, levels, (STEPS, COUNT)) if levels else noise(1)
    if keys.mask:
        actions[...] = 1  # flat, the one level that is always allowed
    real = np.ones((STEPS, COUNT), bool)
    for env in range(COUNT):
        real[rng.choice(STEPS, dummies, replace=False), env] = False
    log_probs, values, advantages, returns = likely(network, observations, actions), noise(), noise(), noise()
    for spoilt in (log_probs, advantages, returns):
        spoilt[~real] = np.nan
    states = np.zeros((STEPS, COUNT, 0), np.float32)
    return Rollout(observations, actions, log_probs, values, advantages, returns, real, real, states, ())


def likely(network: ActorCritic, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        outputs, _ = network.heads(network.scaler(torch.from_numpy(observations).flatten(0, 1)))
        return network.likelihood(outputs, torch.from_numpy(actions).flatten(0, 1))[0].numpy().reshape(STEPS, COUNT)


def as_theirs(batch: Batch) -> sb3_ppo.Rollout:
    return sb3_ppo.Rollout(batch.scaled, batch.actions, batch.samples)


def adam(network: ActorCritic) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), eps=1e-5)


def difference(here: ActorCritic, there: ActorCritic) -> float:
    pairs = zip(here.parameters(), there.parameters(), strict=True)
    return max(float((one - other).detach().abs().max()) for one, other in pairs)


def both(keys: PPOConfig, theirs: PPOConfig, network: ActorCritic, dummies: int = 0) -> tuple[float, int, int]:
    """How far weights lie apart after one update by each, and the minibatches that each took."""
    there, here = copy.deepcopy(network), copy.deepcopy(network)
    batch, rates = as_batch(drawn(here, keys, dummies), here, keys, CPU), keys.rates(128)
    torch.manual_seed(7)
    told = sb3_ppo.update(there, adam(there), as_theirs(batch), theirs, rates)
    ours = update(here, adam(here), batch, keys, rates, torch.Generator().manual_seed(7))
    assert difference(here, network) > 1e-5  # both have moved
    return difference(here, there), len(ours), len(told)


@pytest.mark.parametrize(
    ("name", "kind"),  # a mask reads the account's columns, which a window of noise does not have
    [(n, k) for n in VARIANTS for k in ("box", "discrete", "masked") if (n, k) != ("conv", "masked")],
)
def test_one_update_of_both_backends_leaves_the_same_weights(name: str, kind: str) -> None:
    keys = keys_of(**VARIANTS[name], mask=kind == "masked")
    shape, levels = (WINDOW if name == "conv" else (WIDTH,)), (0 if kind == "box" else 3)
    apart, ours, theirs = both(keys, keys, network_of(keys, shape, levels))
    assert apart <= 1e-6
    assert ours == theirs
    assert (1 < ours < keys.epochs * 4) == (name == "target_kl") or name == "minibatch"


def test_dummies_are_no_samples() -> None:
    keys, fewer = keys_of(), keys_of(minibatch=36)  # two dummies in each of 8 x 20 rows leave 4 minibatches of 36
    apart, ours, theirs = both(keys, fewer, network_of(keys), dummies=2)
    assert apart <= 1e-6
    assert ours == theirs == 3 * 4


def test_past_the_kl_target_no_step_of_the_update_is_taken() -> None:
    keys = keys_of(target_kl=1e-4)
    network = network_of(keys)
    batch = as_batch(drawn(network, keys), network, keys, CPU)
    with torch.no_grad():
        network.action.bias.add_(0.1)  # the policy that collected was another: a KL of 0.1²/2
    before = copy.deepcopy(network)
    losses = update(network, adam(network), batch, keys, keys.rates(0), torch.Generator())
    assert len(losses) == 1
    assert 0.002 < float(losses[0].kl) < 0.02
    assert difference(network, before) == 0.0


@pytest.mark.parametrize("where", ["advantages", "returns", "log_probs"])
def test_a_loss_that_is_no_number_changes_no_weight(where: str) -> None:
    keys = keys_of()
    network = network_of(keys)
    rollout = drawn(network, keys)
    before = copy.deepcopy(network)
    getattr(rollout, where)[:] = np.nan
    batch = as_batch(rollout, network, keys, CPU)
    with pytest.raises(TrainingError, match="the loss became nan in epoch 1 of the update at step 99; the weights are"):
        update(network, adam(network), batch, keys, keys.rates(0), torch.Generator(), "of the update at step 99")
    assert difference(network, before) == 0.0


class Together:
    """Learners in threads that wait for each other at every sum."""

    def __init__(self, rank: int, count: int, held: list[Any], gate: threading.Barrier) -> None:
        self.rank, self.count, self._held, self._gate = rank, count, held, gate

    def total(self, part: torch.Tensor) -> torch.Tensor:
        self._held[self.rank] = part
        self._gate.wait(timeout=60)
        whole = torch.stack(self._held).sum(dim=0)
        self._gate.wait(timeout=60)
        return whole


@pytest.mark.parametrize("lstm", [0, 6])
@pytest.mark.parametrize("count", [2, 5])
def test_several_learners_take_the_steps_of_one(count: int, lstm: int) -> None:
    keys = keys_of(lstm=lstm, target_kl=0.05)
    alone = network_of(keys)
    rollout = recurrent(keys, *walked(keys)) if lstm else drawn(alone, keys, dummies=1)
    crowd = [copy.deepcopy(alone) for _ in range(count)]
    held: list[Any] = [None] * count
    gate = threading.Barrier(count)

    def learn(rank: int) -> None:
        network = crowd[rank]
        batch, random = as_batch(rollout, network, keys, CPU), torch.Generator().manual_seed(3)
        peers = Together(rank, count, held, gate)
        update(network, adam(network), batch, keys, keys.rates(0), random, peers=peers)

    threads = [threading.Thread(target=learn, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    batch = as_batch(rollout, alone, keys, CPU)
    update(alone, adam(alone), batch, keys, keys.rates(0), torch.Generator().manual_seed(3))
    for thread in threads:
        thread.join()
    assert all(difference(network, crowd[0]) == 0.0 for network in crowd)
    assert difference(crowd[0], alone) <= 1e-5


def walked(keys: PPOConfig, levels: int = 0) -> tuple[Any, Any]:
    """The other backend's recurrent model with a rollout in its buffer, and the network before it learns from that."""
    action = spaces.Discrete(levels) if levels else LeakyVecEnv().action_space
    trainer = SB3Trainer(keys, leaky_scaler())
    env = LeakyVecEnv(COUNT, action)
    trainer.fit(env, STEPS * COUNT)  # one update moves the weights off their start
    model: Any = trainer._model
    _, callback = model._setup_learn(10**9, None, False)
    assert model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
    return model, copy.deepcopy(model.policy.network)


def recurrent(keys: PPOConfig, model: Any, _: Any) -> Rollout:
    """The buffer of the other backend as a rollout of ours."""
    buffer = model.rollout_buffer
    parts = ["hidden_states_pi", "cell_states_pi", "hidden_states_vf", "cell_states_vf"][: 4 if keys.separate else 2]
    states = np.concatenate([getattr(buffer, part)[:, 0] for part in parts], axis=-1)
    discrete = model.policy.network.log_std is None
    starts = buffer.episode_starts > 0.5
    states = np.where(starts[..., None], 0.0, states).astype(np.float32)  # a start forgets, as their network does
    return Rollout(
        buffer.observations.copy(),
        buffer.actions[..., 0].astype(np.int64) if discrete else buffer.actions.copy(),
        buffer.log_probs.copy(), buffer.values.copy(), buffer.advantages.copy(), buffer.returns.copy(),
        np.ones((STEPS, COUNT), bool), starts, states, (),
    )  # fmt: skip


def seeds_that_agree(epochs: int) -> tuple[int, int]:
    """A seed for numpy and one for torch that draw the same first rows: where an epoch of sequences begins."""
    np.random.seed(0)  # noqa: NPY002 - sb3-contrib draws from it
    wanted = [int(np.random.randint(STEPS * COUNT)) for _ in range(epochs)]  # noqa: NPY002 - as above
    for seed in candidates():
        random = torch.Generator().manual_seed(seed)
        if all(int(torch.randint(STEPS * COUNT, (1,), generator=random)) == one for one in wanted):
            return 0, seed
    raise AssertionError("no seed found")


def candidates() -> Iterator[int]:
    return iter(range(500_000))


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"separate": False}, {"normalize_advantage": False}, {"orthogonal": False}])
@pytest.mark.parametrize("levels", [0, 3])
def test_one_recurrent_update_of_both_backends_leaves_the_same_weights(levels: int, changes: dict[str, Any]) -> None:
    keys = keys_of(lstm=6, epochs=2, **changes)
    model, here = walked(keys, levels)
    rollout = recurrent(keys, model, here)
    assert rollout.starts[1:].any()  # sequences are cut by episodes too
    theirs, ours = seeds_that_agree(keys.epochs)
    optimizer = torch.optim.Adam(here.parameters(), eps=1e-5)
    optimizer.load_state_dict(copy.deepcopy(model.policy.optimizer.state_dict()))
    start = copy.deepcopy(here)
    np.random.seed(theirs)  # noqa: NPY002 - as above
    model._update_current_progress_remaining(model.num_timesteps, 10**9)
    model.train()
    batch = as_batch(rollout, here, keys, CPU)
    update(here, optimizer, batch, keys, keys.rates(0), torch.Generator().manual_seed(ours))
    assert difference(here, start) > 1e-4
    assert difference(here, model.policy.network) <= 1e-5


def test_padding_and_dummies_inside_sequences_change_nothing() -> None:
    keys = keys_of(lstm=6, epochs=1, minibatch=STEPS * COUNT)
    rollout = recurrent(keys, *walked(keys))
    spoilt = rollout._replace(real=rollout.real.copy(), starts=rollout.starts.copy(), states=rollout.states.copy())
    spoilt.real[-1] = False  # the last row of every sequence is a dummy
    cut = rollout._replace(**{name: getattr(rollout, name)[:-1] for name in Rollout._fields if name != "ended"})
    after = []
    for told in (spoilt, cut):
        network, whole = network_of(keys), replace(keys, minibatch=told.real.size)
        order = torch.Generator().manual_seed(first_row_seed(told.real.size))
        update(network, adam(network), as_batch(told, network, whole, CPU), whole, whole.rates(0), order)
        after.append(network)
    assert difference(after[0], after[1]) <= 1e-6


def first_row_seed(count: int) -> int:
    """A seed with which an epoch begins at row 0, so that no sequence is cut in two."""
    for seed in candidates():
        if int(torch.randint(count, (1,), generator=torch.Generator().manual_seed(seed))) == 0:
            return seed
    raise AssertionError("no seed found")


def test_samples_are_left_as_they_are() -> None:
    keys = keys_of()
    network = network_of(keys)
    batch = as_batch(drawn(network, keys), network, keys, CPU)
    before = Samples(*(part.clone() for part in batch.samples))
    update(network, adam(network), batch, keys, keys.rates(0), torch.Generator())
    assert all(torch.equal(one, other) for one, other in zip(before, batch.samples, strict=True))
