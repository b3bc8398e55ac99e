"""`ActorCritic` as Stable-Baselines3 and sb3-contrib ask for it: a policy that samples, values and evaluates.

The libraries' own layers are not built: what is trained here is what RLlib trains and what is exported.
"""

from collections.abc import Callable
from typing import Any

import torch
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from .networks import ActorCritic

ADAM_EPSILON = 1e-5  # as in the paper's code, and upstream's


class NetworkPolicy(ActorCriticPolicy):
    """A feed-forward `ActorCritic`, made by `network`."""

    network: ActorCritic

    def __init__(self, *spaces_and_rate: Any, network: Callable[[], ActorCritic], **keywords: Any) -> None:
        self._make = network
        super().__init__(*spaces_and_rate, **keywords)

    def _build(self, lr_schedule: Schedule) -> None:
        self.network = self._make()
        self.optimizer = adam(self.network, lr_schedule)

    def forward(
        self, obs: torch.Tensor, deterministic: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        outputs, values = self.network.heads(self.network.scaler(obs))
        actions = drawn(self.network, outputs, deterministic)
        return actions, values, self.network.likelihood(outputs, actions)[0]

    def predict_values(self, obs: Any) -> torch.Tensor:
        return self.network.values(self.network.scaler(obs))

    def evaluate_actions(self, obs: Any, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        outputs, values = self.network.heads(self.network.scaler(obs))
        return (values, *self.network.likelihood(outputs, actions))

    def _predict(self, observation: Any, deterministic: bool = False) -> torch.Tensor:
        outputs, _ = self.network.heads(self.network.scaler(observation))
        return drawn(self.network, outputs, deterministic)


class RecurrentNetworkPolicy(RecurrentActorCriticPolicy):
    """A recurrent `ActorCritic` behind sb3-contrib's states: h and c (1, n, units) of policy and of value."""

    network: ActorCritic

    def __init__(self, *spaces_and_rate: Any, network: Callable[[], ActorCritic], units: int, **keywords: Any) -> None:
        observation_space, action_space, rate = spaces_and_rate
        with torch.random.fork_rng(devices=[]):  # the layers that upstream builds draw nothing of ours
            super().__init__(observation_space, action_space, rate, lstm_hidden_size=units, **keywords)
        for name in ("mlp_extractor", "action_net", "value_net", "lstm_critic", "critic", "log_std"):
            if hasattr(self, name):
                delattr(self, name)
        self.lstm_actor = _Shape(units)  # type: ignore[assignment]  # its sizes are read, its weights are not wanted
        self.network = network()
        self.optimizer = adam(self.network, rate)

    def forward(  # type: ignore[override]  # upstream's recurrent policies take states, its base does not
        self, obs: torch.Tensor, lstm_states: RNNStates, episode_starts: torch.Tensor, deterministic: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, RNNStates]:
        (outputs, values), after = self._step(obs, lstm_states, episode_starts)
        actions = drawn(self.network, outputs, deterministic)
        return actions, values, self.network.likelihood(outputs, actions)[0], self._apart(after)

    def predict_values(  # type: ignore[override]  # as above
        self, obs: torch.Tensor, lstm_states: tuple[torch.Tensor, torch.Tensor], episode_starts: torch.Tensor
    ) -> torch.Tensor:
        """Values from the value's own state; the policy's, which they do not need, is given the same."""
        (_, values), _ = self._step(obs, RNNStates(lstm_states, lstm_states), episode_starts)
        return values

    def evaluate_actions(  # type: ignore[override]  # as above
        self, obs: torch.Tensor, actions: torch.Tensor, lstm_states: RNNStates, episode_starts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of padded sequences, one after the other in `obs`, each within one episode."""
        sequences = lstm_states.pi[0].shape[1]
        state = self._together(lstm_states)
        begins = episode_starts.reshape(sequences, -1)[:, 0] > 0.5
        state = torch.where(begins[:, None], torch.zeros_like(state), state)
        scaled = self.network.scaler(obs).unflatten(0, (sequences, -1))
        (outputs, values), _ = self.network.sequence(scaled, state)
        log_prob, entropy = self.network.likelihood(outputs, actions)
        return values, log_prob, entropy.expand_as(log_prob)

    def _predict(  # type: ignore[override]  # as above
        self,
        observation: torch.Tensor,
        lstm_states: tuple[torch.Tensor, torch.Tensor],
        episode_starts: torch.Tensor,
        deterministic: bool = False,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        (outputs, _), after = self._step(observation, RNNStates(lstm_states, lstm_states), episode_starts)
        h, c = self._apart(after).pi
        return drawn(self.network, outputs, deterministic), (h, c)

    def _step(
        self, obs: torch.Tensor, states: RNNStates, starts: torch.Tensor
    ) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]:
        return self.network.step(self.network.scaler(obs), self._together(states), starts > 0.5)

    def _together(self, states: RNNStates) -> torch.Tensor:
        parts = [*states.pi, *states.vf] if self.network.separate else [*states.pi]
        return torch.cat([part[0] for part in parts], dim=1)

    def _apart(self, state: torch.Tensor) -> RNNStates:
        parts = [part[None] for part in torch.split(state, self.network.units, dim=1)]
        pi = (parts[0], parts[1])
        return RNNStates(pi, (parts[2], parts[3]) if self.network.separate else pi)


class _Shape(nn.Module):
    """The two sizes of an LSTM that sb3-contrib reads."""

    num_layers = 1

    def __init__(self, units: int) -> None:
        super().__init__()
        self.hidden_size = units


def adam(network: nn.Module, lr_schedule: Schedule) -> torch.optim.Optimizer:
    """Adam over the network's weights, all in one fused step."""
    return torch.optim.Adam(network.parameters(), lr=lr_schedule(1.0), eps=ADAM_EPSILON, fused=True)


def drawn(network: ActorCritic, outputs: torch.Tensor, deterministic: bool) -> torch.Tensor:
    """Actions from the policy's outputs: (n, k) around the mean, or indices (n,)."""
    if network.log_std is None:
        return outputs.argmax(dim=1) if deterministic else torch.multinomial(outputs.softmax(dim=1), 1).squeeze(1)
    return outputs if deterministic else outputs + network.log_std.exp() * torch.randn_like(outputs)
