"""The gates: what stands between the desk's order and the venue, and says no in words that can be counted.

How large an order or a loss may be is arithmetic of `market.limits`, the same as in the environments; here stand the
gates that need a clock, a feed or a person as well. Latches are states that a restart keeps. Moves no money.
"""

import math
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..envs.actions import exposure_of
from ..market.bars import Bar
from ..market.ledger import SOLVENT, Account, with_state
from ..market.limits import State, allowed_lots, drawdown_breached, loss_breached
from ..market.terms import MODE_LIVE, MODE_OFF, Terms
from .feed import is_long_gap


class Denial(StrEnum):
    """Why an order was cut, turned into a reduction, or not sent at all."""

    ORDER_SIZE = "order_size"
    EXPOSURE = "exposure"
    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    STALE_BAR = "stale_bar"
    FEED_GAP = "feed_gap"
    OBSERVATION_NOT_FINITE = "observation_not_finite"
    ACTION_NOT_FINITE = "action_not_finite"
    ACTION_OUT_OF_RANGE = "action_out_of_range"
    STATE_NOT_FINITE = "state_not_finite"
    EQUITY_NOT_FINITE = "equity_not_finite"
    LIQUIDATED = "liquidated"
    KILLED = "killed"


MEANINGS = {
    Denial.ORDER_SIZE: ("cut", "the order is larger than `max_order` allows"),
    Denial.EXPOSURE: ("cut", "the position would be larger than `max_exposure` allows"),
    Denial.DAILY_LOSS: ("REDUCING until the next UTC day", "today's loss has reached `daily_loss`"),
    Denial.DRAWDOWN: ("HALTED", "the fall from the peak has reached `drawdown`"),
    Denial.STALE_BAR: ("REDUCING for this bar", "the bar's close is too far from what the clock says"),
    Denial.FEED_GAP: ("REDUCING until the desk is warm", "more than three bars are missing before this one"),
    Denial.OBSERVATION_NOT_FINITE: ("no order, then HALTED", "a column of the observation is NaN or infinite"),
    Denial.ACTION_NOT_FINITE: ("no order, then HALTED", "the policy's action is NaN or infinite"),
    Denial.ACTION_OUT_OF_RANGE: ("no order, then HALTED", "the policy's action is none that its action space holds"),
    Denial.STATE_NOT_FINITE: ("no order, then HALTED", "what the policy remembers is NaN or infinite"),
    Denial.EQUITY_NOT_FINITE: ("no order, then HALTED", "the account's equity is NaN or infinite"),
    Denial.LIQUIDATED: ("HALTED", "the venue has liquidated the position, or nothing is left"),
    Denial.KILLED: ("HALTED", "a person has used the kill switch"),
}


class Verdict(NamedTuple):
    """What the gates let through: `lots` of the `asked` ones; every code that had a say; the trading state."""

    asked: int
    lots: int
    codes: tuple[Denial, ...]
    state: State

    def to_json(self) -> dict[str, Any]:
        return {"asked": self.asked, "lots": self.lots, "codes": list(self.codes), "state": int(self.state)}


