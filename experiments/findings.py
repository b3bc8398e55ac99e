"""What a run's folder tells: its record, and the evidence that has been put beside it. Draws and judges nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .evaluate import Track
from .runs import RECORD, RunError, read_json, read_metrics

BASELINES = ("hold", "ma_cross", "flat")


@dataclass(frozen=True, eq=False)
class Findings:
    """What a run's folder holds; None for a file that is not there."""

    folder: Path
    record: dict[str, Any]
    walk: dict[str, Any] | None
    validation: dict[str, Any] | None
    stress: dict[str, Any] | None
    promotion: dict[str, Any] | None
    paper: dict[str, Any] | None
    timings: dict[str, Any] | None
    metrics: list[dict[str, float]]

    @property
    def tracks(self) -> dict[str, Track]:
        """Out-of-sample tracks, else those of the validation slice; ours first."""
        return self.tracks_of("oos" if self.walk else "validation")

    def tracks_of(self, prefix: str) -> dict[str, Track]:
        """The tracks of the policy and the baselines that are there under one prefix."""
        paths = {name: self.folder / f"tracks/{prefix}_{name}.npz" for name in ("policy", *BASELINES)}
        return {name: Track.load(path) for name, path in paths.items() if path.is_file()}


def read_findings(folder: Path) -> Findings:
    """Read a run's folder; RunError where it is none."""
    if not (folder / RECORD).is_file():
        raise RunError(f"{folder} is not a run's folder: it has no {RECORD}")

    def maybe(name: str) -> dict[str, Any] | None:
        return read_json(folder / name) if (folder / name).is_file() else None

    return Findings(
        folder,
        read_json(folder / RECORD),
        maybe("walkforward.json"),
        maybe("validation.json"),
        maybe("stress.json"),
        maybe("promotion.json"),
        maybe("paper.json"),
        maybe("timings.json"),
        _points(folder / "metrics.jsonl"),
    )


def _points(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    return read_metrics(path)
