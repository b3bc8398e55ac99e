"""What an order in the book may be beyond a plain one: reduce-only, or an iceberg that shows itself piece by piece.

A reduce-only order never takes its owner's position past zero: whenever it is met, it is first cut to what still
reduces, and taken out when that is nothing. A used-up piece of an iceberg is followed by the next, at the back of the
queue. Knows nothing of the taker.
"""

from ..market.jit import inlined_kernel, lean_kernel
from .ladder import (
    BACK,
    BURDEN,
    FRONT,
    HIDDEN,
    LOTS,
    NEXT,
    OWED,
    OWNER,
    PEAK,
    POSITION,
    PREVIOUS,
    PRICE,
    QUEUED,
    SIDE,
    Book,
)
from .order_kinds import BUY, DISPLAYED, REDUCED, REDUCING, REFILLED, SELL
from .order_log import note_resting, whole
from .order_queue import enqueue, take_out

EVENTS_A_PIECE = 3  # a cut, a trade, a refill


@inlined_kernel
def reducible(book: Book, owner: int, side: int) -> int:
    """Lots that an order of this side may take before it turns the owner's position round."""
    return max(0, -side * int(book.accounts[owner, POSITION]))


@inlined_kernel
def traits_of(book: Book, slot: int) -> int:
    """The bits of what the order is beyond a plain one."""
    return abs(int(book.orders[slot, SIDE])) - 1


@lean_kernel
def rest_special(
    book: Book, order_id: int, owner: int, side: int, price: int, lots: int, label: int, traits: int, peak: int
) -> None:
    """Rest a reduce-only order, an iceberg, or both."""
    details = book.details
    shown, pieces = lots, 1
    if traits & DISPLAYED != 0:
        shown, pieces = min(peak, lots), (lots + peak - 1) // peak
    slot = enqueue(book, order_id, owner, side, price, shown, label)
    book.orders[slot, SIDE] = side * (1 + traits)
    details[slot, HIDDEN] = lots - shown
    details[slot, PEAK] = peak
    details[slot, OWED] = EVENTS_A_PIECE * pieces + EVENTS_A_PIECE
    book.head[BURDEN] += details[slot, OWED]


@lean_kernel
def meet(book: Book, slot: int) -> bool:
    """Cut a reduce-only order to what still reduces; False where nothing of it is left."""
    if traits_of(book, slot) & REDUCING == 0:
        return True
    side = BUY if book.orders[slot, SIDE] > 0 else SELL
    lots, allowed = whole(book, slot), reducible(book, int(book.orders[slot, OWNER]), side)
    if lots <= allowed:
        return True
    note_resting(book, REDUCED, slot, lots - allowed)
    if allowed == 0:
        take_out(book, slot)
        return False
    shrink(book, slot, allowed)
    return True


@inlined_kernel
def shrink(book: Book, slot: int, lots: int) -> None:
    """Leave `lots` of a resting order where it stands in the queue; what it hides goes first."""
    orders, shown = book.orders, int(book.orders[slot, LOTS])
    kept = min(shown, lots)
    if traits_of(book, slot) != 0:
        book.details[slot, HIDDEN] = lots - kept
    orders[slot, LOTS] = kept
    book.levels[int(orders[slot, PRICE]), QUEUED] -= shown - kept


@lean_kernel
def refill(book: Book, slot: int) -> bool:
    """Show the next piece of an iceberg whose piece is used up, at the back of its queue; False where there is none."""
    orders, levels, details = book.orders, book.levels, book.details
    hidden = int(details[slot, HIDDEN])
    if hidden == 0:
        return False
    shown, price = min(int(details[slot, PEAK]), hidden), int(orders[slot, PRICE])
    levels[price, QUEUED] += shown - orders[slot, LOTS]
    details[slot, HIDDEN] = hidden - shown
    orders[slot, LOTS] = shown
    after, back = int(orders[slot, NEXT]), int(levels[price, BACK])
    if after != 0:  # it stands at the front, and others behind it
        levels[price, FRONT] = after
        orders[after, PREVIOUS] = 0
        orders[back, NEXT] = slot
        orders[slot, PREVIOUS] = back
        orders[slot, NEXT] = 0
        levels[price, BACK] = slot
    note_resting(book, REFILLED, slot, shown)
    return True
