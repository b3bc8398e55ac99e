"""What a run has learnt, in forms that two runs can be compared by: its metrics, its graph, its track."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np


def lines_of(folder: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl without what a clock measured."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if not key.startswith("time/")} for line in lines]


def figures_by_step(folder: Path, name: str) -> dict[int, float]:
    """One metric's values by step."""
    return {int(line["step"]): line[name] for line in lines_of(folder) if name in line}


def graph_of(folder: Path) -> str:
    """Hash of the exported graph, which holds the weights."""
    return hashlib.sha256((folder / "passport" / "policy.onnx").read_bytes()).hexdigest()


def track_of(folder: Path) -> dict[str, bytes]:
    """Every column of the policy's track on validation, as bytes."""
    with np.load(folder / "tracks" / "validation_policy.npz") as file:
        return {name: file[name].tobytes() for name in file.files}


def all_of(folder: Path) -> dict[str, Any]:
    """Everything that an interrupted run must have in common with an uninterrupted one."""
    return {"lines": lines_of(folder), "graph": graph_of(folder), "track": track_of(folder)}
