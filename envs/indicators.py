"""The kernels of the market columns: state and the bar that just closed in, one float64 out, for one step a bar.

What several kernels ask of a bar is worked out once and handed to them as `Now`. Every value is a return, a ratio or
a place in a range. Knows bars and windows; `envs/kinds.py` chooses among them.
"""

import math
from typing import NamedTuple

from ..market.bars import Bar
from ..market.jit import inlined_kernel
from .rings import BLOCK_HEAD, State, oldest, push, sliding_highest, sliding_moments, sliding_sum

FOUR_LOG_2 = 4.0 * math.log(2.0)


class Now(NamedTuple):
    """A closed bar, and what it is beside the one before it: of a segment's first bar nothing is known before."""

    bar: Bar
    step: float  # log(close / close of the bar before); 0 in the first bar
    elapsed: float  # intervals since the bar before; more than 1 behind a gap, 1 in the first bar
    true_range: float
    last_close: float  # the first bar's own open
    closed_at: int


@inlined_kernel
def log_return(state: State, now: Now) -> float:
    """State: a ring of one close more than the window."""
    push(state, now.bar.close)
    return math.log(now.bar.close / oldest(state))


@inlined_kernel
def realised(state: State, now: Now) -> float:
    """Volatility an interval: squared returns over the time that passed. State: sums of both."""
    return math.sqrt(_variance(state, now))


@inlined_kernel
def realised_ratio(state: State, numbers: State, now: Now) -> float:
    """log of a short window's volatility over a long one's. State: the short one's sums, the long one's."""
    cut = 2 * (BLOCK_HEAD + int(numbers[0]))
    short, long = _variance(state[:cut], now), _variance(state[cut:], now)
    if short <= 0.0 or long <= 0.0:
        return 0.0
    return min(max(0.5 * math.log(short / long), -5.0), 5.0)


@inlined_kernel
def _variance(state: State, now: Now) -> float:
    half = len(state) // 2
    squares = sliding_sum(state[:half], now.step * now.step)
    return squares / sliding_sum(state[half:], now.elapsed)


@inlined_kernel
def parkinson(state: State, numbers: State, now: Now) -> float:
    """Parkinson's volatility (1980): log ranges within bars. State: the sum of their squares."""
    reach = math.log(now.bar.high / now.bar.low)
    return math.sqrt(sliding_sum(state, reach * reach) / (FOUR_LOG_2 * float(numbers[0])))


@inlined_kernel
def average_true_range(state: State, numbers: State, now: Now) -> float:
    """Wilder's, as a share of the close. State: average, bars."""
    weight = 1.0 / min(float(state[1]) + 1.0, float(numbers[0]))
    average = float(state[0]) + weight * (now.true_range - float(state[0]))
    state[0] = average
    state[1] += 1.0
    return average / now.bar.close


@inlined_kernel
def relative_strength(state: State, numbers: State, now: Now) -> float:
    """Wilder's, moved to [-1, 1]. State: average gain, average loss, changes, whether there was a bar."""
    gain, loss = float(state[0]), float(state[1])
    if state[3] > 0.0:
        change = now.bar.close - now.last_close
        weight = 1.0 / min(float(state[2]) + 1.0, float(numbers[0]))
        gain += weight * (max(change, 0.0) - gain)
        loss += weight * (max(-change, 0.0) - loss)
        state[0], state[1] = gain, loss
        state[2] += 1.0
    state[3] = 1.0
    total = gain + loss
    return (gain - loss) / total if total > 0.0 else 0.0


@inlined_kernel
def ema_ratio(state: State, numbers: State, now: Now) -> float:
    """log of a fast over a slow exponential average of closes. State: fast, slow, started."""
    fast, slow = _averages(state, numbers, now)
    return math.log(fast / slow)


@inlined_kernel
def macd(state: State, numbers: State, now: Now) -> float:
    """Fast less slow average, less their own average, over the close. State: fast, slow, started, signal."""
    fast, slow = _averages(state, numbers, now)
    gap = fast - slow
    signal = float(state[3]) + 2.0 / (float(numbers[2]) + 1.0) * (gap - float(state[3]))
    state[3] = signal
    return (gap - signal) / now.bar.close


