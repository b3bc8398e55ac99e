"""The queues of the order book: how an order enters the back of its price level, and how it leaves from anywhere.

Knows nothing of who trades with whom, and logs nothing.
"""

from ..market.jit import inlined_kernel, lean_kernel
from .ladder import (
    ASKS,
    BACK,
    BEST_ASK,
    BEST_BID,
    BIDS,
    BURDEN,
    FREE,
    FRESH,
    FRONT,
    ID,
    LABEL,
    LOTS,
    NEXT,
    OWED,
    OWNER,
    PREVIOUS,
    PRICE,
    QUEUED,
    SIDE,
    Book,
    count_level,
    forget,
    next_above,
    next_below,
    remember,
)
from .order_kinds import BUY, SELL


@inlined_kernel
def has_slot(book: Book) -> bool:
    """Whether one more order finds room in the pool."""
    return int(book.head[FREE]) != 0 or int(book.head[FRESH]) < len(book.orders) - 1


@inlined_kernel
def take_slot(book: Book) -> int:
    """A row of the pool for a new order: the one freed last, else one never used."""
    head = book.head
    slot = int(head[FREE])
    if slot != 0:
        head[FREE] = book.orders[slot, NEXT]
    else:
        slot = int(head[FRESH]) + 1
        head[FRESH] = slot
    return slot


@inlined_kernel
def free_slot(book: Book, slot: int) -> None:
    """Give the row and the id of an order that is gone back."""
    orders, head = book.orders, book.head
    side = int(orders[slot, SIDE])
    if side != BUY and side != SELL:
        head[BURDEN] -= book.details[slot, OWED]
    forget(book, int(orders[slot, ID]))
    orders[slot, NEXT] = head[FREE]
    head[FREE] = slot


@inlined_kernel
def rest(book: Book, order_id: int, owner: int, side: int, price: int, lots: int, label: int) -> int:
    """Put a plain order at the back of its level; return its slot."""
    orders = book.orders
    slot = take_slot(book)
    orders[slot, PRICE] = price
    orders[slot, LOTS] = lots
    orders[slot, SIDE] = side
    orders[slot, OWNER] = owner
    orders[slot, ID] = order_id
    orders[slot, LABEL] = label
    append(book, slot, side, price, lots)
    remember(book, order_id, slot)
    return slot


@inlined_kernel
def append(book: Book, slot: int, side: int, price: int, lots: int) -> None:
    """Link the order in `slot` to the back of the queue at `price`."""
    head, orders, levels = book.head, book.orders, book.levels
    back = int(levels[price, BACK])
    orders[slot, NEXT] = 0
    orders[slot, PREVIOUS] = back
    levels[price, BACK] = slot
    levels[price, QUEUED] += lots
    if back != 0:
        orders[back, NEXT] = slot
    else:
        levels[price, FRONT] = slot
        count_level(book, price, 1)
        if side == BUY:
            head[BEST_BID] = max(int(head[BEST_BID]), price)
        else:
            head[BEST_ASK] = price if head[BEST_ASK] == 0 else min(int(head[BEST_ASK]), price)
    head[BIDS if side == BUY else ASKS] += 1


@inlined_kernel
def remove(book: Book, slot: int) -> None:
    """Take an order out of its queue and free its row."""
    unlink(book, slot)
    free_slot(book, slot)


@lean_kernel
def take_out(book: Book, slot: int) -> None:
    """`remove` as a call of its own, for the rarer rules."""
    remove(book, slot)


@lean_kernel
def enqueue(book: Book, order_id: int, owner: int, side: int, price: int, lots: int, label: int) -> int:
    """`rest` as a call of its own, for the rarer rules."""
    return rest(book, order_id, owner, side, price, lots, label)


@inlined_kernel
def unlink(book: Book, slot: int) -> None:
    """Close the queue over the order in `slot`; find the next best price where its level is empty now."""
    head, orders, levels = book.head, book.orders, book.levels
    price, side = int(orders[slot, PRICE]), BUY if orders[slot, SIDE] > 0 else SELL
    before, after = int(orders[slot, PREVIOUS]), int(orders[slot, NEXT])
    levels[price, QUEUED] -= orders[slot, LOTS]
    if before != 0:
        orders[before, NEXT] = after
    else:
        levels[price, FRONT] = after
    if after != 0:
        orders[after, PREVIOUS] = before
    else:
        levels[price, BACK] = before
    head[BIDS if side == BUY else ASKS] -= 1
    if before == 0 and after == 0:
        _empty_level(book, price, side)


@inlined_kernel
def _empty_level(book: Book, price: int, side: int) -> None:
    head = book.head
    count_level(book, price, -1)
    if side == BUY and price == head[BEST_BID]:
        head[BEST_BID] = next_below(book, price) if head[BIDS] > 0 else 0
    elif side == SELL and price == head[BEST_ASK]:
        head[BEST_ASK] = next_above(book, price) if head[ASKS] > 0 else 0
