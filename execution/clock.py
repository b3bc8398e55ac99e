"""Clocks: the only place below the doors where time is read.

A live feed runs on the wall clock, a replayed one on the closes of its bars. What a clock says enters the trading loop
through one journalled read a bar; a re-run takes it from the journal. Knows no feed and no journal.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Says what time it is, in milliseconds UTC."""

    def now_ms(self) -> int: ...


class WallClock:
    """The machine's UTC time."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class BarClock:
    """Time as a replayed feed tells it: the instant at which its last bar became known."""

    def __init__(self) -> None:
        self._now_ms = 0

    def advance(self, closed_at: int) -> None:
        """Move to a bar's close. Raises ValueError where time would run backwards."""
        if closed_at < self._now_ms:
            raise ValueError(f"the clock stands at {self._now_ms} ms and cannot go back to {closed_at} ms")
        self._now_ms = closed_at

    def now_ms(self) -> int:
        return self._now_ms


def monotonic_ns() -> int:
    """Stopwatch for latencies and deadlines; nothing that is decided or journalled depends on it."""
    return time.perf_counter_ns()