class Gates:
    """All gates of one account, with the latches that outlive a bar.

    HALTED, once reached, stays (it closes the position and opens none). `stale_after` is in intervals; `actions` says
    what an action of this policy means ("box" or "discrete").
    """

    def __init__(self, terms: Terms, interval_ms: int, stale_after: float = 3.0, actions: str = "box") -> None:
        if not stale_after > 0:
            raise ValueError(f"stale_after {stale_after} must be above 0 intervals")
        self._actions = actions
        self._terms = terms
        self._interval_ms = interval_ms
        self._stale_after_ms = stale_after * interval_ms
        self._last_opened_at = -1
        self._halted_by: Denial | None = None
        self._is_stale = False
        self._is_cold = False  # behind a gap, before the desk is warm again

    @property
    def halted_by(self) -> Denial | None:
        """The gate that halted first; None while none has."""
        return self._halted_by

    def halt(self, code: Denial) -> None:
        """Latch HALTED."""
        self._halted_by = self._halted_by or code

    def on_bar(self, bar: Bar, now_ms: int, is_warm: bool) -> None:
        """See a bar, what the clock said when it came, and whether the desk can observe it."""
        age_ms = now_ms - (bar.opened_at + self._interval_ms - 1)
        self._is_stale = not -self._interval_ms <= age_ms <= self._stale_after_ms
        if is_long_gap(self._last_opened_at, bar.opened_at, self._interval_ms):
            self._is_cold = True
        elif is_warm:
            self._is_cold = False
        self._last_opened_at = bar.opened_at

    def check_account(self, account: Account) -> None:
        """Latch what an account itself gives away: no number for its worth, or a liquidation."""
        if not math.isfinite(account.equity):
            self.halt(Denial.EQUITY_NOT_FINITE)
        elif account.ruin != SOLVENT:
            self.halt(Denial.LIQUIDATED)

    def check_observation(self, observation: NDArray[np.float32]) -> Denial | None:
        """Refuse, and latch, an observation that is not all numbers."""
        if np.isfinite(observation).all():
            return None
        self.halt(Denial.OBSERVATION_NOT_FINITE)
        return Denial.OBSERVATION_NOT_FINITE

    def check_action(self, action: float) -> tuple[float, Denial | None]:
        """The target exposure that an action means; one that means none is refused, and latches."""
        if not math.isfinite(action):
            self.halt(Denial.ACTION_NOT_FINITE)
            return 0.0, Denial.ACTION_NOT_FINITE
        try:
            return exposure_of(action, self._actions), None
        except ValueError:
            self.halt(Denial.ACTION_OUT_OF_RANGE)
            return 0.0, Denial.ACTION_OUT_OF_RANGE

    def check_state(self, state: NDArray[np.float32] | None) -> Denial | None:
        """Refuse, and latch, a recurrent policy's state that is not all numbers."""
        if state is None or np.isfinite(state).all():
            return None
        self.halt(Denial.STATE_NOT_FINITE)
        return Denial.STATE_NOT_FINITE

    def view(self, account: Account) -> Account:
        """The account with the trading state that holds: the stricter of the limits' and the gates'."""
        state = int(max(account.state, self._own_state()))  # a plain int: kernels take no enum
        return account if state == account.state else with_state(account, account.day_equity, state)

    def causes(self, account: Account) -> tuple[Denial, ...]:
        """Why the trading state is not ACTIVE; empty where it is."""
        if self._halted_by is not None:
            return (self._halted_by,)
        if account.state == State.HALTED:
            return (Denial.DRAWDOWN,)
        reducing = {
            Denial.STALE_BAR: self._is_stale,
            Denial.FEED_GAP: self._is_cold,
            Denial.DAILY_LOSS: account.state == State.REDUCING,
        }
        return tuple(code for code, holds in reducing.items() if holds)

    def judge(self, asked: int, account: Account, price: float, denied: Denial | None = None) -> Verdict:
        """Judge an order of signed `asked` lots at `price`; `denied` says that this bar has no decision to act on."""
        seen = self.view(account)
        state = State(seen.state)
        if denied is not None or not math.isfinite(account.equity):
            return Verdict(asked, 0, (denied or Denial.EQUITY_NOT_FINITE,), state)
        terms = self._terms
        if self._own_state() != State.ACTIVE:  # doubts of the gates count in every mode of the limits
            terms = terms._replace(mode=MODE_LIVE)
        lots = allowed_lots(asked, seen, price, terms)
        codes = self._reasons(asked, seen, account, price) if lots != asked else ()
        return Verdict(asked, lots, codes, state)

    def state(self) -> dict[str, Any]:
        """The latches, in JSON's types."""
        return {
            "halted_by": self._halted_by,
            "is_stale": self._is_stale,
            "is_cold": self._is_cold,
            "last_opened_at": self._last_opened_at,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Latch what `state` told."""
        halted_by = state["halted_by"]
        self._halted_by = Denial(str(halted_by)) if halted_by is not None else None
        self._is_stale, self._is_cold = bool(state["is_stale"]), bool(state["is_cold"])
        self._last_opened_at = int(state["last_opened_at"])

    def _own_state(self) -> State:
        if self._halted_by is not None:
            return State.HALTED
        return State.REDUCING if self._is_stale or self._is_cold else State.ACTIVE

    def _reasons(self, asked: int, seen: Account, account: Account, price: float) -> tuple[Denial, ...]:
        codes = self.causes(account)
        if not codes and self._counts(loss_breached(account, self._terms)):
            codes = (Denial.DAILY_LOSS,)
        if not codes and self._counts(drawdown_breached(account, self._terms)):
            codes = (Denial.DRAWDOWN,)
        return codes or self._sizes(asked, seen, price)

    def _counts(self, breached: bool) -> bool:
        return breached and self._terms.mode != MODE_OFF

    def _sizes(self, asked: int, account: Account, price: float) -> tuple[Denial, ...]:
        """Which of the two size limits bites, asked of the limits themselves: each alone, on a flat account."""
        flat, after = account._replace(lots=0), account.lots + asked
        largest = max(self._terms.max_order, self._terms.max_exposure)
        order_alone = self._terms._replace(max_exposure=largest)
        exposure_alone = self._terms._replace(max_order=largest)
        sizes = {
            Denial.ORDER_SIZE: allowed_lots(asked, flat, price, order_alone) != asked,
            Denial.EXPOSURE: allowed_lots(after, flat, price, exposure_alone) != after,
        }
        return tuple(code for code, bites in sizes.items() if bites)


def denial_table() -> str:
    """Every code with its effect and its cause, as the table in docs/execution.md."""
    rows = [f"| `{code}` | {effect} | {cause} |" for code, (effect, cause) in MEANINGS.items()]
    return "\n".join(["| code | effect | because |", "|---|---|---|", *rows])
