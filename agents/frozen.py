"""A policy that has left its trainer: `policy.onnx` in a sealed folder, run by onnxruntime alone.

Refuses a folder in which anything is off, naming it. Knows neither torch nor how the columns are made; reads no
clock: whoever loads says what time it is.
"""

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NotImplemented,
)

from .policy import Decision
from .seal import SealError, check_seal, file_digest

FORMAT = 1
GRAPH, GOLDEN, MANIFEST = "policy.onnx", "golden.npz", "manifest.json"
UNREADABLE = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NotImplemented)
INPUT, OUTPUTS = "obs", ("action", "confidence", "value")
TOLERANCE = 1e-5  # another CPU may differ in the last bits of an action


class PassportError(ValueError):
    """A passport is refused; the sentence names what differs."""


class FrozenPolicy:
    """A frozen policy behind the `Policy` protocol; one thread at a time (it reuses its own input buffer).

    >>> FrozenPolicy.load("runs/7/passport").act(observations)  # doctest: +SKIP
    """

    def __init__(self, graph: bytes, folder: Path | None = None, manifest: dict[str, Any] | None = None) -> None:
        self.folder, self.manifest = folder, manifest or {}
        self._session = _session(graph)
        self.width = _check_io(self._session)
        self._single = _Single(self._session, self.width)
        self._single_shapes = ((1, self.width), (self.width,))
        self._batches_like_rows = self._agrees(_probe_rows(self.width))

    @classmethod
    def load(
        cls, folder: str | Path, *, now: datetime | None = None, public_key: bytes | None = None
    ) -> "FrozenPolicy":
        """Verify a sealed passport and load it.

        Raises PassportError if a byte differs from the seal, the manifest contradicts the graph, the golden rows are
        not answered as recorded, `now` (UTC) is past `expires_at`, or a wanted signature is not `public_key`'s.
        """
        folder = Path(folder)
        try:
            check_seal(folder, public_key)
        except SealError as error:
            raise PassportError(f"passport {error}") from error
        manifest = _manifest(folder)
        _check_expiry(folder, manifest, now)
        try:
            policy = cls((folder / GRAPH).read_bytes(), folder, manifest)
        except PassportError as error:
            raise PassportError(f"passport {folder}: {error}") from error
        _check_manifest(folder, manifest, policy.width)
        policy._replay(folder)
        return policy

    @classmethod
    def from_graph(cls, path: str | Path) -> "FrozenPolicy":
        """Load a bare graph, unsealed: for export time and tests."""
        return cls(Path(path).read_bytes())

    @property
    def expires_at(self) -> datetime | None:
        """When the passport ends (UTC), if it does."""
        told = self.manifest.get("expires_at")
        return None if told is None else _instant(told)

    def act(
        self,
        observations: NDArray[np.float32],
        state: NDArray[np.float32] | None = None,
        starts: NDArray[np.bool_] | None = None,
    ) -> Decision:
        """Decide on observations (n, width) or (width,) float32; n rows are answered like n single calls, bit for bit.

        Raises ValueError if a number is not finite, the width is another, or a state is given to a stateless policy.
        """
        if state is not None:
            raise ValueError("this policy keeps no state, and was given one")
        if observations.shape in self._single_shapes:
            return self._single.run(observations)
        if observations.ndim != 2 or observations.shape[1] != self.width or len(observations) == 0:
            raise ValueError(f"observations of shape {observations.shape} do not fit a policy of {self.width} columns")
        if not np.isfinite(observations).all():
            raise ValueError(_not_finite(observations))
        rows = np.ascontiguousarray(observations, dtype=np.float32)
        return self._batch(rows) if self._batches_like_rows else self._rows(rows)

    def _batch(self, rows: NDArray[np.float32]) -> Decision:
        return Decision(*self._session.run(OUTPUTS, {INPUT: rows}))

    def _rows(self, rows: NDArray[np.float32]) -> Decision:
        singles = [self._single.run(row)[:3] for row in rows]
        return Decision(*(np.concatenate(parts) for parts in zip(*singles, strict=True)))

    def _agrees(self, rows: NDArray[np.float32]) -> bool:
        """Does the matrix product of this machine answer a batch as it answers its rows? If not, rows run singly."""
        wanted = self._rows(rows)
        for size in (2, 3, 7, 16, len(rows)):
            got = self._batch(rows[:size])
            if not all(np.array_equal(a, b[:size]) for a, b in zip(got[:3], wanted[:3], strict=True)):
                return False
        return True

    def _replay(self, folder: Path) -> None:
        golden = _golden(folder)
        columns, wanted = golden["columns"], golden["action"]
        got = self.act(columns).action
        if got.shape != wanted.shape:
            raise PassportError(f"passport {folder}: {GOLDEN} has actions {wanted.shape}, the graph gives {got.shape}")
        worst = float(np.abs(got - wanted).max())
        if not worst <= TOLERANCE:
            row = int(np.abs(got - wanted).max(axis=1).argmax())
            raise PassportError(
                f"passport {folder}: golden row {row} is answered {got[row, 0]:.7g} here "
                f"and was {wanted[row, 0]:.7g} when exported"
            )


