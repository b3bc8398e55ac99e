"""The arithmetic of risk limits: exposure, order size, daily loss, drawdown latch. The same in envs and runner.

Stands between the desk's order and the venue. `off` lets everything pass, `clip` cuts orders to the headroom that is
left, `live` also latches: a daily loss allows only reductions until the next UTC day, a drawdown closes the position
and keeps it closed. Knows no clock and no feed; gates that need those live in the runner.
"""

import math
from dataclasses import dataclass
from enum import IntEnum

from .jit import inlined_kernel
from .ledger import Account, with_state
from .orders import to_lots
from .terms import MODE_LIVE, MODE_OFF, Terms


class State(IntEnum):
    """ACTIVE trades; REDUCING only makes the position smaller; HALTED only closes it."""

    ACTIVE = 0
    REDUCING = 1
    HALTED = 2


_ACTIVE, _REDUCING, _HALTED = 0, 1, 2  # plain ints for kernels
NEARLY = 1.0 - 1e-6  # of a limit: up to here no rounding can matter


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_exposure` and `max_order` are shares of equity × allowed leverage; losses are shares of equity."""

    mode: str = "off"
    max_exposure: float = 1.0
    max_order: float = 2.0  # a full turn from long to short
    daily_loss: float = 0.05
    drawdown: float = 0.20
    terminate_on_halt: bool = False

    def __post_init__(self) -> None:
        if self.mode not in ("off", "clip", "live"):
            raise ValueError(f"limits: mode {self.mode!r} is not one of off, clip, live")
        for name in ("max_exposure", "max_order", "daily_loss", "drawdown"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"limits: {name} {value} must be above 0")


@inlined_kernel
def day_roll(account: Account, terms: Terms) -> Account:
    """A UTC day begins: the loss of the day starts from here, and a daily-loss latch opens."""
    state = account.state
    if state == _REDUCING:
        state = _ACTIVE
    return with_state(account, account.equity, state)


@inlined_kernel
def loss_breached(account: Account, terms: Terms) -> bool:
    """Today's loss has reached its limit."""
    return account.equity <= account.day_equity * (1.0 - terms.daily_loss)


@inlined_kernel
def drawdown_breached(account: Account, terms: Terms) -> bool:
    """The fall from the peak has reached its limit."""
    return account.equity <= account.peak * (1.0 - terms.drawdown)


@inlined_kernel
def update_limits(account: Account, terms: Terms) -> Account:
    """After the mark: latch what has been breached (in `live` mode only)."""
    if terms.mode != MODE_LIVE:
        return account
    state = account.state
    if drawdown_breached(account, terms):
        state = _HALTED
    elif state == _ACTIVE and loss_breached(account, terms):
        state = _REDUCING
    return with_state(account, account.day_equity, state)


@inlined_kernel
def allowed_lots(order_lots: int, account: Account, price: float, terms: Terms) -> int:
    """The part of an order of signed `order_lots` that the limits let through at `price`."""
    if terms.mode == MODE_OFF:
        return order_lots
    if account.state == _HALTED:
        return -account.lots
    if order_lots == 0:
        return 0
    lots = account.lots
    if account.state == _REDUCING or loss_breached(account, terms) or drawdown_breached(account, terms):
        return _toward_flat(order_lots, lots)
    reach = NEARLY * terms.leverage * account.equity
    each = terms.lot * price
    wanted = abs(lots + order_lots) * each
    if abs(order_lots) * each <= terms.max_order * reach and wanted <= terms.max_exposure * reach:
        return order_lots  # well inside both, which needs no counting of lots
    unit = terms.leverage * account.equity / price if account.equity > 0.0 else 0.0
    most = to_lots(terms.max_order * unit, terms.lot)
    cap = to_lots(terms.max_exposure * unit, terms.lot)
    order = min(max(order_lots, -most), most)
    if order > 0:  # beyond the cap already: an order is cut to nothing, never enlarged or turned around
        return min(order, max(cap - lots, 0))
    return max(order, min(-cap - lots, 0))


@inlined_kernel
def _toward_flat(order_lots: int, lots: int) -> int:
    if lots > 0:
        return min(max(order_lots, -lots), 0)
    return max(min(order_lots, -lots), 0)
