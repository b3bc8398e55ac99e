"""The one desk: market and account to an observation, an action to orders.

The same scalar kernels serve the compiled environments and, interpreted, the live runner. Decides nothing, moves no
money, and sees only closed bars.
"""

import math
from collections import deque
from itertools import pairwise

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

Columns = NDArray[np.float32]


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
    return columns_of(account, price, math.log(1.0 + account.idle_bars), terms)


@inlined_kernel
def columns_of(
    account: Account, price: float, idle: float, terms: Terms
) -> tuple[float, float, float, float, float, float, float, float]:
    """The same where log(1 + idle bars) is at hand."""
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

    One Desk serves one instrument at one interval. It keeps the window that an observation may span. Its state is
    bytes, and restores exactly.
    """

    def __init__(self, spec: ObservationSpec, terms: Terms, interval_ms: int, past: Past | None = None) -> None:
        self.spec, self.terms, self.past = spec, terms, past or Nothing()
        if bool(spec.memory) == isinstance(self.past, Nothing):
            raise ValueError(f"observation {spec.name} has {len(spec.memory)} memory columns; the past does not match")
        self._interval_ms = interval_ms
        self._stream = FeatureStream(spec.market, interval_ms)
        self._rows: deque[Columns] = deque(maxlen=spec.window)  # market and memory columns, the newest bar last
        self._accounts: deque[Columns] = deque(maxlen=spec.window)  # account columns as they were observed
        self._is_observed = False  # the newest bar has been
        self._close = 0.0

    @property
    def is_warm(self) -> bool:
        """An observation can be made of the last bar."""
        return len(self._rows) == self.spec.window

    def on_bar(self, bar: Bar) -> bool:
        """Take the bar that just closed; whether the desk can observe."""
        row = self._stream.update(bar)
        if isinstance(self.past, Fed):
            self.past.on_bar(bar)
        self._close = bar.close
        self._is_observed = False
        if row is None:  # cold, or cold again: a window does not reach across a gap
            self._rows.clear()
            self._accounts.clear()
            return False
        closed_at = bar.opened_at + self._interval_ms - 1
        market = row.astype(np.float32)
        self._rows.append(np.concatenate([market, self.past.columns(closed_at)]) if self.spec.memory else market)
        return self.is_warm

    def observe(self, account: Account) -> Columns:
        """The observation at the last close, float32 of the spec's shape; belongs to the caller."""
        if not self.is_warm:
            raise ValueError("the desk has not seen enough bars to observe")
        columns = np.array(account_columns(account, self._close, self.terms), np.float64).astype(np.float32)
        if self._is_observed:  # asked twice about one bar
            self._accounts.pop()
        while len(self._accounts) < self.spec.window - 1:  # before the first decision the account was as it is
            self._accounts.append(columns)
        self._accounts.append(columns)
        self._is_observed = True
        if self.spec.window == 1:
            return np.concatenate([self._rows[0], columns])
        return np.hstack([np.stack(self._rows), np.stack(self._accounts)])

    def orders(self, action: float, account: Account) -> list[Order]:
        """The order, if any, that moves the account to the target exposure `action` in [-1, 1]."""
        if not -1.0 <= action <= 1.0:
            raise ValueError(f"action {action} is not a number in [-1, 1]")
        lots = order_lots(action, account, self._close, self.terms)
        return [Order(lots)] if lots else []

    def take_up(self, stream: bytes, rows: Columns, close: float) -> None:
        """Begin where another desk of the same spec stands that has seen no account: the state of its columns, the
        market and memory columns (window, …) of its last bars, and its last close."""
        self._stream.restore(stream)
        self._rows.clear()
        self._rows.extend(rows)
        self._accounts.clear()
        self._close, self._is_observed = close, False

    @property
    def price(self) -> float:
        """The last close: the price at which orders are sized."""
        return self._close

    def state(self) -> bytes:
        """Everything the desk remembers of the market; of a fed past all but its store."""
        rows, accounts = (b"".join(row.tobytes() for row in kept) for kept in (self._rows, self._accounts))
        stream = self._stream.state()
        past = self.past.state() if isinstance(self.past, Fed) else b""
        head = np.array([self._close, self._is_observed, len(rows), len(accounts), len(stream)], np.float64)
        return head.tobytes() + rows + accounts + stream + past

    def restore(self, state: bytes) -> None:
        """Go on exactly where `state` was taken."""
        close, is_observed, *sizes = np.frombuffer(state[:_HEAD], np.float64)
        ends = _HEAD + np.cumsum([0, *sizes]).astype(int)
        rows, accounts, stream = (state[a:b] for a, b in pairwise(ends))
        self._stream.restore(stream)
        if isinstance(self.past, Fed):
            self.past.restore(state[ends[-1] :])
        self._close, self._is_observed = float(close), bool(is_observed)
        _refill(self._rows, rows, self.spec.width - N_ACCOUNT)
        _refill(self._accounts, accounts, N_ACCOUNT)


_HEAD = 5 * 8  # bytes


def _refill(kept: "deque[Columns]", told: bytes, width: int) -> None:
    kept.clear()
    kept.extend(np.frombuffer(told, np.float32).reshape(-1, width).copy())