class _Single:
    """One row through bound buffers: about a third less time than `session.run`."""

    def __init__(self, session: Any, width: int) -> None:
        self._session, self._binding = session, session.io_binding()
        self._row = np.zeros((1, width), np.float32)
        self._finite = np.zeros((1, width), np.bool_)
        self._outputs = (np.zeros((1, 1), np.float32), np.zeros(1, np.float32), np.zeros(1, np.float32))
        self._values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in (self._row, *self._outputs)]
        self._binding.bind_ortvalue_input(INPUT, self._values[0])
        for name, value in zip(OUTPUTS, self._values[1:], strict=True):
            self._binding.bind_ortvalue_output(name, value)

    def run(self, row: NDArray[np.float32]) -> Decision:
        self._row[:] = row
        np.isfinite(self._row, self._finite)
        if b"\0" in self._finite.tobytes():  # a microsecond less than .all()
            raise ValueError(_not_finite(self._row))
        self._session.run_with_iobinding(self._binding)
        action, confidence, value = self._outputs
        return Decision(action.copy(), confidence.copy(), value.copy())


def _session(graph: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except UNREADABLE as error:
        raise PassportError(f"{GRAPH} cannot be read: {error}") from error


def _check_io(session: Any) -> int:
    inputs = {node.name: node.shape for node in session.get_inputs()}
    outputs = tuple(node.name for node in session.get_outputs())
    if list(inputs) != [INPUT] or outputs != OUTPUTS:
        raise PassportError(f"{GRAPH} maps {list(inputs)} to {list(outputs)}, not {[INPUT]} to {list(OUTPUTS)}")
    shape = inputs[INPUT]
    if len(shape) != 2 or not isinstance(shape[1], int):
        raise PassportError(f"{GRAPH} takes {INPUT} of shape {shape}, not (batch, width)")
    return shape[1]


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise PassportError(f"passport {folder}: {MANIFEST} cannot be read: {error}") from error
    form = manifest.get("format") if isinstance(manifest, dict) else None
    if form != FORMAT:
        raise PassportError(f"passport {folder} has format {form}, this installation reads {FORMAT}")
    return dict(manifest)


def _check_expiry(folder: Path, manifest: dict[str, Any], now: datetime | None) -> None:
    told = manifest.get("expires_at")
    if told is None:
        return
    ends = _instant(told)
    if now is not None and now >= ends:
        raise PassportError(f"passport {folder} expired at {ends.isoformat()}")


def _check_manifest(folder: Path, manifest: dict[str, Any], width: int) -> None:
    told = manifest.get("graph", {}).get("sha256")
    if told != file_digest(folder / GRAPH):
        raise PassportError(f"passport {folder}: {MANIFEST} names another graph than {GRAPH}")
    columns = manifest.get("observation", {}).get("columns", [])
    if len(columns) != width:
        raise PassportError(f"passport {folder}: {MANIFEST} lists {len(columns)} columns, {GRAPH} takes {width}")


def _golden(folder: Path) -> dict[str, NDArray[np.float32]]:
    try:
        with np.load(folder / GOLDEN, allow_pickle=False) as file:
            return {name: file[name] for name in ("columns", "action")}
    except (OSError, ValueError, KeyError) as error:
        raise PassportError(f"passport {folder}: {GOLDEN} cannot be read: {error}") from error


def _instant(told: str) -> datetime:
    try:
        instant = datetime.fromisoformat(told)
    except (TypeError, ValueError) as error:
        raise PassportError(f"expires_at {told!r} is not an ISO date") from error
    if instant.tzinfo is None:
        raise PassportError(f"expires_at {told!r} names no time zone")
    return instant


def _probe_rows(width: int) -> NDArray[np.float32]:
    """Forty rows that differ in sign and size, the same at every load."""
    grid = np.arange(40 * width, dtype=np.float64).reshape(40, width)
    return (3.0 * np.sin(grid * 0.7 + math.pi / 5)).astype(np.float32)


def _not_finite(observations: NDArray[np.float32]) -> str:
    row, column = np.argwhere(~np.isfinite(observations))[0]
    return f"observation {row}, column {column} is {observations[row, column]}"
