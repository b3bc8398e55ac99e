"""What a batch of arenas walks over: the arrays of N desks in N markets, and the names of their columns.

Layout and nothing else; `arena_engine` makes the arrays, the kernels of `arena_walk` read and write them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# columns of `clock`; READ and ANSWERED: fills and replies that the desk has seen, CLOSED: whether it woke at a close
UNTIL, EPISODE, DONE, OPENED_AT, READ, ANSWERED, CLOSED = range(7)
STEPS, OWNER, LATENCY, INTERVAL_MS, WINDOW, WIDTH, WITNESSED, MEMORY = range(8)  # columns of `options`
WAKE, ON_FILL, INSIDE, BOOK, BLOCK, ORDERS, LEVELS = range(8, 15)
FUNDING_BPS, TICK, LOT = range(3)  # columns of `amounts`
BASE_MS, HIGHER_MS, FIRST, STOP, BEGIN, END = range(6)  # columns of `groups`
ORDERED, FILLED = 0, 1  # columns of `lots`
NO_ROOM, FILLS_LOST, STUCK = 1, 2, 3  # what can go wrong with a row

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Columns = NDArray[np.float32]
Flags = NDArray[np.bool_]


class Ground(NamedTuple):
    """What no step changes. `base` (1, 20) the terms; `watched`, `weights` as in a reward's Rule; `options` market
    steps a bar, the policy's owner id, market steps that an order travels, the interval, bars of a window, market and
    memory columns, whether accounts are witnessed, floats of a desk's memory, market steps between wakes, whether a
    fill wakes, whether any wake lies inside a bar, levels of the book block, its columns, whether actions are orders,
    levels to choose from; `sizes` the shares of the allowed exposure to choose from; `amounts` assumed
    funding, tick, lot; `groups` (g, 6) the house's columns by interval, with their rows of `plan`
    and `numbers` and their floats of a desk's memory."""

    base: Floats
    watched: Ints
    weights: Floats
    options: Ints
    sizes: Floats
    amounts: Floats
    groups: Ints
    plan: Ints
    numbers: Floats


class Field(NamedTuple):
    """State of N arenas, a row each: accounts (`money`, `counts`), `clock`, random `streams`, running `sums` of the
    reward parts, return, length and equity, `moments` of the reward, and the desk: `memory` of its columns, a vector
    of all desks' one after the other, the last bars' `rows` of market and memory columns and the `accounts` columns
    observed at them, the price of now in `closes` (the last bar's close, inside a bar the last trade) and the
    last bar's `stamps` (ms it opened at). `booked_money`, `booked_counts`
    are accounts as the ledger has them inside a bar, where `money`, `counts` are marked; `units` the lots that a market
    step trades in the median bar, `block` the book as it is now and `blocks` at the last closes; `orders` the own
    orders, `arena_orders.ROOM` rows an arena. Of the last step the reward `parts`, `lots` ordered and filled, and what
    went `wrong`."""

    money: Floats
    counts: Ints
    clock: Ints
    streams: Ints
    sums: Floats
    parts: Floats
    moments: Floats
    memory: Floats
    rows: Columns
    accounts: Columns
    closes: Floats
    stamps: Ints
    lots: Ints
    wrong: Ints
    booked_money: Floats
    booked_counts: Ints
    units: Floats
    block: Columns
    blocks: Columns
    orders: Ints
