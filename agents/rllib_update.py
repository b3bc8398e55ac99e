"""PPO's update on rollouts of RLlib's runners, by one learner or by several that share each minibatch.

Means the same, key by key, as the update on Stable-Baselines3: the same objective over the same minibatches, the same
stop, the same refusal to write NaN into the weights. Dummy rows are no samples. Knows tensors and no Ray.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch

from .keys import PPOConfig, Rates
from .networks import ActorCritic
from .objective import KL_STOP, Loss, Samples, normalised, ppo_loss
from .policy import TrainingError
from .rllib_rollout import Rollout


class Peers(Protocol):
    """The learners that share an update: each takes its share of every minibatch, and all take the same step."""

    @property
    def rank(self) -> int: ...
    @property
    def count(self) -> int: ...
    def total(self, part: torch.Tensor) -> torch.Tensor:
        """The sum of what the learners hold."""
        ...


class Alone:
    """One learner."""

    rank, count = 0, 1

    def total(self, part: torch.Tensor) -> torch.Tensor:
        return part


class Batch(NamedTuple):
    """A rollout as tensors of n rows, env after env: scaled observations, actions, what the loss compares with."""

    scaled: torch.Tensor
    actions: torch.Tensor
    samples: Samples
    real: torch.Tensor  # (n,) bool
    begins: torch.Tensor  # (n,) bool: a sequence begins here, with an episode or with the rollout
    states: torch.Tensor  # (n, S) recurrent state before the row
    pieces: int  # minibatches an epoch


class Share(NamedTuple):
    """What one learner computes of a minibatch: which of its rows, and the padded sequences they stand in, if any."""

    taken: torch.Tensor | slice
    grid: torch.Tensor | None = None  # (b, t) rows of the batch; padding is a row that is there
    places: torch.Tensor | None = None  # where in the flattened grid each taken row stands


def as_batch(rollout: Rollout, network: ActorCritic, keys: PPOConfig, device: torch.device) -> Batch:
    """The rollout on `device`; without recurrence only its samples."""

    def flat(values: object) -> torch.Tensor:
        return torch.as_tensor(values).to(device).transpose(0, 1).flatten(0, 1)

    starts = torch.as_tensor(rollout.starts).clone()
    starts[0] = True
    real, begins = flat(rollout.real), flat(starts)
    chosen = torch.arange(len(real), device=device) if network.state_size else real.nonzero().squeeze(1)

    def rows(values: object) -> torch.Tensor:
        return flat(values).index_select(0, chosen)

    return Batch(
        network.scaler(rows(rollout.observations)),
        rows(rollout.actions),
        Samples(rows(rollout.log_probs), rows(rollout.advantages), rows(rollout.returns)),
        real.index_select(0, chosen),
        begins.index_select(0, chosen),
        rows(rollout.states),
        rollout.real.size // keys.minibatch,
    )


def update(
    network: ActorCritic,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    keys: PPOConfig,
    rates: Rates,
    random: torch.Generator,
    where: str = "",
    peers: Peers | None = None,
) -> list[Loss]:
    """All epochs over one rollout, or until the policy has moved past `target_kl`; the losses of the minibatches.

    Raises TrainingError before a step whose loss or gradient is no finite number, so the weights stay good.
    """
    among = peers or Alone()
    for group in optimizer.param_groups:
        group["lr"] = rates.learning_rate
    weights, losses = list(network.parameters()), []
    for epoch, rows in minibatches(batch, network, keys, random):
        place = f"in epoch {epoch + 1} {where}".strip()
        part, whole = _loss(network, batch, rows, keys, rates, among)
        losses.append(whole)
        if not bool(whole.total.isfinite()):
            raise TrainingError(f"the loss became {float(whole.total)} {place}; the weights are those before it")
        if keys.target_kl is not None and float(whole.kl) > KL_STOP * keys.target_kl:
            break
        optimizer.zero_grad(set_to_none=True)
        if part is not None:
            torch.autograd.backward(part)
        _share_gradients(weights, among)
        norm = torch.nn.utils.clip_grad_norm_(weights, keys.max_grad_norm)
        if not bool(norm.isfinite()):
            raise TrainingError(f"the gradient became {float(norm)} {place}; the weights are those before it")
        optimizer.step()
    return losses


def minibatches(
    batch: Batch, network: ActorCritic, keys: PPOConfig, random: torch.Generator
) -> Iterator[tuple[int, torch.Tensor]]:
    """(epoch, rows) of every gradient step; all are `minibatch` rows but for the dummies that are missing.

    Rows are shuffled; where the network recurs they stay in order, from a place that is drawn (as sb3-contrib's do).
    """
    count, device = len(batch.real), batch.real.device
    for epoch in range(keys.epochs):
        if network.state_size:
            order = torch.arange(count).roll(-int(torch.randint(count, (1,), generator=random)))
        else:
            order = torch.randperm(count, generator=random)
        for rows in order.to(device).tensor_split(batch.pieces):
            yield epoch, rows


def _loss(
    network: ActorCritic, batch: Batch, rows: torch.Tensor, keys: PPOConfig, rates: Rates, peers: Peers
) -> tuple[torch.Tensor | None, Loss]:
    """This learner's part of a minibatch's loss, None where it has none; and the whole minibatch's figures."""
    samples = Samples(*(part.index_select(0, rows) for part in batch.samples))
    real = batch.real.index_select(0, rows)
    if keys.normalize_advantage:  # over the whole minibatch, whoever computes which part of it
        samples.advantages[real] = normalised(samples.advantages[real])
    share = _sequences(batch, rows, real, peers) if network.state_size else Share(slice(peers.rank, None, peers.count))
    mine = rows[share.taken]
    if not len(mine):
        return None, Loss(*peers.total(torch.zeros(len(Loss._fields), device=rows.device)))
    outputs, values = _heads(network, batch, mine, share)
    actions = batch.actions.index_select(0, mine)
    log_prob, entropy = network.likelihood(outputs, actions)
    loss = ppo_loss(
        log_prob, entropy, values, Samples(*(part[share.taken] for part in samples)),
        clip=rates.clip, entropy_weight=rates.entropy, value_weight=keys.value_coef,
    )  # fmt: skip
    weight = len(mine) / int(real.sum())
    figures = torch.stack([weight * figure.detach() for figure in loss])
    return weight * loss.total, Loss(*peers.total(figures))


def _sequences(batch: Batch, rows: torch.Tensor, real: torch.Tensor, peers: Peers) -> Share:
    """A learner's share of consecutive rows: every so-manieth sequence, each within one episode."""
    begins = batch.begins.index_select(0, rows)
    begins[0] = True
    number = begins.cumsum(0) - 1
    first = begins.nonzero().squeeze(1)
    position = torch.arange(len(rows), device=rows.device) - first[number]
    length = int(position.max()) + 1
    grid = rows[first][:, None].repeat(1, length)
    grid[number, position] = rows
    taken = real & (number % peers.count == peers.rank)
    places = number.div(peers.count, rounding_mode="floor") * length + position
    return Share(taken, grid[peers.rank :: peers.count], places[taken])


def _heads(network: ActorCritic, batch: Batch, mine: torch.Tensor, share: Share) -> tuple[torch.Tensor, torch.Tensor]:
    """Policy outputs and values of a learner's rows."""
    if share.grid is None or share.places is None:
        return network.heads(batch.scaled.index_select(0, mine))
    scaled = batch.scaled.index_select(0, share.grid.flatten()).reshape(*share.grid.shape, *network.shape)
    (outputs, values), _ = network.sequence(scaled, batch.states.index_select(0, share.grid[:, 0]))
    return outputs.index_select(0, share.places), values.index_select(0, share.places)


def _share_gradients(weights: list[torch.nn.Parameter], peers: Peers) -> None:
    if peers.count == 1:
        return
    held = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    whole = peers.total(torch.cat([gradient.flatten() for gradient in held]))
    for weight, gradient in zip(weights, torch.split(whole, [weight.numel() for weight in weights]), strict=True):
        weight.grad = gradient.view_as(weight)
