import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from wavetank.agents.export import ExportError, export_graph, graph_facts, reference_of, seal
from wavetank.agents.frozen import FrozenPolicy

from .passports import LOG_STD, random_network, random_rows


@pytest.mark.parametrize("kind", ["box", "discrete"])
def test_graph_answers_as_the_network_does(passports: dict[str, Path], kind: str) -> None:
    network = random_network(LOG_STD[kind])
    policy = FrozenPolicy.from_graph(passports[kind] / "policy.onnx")
    rows = random_rows(500)
    with torch.no_grad():
        wanted = [part.numpy() for part in network(torch.from_numpy(rows))]
    decision = policy.act(rows)
    for got, want in zip(decision[:3], wanted, strict=True):
        assert got.dtype == np.float32
        assert got.shape == want.shape
        assert np.abs(got - want).max() <= 1e-5
    assert np.ptp(decision.action) > 0.5  # a constant would agree as well


@pytest.mark.slow
def test_a_graph_that_answers_otherwise_is_not_exported(tmp_path: Path) -> None:
    class Drifting(nn.Module):
        """Doubles its action after the exporter has looked."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = random_network()

        def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            action, confidence, value = self.inner(rows)
            exporting = torch.compiler.is_exporting()
            return (action if exporting else 2 * action), confidence, value

    with pytest.raises(ExportError, match="action differs from the network's"):
        export_graph(Drifting(), tmp_path / "policy.onnx", 5)


def test_graph_facts_name_hash_and_shapes(passports: dict[str, Path]) -> None:
    path = passports["box"] / "policy.onnx"
    facts = graph_facts(path)
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts["inputs"] == {"obs": ["batch", 5]}
    assert facts["outputs"] == ["action", "confidence", "value"]


def test_reference_describes_the_rows_it_was_made_of() -> None:
    rows = np.random.default_rng(0).standard_normal((5_000, 2)).astype(np.float32)
    rows[:, 1] = np.arange(5_000)
    reference = reference_of(rows)
    median = reference["quantiles"][list(reference["levels"]).index(0.5)]
    assert median == pytest.approx(np.median(rows, axis=0))
    assert reference["bin_edges"].shape == (9, 2)
    assert reference["bin_shares"] == pytest.approx(np.full((10, 2), 0.1), abs=1e-3)
    assert np.all(np.diff(reference["novelty"]) >= 0)


def test_shares_of_a_flag_count_every_row_once() -> None:
    flag = np.zeros((100, 1), np.float32)
    flag[:20] = 1.0
    shares = reference_of(flag)["bin_shares"][:, 0]
    assert shares.sum() == pytest.approx(1.0)
    assert sorted(shares)[-2:] == pytest.approx([0.2, 0.8])


def test_a_folder_without_a_graph_is_not_sealed(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"holds no policy\.onnx"):
        seal(tmp_path, {})
