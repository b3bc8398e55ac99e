"""Reward parts as a user would write them, for the tests of `own_parts`; imported by address, never by the product."""

from wavetank.market.jit import kernel
from wavetank.market.ledger import Account

NOT_CALLABLE = 3


@kernel
def held(before: Account, after: Account) -> float:
    """Minus the lots that are held at the close."""
    return -float(abs(after.lots))


def gained(before: Account, after: Account) -> float:
    """Plain Python: the gain in money."""
    return after.equity - before.equity


@kernel
def broken(before: Account, after: Account) -> float:
    """NaN as soon as anything is held."""
    return (after.equity - after.equity) / float(1 - min(abs(after.lots), 1)) if after.lots == 0 else float("nan")
