"""Two nodes, one training: it spans both, means what it means on one machine, and outlives the loss of a node."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from .leaky import leaky_scaler
from .vectors import SPREAD, SPREAD_UPDATE, patient_vector

rllib = pytest.importorskip("wavetank.agents.rllib", exc_type=ImportError)
pytestmark = [pytest.mark.slow, pytest.mark.ray]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """What `two_nodes.py` saw, and the weights that came of its first training."""
    out = tmp_path_factory.mktemp("cluster")
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "no-one-else-may-join-this-cluster-of-ours"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.agents.two_nodes", str(out)],
        cwd=ROOT, env={**os.environ, **token, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((out / "told.json").read_text()), torch.load(out / "weights.pt", weights_only=True)


def test_runners_and_learners_live_on_both_nodes(told: Any) -> None:
    seen, _ = told
    assert seen["nodes"] == 2
    assert len({*seen["runners"], *seen["learners"]}) == 2
    assert len(seen["before"]) == 3
    assert len(set(seen["before"])) == 2
    assert 3 * SPREAD_UPDATE <= seen["steps"] <= 4 * SPREAD_UPDATE


@pytest.mark.usefixtures("ray_cluster")
def test_the_weights_are_those_of_a_training_on_one_machine(told: Any) -> None:
    _, weights = told
    here = rllib.RLlibTrainer(SPREAD, leaky_scaler(), num_envs=8, runners=2)
    wanted = here.fit(patient_vector, 3 * SPREAD_UPDATE).state_dict()
    here.close()
    assert weights.keys() == wanted.keys()
    assert max(float((weights[name] - wanted[name]).abs().max()) for name in wanted) <= 1e-5


def test_a_lost_node_is_survived(told: Any) -> None:
    """Two of three runners find room on the node that is left; they collect the third one's part."""
    seen, _ = told
    whole = 3 * SPREAD_UPDATE // 2
    assert all(whole - 3 * 8 <= taken <= whole for taken in seen["taken"])
    assert len(seen["after"]) == 2
    assert set(seen["after"]) < set(seen["before"])
