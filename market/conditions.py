"""Market conditions as a cost model sees them before an order: volatility and volume per bar, from closed bars only."""

import math

import numpy as np
from numpy.typing import NDArray

from .bars import Bar, Bars
from .jit import kernel

CONDITION_WARM_UP = 16  # bars before the two estimates are used
DECAY = 1.0 / 32.0  # exponential weight of the newest bar

STATE_SIZE = 3  # last close, variance, volume
LAST_CLOSE, _VARIANCE, _VOLUME = 0, 1, 2


@kernel
def update_conditions(state: NDArray[np.float64], bar: Bar) -> tuple[float, float]:
    """Take one closed bar into `state` (3,) float64; return (sigma per bar, volume per bar)."""
    last = float(state[LAST_CLOSE])
    if last > 0.0:
        step = math.log(bar.close / last)
        state[_VARIANCE] += DECAY * (step * step - float(state[_VARIANCE]))
        state[_VOLUME] += DECAY * (bar.volume - float(state[_VOLUME]))
    else:
        span = math.log(bar.high / bar.low)
        state[_VARIANCE] = span * span / (4.0 * math.log(2.0))  # Parkinson: one bar's range as a first guess
        state[_VOLUME] = bar.volume
    state[LAST_CLOSE] = bar.close
    return math.sqrt(float(state[_VARIANCE])), float(state[_VOLUME])


def conditions_of(bars: Bars) -> NDArray[np.float64]:
    """(T, 2) float64: sigma and volume known at each bar's close; starts anew in each segment."""
    out = np.empty((len(bars), 2), np.float64)
    for start, stop in bars.segments():
        _run(bars.high, bars.low, bars.close, bars.volume, start, stop, out)
    return out


@kernel
def _run(
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
    volume: NDArray[np.float64],
    start: int,
    stop: int,
    out: NDArray[np.float64],
) -> None:
    state = np.zeros(STATE_SIZE)
    for t in range(start, stop):
        bar = Bar(0, float(close[t]), float(high[t]), float(low[t]), float(close[t]), float(volume[t]), -1.0, -1)
        sigma, amount = update_conditions(state, bar)
        out[t, 0] = sigma
        out[t, 1] = amount
