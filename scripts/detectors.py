"""Train the detectors of market manipulation in the crowd, judge them, and leave their tables.

    wavetank detectors --out market/detectors       # train, judge, write: about 15 minutes
    wavetank detectors --judge                      # judge the tables that are shipped
    wavetank detectors --judge --share 0.1 --json detectors.json

Judged on parameters and seeds that no training saw, and on recorded files where there are some (WAVETANK_DATA). What is
asked of detectors and what was found: docs/surveillance.md. Exit code 1: something falls short, 2: a mistake.
"""

import argparse
import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..market.detector_table import FOLDER, SHIPPED, DetectorTable, read_table, write_table
from .progress import turns_bar

if TYPE_CHECKING:
    from ..experiments.detector_bar import Line
    from ..experiments.detector_course import Judged

FALLS_SHORT = 1  # exit code
WIDTH = 120


def main() -> int:
    """Train or read the tables, judge them, show what was asked and found."""
    given = _parser().parse_args()
    _check(given)
    from ..experiments.detector_bar import all_hold, lines_of, recorded  # heavy: mesa, scikit-learn
    from ..experiments.detector_course import Effort, judge_all, teach

    effort = Effort().scaled(given.share)
    tables = {} if given.out else _read(given.judge)
    written = list[str]()
    with turns_bar("detectors", effort.turns(learns=bool(given.out))) as turn:
        if given.out:
            tables = teach(given.seed, effort, turn)
            written = _write(given.out, tables)
        judged = judge_all(tables, given.seed, effort, turn)
    files = recorded(tables)
    lines = lines_of(judged, files)
    _show(judged, lines)
    if files is None:
        print("no recorded files here (WAVETANK_DATA): the detectors were judged in the crowd alone")
    for path in written:
        print(f"table     {path}")
    if given.json:
        given.json.write_text(json.dumps(_facts(judged, lines, given), indent=1) + "\n")
        print(f"figures   {given.json}")
    return 0 if all_hold(lines) else FALLS_SHORT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wavetank detectors", description=(__doc__ or "").partition("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, metavar="DIR", help="train, and write the tables there")
    what.add_argument(
        "--judge", type=Path, metavar="DIR", nargs="?", const=FOLDER, help="judge tables (default: the shipped ones)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of all markets; those to judge by are others (default 1)")
    parser.add_argument("--share", type=float, default=1.0, help="of the markets that a whole course raises")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was seen there")
    return parser


def _check(given: argparse.Namespace) -> None:
    """Refuse before the work what could not be written after it."""
    if not 0.0 < given.share <= 10.0:
        raise ValueError(f"--share {given.share} does not lie above 0 and up to 10")
    if given.seed < 0:
        raise ValueError(f"--seed {given.seed} must be 0 or more")
    if given.out is not None and ((given.out.exists() and not given.out.is_dir()) or not given.out.parent.is_dir()):
        raise ValueError(f"{given.out} cannot be written: it is no folder, nor is there one to make it in")
    if given.json is not None and (given.json.is_dir() or not given.json.parent.is_dir()):
        raise ValueError(f"{given.json} cannot be written: there is no folder {given.json.parent}, or it is one")


def _read(folder: Path) -> dict[str, DetectorTable]:
    return {kind: read_table(folder / f"{name}.json", kind) for kind, name in SHIPPED.items()}


def _write(folder: Path, tables: Mapping[str, DetectorTable]) -> list[str]:
    """Write the tables as soon as they are there: judging takes as long again."""
    paths = {kind: folder / f"{name}.json" for kind, name in SHIPPED.items()}
    return [f"{path}  {write_table(path, tables[kind])[:12]}" for kind, path in paths.items()]


def _show(judged: "list[Judged]", lines: "list[Line]") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(WIDTH, Console().width))
    for each in judged:
        table = Table(title=f"{each.on}, by {each.kind}: {each.markets} markets", title_justify="left")
        for name in ("detector", "P", "R", "F1", "PR-AUC", "caught", "missed", "false", "delay s", "before peak"):
            table.add_column(name, justify="left" if name == "detector" else "right")
        for one in each.verdicts:
            at = one.at
            rates = (f"{at.precision:.3f}", f"{at.recall:.3f}", f"{at.f1:.3f}", f"{one.pr_auc:.3f}")
            counts = (
                str(at.caught),
                str(at.missed),
                str(at.false),
                f"{at.median_delay_ms / 1000:.0f}",
                str(at.before_peak),
            )
            table.add_row(one.name, *rates, *counts)
        console.print(table)
        false = ", ".join(f"{family} {alerts} in {markets}" for family, (alerts, markets) in each.false_alerts.items())
        print(f"false alerts of the detector: {false}")
        for over, area in each.areas.items():
            print(f"ROC-AUC over {over}: {area:.4f}")
    asked = Table(title="asked and found", title_justify="left")
    for name in ("asked", "found", ""):
        asked.add_column(name)
    for line in lines:
        asked.add_row(line.asked, line.measured, {True: "holds", False: "SHORT", None: ""}[line.holds])
    console.print(asked)


def _facts(judged: "list[Judged]", lines: "list[Line]", given: argparse.Namespace) -> dict[str, object]:
    what = f"--out {given.out}" if given.out else f"--judge {given.judge}"
    command = f"wavetank detectors {what} --seed {given.seed} --share {given.share}"
    sets = [asdict(each) for each in judged]
    for each in sets:
        for one in each["verdicts"]:
            delays = one["at"].pop("delays_ms")
            one["at"]["median_delay_ms"] = statistics.median(delays) if delays else None
    return {"command": command, "sets": sets, "lines": [asdict(line) for line in lines]}


if __name__ == "__main__":
    main()
