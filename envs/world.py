"""What a walk walks over: the arrays of N episodes on one tape, and the names of their columns.

Layout and nothing else; `episodes` makes the arrays, the kernels of `walk` read and write them.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

AT, UNTIL, EPISODE, ENDS_IN_GAP, DONE = range(5)  # columns of `clock`
LENGTH_OPTION, RANDOM_START, SAME_STEP, WINDOW, VARIED, WITNESSED, WIDTH = range(7)  # columns of `options`
CASH, DAYS, LOG_VARY = range(3)  # columns of `amounts`
RETURN, LENGTH, EQUITY = range(3)  # columns of `sums`, after the parts
SUMS = ("r", "l", "equity")  # the names under which they are told
ORDERED, FILLED = 0, 1  # columns of `lots`
IDLE_LOGS = np.array([math.log(1.0 + idle) for idle in range(4096)])

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Columns = NDArray[np.float32]
Flags = NDArray[np.bool_]


class World(NamedTuple):
    """What no step changes. `prices` (T, 8 n) float64 and `rows` (T, 16 n) float32 are a Tape's table, seen twice;
    `segments` as there; `base` (1, 20) the terms, and `terms` those of each episode where they vary, else `base`
    itself; `watched`, `weights` as in a reward's Rule; `options` episode length (0: to the segment's end), random
    start, same-step autoreset, window, whether terms vary, whether accounts are witnessed, columns of a row; `amounts`
    cash, days a bar lasts, log of the largest factor on a cost; `idle_logs` the logarithm of 1, 2, 3 …"""

    prices: Floats
    rows: Columns
    segments: Ints
    base: Floats
    terms: Floats
    watched: Ints
    weights: Floats
    options: Ints
    amounts: Floats
    idle_logs: Floats


class Running(NamedTuple):
    """State of N episodes, a row each: accounts (`money`, `counts`), `clock`, random `streams`, running `sums` of P
    reward parts, return, length and equity, `moments` of the reward, account columns of a window's bars in `history`;
    of the last step the reward `parts` and the `lots` ordered and filled."""

    money: Floats
    counts: Ints
    clock: Ints
    streams: Ints
    sums: Floats
    parts: Floats
    moments: Floats
    history: Columns
    lots: Ints


class Witness(NamedTuple):
    """Accounts before and after the last step, for reward parts that are not built in; no rows where there are none."""

    money: Floats
    counts: Ints
    money_after: Floats
    counts_after: Ints


class Step(NamedTuple):
    """Where a step writes; for episodes that ended also their last observation and sums, `finals`, `final_sums`."""

    observations: Columns
    rewards: Floats
    terminated: Flags
    truncated: Flags
    finals: Columns
    final_sums: Floats
