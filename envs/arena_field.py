"""What a batch of arenas walks over: the arrays of N desks in N markets, and the names of their columns.

Layout and nothing else; `arena_engine` makes the arrays, the kernels of `arena_walk` read and write them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

UNTIL, EPISODE, DONE, OPENED_AT, READ = range(5)  # columns of `clock`; READ: fills that the ledger has seen
STEPS, OWNER, LATENCY, INTERVAL_MS, WINDOW, WIDTH, WITNESSED, MEMORY = range(8)  # columns of `options`
FUNDING_BPS, DAYS, TICK, LOT = range(4)  # columns of `amounts`
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
    memory columns, whether accounts are witnessed, floats of a desk's memory; `amounts` assumed
    funding, days a bar lasts, tick, lot; `groups` (g, 6) the house's columns by interval, with their rows of `plan`
    and `numbers` and their floats of a desk's memory."""

    base: Floats
    watched: Ints
    weights: Floats
    options: Ints
    amounts: Floats
    groups: Ints
    plan: Ints
    numbers: Floats


class Field(NamedTuple):
    """State of N arenas, a row each: accounts (`money`, `counts`), `clock`, random `streams`, running `sums` of the
    reward parts, return, length and equity, `moments` of the reward, and the desk: `memory` of its columns, a vector
    of all desks' one after the other, the last bars' `rows` of market and memory columns and the `accounts` columns
    observed at them, the last bar's `closes` and `stamps` (ms it opened at). Of the last step the reward `parts`,
    `lots` ordered and filled, and what went `wrong`."""

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
