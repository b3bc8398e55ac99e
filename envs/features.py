"""Market features as streaming kernels: a state and `update(state, bar) -> float64`, one closed bar at a time.

The batch matrix is the same loop over recorded bars, so training and trading see the same bits. Every column is
scale-free (a return, a ratio, a place in a range), and 0.0 until its warm-up is over. Knows no account and no future.
"""

import hashlib
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..market.bars import CROSSED_GAP, Bar, Bars
from ..market.jit import inlined_kernel, kernel

State = NDArray[np.float64]

_RETURN, _VOLATILITY, _VOLATILITY_RATIO, _ATR, _RSI, _EMA_RATIO, _DONCHIAN, _SURGE = range(8)
_HEAD = 2  # a ring's first two cells: how many values it holds, where the next one goes


class Feature(NamedTuple):
    """A column: its kernel's number, the floats of its state, the bars it needs before it speaks."""

    kind: int
    size: int
    warm_up: int


def _ring(window: int) -> int:
    return _HEAD + window


FEATURES: dict[str, Feature] = {
    "return_1": Feature(_RETURN, _ring(2), 2),
    "return_5": Feature(_RETURN, _ring(6), 6),
    "return_20": Feature(_RETURN, _ring(21), 21),
    "volatility_20": Feature(_VOLATILITY, 1 + _ring(20), 21),
    "volatility_ratio": Feature(_VOLATILITY_RATIO, 1 + _ring(48), 49),
    "atr_14": Feature(_ATR, 3, 60),
    "rsi_14": Feature(_RSI, 4, 60),
    "ema_ratio": Feature(_EMA_RATIO, 3, 60),
    "donchian_20": Feature(_DONCHIAN, 2 * _ring(20), 20),
    "volume_surge_20": Feature(_SURGE, _ring(20), 20),
}


def warm_up(names: tuple[str, ...]) -> int:
    """Bars needed before every named column speaks."""
    return max(_feature(name).warm_up for name in names)


def code_digest() -> str:
    """sha256 of this file: the code that makes the columns, as a passport pins it."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def describe(name: str) -> str:
    """One sentence about a market column, from its kernel's docstring."""
    feature = _feature(name)
    about = " ".join((_KERNELS[feature.kind].__doc__ or "").split()).split(" State: ")[0].rstrip(".")
    return f"{about}; {feature.warm_up} bars to warm up."


def feature_matrix(bars: Bars, names: tuple[str, ...]) -> NDArray[np.float32]:
    """(T, len(names)) float32; rows inside a segment's warm-up are NaN."""
    kinds, offsets = _layout(names)
    out = np.full((len(bars), len(names)), np.nan, np.float32)
    need = warm_up(names)
    for start, stop in bars.segments():
        _run(bars.open, bars.high, bars.low, bars.close, bars.volume, start, stop, need, kinds, offsets, out)
    return out


class FeatureStream:
    """The same columns live: feed closed bars in order; a gap of more than three intervals starts the warm-up anew."""

    def __init__(self, names: tuple[str, ...], interval_ms: int) -> None:
        self._kinds, self._offsets = _layout(names)
        self._need = warm_up(names)
        self._interval_ms = interval_ms
        self._state = np.zeros(int(self._offsets[-1]) + 2)  # + bars seen, last open time

    @property
    def is_warm(self) -> bool:
        return bool(self._state[-2] >= self._need)

    def update(self, bar: Bar) -> NDArray[np.float64] | None:
        """Take one closed bar; the row (len(names),) float64, or None while warming up."""
        seen, last = self._state[-2], self._state[-1]
        if seen and bar.opened_at <= last:
            raise ValueError(f"bar at {bar.opened_at} is not newer than the last one, {int(last)}")
        if seen and bar.opened_at - last > (CROSSED_GAP + 1) * self._interval_ms:
            self._state[:] = 0.0
        row = np.empty(len(self._kinds))
        update_all(self._kinds, self._offsets, self._state, bar, row)
        self._state[-2] += 1.0
        self._state[-1] = bar.opened_at
        return row if self.is_warm else None

    def state(self) -> bytes:
        """Everything the stream remembers."""
        return self._state.tobytes()

    def restore(self, state: bytes) -> None:
        """Go on exactly where `state` was taken."""
        values = np.frombuffer(state, np.float64)
        if values.shape != self._state.shape:
            raise ValueError(f"a feature state of {len(values)} numbers does not fit these columns")
        self._state = values.copy()


