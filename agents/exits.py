"""Exits: stop loss, take profit, trailing stop and time-stepped profit, on top of any rule.

They look at closed bars and the account's position, as the desk does, and are traded at the next open: nothing rests
at the venue. A rule that was taken out stays flat until its signal has turned, that is, until the signal's sign
differs from the side that was left; what it then says is done at once. Know no indicator.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from ..market.bars import Bar
from ..market.jit import inlined_kernel
from .indicators import State

ROI_STEPS = 4
N_EXITS = 4 + 2 * ROI_STEPS  # whether there is any, three shares, and (bars, profit) of each step
N_MEMORY = 4

_ANY, _STOP, _TAKE, _TRAIL, _ROI = range(5)
_SIDE, _HELD, _BEST, _LEFT = range(4)  # of the state: side held, bars held, best price since, side that was left


@dataclass(frozen=True, slots=True)
class Exits:
    """When to leave a position; every share is one of its entry value, and 0 (an empty table) is off.

    `stop_loss` and `take_profit`: leave at a loss or profit as large as that, at a close. `trailing`: leave at a close
    that far below the best price since the entry (for a short, above). `roi`: after this many bars held, a profit
    above that is enough; the bar in which the position was opened counts as the first.
    """

    stop_loss: float = 0.0
    take_profit: float = 0.0
    trailing: float = 0.0
    roi: Mapping[int, float] | None = None

    def __post_init__(self) -> None:
        for name in ("stop_loss", "trailing"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} {getattr(self, name)} must lie in [0, 1)")
        if not (math.isfinite(self.take_profit) and self.take_profit >= 0.0):
            raise ValueError(f"take_profit {self.take_profit} must be 0 or more")
        if self.roi is not None and not isinstance(self.roi, Mapping):
            raise ValueError(f"roi {self.roi!r} is not a table of bars and profits")
        _check_roi(self.roi or {})

    def given(self) -> dict[str, float | Mapping[int, float]]:
        """The exits that are on, by name."""
        return {name: getattr(self, name) for name in EXIT_NAMES if getattr(self, name)}

    def row(self) -> list[float]:
        """The N_EXITS numbers that `with_exits` reads."""
        steps = [(float(bars), profit) for bars, profit in sorted((self.roi or {}).items())]
        steps += [(math.inf, 0.0)] * (ROI_STEPS - len(steps))  # never reached
        given = bool(self.stop_loss or self.take_profit or self.trailing or self.roi)
        table = [float(number) for step in steps for number in step]
        return [float(given), self.stop_loss, self.take_profit, self.trailing, *table]


EXIT_NAMES = tuple(field.name for field in fields(Exits))


@inlined_kernel
def with_exits(
    params: State, at: int, state: State, memory: int, bar: Bar, lots: int, entry: float, signal: float
) -> float:
    """The target that `signal` becomes for an account of `lots` bought at `entry`, seen at the close of `bar`.

    `params[at:]` is a row of Exits, `state[memory:]` N_MEMORY numbers, zeros at first.
    """
    if params[at + _ANY] == 0.0:
        return signal
    side = _sign(lots)
    if side != state[memory + _SIDE]:
        state[memory + _SIDE] = side
        state[memory + _HELD] = 0.0
        state[memory + _BEST] = entry
    if side != 0.0:
        best = float(state[memory + _BEST])
        best = max(best, bar.high) if side > 0.0 else min(best, bar.low)
        held = float(state[memory + _HELD]) + 1.0
        state[memory + _BEST] = best
        state[memory + _HELD] = held
        if _is_due(params, at, side, bar.close, entry, best, held):
            state[memory + _LEFT] = side
    if state[memory + _LEFT] != 0.0 and _sign(signal) != state[memory + _LEFT]:
        state[memory + _LEFT] = 0.0
    return signal if state[memory + _LEFT] == 0.0 else 0.0


@inlined_kernel
def _is_due(params: State, at: int, side: float, close: float, entry: float, best: float, held: float) -> bool:
    profit = side * (close / entry - 1.0) if entry > 0.0 else 0.0
    stop, take, trail = float(params[at + _STOP]), float(params[at + _TAKE]), float(params[at + _TRAIL])
    if stop > 0.0 and profit <= -stop:
        return True
    if take > 0.0 and profit >= take:
        return True
    if trail > 0.0 and side * (close - best * (1.0 - side * trail)) <= 0.0:
        return True
    enough = math.inf
    for k in range(ROI_STEPS):
        if held >= params[at + _ROI + 2 * k]:
            enough = float(params[at + _ROI + 2 * k + 1])
    return profit > enough


@inlined_kernel
def _sign(value: float) -> float:
    return 1.0 if value > 0 else (-1.0 if value < 0 else 0.0)


def _check_roi(roi: Mapping[int, float]) -> None:
    if len(roi) > ROI_STEPS:
        raise ValueError(f"roi has {len(roi)} steps, {ROI_STEPS} are the most")
    for bars, profit in roi.items():
        if not (float(bars).is_integer() and bars >= 0):
            raise ValueError(f"roi: {bars} is not a number of bars")
        if not math.isfinite(profit):
            raise ValueError(f"roi: the profit {profit} after {bars} bars is not a number")
