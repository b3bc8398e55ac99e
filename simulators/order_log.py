"""Events of the order book: numbered without gaps, kept where their kind is asked for or a label makes them evidence.

Whoever writes has made sure that the log has room. Knows no rule.
"""

from ..market.jit import inlined_kernel, lean_kernel
from .ladder import (
    EVENT_AT,
    EVENT_ID,
    EVENT_KIND,
    EVENT_LABEL,
    EVENT_LOTS,
    EVENT_MAKER,
    EVENT_MAKER_ID,
    EVENT_MAKER_LABEL,
    EVENT_OWNER,
    EVENT_PRICE,
    EVENT_SEQUENCE,
    EVENT_SIDE,
    HIDDEN,
    ID,
    LABEL,
    LOG_KINDS,
    LOGGED,
    LOTS,
    NOW,
    OWNER,
    PRICE,
    REJECTS,
    SEQUENCE,
    SIDE,
    Book,
)
from .order_kinds import BUY, LOG_FULL, REJECTED, SELL, TRADE


@inlined_kernel
def log(book: Book, kind: int, side: int, price: int, lots: int, owner: int, order_id: int, label: int) -> None:
    """Number the event, and keep it where it is wanted."""
    head = book.head
    sequence = int(head[SEQUENCE]) + 1
    head[SEQUENCE] = sequence
    if (int(head[LOG_KINDS]) >> kind) & 1 == 1 or label != 0:
        _keep(book, sequence, kind, side, price, lots, owner, order_id, 0, 0, label, 0)


@inlined_kernel
def log_trade(book: Book, slot: int, side: int, price: int, lots: int, owner: int, order_id: int, label: int) -> None:
    """Number a trade with the order in `slot`, and keep it where trades are wanted or either side is labelled."""
    head, orders = book.head, book.orders
    sequence = int(head[SEQUENCE]) + 1
    head[SEQUENCE] = sequence
    maker_label = int(orders[slot, LABEL])
    if (int(head[LOG_KINDS]) >> TRADE) & 1 == 1 or label | maker_label != 0:
        maker, maker_id = int(orders[slot, OWNER]), int(orders[slot, ID])
        _keep(book, sequence, TRADE, side, price, lots, owner, order_id, maker, maker_id, label, maker_label)


@lean_kernel
def note(book: Book, kind: int, side: int, price: int, lots: int, owner: int, order_id: int, label: int) -> None:
    """`log` as a call of its own, for the rarer rules: inlined everywhere it costs seconds of compilation."""
    log(book, kind, side, price, lots, owner, order_id, label)


@lean_kernel
def note_resting(book: Book, kind: int, slot: int, lots: int) -> None:
    """Number what happens to `lots` of the order in `slot`."""
    orders = book.orders
    side = BUY if orders[slot, SIDE] > 0 else SELL
    price, owner, label = int(orders[slot, PRICE]), int(orders[slot, OWNER]), int(orders[slot, LABEL])
    log(book, kind, side, price, lots, owner, int(orders[slot, ID]), label)


@inlined_kernel
def whole(book: Book, slot: int) -> int:
    """All lots of a resting order, those that an iceberg hides too."""
    shown, side = int(book.orders[slot, LOTS]), int(book.orders[slot, SIDE])
    return shown if side in (BUY, SELL) else shown + int(book.details[slot, HIDDEN])


@lean_kernel
def reject(book: Book, code: int, order_id: int, owner: int, side: int, price: int, label: int) -> int:
    """Count a refusal by its code and answer with it."""
    book.head[REJECTS + code] += 1
    if code != LOG_FULL:
        log(book, REJECTED, side, price, code, owner, order_id, label)
    return -code


@inlined_kernel
def _keep(
    book: Book,
    sequence: int,
    kind: int,
    side: int,
    price: int,
    lots: int,
    owner: int,
    order_id: int,
    maker: int,
    maker_id: int,
    label: int,
    maker_label: int,
) -> None:
    head, events = book.head, book.events
    at = int(head[LOGGED])
    head[LOGGED] = at + 1
    events[at, EVENT_SEQUENCE] = sequence
    events[at, EVENT_KIND] = kind
    events[at, EVENT_AT] = head[NOW]
    events[at, EVENT_SIDE] = side
    events[at, EVENT_PRICE] = price
    events[at, EVENT_LOTS] = lots
    events[at, EVENT_OWNER] = owner
    events[at, EVENT_ID] = order_id
    events[at, EVENT_MAKER] = maker
    events[at, EVENT_MAKER_ID] = maker_id
    events[at, EVENT_LABEL] = label
    events[at, EVENT_MAKER_LABEL] = maker_label
