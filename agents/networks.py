"""The networks in torch: frozen scaler, encoder, recurrence, hidden layers and heads, and the form that is exported.

Both backends train one `ActorCritic` and end in one `PolicyNetwork`; knows nothing of how they are trained nor of
what the columns mean.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from .keys import PPOConfig
from .masking import HALTED, REDUCING, SLACK, Masking
from .objective import categorical, gaussian
from .scaling import Scaler

SIGMA_MAX = 1.0  # of a Gaussian action: one deviation then spans from flat to fully invested, so confidence is 0
FORBIDDEN = -1e8  # of a masked level's logit, as sb3-contrib's: odds of 0 in float32, without an infinity
Pair = tuple[torch.Tensor, torch.Tensor]


class QuickTanh(torch.autograd.Function):
    """tanh(x) = 2σ(2x) − 1, to 1e-7: where torch's tanh comes from MKL on another maker's processor, a fifth of its
    time (docs/LOG.md), and tanh is a quarter of a PPO update."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        output = torch.sigmoid(x + x).mul_(2.0).sub_(1.0)
        ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (output,) = ctx.saved_tensors
        return torch.ops.aten.tanh_backward(gradient, output)  # type: ignore[no-any-return]  # an operator by name


class Tanh(nn.Module):
    """tanh: quick where it is trained, the plain one in a graph."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_exporting():
            return torch.tanh(x)
        answer: torch.Tensor = QuickTanh.apply(x)  # type: ignore[no-untyped-call]  # torch types it not at all
        return answer


ACTIVATION_MODULES: dict[str, type[nn.Module]] = {"tanh": Tanh, "relu": nn.ReLU, "silu": nn.SiLU}


class ScalerLayer(nn.Module):
    """The `Scaler` as a layer without weights: float64 inside, float32 out, equal to `Scaler.apply` to the last bit.

    Its numbers are no part of the state that is saved or sent: RLlib narrows every state to float32 on the way.
    """

    centre: torch.Tensor
    spread: torch.Tensor
    clip: torch.Tensor

    def __init__(self, scaler: Scaler) -> None:
        super().__init__()
        for name in ("centre", "spread", "clip"):
            self.register_buffer(name, torch.tensor(getattr(scaler, name), dtype=torch.float64), persistent=False)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        scaled = (observations.double() - self.centre) / self.spread
        return scaled.clamp(-self.clip, self.clip).float()

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.centre)


class MaskLayer(nn.Module):
    """`masking.allowed` on scaled observations, whose account columns are as they were."""

    levels: torch.Tensor
    flattest: torch.Tensor

    def __init__(self, masking: Masking) -> None:
        super().__init__()
        levels = torch.tensor(masking.levels, dtype=torch.float32)
        self.register_buffer("levels", levels, persistent=False)
        self.register_buffer("flattest", levels.abs() <= levels.abs().min() + SLACK, persistent=False)
        self._position, self._state = masking.position, masking.trading_state

    def forward(self, logits: torch.Tensor, scaled: torch.Tensor) -> torch.Tensor:
        last = scaled if scaled.dim() == 2 else scaled[:, -1]
        position, state = last[:, self._position, None], last[:, self._state, None]
        smaller = (self.levels * position.sign() >= 0.0) & (self.levels.abs() <= position.abs() + SLACK)
        free = (state < REDUCING) | self.flattest | ((state < HALTED) & smaller)
        return torch.where(free, logits, torch.full_like(logits, FORBIDDEN))


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
    """What an exported graph answers; `next_state` only of a recurrent one."""

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


def encoder_of(shape: Sequence[int], keys: PPOConfig) -> tuple[nn.Module, int]:
    """What turns one observation into a row, and the row's width; ValueError where convolutions have no room."""
    if keys.encoder == "flat":
        return nn.Flatten(), math.prod(shape)
    if len(shape) != 2:
        raise ValueError(f"encoder conv reads a window of bars; this observation shows one row of {shape[-1]} columns")
    length, channels = shape
    layers: list[nn.Module] = [Along()]
    for depth, wanted in enumerate(keys.conv_channels):
        stride = 1 if depth == 0 else 2
        length = (length - keys.conv_kernel) // stride + 1
        if length < 1:
            raise ValueError(
                f"encoder conv: {len(keys.conv_channels)} layers of kernel {keys.conv_kernel} do not fit a window "
                f"of {shape[0]} bars"
            )
        layer = nn.Conv1d(channels, wanted, keys.conv_kernel, stride)
        layers += [
            _orthogonal(layer, math.sqrt(2.0)) if keys.orthogonal else layer,
            ACTIVATION_MODULES[keys.activation](),
        ]
        channels = wanted
    return nn.Sequential(*layers, nn.Flatten()), length * channels


class Along(nn.Module):
    """A window (n, bars, columns) as convolutions along time take it: (n, columns, bars)."""

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        return window.transpose(1, 2)


def tower(width: int, hidden: Sequence[int], activation: str, orthogonal: bool = True) -> nn.Sequential:
    """Linear layers of the given widths, each followed by the activation."""
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [head_of(width, size, math.sqrt(2.0) if orthogonal else None), ACTIVATION_MODULES[activation]()]
        width = size
    return nn.Sequential(*layers)


def head_of(width: int, outputs: int, gain: float | None) -> nn.Linear:
    """A linear layer, orthogonal with `gain`, or as torch draws it."""
    layer = nn.Linear(width, outputs)
    if gain is not None:
        _orthogonal(layer, gain)
    return layer


def lstm_step(lstm: nn.LSTM | None, inputs: torch.Tensor, state: Pair) -> Pair:
    """One step of a one-layer LSTM, written out: the same gates, in torch's order."""
    assert lstm is not None
    h, c = state
    weight_in, weight_state, bias_in, bias_state = lstm.all_weights[0]
    gates = nn.functional.linear(inputs, weight_in, bias_in) + nn.functional.linear(h, weight_state, bias_state)
    enter, forget, cell, out = gates.chunk(4, dim=1)
    c = forget.sigmoid() * c + enter.sigmoid() * cell.tanh()
    return out.sigmoid() * c.tanh(), c


def weights_are_finite(module: nn.Module) -> bool:
    """Say whether every weight is a number."""
    return all(bool(torch.isfinite(weight).all()) for weight in module.parameters())


def _orthogonal(layer: nn.Linear | nn.Conv1d, gain: float) -> nn.Linear | nn.Conv1d:
    nn.init.orthogonal_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _scaled(head: nn.Linear, factor: float) -> nn.Linear:
    """A copy of a linear head whose output is multiplied by `factor`."""
    scaled = copy.deepcopy(head)
    with torch.no_grad():
        for weight in scaled.parameters():
            weight.mul_(factor)
    return scaled
