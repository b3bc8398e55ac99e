"""One storm as one PNG: price and value, volume, spread and depth, and who held what; its calm twin in grey.

Draws what it is given and judges nothing.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from ..simulators.storm_measures import holdings
from ..simulators.world import Part

if TYPE_CHECKING:
    from ..simulators.storm_pairs import Pair
    from ..simulators.storm_scenes import Record

SIZE, DPI = (10.0, 10.5), 110  # inches, dots an inch
HEIGHTS = (3.0, 1.2, 1.4, 1.8)
STORM, RECOVERY, CALM = "#c0392b", "#e0a458", "0.65"
BEFORE = 60  # bars shown ahead of the storm, if there are so many
TRADERS = tuple(part for part in Part if part not in (Part.VALUE, Part.VENUE))
COLOURS = (
    *("#4c72b0", "#55a868", "#c44e52", "#8172b3", "#937860", "#da8bc3"),
    *("#b8860b", "#111111", "#e6550d", "#64b5cd", "#e7298a"),
)


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
