"""The measures of a storm, each by its name in a band: what it takes from a storm's record and its calm twin's.

Knows nothing of what the bands ask for, and no market but what it left.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from . import storm_measures as measures
from .acceptance import Line
from .storm_measures import Floats, Rows
from .storms import Storm
from .world import Label

SHOWS_APART = 20  # steps: a spoofer's cycle is longer, and its layers go out together


@dataclass(frozen=True, eq=False)
class Record:
    """What a finished market leaves to be measured: columns by bar, the mid by step, trades and labelled orders."""

    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    value: Floats
    quoted: Floats  # share of a bar's steps with both sides quoted
    spread: Floats  # mean, ticks; NaN where a bar had none
    near: Floats  # mean lots within 10 bp of the mid
    mids: Floats  # ticks, one a step
    trades: Rows
    orders: Rows
    owners: tuple[range, ...]  # by Part
    tick: float
    lot: float
    steps_per_bar: int
    unaccounted: int


@dataclass(frozen=True, eq=False)
class Scene:
    """One storm, its calm twin, and the bars that count: `first` … `after` − 1."""

    run: Record
    calm: Record
    storm: Storm
    first: int
    after: int

    @property
    def bars(self) -> int:
        return self.after - self.first


class Measure(Protocol):
    """One figure of a scene."""

    def __call__(self, scene: Scene, line: Line) -> float: ...


def measured(scene: Scene, line: Line) -> float:
    """The figure of one line of a band in one scene."""
    return MEASURED[line.measure](scene, line)


def _fall(scene: Scene, line: Line) -> float:
    run = scene.run
    return measures.fall(run.high, run.low, run.close, scene.first, scene.bars, scene.storm.direction)


def _recovered(scene: Scene, line: Line) -> float:
    run, direction = scene.run, scene.storm.direction
    return measures.recovered(run.high, run.low, run.close, scene.first, scene.bars, direction, line.after)


def _standing(scene: Scene, line: Line) -> float:
    run, direction = scene.run, scene.storm.direction
    return measures.standing(run.high, run.low, run.close, scene.first, scene.bars, direction, line.after)


def _volatility_ratio(scene: Scene, line: Line) -> float:
    first, after = scene.first, scene.after
    calm = measures.returns_of(scene.calm.close, first, after)
    return measures.volatility_ratio(measures.returns_of(scene.run.close, first, after), calm)


def _largest_move(scene: Scene, line: Line) -> float:
    return measures.largest_move(measures.returns_of(scene.run.close, scene.first, scene.after))


def _two_sided(scene: Scene, line: Line) -> float:
    return float(scene.run.quoted[scene.first : scene.after].mean())


def _spread_ratio(scene: Scene, line: Line) -> float:
    return measures.peak_ratio(scene.run.spread[scene.first : scene.after], scene.calm.spread)


def _depth_ratio(scene: Scene, line: Line) -> float:
    return measures.trough_ratio(scene.run.near[scene.first : scene.after], scene.calm.near)


def _volume_ratio(scene: Scene, line: Line) -> float:
    return measures.peak_ratio(scene.run.volume[scene.first : scene.after], scene.calm.volume)


def _value_change(scene: Scene, line: Line) -> float:
    return measures.change_of(scene.run.value, scene.first, scene.after)


def _forced_share(scene: Scene, line: Line) -> float:
    return measures.labelled_share(_trades(scene), Label.LIQUIDATION)


def _forced_one_sided(scene: Scene, line: Line) -> float:
    return measures.one_sided(_trades(scene), Label.LIQUIDATION)


def _shift(scene: Scene, line: Line) -> float:
    shows = measures.shows_of(_orders(scene), Label.SPOOF, SHOWS_APART)
    spread = float(np.nanmedian(scene.calm.spread))
    return measures.shift(scene.run.mids, scene.calm.mids, shows, line.steps, spread)


def _spoof_filled(scene: Scene, line: Line) -> float:
    return measures.filled_share(scene.run.trades, scene.run.orders, Label.SPOOF)


def _profit(scene: Scene, line: Line) -> float:
    """In median calm bar volumes × price."""
    run, calm = scene.run, scene.calm
    assert line.cohort is not None, "the parser asks for it"
    last = float(run.close[-1]) / run.tick
    per_bar = float(np.median(calm.volume)) / run.lot
    earned = measures.profit(run.trades, run.owners[line.cohort], last)
    return earned / (last * per_bar) if per_bar > 0.0 else float("nan")


def _fills_inside(scene: Scene, line: Line) -> float:
    return float(len(_trades(scene)))


def _reopen_gap(scene: Scene, line: Line) -> float:
    sd = float(np.std(measures.returns_of(scene.calm.close, 0, len(scene.calm.close))))
    return measures.reopen_gap(scene.run.trades, *_steps(scene), scene.run.steps_per_bar, sd)


def _unaccounted(scene: Scene, line: Line) -> float:
    return float(scene.run.unaccounted)


def _trades(scene: Scene) -> Rows:
    return measures.within_steps(scene.run.trades, *_steps(scene))


def _orders(scene: Scene) -> Rows:
    return measures.within_steps(scene.run.orders, *_steps(scene))


def _steps(scene: Scene) -> tuple[int, int]:
    per_bar = scene.run.steps_per_bar
    return scene.first * per_bar, scene.after * per_bar


MEASURED: dict[str, Measure] = {
    "fall": _fall,
    "recovered": _recovered,
    "standing": _standing,
    "volatility_ratio": _volatility_ratio,
    "largest_move": _largest_move,
    "two_sided": _two_sided,
    "spread_ratio": _spread_ratio,
    "depth_ratio": _depth_ratio,
    "volume_ratio": _volume_ratio,
    "value_change": _value_change,
    "forced_share": _forced_share,
    "forced_one_sided": _forced_one_sided,
    "shift": _shift,
    "spoof_filled": _spoof_filled,
    "profit": _profit,
    "fills_inside": _fills_inside,
    "reopen_gap": _reopen_gap,
    "unaccounted": _unaccounted,
}
