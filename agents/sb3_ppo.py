"""PPO's update on Stable-Baselines3's rollouts, leaner than upstream's and equal to it, and the same watch over
sb3-contrib's recurrent one.

Upstream scales, gathers and converts every minibatch of every epoch anew; here a rollout becomes tensors once. Stops
before a step that would write NaN into the weights. Knows a filled rollout buffer and no env.
"""

from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3 import PPO
from stable_baselines3.common.utils import explained_variance

from .keys import PPOConfig, Rates
from .networks import ActorCritic
from .objective import KL_STOP, Loss, Samples, figures_of, normalised, ppo_loss, rate_figures
from .policy import TrainingError
from .sb3_policy import NetworkPolicy

EPISODE_KEYS = {"r": "rollout/return", "l": "rollout/length"}
Watch: TypeAlias = Callable[[int, Mapping[str, float]], None]


class Rollout(NamedTuple):
    """One rollout as tensors of n samples: scaled observations, actions, and what the loss compares with."""

    scaled: torch.Tensor
    actions: torch.Tensor
    samples: Samples


class LeanPPO(PPO):
    """Upstream's PPO with `update` in place of its `train`; `watch` sees the figures after each update."""

    policy: NetworkPolicy

    def __init__(self, *arguments: Any, keys: PPOConfig, watch: Watch, **keywords: Any) -> None:
        self.keys, self.watch = keys, watch
        super().__init__(*arguments, **keywords)

    def learn(self, *arguments: Any, **keywords: Any) -> "LeanPPO":
        self.clock = perf_counter()
        return super().learn(*arguments, **keywords)

    def train(self) -> None:
        """Improve the policy on the rollout that was just collected."""
        batch = self.n_steps * self.n_envs
        rates = self.keys.rates(self.num_timesteps - batch)
        where = f"of the update at step {self.num_timesteps}"
        losses = update(self.policy.network, self.policy.optimizer, self._rollout(), self.keys, rates, where)
        self._n_updates += 1
        buffer = self.rollout_buffer
        figures = figures_of(losses, self.policy.network.log_std, rates)
        figures["train/explained_variance"] = float(explained_variance(buffer.values.ravel(), buffer.returns.ravel()))
        report(self, figures, batch)

    def _rollout(self) -> Rollout:
        buffer, device = self.rollout_buffer, self.device
        n = self.n_steps * self.n_envs

        def flat(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(values.reshape(n, *values.shape[2:])).to(device)

        actions = flat(buffer.actions)
        return Rollout(
            self.policy.network.scaler(flat(buffer.observations)),
            actions if self.policy.network.log_std is not None else actions.flatten().long(),
            Samples(flat(buffer.log_probs), flat(buffer.advantages), flat(buffer.returns)),
        )


class WatchedRecurrentPPO(RecurrentPPO):
    """sb3-contrib's recurrent PPO with schedules by steps, and its figures told after each update."""

    def __init__(self, *arguments: Any, keys: PPOConfig, watch: Watch, **keywords: Any) -> None:
        self.keys, self.watch = keys, watch
        super().__init__(*arguments, **keywords)

    def learn(self, *arguments: Any, **keywords: Any) -> "WatchedRecurrentPPO":
        self.clock = perf_counter()
        return super().learn(*arguments, **keywords)

    def train(self) -> None:
        batch = self.n_steps * self.n_envs
        rates = self.keys.rates(self.num_timesteps - batch)
        self.lr_schedule = lambda _: rates.learning_rate
        self.clip_range = lambda _: rates.clip
        self.ent_coef = rates.entropy
        before = {name: weight.clone() for name, weight in self.policy.state_dict().items()}
        super().train()
        told = self.logger.name_to_value
        if not np.isfinite(told["train/loss"]) or not all(bool(w.isfinite().all()) for w in self.policy.parameters()):
            self.policy.load_state_dict(before)
            raise _not_a_number(told["train/loss"], f"in the update at step {self.num_timesteps}")
        report(self, _upstream_figures(told) | rate_figures(rates), batch)


def network_of(model: LeanPPO | WatchedRecurrentPPO) -> ActorCritic:
    """The network that a model trains."""
    network = model.policy.network
    assert isinstance(network, ActorCritic)
    return network


def learnt(model: LeanPPO | WatchedRecurrentPPO) -> dict[str, Any]:
    """What a checkpoint keeps of a model: weights, optimizer, recurrent states."""
    states = getattr(model, "_last_lstm_states", None)
    return {
        "policy": model.policy.state_dict(),
        "optimizer": model.policy.optimizer.state_dict(),
        "recurrent": [] if states is None else [*states.pi, *states.vf],
    }


def load_learnt(model: LeanPPO | WatchedRecurrentPPO, tensors: Mapping[str, Any]) -> None:
    """Put back what `learnt` gave."""
    model.policy.load_state_dict(tensors["policy"])
    model.policy.optimizer.load_state_dict(tensors["optimizer"])
    if isinstance(model, WatchedRecurrentPPO) and "env" in tensors:  # episodes that begin anew begin without a state
        h, c, vh, vc = tensors["recurrent"]
        model._last_lstm_states = RNNStates((h, c), (vh, vc))  # type: ignore[assignment]  # declared as None


def update(
    network: ActorCritic,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    keys: PPOConfig,
    rates: Rates,
    where: str = "",
) -> list[Loss]:
    """All epochs over one rollout, or until the policy has moved past `target_kl`; the losses of the minibatches.

    Raises TrainingError before a step whose loss or gradient is no finite number, so the weights stay good.
    """
    for group in optimizer.param_groups:
        group["lr"] = rates.learning_rate
    weights, losses = list(network.parameters()), []
    for epoch, rows in minibatches(rollout, keys):
        loss = _loss(network, rollout, rows, keys, rates)
        losses.append(loss._replace(total=loss.total.detach()))
        place = f"in epoch {epoch + 1} {where}"
        if not bool(loss.total.isfinite()):
            raise _not_a_number(loss.total.item(), place)
        if keys.target_kl is not None and float(loss.kl) > KL_STOP * keys.target_kl:
            break
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss.total)
        norm = torch.nn.utils.clip_grad_norm_(weights, keys.max_grad_norm)
        if not bool(norm.isfinite()):
            raise TrainingError(f"the gradient became {float(norm)} {place}; the weights are those before it")
        optimizer.step()
    return losses


