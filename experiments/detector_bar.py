"""The bar that detectors are held to, line by line: what is asked, what was measured, and whether it holds.

The numbers are those of facts/simulators.md 10: hard negatives, parameters held out, and the recorded files. Knows
neither markets nor models.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..market.detector_table import PUMP, PUMP_BARS, SPOOF, DetectorTable
from .detector_course import NORMAL_BARS, Judged
from .pump_files import FileVerdict, judge_moves, judge_sngls, judge_ticks, minute_files, tick_files
from .spoof_plays import EVASIVE, PLAIN

FALSE_A_DAY = 1.0  # on a recorded tick file
HIT_SHARE = 0.1  # of the largest moves of a recorded minute file
SECOND_MS = 1000.0


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is asked. `holds` None: nothing is asked, it is only told."""

    asked: str
    measured: str
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the recorded files say of the detectors of pumps: by prints, by bars on SNGLS, by bars on natural moves."""

    ticks: tuple[FileVerdict, ...]
    sngls: bool
    moves: dict[str, tuple[int, int]]


def recorded(tables: Mapping[str, DetectorTable], folder: Path | None = None) -> Recorded | None:
    """Judge by the recorded files, None where there are none (WAVETANK_DATA)."""
    files = tick_files(folder)
    if not files:
        return None
    ticks = tuple(judge_ticks(tables[PUMP], file) for file in files)
    moves = {path.stem: judge_moves(tables[PUMP_BARS], path) for path in minute_files(folder)}
    return Recorded(ticks, bool(judge_sngls(tables[PUMP_BARS], folder)), moves)


def lines_of(judged: Iterable[Judged], files: Recorded | None) -> list[Line]:
    """The whole bar, in the order of the facts."""
    by_set = {(each.kind, each.on): each for each in judged}
    lines = [
        *_hard(by_set[PUMP, "pumps, hard"]),
        *_easy(by_set[PUMP, "pumps, easy"]),
        *_spoofing(by_set[SPOOF, f"{PLAIN}s"], by_set[SPOOF, f"{EVASIVE}s"]),
    ]
    return lines + (list(_of_files(files)) if files is not None else [])


def _hard(judged: Judged) -> Iterator[Line]:
    verdict = judged.verdicts[0]
    at = verdict.at
    yield _least("pumps, hard set: event F1 ≥ 0.82", at.f1, 0.82)
    yield _least("… precision ≥ 0.85", at.precision, 0.85)
    yield _least("… recall ≥ 0.80", at.recall, 0.80)
    yield _least("… PR-AUC ≥ 0.85", verdict.pr_auc, 0.85)
    delay_s = at.median_delay_ms / SECOND_MS
    yield Line("… median delay ≤ 25 s", f"{delay_s:.0f} s", delay_s <= 25.0)
    yield _least("… of those caught, before the peak ≥ 0.70", at.before_peak / max(1, at.caught), 0.70)
    yield from _above_rules(judged)


def _easy(judged: Judged) -> Iterator[Line]:
    yield _least("pumps, easy set: event F1 ≥ 0.92", judged.verdicts[0].at.f1, 0.92)
    alerts = sum(false for family, (false, _) in judged.false_alerts.items() if family != PUMP)
    rate = alerts / max(1, judged.normal_bars) * NORMAL_BARS
    told = f"{rate:.2f}: {alerts} in {judged.normal_bars:,}"
    yield Line(f"… false alerts in {NORMAL_BARS:,} calm bars ≤ 1", told, rate <= 1.0)


def _spoofing(plain: Judged, evasive: Judged) -> Iterator[Line]:
    yield _least("spoofing, held-out parameters: ROC-AUC over traders ≥ 0.95", plain.areas["traders"], 0.95)
    yield _least("… ROC-AUC over cancels ≥ 0.95", plain.areas["cancels"], 0.95)
    yield _least("… F1 ≥ 0.80", plain.verdicts[0].at.f1, 0.80)
    yield from _above_rules(plain)
    shown = evasive.verdicts[0].at
    told = f"F1 {shown.f1:.3f}, recall {shown.recall:.3f}, ROC-AUC {evasive.areas['traders']:.3f}"
    yield Line("the evasive spoofer, stated apart", told, None)


def _above_rules(judged: Judged) -> Iterator[Line]:
    """Nothing where a table of one's own names no rules."""
    if judged.verdicts[1:]:
        best = max(judged.verdicts[1:], key=lambda rule: rule.at.f1)
        better = judged.verdicts[0].at.f1 > best.at.f1
        yield Line("… above the best single threshold", f"F1 {best.at.f1:.3f}, {best.name}", better)


def _of_files(files: Recorded) -> Iterator[Line]:
    for file in files.ticks:
        caught = file.delay_ms is not None
        told = f"{file.delay_ms / SECOND_MS:.0f} s" if file.delay_ms is not None else "none"
        told += f", {file.false_alerts} false in {file.days:.0f} days"
        asked = f"{file.name}: an alert within 60 s of the labelled minute, ≤ {FALSE_A_DAY:.0f} false a day"
        yield Line(asked, told, caught and file.false_a_day <= FALSE_A_DAY)
    yield Line("by bars: an alert on the SNGLS minute", "yes" if files.sngls else "no", files.sngls)
    for name, (hit, looked_at) in files.moves.items():
        asked = f"by bars: alerts on ≤ {HIT_SHARE:.0%} of the {looked_at} largest moves of {name}"
        yield Line(asked, str(hit), hit <= HIT_SHARE * looked_at)


def _least(asked: str, value: float, least: float) -> Line:
    return Line(asked, f"{value:.3f}", value >= least)


def all_hold(lines: Sequence[Line]) -> bool:
    """Whether everything that is asked holds."""
    return all(line.holds is not False for line in lines)
