"""The one desk: market and account to an observation, an action to orders.

The same scalar kernels serve the compiled environments and, interpreted, the live runner. Decides nothing, moves no
money, and sees only closed bars.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bar
from ..market.jit import inlined_kernel
from ..market.ledger import Account
from ..market.orders import Order, to_lots
from ..market.terms import Terms
from .features import FeatureStream
from .observation import ACCOUNT_COLUMNS, ObservationSpec
from .past import Fed, Nothing, Past

N_ACCOUNT = len(ACCOUNT_COLUMNS)


@inlined_kernel
def order_lots(action: float, account: Account, price: float, terms: Terms) -> int:
    """Lots that take the account from its position to `action` × allowed exposure, valued at `price`.

    0 inside the dead-band, below the venue's least notional, or where nothing is left to trade with.
    """
    if account.equity <= 0.0:
        return 0
    allowed = terms.leverage * account.equity
    target = min(max(action, -1.0), 1.0)
    order = to_lots(target * allowed / price, terms.lot) - account.lots
    notional = abs(order) * terms.lot * price
    if notional < terms.min_notional or notional < terms.dead_band * allowed:
        return 0
    return order


@inlined_kernel
def account_columns(
    account: Account, price: float, terms: Terms
) -> tuple[float, float, float, float, float, float, float, float]:
    """The eight account columns at `price`, in the order of `ACCOUNT_COLUMNS`; all finite."""
    idle = math.log(1.0 + account.idle_bars)
    state = 0.5 * account.state
    equity = account.equity
    if equity <= 0.0:
        return 0.0, 0.0, 1.0, idle, 0.0, 0.0, 0.0, state
    held = account.lots * terms.lot
    value = held * price
    position = value / (terms.leverage * equity)
    unrealised = held * (price - account.entry) / equity if account.lots != 0 else 0.0
    drawdown = 1.0 - equity / account.peak
    margin = 1.0 - terms.maintenance * abs(value) / equity
    loss = 1.0 - (1.0 - equity / account.day_equity) / terms.daily_loss
    exposure = 1.0 - abs(position) / terms.max_exposure
    return (
        _clip(position),
        _clip(unrealised),
        drawdown,
        idle,
        _clip(margin),
        _clip(loss),
        _clip(exposure),
        state,
    )


@inlined_kernel
def _clip(value: float) -> float:
    return min(max(value, -10.0), 10.0)


class Desk:
    """The desk as the runner and the arena use it: bars in, observations and orders out.

    One Desk serves one instrument at one interval. Its state is bytes, and restores exactly.
    """

    def __init__(self, spec: ObservationSpec, terms: Terms, interval_ms: int, past: Past | None = None) -> None:
        self.spec, self.terms, self.past = spec, terms, past or Nothing()
        if bool(spec.memory) == isinstance(self.past, Nothing):
            raise ValueError(f"observation {spec.name} has {len(spec.memory)} memory columns; the past does not match")
        self._interval_ms = interval_ms
        self._stream = FeatureStream(spec.market, interval_ms)
        self._row: NDArray[np.float32] | None = None
        self._close = 0.0

    @property
    def is_warm(self) -> bool:
        """An observation can be made of the last bar."""
        return self._row is not None

    def on_bar(self, bar: Bar) -> bool:
        """Take the bar that just closed; whether the desk can observe."""
        row = self._stream.update(bar)
        if isinstance(self.past, Fed):
            self.past.on_bar(bar)
        self._close = bar.close
        if row is None:
            self._row = None
            return False
        closed_at = bar.opened_at + self._interval_ms - 1
        market = row.astype(np.float32)
        self._row = np.concatenate([market, self.past.columns(closed_at)]) if self.spec.memory else market
        return True

    def observe(self, account: Account) -> NDArray[np.float32]:
        """(width,) float32: the observation at the last close; belongs to the caller."""
        if self._row is None:
            raise ValueError("the desk has not seen enough bars to observe")
        columns = account_columns(account, self._close, self.terms)
        return np.concatenate([self._row, np.array(columns, np.float64).astype(np.float32)])

    def orders(self, action: float, account: Account) -> list[Order]:
        """The order, if any, that moves the account to the target exposure `action` in [-1, 1]."""
        if not -1.0 <= action <= 1.0:
            raise ValueError(f"action {action} is not a number in [-1, 1]")
        lots = order_lots(action, account, self._close, self.terms)
        return [Order(lots)] if lots else []

    @property
    def price(self) -> float:
        """The last close: the price at which orders are sized."""
        return self._close

    def state(self) -> bytes:
        """Everything the desk remembers of the market; of a fed past all but its store."""
        row = b"" if self._row is None else self._row.tobytes()
        stream = self._stream.state()
        past = self.past.state() if isinstance(self.past, Fed) else b""
        return np.array([self._close, len(row), len(stream)], np.float64).tobytes() + row + stream + past

    def restore(self, state: bytes) -> None:
        """Go on exactly where `state` was taken."""
        close, row_size, stream_size = np.frombuffer(state[:24], np.float64)
        rest = state[24:]
        row, stream = rest[: int(row_size)], rest[int(row_size) : int(row_size + stream_size)]
        self._stream.restore(stream)
        if isinstance(self.past, Fed):
            self.past.restore(rest[len(row) + len(stream) :])
        self._close = float(close)
        self._row = np.frombuffer(row, np.float32).copy() if row else None
