"""Why a message is refused: every check, in the order in which reasons take precedence.

The fast path asks whether anything is wrong at all, and comes here for the reason. Changes nothing.
"""

from ..market.jit import inlined_kernel, lean_kernel
from .ladder import (
    ASKS,
    BEST_ASK,
    BEST_BID,
    BIDS,
    BURDEN,
    HALTED,
    LAST,
    LOGGED,
    OWNER,
    PEAK,
    PRICE,
    SIDE,
    Book,
    find,
)
from .order_kinds import (
    BAD_ID,
    BAD_PEAK,
    BAD_SIZE,
    BAD_TRIGGER,
    BOOK_FULL,
    BUY,
    CANCEL,
    DISPLAYED,
    DUPLICATE_ID,
    FOK,
    ICEBERG,
    IOC,
    KINDS,
    LOG_FULL,
    MARKET,
    MAX_LOTS,
    MAX_PARTS,
    NOT_RESTING,
    NOT_YOURS,
    NOTHING,
    POST_ONLY,
    POST_SLIDE,
    PRICE_OFF_RANGE,
    REDUCE_ONLY,
    REDUCES_NOTHING,
    REDUCING,
    REPLACE,
    SELL,
    STOP,
    STOP_LIMIT,
    UNKNOWN_ID,
    UNKNOWN_KIND,
    UNKNOWN_OWNER,
    UNKNOWN_SIDE,
    WAITING,
    WHILE_HALTED,
    WOULD_CROSS,
)
from .order_log import whole
from .order_queue import has_slot
from .order_traits import reducible, traits_of

OWN_EVENTS = 4  # of the order itself, besides one for each that it meets: accepted, cut, armed or replaced, rested


@inlined_kernel
def has_room(book: Book, rows: int) -> bool:
    """Whether the event log takes `rows` more."""
    return len(book.events) - int(book.head[LOGGED]) >= rows


@inlined_kernel
def most_events(book: Book) -> int:
    """More events than one order and all the stops it triggers can make of the orders now in the book."""
    head = book.head
    return int(head[BIDS]) + int(head[ASKS]) + int(head[BURDEN]) + OWN_EVENTS


@lean_kernel
def refusal(book: Book, kind: int, order_id: int, owner: int, side: int, price: int, lots: int, extra: int) -> int:
    """The reject code of a new order, 0 where it is in order."""
    base = kind & ~REDUCE_ONLY
    code = _state_refusal(book, kind)
    if code != 0:
        return code
    if owner < 0 or owner >= len(book.accounts):
        return UNKNOWN_OWNER
    if order_id <= 0:
        return BAD_ID
    if side != BUY and side != SELL:
        return UNKNOWN_SIDE
    if lots <= 0 or lots > MAX_LOTS:
        return BAD_SIZE
    if find(book, order_id) != 0:
        return DUPLICATE_ID
    if base != MARKET and base != STOP and not on_grid(book, price):
        return PRICE_OFF_RANGE
    if base in (STOP, STOP_LIMIT):
        if not on_grid(book, extra) or (book.head[LAST] != 0 and (extra - int(book.head[LAST])) * side <= 0):
            return BAD_TRIGGER
    elif base == ICEBERG and (extra <= 0 or extra > lots or lots > extra * MAX_PARTS):
        return BAD_PEAK
    if base != MARKET and base != IOC and base != FOK and not has_slot(book):
        return BOOK_FULL
    if base == POST_ONLY and crosses(book, side, price):
        return WOULD_CROSS
    if base == POST_SLIDE and not on_grid(book, slid(book, side, price)):
        return PRICE_OFF_RANGE
    if kind != base and base != STOP and base != STOP_LIMIT and reducible(book, owner, side) == 0:
        return REDUCES_NOTHING
    return NOTHING


@lean_kernel
def cancel_refusal(book: Book, order_id: int, owner: int) -> int:
    """The reject code of a cancel, 0 where it is in order."""
    if not has_room(book, 1):
        return LOG_FULL
    return _owner_refusal(book, order_id, owner)


@lean_kernel
def replace_refusal(book: Book, order_id: int, owner: int, price: int, lots: int) -> int:
    """The reject code of a replace, 0 where it is in order."""
    code = _state_refusal(book, REPLACE)
    if code == 0:
        code = _owner_refusal(book, order_id, owner)
    if code != 0:
        return code
    slot = find(book, order_id)
    traits = traits_of(book, slot)
    if lots <= 0 or lots > MAX_LOTS:
        return BAD_SIZE
    if not on_grid(book, price):
        return PRICE_OFF_RANGE
    if traits & WAITING != 0:
        return NOT_RESTING
    if traits & DISPLAYED != 0 and lots > int(book.details[slot, PEAK]) * MAX_PARTS:
        return BAD_PEAK
    side = BUY if book.orders[slot, SIDE] > 0 else SELL
    if traits & REDUCING != 0 and not keeps_place(book, slot, price, lots) and reducible(book, owner, side) == 0:
        return REDUCES_NOTHING
    return NOTHING


@inlined_kernel
def keeps_place(book: Book, slot: int, price: int, lots: int) -> bool:
    """Whether a replaced order stays where it is in the queue: same price, no more lots than now."""
    return price == book.orders[slot, PRICE] and lots <= whole(book, slot)


@inlined_kernel
def on_grid(book: Book, price: int) -> bool:
    """Whether there is such a price."""
    return price > 0 and price < len(book.levels)


@inlined_kernel
def crosses(book: Book, side: int, price: int) -> bool:
    """Whether an order at this price would meet the other side."""
    best = int(book.head[BEST_ASK if side == BUY else BEST_BID])
    return best != 0 and (best - price) * side <= 0


@inlined_kernel
def slid(book: Book, side: int, price: int) -> int:
    """The price, stepped back to one tick off the other side's best where it would meet that."""
    if not crosses(book, side, price):
        return price
    return int(book.head[BEST_ASK if side == BUY else BEST_BID]) - side


@inlined_kernel
def _state_refusal(book: Book, kind: int) -> int:
    base = kind & ~REDUCE_ONLY
    if not has_room(book, most_events(book)):
        return LOG_FULL
    if base < 0 or base >= KINDS or (kind != base and (base in (CANCEL, REPLACE))):
        return UNKNOWN_KIND
    return WHILE_HALTED if book.head[HALTED] != 0 else NOTHING


@inlined_kernel
def _owner_refusal(book: Book, order_id: int, owner: int) -> int:
    if owner < 0 or owner >= len(book.accounts):
        return UNKNOWN_OWNER
    if order_id <= 0:
        return BAD_ID
    slot = find(book, order_id)
    if slot == 0:
        return UNKNOWN_ID
    return NOTHING if int(book.orders[slot, OWNER]) == owner else NOT_YOURS
