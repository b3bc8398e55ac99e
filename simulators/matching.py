"""The rules of the order book, as kernels: price-time priority, in int64 ticks and lots.

Every message is validated here and answered with a code; a refused one changes nothing but the event log. An order
that meets its own owner takes that resting order out instead of trading with it (cancel resting). Knows nothing of
traders, nor of money beyond the owners' positions and cash, whose sums stay exactly 0.
"""

from enum import IntEnum

from ..market.jit import inlined_kernel, kernel
from .ladder import (
    ASKS,
    BACK,
    BEST_ASK,
    BEST_BID,
    BIDS,
    CASH,
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
    FREE,
    FRESH,
    FRONT,
    ID,
    LABEL,
    LAST,
    LOG_KINDS,
    LOGGED,
    LOTS,
    NEXT,
    NOW,
    OWNER,
    POSITION,
    PREVIOUS,
    PRICE,
    QUEUED,
    REJECTS,
    SEQUENCE,
    SIDE,
    TAKER_BOUGHT,
    TRADED,
    TRADES,
    Book,
    Ints,
    codes,
    count_level,
    find,
    forget,
    next_above,
    next_below,
    remember,
)

BUY, SELL = 1, -1
(NOTHING,) = codes(0, 1)
LIMIT, MARKET, CANCEL = 0, 1, 2  # kinds of message; a market order takes what is there, its rest expires (IOC)
MAX_LOTS = 1 << 31  # one order: price × lots, and the sums of many, stay far inside int64
# columns of a message row, for whole batches
MESSAGE_KIND, MESSAGE_ID, MESSAGE_OWNER, MESSAGE_SIDE, MESSAGE_PRICE, MESSAGE_LOTS, MESSAGE_LABEL = range(7)


class Reject(IntEnum):
    """Why a message was refused; kernels return the negative of it. The first reason that holds is given."""

    LOG_FULL = 1
    UNKNOWN_KIND = 2
    UNKNOWN_OWNER = 3
    BAD_ID = 4
    UNKNOWN_SIDE = 5
    BAD_SIZE = 6
    DUPLICATE_ID = 7
    PRICE_OFF_RANGE = 8
    BOOK_FULL = 9
    UNKNOWN_ID = 10
    NOT_YOURS = 11


class Event(IntEnum):
    """What happened to an order. A REJECTED row carries the reject code in its lots."""

    ACCEPTED = 0
    TRADE = 1
    RESTED = 2
    EXPIRED = 3
    CANCELLED = 4
    SELF_TRADE = 5
    REJECTED = 6


# the same for kernels
LOG_FULL, UNKNOWN_KIND, UNKNOWN_OWNER, BAD_ID, UNKNOWN_SIDE, BAD_SIZE = codes(1, 7)
DUPLICATE_ID, PRICE_OFF_RANGE, BOOK_FULL, UNKNOWN_ID, NOT_YOURS = codes(7, 12)
ACCEPTED, TRADE, RESTED, EXPIRED, CANCELLED, SELF_TRADE, REJECTED = codes(0, 7)
ALL_EVENTS, ONLY_TRADES = (1 << 7) - 1, 1 << int(TRADE)


@kernel
def submit_limit(book: Book, order_id: int, owner: int, side: int, price: int, lots: int, label: int) -> int:
    """Trade up to `price` and rest what is left; return the lots filled at once, or minus the reject code."""
    live = int(book.head[BIDS]) + int(book.head[ASKS])
    code = _refusal(book, order_id, owner, side, lots)
    if code == 0 and (price <= 0 or price >= len(book.levels)):
        code = PRICE_OFF_RANGE
    elif code == 0 and live >= len(book.orders) - 1:
        code = BOOK_FULL
    if code != 0:
        return _reject(book, code, order_id, owner, side, price, label)
    _log(book, ACCEPTED, side, price, lots, owner, order_id, label)
    left = _match(book, order_id, owner, side, price, lots, label)
    if left > 0:
        _rest(book, order_id, owner, side, price, left, label)
        _log(book, RESTED, side, price, left, owner, order_id, label)
    return lots - left


@kernel
def submit_market(book: Book, order_id: int, owner: int, side: int, lots: int, label: int) -> int:
    """Take what is there and let the rest expire; return the lots filled, or minus the reject code."""
    code = _refusal(book, order_id, owner, side, lots)
    if code != 0:
        return _reject(book, code, order_id, owner, side, NOTHING, label)
    _log(book, ACCEPTED, side, NOTHING, lots, owner, order_id, label)
    worst = len(book.levels) if side == BUY else 0
    left = _match(book, order_id, owner, side, worst, lots, label)
    if left > 0:
        _log(book, EXPIRED, side, NOTHING, left, owner, order_id, label)
    return lots - left


