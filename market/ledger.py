"""The ledger: the only place where money moves.

One Account fact in, one Account fact out; compiled inside the batch environment, interpreted in the runner, equal to
the last bit. Equity is always `cash + lots × lot × mark`. Knows no venue, no policy, no clock.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .jit import inlined_kernel
from .terms import Terms

SOLVENT, LIQUIDATED, RUINED = 0, 1, 2

N_MONEY, N_COUNTS = 9, 5


class Account(NamedTuple):
    """What an account is worth and how it came there. Amounts in quote currency, `lots` signed.

    `equity` is at the last mark, `day_equity` at the last UTC day roll, `peak` the highest mark; `fees`, `funding`
    (paid positive), `borrow` and `turnover` are running totals; `idle_bars` counts bars since the last fill.
    """

    cash: float
    entry: float
    equity: float
    peak: float
    day_equity: float
    fees: float
    funding: float
    borrow: float
    turnover: float
    lots: int
    state: int
    idle_bars: int
    trades: int
    ruin: int


def open_account(cash: float) -> Account:
    """A fresh account holding `cash` and nothing else."""
    if not (np.isfinite(cash) and cash > 0):
        raise ValueError(f"an account cannot open with {cash} in cash")
    return fresh_account(float(cash))


@inlined_kernel
def fresh_account(cash: float) -> Account:
    """The account an episode starts with; the kernel behind `open_account`."""
    return Account(cash, 0.0, cash, cash, cash, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, SOLVENT)


@inlined_kernel
def apply_fill(account: Account, lots: int, price: float, fee: float, terms: Terms) -> Account:
    """Exchange `lots` at `price` and pay `fee`. Equity keeps its last mark until `mark`."""
    amount = lots * terms.lot * price
    after = account.lots + lots
    entry = _entry_after(account, lots, after, price)
    return Account(
        account.cash - amount - fee,
        entry,
        account.equity,
        account.peak,
        account.day_equity,
        account.fees + fee,
        account.funding,
        account.borrow,
        account.turnover + abs(amount),
        after,
        account.state,
        0,
        account.trades + 1,
        account.ruin,
    )


@inlined_kernel
def _entry_after(account: Account, lots: int, after: int, price: float) -> float:
    before = account.lots
    if after == 0:
        return 0.0
    if before == 0 or (before > 0) != (after > 0):
        return price
    if (lots > 0) != (before > 0):
        return account.entry
    return (account.entry * abs(before) + price * abs(lots)) / abs(after)


@inlined_kernel
def pay_funding(account: Account, rate: float, price: float, terms: Terms) -> Account:
    """Pay (or, short, receive) `rate` on the position's value at `price`."""
    paid = account.lots * terms.lot * price * rate
    return Account(
        account.cash - paid,
        account.entry,
        account.equity,
        account.peak,
        account.day_equity,
        account.fees,
        account.funding + paid,
        account.borrow,
        account.turnover,
        account.lots,
        account.state,
        account.idle_bars,
        account.trades,
        account.ruin,
    )


@inlined_kernel
def pay_borrow(account: Account, sold: float, rate: float) -> Account:
    """Pay `rate` on what is borrowed: assets `sold` short, at their value, and cash beyond one's own."""
    missing = sold - account.cash  # what was sold lies in the cash and is not one's own
    paid = rate * (sold + (missing if missing > 0.0 else 0.0))
    return Account(
        account.cash - paid,
        account.entry,
        account.equity,
        account.peak,
        account.day_equity,
        account.fees,
        account.funding,
        account.borrow + paid,
        account.turnover,
        account.lots,
        account.state,
        account.idle_bars,
        account.trades,
        account.ruin,
    )


@inlined_kernel
def worth(account: Account, price: float, terms: Terms) -> float:
    """Equity at `price`."""
    return account.cash + account.lots * terms.lot * price


@inlined_kernel
def mark(account: Account, price: float, terms: Terms) -> Account:
    """Value the account at `price` and move the peak; a worth of 0 or less is ruin."""
    equity = worth(account, price, terms)
    ruin = account.ruin
    if ruin == SOLVENT and equity <= 0.0:
        ruin = RUINED
    return Account(
        account.cash,
        account.entry,
        equity,
        equity if equity > account.peak else account.peak,
        account.day_equity,
        account.fees,
        account.funding,
        account.borrow,
        account.turnover,
        account.lots,
        account.state,
        account.idle_bars + 1,
        account.trades,
        ruin,
    )


@inlined_kernel
def liquidate(account: Account, price: float, fee: float, terms: Terms) -> Account:
    """Close the whole position at `price` against the owner's will."""
    closed = apply_fill(account, -account.lots, price, fee, terms)
    return with_ruin(closed, LIQUIDATED)


@inlined_kernel
def with_ruin(account: Account, ruin: int) -> Account:
    """The same account, marked as liquidated or ruined."""
    return Account(
        account.cash,
        account.entry,
        account.equity,
        account.peak,
        account.day_equity,
        account.fees,
        account.funding,
        account.borrow,
        account.turnover,
        account.lots,
        account.state,
        account.idle_bars,
        account.trades,
        ruin,
    )


@inlined_kernel
def with_state(account: Account, day_equity: float, state: int) -> Account:
    """The same account with another day baseline and trading state (the limits' business)."""
    return Account(
        account.cash,
        account.entry,
        account.equity,
        account.peak,
        day_equity,
        account.fees,
        account.funding,
        account.borrow,
        account.turnover,
        account.lots,
        state,
        account.idle_bars,
        account.trades,
        account.ruin,
    )


@inlined_kernel
def read_account(money: NDArray[np.float64], counts: NDArray[np.int64], i: int) -> Account:
    """Row `i` of (n, 9) float64 and (n, 5) int64 as an Account."""
    return Account(
        float(money[i, 0]),
        float(money[i, 1]),
        float(money[i, 2]),
        float(money[i, 3]),
        float(money[i, 4]),
        float(money[i, 5]),
        float(money[i, 6]),
        float(money[i, 7]),
        float(money[i, 8]),
        int(counts[i, 0]),
        int(counts[i, 1]),
        int(counts[i, 2]),
        int(counts[i, 3]),
        int(counts[i, 4]),
    )


@inlined_kernel
def write_account(money: NDArray[np.float64], counts: NDArray[np.int64], i: int, account: Account) -> None:
    """Store an Account in row `i`."""
    money[i, 0] = account.cash
    money[i, 1] = account.entry
    money[i, 2] = account.equity
    money[i, 3] = account.peak
    money[i, 4] = account.day_equity
    money[i, 5] = account.fees
    money[i, 6] = account.funding
    money[i, 7] = account.borrow
    money[i, 8] = account.turnover
    counts[i, 0] = account.lots
    counts[i, 1] = account.state
    counts[i, 2] = account.idle_bars
    counts[i, 3] = account.trades
    counts[i, 4] = account.ruin
