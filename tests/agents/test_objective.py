from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib.common.maskable.distributions import MaskableCategorical
from stable_baselines3 import PPO
from stable_baselines3.common.distributions import CategoricalDistribution, DiagGaussianDistribution

from wavetank.agents.keys import PPOConfig
from wavetank.agents.objective import Samples, categorical, gaussian, normalised, ppo_loss
from wavetank.agents.sb3 import SB3Trainer
from wavetank.agents.sb3_ppo import LeanPPO

from .leaky import BOX, LeakyVecEnv, leaky_scaler


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def test_gaussian_likelihood_and_entropy_are_the_library_s() -> None:
    mean, log_std, actions = drawn(50, 2), torch.tensor([-0.5, 0.3]), drawn(50, 2, seed=1)
    theirs = DiagGaussianDistribution(2).proba_distribution(mean, log_std)
    log_prob, entropy = gaussian(mean, log_std, actions)
    assert torch.allclose(log_prob, theirs.log_prob(actions), atol=1e-5)
    assert torch.allclose(entropy.expand(50), theirs.entropy(), atol=1e-6)  # type: ignore[arg-type]  # never None here


def test_categorical_likelihood_and_entropy_are_the_library_s() -> None:
    logits, actions = drawn(50, 5), torch.arange(50) % 5
    theirs = CategoricalDistribution(5).proba_distribution(logits)
    log_prob, entropy = categorical(logits, actions)
    assert torch.allclose(log_prob, theirs.log_prob(actions), atol=1e-6)
    assert torch.allclose(entropy, theirs.entropy(), atol=1e-6)


def test_a_masked_level_adds_nothing_to_likelihood_or_entropy_as_in_sb3_contrib() -> None:
    logits = drawn(40, 5)
    free = torch.from_numpy(np.random.default_rng(5).random((40, 5)) < 0.6)
    free[:, 2] = True
    theirs: Any = MaskableCategorical(logits=logits, masks=free)
    log_prob, entropy = categorical(torch.where(free, logits, torch.full_like(logits, -1e8)), torch.full((40,), 2))
    assert torch.allclose(log_prob, theirs.log_prob(torch.full((40,), 2)), atol=1e-6)
    assert torch.allclose(entropy, theirs.entropy(), atol=1e-6)


def test_the_loss_by_hand() -> None:
    """Two samples: one whose ratio, 2, is clipped at 1.2 with a gain; one whose ratio, ½, stays, for it is a loss."""
    log_prob = torch.log(torch.tensor([2.0, 0.5]))
    samples = Samples(torch.zeros(2), torch.tensor([1.0, 1.0]), torch.tensor([3.0, 0.0]))
    found = ppo_loss(
        log_prob, torch.tensor(0.5), torch.tensor([1.0, 0.0]), samples, clip=0.2, entropy_weight=0.1, value_weight=0.5
    )
    assert float(found.policy) == pytest.approx(-(1.2 + 0.5) / 2)
    assert float(found.value) == pytest.approx(2.0)
    assert float(found.total) == pytest.approx(-0.85 - 0.05 + 1.0)
    assert float(found.kl) == pytest.approx(((2 - 1 - np.log(2)) + (0.5 - 1 + np.log(2))) / 2)
    assert float(found.clipped) == 1.0


def test_normalising_keeps_a_single_sample() -> None:
    assert normalised(torch.tensor([3.0])).tolist() == [3.0]
    assert float(normalised(drawn(100)).mean()) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("action", [BOX, spaces.Discrete(3)])
@pytest.mark.parametrize("changes", [{}, {"entropy": 0.05, "target_kl": 0.002}, {"normalize_advantage": False}])
def test_an_update_gives_the_weights_of_the_library_s_own(
    action: Any, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oracle is upstream's own `train`, on the same rollout, first weights and shuffles."""
    keys = PPOConfig(rollout=16, minibatch=32, epochs=3, hidden=(8,), learning_rate=1e-2, seed=5, **changes)
    orders = [np.random.default_rng(epoch).permutation(16 * 8) for epoch in range(3)]
    first = weights_after(keys, action, monkeypatch, [])
    ours = weights_after(keys, action, monkeypatch, orders)
    theirs = weights_after(keys, action, monkeypatch, orders, PPO.train)
    assert not torch.allclose(ours, first, atol=1e-3)
    assert torch.allclose(ours, theirs, atol=2e-6)


def weights_after(
    keys: PPOConfig, action: Any, monkeypatch: pytest.MonkeyPatch, orders: list[Any], train: Any = LeanPPO.train
) -> torch.Tensor:
    """All weights after one update whose epochs shuffle as `orders` say; the first weights where there are none."""
    trainer, shuffles = SB3Trainer(keys, leaky_scaler()), iter(orders)
    place = np.arange(16 * 8).reshape(16, 8).T.ravel()  # upstream counts env by env, we count step by step
    with monkeypatch.context() as patch:
        patch.setattr(torch, "randperm", lambda n: torch.from_numpy(place[next(shuffles)]))
        patch.setattr(np.random, "permutation", lambda n: next(shuffles))
        patch.setattr(LeanPPO, "train", train if orders else lambda self: None)
        trainer.fit(LeakyVecEnv(action=action), 16 * 8)
    return torch.cat([weight.flatten() for weight in trainer.policy().network.parameters()])
