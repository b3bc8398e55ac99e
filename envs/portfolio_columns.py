"""What a policy sees of its own portfolio: which columns each asset has, which the account has, and their names.

The arithmetic is the desk's, of one asset at a time; only the two headrooms are of all positions together. Knows no
market column.
"""

from collections.abc import Sequence

from ..market.jit import inlined_kernel
from ..market.ledger import Account
from ..market.terms import Terms
from .desk import columns_of

OWN_COLUMNS = ("position", "unrealised", "idle", "fresh")  # of each asset, behind its market and memory columns
SHARED_COLUMNS = ("drawdown", "margin_headroom", "loss_headroom", "exposure_headroom", "trading_state")
N_OWN, N_SHARED = len(OWN_COLUMNS), len(SHARED_COLUMNS)
POSITION, UNREALISED, IDLE, FRESH_FLAG = range(N_OWN)


def column_names(symbols: Sequence[str], market: tuple[str, ...]) -> tuple[str, ...]:
    """`BTCUSDT/return_1`, …: each asset's market columns and its own; the account's without a symbol, last.

    Symbols that are missing or not distinct become asset0, asset1, …
    """
    if not all(symbols) or len(set(symbols)) < len(symbols):
        symbols = [f"asset{k}" for k in range(len(symbols))]
    return (*(f"{symbol}/{column}" for symbol in symbols for column in (*market, *OWN_COLUMNS)), *SHARED_COLUMNS)


@inlined_kernel
def shared_columns(
    account: Account, gross: float, margin: float, terms: Terms
) -> tuple[float, float, float, float, float]:
    """The account's columns, from the `gross` value of all positions and the maintenance margin they ask for."""
    flat = columns_of(account, 1.0, 0.0, terms)
    if account.equity <= 0.0:
        return flat[2], 0.0, flat[5], 0.0, flat[7]
    margin_left = 1.0 - margin / account.equity
    exposure_left = 1.0 - gross / (terms.leverage * account.equity) / terms.max_exposure
    return flat[2], min(max(margin_left, -10.0), 10.0), flat[5], min(max(exposure_left, -10.0), 10.0), flat[7]
