"""The layers in torch: the frozen scaler, the mask, tanh, the encoder of one observation, hidden layers, one LSTM step.

Knows neither policies nor values: `networks` puts layers together.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from .keys import PPOConfig
from .masking import HALTED, REDUCING, SLACK, Masking
from .scaling import Scaler

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


def _orthogonal(layer: nn.Linear | nn.Conv1d, gain: float) -> nn.Linear | nn.Conv1d:
    nn.init.orthogonal_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
