"""Surveillance: detectors of manipulation that run beside a market, print by print, or over a whole recorded tape.

Both ways go through the same kernels and alarm at the same instants with the same scores, bit for bit. An alert is
known when its chunk is over, and not before. Evaluates tables that were trained elsewhere; knows no label, and acts on
nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bars import CROSSED_GAP, Bar, Bars
from .chunks import new_chunks
from .detector_model import score_row, scores
from .detector_table import PUMP, PUMP_BARS, SPOOF, DetectorTable, TableError
from .order_events import OrderEvent, OrderEvents
from .prints import NO_ORDER, Prints, check_print
from .pump_features import PUMP_FEATURES, Rows, bar_rows, closes_at, pass_time, take_bar, take_print, tape_rows, typical
from .spoof_features import SpoofBook, event_rows

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Alert:
    """A detector's alarm: of what, known when, how sure, and whose orders, where that is told."""

    kind: str
    known_at: int
    score: float
    owner: int = -1


class Alarm:
    """The rule that makes alerts of scores: at the threshold or above it, then silence for the refractory time."""

    def __init__(self, table: DetectorTable) -> None:
        self._table = table
        self._last: dict[int, int] = {}  # known_at of each owner's last alert

    def hear(self, known_at: int, score: float, owner: int = -1) -> Alert | None:
        """One more score, in the order of time."""
        if score < self._table.threshold:
            return None
        last = self._last.get(owner)
        if last is not None and known_at - last < self._table.refractory_ms:
            return None
        self._last[owner] = known_at
        return Alert(self._table.kind, known_at, score, owner)


class PumpWatch:
    """Watches one market's prints for a pump: `take` each, and `advance` when the clock goes on without one."""

    def __init__(self, table: DetectorTable) -> None:
        _demand_kind(table, PUMP)
        self._model, self._alarm = table.model(), Alarm(table)
        self._state = new_chunks(table.pace)
        self._row = np.zeros(len(PUMP_FEATURES))
        self._latest = 0

    def take(self, at_ms: int, price: float, volume: float, side: int, order_id: int = NO_ORDER) -> Alert | None:
        """One fill; the alert that the chunk before it deserves, if any."""
        check_print(at_ms, price, volume, side)
        self._meet(at_ms)
        closes = int(closes_at(self._state))
        told = take_print(self._state, at_ms, price, volume, side, order_id, self._row)
        return self._judge(closes) if told else None

    def advance(self, now_ms: int) -> Alert | None:
        """The clock says `now_ms`: a chunk that is over is judged without waiting for the next print."""
        self._meet(now_ms)
        return self._judge(int(closes_at(self._state))) if pass_time(self._state, now_ms, self._row) else None

    def _judge(self, known_at: int) -> Alert | None:
        return self._alarm.hear(known_at, float(score_row(self._model, self._row)))

    def _meet(self, at_ms: int) -> None:
        if at_ms < self._latest:
            raise ValueError(f"a print at {at_ms} is older than the last one, {self._latest}")
        self._latest = at_ms


class BarWatch:
    """Watches one market's closed bars for a pump; a gap of more than three intervals begins anew."""

    def __init__(self, table: DetectorTable) -> None:
        _demand_kind(table, PUMP_BARS)
        self._model, self._alarm, self._pace = table.model(), Alarm(table), table.pace
        self._state = new_chunks(table.pace)
        self._row = np.zeros(len(PUMP_FEATURES))
        self._latest = 0

    def take(self, bar: Bar) -> Alert | None:
        """One closed bar, newer than the last."""
        interval = self._pace.chunk_ms
        if self._latest and bar.opened_at <= self._latest:
            raise ValueError(f"bar at {bar.opened_at} is not newer than the last one, {self._latest}")
        if bar.opened_at - self._latest > (CROSSED_GAP + 1) * interval:
            self._state = new_chunks(self._pace)
        self._latest = bar.opened_at
        if not take_bar(self._state, bar.opened_at, bar.volume, typical(bar), bar.high, bar.close, self._row):
            return None
        return self._alarm.hear(bar.opened_at + interval - 1, float(score_row(self._model, self._row)))


class SpoofWatch:
    """Watches one market's order events for spoofing, owner by owner."""

    def __init__(self, table: DetectorTable) -> None:
        _demand_kind(table, SPOOF)
        self._model, self._alarm = table.model(), Alarm(table)
        self._book = SpoofBook(table.pace)

    def take(self, event: OrderEvent) -> Alert | None:
        """One event; the alert that its owner deserves, if any."""
        row = self._book.take(event)
        return None if row is None else self._alarm.hear(event.at_ms, float(score_row(self._model, row)), event.owner)


def watch_tape(table: DetectorTable, prints: Prints, until_ms: int | None = None) -> list[Alert]:
    """Every alert that a PumpWatch would give over the tape."""
    _demand_kind(table, PUMP)
    return _alerts(table, tape_rows(prints, table.pace, until_ms))


def watch_bars(table: DetectorTable, bars: Bars) -> list[Alert]:
    """Every alert that a BarWatch would give over the bars."""
    _demand_kind(table, PUMP_BARS)
    if bars.interval_ms != table.pace.chunk_ms:
        raise TableError(f"bars of {bars.interval} for a detector of bars of {table.pace.chunk_ms} ms")
    return _alerts(table, bar_rows(bars, table.pace))


def watch_events(table: DetectorTable, events: OrderEvents) -> list[Alert]:
    """Every alert that a SpoofWatch would give over the events."""
    _demand_kind(table, SPOOF)
    rows, owners = event_rows(events, table.pace)
    return _alerts(table, rows, owners)


def _alerts(table: DetectorTable, rows: Rows, owners: NDArray[np.int64] | None = None) -> list[Alert]:
    alarm, told = Alarm(table), scores(table.model(), rows.values)
    found = []
    for i in np.flatnonzero(told >= table.threshold):
        owner = -1 if owners is None else int(owners[i])
        alert = alarm.hear(int(rows.known_at[i]), float(told[i]), owner)
        if alert is not None:
            found.append(alert)
    return found


def _demand_kind(table: DetectorTable, kind: str) -> None:
    if table.kind != kind:
        raise TableError(f"a {table.kind} detector, where one for {kind} is wanted")
