"""Higher intervals: the bars of the stream gathered into those of a longer interval on the UTC grid.

A higher bar is seen when it has closed: at the close of the bar that completes it or, where that bar is missing, at
the close of the next one there is. The first is left out unless it was gathered from its beginning; one that lacks
bars later on is made of those there were, as the exchange's own would be. Knows no columns.
"""

from typing import NamedTuple

from ..market.bars import INTERVALS, UNKNOWN, Bar
from ..market.jit import inlined_kernel
from .rings import State

# What is gathered so far: all zeros before the first bar.
BEGUN, HELD, WHOLE, OPENED_AT, OPEN, HIGH, LOW, CLOSE, VOLUME, TAKER, TRADES = range(11)
GATHERING = 11


class Closed(NamedTuple):
    """The higher bars that one bar closed: none, `first`, or `first` and then `second`."""

    number: int
    first: Bar
    second: Bar


def split_timeframe(name: str) -> tuple[str, str]:
    """A column's own name and the interval behind its @, "" where there is none."""
    own, at, interval = name.partition("@")
    if at and interval not in INTERVALS:
        raise ValueError(f"market column {name!r}: {interval!r} is not one of {', '.join(INTERVALS)}")
    return own, interval


def higher_ms(name: str, interval: str, base_ms: int) -> int:
    """Milliseconds of a column's interval; ValueError where bars of `base_ms` do not gather into it."""
    if not interval:
        return base_ms
    higher = INTERVALS[interval]
    if higher <= base_ms or higher % base_ms:
        raise ValueError(f"market column {name!r}: bars of {base_ms} ms do not gather into longer ones of {interval}")
    return higher


def base_bars(higher_bars: int, higher: int, base_ms: int) -> int:
    """Bars after which `higher_bars` have closed for certain, the first one partial and left out."""
    ratio = higher // base_ms
    return higher_bars if ratio == 1 else higher_bars * ratio + ratio - 1


@inlined_kernel
def close_higher(gathering: State, bar: Bar, base_ms: int, higher_ms: int) -> Closed:
    """Add a bar to what is gathered; the higher bars that are seen to be over at its close."""
    start = bar.opened_at - bar.opened_at % higher_ms
    number, first = 0, bar
    if gathering[HELD] > 0.0 and start > gathering[OPENED_AT]:
        if gathering[WHOLE] > 0.0:
            number, first = 1, _gathered(gathering)
        gathering[HELD] = 0.0
    _gather(gathering, bar, start)
    second = bar
    if bar.opened_at + base_ms == start + higher_ms:
        if gathering[WHOLE] > 0.0:
            number, second = number + 1, _gathered(gathering)
            first = first if number == 2 else second
        gathering[HELD] = 0.0
    return Closed(number, first, second)


@inlined_kernel
def _gather(gathering: State, bar: Bar, start: int) -> None:
    if gathering[HELD] == 0.0:
        gathering[WHOLE] = 1.0 if gathering[BEGUN] > 0.0 or bar.opened_at == start else 0.0
        gathering[BEGUN], gathering[HELD], gathering[OPENED_AT] = 1.0, 1.0, start
        gathering[OPEN], gathering[HIGH], gathering[LOW] = bar.open, bar.high, bar.low
        gathering[VOLUME], gathering[TAKER], gathering[TRADES] = bar.volume, bar.taker_buy_volume, bar.trades
    else:
        gathering[HIGH] = max(float(gathering[HIGH]), bar.high)
        gathering[LOW] = min(float(gathering[LOW]), bar.low)
        gathering[VOLUME] += bar.volume
        gathering[TAKER] = _both(float(gathering[TAKER]), bar.taker_buy_volume)
        gathering[TRADES] = _both(float(gathering[TRADES]), float(bar.trades))
    gathering[CLOSE] = bar.close


@inlined_kernel
def _both(sum_: float, more: float) -> float:
    return sum_ + more if sum_ >= 0.0 and more >= 0.0 else float(UNKNOWN)


@inlined_kernel
def _gathered(gathering: State) -> Bar:
    return Bar(
        int(gathering[OPENED_AT]),
        float(gathering[OPEN]),
        float(gathering[HIGH]),
        float(gathering[LOW]),
        float(gathering[CLOSE]),
        float(gathering[VOLUME]),
        float(gathering[TAKER]),
        int(gathering[TRADES]),
    )
