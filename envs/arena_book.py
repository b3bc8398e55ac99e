"""The order-book block of an observation: the levels, the imbalance and the own orders as scale-free columns.

Prices are basis points from the mid, or from the last trade where a side is empty, cut off at 50; sizes are logarithms
of multiples of what a market step trades in the median bar. A level that is not there lies 50 bp away and holds
nothing. Knows neither account nor action.
"""

import math

from ..market.jit import inlined_kernel, lean_kernel
from ..simulators import world as crowd
from ..simulators.climate import reference_ticks
from ..simulators.ladder import BEST_ASK, BEST_BID, LOTS, PREVIOUS, PRICE, QUEUED, Book, find, next_above, next_below
from ..simulators.world import World
from .arena_field import Columns, Ints
from .arena_orders import OWN_ID, OWN_SIDE, promised

MOST_BPS = 50.0
MOST_LEVELS = 20
BPS = 1e4
SIDES = ("bid", "ask")
ABOUT_BLOCK = {
    "bid_k_bps, ask_k_bps": "price of the k-th best occupied level, bp from the mid: bids below 0, asks above; "
    "∓50 where there is none",
    "bid_k_lots, ask_k_lots": "log(1 + lots shown there over the lots that a market step trades in the median bar)",
    "imbalance": "(bids − asks) ÷ (bids + asks), in lots, over these levels; 0 in an empty book",
    "spread_bps": "best ask over best bid, bp of the mid; 50 where a side is empty",
    "since_close_bps": "the mid, bp from the last bar's close",
    "bar_elapsed": "share of the running bar that has passed, where wakes lie inside bars",
    "own_bid_bps, own_ask_bps": "price of the best own order, as above; ∓50 where none rests",
    "own_bid_lots, own_ask_lots": "log(1 + …) of the own lots that rest or are on their way, on all levels",
    "own_bid_ahead, own_ask_ahead": "share of its level's lots that stand before it; 1 where none rests",
}


def block_columns(levels: int, *, inside: bool, own: bool) -> tuple[str, ...]:
    """Names of the columns in order; none where there are no levels."""
    if levels == 0:
        return ()
    shown = [f"{side}_{k}_{what}" for side in SIDES for k in range(1, levels + 1) for what in ("bps", "lots")]
    ours = [f"own_{side}_{what}" for side in SIDES for what in ("bps", "lots", "ahead")]
    return (*shown, "imbalance", "spread_bps", "since_close_bps", *["bar_elapsed"] * inside, *(ours if own else []))


@lean_kernel
def write_block(world: World, own: Ints, unit: float, levels: int, inside: int, ours: int, out: Columns) -> None:
    """Write the block as the book stands now; `unit` the lots of a market step, `inside` and `ours` 0 or 1."""
    book, mid = world.book, reference_ticks(world.book)
    bid, ask = int(book.head[BEST_BID]), int(book.head[BEST_ASK])
    bids = _write_side(book, True, mid, unit, levels, 0, out)
    asks = _write_side(book, False, mid, unit, levels, 2 * levels, out)
    at = 4 * levels
    out[at] = (bids - asks) / max(bids + asks, 1)
    out[at + 1] = min(BPS * (ask - bid) / max(mid, 1.0), MOST_BPS) if bid != 0 and ask != 0 else MOST_BPS
    out[at + 2] = _bps(mid, float(world.bars[max(int(world.clock[crowd.BARS]) - 1, 0), crowd.CLOSE]))
    at += 3
    if inside != 0:
        out[at] = int(world.clock[crowd.STEPS]) / max(int(world.clock[crowd.STEPS_A_BAR]), 1)
        at += 1
    if ours != 0:
        _write_own(book, own, True, mid, unit, at, out)
        _write_own(book, own, False, mid, unit, at + 3, out)


@lean_kernel
def _write_side(book: Book, is_bid: bool, mid: float, unit: float, levels: int, at: int, out: Columns) -> int:
    """The levels of one side from column `at` on; the lots on them."""
    price, total = int(book.head[BEST_BID if is_bid else BEST_ASK]), 0
    for k in range(levels):
        lots = 0
        out[at + 2 * k] = -MOST_BPS if is_bid else MOST_BPS
        if price != 0:
            out[at + 2 * k] = _bps(float(price), mid)
            lots = int(book.levels[price, QUEUED])
            price = next_below(book, price) if is_bid else next_above(book, price)
        out[at + 2 * k + 1] = _size(lots, unit)
        total += lots
    return total


@lean_kernel
def _write_own(book: Book, own: Ints, is_bid: bool, mid: float, unit: float, at: int, out: Columns) -> None:
    slot = _best_own(book, own, is_bid)
    out[at] = -MOST_BPS if is_bid else MOST_BPS
    out[at + 1] = _size(promised(book, own, is_bid), unit)
    out[at + 2] = 1.0
    if slot != 0:
        price, ahead, before = int(book.orders[slot, PRICE]), 0, int(book.orders[slot, PREVIOUS])
        while before != 0:
            ahead += int(book.orders[before, LOTS])
            before = int(book.orders[before, PREVIOUS])
        out[at] = _bps(float(price), mid)
        out[at + 2] = ahead / max(int(book.levels[price, QUEUED]), 1)


@inlined_kernel
def _best_own(book: Book, own: Ints, is_bid: bool) -> int:
    """The slot of the own order that trades first, the oldest at the best price; 0 where none rests."""
    found, best, oldest = 0, 0, 0
    for row in range(len(own)):
        order_id = int(own[row, OWN_ID])
        if order_id != 0 and (own[row, OWN_SIDE] > 0) == is_bid:
            slot = find(book, order_id)
            price = int(book.orders[slot, PRICE])
            is_better = price > best if is_bid else price < best
            if slot != 0 and (found == 0 or is_better or (price == best and order_id < oldest)):
                found, best, oldest = slot, price, order_id
    return found


@inlined_kernel
def _bps(price: float, reference: float) -> float:
    return min(max(BPS * (price / reference - 1.0), -MOST_BPS), MOST_BPS) if reference > 0.0 else 0.0


@inlined_kernel
def _size(lots: int, unit: float) -> float:
    return math.log(1.0 + lots / max(unit, 1e-9))
