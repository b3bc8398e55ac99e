"""The rarer messages, away from the fast path: IOC, fill-or-kill, post-only, icebergs, reduce-only, replace, stops.

Each is a validation, a sweep, and a word on what becomes of the rest. Plain limit orders, market orders and cancels
are in `matching`.
"""

from ..market.jit import inlined_kernel, lean_kernel
from .ladder import LABEL, PEAK, SIDE, Book, find
from .order_checks import cancel_refusal, keeps_place, refusal, replace_refusal, slid
from .order_kinds import (
    ACCEPTED,
    BUY,
    CANCELLED,
    DISPLAYED,
    EXPIRED,
    FOK,
    ICEBERG,
    IOC,
    MARKET,
    NOTHING,
    POST_SLIDE,
    REDUCE_ONLY,
    REDUCED,
    REDUCING,
    REPLACE,
    REPLACED,
    RESTED,
    SELL,
    STOP,
    STOP_LIMIT,
    WAITING,
)
from .order_log import note, note_resting, reject, whole
from .order_queue import enqueue, take_out
from .order_stops import arm, disarm
from .order_sweep import can_fill, take
from .order_traits import reducible, rest_special, shrink, traits_of


@lean_kernel
def run_rare(
    book: Book, kind: int, order_id: int, owner: int, side: int, price: int, lots: int, label: int, extra: int
) -> int:
    """Run a message that is no plain limit or market order and no cancel, or one that is wrong."""
    if kind == REPLACE:
        return replace(book, order_id, owner, price, lots, label)
    base = kind & ~REDUCE_ONLY
    shown = NOTHING if base in (MARKET, STOP) else price
    code = refusal(book, kind, order_id, owner, side, price, lots, extra)
    if code != 0:
        return reject(book, code, order_id, owner, side, shown, label)
    traits = (REDUCING if kind != base else 0) | (DISPLAYED if base == ICEBERG else 0)
    if base in (STOP, STOP_LIMIT):
        arm(book, order_id, owner, side, shown, lots, label, traits, extra)
        return 0
    note(book, ACCEPTED, side, shown, lots, owner, order_id, label)
    wanted = _cut(book, order_id, owner, side, shown, lots, label, traits)
    worst = price
    if base == MARKET:
        worst = len(book.levels) if side == BUY else 0
    elif base == POST_SLIDE:
        worst = slid(book, side, price)
    left = wanted
    if base != FOK or can_fill(book, owner, side, worst, wanted):
        left = take(book, order_id, owner, side, worst, wanted, label)
    if left > 0 and (base in (MARKET, IOC, FOK)):
        note(book, EXPIRED, side, shown, left, owner, order_id, label)
    elif left > 0:
        _rest(book, order_id, owner, side, worst, left, label, traits, extra)
    return wanted - left


@lean_kernel
def replace(book: Book, order_id: int, owner: int, price: int, lots: int, label: int) -> int:
    """Give a resting order a new price or size; it keeps its place only where all it does is shrink."""
    code = replace_refusal(book, order_id, owner, price, lots)
    if code != 0:
        return reject(book, code, order_id, owner, NOTHING, price, label)
    slot = find(book, order_id)
    orders, traits = book.orders, traits_of(book, slot)
    side, mark, peak = BUY if orders[slot, SIDE] > 0 else SELL, int(orders[slot, LABEL]), 0
    if traits != 0:
        peak = int(book.details[slot, PEAK])
    note(book, REPLACED, side, price, lots, owner, order_id, mark)
    if keeps_place(book, slot, price, lots):
        shrink(book, slot, lots)
        return 0
    take_out(book, slot)
    wanted = _cut(book, order_id, owner, side, price, lots, mark, traits)
    left = take(book, order_id, owner, side, price, wanted, mark)
    if left > 0:
        _rest(book, order_id, owner, side, price, left, mark, traits, peak)
    return wanted - left


@lean_kernel
def cancel_rare(book: Book, order_id: int, owner: int) -> int:
    """Cancel an order that is more than a plain one, or refuse to."""
    code = cancel_refusal(book, order_id, owner)
    if code != 0:
        return reject(book, code, order_id, owner, NOTHING, NOTHING, NOTHING)
    slot = find(book, order_id)
    lots = whole(book, slot)
    note_resting(book, CANCELLED, slot, lots)
    if traits_of(book, slot) & WAITING != 0:
        disarm(book, slot)
    else:
        take_out(book, slot)
    return lots


@inlined_kernel
def _cut(book: Book, order_id: int, owner: int, side: int, price: int, lots: int, label: int, traits: int) -> int:
    """The lots of an arriving order, less what a reduce-only one has too much."""
    if traits & REDUCING == 0:
        return lots
    allowed = min(lots, reducible(book, owner, side))
    if allowed < lots:
        note(book, REDUCED, side, price, lots - allowed, owner, order_id, label)
    return allowed


@inlined_kernel
def _rest(
    book: Book, order_id: int, owner: int, side: int, price: int, lots: int, label: int, traits: int, peak: int
) -> None:
    if traits == 0:
        enqueue(book, order_id, owner, side, price, lots, label)
    else:
        rest_special(book, order_id, owner, side, price, lots, label, traits, peak)
    note(book, RESTED, side, price, lots, owner, order_id, label)
