"""A policy that has left its trainer: `policy.onnx` in a sealed folder, run by onnxruntime alone.

Refuses a folder in which anything is off, naming it. Knows neither torch nor how the columns are made; reads no
clock: whoever loads says what time it is.
"""

import math
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph import Flags, Floats, Graph, GraphError, not_finite
from .manifest import GOLDEN, GRAPH, PassportError, check_graph, expiry_of, golden_rows, read_manifest
from .policy import Decision

__all__ = ["FrozenPolicy", "PassportError"]

TOLERANCE = 1e-5  # another CPU may differ in the last bits of an action
PROBE_SIZES = (2, 3, 7, 16, 40)


class FrozenPolicy:
    """A frozen policy behind the `Policy` protocol; one thread at a time (it reuses its own input buffers).

    `shape` is that of one observation, (columns,) or (bars, columns); `width` the number of columns; `state_size` the
    numbers that a recurrent policy keeps from one observation to the next, 0 where it keeps none.

    >>> FrozenPolicy.load("runs/7/passport").act(observations)  # doctest: +SKIP
    """

    def __init__(self, graph: bytes, folder: Path | None = None, manifest: dict[str, Any] | None = None) -> None:
        self.folder, self.manifest = folder, manifest or {}
        try:
            self._graph = Graph(graph)
        except GraphError as error:
            raise PassportError(f"{GRAPH} {error}") from error
        self._row = self._graph.row
        self.shape, self.state_size = self._graph.shape, self._graph.state_size
        self.width = self.shape[-1]
        self._one_row = (self.shape, (1, *self.shape))
        self._one_state = ((self.state_size,), (1, self.state_size))
        self._batches_like_rows = self._agrees()

    @classmethod
    def load(
        cls, folder: str | Path, *, now: datetime | None = None, public_key: bytes | None = None
    ) -> "FrozenPolicy":
        """Verify a sealed passport and load it.

        Raises PassportError if a byte differs from the seal, the manifest contradicts the graph, the golden rows are
        not answered as recorded, `now` (UTC) is past `expires_at`, or a wanted signature is not `public_key`'s.
        """
        folder = Path(folder)
        manifest = read_manifest(folder, now=now, public_key=public_key)
        try:
            policy = cls((folder / GRAPH).read_bytes(), folder, manifest)
        except PassportError as error:
            raise PassportError(f"passport {folder}: {error}") from error
        check_graph(folder, manifest, policy.shape, policy._graph.facts())
        policy._replay(folder)
        return policy

    @classmethod
    def from_graph(cls, path: str | Path) -> "FrozenPolicy":
        """Load a bare graph, unsealed: for export time and tests."""
        return cls(Path(path).read_bytes())

    @property
    def expires_at(self) -> datetime | None:
        """When the passport ends (UTC), if it does."""
        return expiry_of(self.manifest)

    def facts(self) -> dict[str, Any]:
        """The graph's inputs and outputs, as a manifest holds them."""
        return self._graph.facts()

    def act(self, observations: Floats, state: Floats | None = None, starts: Flags | None = None) -> Decision:
        """Decide on observations (n, *shape) or *shape float32; n rows are answered like n single calls, bit for bit.

        A recurrent policy goes on from `state` (n, state_size), which its last Decision gave; a row whose `starts` is
        true begins anew whatever its state, and without a state every row does. A stateless one heeds no `starts`.

        Raises ValueError if a number is not finite, a shape is another, or a state is given to a stateless policy.
        """
        if observations.shape in self._one_row:
            if self.state_size == 0 and state is None:
                return self._row.act(observations)
            return self._step(observations, state, starts)
        if observations.shape[1:] != self.shape or len(observations) == 0:
            raise ValueError(f"observations of shape {observations.shape} do not fit a policy of {self._form()}")
        if not np.isfinite(observations).all():
            raise ValueError(not_finite("observation", observations))
        rows = np.ascontiguousarray(observations, dtype=np.float32)
        kept, begins = self._memory(len(rows), state, starts)
        return self._graph.batch(rows, kept, begins) if self._batches_like_rows else self._singly(rows, kept, begins)

    def _step(self, observation: Floats, state: Floats | None, starts: Flags | None) -> Decision:
        if state is not None and (self.state_size == 0 or state.shape not in self._one_state):
            raise ValueError(self._no_such_state(state, 1))
        if starts is not None and np.shape(starts) != (1,):
            raise ValueError(f"starts of shape {np.shape(starts)} do not fit 1 observation")
        return self._row.step(observation, state, starts is not None and bool(starts[0]))

    def _memory(self, n: int, state: Floats | None, starts: Flags | None) -> tuple[Floats | None, Flags | None]:
        """State and starts of n rows as the graph takes them; (None, None) for a stateless policy."""
        if state is not None and (self.state_size == 0 or state.shape != (n, self.state_size)):
            raise ValueError(self._no_such_state(state, n))
        if self.state_size == 0:
            return None, None
        if state is None:
            return np.zeros((n, self.state_size), np.float32), np.ones(n, np.bool_)
        if starts is not None and np.shape(starts) != (n,):
            raise ValueError(f"starts of shape {np.shape(starts)} do not fit {n} observations")
        if not np.isfinite(state).all():
            raise ValueError(not_finite("state", state))
        begins = np.zeros(n, np.bool_) if starts is None else np.ascontiguousarray(starts, np.bool_)
        return np.ascontiguousarray(state, np.float32), begins

    def _singly(self, rows: Floats, state: Floats | None, starts: Flags | None) -> Decision:
        if state is None or starts is None:
            answers = [self._row.act(row) for row in rows]
        else:
            answers = [self._row.step(*each) for each in zip(rows, state, starts.tolist(), strict=True)]
        return Decision(*(np.concatenate(parts) for parts in zip(*map(_parts, answers), strict=True)))

    def _agrees(self) -> bool:
        """Does the matrix product of this machine answer a batch as it answers its rows? If not, rows run singly."""
        rows = _probe(PROBE_SIZES[-1], *self.shape)
        state = _probe(len(rows), self.state_size) if self.state_size else None
        starts = np.arange(len(rows)) % 3 == 0 if self.state_size else None
        wanted = _parts(self._singly(rows, state, starts))
        for n in PROBE_SIZES:
            kept, begins = None if state is None else state[:n], None if starts is None else starts[:n]
            got = _parts(self._graph.batch(rows[:n], kept, begins))
            if not all(np.array_equal(a, b[:n]) for a, b in zip(got, wanted, strict=True)):
                return False
        return True

    def _replay(self, folder: Path) -> None:
        """Answer the golden rows in sequence, the first as a start, and compare."""
        columns, wanted = golden_rows(folder)
        if columns.shape[1:] != self.shape or len(columns) == 0:
            raise PassportError(f"passport {folder}: {GOLDEN} has columns {columns.shape}, not those of {self._form()}")
        got = self.act(columns).action if self.state_size == 0 else self._in_sequence(columns)
        if got.shape != wanted.shape:
            raise PassportError(f"passport {folder}: {GOLDEN} has actions {wanted.shape}, the graph gives {got.shape}")
        worst = float(np.abs(got - wanted).max())
        if not worst <= TOLERANCE:
            row = int(np.abs(got - wanted).max(axis=1).argmax())
            raise PassportError(
                f"passport {folder}: golden row {row} is answered {got[row, 0]:.7g} here "
                f"and was {wanted[row, 0]:.7g} when exported"
            )

    def _in_sequence(self, columns: Floats) -> Floats:
        state, actions = None, []
        for observation in columns:
            decision = self.act(observation, state)
            state = decision.state
            actions.append(decision.action)
        return np.concatenate(actions)

    def _form(self) -> str:
        bars = f"{self.shape[0]} bars of " if len(self.shape) == 2 else ""
        return f"{bars}{self.width} columns"

    def _no_such_state(self, state: Floats, n: int) -> str:
        if self.state_size == 0:
            return "this policy keeps no state, and was given one"
        return f"a state of shape {state.shape} does not fit a policy that keeps ({n}, {self.state_size})"


def _parts(decision: Decision) -> list[NDArray[np.float32]]:
    return [part for part in decision if part is not None]


def _probe(n: int, *shape: int) -> Floats:
    """n rows that differ in sign and size, the same at every load."""
    grid = np.arange(n * math.prod(shape), dtype=np.float64).reshape(n, *shape)
    return (3.0 * np.sin(grid * 0.7 + math.pi / 5)).astype(np.float32)
