"""Baseline rules as policies: what a trained policy must beat, made by name or with numbers of one's own.

A rule looks at closed bars and the account, not at observations, and always answers a target exposure. Which rules
there are stands in `settings`, what they decide in `signals` and `exits`. Knows no environment: whoever drives a rule
shows it the bars.
"""

import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bar, Bars
from ..market.jit import lean_kernel
from ..market.ledger import Account
from .indicators import State
from .policy import Decision
from .settings import Setting, read_setting
from .signals import decide, watch


class Rule:
    """A rule at work on one market: `begin` with the bars so far, `act`, then `see` each bar as it closes and `act`."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._params = np.array(setting.row())
        self._state = np.zeros(setting.size)
        self._target: float | None = None

    def begin(self, bars: Bars, account: Account) -> None:
        """Forget everything, and see these closed bars; the first decision is due at the last one's close."""
        self._state[:] = 0.0
        _watch_all_but_last(self.setting.kind, self._params, self._state, bars.open, bars.high, bars.low, bars.close)
        self.see(bars.bar(len(bars) - 1), account)

    def see(self, bar: Bar, account: Account) -> None:
        """Take the bar that has just closed, and the account as it stands at that close."""
        self._target = decide(self.setting.kind, self._params, self._state, bar, account.lots, account.entry)

    def act(
        self,
        observations: NDArray[np.float32],
        state: NDArray[np.float32] | None = None,
        starts: NDArray[np.bool_] | None = None,
    ) -> Decision:
        """The target at the last bar seen, for the one account it was shown; confidence is 1 and value 0."""
        if self._target is None:
            raise ValueError(f"{self.setting.name} was asked before it had seen a bar")
        if len(np.atleast_2d(observations)) != 1:
            raise ValueError(f"{self.setting.name} decides for one account, not for {len(observations)}")
        return Decision(np.array([[self._target]], np.float32), np.ones(1, np.float32), np.zeros(1, np.float32))


def make_rule(text: str) -> Rule:
    """A rule by its text, as `baselines` of a config name it: `hold`, or `ma_cross(fast=10, slow=50)`."""
    return Rule(read_setting(text))


@lean_kernel
def _watch_all_but_last(
    kind: int, params: State, state: State, open_: State, high: State, low: State, close: State
) -> None:
    for t in range(len(close) - 1):
        bar = Bar(0, float(open_[t]), float(high[t]), float(low[t]), float(close[t]), 0.0, -1.0, -1)
        watch(kind, params, state, bar)
