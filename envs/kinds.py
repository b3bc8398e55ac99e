"""Which kernel is which number, and the one switch over them: a plan of columns is shown a bar and tells their values.

Knows how a bar compares with the one before it. What the columns are worth stands in `envs/indicators.py`, their names
in `envs/families.py`.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ..market.bars import DAY_MS, Bar
from ..market.jit import inlined_kernel, lean_kernel
from .indicators import (
    Now,
    average_true_range,
    bollinger,
    concentration,
    donchian_place,
    ema_ratio,
    log_return,
    macd,
    parkinson,
    realised,
    realised_ratio,
    relative_strength,
    surge,
    taker_imbalance,
    twpa_deviation,
    velocity,
    vwap_deviation,
)
from .rings import State
from .spine import volatility, volatility_ratio, volume_surge

(
    RETURN,
    VOLATILITY,
    VOLATILITY_RATIO,
    ATR,
    RSI,
    EMA_RATIO,
    DONCHIAN,
    VOLUME_SURGE,
    REALISED,
    REALISED_RATIO,
    PARKINSON,
    MACD,
    BOLLINGER,
    VWAP,
    TWPA,
    VELOCITY,
    SURGE,
    CONCENTRATION,
    TAKER_IMBALANCE,
    DAY_SIN,
    DAY_COS,
    WEEK_SIN,
    WEEK_COS,
) = range(23)
KIND, START, STOP, PLACE = range(4)  # of a plan: which kernel, its state from … to, its place in a row
SEEN, LAST_OPENED_AT, LAST_CLOSE = range(3)  # the head of a plan's state
HEAD = 3
WEEK_MS, MONDAY_MS = 7 * DAY_MS, 4 * DAY_MS  # 1970-01-05 was a Monday


@lean_kernel
def update_all(
    plan: NDArray[np.int64], numbers: State, state: State, bar: Bar, interval_ms: int, values: State
) -> None:
    """Show one closed bar to the n columns of `plan` and write their values into `values`.

    `plan` (n, 4) int64 by the constants above; `numbers` (n, 3) float64: the numbers in the columns' names; `state`
    float64, zeros before the first bar.
    """
    now = _compare(state, bar, interval_ms)
    for j in range(len(plan)):
        values[j] = _update(int(plan[j, KIND]), state[plan[j, START] : plan[j, STOP]], numbers[j], now)


@inlined_kernel
def _compare(state: State, bar: Bar, interval_ms: int) -> Now:
    closed_at = bar.opened_at + interval_ms - 1
    step, elapsed, last = 0.0, 1.0, bar.open
    if state[SEEN] > 0.0:
        last = float(state[LAST_CLOSE])
        step = math.log(bar.close / last)
        elapsed = max((bar.opened_at - float(state[LAST_OPENED_AT])) / interval_ms, 1.0)
    true_range = max(bar.high, last) - min(bar.low, last)
    state[SEEN] += 1.0
    state[LAST_OPENED_AT] = bar.opened_at
    state[LAST_CLOSE] = bar.close
    return Now(bar, step, elapsed, true_range, last, closed_at)


@inlined_kernel
def _update(kind: int, state: State, numbers: State, now: Now) -> float:
    """One switch over all kernels: compiled code has no table of functions to call."""
    if kind == RETURN:
        return log_return(state, now)
    if kind == REALISED:
        return realised(state, now)
    if kind == VELOCITY:
        return velocity(state, now)
    if kind == SURGE:
        return surge(state, numbers, now)
    if kind == DONCHIAN:
        return donchian_place(state, now)
    if kind == RSI:
        return relative_strength(state, numbers, now)
    if kind == ATR:
        return average_true_range(state, numbers, now)
    if kind == EMA_RATIO:
        return ema_ratio(state, numbers, now)
    if kind == MACD:
        return macd(state, numbers, now)
    if kind == REALISED_RATIO:
        return realised_ratio(state, numbers, now)
    if kind == PARKINSON:
        return parkinson(state, numbers, now)
    if kind == BOLLINGER:
        return bollinger(state, numbers, now)
    if kind == VWAP:
        return vwap_deviation(state, now)
    if kind == TWPA:
        return twpa_deviation(state, now)
    if kind == CONCENTRATION:
        return concentration(state, numbers, now)
    if kind == DAY_SIN:
        return math.sin(_angle(now.closed_at, DAY_MS))
    if kind == DAY_COS:
        return math.cos(_angle(now.closed_at, DAY_MS))
    if kind == WEEK_SIN:
        return math.sin(_angle(now.closed_at - MONDAY_MS, WEEK_MS))
    if kind == WEEK_COS:
        return math.cos(_angle(now.closed_at - MONDAY_MS, WEEK_MS))
    if kind == TAKER_IMBALANCE:
        return taker_imbalance(state, now)
    if kind == VOLATILITY:
        return volatility(state, now.step)
    if kind == VOLATILITY_RATIO:
        return volatility_ratio(state, now.step)
    return volume_surge(state, now.bar.volume)


@inlined_kernel
def _angle(at: int, period_ms: int) -> float:
    return math.tau * ((at % period_ms) / period_ms)
