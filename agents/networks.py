"""The networks in torch: layers put together to trunks and heads, and the form that is exported.

Both backends train one `ActorCritic` and end in one `PolicyNetwork`; knows nothing of how they are trained nor of
what the columns mean.
"""

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from .keys import PPOConfig
from .layers import MaskLayer, Pair, ScalerLayer, encoder_of, head_of, lstm_step, tower
from .masking import Masking
from .objective import categorical, gaussian
from .scaling import Scaler

SIGMA_MAX = 1.0  # of a Gaussian action: one deviation then spans from flat to fully invested, so confidence is 0


class Trunk(nn.Module):
    """From a scaled observation to features: encoder, recurrence if there is one, hidden layers."""

    def __init__(self, shape: Sequence[int], keys: PPOConfig) -> None:
        super().__init__()
        self.encoder, width = encoder_of(shape, keys)
        self.lstm = nn.LSTM(width, keys.lstm, batch_first=True) if keys.lstm else None
        if self.lstm is not None and keys.orthogonal:
            for name, weight in self.lstm.named_parameters():
                nn.init.orthogonal_(weight) if "weight" in name else nn.init.zeros_(weight)
        self.hidden = tower(keys.lstm or width, keys.hidden, keys.activation, keys.orthogonal)
        self.width = keys.hidden[-1] if keys.hidden else (keys.lstm or width)

    def forward(self, scaled: torch.Tensor) -> torch.Tensor:
        """Observations (n, *shape) -> features (n, k), without recurrence."""
        features: torch.Tensor = self.hidden(self.encoder(scaled))
        return features

    def sequence(self, scaled: torch.Tensor, state: Pair) -> tuple[torch.Tensor, Pair]:
        """Sequences (b, t, *shape), each within one episode, from states (b, units) -> features (b, t, k), states."""
        assert self.lstm is not None
        encoded = self.encoder(scaled.flatten(0, 1)).unflatten(0, scaled.shape[:2])
        outputs, (h, c) = self.lstm(encoded, (state[0][None].contiguous(), state[1][None].contiguous()))
        return self.hidden(outputs), (h[0], c[0])

    def step(self, scaled: torch.Tensor, state: Pair) -> tuple[torch.Tensor, Pair]:
        """One step (n, *shape) -> features (n, k), states: the LSTM's cell written out, which exports lean."""
        h, c = lstm_step(self.lstm, self.encoder(scaled), state)
        return self.hidden(h), (h, c)


