"""Graphs that are none of a policy are refused, each with what is wrong; written here node by node with onnx."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from wavetank.agents.graph import Graph, GraphError

Shape = list[Any]
FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL
OBS, STATE, STARTS = ("obs", FLOAT, ["batch", 3]), ("state", FLOAT, ["batch", 3]), ("starts", BOOL, ["batch"])
ANSWER: list[tuple[str, Shape]] = [("action", ["batch", 1]), ("confidence", ["batch"]), ("value", ["batch"])]
NEXT: tuple[str, Shape] = ("next_state", ["batch", 3])


def graph(inputs: list[tuple[str, int, Shape]], outputs: list[tuple[str, Shape]]) -> bytes:
    """Outputs are the sum of a row's observation; the next state is that observation, whatever else goes in."""
    ones = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("Identity", [inputs[0][0]], [name])
        if name == "next_state"
        else helper.make_node("ReduceSum", [inputs[0][0], "axes"], [name], keepdims=int(len(shape) > 1))
        for name, shape in outputs
    ]
    made = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info(*told) for told in inputs],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs],
        [ones],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return bytes(model.SerializeToString())


def test_a_graph_tells_its_shape_and_answers() -> None:
    made = Graph(graph([OBS], ANSWER))
    assert (made.shape, made.state_size) == ((3,), 0)
    assert made.facts() == {"inputs": {"obs": ["batch", 3]}, "outputs": ["action", "confidence", "value"]}
    decision = made.batch(np.arange(6, dtype=np.float32).reshape(2, 3), None, None)
    assert decision.action.tolist() == [[3.0], [12.0]]
    assert made.row.act(np.ones(3, np.float32)).value.tolist() == [3.0]


def test_a_recurrent_graph_tells_its_state_too() -> None:
    made = Graph(graph([OBS, STATE, STARTS], [*ANSWER, NEXT]))
    assert (made.shape, made.state_size) == ((3,), 3)
    after = made.row.step(np.arange(3, dtype=np.float32), None, True).state
    assert after is not None
    assert after.tolist() == [[0.0, 1.0, 2.0]]


@pytest.mark.parametrize(
    ("inputs", "outputs", "sentence"),
    [
        ([("rows", FLOAT, ["batch", 3])], ANSWER, r"maps \['rows'\] .* not \['obs'\]"),
        ([OBS], ANSWER[:2], r"to \['action', 'confidence'\], not"),
        ([OBS], [ANSWER[1], ANSWER[0], ANSWER[2]], r"to \['confidence', 'action', 'value'\], not"),
        ([OBS, STATE], [*ANSWER, NEXT], r"maps \['obs', 'state'\] .* not \['obs', 'state', 'starts'\]"),
        ([OBS, STATE, STARTS], ANSWER, r"not \['obs', 'state', 'starts'\] to .*'next_state'"),
        ([("obs", FLOAT, ["batch", "any"])], ANSWER, r"takes obs of shape \['batch', 'any'\]"),
        ([("obs", FLOAT, ["batch", 2, 3, 4])], ANSWER, r"takes obs of shape \['batch', 2, 3, 4\]"),
        (
            [OBS, ("state", FLOAT, ["batch", "any"]), STARTS],
            [*ANSWER, NEXT],
            r"takes state of shape \['batch', 'any'\]",
        ),
        ([OBS, ("state", FLOAT, ["batch", 2]), STARTS], [*ANSWER, NEXT], r"gives next_state \['batch', 3\]"),
    ],
)
def test_a_graph_of_another_form_is_refused(
    inputs: list[tuple[str, int, Shape]], outputs: list[tuple[str, Shape]], sentence: str
) -> None:
    with pytest.raises(GraphError, match=sentence):
        Graph(graph(inputs, outputs))


def test_what_is_no_graph_is_refused() -> None:
    with pytest.raises(GraphError, match="cannot be read"):
        Graph(b"not a graph")
    with pytest.raises(GraphError, match="cannot be read"):
        Graph(graph([OBS], ANSWER)[:-20])
    model = onnx.load_from_string(graph([OBS], ANSWER))
    model.graph.node[0].op_type = "Nonsense"
    with pytest.raises(GraphError, match="cannot be read"):
        Graph(model.SerializeToString())
