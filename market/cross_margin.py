"""Cross margin: what all positions of an account are worth together, and what is closed where that is too little.

The end of a bar and of a stretch of data, for the positions of `portfolio`. The worst price of a bar is every
position's own worst at once: which came first inside the bar is not known. Knows no orders and no policy.
"""

from .jit import inlined_kernel, lean_kernel
from .ledger import Account, liquidate, mark
from .limits import update_limits
from .portfolio import CLOSE, FRESH, HIGH, LOW, PRESENCE, Floats, Markets, Positions, holding, leave
from .terms import read_terms


@inlined_kernel
def end_bars(i: int, t: int, account: Account, positions: Positions, markets: Markets) -> Account:
    """Steps 5–7 of row `t`: liquidation with every position at its own worst price at once, mark, limits."""
    for k in range(positions.lots.shape[1]):
        positions.idle[i, k] += 1
    worst, margin = _at_worst(i, t, -1, account.cash, positions, markets)
    if worst < margin:
        account = _liquidate_largest_first(i, t, account, positions, markets)
    return _marked(i, t, account, positions, markets)


@inlined_kernel
def close_for_gaps(i: int, t: int, account: Account, positions: Positions, markets: Markets) -> Account:
    """The data of all assets ends in a long gap: close what is held at the last closes, at a multiple of the cost."""
    closed = 0
    for k in range(positions.lots.shape[1]):
        if positions.lots[i, k] != 0:
            account = leave(i, t, k, account, positions, markets)
            positions.idle[i, k] = 1  # the bar at hand has been counted
            closed += 1
    return _marked(i, t, account, positions, markets) if closed > 0 else account


@inlined_kernel
def _marked(i: int, t: int, account: Account, positions: Positions, markets: Markets) -> Account:
    """Value all positions at the closes of row `t`; then let the limits latch."""
    equity = account.cash
    for k in range(positions.lots.shape[1]):
        equity += positions.lots[i, k] * read_terms(markets.terms, k).lot * float(markets.prices[t, k, CLOSE])
    terms = read_terms(markets.terms, 0)
    flat = mark(_with_cash(account, equity), 0.0, terms)  # who holds cash alone is worth that cash
    return update_limits(_with_cash(flat, account.cash), terms)


@inlined_kernel
def _with_cash(account: Account, cash: float) -> Account:
    """The same account holding no asset, with other cash."""
    return Account(
        cash,
        0.0,
        account.equity,
        account.peak,
        account.day_equity,
        account.fees,
        account.funding,
        account.borrow,
        account.turnover,
        0,
        account.state,
        account.idle_bars,
        account.trades,
        account.ruin,
    )


@inlined_kernel
def _worst_price(prices: Floats, t: int, k: int, lots: int) -> float:
    return float(prices[t, k, LOW]) if lots > 0 else float(prices[t, k, HIGH])


@inlined_kernel
def _at_worst(i: int, t: int, without: int, cash: float, positions: Positions, markets: Markets) -> tuple[float, float]:
    """Worth, and maintenance margin, of cash and all positions but one, each at its own worst price of row `t`."""
    worth, margin = cash, 0.0
    for k in range(positions.lots.shape[1]):
        lots = int(positions.lots[i, k])
        if k != without:
            worst, lot = _worst_price(markets.prices, t, k, lots), read_terms(markets.terms, k).lot
            worth += lots * lot * worst
            margin += read_terms(markets.terms, k).maintenance * (abs(lots) * lot) * worst
    return worth, margin


@lean_kernel
def _liquidate_largest_first(i: int, t: int, account: Account, positions: Positions, markets: Markets) -> Account:
    """Close the largest maintenance margin, and again, until the worst worth covers what margin is left.

    The price is the bar's worst, or the one at which nothing of the account is left where that is better: what is
    missing then is the venue's loss. What has no bar cannot be closed; it waits.
    """
    worst, margin = _at_worst(i, t, -1, account.cash, positions, markets)
    while worst < margin:
        k = _largest_margin(i, t, positions, markets)
        if k < 0:
            return account
        account = _liquidate_one(i, t, k, account, positions, markets)
        worst, margin = _at_worst(i, t, -1, account.cash, positions, markets)
    return account


@inlined_kernel
def _largest_margin(i: int, t: int, positions: Positions, markets: Markets) -> int:
    """The asset with a bar whose position asks for the most margin; -1 where there is none."""
    largest, found = -1.0, -1
    for k in range(positions.lots.shape[1]):
        lots = int(positions.lots[i, k])
        if lots != 0 and markets.prices[t, k, PRESENCE] == FRESH:
            worst = _worst_price(markets.prices, t, k, lots)
            margin = read_terms(markets.terms, k).maintenance * (abs(lots) * read_terms(markets.terms, k).lot) * worst
            if margin > largest:
                largest, found = margin, k
    return found


@inlined_kernel
def _liquidate_one(i: int, t: int, k: int, account: Account, positions: Positions, markets: Markets) -> Account:
    terms, lots = read_terms(markets.terms, k), int(positions.lots[i, k])
    worst, held = _worst_price(markets.prices, t, k, lots), abs(lots) * terms.lot
    rest, _ = _at_worst(i, t, k, account.cash, positions, markets)
    bankruptcy = -rest / (lots * terms.lot)  # the price at which nothing is left
    price = max(worst, bankruptcy) if lots > 0 else max(min(worst, bankruptcy), 0.0)
    left = rest + lots * terms.lot * price
    fee = min(terms.liquidation_fee * held * price, left if left > 0.0 else 0.0)
    closed = liquidate(holding(account, lots, 0.0, account.idle_bars), price, fee, terms)
    positions.lots[i, k] = 0
    positions.entry[i, k] = 0.0
    positions.idle[i, k] = 1  # the bar at hand has been counted
    return closed
