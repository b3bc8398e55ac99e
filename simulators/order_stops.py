"""Stops: orders that wait outside the queues until a trade prints at or beyond their trigger.

Waiting stops are kept sorted, those to buy and those to sell, with the next to be triggered at the end. A stop that is
triggered becomes a market order (or a limit order) after the message that triggered it is done; its own trades may
trigger more, and these wait their turn behind the ones triggered before. Nearest trigger first, then the oldest;
stops to buy before stops to sell.
"""

from ..market.jit import inlined_kernel, lean_kernel
from .ladder import (
    BURDEN,
    BUY_STOPS,
    HIDDEN,
    ID,
    LABEL,
    LOTS,
    NEXT,
    OWED,
    OWNER,
    PREVIOUS,
    PRICE,
    PRINT_HIGH,
    PRINT_LOW,
    SELL_STOPS,
    SIDE,
    TRIGGER,
    Book,
    remember,
)
from .order_kinds import (
    ACCEPTED,
    ARMED,
    BUY,
    EXPIRED,
    NOTHING,
    REDUCED,
    REDUCING,
    RESTED,
    SELL,
    TRIGGERED,
    WAITING,
)
from .order_log import note, note_resting
from .order_queue import enqueue, free_slot, take_slot
from .order_sweep import take
from .order_traits import reducible, rest_special, traits_of

STOP_EVENTS = 8  # accepted, armed, triggered, cut, a trade that leaves a maker, rested or expired, met again, cancelled


@lean_kernel
def arm(
    book: Book, order_id: int, owner: int, side: int, price: int, lots: int, label: int, traits: int, trigger: int
) -> None:
    """Let a stop wait; `price` is its limit, 0 for one that becomes a market order."""
    orders, details, head = book.orders, book.details, book.head
    note(book, ACCEPTED, side, price, lots, owner, order_id, label)
    slot = take_slot(book)
    orders[slot, PRICE] = price
    orders[slot, LOTS] = lots
    orders[slot, SIDE] = side * (1 + (traits | WAITING))
    orders[slot, OWNER] = owner
    orders[slot, ID] = order_id
    orders[slot, LABEL] = label
    orders[slot, NEXT] = 0
    orders[slot, PREVIOUS] = 0
    details[slot, HIDDEN] = 0
    details[slot, TRIGGER] = trigger
    details[slot, OWED] = STOP_EVENTS
    head[BURDEN] += STOP_EVENTS
    remember(book, order_id, slot)
    row, place = _row(side), _count(side)
    stops, at = book.stops, int(head[place])
    while at > 0 and (trigger - int(details[int(stops[row, at - 1]), TRIGGER])) * side >= 0:
        stops[row, at] = stops[row, at - 1]
        at -= 1
    stops[row, at] = slot
    head[place] += 1
    note(book, ARMED, side, trigger, lots, owner, order_id, label)


@lean_kernel
def disarm(book: Book, slot: int) -> None:
    """Take a waiting stop out."""
    head, stops, side = book.head, book.stops, BUY if book.orders[slot, SIDE] > 0 else SELL
    row, place = _row(side), _count(side)
    at = 0
    while stops[row, at] != slot:
        at += 1
    head[place] -= 1
    for k in range(at, int(head[place])):
        stops[row, k] = stops[row, k + 1]
    free_slot(book, slot)


@lean_kernel
def run_stops(book: Book) -> None:
    """Trigger what the prints since the last call have reached, and what that triggers in turn."""
    orders = book.orders
    first, last = 0, 0
    while True:
        first, last = _collect(book, BUY, first, last)
        first, last = _collect(book, SELL, first, last)
        book.head[PRINT_LOW] = 0
        book.head[PRINT_HIGH] = 0
        if first == 0:
            return
        slot = first
        first = int(orders[slot, NEXT])
        _run(book, slot)


@inlined_kernel
def _row(side: int) -> int:
    return 0 if side == BUY else 1


@inlined_kernel
def _count(side: int) -> int:
    return BUY_STOPS if side == BUY else SELL_STOPS


@inlined_kernel
def _collect(book: Book, side: int, first: int, last: int) -> tuple[int, int]:
    """Move the stops of a side that the prints have reached to the end of the chain first … last."""
    head, orders, details, stops = book.head, book.orders, book.details, book.stops
    row, place = _row(side), _count(side)
    print_ = int(head[PRINT_HIGH]) if side == BUY else int(head[PRINT_LOW])
    while print_ != 0 and head[place] > 0:
        slot = int(stops[row, int(head[place]) - 1])
        if (print_ - int(details[slot, TRIGGER])) * side < 0:
            break
        head[place] -= 1
        orders[slot, NEXT] = 0
        if first == 0:
            first = slot
        else:
            orders[last, NEXT] = slot
        last = slot
    return first, last


@inlined_kernel
def _run(book: Book, slot: int) -> None:
    orders = book.orders
    side, traits = BUY if orders[slot, SIDE] > 0 else SELL, traits_of(book, slot) & ~WAITING
    price, lots, owner = int(orders[slot, PRICE]), int(orders[slot, LOTS]), int(orders[slot, OWNER])
    order_id, label = int(orders[slot, ID]), int(orders[slot, LABEL])
    note_resting(book, TRIGGERED, slot, lots)
    free_slot(book, slot)
    if traits & REDUCING != 0:
        allowed = reducible(book, owner, side)
        if lots > allowed:
            note(book, REDUCED, side, price, lots - allowed, owner, order_id, label)
            lots = allowed
    worst = price if price != 0 else (len(book.levels) if side == BUY else 0)
    left = take(book, order_id, owner, side, worst, lots, label)
    if left == 0:
        return
    if price == 0:
        note(book, EXPIRED, side, NOTHING, left, owner, order_id, label)
        return
    if traits == 0:
        enqueue(book, order_id, owner, side, price, left, label)
    else:
        rest_special(book, order_id, owner, side, price, left, label, traits, left)
    note(book, RESTED, side, price, left, owner, order_id, label)
