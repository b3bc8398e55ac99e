"""Moments to measure a memory with: eight invented symbols, 128 columns of what a desk would look at.

Returns have a common factor, volatility that wanders and calm, trending and stormy regimes; a row is 32 scaled lagged
returns and 12 statistics over each of 8 windows of 4 … 512 bars, z-scored, clipped, rotated onto the principal
directions of the first 100,000 rows, unit norm. So neighbours lie in a space with structure, as those of real bars do.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from wavetank.memory.moments import Moments, symbol_code

SYMBOLS, WIDTH, HORIZON, HOUR_MS = 8, 128, 24, 3_600_000
LAGS, WINDOWS, FIT_ROWS, CLIP = 32, (4, 8, 16, 32, 64, 128, 256, 512), 100_000, 5.0
WARM_UP = max(WINDOWS) + 1
REGIMES = ((0.3, 0.0, 0.9), (1.0, 0.15, 1.0), (0.6, -0.2, 1.2), (2.2, -0.05, 1.8))  # volatility, persistence, volume
REGIME_BARS = 200.0  # mean length

Floats = NDArray[np.float64]


def moments(n: int, seed: int = 0) -> Moments:
    """n moments in the order of (known_at, id), symbols interleaved; outcomes are those of the invented prices."""
    rng = np.random.default_rng(seed)
    bars = -(-n // SYMBOLS)
    total = bars + WARM_UP + HORIZON
    common = rng.standard_normal(total)
    raw = np.empty((bars, SYMBOLS, WIDTH), np.float32)
    outcomes = np.empty((3, bars, SYMBOLS), np.float32)
    for s in range(SYMBOLS):
        returns, volume = _walk(common, rng)
        raw[:, s] = _columns(returns, volume, common)[WARM_UP : WARM_UP + bars]
        outcomes[:, :, s] = _outcomes(returns)[:, WARM_UP : WARM_UP + bars]
    vectors = _rotated(raw.reshape(-1, WIDTH)[:n])
    codes = np.array([symbol_code(f"S{s}") for s in range(SYMBOLS)], np.int64)
    closed_at = np.repeat(np.arange(1, bars + 1) * HOUR_MS - 1, SYMBOLS)[:n]
    fall, volatility = outcomes[1].ravel()[:n], outcomes[2].ravel()[:n]
    return Moments(
        np.arange(n, dtype=np.int64),
        np.tile(codes, bars)[:n],
        closed_at,
        closed_at + HORIZON * HOUR_MS,
        outcomes[0].ravel()[:n],
        fall,
        volatility,
        vectors,
        {int(code): f"S{s}" for s, code in enumerate(codes)},
    )


def _walk(common: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Log returns and volumes of one symbol."""
    total = len(common)
    lengths = rng.geometric(1.0 / REGIME_BARS, int(3 * total / REGIME_BARS) + 50)
    kinds = np.repeat(rng.integers(0, len(REGIMES), len(lengths)), lengths)[:total]
    scale, persistence, trade = np.array(REGIMES)[kinds].T
    wander = lfilter([0.05], [1.0, -0.99], rng.standard_normal(total))
    noise = 0.6 * common + 0.8 * rng.standard_t(5, total) * np.sqrt(3 / 5)
    sigma = 0.005 * scale * np.exp(wander)
    shocks = sigma * noise
    returns = shocks + persistence * np.r_[0.0, shocks[:-1]] + 0.5 * persistence * np.r_[0.0, 0.0, shocks[:-2]]
    volume = trade * np.exp(0.5 * wander + 0.3 * np.abs(noise) + 0.3 * rng.standard_normal(total))
    return returns, volume


def _columns(returns: Floats, volume: Floats, common: Floats) -> NDArray[np.float32]:
    """(T, 128): lagged returns over their recent volatility, and the statistics of each window."""
    day = np.sqrt(_mean(returns * returns, 64)) + 1e-12
    columns = [np.r_[np.zeros(lag), returns[: len(returns) - lag]] / day for lag in range(LAGS)]
    price, size = np.cumsum(returns), np.abs(returns)
    usual = _mean(volume, max(WINDOWS)) + 1e-12
    for window in WINDOWS:
        mean, square = _mean(returns, window), _mean(returns * returns, window) + 1e-14
        spread = np.sqrt(square)
        columns += [
            mean / spread,
            np.log(spread),
            _mean(returns**3, window) / spread**3,
            np.log(_mean(returns**4, window) / square**2 + 1e-3),
            _mean(returns * np.r_[0.0, returns[:-1]], window) / square,
            _mean((returns > 0.0).astype(np.float64), window),
            np.abs(mean) / (_mean(size, window) + 1e-12),
            np.log(_mean(volume, window) / usual + 1e-6),
            _mean(volume * size, window) / (_mean(volume, window) * _mean(size, window) + 1e-12),
            np.log(_mean(size, window) + 1e-9),
            (price - _mean(price, window)) / (spread * np.sqrt(window)),
            _mean(common, window) * np.sqrt(window),
        ]
    return np.stack(columns, axis=1).astype(np.float32)


def _mean(values: Floats, window: int) -> Floats:
    """The mean of the last `window` values; of fewer at the start."""
    sums = np.r_[0.0, np.cumsum(values)]
    first = np.maximum(np.arange(1, len(values) + 1) - window, 0)
    means: Floats = (sums[1:] - sums[first]) / (np.arange(1, len(values) + 1) - first)
    return np.where(np.abs(means) < 1e-13, 0.0, means)


def _outcomes(returns: Floats) -> Floats:
    """(3, T): log return, fall from a peak and volatility of the next HORIZON bars; the last ones stay 0."""
    out = np.zeros((3, len(returns)))
    ahead = np.lib.stride_tricks.sliding_window_view(returns[1:], HORIZON)
    way = np.cumsum(ahead, axis=1)
    out[0, : len(ahead)] = way[:, -1]
    out[1, : len(ahead)] = 1.0 - np.exp((way - np.maximum.accumulate(np.maximum(way, 0.0), axis=1)).min(axis=1))
    out[2, : len(ahead)] = np.sqrt((ahead * ahead).mean(axis=1))
    return out


def _rotated(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Z-score, clip, rotation of the first rows' principal directions, unit norm; in place."""
    fitted = raw[:FIT_ROWS]
    raw -= fitted.mean(axis=0, dtype=np.float64).astype(np.float32)
    raw /= raw[:FIT_ROWS].std(axis=0, dtype=np.float64).astype(np.float32) + np.float32(1e-9)
    np.clip(raw, -CLIP, CLIP, out=raw)
    head = raw[:FIT_ROWS].astype(np.float64)
    _, directions = np.linalg.eigh(head.T @ head)
    turn = np.ascontiguousarray(directions[:, ::-1]).astype(np.float32)
    for start in range(0, len(raw), FIT_ROWS):
        part = raw[start : start + FIT_ROWS] @ turn
        raw[start : start + FIT_ROWS] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return raw
