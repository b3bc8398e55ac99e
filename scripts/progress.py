"""Progress bars and tables of the doors that train and judge."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

SHOWN = ("total_return", "sharpe", "max_drawdown", "turnover_per_day", "cost_share", "trades")


class StepsBar:
    """A training callback that moves a bar. The bar appears with the first update: a wrong input shows none."""

    def __init__(self, progress: Progress, name: str, total: int) -> None:
        self._progress, self._name, self._total = progress, name, total
        self._task: TaskID | None = None

    def on_update(self, step: int, values: Mapping[str, float]) -> None:
        """Show how far the training is, and the episodes' mean return; another training begins at the left again."""
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task(self._name, total=self._total)
        earned = values.get("rollout/return")
        told = "" if earned is None else f"return {earned:+.4f}"
        self._progress.update(self._task, completed=step, description=f"{self._name} {told}")

    def stop(self) -> None:
        """Leave the bar as it stands."""
        if self._task is not None:
            self._progress.stop()


@contextmanager
def steps_bar(name: str, total: int) -> Iterator[StepsBar]:
    """A bar of `total` environment steps on standard error."""
    bar = StepsBar(_progress(), name, total)
    try:
        yield bar
    finally:
        bar.stop()


@contextmanager
def turns_bar(name: str, total: int) -> Iterator[Callable[[str], None]]:
    """A bar on standard error that is told whose turn begins. It appears with the first: a wrong input shows none."""
    progress, begun = _progress(), 0
    task = progress.add_task(name, total=total)

    def turn(whose: str) -> None:
        nonlocal begun
        progress.start()
        progress.update(task, completed=begun, description=f"{name} {escape(whose)}")
        begun += 1

    try:
        yield turn
        progress.update(task, completed=begun, description=name)
    finally:
        if begun:
            progress.stop()


def show_figures(title: str, figures: Mapping[str, Mapping[str, float]]) -> None:
    """Print a table, one line a policy."""
    table = Table(title=title, title_justify="left")
    table.add_column("policy")
    for name in SHOWN:
        table.add_column(name.replace("_", " "), justify="right")
    for policy, values in figures.items():
        table.add_row(policy, *(f"{values[name]:,.4g}" for name in SHOWN))
    Console().print(table)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))
