"""The rules of the order book, as kernels: price-time priority, in int64 ticks and lots.

Every message is validated here and answered with a code; a refused one changes nothing but the event log. This is the
fast path: cancels, and the orders that are plain ones once they rest, with all others in `order_rare`. Knows nothing of
traders, nor of money beyond the owners' positions and cash.
"""

from ..market.jit import inlined_kernel, lean_kernel, prefetch_cells
from .ladder import (
    ACCOUNT_WIDTH,
    ASKS,
    BIDS,
    BURDEN,
    EVENT_WIDTH,
    HALTED,
    ID_WIDTH,
    LABEL,
    LEVEL_WIDTH,
    LOGGED,
    LOTS,
    MESSAGES,
    ORDER_WIDTH,
    OWNER,
    PRICE,
    PRINT_HIGH,
    SIDE,
    Book,
    Ints,
    find,
    home,
)
from .order_checks import OWN_EVENTS, crosses, on_grid, slid
from .order_kinds import (
    ACCEPTED,
    ALL_EVENTS,
    BUY,
    CANCEL,
    CANCELLED,
    EXPIRED,
    FOK,
    ICEBERG,
    IOC,
    LIMIT,
    MARKET,
    MAX_LOTS,
    MESSAGE_EXTRA,
    MESSAGE_ID,
    MESSAGE_KIND,
    MESSAGE_LABEL,
    MESSAGE_LOTS,
    MESSAGE_OWNER,
    MESSAGE_PRICE,
    MESSAGE_SIDE,
    MESSAGE_WIDTH,
    ONLY_TRADES,
    POST_ONLY,
    POST_SLIDE,
    REDUCE_ONLY,
    REPLACE,
    RESTED,
    SELL,
    STOP,
    STOP_LIMIT,
    TRADE,
    Event,
    Reject,
)
from .order_log import log
from .order_queue import has_slot, remove, rest
from .order_rare import cancel_rare, run_rare
from .order_stops import run_stops
from .order_sweep import sweep

__all__ = [
    "ACCEPTED", "ALL_EVENTS", "BUY", "CANCEL", "FOK", "ICEBERG", "IOC", "LIMIT", "MARKET", "MAX_LOTS", "MESSAGE_EXTRA",
    "MESSAGE_ID", "MESSAGE_KIND", "MESSAGE_LABEL", "MESSAGE_LOTS", "MESSAGE_OWNER", "MESSAGE_PRICE", "MESSAGE_SIDE",
    "MESSAGE_WIDTH", "ONLY_TRADES", "POST_ONLY", "POST_SLIDE", "REDUCE_ONLY", "REPLACE", "SELL", "STOP", "STOP_LIMIT",
    "TRADE", "Event", "Reject", "process",
]  # fmt: skip

FAR, NEAR = 12, 6  # messages between asking for a line of memory and using it


@lean_kernel
def process(book: Book, messages: Ints, count: int, answers: Ints) -> None:
    """Run the first `count` messages; answers[i] is lots filled or taken out, or minus a reject code."""
    refused, end = 0, min(count, len(messages), len(answers)) if _is_laid_out(book, messages) else 0
    for i in range(end):
        _look_ahead(book, messages, i, end)
        kind, order_id = int(messages[i, MESSAGE_KIND]), int(messages[i, MESSAGE_ID])
        owner, side = int(messages[i, MESSAGE_OWNER]), int(messages[i, MESSAGE_SIDE])
        price, lots = int(messages[i, MESSAGE_PRICE]), int(messages[i, MESSAGE_LOTS])
        label = int(messages[i, MESSAGE_LABEL])
        if kind == CANCEL:
            answer = _cancel(book, order_id, owner)
        elif LIMIT <= kind <= POST_SLIDE and kind != FOK and _is_fine(book, kind, order_id, owner, side, price, lots):
            answer = _enter(book, kind, order_id, owner, side, price, lots, label)
        else:
            extra = int(messages[i, MESSAGE_EXTRA])
            answer = run_rare(book, kind, order_id, owner, side, price, lots, label, extra)
        if book.head[PRINT_HIGH] != 0:
            run_stops(book)
        answers[i] = answer
        if answer < 0:
            refused += 1
    book.head[MESSAGES] += max(end, 0) - refused


