"""What an environment tells beside the observation: the account in words, for people, tracks and tests."""

from typing import Any

from ..market.ledger import Account
from ..market.limits import State

_STATES = tuple(state.name for state in State)


def account_info(account: Account, lot: float, close: float, closed_at: int, index: int) -> dict[str, Any]:
    """The account at the close of bar `index`; `exposure` is the position's value as a share of equity."""
    equity, lots = account.equity, account.lots
    return info_of(
        equity, lots, account.fees, account.funding, account.state, account.ruin, lot, close, closed_at, index
    )


def info_of(
    equity: float,
    lots: int,
    fees: float,
    funding: float,
    state: int,
    ruin: int,
    lot: float,
    close: float,
    closed_at: int,
    index: int,
) -> dict[str, Any]:
    """The same from the numbers themselves, where making an Account of them first would cost as much again."""
    return {
        "index": index,
        "closed_at": closed_at,
        "close": close,
        "equity": equity,
        "lots": lots,
        "exposure": lots * lot * close / equity if equity > 0 else 0.0,
        "fees": fees,
        "funding": funding,
        "state": _STATES[state],
        "ruin": ruin,
    }
