"""Where a value lands in a picture: scales, round ticks on numbers and on UTC time, and thinning of long lines.

Pure arithmetic: knows no colours, no SVG and no meaning of what is drawn.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000
TIME_STEPS = (
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 30, 91, 182, 365, 730, 1825)),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight map from [low, high] in data to [start, end] in pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def all(self, values: Floats) -> Floats:
        """The same for an array."""
        return self.start + (values - self.low) * ((self.end - self.start) / (self.high - self.low))


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, and its label."""

    at: float
    label: str


def spread(low: float, high: float, margin: float = 0.06) -> tuple[float, float]:
    """Widen a range by a margin at both ends; a range of nothing becomes one around its value."""
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise ValueError(f"a picture cannot span {low} … {high}")
    width = high - low
    if width <= 1e-12 * max(abs(low), abs(high), 1.0):
        width = abs(low) * 0.02 or 1.0
        return low - width, high + width
    return low - margin * width, high + margin * width


def number_ticks(low: float, high: float, most: int, *, percent: bool = False) -> list[Tick]:
    """At most `most` round numbers in [low, high]; as percentages where asked."""
    factor = 100.0 if percent else 1.0
    step = _round_step((high - low) * factor / max(most, 1))
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(low * factor / step - 1e-9)
    last = math.floor(high * factor / step + 1e-9)
    unit = "%" if percent else ""
    return [
        Tick(i * step / factor, f"{i * step + 0.0:,.{digits}f}{unit}".replace("-", "−")) for i in range(first, last + 1)
    ]


def time_ticks(low: float, high: float, most: int) -> list[Tick]:
    """At most `most` round UTC instants in [low, high], ms; the label says as much as the step needs."""
    step = next((s for s in TIME_STEPS if (high - low) / s <= most), TIME_STEPS[-1])
    first = math.ceil(low / step)
    last = math.floor(high / step)
    form = "%H:%M" if step < _DAY and high - low <= 2 * _DAY else "%d %b" if step < 182 * _DAY else "%b %Y"
    if step < _DAY < (high - low) / 2:
        form = "%d %b %H:%M"
    return [Tick(i * step, _utc(i * step).strftime(form)) for i in range(first, last + 1)]


def thin(x: Floats, y: Floats, columns: int) -> tuple[Floats, Floats]:
    """Keep lowest and highest point of each of `columns` stretches, and both ends: a long line looks as before."""
    count = len(x)
    if count <= 2 * columns:
        return x, y
    edges = np.linspace(0, count, columns + 1).astype(np.int64)
    kept = {0, count - 1}
    for start, stop in pairwise(edges):
        part = y[start:stop]
        kept.add(int(start + np.argmin(part)))
        kept.add(int(start + np.argmax(part)))
    rows = np.array(sorted(kept))
    return x[rows], y[rows]


def apart(places: list[float], gap: float, low: float, high: float) -> list[float]:
    """Move labels so that neighbours stand `gap` apart within [low, high], each as near its place as that allows."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = [min(max(place, low), high) for place in places]
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + gap)
    limit = high
    for index in reversed(order):
        moved[index] = min(moved[index], limit)
        limit = moved[index] - gap
    return moved


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(max(rough, 1e-12)))
    return next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= rough * (1.0 - 1e-9))


def _utc(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1000.0, UTC)
