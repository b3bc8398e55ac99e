"""The house's own columns over bars of one interval, at work: a whole history in one compiled loop, or bar by bar.

Both call the same kernel on the same memory. Knows families by their numbers and nothing of names.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bar
from ..market.jit import inlined_kernel, lean_kernel
from .families import Column
from .history import History, bar_at
from .kinds import HEAD, PLACE, update_all
from .rings import State
from .timeframes import GATHERING, close_higher


class Group(NamedTuple):
    """What kernels need of a group of columns.

    `plan` (n, 4) int64 and `numbers` (n, 3) float64 as `update_all` takes them. `memory` float64 is the higher bar
    that is being gathered, the n last values, and the columns' state.
    """

    base_ms: int
    higher_ms: int
    plan: NDArray[np.int64]
    numbers: State
    memory: State


class HouseColumns:
    """The house's columns over one interval; `columns` are those and their places in the row."""

    def __init__(self, columns: list[tuple[int, Column]], base_ms: int, higher_ms: int, memory: State) -> None:
        ends = np.cumsum([HEAD, *(column.size for _, column in columns)])
        plan = [(column.kind, ends[j], ends[j + 1], place) for j, (place, column) in enumerate(columns)]
        numbers = [(*column.numbers, 0, 0, 0)[:3] for _, column in columns]
        self.group = Group(base_ms, higher_ms, np.array(plan, np.int64), np.array(numbers, np.float64), memory)

    @staticmethod
    def size(columns: list[tuple[int, Column]]) -> int:
        """Floats of their memory."""
        return GATHERING + len(columns) + HEAD + sum(column.size for _, column in columns)

    def run(self, history: History, start: int, stop: int, need: int, out: NDArray[np.float32]) -> None:
        """Write the values at bars start + need − 1 … stop − 1 of a segment."""
        _run(self.group, history, start, stop, need, out)

    def update(self, bar: Bar, row: NDArray[np.float64], is_told: bool) -> None:
        """Take one closed bar and write the values into `row`."""
        _update(*self.group, *bar, row)  # type: ignore[arg-type]  # mypy loses count behind two stars


@lean_kernel
def _run(group: Group, history: History, start: int, stop: int, need: int, out: NDArray[np.float32]) -> None:
    values = group.memory[GATHERING:]
    for t in range(start, stop):
        show_bar(group, bar_at(history, t))
        if t - start + 1 >= need:
            for j in range(len(group.plan)):
                out[t, group.plan[j, PLACE]] = values[j]


@lean_kernel
def _update(
    base_ms: int,
    higher_ms: int,
    plan: NDArray[np.int64],
    numbers: State,
    memory: State,
    opened_at: int,
    open_: float,
    high: float,
    low: float,
    close: float,
    volume: float,
    taker_buy_volume: float,
    trades: int,
    row: NDArray[np.float64],
) -> None:
    """One bar live. Group and bar come in pieces: as two tuples they would cost as much as all the columns, 1 µs."""
    bar = Bar(opened_at, open_, high, low, close, volume, taker_buy_volume, trades)
    show_bar(Group(base_ms, higher_ms, plan, numbers, memory), bar)
    values = memory[GATHERING:]
    for j in range(len(plan)):
        row[plan[j, PLACE]] = values[j]


@inlined_kernel
def show_bar(group: Group, bar: Bar) -> None:
    """Update the values by a bar, or by the higher bars that it closes."""
    values, state = group.memory[GATHERING:], group.memory[GATHERING + len(group.plan) :]
    if group.higher_ms == group.base_ms:
        update_all(group.plan, group.numbers, state, bar, group.base_ms, values)
        return
    closed = close_higher(group.memory[:GATHERING], bar, group.base_ms, group.higher_ms)
    if closed.number > 0:
        update_all(group.plan, group.numbers, state, closed.first, group.higher_ms, values)
    if closed.number > 1:
        update_all(group.plan, group.numbers, state, closed.second, group.higher_ms, values)
