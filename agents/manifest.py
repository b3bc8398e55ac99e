"""What a passport's folder says of itself: its manifest, expiry and golden rows, read behind an unbroken seal.

Refuses whatever does not hold together, naming it. Runs no graph, knows no desk, and reads no clock: whoever loads
says what time it is.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .seal import SealError, check_seal, file_digest, write_seal

FORMAT = 2  # 1 knew neither windows nor recurrent state
GRAPH, GOLDEN, REFERENCE, MANIFEST = "policy.onnx", "golden.npz", "reference.npz", "manifest.json"


STAGES = ("paper",)  # where a policy may run; a freshly exported one may on paper


class PassportError(ValueError):
    """A passport is refused; the sentence names what differs."""


def read_manifest(folder: Path, *, now: datetime | None = None, public_key: bytes | None = None) -> dict[str, Any]:
    """Check the seal, and a signature by `public_key` where one is demanded; the manifest, if it holds at `now` (UTC).

    Raises PassportError naming the file or the key that differs, the format, or when the passport expired.
    """
    try:
        check_seal(folder, public_key)
    except SealError as error:
        raise PassportError(f"passport {error}") from error
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise PassportError(f"passport {folder}: {MANIFEST} cannot be read: {error}") from error
    form = manifest.get("format") if isinstance(manifest, dict) else None
    if form != FORMAT:
        raise PassportError(f"passport {folder} has format {form}, this installation reads {FORMAT}: export it anew")
    ends = expiry_of(manifest)
    if ends is not None and now is not None and now >= ends:
        raise PassportError(f"passport {folder} expired at {ends.isoformat()}")
    return dict(manifest)


def expiry_of(manifest: dict[str, Any]) -> datetime | None:
    """When a passport ends (UTC), if it does."""
    told = manifest.get("expires_at")
    if told is None:
        return None
    try:
        instant = datetime.fromisoformat(told)
    except (TypeError, ValueError) as error:
        raise PassportError(f"expires_at {told!r} is not an ISO date") from error
    if instant.tzinfo is None:
        raise PassportError(f"expires_at {told!r} names no time zone")
    return instant


def check_graph(folder: Path, manifest: dict[str, Any], shape: Sequence[int], facts: dict[str, Any]) -> None:
    """Raise PassportError where the manifest names another graph than the one that lies there.

    `shape` is that of one observation and `facts` the inputs and outputs, as the graph itself has them.
    """
    told = manifest.get("graph", {})
    if told.get("sha256") != file_digest(folder / GRAPH):
        raise PassportError(f"passport {folder}: {MANIFEST} names another graph than {GRAPH}")
    observation = manifest.get("observation", {})
    columns, window = len(observation.get("columns", [])), observation.get("window", 1)
    if columns != shape[-1]:
        raise PassportError(f"passport {folder}: {MANIFEST} lists {columns} columns, {GRAPH} takes {shape[-1]}")
    bars = shape[0] if len(shape) == 2 else 1
    if window != bars:
        raise PassportError(f"passport {folder}: {MANIFEST} shows {window} bars at once, {GRAPH} takes {bars}")
    for name, value in facts.items():
        if told.get(name) != value:
            raise PassportError(f"passport {folder}: {MANIFEST} says {name} {told.get(name)}, {GRAPH} has {value}")


def check_stages(stages: Sequence[str]) -> None:
    """Raise PassportError where a stage is none that there is, or where there is none at all."""
    unknown = next((stage for stage in stages if stage not in STAGES), None)
    if unknown is not None or not stages:
        raise PassportError(f"there is no stage {unknown or ''!r}; known are {', '.join(STAGES)}")


def golden_rows(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The observations that were recorded in sequence, and the actions (n, 1) that answered them."""
    try:
        with np.load(folder / GOLDEN, allow_pickle=False) as file:
            return file["columns"], file["action"]
    except (OSError, ValueError, KeyError) as error:
        raise PassportError(f"passport {folder}: {GOLDEN} cannot be read: {error}") from error


def write_manifest(draft: Path, manifest: dict[str, Any], signing_key: bytes | None = None) -> None:
    """Write the manifest and then the seal over everything that lies in the folder.

    `draft` is what `seal.whole_folder` gave; it becomes the passport when that block ends.
    """
    if not (draft / GRAPH).is_file():
        raise PassportError(f"{draft} holds no {GRAPH}")
    text = json.dumps({**manifest, "format": FORMAT}, indent=2, sort_keys=True, allow_nan=False)
    (draft / MANIFEST).write_text(text + "\n")
    write_seal(draft, signing_key)