@kernel
def cancel(book: Book, order_id: int, owner: int) -> int:
    """Take a resting order out; return the lots it still had, or minus the reject code."""
    slot = find(book, order_id) if order_id > 0 else 0
    code = NOTHING
    if not _has_room(book, 1):
        code = LOG_FULL
    elif owner < 0 or owner >= len(book.accounts):
        code = UNKNOWN_OWNER
    elif order_id <= 0:
        code = BAD_ID
    elif slot == 0:
        code = UNKNOWN_ID
    elif int(book.orders[slot, OWNER]) != owner:
        code = NOT_YOURS
    if code != 0:
        return _reject(book, code, order_id, owner, NOTHING, NOTHING, NOTHING)
    lots = int(book.orders[slot, LOTS])
    _log_resting(book, CANCELLED, slot)
    _remove(book, slot)
    return lots


@kernel
def process(book: Book, messages: Ints, answers: Ints) -> None:
    """Run a batch of messages, (n, 7) int64; answers[i] is what the rule for its kind returned."""
    for i in range(len(messages)):
        kind, order_id = int(messages[i, MESSAGE_KIND]), int(messages[i, MESSAGE_ID])
        owner, side = int(messages[i, MESSAGE_OWNER]), int(messages[i, MESSAGE_SIDE])
        price, lots = int(messages[i, MESSAGE_PRICE]), int(messages[i, MESSAGE_LOTS])
        label = int(messages[i, MESSAGE_LABEL])
        if kind == LIMIT:
            answers[i] = submit_limit(book, order_id, owner, side, price, lots, label)
        elif kind == MARKET:
            answers[i] = submit_market(book, order_id, owner, side, lots, label)
        elif kind == CANCEL:
            answers[i] = cancel(book, order_id, owner)
        else:
            code = UNKNOWN_KIND if _has_room(book, 1) else LOG_FULL
            answers[i] = _reject(book, code, order_id, owner, side, price, label)


@inlined_kernel
def _has_room(book: Book, rows: int) -> bool:
    return len(book.events) - int(book.head[LOGGED]) >= rows


@kernel
def _refusal(book: Book, order_id: int, owner: int, side: int, lots: int) -> int:
    code = 0
    if not _has_room(book, int(book.head[BIDS]) + int(book.head[ASKS]) + 2):  # no order makes more events
        code = LOG_FULL
    elif owner < 0 or owner >= len(book.accounts):
        code = UNKNOWN_OWNER
    elif order_id <= 0:
        code = BAD_ID
    elif side != BUY and side != SELL:
        code = UNKNOWN_SIDE
    elif lots <= 0 or lots > MAX_LOTS:
        code = BAD_SIZE
    elif find(book, order_id) != 0:
        code = DUPLICATE_ID
    return code


@kernel
def _reject(book: Book, code: int, order_id: int, owner: int, side: int, price: int, label: int) -> int:
    book.head[REJECTS + code] += 1
    if code != LOG_FULL:
        _log(book, REJECTED, side, price, code, owner, order_id, label)
    return -code


@kernel
def _match(book: Book, order_id: int, owner: int, side: int, price: int, lots: int, label: int) -> int:
    """Trade against the other side up to `price`, best first and oldest first; return the lots left."""
    orders, left = book.orders, lots
    other_best = BEST_ASK if side == BUY else BEST_BID
    while left > 0:
        best = int(book.head[other_best])
        if best == 0 or (best - price) * side > 0:
            break
        slot = int(book.levels[best, FRONT])
        maker, resting = int(orders[slot, OWNER]), int(orders[slot, LOTS])
        if maker == owner:
            _log_resting(book, SELF_TRADE, slot)
            _remove(book, slot)
            continue
        fill = min(left, resting)
        left -= fill
        _settle(book, owner, maker, side, best, fill)
        _log_trade(book, slot, side, fill, owner, order_id, label)
        if fill == resting:
            _remove(book, slot)
        else:
            orders[slot, LOTS] = resting - fill
            book.levels[best, QUEUED] -= fill
    return left