def _feature(name: str) -> Feature:
    if name not in FEATURES:
        raise ValueError(f"there is no market column {name!r}; known are {', '.join(FEATURES)}")
    return FEATURES[name]


def _layout(names: tuple[str, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    features = [_feature(name) for name in names]
    kinds = np.array([feature.kind for feature in features], np.int64)
    return kinds, np.cumsum([0, *(feature.size for feature in features)], dtype=np.int64)


@kernel
def _run(
    open_: State,
    high: State,
    low: State,
    close: State,
    volume: State,
    start: int,
    stop: int,
    need: int,
    kinds: NDArray[np.int64],
    offsets: NDArray[np.int64],
    out: NDArray[np.float32],
) -> None:
    state = np.zeros(offsets[-1])
    row = np.empty(len(kinds))
    for t in range(start, stop):
        bar = Bar(t, float(open_[t]), float(high[t]), float(low[t]), float(close[t]), float(volume[t]), -1.0, -1)
        update_all(kinds, offsets, state, bar, row)
        if t - start + 1 >= need:
            for j in range(len(kinds)):
                out[t, j] = row[j]


@kernel
def update_all(
    kinds: NDArray[np.int64], offsets: NDArray[np.int64], state: State, bar: Bar, row: NDArray[np.float64]
) -> None:
    """Update every column's state with one bar and write its value into `row`."""
    for j in range(len(kinds)):
        row[j] = _update(kinds[j], state[offsets[j] : offsets[j + 1]], bar)


@kernel
def _update(kind: int, state: State, bar: Bar) -> float:
    if kind == _RETURN:
        return log_return(state, bar)
    if kind == _VOLATILITY:
        return volatility(state, bar)
    if kind == _VOLATILITY_RATIO:
        return volatility_ratio(state, bar)
    if kind == _ATR:
        return average_true_range(state, bar)
    if kind == _RSI:
        return relative_strength(state, bar)
    if kind == _EMA_RATIO:
        return ema_ratio(state, bar)
    if kind == _DONCHIAN:
        return donchian_place(state, bar)
    return volume_surge(state, bar)


@inlined_kernel
def log_return(state: State, bar: Bar) -> float:
    """log(close / close as many bars ago as the name says). State: a ring of one close more."""
    _push(state, bar.close)
    return math.log(bar.close / _oldest(state))


@inlined_kernel
def volatility(state: State, bar: Bar) -> float:
    """Root mean square of the window's one-bar log returns."""
    _push(state[1:], _step(state, bar))
    return math.sqrt(_mean_square(state[1:], len(state) - 1 - _HEAD))


@inlined_kernel
def volatility_ratio(state: State, bar: Bar) -> float:
    """log of the last 10 bars' volatility over that of the window."""
    _push(state[1:], _step(state, bar))
    long = _mean_square(state[1:], len(state) - 1 - _HEAD)
    short = _mean_square(state[1:], 10)
    if long <= 0.0 or short <= 0.0:
        return 0.0
    ratio = 0.5 * math.log(short / long)
    return min(max(ratio, -5.0), 5.0)


@inlined_kernel
def average_true_range(state: State, bar: Bar) -> float:
    """Wilder's average true range over 14 bars, as a share of the close. State: last close, average, count."""
    last = state[0] if state[2] > 0.0 else bar.open
    true_range = max(bar.high, last) - min(bar.low, last)
    weight = 1.0 / 14.0 if state[2] >= 14.0 else 1.0 / (state[2] + 1.0)
    state[1] += weight * (true_range - float(state[1]))
    state[0] = bar.close
    state[2] += 1.0
    return float(state[1]) / bar.close


@inlined_kernel
def relative_strength(state: State, bar: Bar) -> float:
    """Wilder's RSI over 14 bars, moved to [-1, 1]. State: last close, average gain, average loss, changes."""
    if state[0] > 0.0:
        change = bar.close - float(state[0])
        weight = 1.0 / 14.0 if state[3] >= 14.0 else 1.0 / (state[3] + 1.0)
        state[1] += weight * (max(change, 0.0) - float(state[1]))
        state[2] += weight * (max(-change, 0.0) - float(state[2]))
        state[3] += 1.0
    state[0] = bar.close
    total = float(state[1]) + float(state[2])
    return (float(state[1]) - float(state[2])) / total if total > 0.0 else 0.0


@inlined_kernel
def ema_ratio(state: State, bar: Bar) -> float:
    """log of the 12-bar over the 26-bar exponential average of closes. State: fast, slow, started."""
    if state[2] == 0.0:
        state[0] = bar.close
        state[1] = bar.close
        state[2] = 1.0
    else:
        state[0] += 2.0 / 13.0 * (bar.close - float(state[0]))
        state[1] += 2.0 / 27.0 * (bar.close - float(state[1]))
    return math.log(float(state[0]) / float(state[1]))


@inlined_kernel
def donchian_place(state: State, bar: Bar) -> float:
    """Where the close lies between the window's low (-1) and high (+1)."""
    half = len(state) // 2
    highs, lows = state[:half], state[half:]
    _push(highs, bar.high)
    _push(lows, bar.low)
    top, bottom = bar.high, bar.low
    for i in range(int(highs[0])):
        top = max(top, float(highs[_HEAD + i]))
        bottom = min(bottom, float(lows[_HEAD + i]))
    return 2.0 * (bar.close - bottom) / (top - bottom) - 1.0 if top > bottom else 0.0


@inlined_kernel
def volume_surge(state: State, bar: Bar) -> float:
    """log of (1 + volume) relative to (1 + the window's mean volume), both in units of that mean."""
    _push(state, bar.volume)
    total = 0.0
    count = int(state[0])
    for i in range(count):
        total += float(state[_HEAD + i])
    mean = total / count
    return math.log((1.0 + bar.volume / mean) / 2.0) if mean > 0.0 else 0.0


@inlined_kernel
def _step(state: State, bar: Bar) -> float:
    last = float(state[0])
    state[0] = bar.close
    return math.log(bar.close / last) if last > 0.0 else 0.0


@inlined_kernel
def _push(ring: State, value: float) -> None:
    size = len(ring) - _HEAD
    at = int(ring[1])
    ring[_HEAD + at] = value
    ring[1] = float((at + 1) % size)
    if ring[0] < size:
        ring[0] += 1.0


@inlined_kernel
def _oldest(ring: State) -> float:
    size = len(ring) - _HEAD
    if ring[0] < size:
        return float(ring[_HEAD])
    return float(ring[_HEAD + int(ring[1])])


@inlined_kernel
def _mean_square(ring: State, newest: int) -> float:
    size = len(ring) - _HEAD
    count = min(newest, int(ring[0]))
    total = 0.0
    for i in range(count):
        value = float(ring[_HEAD + (int(ring[1]) - 1 - i + size) % size])
        total += value * value
    return total / count if count > 0 else 0.0


_KERNELS = {
    _RETURN: log_return,
    _VOLATILITY: volatility,
    _VOLATILITY_RATIO: volatility_ratio,
    _ATR: average_true_range,
    _RSI: relative_strength,
    _EMA_RATIO: ema_ratio,
    _DONCHIAN: donchian_place,
    _SURGE: volume_surge,
}
