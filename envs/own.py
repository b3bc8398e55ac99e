"""A user's own features: `my_package.features:spike` names a `Feature` that stands in a module.

    @kernel
    def update(state: State, bar: Bar) -> float:
        state[0] = max(0.9 * state[0], bar.volume)
        return bar.volume / state[0] if state[0] > 0.0 else 0.0

    spike = Feature(update, size=1, warm_up=20, about="volume over its fading peak")

`update` may read the bar and its `size` floats of state, zeros before the first bar, and nothing else. A kernel is
compiled into a loop over whole histories; a plain Python function works too, slowly. `wavetank doctor
my_package.features` looks for whatever peeks, forgets or breaks.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..market.addresses import load, load_module
from ..market.bars import Bar
from ..market.jit import COMPILED, calling_kernel, is_kernel
from .history import History, bar_at, plain_bars
from .rings import State
from .timeframes import GATHERING, close_higher

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Feature:
    """`update(state, bar)` gives the value at a bar's close; `size` floats of state, silent until bar `warm_up`."""

    update: Callable[[State, Bar], float]
    size: int = 0
    warm_up: int = 1
    about: str = ""

    def __post_init__(self) -> None:
        if not callable(self.update):
            raise ValueError(f"a feature's update is {self.update!r}, which cannot be called")
        if self.size < 0 or self.warm_up < 1:
            raise ValueError(f"a feature of {self.size} floats that warms up over {self.warm_up} bars cannot be")


@cache
def own_feature(address: str) -> Feature:
    """Import the feature that `module:feature` names; ValueError where there is none."""
    module, _, name = address.partition(":")
    found = load(address, "market column")
    if not isinstance(found, Feature):
        raise ValueError(f"market column {address!r}: {module} has no Feature named {name}")
    if not is_kernel(found.update):
        log.warning("feature %s is plain Python: some µs a bar, where @kernel takes a hundredth of that", address)
    return found


def own_features(module: str) -> list[str]:
    """Addresses of all features that stand in a module."""
    found = vars(load_module(module, module))
    return [f"{module}:{name}" for name, value in found.items() if isinstance(value, Feature)]


class OwnColumn:
    """One user's column over bars of one interval: the same loop whole and bar by bar. Its memory is one vector."""

    def __init__(self, name: str, feature: Feature, place: int, base_ms: int, higher_ms: int, memory: State) -> None:
        self._name, self._feature, self.place = name, feature, place
        self._intervals = base_ms, higher_ms
        self._memory, self._state, self._gathering = memory, memory[: feature.size], memory[feature.size : -1]

    @staticmethod
    def size(feature: Feature) -> int:
        """Floats of its memory: the feature's own, the higher bar that is being gathered, the last value."""
        return feature.size + GATHERING + 1

    def run(self, history: History, start: int, stop: int, need: int, out: NDArray[np.float32]) -> None:
        """Write the column's values at bars start + need − 1 … stop − 1 of a segment."""
        update = self._feature.update
        if is_kernel(update) and COMPILED:
            values = np.empty(stop - start)
            _loop(update, history, start, *self._intervals, self._state, self._gathering, values)
        else:
            values = np.array([self._next(bar) for bar in plain_bars(history, start, stop)])
        told = values[need - 1 :]
        if not np.isfinite(told).all():
            t = start + need - 1 + int(np.flatnonzero(~np.isfinite(told))[0])
            self._refuse(float(values[t - start]), int(history.opened_at[t]))
        out[start + need - 1 : stop, self.place] = told

    def update(self, bar: Bar, row: NDArray[np.float64], is_told: bool) -> None:
        """Take one closed bar and write the column's value into `row`."""
        value = self._next(bar)
        if is_told and not math.isfinite(value):
            self._refuse(value, bar.opened_at)
        row[self.place] = value

    def _next(self, bar: Bar) -> float:
        base_ms, higher_ms = self._intervals
        if base_ms == higher_ms:
            return float(self._feature.update(self._state, bar))
        closed = close_higher(self._gathering, bar, base_ms, higher_ms)
        for higher in (closed.first, closed.second)[: closed.number]:
            self._memory[-1] = self._feature.update(self._state, higher)
        return float(self._memory[-1])

    def _refuse(self, value: float, opened_at: int) -> None:
        raise ValueError(f"market column {self._name} is {value} at the bar opened at {opened_at}; it must be a number")


@calling_kernel
def _loop(
    update: Any,
    history: History,
    start: int,
    base_ms: int,
    higher_ms: int,
    state: State,
    gathering: State,
    values: State,
) -> None:
    value = 0.0
    for i in range(len(values)):
        closed = close_higher(gathering, bar_at(history, start + i), base_ms, higher_ms)
        if closed.number > 0:
            value = update(state, closed.first)
        if closed.number > 1:
            value = update(state, closed.second)
        values[i] = value
