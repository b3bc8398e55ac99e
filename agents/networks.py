"""The networks in torch: the frozen scaler layer, the actor-critic that RLlib trains, and the form that is exported.

Both backends end in one `PolicyNetwork`; knows nothing of how it was trained nor of what the columns mean.
"""

import copy
import math
from collections.abc import Sequence

import torch
from torch import nn

from .scaling import Scaler

SIGMA_MAX = 1.0  # of a Gaussian action: one deviation then spans from flat to fully invested, so confidence is 0
ACTIVATION_MODULES: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU}


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


class ActorCritic(nn.Module):
    """Scaler, then separate nets for policy and value; weights orthogonal, as Stable-Baselines3 draws them."""

    def __init__(
        self, scaler: Scaler, hidden: Sequence[int], activation: str, outputs: int, log_std_init: float | None
    ) -> None:
        super().__init__()
        self.scaler = ScalerLayer(scaler)
        self.pi = tower(scaler.width, hidden, activation)
        self.vf = tower(scaler.width, hidden, activation)
        last = hidden[-1] if hidden else scaler.width
        self.action = _orthogonal(nn.Linear(last, outputs), 0.01)
        self.value = _orthogonal(nn.Linear(last, 1), 1.0)
        self.log_std = None if log_std_init is None else nn.Parameter(torch.full((outputs,), float(log_std_init)))

    def action_inputs(self, scaled: torch.Tensor) -> torch.Tensor:
        """Logits (n, k), or mean and log deviation (n, 2k), from scaled observations."""
        head: torch.Tensor = self.action(self.pi(scaled))
        if self.log_std is None:
            return head
        return torch.cat([head, self.log_std.expand_as(head)], dim=-1)

    def values(self, scaled: torch.Tensor) -> torch.Tensor:
        """Values (n,) from scaled observations."""
        value: torch.Tensor = self.value(self.vf(scaled))
        return value.squeeze(-1)


class PolicyNetwork(nn.Module):
    """A trained policy as it is exported: observation in, executable action, confidence and value out.

    Gaussian policies (`log_std` given) answer their mean clipped to [-1, 1] with confidence 1 - sigma / sigma_max;
    discrete ones the likeliest index with the margin between the two likeliest. Values are in units of unscaled reward.
    """

    sureness: torch.Tensor

    def __init__(
        self,
        scaler: ScalerLayer,
        pi: nn.Module,
        action: nn.Module,
        vf: nn.Module,
        value: nn.Module,
        log_std: torch.Tensor | None,
        reward_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.scaler = copy.deepcopy(scaler)
        self.pi, self.action, self.vf = (copy.deepcopy(part) for part in (pi, action, vf))
        self.value = _scaled(value, 1.0 / reward_scale)
        self.kind = "discrete" if log_std is None else "box"
        sigma = math.nan if log_std is None else float(log_std.detach().exp().mean())
        self.register_buffer("sureness", torch.tensor([min(1.0, max(0.0, 1.0 - sigma / SIGMA_MAX))]))
        self.requires_grad_(False)
        self.cpu().eval()

    @property
    def width(self) -> int:
        """Number of columns of an observation."""
        return self.scaler.width

    def forward(self, observations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Observations (n, width) float32 -> action (n, 1), confidence (n,), value (n,), all float32."""
        scaled = self.scaler(observations)
        head = self.action(self.pi(scaled))
        value = self.value(self.vf(scaled)).squeeze(-1)
        if self.kind == "box":
            return head.clamp(-1.0, 1.0), self.sureness.expand(observations.shape[0]), value
        best = head.softmax(dim=-1).topk(2, dim=-1).values
        return head.argmax(dim=-1, keepdim=True).float(), best[:, 0] - best[:, 1], value


def tower(width: int, hidden: Sequence[int], activation: str) -> nn.Sequential:
    """Linear layers of the given widths, each followed by the activation."""
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [_orthogonal(nn.Linear(width, size), math.sqrt(2.0)), ACTIVATION_MODULES[activation]()]
        width = size
    return nn.Sequential(*layers)


def weights_are_finite(module: nn.Module) -> bool:
    """Say whether every weight is a number."""
    return all(bool(torch.isfinite(weight).all()) for weight in module.parameters())


def _orthogonal(layer: nn.Linear, gain: float) -> nn.Linear:
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def _scaled(head: nn.Module, factor: float) -> nn.Module:
    """A copy of a linear head whose output is multiplied by `factor`."""
    scaled = copy.deepcopy(head)
    with torch.no_grad():
        for weight in scaled.parameters():
            weight.mul_(factor)
    return scaled
