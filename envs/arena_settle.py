"""What happens to an account while a crowd trades one bar, in DESIGN's order, as kernels of both arenas.

Inside a bar the day rolls and fills are booked, and what is shown is marked at the last trade; funding, borrow,
liquidation, peak and limits wait for the close, so that a bar in pieces ends as a bar in one. Knows no orders.
"""

from ..market.bars import DAY_MS, Bar
from ..market.costs import assumed_funding
from ..market.exchange import Quote, end_bar
from ..market.jit import inlined_kernel
from ..market.ledger import Account, pay_borrow, pay_funding
from ..market.limits import day_roll
from ..market.terms import Terms


@inlined_kernel
def roll_into(account: Account, opened_at: int, terms: Terms) -> Account:
    """The account as a bar that opens then finds it: a UTC day may begin."""
    return day_roll(account, terms) if opened_at % DAY_MS == 0 else account


@inlined_kernel
def close_account(account: Account, bar: Bar, interval_ms: int, funding_bps_per_8h: float, terms: Terms) -> Account:
    """Behind the bar's fills: funding and borrow on what is now held, liquidation, mark, limits."""
    due = assumed_funding(bar.opened_at, interval_ms, funding_bps_per_8h)
    days = interval_ms / DAY_MS
    if account.lots != 0 and due != 0.0:
        account = pay_funding(account, due, bar.open, terms)
    if account.lots != 0 and terms.borrow > 0.0:
        sold = max(-account.lots * terms.lot * bar.open, 0.0)
        account = pay_borrow(account, sold, terms.borrow * days)
    rolled = 1.0 if bar.opened_at % DAY_MS == 0 else 0.0
    quote = Quote(bar.open, bar.high, bar.low, bar.close, due, rolled, days)
    return end_bar(account, quote, terms)[0]
