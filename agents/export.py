"""From a trained network to `policy.onnx`, and the proof that the graph answers as the network does.

Knows torch's exporter; what the columns mean and what the desk does with an action is told by the caller.
"""

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .frozen import TOLERANCE, FrozenPolicy
from .graph import INPUT, NEXT_STATE, OUTPUTS, STARTS, STATE
from .seal import file_digest

Network: TypeAlias = nn.Module  # with `shape` and `state_size`; see `export_graph`

OPSET = 20
PROBES = 500  # rows that a stateless network and its graph must answer alike
PROBE_STEPS, PROBE_ROWS, PROBE_STARTS = 100, 8, 0.1  # a recurrent one: steps, rows side by side, share that start anew


class ExportError(ValueError):
    """A network could not be turned into a graph that answers as it does."""


def export_graph(module: Network, path: str | Path, width: int | None = None) -> Path:
    """Write a network as one ONNX file of any batch size: observations in; action, confidence and value out.

    `module.shape` is that of one observation. Where `module.state_size` is above 0, the network takes a state
    (n, state_size) and flags of the rows that start as well, and gives the next state as fourth output. `width`, where
    given, must be the number of columns.

    The graph is run against the network on 500 random rows, or on 100 steps with random starts: a difference above
    1e-5 raises ExportError.
    """
    path, module = Path(path), module.cpu().eval()
    shape, state_size = _shape_of(module, width), int(getattr(module, "state_size", 0))
    inputs, outputs = {INPUT: torch.zeros(4, *shape)}, [*OUTPUTS]
    if state_size:
        inputs |= {STATE: torch.zeros(4, state_size), STARTS: torch.zeros(4, dtype=torch.bool)}
        outputs.append(NEXT_STATE)
    batch = torch.export.Dim("batch", min=1)
    with _quiet_exporter():
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=outputs,
            dynamo=True,
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    policy = FrozenPolicy.from_graph(path)
    if policy.shape != shape or policy.state_size != state_size:
        raise ExportError(
            f"the graph takes {policy.shape} and keeps {policy.state_size}, the network {shape} and {state_size}"
        )
    _check_sequence(module, policy) if state_size else _check_rows(module, policy)
    return path


def graph_facts(path: str | Path) -> dict[str, Any]:
    """What a manifest says about a graph: hash, inputs, outputs, opset."""
    return {"sha256": file_digest(Path(path)), **FrozenPolicy.from_graph(path).facts(), "opset": OPSET}


def _shape_of(module: nn.Module, width: int | None) -> tuple[int, ...]:
    told = getattr(module, "shape", None)
    if told is None and width is None:
        raise ExportError(f"{type(module).__name__} does not say the shape of an observation")
    shape = (int(width or 0),) if told is None else tuple(int(length) for length in told)
    if width is not None and width != shape[-1]:
        raise ExportError(f"the network takes {shape[-1]} columns, not {width}")
    return shape


def _check_rows(module: nn.Module, policy: FrozenPolicy) -> None:
    rows = _drawn(np.random.default_rng(0), PROBES, *policy.shape)
    with torch.no_grad():
        wanted = module(torch.from_numpy(rows))
    _compare(policy.act(rows)[:3], wanted)


def _check_sequence(module: nn.Module, policy: FrozenPolicy) -> None:
    """Both sides go on from their own states; rows that start are given the state that they must forget."""
    rng, n = np.random.default_rng(0), PROBE_ROWS
    state = _drawn(rng, n, policy.state_size)
    kept, starts = torch.from_numpy(state), np.ones(n, np.bool_)
    for _ in range(PROBE_STEPS):
        rows = _drawn(rng, n, *policy.shape)
        with torch.no_grad():
            wanted = module(torch.from_numpy(rows), kept, torch.from_numpy(starts))
        decision = policy.act(rows, state, starts)
        _compare(decision, wanted)
        assert decision.state is not None
        state, kept = decision.state, wanted[3]
        starts = rng.random(n) < PROBE_STARTS
    with torch.no_grad():
        begun, fresh = (
            module(torch.from_numpy(rows), given, torch.ones(n, dtype=torch.bool)) for given in (kept, 0 * kept)
        )
    if not all(torch.equal(a, b) for a, b in zip(begun, fresh, strict=True)):
        raise ExportError("a row that starts does not begin from zeros: its answer depends on the state it is given")


def _compare(got: tuple[NDArray[np.float32] | None, ...], wanted: tuple[torch.Tensor, ...]) -> None:
    for name, have, tensor in zip((*OUTPUTS, NEXT_STATE), got, wanted, strict=False):
        assert have is not None
        want = tensor.numpy()
        if have.shape != want.shape:
            raise ExportError(f"the graph's {name} has shape {have.shape}, the network's {want.shape}")
        worst = float(np.abs(have - want).max())
        if not worst <= TOLERANCE * max(1.0, float(np.abs(want).max())):
            raise ExportError(f"the graph's {name} differs from the network's by {worst:.2g}, more than {TOLERANCE:g}")


def _drawn(rng: np.random.Generator, n: int, *shape: int) -> NDArray[np.float32]:
    return (3.0 * rng.standard_normal(n * math.prod(shape)).reshape(n, *shape)).astype(np.float32)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The exporter warns about its own internals, about torchvision, and that all inputs have one batch axis."""
    noisy = logging.getLogger("torch.onnx._internal.exporter")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.filterwarnings("ignore", "# The axis name: batch will not be used", UserWarning)
            yield
    finally:
        noisy.setLevel(level)
