"""Learning curves as one PNG: a panel for each lesson and backend, a line for each seed. The one file that matplotlib
draws in."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from .exams.exam import Curve

PANEL = (4.2, 2.6)  # inches
DPI = 110


def draw_curves(curves: "Sequence[Curve]", path: Path) -> Path:
    """Draw the mean return of ended episodes over environment steps; no curve at all makes an empty picture."""
    lessons = list(dict.fromkeys(curve.lesson for curve in curves)) or [""]
    backends = list(dict.fromkeys(curve.backend for curve in curves)) or [""]
    figure = Figure(figsize=(PANEL[0] * len(backends), PANEL[1] * len(lessons)), layout="constrained")
    panels = figure.subplots(len(lessons), len(backends), squeeze=False, sharey="row")
    for i, lesson in enumerate(lessons):
        for j, backend in enumerate(backends):
            panel = panels[i][j]
            panel.set_title(f"{lesson} on {backend}", fontsize=9)
            panel.grid(alpha=0.3)
            panel.tick_params(labelsize=7)
            for curve in curves:
                if (curve.lesson, curve.backend) == (lesson, backend) and curve.points:
                    steps, returns = zip(*curve.points, strict=True)
                    panel.plot(steps, returns, linewidth=1.0, label=f"seed {curve.seed}")
        panels[i][0].set_ylabel("mean return of an episode", fontsize=7)
    for panel in panels[-1]:
        panel.set_xlabel("environment steps", fontsize=7)
    figure.savefig(path, dpi=DPI)
    return path
