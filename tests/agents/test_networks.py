from typing import Any

import numpy as np
import pytest
import torch

from wavetank.agents.keys import PPOConfig
from wavetank.agents.masking import Masking, allowed
from wavetank.agents.networks import ActorCritic, PolicyNetwork
from wavetank.agents.scaling import Scaler


def network(outputs: int, log_std: float | None, reward_scale: float = 1.0) -> tuple[ActorCritic, PolicyNetwork]:
    torch.manual_seed(0)
    keys = PPOConfig(hidden=(8, 8), log_std_init=log_std or 0.0)
    net = ActorCritic(Scaler.identity(6), (6,), keys, outputs, discrete=log_std is None)
    torch.nn.init.normal_(net.action.weight, std=2.0)
    return net, PolicyNetwork(net, reward_scale)


def test_gaussian_policy_answers_its_mean_clipped() -> None:
    net, policy = network(1, log_std=-1.0)
    rows = torch.from_numpy(np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32))
    action, confidence, _ = policy(rows)
    mean = net.heads(net.scaler(rows))[0]
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
    odds = np.exp(net.heads(net.scaler(rows))[0].detach().numpy().astype(np.float64))
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
    layer = net.pi.hidden[0]
    assert isinstance(layer, torch.nn.Linear)
    gram = (layer.weight.T @ layer.weight).detach().numpy()  # 8 x 6: columns orthogonal, gain sqrt(2)
    assert gram == pytest.approx(2.0 * np.eye(6), abs=1e-5)


def test_weights_start_as_torch_draws_them_where_orthogonal_is_off() -> None:
    torch.manual_seed(0)
    net = ActorCritic(Scaler.identity(6), (6,), PPOConfig(hidden=(8,), orthogonal=False), 1, discrete=False)
    torch.manual_seed(0)
    layer = net.pi.hidden[0]
    assert isinstance(layer, torch.nn.Linear)
    assert torch.equal(layer.weight, torch.nn.Linear(6, 8).weight)


def test_layers_that_are_shared_are_the_same_and_counted_once() -> None:
    apart, shared = (
        ActorCritic(Scaler.identity(6), (6,), PPOConfig(hidden=(8,), separate=separate), 1, discrete=False)
        for separate in (True, False)
    )
    assert shared.pi is shared.vf
    assert apart.pi is not apart.vf
    count = [sum(weight.numel() for weight in net.parameters()) for net in (apart, shared)]
    assert count[0] - count[1] == 6 * 8 + 8


def conv_keys(**changes: Any) -> PPOConfig:
    return PPOConfig(**{"hidden": (8,), "encoder": "conv", "conv_channels": (4, 6), "conv_kernel": 3, **changes})


def test_convolutions_run_along_time_over_all_columns() -> None:
    """The first output of the first layer, by hand: three bars times five columns."""
    torch.manual_seed(2)
    net = ActorCritic(Scaler.identity(5), (12, 5), conv_keys(), 1, discrete=False).requires_grad_(False)
    encoder = net.pi.encoder
    assert isinstance(encoder, torch.nn.Sequential)
    layer = encoder[1]
    assert isinstance(layer, torch.nn.Conv1d)
    window = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 12, 5)).astype(np.float32))
    found = encoder[1](encoder[0](window))[0, 1, 0]
    by_hand = (layer.weight[1] * window[0, :3].T).sum() + layer.get_parameter("bias")[1]
    assert float(found) == pytest.approx(float(by_hand), abs=1e-5)
    assert net.heads(window)[0].shape == (1, 1)
    assert net.pi(window).shape == (1, 8)


def test_convolutions_without_room_are_refused_with_the_numbers() -> None:
    with pytest.raises(ValueError, match="2 layers of kernel 3 do not fit a window of 4 bars"):
        ActorCritic(Scaler.identity(5), (4, 5), conv_keys(), 1, discrete=False)
    with pytest.raises(ValueError, match="encoder conv reads a window of bars"):
        ActorCritic(Scaler.identity(5), (5,), conv_keys(), 1, discrete=False)
    with pytest.raises(ValueError, match=r"shape \(12, 6\), the scaler has 5 columns"):
        ActorCritic(Scaler.identity(5), (12, 6), conv_keys(), 1, discrete=False)


@pytest.mark.parametrize("separate", [True, False])
def test_steps_of_the_recurrent_net_are_the_library_s_lstm_and_a_start_forgets(separate: bool) -> None:
    torch.manual_seed(4)
    net = ActorCritic(
        Scaler.identity(5), (5,), PPOConfig(hidden=(8,), lstm=7, separate=separate), 3, discrete=True
    ).requires_grad_(False)
    rows = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 9, 5)).astype(np.float32))
    state = torch.randn(2, net.state_size)
    (wanted, values), after = net.sequence(rows, state)
    outputs, told = [], state
    for t in range(9):
        (output, value), told = net.step(rows[:, t], told, torch.zeros(2, dtype=torch.bool))
        outputs.append(output)
    assert torch.allclose(torch.stack(outputs, 1).flatten(0, 1), wanted, atol=1e-6)
    assert torch.allclose(value, values.reshape(2, 9)[:, -1], atol=1e-6)
    assert torch.allclose(told, after, atol=1e-6)
    fresh = net.step(rows[:, 0], torch.zeros_like(state), torch.zeros(2, dtype=torch.bool))
    begun = net.step(rows[:, 0], state, torch.tensor([True, False]))
    assert torch.equal(begun[1][0], fresh[1][0])
    assert not torch.equal(begun[1][1], fresh[1][1])


def test_the_mask_is_the_plain_rule_s_and_no_forbidden_level_is_ever_the_answer() -> None:
    masking = Masking(levels=(-1.0, -0.5, 0.0, 0.5, 1.0), position=2, trading_state=3)
    net = ActorCritic(Scaler.identity(4), (4,), PPOConfig(hidden=(8,)), 5, discrete=True, masking=masking)
    torch.nn.init.normal_(net.action.weight, std=5.0)
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((3_000, 4)).astype(np.float32)
    rows[:, 2] = rng.uniform(-1, 1, 3_000)
    rows[:, 3] = rng.choice([0.0, 0.5, 1.0], 3_000)
    free = allowed(masking, rows)
    logits = net.heads(net.scaler(torch.from_numpy(rows)))[0].detach().numpy()
    assert np.array_equal(logits > -1e7, free)
    chosen = PolicyNetwork(net)(torch.from_numpy(rows))[0][:, 0].long().numpy()
    assert free[np.arange(3_000), chosen].all()


@pytest.mark.parametrize(
    ("position", "state", "wanted"),
    [
        (0.3, 0.0, "sSflL"),  # active: everything
        (0.6, 0.5, "fl"),  # reducing from a long position of 0.6: half as long, or flat
        (-1.0, 0.5, "sSf"),
        (0.0, 0.5, "f"),
        (0.6, 1.0, "f"),  # halted
    ],
)
def test_what_an_account_may_do(position: float, state: float, wanted: str) -> None:
    masking = Masking(levels=(-1.0, -0.5, 0.0, 0.5, 1.0), position=0, trading_state=1)
    free = allowed(masking, np.array([[position, state]], np.float32))[0]
    assert [name for name, may in zip("sSflL", free, strict=True) if may] == list(wanted)