class ActorCritic(nn.Module):
    """Scaler, then trunks for policy and value, separate or one, and their heads."""

    def __init__(
        self, scaler: Scaler, shape: Sequence[int], keys: PPOConfig, outputs: int, discrete: bool,
        masking: Masking | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if tuple(shape)[-1] != scaler.width:
            raise ValueError(f"observations have shape {tuple(shape)}, the scaler has {scaler.width} columns")
        self.scaler = ScalerLayer(scaler)
        self.pi = Trunk(shape, keys)
        self.vf = Trunk(shape, keys) if keys.separate else self.pi
        self.action = head_of(self.pi.width, outputs, 0.01 if keys.orthogonal else None)
        self.value = head_of(self.vf.width, 1, 1.0 if keys.orthogonal else None)
        self.log_std = None if discrete else nn.Parameter(torch.full((outputs,), float(keys.log_std_init)))
        self.mask = None if masking is None else MaskLayer(masking)
        self.shape, self.separate, self.units = tuple(shape), keys.separate, keys.lstm

    @property
    def state_size(self) -> int:
        """Floats of one row's recurrent state: h and c of the policy's LSTM, then of the value's; 0 without."""
        return self.units * (4 if self.separate else 2)

    def heads(self, scaled: torch.Tensor) -> Pair:
        """Scaled observations (n, *shape) -> policy outputs (n, k), mean or logits, and values (n,); no recurrence."""
        pi = self.pi(scaled)
        vf = self.vf(scaled) if self.separate else pi
        return self._heads(pi, vf, scaled)

    def step(self, scaled: torch.Tensor, state: torch.Tensor, starts: torch.Tensor) -> tuple[Pair, torch.Tensor]:
        """One recurrent step from `state` (n, S); rows that start begin from zeros. Heads, and the next state."""
        kept = torch.where(starts[:, None], torch.zeros_like(state), state)
        pi, pair = self.pi.step(scaled, self._part(kept, 0))
        if not self.separate:
            return self._heads(pi, pi, scaled), torch.cat(pair, dim=1)
        vf, other = self.vf.step(scaled, self._part(kept, 1))
        return self._heads(pi, vf, scaled), torch.cat([*pair, *other], dim=1)

    def sequence(self, scaled: torch.Tensor, state: torch.Tensor) -> tuple[Pair, torch.Tensor]:
        """Sequences (b, t, *shape) from states (b, S), each within one episode: heads (b·t, …), states at the end."""
        pi, pair = self.pi.sequence(scaled, self._part(state, 0))
        flat = scaled.flatten(0, 1)
        if not self.separate:
            return self._heads(pi.flatten(0, 1), pi.flatten(0, 1), flat), torch.cat(pair, dim=1)
        vf, other = self.vf.sequence(scaled, self._part(state, 1))
        return self._heads(pi.flatten(0, 1), vf.flatten(0, 1), flat), torch.cat([*pair, *other], dim=1)

    def values(self, scaled: torch.Tensor) -> torch.Tensor:
        """Values (n,) of scaled observations (n, *shape), without recurrence."""
        value: torch.Tensor = self.value(self.vf(scaled))
        return value.squeeze(-1)

    def likelihood(self, outputs: torch.Tensor, actions: torch.Tensor) -> Pair:
        """Log probability (n,) and entropy of actions under the policy's outputs."""
        if self.log_std is None:
            return categorical(outputs, actions)
        return gaussian(outputs, self.log_std, actions)

    def _heads(self, pi: torch.Tensor, vf: torch.Tensor, scaled: torch.Tensor) -> Pair:
        outputs: torch.Tensor = self.action(pi)
        if self.mask is not None:
            outputs = self.mask(outputs, scaled)
        return outputs, self.value(vf).squeeze(-1)

    def _part(self, state: torch.Tensor, which: int) -> Pair:
        begin = 2 * self.units * which
        return state[:, begin : begin + self.units], state[:, begin + self.units : begin + 2 * self.units]


class Answer(NamedTuple):
    """What an exported graph answers; a recurrent one gives its next state behind it."""

    action: torch.Tensor
    confidence: torch.Tensor
    value: torch.Tensor


class PolicyNetwork(nn.Module):
    """A trained policy as it is exported: observation in, executable action, confidence and value out.

    Gaussian policies answer their mean clipped to [-1, 1] with confidence 1 - sigma / sigma_max; discrete ones the
    likeliest index with the margin between the two likeliest. Values are in units of unscaled reward. A recurrent one
    takes its state (n, `state_size`) and which rows start an episode, and gives the next state as fourth output.
    """

    sureness: torch.Tensor

    def __init__(self, network: ActorCritic, reward_scale: float = 1.0) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self.network.value = _scaled(network.value, 1.0 / reward_scale)
        log_std = network.log_std
        self.kind = "discrete" if log_std is None else "box"
        sigma = math.nan if log_std is None else float(log_std.detach().exp().mean())
        self.register_buffer("sureness", torch.tensor([min(1.0, max(0.0, 1.0 - sigma / SIGMA_MAX))]))
        self.shape, self.state_size = network.shape, network.state_size
        self.requires_grad_(False)
        self.cpu().eval()

    @property
    def width(self) -> int:
        """Number of columns of an observation."""
        return self.network.scaler.width

    def forward(
        self, observations: torch.Tensor, state: torch.Tensor | None = None, starts: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        """Observations (n, *shape) float32 -> action (n, 1), confidence (n,), value (n,), all float32."""
        scaled = self.network.scaler(observations)
        if state is None or starts is None:
            return self._answer(*self.network.heads(scaled))
        heads, after = self.network.step(scaled, state, starts)
        return (*self._answer(*heads), after)

    def _answer(self, outputs: torch.Tensor, value: torch.Tensor) -> Answer:
        if self.kind == "box":
            return Answer(outputs.clamp(-1.0, 1.0), self.sureness.expand(outputs.shape[0]), value)
        best = outputs.softmax(dim=-1).topk(2, dim=-1).values
        return Answer(outputs.argmax(dim=-1, keepdim=True).float(), best[:, 0] - best[:, 1], value)


def _scaled(head: nn.Linear, factor: float) -> nn.Linear:
    """A copy of a linear head whose output is multiplied by `factor`."""
    scaled = copy.deepcopy(head)
    with torch.no_grad():
        for weight in scaled.parameters():
            weight.mul_(factor)
    return scaled
