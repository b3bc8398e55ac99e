"""Rules as kernels: closed bars in, a target exposure in [-1, 1] out, in constant time a bar.

A rule's memory is one float64 row, its parameters another; `decide` is the whole of it, for the policy that acts bar
by bar and for the back-test that walks a thousand rows. A signal sees bars alone; the account matters to exits only.
Until a rule is warm it says 0. Knows no venue and no money.
"""

import math

from ..market.bars import Bar
from ..market.draws import uniform
from ..market.jit import inlined_kernel, lean_kernel
from .exits import N_EXITS, N_MEMORY, with_exits
from .indicators import (
    State,
    highest,
    moving_band,
    moving_mean,
    push_highest,
    queue_size,
    relative_strength,
    smoothed,
    window_size,
)

FLAT, HOLD, RANDOM, MA_CROSS, EMA_CROSS, RSI_REVERSION, BOLLINGER, MACD, BREAKOUT, DCA = range(10)

WARM, SHORTS, OWN = 0, 1, 2  # of the parameters: bars to warm up, whether it sells short, what is the rule's own
N_OWN = 5
EXITS = OWN + N_OWN
N_PARAMS = EXITS + N_EXITS

SEEN, DECIDED, WISH, _MEMORY = 0, 1, 2, 3  # of the state: bars seen, decisions made, the standing wish, the exits'
HEAD = _MEMORY + N_MEMORY  # where a rule's indicators begin

SLACK = 1e-12  # of a price: averages closer than this are equal
FINEST = 1048576.0  # targets are whole multiples of 2⁻²⁰, which the float32 of an action holds exactly


@lean_kernel
def decide(kind: int, params: State, state: State, bar: Bar, lots: int, entry: float) -> float:
    """The target exposure at the close of `bar`, for an account that holds `lots` bought at `entry` on average."""
    signal = watch(kind, params, state, bar)
    state[DECIDED] += 1.0
    return with_exits(params, EXITS, state, _MEMORY, bar, lots, entry, signal)


@inlined_kernel
def watch(kind: int, params: State, state: State, bar: Bar) -> float:
    """See a closed bar without deciding; returns the signal, 0.0 before the rule is warm."""
    state[SEEN] += 1.0
    is_warm = bool(state[SEEN] >= params[WARM])
    signal = 0.0
    if kind == MA_CROSS:
        signal = ma_cross(params, state, bar)
    elif kind == EMA_CROSS:
        signal = ema_cross(params, state, bar)
    elif kind == RSI_REVERSION:
        signal = rsi_reversion(params, state, bar, is_warm)
    elif kind == BOLLINGER:
        signal = bollinger(params, state, bar, is_warm)
    elif kind == MACD:
        signal = macd(params, state, bar)
    elif kind == BREAKOUT:
        signal = breakout(params, state, bar, is_warm)
    elif kind == RANDOM:
        signal = random_side(params, state)
    elif kind == DCA:
        signal = steady_buying(params, state)
    elif kind == HOLD:
        signal = 1.0
    if not is_warm or (signal < 0.0 and params[SHORTS] == 0.0):
        return 0.0
    return signal


@inlined_kernel
def ma_cross(params: State, state: State, bar: Bar) -> float:
    """Long while the `fast` mean of closes is above the `slow` one, short while it is below."""
    fast, slow = int(params[OWN]), int(params[OWN + 1])
    quick = moving_mean(state, HEAD, fast, bar.close)
    calm = moving_mean(state, HEAD + window_size(fast), slow, bar.close)
    return _side(quick - calm, bar.close)


@inlined_kernel
def ema_cross(params: State, state: State, bar: Bar) -> float:
    """Long while the exponential average of span `fast` is above that of span `slow`, short while it is below."""
    is_first = bool(state[SEEN] == 1.0)
    quick = smoothed(state, HEAD, float(params[OWN]), bar.close, is_first)
    calm = smoothed(state, HEAD + 1, float(params[OWN + 1]), bar.close, is_first)
    return _side(quick - calm, bar.close)


