"""Progress bars and tables of the doors that train and judge: a live line on a terminal, a plain one now and then
where there is none."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

SHOWN = ("total_return", "sharpe", "max_drawdown", "turnover_per_day", "cost_share", "trades")
EVERY_S = 10.0  # between two plain lines
BAR_WIDTH, TIME_WIDTH, SPACES = 8, 7, 4  # columns of the live line that are not figures


class StepsShown(Protocol):
    """A training callback that shows how far it is, and leaves what it showed."""

    def on_update(self, step: int, values: Mapping[str, float]) -> None: ...
    def stop(self) -> None: ...


class StepsBar:
    """A live line: bar, steps, speed, figures, time to go. It appears with the first update: a wrong input shows none.

    `select` is the validation figure that the line shows once it is known.
    """

    def __init__(self, console: Console, name: str, total: int, select: str) -> None:
        self._name, self._total, self._select = name, total, select
        self._task: TaskID | None = None
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(min_width=BAR_WIDTH, ratio=1)),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}", table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[told]}", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=TIME_WIDTH)),
            console=console,
            expand=True,
        )

    def on_update(self, step: int, values: Mapping[str, float]) -> None:
        """Show one update; another training begins at the left again."""
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task(escape(self._name), total=self._total, told="")
        told = figures_told(values, self._select)
        while told and len("  ".join(told)) > self._room(step):
            told.pop()
        self._progress.update(self._task, completed=step, told="  ".join(told))

    def stop(self) -> None:
        """Leave the bar as it stands."""
        if self._task is not None:
            self._progress.stop()

    def _room(self, step: int) -> int:
        rest = len(self._name) + len(f"{step:,}/{self._total:,}") + BAR_WIDTH + TIME_WIDTH + SPACES
        return self._progress.console.width - rest


class StepsLines:
    """The same as plain lines, for a file or a pipe: one every ten seconds, and where the training ended."""

    def __init__(
        self, console: Console, name: str, total: int, select: str, clock: Callable[[], float] = monotonic
    ) -> None:
        self._console, self._name, self._total, self._select, self._clock = console, name, total, select, clock
        self._line, self._shown = "", ""
        self._due = clock() + EVERY_S

    def on_update(self, step: int, values: Mapping[str, float]) -> None:
        """Print one update, if it is time."""
        parts, speed = figures_told(values, self._select), values.get("time/steps_per_second", 0.0)
        if speed > 0 and step < self._total:
            parts.append(f"{_clock_time((self._total - step) / speed)} to go")
        self._line = "  ".join([self._name, f"{step:,}/{self._total:,}", *parts])
        if self._clock() >= self._due:
            self._print()

    def stop(self) -> None:
        """Print where it ended."""
        if self._line != self._shown:
            self._print()

    def _print(self) -> None:
        self._console.print(self._line, markup=False, highlight=False, soft_wrap=True)
        self._shown, self._due = self._line, self._clock() + EVERY_S


def figures_told(values: Mapping[str, float], select: str) -> list[str]:
    """Speed, return, the last validation figure, KL and entropy, as far as they are known; what matters most first."""
    forms: dict[str, Callable[[float], str]] = {
        "time/steps_per_second": lambda speed: f"{_short(speed)}/s",
        "rollout/return": lambda earned: f"return {earned:+.4f}",
        f"validation/{select}": lambda seen: f"{select.replace('_', ' ')} {seen:+.3g}",
        "train/kl": lambda divergence: f"KL {divergence:.4f}",
        "train/entropy": lambda entropy: f"entropy {entropy:.3g}",
    }
    return [form(values[key]) for key, form in forms.items() if key in values]


@contextmanager
def steps_bar(name: str, total: int, select: str = "sharpe") -> Iterator[StepsShown]:
    """Show a training of `total` environment steps on standard error."""
    console = Console(stderr=True)
    is_live = console.is_terminal and not console.is_dumb_terminal
    bar: StepsShown = (StepsBar if is_live else StepsLines)(console, name, total, select)
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


@contextmanager
def count_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error that is told how much of how much is done. It appears when that is not all at once, and
    goes when all is done."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = progress.add_task(name, total=None)
    begun = False

    def count(done: int, total: int) -> None:
        nonlocal begun
        if not begun and done < total:
            progress.start()
            begun = True
        progress.update(task, completed=done, total=total)
        if begun and done >= total:
            progress.stop()
            begun = False

    try:
        yield count
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


def _short(count: float) -> str:
    return f"{count / 1000:,.1f}k" if count >= 1000 else f"{count:.0f}"


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
