"""Data docs: what was found about a series, as a plain table, as JSON, and as one self-contained page.

Says what others have found and judges nothing itself; reads and writes no file of data.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from ..market.bars import CROSSED_GAP, Bars, Floats
from ..market.drift import populations
from ..market.oddities import pauses
from ..market.quality import Rules
from ..market.series_quality import Finding, instant_of, number_of
from .plots import Line, Panel, Span, chart
from .tables import facts, percent, table, tiles

PAGE = Path(__file__).with_name("quality.html")
STYLE = Path(__file__).with_name("report.css")
FIRST_ROWS = 20  # of a finding, told in the JSON; the count is always whole
BUCKETS = 180  # of time, in the picture of gaps
LONGEST = 12  # gaps told one by one
MOST_SHADED = 200  # gaps drawn one by one
INNER = 0.995  # share of the returns that the histogram spans
BINS = 60


@dataclass(frozen=True, eq=False)
class Report:
    """What became of a series' rows, and what every check that was asked has found.

    `asked` maps a check to what it says of a series that passes; `bars` are the good rows, None where none is good.
    """

    name: str
    interval: str
    rows: int
    rejected: int
    repeats: int
    bars: Bars | None
    rules: Rules
    asked: Mapping[str, str]
    findings: tuple[Finding, ...]
    reference: Bars | None = None

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return not any(finding.severity == "error" for finding in self.findings)

    def of(self, check: str) -> list[Finding]:
        """What one check has found."""
        return [finding for finding in self.findings if finding.check == check]

    def status(self, check: str) -> str:
        """passed, warning or failed."""
        severities = {finding.severity for finding in self.of(check)}
        return "failed" if "error" in severities else "warning" if severities else "passed"

    def table(self) -> str:
        """The report as plain text: a line of counts, a line a check, a line a finding."""
        rows = [("check", "result", "rows", "first at"), *(_row(self, check) for check in self.asked)]
        widths = [max(len(row[k]) for row in rows) for k in range(4)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows]
        told = [f"{finding.severity}: {finding.check}: {finding.message}" for finding in self.findings]
        return "\n".join([f"{self.name}, {self.interval}: {_verdict(self)}", _counts(self), "", *lines, "", *told, ""])

    def to_json(self) -> str:
        """The report for machines; numbers that JSON lacks are null."""
        first, last = _range(self)
        told = {
            "name": self.name,
            "interval": self.interval,
            "ok": self.ok,
            "rows": self.rows,
            "good": 0 if self.bars is None else len(self.bars),
            "rejected": self.rejected,
            "repeats": self.repeats,
            "first_opened_at": first,
            "last_opened_at": last,
            "rules": {key: _plain(value) for key, value in asdict(self.rules).items()},
            "checks": [
                {"check": check, "says": says, "status": self.status(check)} for check, says in self.asked.items()
            ],
            "findings": [_told(finding) for finding in self.findings],
        }
        return json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def to_html(self) -> str:
        """The report as a page that refers to nothing outside itself."""
        sections = [
            ("found", "What was found", _found(self)),
            ("checks", "Checks", _checks(self)),
            ("returns", "Returns", _returns(self)),
            ("gaps", "Gaps", _gaps(self)),
            ("rules", "Rules", facts([(key.replace("_", " "), _said(v)) for key, v in asdict(self.rules).items()])),
        ]
        body = [f'<section aria-labelledby="{k}"><h2 id="{k}">{t}</h2>\n{text}\n</section>' for k, t, text in sections]
        return Template(PAGE.read_text(encoding="utf-8")).substitute(
            title=escape(f"{self.name}: {_verdict(self)} · wavetank"),
            style=STYLE.read_text(encoding="utf-8"),
            name=escape(f"{self.name} {self.interval}"),
            head=_head(self),
            nav=" ".join(f'<a href="#{key}">{title}</a>' for key, title, _ in sections),
            body="\n".join(body),
        )


def _verdict(report: Report) -> str:
    return "passed" if report.ok else "failed"


def _counts(report: Report) -> str:
    good = 0 if report.bars is None else len(report.bars)
    first, last = _range(report)
    span = f", {instant_of(first)} – {instant_of(last)} UTC" if first is not None else ""
    rejected, repeats = f"{report.rejected:,} rejected", f"{number_of(report.repeats, 'repeat')} collapsed"
    return f"{number_of(report.rows, 'row')}: {good:,} good, {rejected}, {repeats}{span}"


def _range(report: Report) -> tuple[int | None, int | None]:
    if report.bars is None:
        return None, None
    return int(report.bars.opened_at[0]), int(report.bars.opened_at[-1])


def _row(report: Report, check: str) -> tuple[str, str, str, str]:
    found = report.of(check)
    instants = [finding.instant for finding in found if finding.instant is not None]
    count = sum(len(finding.rows) for finding in found)
    return check, report.status(check), f"{count:,}" if count else "", instant_of(min(instants)) if instants else ""


def _told(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "severity": finding.severity,
        "count": len(finding.rows),
        "first_rows": list(finding.rows[:FIRST_ROWS]),
        "instant": finding.instant,
        "message": finding.message,
        "value": _plain(finding.value),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _said(value: Any) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    return "unbounded" if value == math.inf else f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _head(report: Report) -> str:
    errors = [finding for finding in report.findings if finding.severity == "error"]
    listed = "".join(f"<li>{escape(f'{finding.check}: {finding.message}')}</li>" for finding in errors)
    why = f'<ul class="reasons">{listed}</ul>' if listed else ""
    warnings = len(report.findings) - len(errors)
    lead = (
        f"{number_of(len(report.asked), 'check')} asked, {number_of(len(errors), 'error')}, "
        f"{number_of(warnings, 'warning')}."
    )
    missing = int(pauses(report.bars).sum()) if report.bars is not None else 0
    counts = tiles(
        [
            ("Rows", f"{report.rows:,}", "that came in"),
            ("Good", f"{0 if report.bars is None else len(report.bars):,}", "sorted, unique, possible"),
            ("Rejected", f"{report.rejected:,}", "each with its reason"),
            ("Repeats", f"{report.repeats:,}", "identical, collapsed"),
            ("Missing", f"{missing:,}", "bars in gaps, never filled"),
        ]
    )
    kind = "promoted" if report.ok else "refused"
    word = _verdict(report).capitalize()
    meta = escape(_counts(report))
    return f'<h1 class="{kind}">{word}</h1><p class="lead">{lead}</p>{why}<p class="meta">{meta}</p>{counts}'


def _found(report: Report) -> str:
    return facts([(f"{f.check}, {f.severity}", f.message) for f in report.findings]) or "<p>Nothing.</p>"


def _checks(report: Report) -> str:
    rows = [[*_row(report, check), says] for check, says in report.asked.items()]
    note = "Every check that was asked, and what it says of a series that passes. Bold: it found something."
    bold = [report.status(check) != "passed" for check in report.asked]
    return table(["Check", "Result", "Rows", "First at", "Passes where"], rows, note, bold)


def _returns(report: Report) -> str:
    ours = _log_returns(report.bars)
    if not len(ours):
        return '<p class="faint">There are no two neighbouring bars.</p>'
    theirs = _log_returns(report.reference)
    both = np.abs(np.concatenate([ours, theirs]))
    reach = float(np.quantile(both, INNER)) or 1e-4
    edges = np.linspace(-reach, reach, BINS + 1)
    lines = [_outline("the series", "policy", ours, edges)]
    if len(theirs):
        lines.append(_outline("reference", "hold", theirs, edges))
    beyond = float(np.mean(np.abs(ours) > reach))
    against = " against the reference" if len(theirs) else ""
    return chart(
        [Panel(lines, "share of bars", 220, percent=True, limits=(0.0, 1.08 * max(line.y.max() for line in lines)))],
        title=f"Log returns of neighbouring bars{against}.",
        caption=f"In {BINS} bins; {percent(beyond)} of the bars lie further out.",
        alt=f"Histogram of {len(ours)} log returns between {percent(-reach)} and {percent(reach)}{against}.",
        time=False,
        x_label="log return, %",
    )


def _log_returns(bars: Bars | None) -> Floats:
    return np.zeros(0) if bars is None else populations(bars)["log return"]


def _outline(label: str, role: str, returns: Floats, edges: Floats) -> Line:
    counts, _ = np.histogram(returns, edges)
    share = np.append(counts / len(returns), 0.0)
    return Line(label, role, 100.0 * edges, share, step=True, filled=role == "policy")


def _gaps(report: Report) -> str:
    if report.bars is None or len(report.bars) < 2:
        return '<p class="faint">There are no two bars.</p>'
    at, missing = report.bars.opened_at, pauses(report.bars)
    gaps = np.flatnonzero(missing)
    longest = gaps[np.argsort(-missing[gaps], kind="stable")]
    edges = np.linspace(float(at[0]), float(at[-1]) + report.bars.interval_ms, BUCKETS + 1)
    there, _ = np.histogram(at, edges)
    expected = np.diff(edges) / report.bars.interval_ms
    share = np.append(np.minimum(there / expected, 1.0), 0.0)
    share[-1] = share[-2]
    panel = Panel(
        [Line("bars there", "policy", edges, share, step=True)],
        "present",
        90,
        percent=True,
        zero=True,
        limits=(0.0, 1.08),
        spans=[_shade(report.bars, int(i), int(missing[i]), edges) for i in longest[:MOST_SHADED]],
    )
    words = f"{number_of(int(missing.sum()), 'bar')} missing in {number_of(len(gaps), 'gap')}"
    picture = chart(
        [panel],
        title="Bars that are there.",
        caption=f"{words}. Shaded: gaps, darker where longer than {CROSSED_GAP} intervals, which end a segment.",
        alt=f"Share of the expected bars that are present, over time; {words}.",
    )
    rows = [[instant_of(at[i]), f"{missing[i]:,}", _effect(int(missing[i]))] for i in longest[:LONGEST]]
    return picture + (table(["Gap ends at", "Bars missing", "It is"], rows, "The longest gaps.") if rows else "")


def _shade(bars: Bars, index: int, missing: int, edges: Floats) -> Span:
    """A gap, at least wide enough to be seen."""
    end = float(bars.opened_at[index])
    width = max(missing * bars.interval_ms, 0.003 * float(edges[-1] - edges[0]))
    return Span(end - width, end, "", "storm" if missing > CROSSED_GAP else "after")


def _effect(missing: int) -> str:
    return "the end of a segment" if missing > CROSSED_GAP else "crossed"