@inlined_kernel
def _averages(state: State, numbers: State, now: Now) -> tuple[float, float]:
    close = now.bar.close
    fast, slow = close, close
    if state[2] > 0.0:
        fast = float(state[0]) + 2.0 / (float(numbers[0]) + 1.0) * (close - float(state[0]))
        slow = float(state[1]) + 2.0 / (float(numbers[1]) + 1.0) * (close - float(state[1]))
    state[0], state[1], state[2] = fast, slow, 1.0
    return fast, slow


@inlined_kernel
def bollinger(state: State, numbers: State, now: Now) -> float:
    """Standard deviations that the close lies above the window's mean close. State: the closes' moments."""
    mean, squares = sliding_moments(state, now.bar.close)
    return (now.bar.close - mean) / math.sqrt(squares / float(numbers[0])) if squares > 0.0 else 0.0


@inlined_kernel
def donchian_place(state: State, now: Now) -> float:
    """Where the close lies between the window's low (-1) and high (+1). State: highest high, highest minus low."""
    half = len(state) // 2
    top = sliding_highest(state[:half], now.bar.high)
    bottom = -sliding_highest(state[half:], -now.bar.low)
    return 2.0 * (now.bar.close - bottom) / (top - bottom) - 1.0 if top > bottom else 0.0


@inlined_kernel
def vwap_deviation(state: State, now: Now) -> float:
    """log of the close over the volume-weighted typical price. State: sums of price × volume and of volume."""
    half = len(state) // 2
    typical = (now.bar.high + now.bar.low + now.bar.close) / 3.0
    money = sliding_sum(state[:half], typical * now.bar.volume)
    volume = sliding_sum(state[half:], now.bar.volume)
    return math.log(now.bar.close / (money / volume)) if 0.0 < volume < math.inf and 0.0 < money < math.inf else 0.0


@inlined_kernel
def twpa_deviation(state: State, now: Now) -> float:
    """log of the close over the time-weighted price: a bar's mean price for its interval, the last close for a gap."""
    half = len(state) // 2
    price = (now.bar.open + now.bar.high + now.bar.low + now.bar.close) / 4.0
    weighted = sliding_sum(state[:half], price + (now.elapsed - 1.0) * now.last_close)
    return math.log(now.bar.close / (weighted / sliding_sum(state[half:], now.elapsed)))


@inlined_kernel
def velocity(state: State, now: Now) -> float:
    """Return an interval in units of volatility an interval, in [-1, 1]. State: sums of returns, squares, time."""
    third = len(state) // 3
    way = sliding_sum(state[:third], now.step)
    squares = sliding_sum(state[third : 2 * third], now.step * now.step)
    elapsed = sliding_sum(state[2 * third :], now.elapsed)
    return min(max(way / math.sqrt(squares * elapsed), -1.0), 1.0) if squares > 0.0 else 0.0


@inlined_kernel
def surge(state: State, numbers: State, now: Now) -> float:
    """log of (1 + short / long) / 2, mean volumes of two windows. State: both sums."""
    cut = BLOCK_HEAD + int(numbers[0])
    short = sliding_sum(state[:cut], now.bar.volume)
    long = sliding_sum(state[cut:], now.bar.volume)
    if not 0.0 < long < math.inf:
        return 0.0
    return math.log((1.0 + short / long * (float(numbers[1]) / float(numbers[0]))) / 2.0)


@inlined_kernel
def concentration(state: State, numbers: State, now: Now) -> float:
    """Herfindahl index of the window's volumes, from 0 (all bars alike) to 1 (all in one). State: sums of v², of v."""
    half = len(state) // 2
    squares = sliding_sum(state[:half], now.bar.volume * now.bar.volume)
    total = sliding_sum(state[half:], now.bar.volume)
    if not (0.0 < total * total < math.inf and squares < math.inf):
        return 0.0
    window = float(numbers[0])
    return min(max((window * (squares / (total * total)) - 1.0) / (window - 1.0), 0.0), 1.0)


@inlined_kernel
def taker_imbalance(state: State, now: Now) -> float:
    """Volume that takers bought less what they sold, as a share of all. State: sums of both."""
    half = len(state) // 2
    net = sliding_sum(state[:half], 2.0 * now.bar.taker_buy_volume - now.bar.volume)
    total = sliding_sum(state[half:], now.bar.volume)
    return min(max(net / total, -1.0), 1.0) if 0.0 < total < math.inf else 0.0
