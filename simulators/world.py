"""The state of one crowd market as arrays: what each holds, and what its columns are called.

Layout and nothing else; kernels in the files beside read and write it. A market step runs `stepping.open_step`, then
every cohort on what it then sees, then `stepping.close_step`. Knows nothing of how any class of trader decides.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .draws import STREAM_WIDTH
from .ladder import Book, Ints, codes

Floats = NDArray[np.float64]


class Part(IntEnum):
    """Who acts in a market step, by row of keys, knobs and cohorts; VALUE and VENUE trade nothing."""

    NOISE = 0
    FUNDAMENTAL = 1
    TREND = 2
    CONTRARIAN = 3
    MAKERS = 4
    READERS = 5
    LEVERAGED = 6
    EXECUTOR = 7
    PUMPERS = 8
    FOLLOWERS = 9
    SPOOFER = 10
    VALUE = 11
    VENUE = 12


class Knob(IntEnum):
    """What a storm can change. The first seven are factors on a cohort's own numbers (patience: on its share of limit
    orders; lean: on how far makers go with the flow of orders); the others are 0 in calm and add up. Of leveraged
    traders, size is a factor on the collateral that they bring to a new position; of a pump group, on orders and
    budgets; of a spoofer, on its layers, and rate on how often it shows.
    """

    RATE = 0
    SIZE = 1
    DISTANCE = 2
    LIFE = 3
    INVENTORY = 4
    PATIENCE = 5
    LEAN = 6
    PARTICIPATION = 7  # a signed share of all volume, traded at market
    ALARM = 8  # the least factor of volatility and activity that a cohort acts at
    BIAS = 9  # added to leveraged traders' share of longs; how surely a spoofer shows on the bids (+) or the asks (−)
    SHOT = 10  # one market order of so many median bar volumes, signed
    RUSH = 11  # how often a step a member of the pump group buys, or a follower looks whether to
    DUMP = 12  # how often a step a member of the group sells, once the organiser, who sells every step, is out
    DRIFT = 13  # of the log value, spread over the change's whole span
    HALT = 14  # of the venue: 1 keeps the orders that arrive meanwhile, 2 drops them
    SHOW = 15  # a spoofer at work: 1 plain, 2 evasive


class Label(IntEnum):
    """Ground truth about an order, kept in the tape and never shown to a trader."""

    NONE = 0
    EXECUTION = 1
    LIQUIDATION = 2
    PUMP = 3
    DUMP = 4
    SPOOF = 5
    SPOOF_REAL = 6
    FOLLOW = 7


COHORTS, PARTS = 11, 13
NOISE, FUNDAMENTAL, TREND, CONTRARIAN, MAKERS, READERS = codes(0, 6)
LEVERAGED, EXECUTOR, PUMPERS, FOLLOWERS, SPOOFER, VALUE, VENUE = codes(6, 13)
RATE, SIZE, DISTANCE, LIFE, INVENTORY, PATIENCE, LEAN = range(7)
PARTICIPATION, ALARM, BIAS, SHOT, RUSH, DUMP, DRIFT, HALT, SHOW, KNOBS = range(7, 17)
FIRST_ADDITIVE = PARTICIPATION

# places in the clock
STEP, STEPS_A_BAR, BARS, SCHEDULED, NEXT_ID, NEXT_OUTSIDE_ID, POSTED = range(7)
FREE_ROW, FRESH_ROW, FREE_NODE, FRESH_NODE = range(7, 11)  # of orders under way, and of lives
FIRST_OUTSIDER, FILLS, REPLIES, LIQUIDATED, SOCIALISED, OVERDUE = range(11, 17)
BEGAN_TRADED, BEGAN_BOUGHT, BEGAN_TRADES, STEPS, TWO_SIDED, SPREAD = range(17, 23)  # the running bar
BAR_OPEN, BAR_HIGH, BAR_LOW, QUOTES, QUOTING, BARS_LOGGED, DELEVERAGED, CLOCK_WIDTH = range(23, 31)
# places in the mood, which moves every trader; logs of prices are of prices in ticks
LOG_VALUE, LOG_FACTOR, FACTOR, ACTIVITY, MID, LOG_MID, MOVE, IMBALANCE, LOT = range(9)
FLOW, ARRIVED, MOOD_WIDTH = 9, 10, 11  # market orders that bought less those that sold: lately, and in this step
# columns of a cohort's row: its first owner, how many, orders that found no room, its storm orders' label
FIRST_OWNER, COUNT, LOST, MARK, COHORT_WIDTH = range(5)
# columns of the storm's schedule
FROM_STEP, UNTIL_STEP, WHO, WHAT, HOW_MUCH, SCHEDULE_WIDTH = range(6)
# columns of an order under way after those of its message: sort key, next in its bucket, life once it rests, cohort
SORT, AFTER, LIVES, COHORT, UNDERWAY_WIDTH = range(8, 13)
# columns of a life's end, rows of the calendar
ENDING_ID, ENDING_OWNER, ENDING_AFTER, ENDING_WIDTH = range(4)
ARRIVALS, ENDINGS = 0, 1
# columns of an outsider's fill and of a reply to it
FILL_OWNER, FILL_TICKS, FILL_LOTS, FILL_STEP, FILL_WIDTH = range(5)
REPLY_ID, REPLY_ANSWER, REPLY_STEP, REPLY_WIDTH = range(4)
# columns of a bar's row, in ticks and lots, and of its notes
OPEN, HIGH, LOW, CLOSE, VOLUME, TAKER_BUY, TRADE_COUNT, QUOTED_STEPS, SPREAD_SUM, BAR_WIDTH = range(10)
NOTE_LOG_VALUE, NOTE_ACTIVITY, NOTE_MAKERS, NOTE_WIDTH = range(4)
# columns of a step's quote
QUOTE_STEP, BID, BID_LOTS, ASK, ASK_LOTS, NEAR_LOTS, FAR_LOTS, MESSAGES_SO_FAR, QUOTE_WIDTH = range(9)

TRAITS = 6  # float columns of one trader
HISTORY = 8_192  # steps of past log prices that chartists look back on
CALENDAR = 8_192  # steps ahead that an order can be under way, and the longest life
UNDERWAY_ROOM, ENDINGS_ROOM, DUE_ROOM = 1 << 14, 1 << 14, 1 << 14
FILLS_ROOM, REPLIES_ROOM, SCHEDULE_ROOM, QUOTE_ROOM = 1 << 13, 256, 64, 1 << 12
MAKER_ORDERS, SPOOFER_ORDERS = 1 << 8, 1 << 6
OUTSIDE_IDS = 1 << 40  # order ids of outsiders start here, so that they do not shift the crowd's


class World(NamedTuple):
    """Everything that a market step reads or changes. Rows of cohorts, knobs and keys follow `Part`."""

    book: Book
    clock: Ints
    mood: Floats
    history: Floats  # log mid of past steps, a ring
    keys: Ints  # (13, 2) key words of the draws
    stream: Ints  # scratch: the stream that is being drawn from
    knobs: Floats  # (13, 15) in force, part by knob
    schedule: Floats  # (64, 5) the storm's timed changes
    cohorts: Ints  # (11, 4)
    traders: Floats  # (owners, 6), meaning depends on the class
    underway: Ints  # orders that have not arrived: a message and four columns; row 0 is none
    endings: Ints  # lives of resting orders; row 0 is none
    calendar: Ints  # (2, 8192) first arrival and first ending of a step, a ring
    due: Ints  # scratch: this step's messages
    origins: Ints  # scratch: (2, …) which rows under way they were, and their sort keys
    answers: Ints  # scratch: what the book answered
    quotes: Ints  # (320,) ids of the makers' quotes, in place, and of the spoofers' orders
    fills: Ints  # (8192, 4) of outsiders, a ring
    replies: Ints  # (256, 3) to outsiders, a ring
    bars: Ints  # (room, 9) finished bars
    notes: Floats  # (room, 3) beside them
    tops: Ints  # (room, 8) quotes at the end of steps, where they are kept


def empty_world(book: Book, bars: int) -> World:
    """A world without a past around `book`, with room for `bars` finished bars."""
    return World(
        book,
        np.zeros(CLOCK_WIDTH, np.int64),
        np.zeros(MOOD_WIDTH),
        np.zeros(HISTORY),
        np.zeros((PARTS, 2), np.int64),
        np.zeros(STREAM_WIDTH, np.int64),
        np.zeros((PARTS, KNOBS)),
        np.zeros((SCHEDULE_ROOM, SCHEDULE_WIDTH)),
        np.zeros((COHORTS, COHORT_WIDTH), np.int64),
        np.zeros((len(book.accounts), TRAITS)),
        np.zeros((UNDERWAY_ROOM, UNDERWAY_WIDTH), np.int64),
        np.zeros((ENDINGS_ROOM, ENDING_WIDTH), np.int64),
        np.zeros((2, CALENDAR), np.int64),
        np.zeros((DUE_ROOM, 8), np.int64),
        np.zeros((2, DUE_ROOM), np.int64),
        np.zeros(DUE_ROOM, np.int64),
        np.zeros(MAKER_ORDERS + SPOOFER_ORDERS, np.int64),
        np.zeros((FILLS_ROOM, FILL_WIDTH), np.int64),
        np.zeros((REPLIES_ROOM, REPLY_WIDTH), np.int64),
        np.zeros((bars, BAR_WIDTH), np.int64),
        np.zeros((bars, NOTE_WIDTH)),
        np.zeros((QUOTE_ROOM, QUOTE_WIDTH), np.int64),
    )
