"""A policy's graph in onnxruntime: what it takes and gives, run for one row through bound buffers or for a batch.

Refuses a graph of another form. Knows neither passports nor what the numbers mean; what a batch holds has been looked
at by whoever calls.
"""

from collections.abc import Mapping
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

INPUT, OUTPUTS = "obs", ("action", "confidence", "value")
STATE, STARTS, NEXT_STATE = "state", "starts", "next_state"  # of a recurrent graph, beside those above
UNREADABLE = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NotImplemented)

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


class GraphError(ValueError):
    """A graph that cannot be read, or that is none of a policy."""


class Graph:
    """One graph on one CPU thread. `shape` is that of one observation, `state_size` 0 where it keeps no state."""

    def __init__(self, content: bytes) -> None:
        self._session = _session(content)
        self.inputs = {node.name: list(node.shape) for node in self._session.get_inputs()}
        self.outputs = {node.name: list(node.shape) for node in self._session.get_outputs()}
        self.shape, self.state_size = _form(self.inputs, self.outputs)
        self._names = tuple(self.outputs)
        self.row = BoundRow(self._session, self.shape, self.state_size)

    def facts(self) -> dict[str, Any]:
        """What a manifest says of inputs and outputs: shapes by name, "batch" for the axis of rows."""
        inputs = {name: ["batch", *shape[1:]] for name, shape in self.inputs.items()}
        return {"inputs": inputs, "outputs": list(self._names)}

    def batch(self, rows: Floats, state: Floats | None, starts: Flags | None) -> Decision:
        """Answer (n, *shape) float32 at once; a recurrent graph takes `state` (n, S) and `starts` (n,) as well."""
        given: dict[str, NDArray[Any]] = {INPUT: rows}
        if self.state_size:
            assert state is not None
            assert starts is not None
            given |= {STATE: state, STARTS: starts}
        return Decision(*self._session.run(self._names, given))


class BoundRow:
    """One row through bound buffers: about a third less time than `session.run`."""

    def __init__(self, session: Any, shape: tuple[int, ...], state_size: int) -> None:
        self._session, self._binding = session, session.io_binding()
        self._row, self._state = np.zeros((1, *shape), np.float32), np.zeros((1, state_size), np.float32)
        self._starts = np.ones(1, np.bool_)
        self._row_is_finite, self._state_is_finite = (
            np.zeros((1, *shape), np.bool_),
            np.zeros((1, state_size), np.bool_),
        )
        self._action, self._confidence, self._value = np.zeros((1, 1), np.float32), *np.zeros((2, 1), np.float32)
        self._next_state = np.zeros((1, state_size), np.float32)
        inputs: dict[str, NDArray[Any]] = {INPUT: self._row}
        outputs = dict(zip(OUTPUTS, (self._action, self._confidence, self._value), strict=True))
        if state_size:
            inputs |= {STATE: self._state, STARTS: self._starts}
            outputs |= {NEXT_STATE: self._next_state}
        self._kept = [self._bound(self._binding.bind_ortvalue_input, inputs)]
        self._kept.append(self._bound(self._binding.bind_ortvalue_output, outputs))

    def act(self, row: Floats) -> Decision:
        """Answer one observation of a stateless graph; ValueError where a number is not finite."""
        self._take(row)
        self._session.run_with_iobinding(self._binding)
        return Decision(self._action.copy(), self._confidence.copy(), self._value.copy())

    def step(self, row: Floats, state: Floats | None, starts: bool) -> Decision:
        """The same of a recurrent graph, which goes on from `state` or, without one, starts."""
        self._take(row)
        self._starts[0] = starts or state is None
        if state is None:
            self._state.fill(0.0)
        else:
            self._state[:] = state
            np.isfinite(self._state, self._state_is_finite)
            if b"\0" in self._state_is_finite.tobytes():
                raise ValueError(not_finite("state", self._state))
        self._session.run_with_iobinding(self._binding)
        after = self._next_state.copy()
        return Decision(self._action.copy(), self._confidence.copy(), self._value.copy(), after)

    def _take(self, row: Floats) -> None:
        self._row[:] = row
        np.isfinite(self._row, self._row_is_finite)
        if b"\0" in self._row_is_finite.tobytes():  # a microsecond less than .all()
            raise ValueError(not_finite("observation", self._row))

    @staticmethod
    def _bound(bind: Any, arrays: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Bind arrays where they lie; what onnxruntime holds of them must live as long as the binding."""
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in arrays.values()]
        for name, value in zip(arrays, values, strict=True):
            bind(name, value)
        return values


def not_finite(what: str, numbers: Floats) -> str:
    """Where the first number stands that is none: row and place in it."""
    row, *place = (int(index) for index in np.argwhere(~np.isfinite(numbers))[0])
    value = numbers[(row, *place)]
    bar = f", bar {place[0]}" if len(place) == 2 else ""
    return f"{what} {row}{bar}, column {place[-1]} is {value}"


def _session(content: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except UNREADABLE as error:
        raise GraphError(f"cannot be read: {error}") from error


def _form(inputs: dict[str, list[Any]], outputs: dict[str, list[Any]]) -> tuple[tuple[int, ...], int]:
    """(shape of one observation, numbers of state) of a graph with these inputs and outputs."""
    is_recurrent = STATE in inputs
    wanted = ([INPUT, STATE, STARTS], [*OUTPUTS, NEXT_STATE]) if is_recurrent else ([INPUT], [*OUTPUTS])
    if (list(inputs), list(outputs)) != wanted:
        raise GraphError(f"maps {list(inputs)} to {list(outputs)}, not {wanted[0]} to {wanted[1]}")
    shape = inputs[INPUT][1:]
    if len(shape) not in (1, 2) or not all(isinstance(length, int) and length > 0 for length in shape):
        raise GraphError(f"takes {INPUT} of shape {inputs[INPUT]}, not (batch, columns) or (batch, bars, columns)")
    if not is_recurrent:
        return tuple(shape), 0
    size = inputs[STATE][1:]
    if len(size) != 1 or not isinstance(size[0], int) or size[0] < 1 or outputs[NEXT_STATE][1:] != size:
        raise GraphError(f"takes {STATE} of shape {inputs[STATE]} and gives {NEXT_STATE} {outputs[NEXT_STATE]}")
    return tuple(shape), size[0]
