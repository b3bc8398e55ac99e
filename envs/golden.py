"""Golden bars: a stretch of real bars walked through this installation's desk, as proof of feature and order code.

Recorded at export and replayed at load: the same bars and actions must give the same columns and the same lots, or the
code that observes and orders is not the code that the policy was trained with.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..agents.policy import Policy
from ..market.bars import Bar, Bars
from ..market.exchange import BarExchange
from ..market.terms import Terms
from .actions import exposure_of
from .desk import Desk
from .observation import ObservationSpec
from .past import Tabled

GOLDEN_BARS = 600


@dataclass(frozen=True, eq=False)
class Golden:
    """`columns` (n, width) float32, `action` (n, 1) float32 and `lots` (n,) int64 belong to the last n of the bars;
    `past` (n, 10) float32 holds the memory columns where the spec has them."""

    bars: Bars
    columns: NDArray[np.float32]
    action: NDArray[np.float32]
    lots: NDArray[np.int64]
    past: NDArray[np.float32]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What golden.npz holds."""
        bars = self.bars
        columns = {name: getattr(bars, name) for name in ("opened_at", "open", "high", "low", "close", "volume")}
        own = {"columns": self.columns, "action": self.action, "lots": self.lots, "past": self.past}
        return {**columns, **own}

    @classmethod
    def from_arrays(cls, interval: str, arrays: dict[str, NDArray[Any]]) -> "Golden":
        """Read what `arrays` gave."""
        bars = Bars(
            interval,
            arrays["opened_at"],
            arrays["open"],
            arrays["high"],
            arrays["low"],
            arrays["close"],
            arrays["volume"],
        )
        return cls(bars, arrays["columns"], arrays["action"], arrays["lots"], arrays["past"])


def record_golden(
    policy: Policy, bars: Bars, spec: ObservationSpec, terms: Terms, kind: str, past: Tabled | None = None
) -> Golden:
    """Walk the last 600 bars of the last segment with the policy itself."""
    start, stop = bars.segments()[-1]
    stretch = bars.slice(max(start, stop - GOLDEN_BARS), stop)
    memory = past.matrix_for(stretch) if past is not None else np.zeros((len(stretch), 0), np.float32)
    walk = _Walk(stretch, spec, terms, memory)
    columns, actions, lots = [], [], []
    for bar in stretch:
        seen = walk.observe(bar)
        if seen is not None:
            action = np.asarray(policy.act(seen).action, np.float32).reshape(1)
            columns.append(seen)
            actions.append(action)
            lots.append(walk.order(exposure_of(float(action[0]), kind)))
    if not columns:
        raise ValueError(f"{len(stretch)} bars are too few to warm up the columns of observation {spec.name}")
    n = len(columns)
    return Golden(stretch, np.stack(columns), np.stack(actions), np.array(lots, np.int64), memory[len(memory) - n :])


def replay_golden(golden: Golden, spec: ObservationSpec, terms: Terms, kind: str) -> str | None:
    """Walk the golden bars again with the recorded actions; what differs, in one sentence, or None."""
    bars, n = golden.bars, len(golden.columns)
    memory = np.zeros((len(bars), golden.past.shape[1]), np.float32)
    memory[len(bars) - n :] = golden.past
    walk = _Walk(bars, spec, terms, memory)
    row = 0
    for bar in bars:
        seen = walk.observe(bar)
        if seen is None:
            continue
        if row == n:
            return f"the desk is warm on more golden bars than the {n} recorded"
        if seen.tobytes() != golden.columns[row].tobytes():
            column = spec.columns[int(np.flatnonzero(seen != golden.columns[row])[0])]
            return f"column {column} of golden bar {row} is {seen[spec.columns.index(column)]!r} on this desk"
        lots = walk.order(exposure_of(float(golden.action[row, 0]), kind))
        if lots != golden.lots[row]:
            return f"golden bar {row} orders {lots} lots on this desk, {golden.lots[row]} were recorded"
        row += 1
    return None if row == n else f"the desk is warm on {row} golden bars, {n} were recorded"


class _Walk:
    """A desk and a bar-level venue, driven bar by bar."""

    def __init__(self, bars: Bars, spec: ObservationSpec, terms: Terms, memory: NDArray[np.float32]) -> None:
        past = Tabled(bars.closed_at, memory) if spec.memory else None
        self.desk = Desk(spec, terms, bars.interval_ms, past)
        self.venue = BarExchange(terms, bars.interval_ms)

    def observe(self, bar: Bar) -> NDArray[np.float32] | None:
        self.venue.on_bar(bar)
        return self.desk.observe(self.venue.account) if self.desk.on_bar(bar) else None

    def order(self, exposure: float) -> int:
        orders = self.desk.orders(exposure, self.venue.account)
        for order in orders:
            self.venue.submit(order)
        return sum(order.lots for order in orders)
