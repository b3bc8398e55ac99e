"""The 32 default columns as a notebook would make them: TA-Lib and numpy over whole arrays, once, for a finished past.

It has no stream and no state, and its sums drift: TA-Lib adds what comes and subtracts what goes.
"""

import math

import numpy as np
import talib
from numpy.typing import NDArray

from wavetank.market.bars import DAY_MS, Bars

Floats = NDArray[np.float64]


def default_columns(bars: Bars) -> NDArray[np.float32]:
    """(T, 32) float32 in the order of conf/observation/default.yaml; gaps are not looked at."""
    close, high, low, volume = bars.close, bars.high, bars.low, bars.volume
    logs = np.log(close)
    steps = np.diff(logs, prepend=logs[0])
    squares = steps * steps
    sums = {window: talib.SUM(squares, window) for window in (12, 24, 48, 96, 168)}
    volumes = {window: talib.SUM(volume, window) for window in (4, 24, 48, 168)}
    upper, middle, _ = talib.BBANDS(close, 20, 1.0, 1.0)
    typical, mean = talib.TYPPRICE(high, low, close), talib.AVGPRICE(bars.open, high, low, close)
    day = 2 * math.pi * ((bars.closed_at % DAY_MS) / DAY_MS)
    week = 2 * math.pi * (((bars.closed_at - 4 * DAY_MS) % (7 * DAY_MS)) / (7 * DAY_MS))
    columns = (
        *(_back(logs, window) for window in (1, 2, 4, 8, 24, 48, 96, 168)),
        np.sqrt(sums[24] / 24),
        np.sqrt(sums[96] / 96),
        0.5 * np.log(sums[24] / 24 / (sums[168] / 168)),
        np.sqrt(talib.SUM(np.log(high / low) ** 2, 24) / (24 * 4 * math.log(2))),
        talib.ATR(high, low, close, 14) / close,
        talib.RSI(close, 14) / 50 - 1,
        talib.RSI(close, 28) / 50 - 1,
        talib.MACD(close, 12, 26, 9)[2] / close,
        np.log(talib.EMA(close, 12) / talib.EMA(close, 26)),
        np.log(talib.EMA(close, 24) / talib.EMA(close, 72)),
        (close - middle) / (upper - middle),
        *(_place(close, talib.MAX(high, window), talib.MIN(low, window)) for window in (24, 96)),
        np.log(close / (talib.SUM(typical * volume, 24) / volumes[24])),
        np.log(close / talib.SMA(mean, 24)),
        *(_back(logs, window) / np.sqrt(sums[window] * window) for window in (12, 48)),
        np.log((1 + volumes[4] / volumes[48] * 12) / 2),
        np.log((1 + volumes[24] / volumes[168] * 7) / 2),
        (24 * talib.SUM(volume * volume, 24) / volumes[24] ** 2 - 1) / 23,
        *(np.sin(day), np.cos(day), np.sin(week), np.cos(week)),
    )
    out = np.empty((len(bars), len(columns)), np.float32)
    for k, column in enumerate(columns):
        out[:, k] = column
    return out


def _back(logs: Floats, window: int) -> Floats:
    out = np.full(len(logs), math.nan)
    out[window:] = logs[window:] - logs[:-window]
    return out


def _place(close: Floats, top: Floats, bottom: Floats) -> Floats:
    return 2 * (close - bottom) / (top - bottom) - 1