@inlined_kernel
def _settle(book: Book, taker: int, maker: int, side: int, price: int, lots: int) -> None:
    head, accounts = book.head, book.accounts
    signed, money = side * lots, side * lots * price
    accounts[taker, POSITION] += signed
    accounts[taker, CASH] -= money
    accounts[maker, POSITION] -= signed
    accounts[maker, CASH] += money
    head[LAST] = price
    head[TRADED] += lots
    head[TRADES] += 1
    if side == BUY:
        head[TAKER_BOUGHT] += lots


@kernel
def _rest(book: Book, order_id: int, owner: int, side: int, price: int, lots: int, label: int) -> None:
    head, orders, levels = book.head, book.orders, book.levels
    slot = int(head[FREE])
    if slot != 0:
        head[FREE] = orders[slot, NEXT]
    else:
        slot = int(head[FRESH]) + 1
        head[FRESH] = slot
    back = int(levels[price, BACK])
    orders[slot, PRICE] = price
    orders[slot, LOTS] = lots
    orders[slot, SIDE] = side
    orders[slot, OWNER] = owner
    orders[slot, ID] = order_id
    orders[slot, LABEL] = label
    orders[slot, NEXT] = 0
    orders[slot, PREVIOUS] = back
    if back != 0:
        orders[back, NEXT] = slot
    else:
        levels[price, FRONT] = slot
        count_level(book, price, 1)
    levels[price, BACK] = slot
    levels[price, QUEUED] += lots
    if side == BUY:
        head[BIDS] += 1
        head[BEST_BID] = max(int(head[BEST_BID]), price)
    else:
        head[ASKS] += 1
        head[BEST_ASK] = price if head[BEST_ASK] == 0 else min(int(head[BEST_ASK]), price)
    remember(book, order_id, slot)


@kernel
def _remove(book: Book, slot: int) -> None:
    head, orders, levels = book.head, book.orders, book.levels
    price, side = int(orders[slot, PRICE]), int(orders[slot, SIDE])
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
    forget(book, int(orders[slot, ID]))
    orders[slot, NEXT] = head[FREE]
    head[FREE] = slot


@kernel
def _empty_level(book: Book, price: int, side: int) -> None:
    head = book.head
    count_level(book, price, -1)
    if side == BUY and price == head[BEST_BID]:
        head[BEST_BID] = next_below(book, price) if head[BIDS] > 0 else 0
    elif side == SELL and price == head[BEST_ASK]:
        head[BEST_ASK] = next_above(book, price) if head[ASKS] > 0 else 0


@inlined_kernel
def _log_resting(book: Book, kind: int, slot: int) -> None:
    row = book.orders[slot]
    side, price, lots = int(row[SIDE]), int(row[PRICE]), int(row[LOTS])
    _log(book, kind, side, price, lots, int(row[OWNER]), int(row[ID]), int(row[LABEL]))


@inlined_kernel
def _log_trade(book: Book, slot: int, side: int, lots: int, owner: int, order_id: int, label: int) -> None:
    head, events, row = book.head, book.events, book.orders[slot]
    maker_label = int(row[LABEL])
    kept = _log(book, TRADE, side, int(row[PRICE]), lots, owner, order_id, label | maker_label)
    if kept:
        at = int(head[LOGGED]) - 1
        events[at, EVENT_MAKER] = row[OWNER]
        events[at, EVENT_MAKER_ID] = row[ID]
        events[at, EVENT_LABEL] = label
        events[at, EVENT_MAKER_LABEL] = maker_label


@kernel
def _log(book: Book, kind: int, side: int, price: int, lots: int, owner: int, order_id: int, label: int) -> bool:
    """Number the event, and keep it where its kind is asked for or a label makes it evidence."""
    head, events = book.head, book.events
    head[SEQUENCE] += 1
    if (int(head[LOG_KINDS]) >> kind) & 1 == 0 and label == 0:
        return False
    at = int(head[LOGGED])
    head[LOGGED] = at + 1
    events[at, EVENT_SEQUENCE] = head[SEQUENCE]
    events[at, EVENT_KIND] = kind
    events[at, EVENT_AT] = head[NOW]
    events[at, EVENT_SIDE] = side
    events[at, EVENT_PRICE] = price
    events[at, EVENT_LOTS] = lots
    events[at, EVENT_OWNER] = owner
    events[at, EVENT_ID] = order_id
    events[at, EVENT_MAKER] = 0
    events[at, EVENT_MAKER_ID] = 0
    events[at, EVENT_LABEL] = label
    events[at, EVENT_MAKER_LABEL] = 0
    return True
