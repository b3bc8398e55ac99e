"""What an environment tells beside the observation: the account in words, for people, tracks and tests."""

from typing import Any

from ..market.ledger import Account
from ..market.limits import State

STATES = tuple(state.name for state in State)


def account_info(account: Account, lot: float, close: float, closed_at: int, index: int) -> dict[str, Any]:
    """The account at the close of bar `index`; `exposure` is the position's value as a share of equity."""
    value = account.lots * lot * close
    return {
        "index": index,
        "closed_at": closed_at,
        "close": close,
        "equity": account.equity,
        "lots": account.lots,
        "exposure": value / account.equity if account.equity > 0 else 0.0,
        "fees": account.fees,
        "funding": account.funding,
        "borrow": account.borrow,
        "state": STATES[account.state],
        "ruin": account.ruin,
    }
