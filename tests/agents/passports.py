"""Small sealed passports for tests, made the way the desk makes one: graph, golden rows, reference, manifest, seal."""

from pathlib import Path
from typing import Any

import numpy as np

from wavetank.agents.export import export_graph, graph_facts
from wavetank.agents.frozen import FrozenPolicy
from wavetank.agents.manifest import write_manifest
from wavetank.agents.reference import reference_of
from wavetank.agents.seal import whole_folder

from ..envs.networks import Restless

WIDTH, BARS, UNITS = 5, 6, 12
NETWORKS = {
    "box": Restless((WIDTH,)),
    "discrete": Restless((WIDTH,), levels=3),
    "windowed": Restless((BARS, WIDTH)),
    "recurrent": Restless((WIDTH,), units=UNITS),
    "both": Restless((BARS, WIDTH), levels=5, units=UNITS),
}
KINDS = tuple(NETWORKS)


def random_rows(n: int, *shape: int) -> np.ndarray:
    """Observations whose spread is that of the columns which the networks expect."""
    return (0.02 * np.random.default_rng(8).standard_normal((n, *(shape or (WIDTH,))))).astype(np.float32)


def make_passport(folder: Path, kind: str, key: bytes | None = None, **changes: Any) -> Path:
    network = NETWORKS[kind]
    rows = random_rows(300, *network.shape)
    with whole_folder(folder) as draft:
        export_graph(network, draft / "policy.onnx")
        policy, state, answers = FrozenPolicy.from_graph(draft / "policy.onnx"), None, []
        for row in rows:
            decision = policy.act(row, state)
            state = decision.state
            answers.append(decision.action)
        np.savez(draft / "golden.npz", columns=rows, action=np.concatenate(answers))
        columns = [f"column_{i}" for i in range(WIDTH)]
        flat = rows if rows.ndim == 2 else rows[:, -1]
        np.savez(draft / "reference.npz", **reference_of(flat, columns))  # type: ignore[arg-type]  # numpy types savez too narrowly
        manifest = {
            "graph": graph_facts(draft / "policy.onnx"),
            "observation": {"columns": columns} | ({"window": BARS} if rows.ndim == 3 else {}),
            "expires_at": "2030-01-01T00:00:00+00:00",
        }
        write_manifest(draft, {**manifest, **changes}, key)
    return folder
