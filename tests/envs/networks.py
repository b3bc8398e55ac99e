"""A network with random weights for tests that need a policy which trades, not one that earns."""

import numpy as np
import torch

from wavetank.agents.networks import ActorCritic, PolicyNetwork
from wavetank.agents.scaling import Scaler


def restless_network(width: int) -> PolicyNetwork:
    """Random weights, large enough that it trades on nearly every bar."""
    torch.manual_seed(3)
    scaler = Scaler(np.zeros(width), np.full(width, 0.01), np.full(width, 10.0))
    net = ActorCritic(scaler, (16,), "tanh", 1, -1.0)
    torch.nn.init.normal_(net.action.weight, std=0.5)
    return PolicyNetwork(net.scaler, net.pi, net.action, net.vf, net.value, net.log_std)
