"""A small sealed passport for tests, made the way the desk makes one: graph, golden rows, reference, manifest, seal."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from wavetank.agents.export import export_graph, graph_facts, reference_of, seal
from wavetank.agents.frozen import FrozenPolicy
from wavetank.agents.networks import ActorCritic, PolicyNetwork
from wavetank.agents.scaling import Scaler
from wavetank.agents.seal import whole_folder

WIDTH = 5
LOG_STD = {"box": -1.0, "discrete": None}


def random_rows(n: int, width: int = WIDTH) -> np.ndarray:
    return (3 * np.random.default_rng(8).standard_normal((n, width))).astype(np.float32)


def random_network(
    log_std: float | None = -1.0, width: int = WIDTH, hidden: tuple[int, ...] = (64, 64)
) -> PolicyNetwork:
    torch.manual_seed(1)
    rng = np.random.default_rng(2)
    scaler = Scaler(rng.standard_normal(width), rng.random(width) + 0.5, np.full(width, 10.0))
    net = ActorCritic(scaler, hidden, "tanh", 1 if log_std is not None else 3, log_std)
    torch.nn.init.normal_(net.action.weight, std=0.5)
    return PolicyNetwork(net.scaler, net.pi, net.action, net.vf, net.value, net.log_std)


def make_passport(folder: Path, network: PolicyNetwork, key: bytes | None = None, **changes: Any) -> Path:
    rows = random_rows(600, network.width)
    with whole_folder(folder) as draft:
        export_graph(network, draft / "policy.onnx", network.width)
        golden = FrozenPolicy.from_graph(draft / "policy.onnx").act(rows).action
        np.savez(draft / "golden.npz", columns=rows, action=golden)
        np.savez(draft / "reference.npz", **reference_of(rows))  # type: ignore[arg-type]  # numpy types savez too narrowly
        manifest = {
            "graph": graph_facts(draft / "policy.onnx"),
            "observation": {"columns": [f"column_{i}" for i in range(network.width)]},
            "expires_at": "2030-01-01T00:00:00+00:00",
        }
        seal(draft, {**manifest, **changes}, key)
    return folder
