"""Looks at the validation slice while training goes on: what they found, and which weights were the best.

Judges through a frozen graph, as everything is judged, and knows no trainer. Every look is a trial: it is counted, one
look over several markets of a crowd as one.
"""

import math
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from time import perf_counter
from typing import Any

from ..agents.export import export_graph
from ..agents.frozen import FrozenPolicy
from .course import ArenaCourse, Course, CourseError
from .figures import METRICS, mean_figures


@dataclass(frozen=True, slots=True)
class Looks:
    """What the looks so far came to. `best` is the largest finite figure, first seen at `best_step`."""

    count: int = 0
    last_step: int | None = None
    best_step: int | None = None
    best: float | None = None
    since_best: int = 0

    def after(self, step: int, figure: float) -> "Looks":
        """Count one more look; a figure that is not finite, or no larger than the best, is no improvement."""
        seen = replace(self, count=self.count + 1, last_step=step)
        if math.isfinite(figure) and (self.best is None or figure > self.best):
            return replace(seen, best_step=step, best=figure, since_best=0)
        return replace(seen, since_best=self.since_best + 1)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Looks":
        return cls(**told)


class Validation:
    """Judges networks on a course's validation slice; `seconds` is the wall time that took."""

    def __init__(self, course: Course) -> None:
        if course.validation is None and not isinstance(course, ArenaCourse):
            raise CourseError("validate_every: the split leaves no validation bars to look at")
        self._course, self.seconds = course, 0.0

    def look(self, network: Any) -> dict[str, float]:
        """The figures of a network as it is now, under live limits."""
        began = perf_counter()
        with tempfile.TemporaryDirectory(prefix="wavetank-look-") as scratch:
            graph = export_graph(network, Path(scratch) / "policy.onnx", self._course.terrain.spec.width)
            policy = FrozenPolicy.from_graph(graph)
            tracks = self._course.tracks(policy, "validation", name="policy")
            figures = mean_figures([track.metrics() for track in tracks])
        self.seconds += perf_counter() - began
        return figures


def check_figure(select: str) -> None:
    """Raise ValueError where `select` is no figure of a track."""
    if select in METRICS:
        return
    near = get_close_matches(select, METRICS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"they are {', '.join(METRICS)}"
    raise ValueError(f"select: there is no figure {select!r}; {hint}")
