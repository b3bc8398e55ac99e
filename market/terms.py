"""Terms: instrument, costs and limits as one flat row of numbers, the form in which kernels read them.

One row per episode lets an environment vary the terms from episode to episode. Decides nothing.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .jit import inlined_kernel

MODE_OFF, MODE_CLIP, MODE_LIVE = 0.0, 1.0, 2.0


class Terms(NamedTuple):
    """All rates are shares (not bps), `borrow` a share a day; all floats, in this order in a terms row."""

    tick: float
    lot: float
    min_notional: float
    leverage: float
    maintenance: float
    liquidation_fee: float
    taker_fee: float
    maker_fee: float
    half_spread: float
    impact_y: float
    borrow: float
    participation: float
    gap_multiple: float
    mode: float
    max_exposure: float
    max_order: float
    daily_loss: float
    drawdown: float
    terminate_on_halt: float
    dead_band: float


def terms_rows(terms: Terms, count: int) -> NDArray[np.float64]:
    """(count, len(Terms)) float64: the same terms for every episode."""
    return np.tile(np.array(terms, np.float64), (count, 1))


@inlined_kernel
def read_terms(rows: NDArray[np.float64], i: int) -> Terms:
    """Row `i` as Terms."""
    return Terms(
        float(rows[i, 0]),
        float(rows[i, 1]),
        float(rows[i, 2]),
        float(rows[i, 3]),
        float(rows[i, 4]),
        float(rows[i, 5]),
        float(rows[i, 6]),
        float(rows[i, 7]),
        float(rows[i, 8]),
        float(rows[i, 9]),
        float(rows[i, 10]),
        float(rows[i, 11]),
        float(rows[i, 12]),
        float(rows[i, 13]),
        float(rows[i, 14]),
        float(rows[i, 15]),
        float(rows[i, 16]),
        float(rows[i, 17]),
        float(rows[i, 18]),
        float(rows[i, 19]),
    )
