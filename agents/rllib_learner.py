"""RLlib's learner: takes whole rollouts, improves its network on them by `rllib_update`, and tells the figures.

One in the trainer's own process, or several elsewhere: each gets all rollouts, computes its share of every minibatch,
and sums with the others, so their weights stay alike. Knows no env.
"""

import io
from typing import Any

import torch
from ray.rllib.core.learner.torch.torch_learner import TorchLearner

from .keys import PPOConfig
from .networks import ActorCritic
from .objective import figures_of
from .policy import derived_seed
from .rllib_module import MODULE
from .rllib_rollout import Rollout, explained_variance, join
from .rllib_update import Alone, as_batch, update

ADAM_EPSILON = 1e-5  # as in the paper's code, and as the other backend's


class RolloutLearner(TorchLearner):  # type: ignore[misc]  # Ray's classes are untyped here
    """PPO on rollouts in arrays; `improve` in place of upstream's update over lists of episodes."""

    def build(self) -> None:
        super().build()
        self.random = torch.Generator()
        self.random.manual_seed(derived_seed(self.keys.seed, "shuffles"))
        if self.config.num_learners:
            torch.set_num_threads(max(1, self.keys.threads))

    @property
    def network(self) -> ActorCritic:
        """What is trained."""
        network: ActorCritic = self.module[MODULE].network
        return network

    @property
    def keys(self) -> PPOConfig:
        keys: PPOConfig = self.module[MODULE].keys
        return keys

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        (optimizer,) = self._named_optimizers.values()
        assert isinstance(optimizer, torch.optim.Optimizer)
        return optimizer

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        weights = list(self.module[module_id].parameters())
        rate = self.module[module_id].keys.learning_rate
        optimizer = torch.optim.Adam(weights, lr=rate, eps=ADAM_EPSILON, fused=True)
        self.register_optimizer(module_id=module_id, optimizer=optimizer, params=weights)

    def compute_loss_for_module(self, **keywords: Any) -> torch.Tensor:
        raise NotImplementedError("this learner takes whole rollouts: call improve")

    def _make_modules_ddp_if_necessary(self) -> None:
        """Not: the learners sum gradients by themselves, weighted by the samples that each had."""

    def improve(self, rollouts: list[Rollout], began: int) -> dict[str, float]:
        """Improve the network on rollouts that began after `began` steps; the figures of the update."""
        rollout, rates = join(rollouts), self.keys.rates(began)
        peers = _Group() if self.config.num_learners > 1 else Alone()
        batch = as_batch(rollout, self.network, self.keys, self.device)
        where = f"of the update at step {began + rollout.steps}"
        losses = update(self.network, self.optimizer, batch, self.keys, rates, self.random, where, peers)
        figures = figures_of(losses, self.network.log_std, rates)
        real = rollout.real
        figures["train/explained_variance"] = explained_variance(rollout.values[real], rollout.returns[real])
        return figures

    def memory(self) -> bytes:
        """All that the next update depends on, as `torch.save` writes it."""
        told = {"policy": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        file = io.BytesIO()
        torch.save({**told, "shuffles": self.random.get_state()}, file)
        return file.getvalue()

    def remember(self, memory: bytes) -> None:
        """Go on from what `memory` told."""
        told = torch.load(io.BytesIO(memory), map_location=self.device, weights_only=True)
        self.network.load_state_dict(told["policy"])
        self.optimizer.load_state_dict(told["optimizer"])
        self.random.set_state(told["shuffles"].cpu())


class _Group:
    """The learners of a group, in torch's own process group, which RLlib has set up."""

    def __init__(self) -> None:
        self.rank, self.count = torch.distributed.get_rank(), torch.distributed.get_world_size()

    def total(self, part: torch.Tensor) -> torch.Tensor:
        torch.distributed.all_reduce(part)
        return part
