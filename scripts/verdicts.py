"""What the doors that storm and judge show: a counting bar, the stress matrix, the verdict with its gates."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from ..experiments.promote import Verdict
    from ..experiments.stress import StressMatrix


@contextmanager
def counted(name: str, total: int) -> Iterator[Callable[[str], None]]:
    """A bar on standard error that moves by one at every call, and shows what the call says."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=total)

        def advance(what: str) -> None:
            progress.update(task, advance=1, description=f"{name} {what}")

        yield advance


def show_matrix(matrix: "StressMatrix", console: Console | None = None) -> None:
    """Print the matrix, one line a scenario and policy."""
    table = Table(title=f"{len(matrix.seeds)} paired seeds a scenario", title_justify="left")
    table.add_column("scenario")
    table.add_column("policy")
    for name in ("mean return", "worst drawdown", "liquidated"):
        table.add_column(name, justify="right")
    for scenario in dict.fromkeys(cell.scenario for cell in matrix.cells):
        for name in dict.fromkeys(cell.policy for cell in matrix.cells):
            cells = matrix.of(name, scenario)
            mean = sum(cell.total_return for cell in cells) / len(cells)
            worst = max(cell.max_drawdown for cell in cells)
            hit = sum(cell.liquidated for cell in cells)
            style = "bold" if name == matrix.policy else ""
            table.add_row(scenario, name, f"{mean:+.2%}", f"{worst:.2%}", str(hit), style=style)
    console = console or Console()
    console.print(table)
    for scenario, why in matrix.absent.items():
        console.print(f"{scenario} is absent: {why}")


def show_verdict(verdict: "Verdict", console: Console | None = None) -> None:
    """Print promoted or refused, and gate by gate why."""
    console = console or Console()
    console.print("   [bold green]PROMOTED[/]" if verdict.promoted else "   [bold red]REFUSED[/]")
    for gate in verdict.gates:
        mark = "[green]open  [/]" if gate.passed else "[red]closed[/]"
        console.print(f"   {mark}  {gate.name.replace('_', ' ')}")
        for reason in gate.reasons:
            console.print(Padding(escape(reason), (0, 0, 0, 11)), highlight=False)
