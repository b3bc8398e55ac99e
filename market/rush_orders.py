"""Rush orders: market orders so large or so hurried that they trade at least twice in one millisecond.

La Morgia et al. (2020) found no better mark of a pump: members of the group buy at market, in a second, through every
offer. Fills are put together to orders by the order's id where the tape tells it, else by millisecond and side. Knows
nothing of time windows.
"""

import numpy as np
from numpy.typing import NDArray

from .jit import inlined_kernel

Ints = NDArray[np.int64]

AT, ORDER, FILLS = range(3)
MERGING = 6  # numbers to remember: (at, order, fills) of the last buy order, then of the last sell order

NOTHING_NEW, NEW_ORDER, NEW_RUSH = range(3)


@inlined_kernel
def merge_fill(open_orders: Ints, at_ms: int, side: int, order_id: int) -> int:
    """Put one fill to its order: another fill of a known order, the first of a new one, or the one that makes it rush.

    `open_orders` (MERGING,) int64, zeros before the first print. A rush order is a buy with two or more fills.
    """
    base = 0 if side > 0 else FILLS + 1
    same = open_orders[base + AT] == at_ms and open_orders[base + ORDER] == order_id and open_orders[base + FILLS] > 0
    if not same:
        open_orders[base + AT], open_orders[base + ORDER], open_orders[base + FILLS] = at_ms, order_id, 1
        return NEW_ORDER
    open_orders[base + FILLS] += 1
    return NEW_RUSH if side > 0 and open_orders[base + FILLS] == 2 else NOTHING_NEW
