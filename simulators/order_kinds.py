"""The words of the order book: kinds of message, reasons for a refusal, kinds of event, columns of a message row.

Numbers for kernels and enumerations for people, of the same values. Knows no rule.
"""

from enum import IntEnum

from .ladder import codes

BUY, SELL = 1, -1
(NOTHING,) = codes(0, 1)
MAX_LOTS = 1 << 36  # one order: 687 BTC in satoshis; price × lots, and the sums of many, stay inside int64
MAX_PARTS = 100  # an iceberg shows itself in at most so many pieces, which bounds the events of a message

# columns of a message row
MESSAGE_KIND, MESSAGE_ID, MESSAGE_OWNER, MESSAGE_SIDE, MESSAGE_PRICE, MESSAGE_LOTS, MESSAGE_LABEL = range(7)
MESSAGE_EXTRA, MESSAGE_WIDTH = 7, 8  # the trigger of a stop, the peak of an iceberg

# kinds of message; REDUCE_ONLY is or-ed into the kind of an order
LIMIT, MARKET, CANCEL, IOC, FOK, POST_ONLY, POST_SLIDE, REPLACE, STOP, STOP_LIMIT, ICEBERG = range(11)
KINDS, REDUCE_ONLY = 11, 16

# what an order in the book is beyond a plain one: bits of |side| − 1
REDUCING, DISPLAYED, WAITING = 1, 2, 4  # reduce-only; an iceberg; a stop, which stands in no queue


class Reject(IntEnum):
    """Why a message was refused; kernels return the negative of it. Which reason comes first: docs/book.md."""

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
    HALTED = 12
    BAD_TRIGGER = 13
    BAD_PEAK = 14
    WOULD_CROSS = 15
    REDUCES_NOTHING = 16
    NOT_RESTING = 17


class Event(IntEnum):
    """What happened to an order. A REJECTED row carries the reject code in its lots."""

    ACCEPTED = 0
    TRADE = 1
    RESTED = 2
    EXPIRED = 3
    CANCELLED = 4
    SELF_TRADE = 5
    REJECTED = 6
    REPLACED = 7
    REDUCED = 8
    REFILLED = 9
    ARMED = 10
    TRIGGERED = 11
    DELEVERAGED = 12  # off the book, and no trade: one row for each of the two


# the same for kernels
LOG_FULL, UNKNOWN_KIND, UNKNOWN_OWNER, BAD_ID, UNKNOWN_SIDE, BAD_SIZE = codes(1, 7)
DUPLICATE_ID, PRICE_OFF_RANGE, BOOK_FULL, UNKNOWN_ID, NOT_YOURS, WHILE_HALTED = codes(7, 13)
BAD_TRIGGER, BAD_PEAK, WOULD_CROSS, REDUCES_NOTHING, NOT_RESTING = codes(13, 18)
ACCEPTED, TRADE, RESTED, EXPIRED, CANCELLED, SELF_TRADE, REJECTED = codes(0, 7)
REPLACED, REDUCED, REFILLED, ARMED, TRIGGERED = codes(7, 12)
ALL_EVENTS, ONLY_TRADES = (1 << 13) - 1, 1 << int(TRADE)
