"""`ActorCritic` as RLlib asks for it: an RLModule that answers with the action's distribution, value and next state.

Knows neither env nor loss. The first weights follow from the seed alone, wherever the module is built.
"""

from dataclasses import asdict
from typing import Any

import torch
from gymnasium import spaces
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule

from .keys import PPOConfig
from .masking import Masking
from .networks import ActorCritic
from .policy import derived_seed32
from .scaling import Scaler

MODULE = "default_policy"  # the name that RLlib gives to a single one
STATE = "state"


def model_config(keys: PPOConfig, scaler: Scaler, masking: Masking | None) -> dict[str, Any]:
    """What `NetworkModule` is built from, as plain values that any process reads."""
    return {
        "keys": asdict(keys),
        "scaler": scaler.to_json(),
        "masking": None if masking is None else masking._asdict(),
    }


class NetworkModule(TorchRLModule):  # type: ignore[misc]  # Ray's classes are untyped here
    """RLlib's view of one `ActorCritic`, recurrent or not."""

    def setup(self) -> None:
        told, action = self.model_config, self.action_space
        self.keys = PPOConfig(**told["keys"])
        discrete = isinstance(action, spaces.Discrete)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed32(self.keys.seed, "weights"))
            self.network = ActorCritic(
                Scaler.from_json(told["scaler"]),
                self.observation_space.shape,
                self.keys,
                int(action.n) if discrete else 1,
                discrete,
                None if told["masking"] is None else Masking(**told["masking"]),
            )

    def get_initial_state(self) -> dict[str, torch.Tensor]:
        """Zeros, one row's; nothing where the network does not recur."""
        size = self.network.state_size
        return {STATE: torch.zeros(size)} if size else {}

    def _forward(self, batch: dict[str, Any], **keywords: object) -> dict[str, Any]:
        """Of observations (n, *shape), one step. Mean and log deviation side by side, or logits; values; next state."""
        scaled = self.network.scaler(batch[Columns.OBS])
        state = batch.get(Columns.STATE_IN, {}).get(STATE)
        after: dict[str, Any] = {}
        if state is None:
            outputs, values = self.network.heads(scaled)
        else:
            goes_on = torch.zeros(len(state), dtype=torch.bool, device=state.device)
            (outputs, values), following = self.network.step(scaled, state, goes_on)
            after = {Columns.STATE_OUT: {STATE: following}}
        log_std = self.network.log_std
        if log_std is not None:
            outputs = torch.cat([outputs, log_std.expand_as(outputs)], dim=-1)
        return {Columns.ACTION_DIST_INPUTS: outputs, Columns.VF_PREDS: values, **after}


def device_of(keys: PPOConfig) -> torch.device:
    """Where a network of this process computes: on a GPU where there is one, or as `device` says."""
    there = torch.cuda.is_available()
    if keys.device == "cuda" and not there:
        raise ValueError("device cuda: this process sees no GPU; say auto or cpu")
    return torch.device("cuda" if there and keys.device != "cpu" else "cpu")
