"""Golden bars: a stretch of real bars walked through this installation's desk, as proof of feature and order code.

Recorded at export and replayed at load: the same bars and actions must give the same columns and the same lots, or the
code that observes and orders is not the code that the policy was trained with. A recurrent policy acts in sequence,
from a start at the first row.
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
from .features import warm_up
from .observation import ObservationSpec
from .past import Tabled

GOLDEN_BARS = 600  # and more where a spec needs most of them to warm up
GOLDEN_ROWS = 100  # decisions, at least
OF_BARS = ("opened_at", "open", "high", "low", "close", "volume", "taker_buy_volume", "trades")  # the last two may lack


@dataclass(frozen=True, eq=False)
class Golden:
    """`columns` (n, *shape) float32, what the desk observed, `action` (n, 1) float32 and `lots` (n,) int64 belong to
    the last n of the T bars; `past` (T, 10) float32 holds the memory columns where the spec has them."""

    bars: Bars
    columns: NDArray[np.float32]
    action: NDArray[np.float32]
    lots: NDArray[np.int64]
    past: NDArray[np.float32]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What golden.npz holds."""
        told = {name: getattr(self.bars, name) for name in OF_BARS}
        own = {"columns": self.columns, "action": self.action, "lots": self.lots, "past": self.past}
        return {name: column for name, column in told.items() if column is not None} | own

    @classmethod
    def from_arrays(cls, interval: str, arrays: dict[str, NDArray[Any]]) -> "Golden":
        """Read what `arrays` gave."""
        prices: Any = {name: arrays[name] for name in OF_BARS if name in arrays}
        return cls(Bars(interval, **prices), arrays["columns"], arrays["action"], arrays["lots"], arrays["past"])


def record_golden(
    policy: Policy, bars: Bars, spec: ObservationSpec, terms: Terms, kind: str, past: Tabled | None = None
) -> Golden:
    """Walk the newest stretch that is long enough with the policy itself; ValueError where the bars have none."""
    stretch = _stretch(bars, spec)
    memory = past.matrix_for(stretch) if past is not None else np.zeros((len(stretch), 0), np.float32)
    walk = _Walk(stretch, spec, terms, memory)
    columns, actions, lots, state = [], [], [], None
    for bar in stretch:
        seen = walk.observe(bar)
        if seen is None:
            continue
        decision = policy.act(seen, state)
        state = decision.state
        action = np.asarray(decision.action, np.float32).reshape(1)
        columns.append(seen)
        actions.append(action)
        lots.append(walk.order(exposure_of(float(action[0]), kind)))
    return Golden(stretch, np.stack(columns), np.stack(actions), np.array(lots, np.int64), memory)


def replay_golden(golden: Golden, spec: ObservationSpec, terms: Terms, kind: str) -> str | None:
    """Walk the golden bars again with the recorded actions; what differs, in one sentence, or None."""
    n = len(golden.columns)
    if golden.columns.shape[1:] != spec.shape:
        return f"golden bars show observations of shape {golden.columns.shape[1:]}, this desk {spec.shape}"
    if golden.past.shape != (len(golden.bars), len(spec.memory)):
        return f"golden bars have a past of shape {golden.past.shape}, not {(len(golden.bars), len(spec.memory))}"
    walk = _Walk(golden.bars, spec, terms, golden.past)
    row = 0
    for bar in golden.bars:
        seen = walk.observe(bar)
        if seen is None:
            continue
        if row == n:
            return f"the desk is warm on more golden bars than the {n} recorded"
        if seen.tobytes() != golden.columns[row].tobytes():
            return _other_column(seen, golden.columns[row], row, spec)
        try:
            lots = walk.order(exposure_of(float(golden.action[row, 0]), kind))
        except ValueError as error:
            return f"golden bar {row}: {error}"
        if lots != golden.lots[row]:
            return f"golden bar {row} orders {lots} lots on this desk, {golden.lots[row]} were recorded"
        row += 1
    return None if row == n else f"the desk is warm on {row} golden bars, {n} were recorded"


def _stretch(bars: Bars, spec: ObservationSpec) -> Bars:
    """The last 600 bars, or more, of the newest segment that gives a hundred decisions, else of the longest one."""
    need = warm_up(spec.market, bars.interval_ms) + spec.window - 1
    enough = need + GOLDEN_ROWS - 1
    segments = bars.segments()[::-1]
    long_ones = (segment for segment in segments if segment[1] - segment[0] >= enough)
    start, stop = next(long_ones, max(segments, key=lambda segment: segment[1] - segment[0]))
    if stop - start < need:
        raise ValueError(
            f"{stop - start} bars without a gap are too few: observation {spec.name} warms up over {need} of them"
        )
    return bars.slice(max(start, stop - max(GOLDEN_BARS, enough)), stop)


def _other_column(seen: NDArray[np.float32], wanted: NDArray[np.float32], row: int, spec: ObservationSpec) -> str:
    *bar, k = (int(place) for place in np.argwhere(seen != wanted)[0])
    where = f", bar {bar[0]} of its window," if bar else ""
    return f"column {spec.columns[k]} of golden bar {row}{where} is {seen[(*bar, k)]!r} on this desk"


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
