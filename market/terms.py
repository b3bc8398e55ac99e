"""Terms: instrument, costs and limits as one flat row of numbers, the form in which kernels read them.

One row per episode lets an environment vary the terms from episode to episode. Decides nothing.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .jit import inlined_kernel
from .orders import Instrument

if TYPE_CHECKING:
    from .costs import Costs
    from .limits import Limits

MODE_OFF, MODE_CLIP, MODE_LIVE = 0.0, 1.0, 2.0
_MODES = {"off": MODE_OFF, "clip": MODE_CLIP, "live": MODE_LIVE}


class Terms(NamedTuple):
    """All rates are shares (not bps), all floats, in this order in a terms row."""

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
    participation: float
    gap_multiple: float
    mode: float
    max_exposure: float
    max_order: float
    daily_loss: float
    drawdown: float
    terminate_on_halt: float
    dead_band: float


def terms_of(instrument: Instrument, costs: "Costs", limits: "Limits", dead_band: float = 0.02) -> Terms:
    """Flatten the three configs. `dead_band` is a share of the allowed exposure: smaller changes are not traded."""
    if not 0.0 <= dead_band < 1.0:
        raise ValueError(f"dead_band {dead_band} must lie in [0, 1)")
    return Terms(
        tick=float(instrument.tick),
        lot=float(instrument.lot),
        min_notional=float(instrument.min_notional),
        leverage=float(instrument.max_leverage),
        maintenance=float(instrument.maintenance),
        liquidation_fee=float(instrument.liquidation_fee),
        taker_fee=costs.taker_fee_bps * 1e-4,
        maker_fee=costs.maker_fee_bps * 1e-4,
        half_spread=costs.half_spread_bps * 1e-4,
        impact_y=float(costs.impact_y),
        participation=float(costs.participation),
        gap_multiple=float(costs.gap_multiple),
        mode=_MODES[limits.mode],
        max_exposure=float(limits.max_exposure),
        max_order=float(limits.max_order),
        daily_loss=float(limits.daily_loss),
        drawdown=float(limits.drawdown),
        terminate_on_halt=float(limits.terminate_on_halt),
        dead_band=float(dead_band),
    )


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
    )