@inlined_kernel
def rsi_reversion(params: State, state: State, bar: Bar, is_warm: bool) -> float:
    """Buy what Wilder's RSI calls sold out (below `low`) in an upward trend, sell short the opposite; leave at `exit`.

    The trend is up while the close is above its mean over `trend` bars; with `trend` 0 nothing is filtered.
    """
    low, high, leave, trend = (
        float(params[OWN + 1]),
        float(params[OWN + 2]),
        float(params[OWN + 3]),
        int(params[OWN + 4]),
    )
    strength = relative_strength(state, HEAD, float(params[OWN]), bar.close, float(state[SEEN]) - 1.0)
    slope = _side(bar.close - moving_mean(state, HEAD + 3, trend, bar.close), bar.close) if trend > 0 else 0.0
    wish = float(state[WISH])
    if (wish > 0.0 and strength >= leave) or (wish < 0.0 and strength <= leave):
        wish = 0.0
    if strength < low and (trend == 0 or slope > 0.0):
        wish = 1.0
    elif strength > high and (trend == 0 or slope < 0.0):
        wish = -1.0
    return _keep(params, state, wish, is_warm)


@inlined_kernel
def bollinger(params: State, state: State, bar: Bar, is_warm: bool) -> float:
    """Buy below the lower band, sell short above the upper one, leave at the mean; `width` in deviations."""
    mean, deviation = moving_band(state, HEAD, int(params[OWN]), bar.close)
    away = bar.close - mean
    reach = max(float(params[OWN + 1]) * deviation, SLACK * bar.close)
    wish = float(state[WISH])
    if wish * away >= 0.0:
        wish = 0.0
    if away < -reach:
        wish = 1.0
    elif away > reach:
        wish = -1.0
    return _keep(params, state, wish, is_warm)


@inlined_kernel
def macd(params: State, state: State, bar: Bar) -> float:
    """Long while the MACD line (exponential averages, `fast` less `slow`) is above its `signal` average, else short."""
    is_first = bool(state[SEEN] == 1.0)
    quick = smoothed(state, HEAD, float(params[OWN]), bar.close, is_first)
    calm = smoothed(state, HEAD + 1, float(params[OWN + 1]), bar.close, is_first)
    line = quick - calm
    return _side(line - smoothed(state, HEAD + 2, float(params[OWN + 2]), line, is_first), bar.close)


@inlined_kernel
def breakout(params: State, state: State, bar: Bar, is_warm: bool) -> float:
    """Buy a close above the highest high of the `entry` bars before, sell short one below their lowest low; leave when
    the close breaks the opposite end of the `exit` bars before (Donchian's channel, the Turtles' rule)."""
    entry, leave = int(params[OWN]), int(params[OWN + 1])
    top, bottom = HEAD, HEAD + queue_size(entry)
    near_top = bottom + queue_size(entry)
    near_bottom = near_top + queue_size(leave)
    close = bar.close
    wish = float(state[WISH])
    if state[SEEN] > 1.0:
        if close > highest(state, top):
            wish = 1.0
        elif -close > highest(state, bottom):
            wish = -1.0
        elif (wish > 0.0 and -close > highest(state, near_bottom)) or (wish < 0.0 and close > highest(state, near_top)):
            wish = 0.0
    number = float(state[SEEN])
    push_highest(state, top, entry, number, bar.high)
    push_highest(state, bottom, entry, number, -bar.low)
    push_highest(state, near_top, leave, number, bar.high)
    push_highest(state, near_bottom, leave, number, -bar.low)
    return _keep(params, state, wish, is_warm)


@inlined_kernel
def random_side(params: State, state: State) -> float:
    """Short, flat or long by lot, drawn anew `every` bars: a function of `seed` and the number of the bar alone."""
    turn = int((state[SEEN] - 1.0) // params[OWN])
    return math.floor(3.0 * uniform(int(params[OWN + 1]), 0, turn)) - 1.0


@inlined_kernel
def steady_buying(params: State, state: State) -> float:
    """Own one more `share` of what is allowed `every` bars, from the first decision on, until all is bought."""
    bought = float(params[OWN + 1]) * (1.0 + float(state[DECIDED]) // float(params[OWN]))
    return min(math.floor(bought * FINEST + 0.5) / FINEST, 1.0)


@inlined_kernel
def _side(difference: float, price: float) -> float:
    """The sign of a difference of prices; 0 where it is rounding."""
    if abs(difference) <= SLACK * price:
        return 0.0
    return 1.0 if difference > 0.0 else -1.0


@inlined_kernel
def _keep(params: State, state: State, wish: float, is_warm: bool) -> float:
    """A wish stands until it is taken back; none does before the rule is warm, nor one that may not be."""
    if not is_warm or (wish < 0.0 and params[SHORTS] == 0.0):
        wish = 0.0
    state[WISH] = wish
    return wish
