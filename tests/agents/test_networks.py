import numpy as np
import pytest
import torch

from wavetank.agents.networks import ActorCritic, PolicyNetwork, ScalerLayer
from wavetank.agents.scaling import Scaler


def hard_rows(width: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    return (rng.standard_normal((2_000, width)) * 10.0 ** rng.integers(-12, 12, (2_000, width))).astype(np.float32)


def awkward_scaler(width: int) -> Scaler:
    rng = np.random.default_rng(4)
    clip = np.where(np.arange(width) % 3 == 0, np.inf, 10.0)
    return Scaler(rng.standard_normal(width) * 100, rng.random(width) + 1e-6, clip)


def network(outputs: int, log_std: float | None, reward_scale: float = 1.0) -> tuple[ActorCritic, PolicyNetwork]:
    torch.manual_seed(0)
    net = ActorCritic(Scaler.identity(6), (8, 8), "tanh", outputs, log_std)
    torch.nn.init.normal_(net.action.weight, std=2.0)
    return net, PolicyNetwork(net.scaler, net.pi, net.action, net.vf, net.value, net.log_std, reward_scale)


def test_scaler_layer_equals_the_numpy_scaler_to_the_last_bit() -> None:
    scaler, rows = awkward_scaler(9), hard_rows(9)
    layer = ScalerLayer(scaler)(torch.from_numpy(rows)).numpy()
    assert layer.dtype == np.float32
    assert np.array_equal(layer, scaler.apply(rows))


def test_scaler_layer_has_nothing_to_train_and_nothing_that_a_state_could_narrow() -> None:
    layer = ScalerLayer(awkward_scaler(3))
    assert list(layer.parameters()) == []
    assert layer.state_dict() == {}
    assert layer.spread.dtype == torch.float64


def test_gaussian_policy_answers_its_mean_clipped() -> None:
    net, policy = network(1, log_std=-1.0)
    rows = torch.from_numpy(np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32))
    action, confidence, _ = policy(rows)
    mean = net.action_inputs(net.scaler(rows))[:, :1]
    assert (mean.abs() > 1).any()  # so that clipping matters
    assert torch.equal(action, mean.clamp(-1, 1))
    assert confidence.numpy() == pytest.approx(1 - np.exp(-1.0), abs=1e-6)


def test_confidence_of_a_wide_gaussian_is_zero_not_negative() -> None:
    _, policy = network(1, log_std=0.7)
    assert policy(torch.zeros(2, 6))[1].tolist() == [0.0, 0.0]


def test_discrete_policy_answers_the_likeliest_index_and_the_margin_of_probabilities() -> None:
    net, policy = network(3, log_std=None)
    rows = torch.from_numpy(np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32))
    action, confidence, _ = policy(rows)
    odds = np.exp(net.action_inputs(net.scaler(rows)).detach().numpy().astype(np.float64))
    odds /= odds.sum(axis=1, keepdims=True)
    assert action[:, 0].tolist() == odds.argmax(axis=1).tolist()
    assert len(set(action[:, 0].tolist())) == 3
    ordered = np.sort(odds, axis=1)
    assert confidence.numpy() == pytest.approx(ordered[:, 2] - ordered[:, 1], abs=1e-6)


def test_values_are_exported_in_units_of_unscaled_reward() -> None:
    net, policy = network(1, 0.0, reward_scale=100.0)
    rows = torch.ones(3, 6)
    assert policy(rows)[2].detach().numpy() == pytest.approx(net.values(rows).detach().numpy() / 100.0, rel=1e-5)


def test_exported_network_is_a_snapshot() -> None:
    net, policy = network(1, 0.0)
    before = policy(torch.ones(1, 6))[0].clone()
    with torch.no_grad():
        net.action.weight.add_(1.0)
    assert torch.equal(policy(torch.ones(1, 6))[0], before)
    assert not any(weight.requires_grad for weight in policy.parameters())


def test_weights_start_orthogonal() -> None:
    net, _ = network(1, 0.0)
    layer = net.pi[0]
    assert isinstance(layer, torch.nn.Linear)
    gram = (layer.weight.T @ layer.weight).detach().numpy()  # 8 x 6: columns orthogonal, gain sqrt(2)
    assert gram == pytest.approx(2.0 * np.eye(6), abs=1e-5)
