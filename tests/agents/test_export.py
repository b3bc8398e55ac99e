"""A graph answers as the network does, for every class of policy, or it is not written."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from wavetank.agents.export import ExportError, export_graph, graph_facts
from wavetank.agents.frozen import FrozenPolicy

from ..envs.networks import Restless
from .passports import KINDS, NETWORKS, UNITS, WIDTH, random_rows


@pytest.mark.parametrize("kind", KINDS)
def test_graph_answers_as_the_network_does(passports: dict[str, Path], kind: str) -> None:
    network, policy = NETWORKS[kind], FrozenPolicy.from_graph(passports[kind] / "policy.onnx")
    rng, rows = np.random.default_rng(1), random_rows(500, *policy.shape)
    state, tensors = None, list[torch.Tensor]()
    if policy.state_size:
        state = np.tanh(rng.standard_normal((500, policy.state_size))).astype(np.float32)
        starts = rng.random(500) < 0.2
        tensors = [torch.from_numpy(state), torch.from_numpy(starts)]
    with torch.no_grad():
        wanted = [part.numpy() for part in network(torch.from_numpy(rows), *tensors)]
    decision = policy.act(rows, state, starts if policy.state_size else None)
    for got, want in zip([part for part in decision if part is not None], wanted, strict=True):
        assert got.dtype == np.float32
        assert got.shape == want.shape
        assert np.abs(got - want).max() <= 1e-5
    assert np.ptp(decision.action) > 0.5  # a constant would agree as well


def test_the_state_carries_a_recurrent_graph_through_an_episode_as_torchs_own_cell(passports: dict[str, Path]) -> None:
    """The oracle is torch's LSTM over the whole sequence at once, which knows no steps and no starts."""
    network, policy = NETWORKS["recurrent"], FrozenPolicy.from_graph(passports["recurrent"] / "policy.onnx")
    whole, cell = nn.LSTM(WIDTH, UNITS), network.cell
    assert cell is not None
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(whole, f"{name}_l0").data.copy_(getattr(cell, name))
    rows = random_rows(100)
    with torch.no_grad():
        hidden, (h, c) = whole((torch.from_numpy(rows) / 0.01).clamp(-10.0, 10.0)[:, None])
        wanted = network.worth(network.body(hidden[:, 0]).tanh())[:, 0].numpy()
    state, values = None, []
    for row in rows:
        decision = policy.act(row, state)
        state = decision.state
        values.append(float(decision.value[0]))
    assert np.abs(np.array(values) - wanted).max() <= 1e-5
    assert state is not None
    assert np.abs(state - torch.cat([h, c], dim=2)[0].numpy()).max() <= 1e-5


class Drifting(Restless):
    """Doubles one of its outputs after the exporter has looked."""

    def __init__(self, shape: tuple[int, ...], units: int, which: int) -> None:
        super().__init__(shape, units=units)
        self.which = which

    def forward(self, obs: torch.Tensor, state: Any = None, starts: Any = None) -> tuple[torch.Tensor, ...]:
        answer = list(super().forward(obs, state, starts))
        if not torch.compiler.is_exporting():
            answer[self.which] = 2 * answer[self.which]
        return tuple(answer)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("units", "which", "name"), [(0, 0, "action"), (0, 2, "value"), (8, 1, "confidence"), (8, 3, "next_state")]
)
def test_a_graph_that_answers_otherwise_is_not_exported(tmp_path: Path, units: int, which: int, name: str) -> None:
    with pytest.raises(ExportError, match=f"the graph's {name} differs from the network's"):
        export_graph(Drifting((WIDTH,), units, which), tmp_path / "policy.onnx")


@pytest.mark.slow
def test_a_network_that_does_not_forget_where_a_row_starts_is_not_exported(tmp_path: Path) -> None:
    class Clinging(Restless):
        def forward(self, obs: torch.Tensor, state: Any = None, starts: Any = None) -> tuple[torch.Tensor, ...]:
            return super().forward(obs, state, starts & (obs[:, 0] > 1e9))

    with pytest.raises(ExportError, match="a row that starts does not begin from zeros"):
        export_graph(Clinging((WIDTH,), units=8), tmp_path / "policy.onnx")


@pytest.mark.slow
def test_a_network_in_which_one_row_s_start_is_everybody_s_is_not_exported(tmp_path: Path) -> None:
    class Contagious(Restless):
        def forward(self, obs: torch.Tensor, state: Any = None, starts: Any = None) -> tuple[torch.Tensor, ...]:
            return super().forward(obs, state, starts.any().expand(obs.shape[0]))

    with pytest.raises(ExportError, match="the graph's .* differs from the network's"):
        export_graph(Contagious((WIDTH,), units=8), tmp_path / "policy.onnx")


def test_a_network_of_another_width_or_of_no_shape_is_refused_before_it_is_exported(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="takes 5 columns, not 7"):
        export_graph(Restless((WIDTH,)), tmp_path / "policy.onnx", 7)
    with pytest.raises(ExportError, match="Linear does not say the shape of an observation"):
        export_graph(nn.Linear(5, 1), tmp_path / "policy.onnx")
    assert list(tmp_path.iterdir()) == []


def test_graph_facts_name_hash_and_shapes(passports: dict[str, Path]) -> None:
    path = passports["both"] / "policy.onnx"
    facts = graph_facts(path)
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts["inputs"] == {"obs": ["batch", 6, 5], "state": ["batch", 24], "starts": ["batch"]}
    assert facts["outputs"] == ["action", "confidence", "value", "next_state"]
    assert graph_facts(passports["box"] / "policy.onnx")["inputs"] == {"obs": ["batch", 5]}
