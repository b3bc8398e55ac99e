"""Market features: named columns of closed bars, as a matrix over a whole history or as a stream, bar by bar.

The matrix is the stream's own loop, so training and trading see the same bits. A column is the house's (`rsi_14`),
one over a higher interval (`rsi_14@4h`) or a user's own (`my_package.features:spike`); each is free of scale, and
silent while it warms up. Knows no account and no future.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..market.addresses import is_own, own_sources
from ..market.bars import CROSSED_GAP, Bar, Bars
from . import families, history, house, indicators, kinds, own, rings, spine, timeframes
from .families import FEATURES, Column
from .history import History
from .house import HouseColumns
from .own import Feature, OwnColumn, own_feature
from .timeframes import base_bars, higher_ms, split_timeframe

__all__ = ["FEATURES", "FeatureStream", "code_digest", "describe", "feature_matrix", "own_sources", "warm_up"]

CODE = (
    families,
    history,
    house,
    indicators,
    kinds,
    own,
    rings,
    spine,
    timeframes,
)  # and this file: what makes a column


class Named(NamedTuple):
    """A column by its full name: what it is, and the interval behind its @, "" for the bars' own."""

    name: str
    feature: Column | Feature
    interval: str

    def warm_up(self, interval_ms: int | None) -> int:
        """Bars of `interval_ms` before it speaks; for a higher interval that must be told."""
        if not self.interval:
            return self.feature.warm_up
        if interval_ms is None:
            raise ValueError(f"how long {self.name!r} warms up depends on the interval of the bars")
        return base_bars(self.feature.warm_up, higher_ms(self.name, self.interval, interval_ms), interval_ms)


class Part(Protocol):
    """Columns that are worked out together: their values over a segment of a history, or after one more bar."""

    def run(self, history: History, start: int, stop: int, need: int, out: NDArray[np.float32]) -> None: ...
    def update(self, bar: Bar, row: NDArray[np.float64], is_told: bool) -> None: ...


def find_column(name: str) -> Named:
    """The house's or a user's column of that name; ValueError in one sentence where there is none."""
    address, interval = split_timeframe(name)
    return Named(name, own_feature(address) if is_own(address) else families.column(address), interval)


def warm_up(names: tuple[str, ...], interval_ms: int | None = None) -> int:
    """Bars needed before every named column speaks; columns of higher intervals must be told the bars' own."""
    return max(find_column(name).warm_up(interval_ms) for name in names)


def code_digest() -> str:
    """sha256 of the files that make the house's columns, as a passport pins it."""
    files = [__file__, *(str(module.__file__) for module in CODE)]
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()


def describe(name: str) -> str:
    """One sentence about a market column: what it is, and how long it warms up."""
    _, feature, interval = find_column(name)
    own_words = feature.about or "a user's own" if isinstance(feature, Feature) else ""
    about = own_words or families.about(split_timeframe(name)[0])
    over = f"over {interval} bars: " if interval else ""
    return f"{over}{about}; speaks from bar {feature.warm_up} on."


def feature_matrix(bars: Bars, names: tuple[str, ...]) -> NDArray[np.float32]:
    """(T, len(names)) float32; rows inside a segment's warm-up are NaN."""
    columns, past = ColumnSet(names, bars.interval_ms), History.of(bars)
    if bars.taker_buy_volume is None:
        columns.refuse_unknown_taker()
    out = np.full((len(bars), len(names)), np.nan, np.float32)
    for start, stop in bars.segments():
        if stop - start >= columns.need:
            columns.memory[:] = 0.0
            for part in columns.parts:
                part.run(past, start, stop, columns.need, out)
    return out


class FeatureStream:
    """The same columns live: feed closed bars in order; a gap of more than three intervals starts the warm-up anew."""

    def __init__(self, names: tuple[str, ...], interval_ms: int) -> None:
        self._columns = ColumnSet(names, interval_ms)
        self._longest_step = (CROSSED_GAP + 1) * interval_ms
        self._width = len(names)
        self._seen, self._last = 0, 0

    @property
    def is_warm(self) -> bool:
        return self._seen >= self._columns.need

    def update(self, bar: Bar) -> NDArray[np.float64] | None:
        """Take one closed bar; the row (len(names),) float64, or None while warming up."""
        columns = self._columns
        if self._seen:
            self._meet(bar.opened_at)
        if columns.takers and bar.taker_buy_volume < 0.0:
            columns.refuse_unknown_taker()
        self._seen, self._last = self._seen + 1, bar.opened_at
        row, is_told = np.empty(self._width), self._seen >= columns.need
        for part in columns.parts:
            part.update(bar, row, is_told)
        return row if is_told else None

    @property
    def memory(self) -> NDArray[np.float64]:
        """What the columns remember, the stream's own vector."""
        return self._columns.memory

    def state(self) -> bytes:
        """Everything the stream remembers."""
        return np.array([self._seen, self._last], np.float64).tobytes() + self._columns.memory.tobytes()

    def restore(self, state: bytes) -> None:
        """Go on exactly where `state` was taken."""
        values = np.frombuffer(state, np.float64)
        if len(values) != 2 + len(self._columns.memory):
            raise ValueError(f"a feature state of {len(values)} numbers does not fit these columns")
        self._seen, self._last = int(values[0]), int(values[1])
        self._columns.memory[:] = values[2:]

    def _meet(self, opened_at: int) -> None:
        """Refuse a bar that is not newer; forget everything behind a long gap."""
        if opened_at <= self._last:
            raise ValueError(f"bar at {opened_at} is not newer than the last one, {self._last}")
        if opened_at - self._last > self._longest_step:
            self._seen = 0
            self._columns.memory[:] = 0.0


class ColumnSet:
    """Named columns over bars of one interval, in parts, and one vector that holds all they remember.

    `memory` is that vector where somebody else owns it; `spans` say which floats of it are which part's.
    """

    def __init__(self, names: tuple[str, ...], base_ms: int, memory: NDArray[np.float64] | None = None) -> None:
        found = [find_column(name) for name in names]
        self.need = max(named.warm_up(base_ms) for named in found)
        self.takers = [named.name for named in found if isinstance(named.feature, Column) and named.feature.needs_taker]
        makers = list(_parts(found, base_ms))
        self.memory = np.zeros(sum(size for size, _ in makers)) if memory is None else memory
        ends = np.cumsum([0, *(size for size, _ in makers)]).tolist()
        self.spans = list(pairwise(ends))
        self.parts: list[Part] = [
            make(memory=self.memory[start:stop]) for (_, make), (start, stop) in zip(makers, self.spans, strict=True)
        ]

    def refuse_unknown_taker(self) -> None:
        """Raise ValueError if a column needs to know what takers bought."""
        if self.takers:
            raise ValueError(f"market column {self.takers[0]!r} needs taker_buy_volume, which these bars do not have")


def _parts(found: list[Named], base_ms: int) -> Iterator[tuple[int, Callable[..., Part]]]:
    """(floats of memory, what makes the part of it): one for each user's column, one for each interval of the house."""
    house_columns = dict[int, list[tuple[int, Column]]]()
    for place, (name, feature, interval) in enumerate(found):
        higher = higher_ms(name, interval, base_ms)
        if isinstance(feature, Column):
            house_columns.setdefault(higher, []).append((place, feature))
        else:
            yield OwnColumn.size(feature), partial(OwnColumn, name, feature, place, base_ms, higher)
    for higher, columns in house_columns.items():
        yield HouseColumns.size(columns), partial(HouseColumns, columns, base_ms, higher)