def minibatches(rollout: Rollout, keys: PPOConfig) -> Iterator[tuple[int, torch.Tensor]]:
    """(epoch, indices) of every minibatch; each epoch shuffles anew with torch's generator, the same on any device."""
    for epoch in range(keys.epochs):
        order = torch.randperm(len(rollout.actions)).to(rollout.actions.device)
        for rows in torch.split(order, keys.minibatch):
            yield epoch, rows


def episode_figures(model: Any) -> dict[str, float]:
    """Means over the episodes that ended lately: return, length, and each part of the reward."""
    ended = list(model.ep_info_buffer or [])
    names = [name for name in (ended[0] if ended else {}) if name not in ("t", "equity")]
    return {
        EPISODE_KEYS.get(name, f"reward/{name}"): float(np.mean([episode[name] for episode in ended])) for name in names
    }


def report(model: LeanPPO | WatchedRecurrentPPO, figures: dict[str, float], batch: int) -> None:
    """Add what the episodes that ended lately came to, and the speed; tell the watcher."""
    figures |= episode_figures(model)
    figures["time/steps_per_second"] = batch / max(perf_counter() - model.clock, 1e-9)
    model.watch(model.num_timesteps, figures)
    model.clock = perf_counter()  # what the watcher takes is not the training's


def _loss(network: ActorCritic, rollout: Rollout, rows: torch.Tensor, keys: PPOConfig, rates: Rates) -> Loss:
    samples = Samples(*(part.index_select(0, rows) for part in rollout.samples))
    if keys.normalize_advantage:
        samples = samples._replace(advantages=normalised(samples.advantages))
    outputs, values = network.heads(rollout.scaled.index_select(0, rows))
    log_prob, entropy = network.likelihood(outputs, rollout.actions.index_select(0, rows))
    return ppo_loss(
        log_prob, entropy, values, samples,
        clip=rates.clip, entropy_weight=rates.entropy, value_weight=keys.value_coef,
    )  # fmt: skip


def _upstream_figures(told: Mapping[str, Any]) -> dict[str, float]:
    names = {
        "train/loss": "train/loss",
        "train/policy_gradient_loss": "train/policy_loss",
        "train/value_loss": "train/value_loss",
        "train/approx_kl": "train/kl",
        "train/clip_fraction": "train/clip_fraction",
        "train/explained_variance": "train/explained_variance",
    }
    return {ours: float(told[theirs]) for theirs, ours in names.items()} | {
        "train/entropy": -float(told["train/entropy_loss"])
    }


def _not_a_number(loss: float, place: str) -> TrainingError:
    return TrainingError(f"the loss became {loss} {place}; the weights are those before it")
