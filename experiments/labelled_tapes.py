"""Labelled tapes: what detectors are trained on and judged by, as plain arrays with the truth beside them.

Whoever makes them (the crowd's storms, a recorded file) fills in these two types; splits are by run, and whole groups
of parameters can be held out. Turns a crowd's tables into them too. Knows no detector.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bars
from ..market.order_events import CANCELLED, FILLED, RESTED, TAKEN, OrderEvents
from ..market.prints import Prints
from ..simulators.order_kinds import Event
from .alert_scores import Span

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LabelledTape:
    """Prints of one run, and the pumps in it. `family` is what happened ("pump", "news", "calm" …).

    `run` tells runs apart (scenario and seed); `group` the parameters that a split may hold out. `until_ms` is when
    the recording ended; `bars` the same trades as bars, where somebody made them.
    """

    run: str
    family: str
    group: str
    prints: Prints
    pumps: tuple[Span, ...]
    until_ms: int
    bars: Bars | None = None


@dataclass(frozen=True, slots=True)
class LabelledOrders:
    """Order events of one run, and who in it spoofed."""

    run: str
    family: str
    group: str
    events: OrderEvents
    spoofers: frozenset[int]


Tape = TypeVar("Tape", LabelledTape, LabelledOrders)


def split(tapes: Sequence[Tape], rng: np.random.Generator, judge_share: float = 0.4) -> tuple[list[Tape], list[Tape]]:
    """(to train on, to judge by): whole groups within each family, so no run and no parameters stand on both sides."""
    if not 0.0 < judge_share < 1.0:
        raise ValueError(f"judge_share {judge_share} does not lie between 0 and 1")
    held = set[tuple[str, str]]()
    for family in sorted({tape.family for tape in tapes}):
        groups = sorted({tape.group for tape in tapes if tape.family == family})
        if len(groups) < 2:
            raise ValueError(f"family {family!r} has {len(groups)} group of parameters, a split needs 2")
        count = min(len(groups) - 1, max(1, round(judge_share * len(groups))))
        held |= {(family, str(group)) for group in rng.permutation(groups)[:count]}
    sides = [(tape, (tape.family, tape.group) in held) for tape in tapes]
    _refuse_shared_runs(sides)
    return [tape for tape, judged in sides if not judged], [tape for tape, judged in sides if judged]


def prints_of(trades: NDArray[np.void], tick: float, lot: float) -> Prints:
    """A crowd's trades (`CrowdMarket.trades()`) as prints, each with its taker's order id."""
    return Prints(
        trades["at_ms"],
        trades["ticks"] * tick,
        trades["lots"] * lot,
        trades["side"],
        trades["taker_id"].astype(np.int64),
    )


def order_events_of(events: NDArray[np.void], quotes: NDArray[np.void]) -> OrderEvents:
    """A crowd's events and quotes as order events; each event sees the quotes at the end of the step before it.

    A trade becomes two: TAKEN of the taker's order and FILLED of the maker's.
    """
    kind = events["kind"]
    rows = [
        _rows(events, kind == Event.RESTED, RESTED, "owner", "order_id", 1),
        _rows(events, (kind == Event.CANCELLED) | (kind == Event.EXPIRED), CANCELLED, "owner", "order_id", 1),
        _rows(events, kind == Event.TRADE, TAKEN, "owner", "order_id", 1),
        _rows(events, kind == Event.TRADE, FILLED, "maker", "maker_id", -1),
    ]
    table = np.concatenate(rows)
    table = table[np.argsort(table[:, 0], kind="stable")]
    table = table[(table[:, 7] > 0) & (table[:, 4] > 0)]  # without lots nothing happened; ids begin at 1
    before = np.searchsorted(quotes["at_ms"], table[:, 1], "left") - 1
    seen = [np.where(before >= 0, quotes[name][np.maximum(before, 0)], 0) for name in _QUOTES]
    return OrderEvents(*(np.ascontiguousarray(table[:, k]) for k in range(1, 8)), *seen)


_QUOTES = ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots")


def _rows(events: NDArray[np.void], chosen: NDArray[np.bool_], kind: int, owner: str, order: str, turn: int) -> Ints:
    """(n, 8) int64: sequence, at_ms, kind, owner, order id, side, ticks, lots."""
    some = events[chosen]
    columns = (some["sequence"], some["at_ms"], np.full(len(some), kind), some[owner], some[order])
    more = (turn * np.sign(some["side"]), some["ticks"], some["lots"])
    return np.stack([*columns, *more], axis=1).astype(np.int64).reshape(len(some), 8)


def _refuse_shared_runs(sides: Sequence[tuple[LabelledTape | LabelledOrders, bool]]) -> None:
    runs = [{tape.run for tape, judged in sides if judged is side} for side in (False, True)]
    shared = sorted(runs[0] & runs[1])
    if shared:
        raise ValueError(f"run {shared[0]!r} would stand on both sides of the split")
