"""A trained detector's arithmetic: a linear part plus decision trees, squashed to a probability.

A logistic model has no trees and a boosted forest no weights; both are flat arrays, walked by one small kernel without
the library that trained them. Knows neither what the columns mean nor what a score is good for.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .jit import kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAF = -1  # in place of a column: the node tells its value
FARTHEST = 40.0  # of a log odds: beyond it a probability is 0 or 1 in float64


class Model(NamedTuple):
    """`columns` of the row that are read, clipped to [low, high], then weighed; `roots` are the trees' first nodes.

    A node asks whether its column (an index into `columns`) is at most `split`: then `left`, else `right`.
    """

    columns: Ints
    low: Floats
    high: Floats
    bias: float
    weights: Floats
    roots: Ints
    asked: Ints
    split: Floats
    left: Ints
    right: Ints
    value: Floats


def model_of(
    columns: Sequence[int],
    low: Sequence[float],
    high: Sequence[float],
    bias: float,
    weights: Sequence[float] = (),
    trees: Mapping[str, Sequence[float]] | None = None,
) -> Model:
    """A model from plain lists, checked: a kernel walks where a node sends it. Without weights they are 0."""
    trees = trees or {}
    nodes = {name: np.array(trees.get(name, ()), np.float64) for name in ("asked", "split", "left", "right", "value")}
    model = Model(
        np.array(columns, np.int64),
        np.array(low, np.float64),
        np.array(high, np.float64),
        float(bias),
        np.array(weights if len(weights) else [0.0] * len(columns), np.float64),
        np.array(trees.get("roots", ()), np.int64),
        nodes["asked"].astype(np.int64),
        nodes["split"],
        nodes["left"].astype(np.int64),
        nodes["right"].astype(np.int64),
        nodes["value"],
    )
    _check(model)
    return model


def scores(model: Model, values: Floats) -> Floats:
    """The score of every row of `values` (n, features) float64, as `score_row` gives it."""
    out = np.zeros(len(values))
    _score_all(model, np.ascontiguousarray(values, np.float64), out)
    return out


@kernel
def score_row(model: Model, row: Floats) -> float:
    """The probability that the model gives to one row of all features."""
    odds = model.bias
    for k in range(len(model.columns)):
        odds += model.weights[k] * _seen(model, row, k)
    for root in model.roots:
        node = root
        while model.asked[node] != LEAF:
            at_most = _seen(model, row, model.asked[node]) <= model.split[node]
            node = model.left[node] if at_most else model.right[node]
        odds += model.value[node]
    return 1.0 / (1.0 + math.exp(-max(-FARTHEST, min(FARTHEST, odds))))


@kernel
def _score_all(model: Model, values: Floats, out: Floats) -> None:
    for i in range(len(values)):
        out[i] = score_row(model, values[i])


@kernel
def _seen(model: Model, row: Floats, k: int) -> float:
    return float(max(model.low[k], min(model.high[k], row[model.columns[k]])))


def _check(model: Model) -> None:
    width, nodes = len(model.columns), len(model.asked)
    for name in ("low", "high", "weights"):
        _demand(
            len(getattr(model, name)) == width, f"{name} has {len(getattr(model, name))} numbers for {width} columns"
        )
    for name in ("split", "left", "right", "value"):
        _demand(len(getattr(model, name)) == nodes, f"{name} has {len(getattr(model, name))} numbers for {nodes} nodes")
    for name in ("low", "high", "weights", "split", "value"):
        _demand(bool(np.isfinite(getattr(model, name)).all()), f"{name} holds a number that is not finite")
    _demand(math.isfinite(model.bias), f"bias {model.bias} is not finite")
    _demand(bool((model.low <= model.high).all()), "a column's low lies above its high")
    _demand(bool(((model.asked >= LEAF) & (model.asked < width)).all()), f"a node asks for none of {width} columns")
    inner, place = model.asked != LEAF, np.arange(nodes)
    for name in ("left", "right"):  # downwards only, so that every walk ends
        to = getattr(model, name)
        _demand(bool(((to > place) & (to < nodes))[inner].all()), f"a node's {name} leads nowhere or back")
    _demand(bool(((model.roots >= 0) & (model.roots < max(nodes, 1))).all()), "a tree's root is no node")
    _demand(nodes > 0 or not len(model.roots), "there are roots and no nodes")


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
