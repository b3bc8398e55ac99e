"""The contract: instrument, costs and limits, as config words them, made into the row of numbers that kernels read."""

from .costs import Costs
from .limits import Limits
from .orders import Instrument
from .terms import MODE_CLIP, MODE_LIVE, MODE_OFF, Terms

_MODES = {"off": MODE_OFF, "clip": MODE_CLIP, "live": MODE_LIVE}


def terms_of(instrument: Instrument, costs: Costs, limits: Limits, dead_band: float = 0.02) -> Terms:
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
        borrow=costs.borrow_bps_per_day * 1e-4,
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
