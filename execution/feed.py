"""Feeds: where closed bars come from. A replay of recorded bars is one; a door may bring another.

A feed hands over bars and nothing else: it decides nothing and journals nothing.
"""

import math
from pathlib import Path
from typing import Protocol

from ..market.bars import CROSSED_GAP, Bar, Bars
from ..market.store import read_bars
from .clock import BarClock


class FeedError(ValueError):
    """A feed that cannot go on where the journal ends."""


class Feed(Protocol):
    """Closed bars in order of time."""

    def next(self) -> Bar | None:
        """The next closed bar, waiting for it if need be; None when there will be no more."""
        ...

    def resume(self, last: Bar) -> None:
        """Go on behind `last`. Raises FeedError where the feed does not know that bar as it was."""
        ...


class ReplayFeed:
    """Recorded (or simulated) bars, one after the other, as fast as they are asked for; moves its clock along."""

    def __init__(self, bars: Bars, source: str, clock: BarClock) -> None:
        self.bars = bars
        self.source = source
        self._clock = clock
        self._index = 0

    @classmethod
    def read(cls, path: str | Path, clock: BarClock) -> "ReplayFeed":
        """A feed over a Parquet or CSV file; BarsError where it holds no true bars."""
        return cls(read_bars(path), str(path), clock)

    def __len__(self) -> int:
        """How many bars are still to come."""
        return len(self.bars) - self._index

    def next(self) -> Bar | None:
        if self._index == len(self.bars):
            return None
        bar = self.bars.bar(self._index)
        self._index += 1
        self._clock.advance(bar.opened_at + self.bars.interval_ms - 1)
        return bar

    def resume(self, last: Bar) -> None:
        index = int(self.bars.opened_at.searchsorted(last.opened_at))
        if index == len(self.bars) or self.bars.opened_at[index] != last.opened_at:
            raise FeedError(f"{self.source} has no bar that opened at {last.opened_at} ms, where the journal ends")
        if self.bars.bar(index) != last:
            raise FeedError(f"{self.source} tells another bar at {last.opened_at} ms than the journal: another feed?")
        self._index = index + 1


def is_long_gap(last_opened_at: int, opened_at: int, interval_ms: int) -> bool:
    """More than three bars are missing: what lies before and what lies behind are two segments."""
    return last_opened_at >= 0 and opened_at - last_opened_at > (CROSSED_GAP + 1) * interval_ms


def refusal(bar: Bar, last: Bar | None, interval_ms: int) -> str:
    """Why a bar cannot be true or cannot come now; empty where it can."""
    if bar.opened_at % interval_ms:
        return f"opens at {bar.opened_at} ms, which is not on the grid of {interval_ms} ms"
    if last is not None and bar.opened_at <= last.opened_at:
        return f"opened at {bar.opened_at} ms, not after the last one at {last.opened_at} ms"
    prices = (bar.open, bar.high, bar.low, bar.close)
    if not all(math.isfinite(price) and price > 0 for price in prices):
        return f"has prices {prices}, which are not all above 0"
    if bar.low > min(prices) or bar.high < max(prices):
        return f"has its low {bar.low} or high {bar.high} inside its other prices"
    if not (math.isfinite(bar.volume) and bar.volume >= 0):
        return f"has volume {bar.volume}"
    return ""
