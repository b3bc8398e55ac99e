"""Every rule and exit once more, in plain Python from its definition, as slow as you like: the oracle of the kernels.

A signal is a list over all closes so far, from a look at whole windows; nothing is carried from bar to bar but what
the definition carries. No import of the rules' own arithmetic.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from wavetank.market.bars import Bar
from wavetank.market.draws import uniform

Closes = list[float]


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def sign(difference: float, price: float = 0.0) -> float:
    return 0.0 if abs(difference) <= 1e-12 * price else math.copysign(1.0, difference) if difference else 0.0


def smooth(values: Closes, span: int) -> list[float]:
    """Each value from all before it: Σ α(1 − α)^k x, the first one with what weight is left."""
    weight = 2.0 / (span + 1.0)
    found = []
    for t in range(len(values)):
        parts = [weight * (1.0 - weight) ** k * values[t - k] for k in range(t)]
        found.append(math.fsum([*parts, (1.0 - weight) ** t * values[0]]))
    return found


def strength(closes: Closes, window: int) -> list[float]:
    """Wilder's RSI: simple means of the first changes, then one part in `window` new."""
    found = [50.0]
    ups = [max(b - a, 0.0) for a, b in pairwise(closes)]
    downs = [max(a - b, 0.0) for a, b in pairwise(closes)]
    gain = loss = 0.0
    for n in range(1, len(closes)):
        if n <= window:
            gain, loss = mean(ups[:n]), mean(downs[:n])
        else:
            gain, loss = (gain * (window - 1) + ups[n - 1]) / window, (loss * (window - 1) + downs[n - 1]) / window
        found.append(100.0 - 100.0 / (1.0 + gain / loss) if loss else (100.0 if gain else 50.0))
    return found


def ma_cross(bars: Sequence[Bar], fast: int, slow: int) -> list[float]:
    closes = [bar.close for bar in bars]
    return [
        sign(mean(closes[max(t + 1 - fast, 0) : t + 1]) - mean(closes[max(t + 1 - slow, 0) : t + 1]), closes[t])
        if t + 1 >= slow
        else 0.0
        for t in range(len(bars))
    ]


def ema_cross(bars: Sequence[Bar], fast: int, slow: int) -> list[float]:
    closes = [bar.close for bar in bars]
    pairs = zip(smooth(closes, fast), smooth(closes, slow), closes, strict=True)
    return [sign(a - b, close) if t + 1 >= 3 * slow else 0.0 for t, (a, b, close) in enumerate(pairs)]


def macd(bars: Sequence[Bar], fast: int, slow: int, signal: int) -> list[float]:
    closes = [bar.close for bar in bars]
    line = [a - b for a, b in zip(smooth(closes, fast), smooth(closes, slow), strict=True)]
    trigger = smooth(line, signal)
    return [sign(line[t] - trigger[t], closes[t]) if t + 1 >= 3 * (slow + signal) else 0.0 for t in range(len(bars))]


def rsi_reversion(
    bars: Sequence[Bar], window: int, low: float, high: float, exit: float, trend: int, shorts: int = 1
) -> list[float]:
    closes, wish, found = [bar.close for bar in bars], 0.0, []
    for t, rsi in enumerate(strength(closes, window)):
        if t + 1 >= max(window + 1, trend):
            up = trend == 0 or closes[t] > mean(closes[t + 1 - trend : t + 1])
            down = trend == 0 or closes[t] < mean(closes[t + 1 - trend : t + 1])
            if (wish == 1.0 and rsi >= exit) or (wish == -1.0 and rsi <= exit):
                wish = 0.0
            if rsi < low and up:
                wish = 1.0
            elif rsi > high and down:
                wish = -1.0 if shorts else 0.0
        found.append(wish)
    return found


