"""The objective of PPO in torch, once for both backends: the clipped surrogate, the value error, the entropy bonus.

Knows distributions as numbers, mean and log deviation or logits; no network, no rollout, no library of learning.
"""

import math
from typing import NamedTuple

import torch

from .keys import Rates

KL_STOP = 1.5  # times target_kl: where the epochs of an update end (as in OpenAI's baselines and their heirs)
HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)


class Samples(NamedTuple):
    """A minibatch as the rollout left it, each (n,) float32."""

    old_log_prob: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor


class Loss(NamedTuple):
    """One minibatch's loss and what it consists of, each a scalar; all but `total` are detached."""

    total: torch.Tensor
    policy: torch.Tensor
    value: torch.Tensor
    entropy: torch.Tensor
    kl: torch.Tensor
    clipped: torch.Tensor


def ppo_loss(
    log_prob: torch.Tensor,
    entropy: torch.Tensor,
    values: torch.Tensor,
    samples: Samples,
    *,
    clip: float,
    entropy_weight: float,
    value_weight: float,
) -> Loss:
    """The loss of actions whose log probability is now `log_prob` (n,), with `entropy` (n,) or () and `values` (n,)."""
    log_ratio = log_prob - samples.old_log_prob
    ratio = log_ratio.exp()
    surrogate = torch.min(samples.advantages * ratio, samples.advantages * ratio.clamp(1.0 - clip, 1.0 + clip))
    policy_loss, mean_entropy = -surrogate.mean(), entropy.mean()
    value_loss = torch.nn.functional.mse_loss(values, samples.returns)
    total = policy_loss - entropy_weight * mean_entropy + value_weight * value_loss
    with torch.no_grad():
        kl = ((ratio - 1.0) - log_ratio).mean()  # Schulman's third estimator: never negative, of small variance
        clipped = ((ratio - 1.0).abs() > clip).float().mean()
    return Loss(total, policy_loss.detach(), value_loss.detach(), mean_entropy.detach(), kl, clipped)


def normalised(advantages: torch.Tensor) -> torch.Tensor:
    """To mean 0 and deviation 1 within the minibatch; a single sample stays as it is."""
    if len(advantages) < 2:
        return advantages
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


def gaussian(mean: torch.Tensor, log_std: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log probability (n,) and entropy of actions (n, k) under independent normals; `log_std` (k,) or (n, k)."""
    scaled = (actions - mean) * torch.exp(-log_std)
    log_prob = (-0.5 * scaled * scaled - log_std - HALF_LOG_TAU).sum(dim=-1)
    return log_prob, (log_std + 0.5 + HALF_LOG_TAU).sum(dim=-1)


def categorical(logits: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log probability (n,) and entropy (n,) of indices (n,) under softmax odds; a masked level (−inf) adds nothing."""
    log_odds = logits.log_softmax(dim=-1)
    chosen = log_odds.gather(-1, actions.long().unsqueeze(-1)).squeeze(-1)
    return chosen, -(log_odds.exp() * log_odds.clamp_min(-1e9)).sum(dim=-1)


def figures_of(losses: list[Loss], log_std: torch.Tensor | None, rates: Rates) -> dict[str, float]:
    """The figures of one update: means over its minibatches, and the last loss."""
    means = {name: float(torch.stack([getattr(loss, name) for loss in losses]).mean()) for name in Loss._fields[1:]}
    figures = {
        "train/loss": float(losses[-1].total),
        "train/policy_loss": means["policy"],
        "train/value_loss": means["value"],
        "train/entropy": means["entropy"],
        "train/kl": means["kl"],
        "train/clip_fraction": means["clipped"],
        **rate_figures(rates),
    }
    if log_std is not None:
        figures["train/std"] = float(log_std.detach().exp().mean())
    return figures


def rate_figures(rates: Rates) -> dict[str, float]:
    """The rates under the names of figures."""
    return {"train/learning_rate": rates.learning_rate, "train/clip": rates.clip}
