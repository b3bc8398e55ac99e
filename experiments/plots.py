"""Pictures as inline SVG: lines over time, a storm with its trades, intervals, bars. Pure functions, text in, text out.

Colours are names of CSS variables, so that one picture serves a light and a dark page. Each picture is
drawn twice, wide and narrow, and the page's style sheet shows the one that fits: scaled-down text would be
unreadable on a phone. Nothing is told by colour alone: lines are labelled at their end and dashed apart.
Knows no run and no file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from numpy.typing import NDArray

from .axes import Scale, Tick, apart, number_ticks, spread, thin, time_ticks

Floats = NDArray[np.float64]

STYLES = {  # name of a line's role: CSS class; any other role is its own class, for the page's style sheet to know
    "policy": "policy",
    "hold": "hold",
    "ma_cross": "cross",
    "flat": "flat",
    "market": "market",
}


@dataclass(frozen=True, slots=True)
class Size:
    """One of the two drawings: pixels, and how many ticks fit."""

    name: str
    width: int
    left: int
    right: int
    x_ticks: int
    columns: int


WIDE = Size("wide", 880, 64, 96, 8, 400)
NARROW = Size("narrow", 390, 50, 86, 3, 180)


@dataclass(frozen=True, eq=False)
class Line:
    """A line of one role over `x`, drawn to `label`; `step` holds each value until the next."""

    label: str
    role: str
    x: Floats
    y: Floats
    step: bool = False
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A shaded stretch of the x axis with a word on it; `kind` is storm, after or window."""

    start: float
    end: float
    label: str
    kind: str = "storm"


@dataclass(frozen=True, eq=False)
class Marks:
    """Trades on a line: where, at which height, and whether bought or sold."""

    x: Floats
    y: Floats
    bought: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Panel:
    """One strip of a picture: its lines share a y axis."""

    lines: Sequence[Line]
    unit: str = ""
    height: int = 240
    percent: bool = False
    zero: bool = False
    marks: Marks | None = None
    limits: tuple[float, float] | None = None
    spans: Sequence[Span] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Range:
    """One row of an interval picture."""

    label: str
    low: float
    estimate: float
    high: float
    role: str = "policy"


def chart(
    panels: Sequence[Panel], *, title: str, alt: str, caption: str = "", time: bool = True, x_label: str = ""
) -> str:
    """A figure of panels one above the other over one x axis: ms UTC, or plain numbers where `time` is false."""
    return _figure(lambda size: _panels(size, panels, time, x_label), title=title, alt=alt, caption=caption)


def intervals(rows: Sequence[Range], *, title: str, alt: str, caption: str = "", percent: bool = True) -> str:
    """A figure of estimates with their confidence intervals, one row each, against the line of no difference."""
    return _figure(lambda size: _intervals(size, rows, percent), title=title, alt=alt, caption=caption)


def bars(rows: Sequence[tuple[str, float]], *, title: str, alt: str, unit: str, caption: str = "") -> str:
    """A figure of horizontal bars, longest possible for the largest value."""
    return _figure(lambda size: _bars(size, rows, unit), title=title, alt=alt, caption=caption)


def _figure(draw: Callable[[Size], str], *, title: str, alt: str, caption: str) -> str:
    words = f"<figcaption><b>{escape(title)}</b> {escape(caption)}</figcaption>"
    return f'<figure>{words}<div role="img" aria-label="{escape(alt)}">{draw(WIDE)}{draw(NARROW)}</div></figure>'


def _svg(size: Size, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg class="{size.name}" viewBox="0 0 {size.width} {height:g}" width="{size.width}" height="{height:g}" '
        f'aria-hidden="true">{"".join(parts)}</svg>'
    )


def _panels(size: Size, panels: Sequence[Panel], time: bool, x_label: str) -> str:
    firsts = [float(line.x[0]) for panel in panels for line in panel.lines]
    lasts = [float(line.x[-1]) for panel in panels for line in panel.lines]
    low, high = min(firsts), max(lasts)
    x = Scale(low, high if high > low else low + 1.0, size.left, size.width - size.right)
    ticks = time_ticks(low, high, size.x_ticks) if time else number_ticks(low, high, size.x_ticks)
    parts, top = [], 14.0
    for panel in panels:
        height = panel.height if size is WIDE else panel.height * 0.85
        parts.append(_panel(size, panel, x, ticks, top, top + height))
        top += height + 26.0
    bottom = top - 26.0
    parts.append(_x_axis(x, ticks, bottom))
    unit = x_label or ("UTC" if time else "")
    parts.append(_text(size.width - size.right + 8, bottom + 18, unit, "faint"))
    return _svg(size, bottom + 26.0, parts)


def _panel(size: Size, panel: Panel, x: Scale, ticks: Sequence[Tick], top: float, bottom: float) -> str:
    y = Scale(*(panel.limits or _range_of(panel)), bottom, top)
    parts = [_shade(span, x, top, bottom) for span in panel.spans]
    parts += [f'<path class="grid" d="M{x(t.at):.1f} {top:.1f}V{bottom:.1f}"/>' for t in ticks]
    parts += _y_axis(size, panel, y, x)
    for line in reversed(panel.lines):  # the first, ours, comes on top
        parts.append(_line(size, line, x, y))
    if panel.marks is not None:
        parts.append(_marks(panel.marks, x, y))
    parts.append(_end_labels(size, panel.lines, y, top, bottom))
    return "".join(parts)


def _range_of(panel: Panel) -> tuple[float, float]:
    low = min(float(np.min(line.y)) for line in panel.lines)
    high = max(float(np.max(line.y)) for line in panel.lines)
    return spread(min(low, 0.0), max(high, 0.0)) if panel.zero else spread(low, high)