@inlined_kernel
def _is_laid_out(book: Book, messages: Ints) -> bool:
    """True of messages and of what `empty_book` made: asked, so that the compiler knows how wide the rows are."""
    fits: bool = (
        messages.shape[1] == MESSAGE_WIDTH
        and book.orders.shape[1] == ORDER_WIDTH
        and book.levels.shape[1] == LEVEL_WIDTH
        and book.ids.shape[1] == ID_WIDTH
        and book.accounts.shape[1] == ACCOUNT_WIDTH
        and book.events.shape[1] == EVENT_WIDTH
    )
    return fits


@inlined_kernel
def _look_ahead(book: Book, messages: Ints, i: int, end: int) -> None:
    """Ask for the memory of messages to come: first where their ids are looked up, then their orders."""
    if i + FAR < end:
        prefetch_cells(book.ids, 2 * home(book, int(messages[i + FAR, MESSAGE_ID])))
    if i + NEAR < end:
        slot = int(book.ids[home(book, int(messages[i + NEAR, MESSAGE_ID])), 1])
        prefetch_cells(book.orders, ORDER_WIDTH * slot)


@inlined_kernel
def _is_fine(book: Book, kind: int, order_id: int, owner: int, side: int, price: int, lots: int) -> bool:
    """Whether nothing speaks against an order that is plain once it rests; `order_checks.refusal` knows what does."""
    head = book.head
    most = int(head[BIDS]) + int(head[ASKS]) + int(head[BURDEN]) + OWN_EVENTS
    return (
        len(book.events) - int(head[LOGGED]) >= most
        and int(head[HALTED]) == 0
        and owner >= 0
        and owner < len(book.accounts)
        and order_id > 0
        and (side in (BUY, SELL))
        and lots > 0
        and lots <= MAX_LOTS
        and (kind == MARKET or (price > 0 and price < len(book.levels) and has_slot(book)))
        and find(book, order_id) == 0
        and (kind != POST_ONLY or not crosses(book, side, price))
        and (kind != POST_SLIDE or on_grid(book, slid(book, side, price)))
    )


@inlined_kernel
def _enter(book: Book, kind: int, order_id: int, owner: int, side: int, price: int, lots: int, label: int) -> int:
    """Trade; what is left rests, or expires."""
    worst, shown = price, price
    if kind == MARKET:
        worst, shown = len(book.levels) if side == BUY else 0, 0
    elif kind == POST_SLIDE:
        worst = slid(book, side, price)
    log(book, ACCEPTED, side, shown, lots, owner, order_id, label)
    left = sweep(book, order_id, owner, side, worst, lots, label)
    if left > 0:
        event, at = EXPIRED, shown
        if kind != MARKET and kind != IOC:
            event, at = RESTED, worst
            rest(book, order_id, owner, side, worst, left, label)
        log(book, event, side, at, left, owner, order_id, label)
    return lots - left


@inlined_kernel
def _cancel(book: Book, order_id: int, owner: int) -> int:
    """Cancel a plain order; anything else the slow way."""
    orders, slot = book.orders, 0
    if order_id > 0:
        slot = find(book, order_id)
    side = int(orders[slot, SIDE])
    if (
        slot == 0
        or int(orders[slot, OWNER]) != owner
        or (side != BUY and side != SELL)
        or len(book.events) == int(book.head[LOGGED])
    ):
        return cancel_rare(book, order_id, owner)
    lots = int(orders[slot, LOTS])
    log(book, CANCELLED, side, int(orders[slot, PRICE]), lots, owner, order_id, int(orders[slot, LABEL]))
    remove(book, slot)
    return lots
