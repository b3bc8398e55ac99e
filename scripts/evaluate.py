"""Score a trained policy on bars that its training never saw, beside the baselines.

wavetank evaluate policy=RUN [slice=test] [market.path=FILE.parquet] [out=DIR]
wavetank evaluate policy=RUN memory=off|shuffled [memory_seeds=8]                  # what does it make of its memory?
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ..conf import schema

if TYPE_CHECKING:
    from ..experiments.figure_groups import Section

LEAST = 10  # columns a track
GAP, EDGES = 2, 2  # columns between two of the table, and around it


@hydra.main(version_base="1.3", config_path="pkg://wavetank.conf", config_name="evaluate")
def main(composed: DictConfig) -> None:
    """Open the door of `wavetank evaluate`."""
    config = schema.typed(composed, schema.EvaluateConfig)
    from ..experiments.ablation import difference_of, section_of, verdict_of  # heavy, as in train
    from ..experiments.examine import PAGE, RESULT, examine, walks_of
    from ..experiments.figure_groups import sections_of
    from ..experiments.met_before import Met
    from .progress import turns_bar

    with turns_bar("judging", walks_of(config)) as turn:
        examined = examine(config, progress=turn)
    trained = "; trained with shuffled outcomes" if examined.told.get("memory_mode") == "shuffled" else ""
    show_sections(f"policy under its limits, baselines under none{trained}", sections_of(examined.measured))
    if examined.ablation is not None:
        section = section_of(examined.ablation, examined.figures["policy"])
        show_sections(f"the policy with its memory and without{trained}", [section])
        print(f"memory    {verdict_of(examined.ablation)}")
        print(f"          {difference_of(examined.ablation)}")
    if met := examined.told.get("met"):
        print(f"bars      {Met(**met).sentence}")
    if examined.folder is not None:
        print(f"result    {examined.folder / RESULT}")
        print(f"page      {examined.folder / PAGE}")


def show_sections(title: str, sections: "Sequence[Section]") -> None:
    """Print one table: groups one below the other, a column a track."""
    names = sections[0].names
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    widths = [max(LEAST, *(len(cell) for section in sections for cell in _cells(section, name))) for name in names]
    for name, width in zip(names, widths, strict=True):
        table.add_column(name, justify="right", width=width, overflow="fold")  # a long name is folded, a figure never
    for section in sections:
        table.add_section()
        table.add_row(f"[bold]{section.title}[/bold]")
        columns = zip(*(_cells(section, name) for name in names), strict=True)
        for (label, _), cells in zip(section.rows, columns, strict=True):
            table.add_row(f"  {label}", *cells)
    labels = max(
        len(label) for section in sections for label in (section.title, *(f"  {one}" for one, _ in section.rows))
    )
    needed = labels + sum(widths) + GAP * len(widths) + EDGES
    Console(width=max(Console().width, needed)).print(table)  # figures cut short by a narrow terminal say nothing


def _cells(section: "Section", name: str) -> list[str]:
    """The column of one track; dashes where the section does not have it."""
    if name not in section.names:
        return ["–"] * len(section.rows)
    place = list(section.names).index(name)
    return [cells[place] for _, cells in section.rows]


if __name__ == "__main__":
    main()
