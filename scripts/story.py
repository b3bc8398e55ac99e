"""How the demo tells its steps: a bar while one runs, a line with its time when it is done."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Step:
    """One running step: says what it is doing, how far it is, and at the end what came of it."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task
        self.said = ""

    def to(self, done: float, what: str = "") -> None:
        """Move the bar to `done`, with a few words."""
        self._progress.update(self._task, completed=done, what=what)

    def by_one(self, what: str) -> None:
        """Move the bar by one, with a few words."""
        self._progress.update(self._task, advance=1, what=what)

    def share(self, done: float, what: str) -> None:
        """Move the bar to a share in [0, 1], with a few words."""
        self._progress.update(self._task, total=1.0, completed=done, what=what)

    def say(self, text: str) -> None:
        """What the line says once the step is done."""
        self.said = text


class Story:
    """Numbered steps on a console; `timings` keeps each one's seconds under a name."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.timings: dict[str, float] = {}
        self._number = 0
        self._began = time.perf_counter()

    @property
    def total_s(self) -> float:
        """Seconds since the story began."""
        return time.perf_counter() - self._began

    @contextmanager
    def step(self, name: str, doing: str, total: float | None = None) -> Iterator[Step]:
        """Run one step under a bar; then print its line."""
        self._number += 1
        began = time.perf_counter()
        columns = (
            SpinnerColumn(),
            TextColumn("[bold]{task.description:<8}[/]"),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[what]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            step = Step(progress, progress.add_task(name, total=total, what=doing))
            yield step
        took = time.perf_counter() - began
        self.timings[f"{name.lower()}_s"] = round(took, 2)
        self.console.print(
            f"[dim]{self._number}[/]  [bold]{name:<8}[/] {step.said} [dim]{took:.1f} s[/]", highlight=False
        )
