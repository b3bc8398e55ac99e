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

import ast
import hashlib
import importlib
import inspect
import logging
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def is_own(name: str) -> bool:
    """Whether a column's name is an address, `module:feature`."""
    module, colon, feature = name.partition(":")
    return bool(colon) and feature.isidentifier() and all(word.isidentifier() for word in module.split("."))


@cache
def own_feature(address: str) -> Feature:
    """Import the feature that `module:feature` names; ValueError where there is none."""
    module, _, name = address.partition(":")
    found = getattr(_module(address, module), name, None)
    if not isinstance(found, Feature):
        raise ValueError(f"market column {address!r}: {module} has no Feature named {name}")
    if not is_kernel(found.update):
        log.warning("feature %s is plain Python: some µs a bar, where @kernel takes a hundredth of that", address)
    return found


def own_features(module: str) -> list[str]:
    """Addresses of all features that stand in a module."""
    found = vars(_module(module, module))
    return [f"{module}:{name}" for name, value in found.items() if isinstance(value, Feature)]


def own_sources(names: Iterable[str]) -> dict[str, bytes]:
    """The files that users' columns are made of, by their place in the package: `my_package/features.py` → source.

    That is the modules named, the packages they stand in, and what these import of their own top-level package.
    """
    modules = sorted({name.partition(":")[0] for name in names if ":" in name})
    files = {file for name in modules for file in _files(name)}
    return {place: path.read_bytes() for place, path in sorted(files)}


def own_digests(names: Iterable[str]) -> dict[str, str]:
    """sha256 of every file of `own_sources`."""
    return {place: hashlib.sha256(source).hexdigest() for place, source in own_sources(names).items()}


class OwnColumn:
    """One user's column over bars of one interval: the same loop whole and bar by bar. Its memory is one vector."""

    def __init__(self, name: str, feature: Feature, place: int, base_ms: int, higher_ms: int, memory: State) -> None:
        self._name, self._feature, self._place = name, feature, place
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
        out[start + need - 1 : stop, self._place] = told

    def update(self, bar: Bar, row: NDArray[np.float64], is_told: bool) -> None:
        """Take one closed bar and write the column's value into `row`."""
        value = self._next(bar)
        if is_told and not math.isfinite(value):
            self._refuse(value, bar.opened_at)
        row[self._place] = value

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


def _module(asked: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(f"market column {asked!r}: there is no module {error.name}; is it on PYTHONPATH?") from error


def _files(module: str) -> set[tuple[str, Path]]:
    """(place in the package, path) of a module and of all it needs of its own top-level package."""
    top = module.partition(".")[0]
    waiting, found = {module}, dict[str, Path]()
    while waiting:
        name = waiting.pop()
        path = found[name] = Path(inspect.getsourcefile(_module(name, name)) or "")
        package = name if path.stem == "__init__" else name.rpartition(".")[0]
        wanted = {package, *_imported(path, package)}
        waiting |= {each for each in wanted if each.partition(".")[0] == top and each in sys.modules} - set(found)
    return {(_place(name, path), path) for name, path in found.items()}


def _place(name: str, path: Path) -> str:
    words = name.split(".")
    return "/".join([*words, path.name] if path.stem == "__init__" else [*words[:-1], path.name])


def _imported(path: Path, package: str) -> Iterator[str]:
    """Names of the modules that a file may import: `from .a import b` may mean a.b, or a alone."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
