"""How an order takes: best price first, at one price the oldest first, until its lots or its limit are used up.

An order that meets its own owner takes that resting order out instead of trading with it (cancel resting). Positions
and cash only change hands here, so that their sums stay exactly 0. Knows nothing of what becomes of the rest.
"""

from ..market.jit import inlined_kernel, lean_kernel
from .ladder import (
    BEST_ASK,
    BEST_BID,
    BUY_STOPS,
    CASH,
    FRONT,
    LAST,
    LOTS,
    NEXT,
    OWNER,
    POSITION,
    PRINT_HIGH,
    PRINT_LOW,
    QUEUED,
    SELL_STOPS,
    SIDE,
    TAKER_BOUGHT,
    TRADED,
    TRADES,
    Book,
    next_above,
    next_below,
)
from .order_kinds import BUY, REDUCING, SELF_TRADE
from .order_log import log_trade, note_resting, whole
from .order_queue import remove, take_out
from .order_traits import meet, refill, traits_of


@inlined_kernel
def sweep(book: Book, order_id: int, owner: int, side: int, worst: int, lots: int, label: int) -> int:
    """Trade against the other side up to the price `worst`; return the lots left."""
    head, orders, levels, accounts = book.head, book.orders, book.levels, book.accounts
    other_best = BEST_ASK if side == BUY else BEST_BID
    left, paid, fills, first, last = lots, 0, 0, 0, 0
    while left > 0:
        best = int(head[other_best])
        if best == 0 or (best - worst) * side > 0:
            break
        slot = int(levels[best, FRONT])
        maker = int(orders[slot, OWNER])
        if maker == owner:
            note_resting(book, SELF_TRADE, slot, whole(book, slot))
            take_out(book, slot)
            continue
        plain = int(orders[slot, SIDE]) == -side
        if not plain and not meet(book, slot):
            continue
        resting = int(orders[slot, LOTS])
        fill = min(left, resting)
        left -= fill
        paid += fill * best
        fills += 1
        last = best
        if first == 0:
            first = best
        accounts[maker, POSITION] -= side * fill
        accounts[maker, CASH] += side * fill * best
        log_trade(book, slot, side, best, fill, owner, order_id, label)
        if fill < resting:
            orders[slot, LOTS] = resting - fill
            levels[best, QUEUED] -= fill
        elif plain or not refill(book, slot):
            remove(book, slot)
    if fills > 0:
        accounts[owner, POSITION] += side * (lots - left)
        accounts[owner, CASH] -= side * paid
        head[LAST] = last
        head[TRADED] += lots - left
        head[TRADES] += fills
        if side == BUY:
            head[TAKER_BOUGHT] += lots - left
        if head[BUY_STOPS] + head[SELL_STOPS] != 0:
            note_prints(book, min(first, last), max(first, last))
    return left


@lean_kernel
def take(book: Book, order_id: int, owner: int, side: int, worst: int, lots: int, label: int) -> int:
    """`sweep` as a call of its own, for the rarer rules."""
    return sweep(book, order_id, owner, side, worst, lots, label)


@lean_kernel
def note_prints(book: Book, low: int, high: int) -> None:
    """Widen the range of prices that waiting stops have yet to be held against."""
    head = book.head
    head[PRINT_LOW] = low if head[PRINT_LOW] == 0 else min(int(head[PRINT_LOW]), low)
    head[PRINT_HIGH] = max(int(head[PRINT_HIGH]), high)


@lean_kernel
def can_fill(book: Book, owner: int, side: int, worst: int, lots: int) -> bool:
    """Whether others' orders up to `worst` hold `lots`, hidden ones included.

    Reduce-only orders do not count: what they will take depends on the trades before.
    """
    head, orders = book.head, book.orders
    left, price = lots, int(head[BEST_ASK if side == BUY else BEST_BID])
    while left > 0 and price != 0 and (price - worst) * side <= 0:
        slot = int(book.levels[price, FRONT])
        while slot != 0 and left > 0:
            if int(orders[slot, OWNER]) != owner and traits_of(book, slot) & REDUCING == 0:
                left -= whole(book, slot)
            slot = int(orders[slot, NEXT])
        price = next_above(book, price) if side == BUY else next_below(book, price)
    return left <= 0
