"""From a trained network to the files of a passport: graph, reference distribution, manifest, seal.

Knows torch's exporter; what the columns mean and what the desk does with an action is told by the caller.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .frozen import FORMAT, GRAPH, INPUT, MANIFEST, OUTPUTS, TOLERANCE, FrozenPolicy
from .seal import file_digest, file_digests, write_seal

OPSET = 20
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
DRIFT_BINS = 10
PROBES = 500


class ExportError(ValueError):
    """A network could not be turned into a graph that answers as it does."""


def export_graph(module: nn.Module, path: str | Path, width: int) -> Path:
    """Write a network, observations (n, width) -> action, confidence, value, as one ONNX file of any batch size.

    The graph is run against the network on 500 random rows: a difference above 1e-5 raises ExportError.
    """
    path, module = Path(path), module.cpu().eval()
    with _quiet_exporter():
        torch.onnx.export(
            module,
            (torch.zeros(4, width),),
            str(path),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    _check_parity(module, FrozenPolicy.from_graph(path), width)
    return path


def graph_facts(path: str | Path) -> dict[str, Any]:
    """What a manifest says about a graph: hash, inputs, outputs, opset."""
    width = FrozenPolicy.from_graph(path).width
    return {
        "sha256": file_digest(Path(path)),
        "inputs": {INPUT: ["batch", width]},
        "outputs": list(OUTPUTS),
        "opset": OPSET,
    }


def reference_of(rows: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """What the training slice looked like, rows (T, n) float32: the yardstick for drift and novelty later.

    `levels` (q,) and `quantiles` (q, n); `bin_edges` (9, n) deciles and `bin_shares` (10, n) of the rows that fall
    between them; `novelty` (q,): quantiles over rows of the mean distance from the median in interquartile ranges.
    """
    if rows.ndim != 2 or len(rows) < DRIFT_BINS or not np.isfinite(rows).all():
        raise ValueError(f"reference rows of shape {rows.shape} must be {DRIFT_BINS} or more, all finite")
    data = rows.astype(np.float64)
    edges = np.quantile(data, np.linspace(0, 1, DRIFT_BINS + 1)[1:-1], axis=0)
    shares = np.stack([_shares(data[:, column], edges[:, column]) for column in range(data.shape[1])], axis=1)
    low, median, high = np.quantile(data, (0.25, 0.5, 0.75), axis=0)
    width = np.where(high > low, high - low, 1.0)
    return {
        "levels": np.array(QUANTILES),
        "quantiles": np.quantile(data, QUANTILES, axis=0),
        "bin_edges": edges,
        "bin_shares": shares,
        "novelty": np.quantile(np.abs((data - median) / width).mean(axis=1), QUANTILES),
    }


def seal(folder: Path, manifest: dict[str, Any], signing_key: bytes | None = None) -> None:
    """Write the manifest, with the hash of every file that lies in the folder, then the seal over all of them.

    `folder` is the draft that `seal.whole_folder` gave; it becomes the passport when that block ends.
    """
    if not (folder / GRAPH).is_file():
        raise ExportError(f"{folder} holds no {GRAPH}")
    told = {"format": FORMAT, **manifest, "files": file_digests(folder)}
    text = json.dumps(told, indent=2, sort_keys=True, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n")
    write_seal(folder, signing_key)


def _check_parity(module: nn.Module, policy: FrozenPolicy, width: int) -> None:
    rng = np.random.default_rng(0)
    rows = (3.0 * rng.standard_normal((PROBES, width))).astype(np.float32)
    with torch.no_grad():
        wanted = [part.numpy() for part in module(torch.from_numpy(rows))]
    decision = policy.act(rows)
    for name, want in zip(OUTPUTS, wanted, strict=True):
        got = getattr(decision, name)
        worst = float(np.abs(got - want).max())
        if got.shape != want.shape or not worst <= TOLERANCE * max(1.0, float(np.abs(want).max())):
            raise ExportError(f"the graph's {name} differs from the network's by {worst:.2g}, more than {TOLERANCE:g}")


def _shares(column: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = np.bincount(np.searchsorted(edges, column, side="right"), minlength=DRIFT_BINS)
    return counts / len(column)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The exporter warns about its own internals and about torchvision, which is not needed."""
    noisy = logging.getLogger("torch.onnx._internal.exporter")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        noisy.setLevel(level)