def bollinger(bars: Sequence[Bar], window: int, width: float, shorts: int = 1) -> list[float]:
    closes, wish, found = [bar.close for bar in bars], 0.0, []
    for t, close in enumerate(closes):
        if t + 1 >= window:
            seen = closes[t + 1 - window : t + 1]
            middle = mean(seen)
            reach = max(width * math.sqrt(mean([(x - middle) ** 2 for x in seen])), 1e-12 * close)
            if (wish == 1.0 and close >= middle) or (wish == -1.0 and close <= middle):
                wish = 0.0
            if close < middle - reach:
                wish = 1.0
            elif close > middle + reach:
                wish = -1.0 if shorts else 0.0
        found.append(wish)
    return found


def breakout(bars: Sequence[Bar], entry: int, exit: int, shorts: int = 1) -> list[float]:
    wish, found = 0.0, []
    for t, bar in enumerate(bars):
        if t >= entry:
            wide, near = bars[t - entry : t], bars[t - exit : t]
            if bar.close > max(each.high for each in wide):
                wish = 1.0
            elif bar.close < min(each.low for each in wide):
                wish = -1.0 if shorts else 0.0
            elif (wish == 1.0 and bar.close < min(each.low for each in near)) or (
                wish == -1.0 and bar.close > max(each.high for each in near)
            ):
                wish = 0.0
        found.append(wish)
    return found


def random(bars: Sequence[Bar], every: int, seed: int) -> list[float]:
    return [float(int(3.0 * uniform(seed, 0, t // every)) - 1) for t in range(len(bars))]


def flat(bars: Sequence[Bar]) -> list[float]:
    return [0.0] * len(bars)


def hold(bars: Sequence[Bar]) -> list[float]:
    return [1.0] * len(bars)


def dca(bars: Sequence[Bar], every: int, share: float) -> list[float]:
    """From the first bar on: of a share of 2⁻²⁰ whole parts."""
    return [min(round(share * (1 + t // every) * 2**20) / 2**20, 1.0) for t in range(len(bars))]


PLAIN: dict[str, Callable[..., list[float]]] = {
    each.__name__: each
    for each in (flat, hold, random, ma_cross, ema_cross, rsi_reversion, bollinger, macd, breakout, dca)
}


def plain_signal(bars: Sequence[Bar], name: str, **values: Any) -> list[float]:
    """The signal at every close; a rule without shorts is flat where another would be short."""
    twin = PLAIN[name]
    if "shorts" in twin.__code__.co_varnames or "shorts" not in values:
        return twin(bars, **values)
    shorts = values.pop("shorts")
    return [side if shorts else max(side, 0.0) for side in twin(bars, **values)]


class PlainExits:
    """Exits from their words. `at_close` is told the bars since the entry, that of the fill first."""

    def __init__(
        self,
        stop_loss: float = 0.0,
        take_profit: float = 0.0,
        trailing: float = 0.0,
        roi: dict[int, float] | None = None,
    ) -> None:
        self.stop_loss, self.take_profit, self.trailing, self.roi = stop_loss, take_profit, trailing, roi or {}
        self.held: list[Bar] = []
        self.side, self.left = 0, 0

    def at_close(self, bar: Bar, lots: int, entry: float, signal: float) -> float:
        side = (lots > 0) - (lots < 0)
        self.held = [*self.held, bar] if side == self.side else [bar]
        self.side = side
        if side and self._leaves(bar.close, entry):
            self.left = side
        if self.left and (signal > 0) - (signal < 0) != self.left:
            self.left = 0
        return 0.0 if self.left else signal

    def _leaves(self, close: float, entry: float) -> bool:
        profit = self.side * (close - entry) / entry
        reasons = []
        if self.stop_loss:
            reasons.append(profit <= -self.stop_loss)
        if self.take_profit:
            reasons.append(profit >= self.take_profit)
        if self.trailing and self.side > 0:
            reasons.append(close <= max(entry, *(bar.high for bar in self.held)) * (1.0 - self.trailing))
        if self.trailing and self.side < 0:
            reasons.append(close >= min(entry, *(bar.low for bar in self.held)) * (1.0 + self.trailing))
        due = [bars for bars in self.roi if bars <= len(self.held)]
        if due:
            reasons.append(profit > self.roi[max(due)])
        return any(reasons)
