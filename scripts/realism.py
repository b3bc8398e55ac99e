"""Judge how real the crowd is: stylised facts, hard gates, order book and impact, beside null models.

    wavetank realism --seeds 20 --json realism.json     # both time units
    wavetank realism --interval 1m --page docs/realism.md       # and write the page's generated parts anew
    wavetank realism --refit            # fit the bands anew from recorded data (WAVETANK_DATA); do they stand?

Bands, gates and the bar: docs/realism.md. Exit code 1: the crowd falls short, 2: a mistake.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..simulators.impact import LEAST_PAIRS
from ..simulators.stylised import PACES
from .progress import turns_bar

if TYPE_CHECKING:
    from ..experiments.realism_verdict import Verdict

FALLS_SHORT = 1  # exit code
SEEDS = 20


def main() -> int:
    """Judge the crowd, or fit the bands anew; 1 where the crowd falls short."""
    arguments = _parser().parse_args()
    intervals = tuple(PACES) if arguments.interval == "both" else (arguments.interval,)
    for path in (arguments.json, arguments.page):
        _check_place(path)
    if arguments.page:
        _write_page(arguments.page, None)  # the bands' parts, known already: a page without places says so now
    return _refit(intervals, arguments) if arguments.refit else _judge(intervals, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wavetank realism", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--interval", choices=(*PACES, "both"), default="both", help="the crowd's time unit")
    parser.add_argument(
        "--seeds", type=int, default=SEEDS, help=f"reported seeds (default {SEEDS}, which a verdict needs)"
    )
    parser.add_argument(
        "--pairs",
        type=int,
        default=LEAST_PAIRS,
        help=f"metaorders a level (default {LEAST_PAIRS}, which a verdict needs)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was seen there")
    parser.add_argument("--page", type=Path, metavar="FILE.md", help="write the generated parts of this page anew")
    parser.add_argument("--refit", action="store_true", help="fit the bands anew from recorded data instead")
    return parser


def _judge(intervals: tuple[str, ...], arguments: argparse.Namespace) -> int:
    from ..experiments.realism_verdict import judge_crowd, told_verdict, turns_of_verdict  # heavy: mesa
    from .realism_tables import show_verdict

    turns = len(intervals) * turns_of_verdict(arguments.seeds, arguments.pairs)
    with turns_bar("judging", turns) as turn:
        verdicts = [judge_crowd(name, arguments.seeds, arguments.pairs, turn) for name in intervals]
    units = {verdict.interval: told_verdict(verdict) for verdict in verdicts}
    told = {"command": _command(arguments), "intervals": units}
    for unit in units.values():
        show_verdict(unit)
    if arguments.json:
        arguments.json.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n")
        print(f"figures   {arguments.json}")
    if arguments.page:
        _write_page(arguments.page, told)
        print(f"page      {arguments.page}")
    for verdict in verdicts:
        print(sentence_of(verdict))
    return 0 if all(verdict.passes for verdict in verdicts) else FALLS_SHORT


def _refit(intervals: tuple[str, ...], arguments: argparse.Namespace) -> int:
    from ..experiments.bands import refit, turns_of_refit, write
    from .realism_tables import show_trial

    with turns_bar("fitting", len(intervals) * turns_of_refit()) as turn:
        results = [refit(interval, told=turn) for interval in intervals]
    for result in results:
        show_trial(result)
        print(f"bands     {write(result)}")
    if arguments.page:
        _write_page(arguments.page, None)
        print(f"page      {arguments.page}")
    return 0


def sentence_of(verdict: "Verdict") -> str:
    """Whether the crowd passes at one unit, and what is missing."""
    if verdict.passes:
        return f"{verdict.interval}: the crowd passes"
    return f"{verdict.interval}: the crowd falls short: {'; '.join(verdict.failed)}"


def _write_page(page: Path, told: dict[str, Any] | None) -> None:
    from ..experiments.realism_page import band_sections, crowd_section, filled

    sections = band_sections() | (crowd_section(told) if told else {})
    page.write_text(filled(page.read_text(), sections))


def _check_place(path: Path | None) -> None:
    """Refuse before hours of work what could not be written after them."""
    if path is not None and not path.parent.is_dir():
        raise ValueError(f"{path} cannot be written: there is no folder {path.parent}")
    if path is not None and path.is_dir():
        raise ValueError(f"{path} cannot be written: it is a folder")


def _command(arguments: argparse.Namespace) -> str:
    """What makes these figures again, wherever they are written."""
    flags = f"--interval {arguments.interval} --seeds {arguments.seeds} --pairs {arguments.pairs}"
    return f"wavetank realism {flags}"


if __name__ == "__main__":
    main()