def _y_axis(size: Size, panel: Panel, y: Scale, x: Scale) -> list[str]:
    parts = []
    for tick in number_ticks(y.low, y.high, 5 if panel.height > 120 else 3, percent=panel.percent):
        place = y(tick.at)
        kind = "axis" if panel.zero and abs(tick.at) < 1e-12 else "grid"
        parts.append(f'<path class="{kind}" d="M{x.start:.1f} {place:.1f}H{x.end:.1f}"/>')
        parts.append(_text(x.start - 8, place + 4, tick.label, "tick end"))
    parts.append(_text(2, min(y.start, y.end) - 4, panel.unit, "faint"))
    return parts


def _x_axis(x: Scale, ticks: Sequence[Tick], bottom: float) -> str:
    labels = [_text(x(tick.at), bottom + 18, tick.label, "tick middle") for tick in ticks if x(tick.at) < x.end - 12]
    return f'<path class="axis" d="M{x.start:.1f} {bottom:.1f}H{x.end:.1f}"/>' + "".join(labels)


def _line(size: Size, line: Line, x: Scale, y: Scale) -> str:
    xs, ys = thin(line.x, line.y, size.columns)
    if line.step:
        xs, ys = np.repeat(xs, 2)[1:], np.repeat(ys, 2)[:-1]
    points = [f"{a:.1f} {b:.1f}" for a, b in zip(x.all(xs), y.all(np.clip(ys, y.low, y.high)), strict=True)]
    path = "M" + "L".join(points)
    style = _style(line.role)
    area = ""
    if line.filled:
        base = y(min(max(0.0, y.low), y.high))
        closed = f"{path}L{x(float(xs[-1])):.1f} {base:.1f}L{x(float(xs[0])):.1f} {base:.1f}Z"
        area = f'<path class="area {style}" d="{closed}"/>'
    return f'{area}<path class="line {style}" d="{path}"/>'


def _marks(marks: Marks, x: Scale, y: Scale) -> str:
    parts = []
    for at, level, bought in zip(marks.x, marks.y, marks.bought, strict=True):
        a, b = x(float(at)), y(float(level))
        tip = f"M{a:.1f} {b + 5:.1f}l-5 9h10z" if bought else f"M{a:.1f} {b - 5:.1f}l-5 -9h10z"
        parts.append(f'<path class="{"bought" if bought else "sold"}" d="{tip}"/>')
    return "".join(parts)


def _shade(span: Span, x: Scale, top: float, bottom: float) -> str:
    start, end = max(x(span.start), x.start), min(x(span.end), x.end)
    if end <= start:
        return ""
    word = _text(start + 4, top + 11, span.label, "faint")
    size = f'width="{end - start:.1f}" height="{bottom - top:.1f}"'
    return f'<rect class="shade {span.kind}" x="{start:.1f}" y="{top:.1f}" {size}/>{word}'


def _end_labels(size: Size, lines: Sequence[Line], y: Scale, top: float, bottom: float) -> str:
    shown = [line for line in lines if line.label]
    places = [y(min(max(float(line.y[-1]), y.low), y.high)) for line in shown]
    left = size.width - size.right + 8
    moved = apart(places, 14.0, top + 6, bottom - 2)
    return "".join(
        _text(left, place + 4, line.label, f"label {_style(line.role)}")
        for line, place in zip(shown, moved, strict=True)
    )


def _intervals(size: Size, rows: Sequence[Range], percent: bool) -> str:
    left = 190 if size is WIDE else 154
    low, high = spread(min(0.0, *(row.low for row in rows)), max(0.0, *(row.high for row in rows)))
    x = Scale(low, high, left, size.width - 20)
    height = 26.0 * len(rows) + 12
    parts = []
    for tick in number_ticks(low, high, 6 if size is WIDE else 3, percent=percent):
        kind = "axis" if abs(tick.at) < 1e-12 else "grid"
        parts.append(f'<path class="{kind}" d="M{x(tick.at):.1f} 6V{height:.1f}"/>')
        parts.append(_text(x(tick.at), height + 16, tick.label, "tick middle"))
    for i, row in enumerate(rows):
        middle, style = 6 + 26.0 * i + 13, _style(row.role)
        parts.append(_text(left - 10, middle + 4, row.label, "tick end"))
        parts.append(f'<path class="whisker {style}" d="M{x(row.low):.1f} {middle:.1f}H{x(row.high):.1f}"/>')
        parts.append(f'<circle class="dot {style}" cx="{x(row.estimate):.1f}" cy="{middle:.1f}" r="4.5"/>')
    return _svg(size, height + 24, parts)


def _bars(size: Size, rows: Sequence[tuple[str, float]], unit: str) -> str:
    left = 190 if size is WIDE else 154
    x = Scale(0.0, max(*(value for _, value in rows), 1e-9), left, size.width - 76)
    parts = []
    for i, (label, value) in enumerate(rows):
        top = 4 + 26.0 * i
        parts.append(_text(left - 10, top + 15, label, "tick end"))
        parts.append(
            f'<rect class="bar" x="{left}" y="{top + 3:.1f}" width="{max(x(value) - left, 1):.1f}" height="16" rx="2"/>'
        )
        parts.append(_text(x(value) + 6, top + 15, f"{value:,.1f} {unit}", "tick"))
    return _svg(size, 26.0 * len(rows) + 10, parts)


def _style(role: str) -> str:
    return STYLES.get(role, role)


def _text(x: float, y: float, words: str, style: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>' if words else ""
