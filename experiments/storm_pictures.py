"""Storms as PNGs: one with all there is to see of it, its calm twin in grey; or one beside its cousin of the record.

Draws what it is given and judges nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from ..simulators.storm_measures import holdings
from ..simulators.world import Part

if TYPE_CHECKING:
    from ..simulators.storm_measures import Floats
    from ..simulators.storm_pairs import Pair
    from ..simulators.storm_scenes import Record
    from .cousins import Course, Figures

SIZE, DPI = (10.0, 10.5), 110  # inches, dots an inch
HEIGHTS = (3.0, 1.2, 1.4, 1.8)
STORM, RECOVERY, CALM = "#c0392b", "#e0a458", "0.65"
BEFORE = 60  # bars shown ahead of the storm, if there are so many
TRADERS = tuple(part for part in Part if part not in (Part.VALUE, Part.VENUE))
COLOURS = (
    *("#4c72b0", "#55a868", "#c44e52", "#8172b3", "#937860", "#da8bc3"),
    *("#b8860b", "#111111", "#e6550d", "#64b5cd", "#e7298a"),
)

BESIDE_SIZE, BESIDE_DPI = (8.0, 4.8), 120  # 960 dots wide, to be read at 800
BESIDE_HEIGHTS = (2.6, 1.0)
SIDES = ("#1f4e79", "#b35806")  # the crowd, the record
UNITS = {"1m": ("minutes", 60), "1h": ("hours", 48)}  # what bars are counted in, how many from mark to mark
BREAK = 15  # bars without a trade that break a line
LEAST_VOLUME, ROOM_ABOVE = 0.05, 1.6  # of the volume that is usual; times the largest


def draw_storm(pair: "Pair", title: str, path: Path) -> Path:
    """Draw a storm beside its calm twin, over its bars and those around it."""
    onset, last, over = pair.scenario.span(pair.storms)
    first = max(0, onset - BEFORE)
    bars = np.arange(first, len(pair.run.close))
    figure = Figure(figsize=SIZE, layout="constrained")
    panels = figure.subplots(len(HEIGHTS), 1, sharex=True, height_ratios=HEIGHTS)
    figure.suptitle(title, fontsize=11)
    _prices(panels[0], pair, bars)
    _volumes(panels[1], pair, bars)
    _book(panels[2], pair, bars)
    _held(panels[3], pair.run, bars, onset)
    for panel in panels:
        panel.axvspan(onset, last, color=STORM, alpha=0.12, linewidth=0)
        panel.axvspan(last, over, color=RECOVERY, alpha=0.10, linewidth=0)
        panel.grid(alpha=0.25)
        panel.tick_params(labelsize=8)
        panel.margins(x=0)
    panels[0].text(onset, 1.01, " storm", color=STORM, fontsize=8, transform=panels[0].get_xaxis_transform())
    if over > last:
        edge = panels[0].get_xaxis_transform()
        panels[0].text(over, 1.01, "recovery ", color="#a0702a", fontsize=8, ha="right", transform=edge)
    panels[-1].set_xlabel("bar", fontsize=8)
    figure.savefig(path, dpi=DPI)
    return path


def _prices(panel: Any, pair: "Pair", bars: np.ndarray[Any, Any]) -> None:
    run, calm = pair.run, pair.calm
    panel.plot(bars, calm.close[bars], color=CALM, linewidth=1.0, label="calm twin")
    panel.fill_between(
        bars, run.low[bars], run.high[bars], color="#1f4e79", alpha=0.25, linewidth=0, label="low … high"
    )
    panel.plot(bars, run.close[bars], color="#1f4e79", linewidth=1.1, label="close")
    panel.plot(bars, run.value[bars], color="#2ca02c", linewidth=1.0, linestyle="--", label="value")
    panel.set_ylabel("price", fontsize=8)
    panel.legend(fontsize=7, loc="best", ncols=2)


def _volumes(panel: Any, pair: "Pair", bars: np.ndarray[Any, Any]) -> None:
    panel.bar(bars, pair.run.volume[bars], width=1.0, color="#1f4e79", alpha=0.7, label="storm")
    panel.step(bars, pair.calm.volume[bars], where="mid", color=CALM, linewidth=0.9, label="calm twin")
    panel.set_ylabel("volume a bar", fontsize=8)
    panel.legend(fontsize=7, loc="upper right")


def _book(panel: Any, pair: "Pair", bars: np.ndarray[Any, Any]) -> None:
    lot = pair.run.lot
    panel.plot(bars, pair.calm.spread[bars], color=CALM, linewidth=0.8)
    spread = panel.plot(bars, pair.run.spread[bars], color="#c0392b", linewidth=1.0, label="spread, ticks")
    panel.set_yscale("log")
    panel.set_ylabel("mean spread, ticks", fontsize=8)
    other = panel.twinx()
    other.plot(bars, np.maximum(pair.calm.near[bars] * lot, lot), color=CALM, linewidth=0.8, linestyle=":")
    near = np.maximum(pair.run.near[bars] * lot, lot)
    depth = other.plot(bars, near, color="#4c72b0", linewidth=1.0, linestyle=":", label="depth within 10 bp")
    other.set_yscale("log")
    other.set_ylabel("depth", fontsize=8)
    other.tick_params(labelsize=8)
    panel.legend(handles=[*spread, *depth], fontsize=7, loc="upper right")


def _held(panel: Any, run: "Record", bars: np.ndarray[Any, Any], onset: int) -> None:
    """What each cohort gathered since the storm began; those that never traded are left out."""
    for part, colour in zip(TRADERS, COLOURS, strict=True):
        held = holdings(run.trades, run.owners[part], run.steps_per_bar, len(run.close)) * run.lot
        held = held - held[onset - 1]
        if np.any(held[bars]):
            panel.plot(bars, held[bars], color=colour, linewidth=1.0, label=part.name.lower())
    panel.axhline(0.0, color="0.3", linewidth=0.6)
    panel.set_ylabel("held, change since the onset", fontsize=8)
    panel.legend(fontsize=7, loc="best", ncols=4)


def draw_beside(courses: "Sequence[Course]", interval: str, title: str, path: Path) -> Path:
    """Draw courses side by side on one scale: closes with the range of every bar, volume below."""
    figure = Figure(figsize=BESIDE_SIZE, layout="constrained")
    figure.suptitle(title, fontsize=13, fontweight="bold")
    rows = figure.subplots(2, len(courses), sharex=True, sharey="row", squeeze=False, height_ratios=BESIDE_HEIGHTS)
    for course, colour, price, volume in zip(courses, SIDES, *rows, strict=True):
        _course(course, colour, price, volume, interval)
    rows[0][0].set_ylabel("price, % from the onset")
    rows[1][0].set_ylabel("volume\n÷ usual")
    rows[1][0].set_ylim(LEAST_VOLUME, ROOM_ABOVE * max(float(course.volume.max()) for course in courses))
    figure.savefig(path, dpi=BESIDE_DPI)
    return path


def told(figures: "Figures") -> tuple[str, str]:
    """The figures of a course in two lines."""
    prices = f"furthest {100.0 * figures.furthest:+.0f} %, {100.0 * figures.back:.0f} % of it back"
    wide = f"{figures.width:.1f}" if figures.width < 10.0 else f"{figures.width:,.0f}"
    return prices.replace("-", "−"), f"volume up to {figures.volume:,.0f} ×, bars {wide} × as wide"


def _course(course: "Course", colour: str, price: Any, volume: Any, interval: str) -> None:
    price.set_title(course.name, fontsize=11, color=colour, pad=42)
    lines = "\n".join((course.detail, *told(course.figures)))
    price.text(0.5, 1.02, lines, fontsize=8.5, color="0.3", ha="center", transform=price.transAxes)
    price.vlines(course.bars, course.low, course.high, color=colour, alpha=0.5, linewidth=1.1)
    price.plot(*_broken(course), color=colour, linewidth=1.2)
    price.axhline(0.0, color="0.6", linewidth=0.6, zorder=0.5)
    volume.bar(course.bars, course.volume, width=1.0, color=colour, linewidth=0)
    volume.set_yscale("log")
    unit, apart = UNITS[interval]
    volume.set_xlabel(f"{unit} from the onset")
    volume.xaxis.set_major_locator(MultipleLocator(apart))
    for panel in (price, volume):
        if course.span is not None:
            panel.axvspan(*course.span, color=STORM, alpha=0.12, linewidth=0, zorder=0)
        panel.axvline(0.0, color="0.6", linewidth=0.8, linestyle="--", zorder=0.5)
        panel.grid(alpha=0.25)
        panel.margins(x=0)
        panel.tick_params(labelsize=9)
        panel.spines[["top", "right"]].set_visible(False)


def _broken(course: "Course") -> "tuple[Floats, Floats]":
    """Bars and closes, with a hole in the line where nobody traded for long."""
    holes = np.flatnonzero(np.diff(course.bars) > BREAK) + 1
    bars, close = (np.insert(column, holes, np.nan) for column in (course.bars.astype(np.float64), course.close))
    return bars, close
