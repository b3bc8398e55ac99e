"""What trading costs: fees, half-spread, square-root impact, funding, borrow. Prices a trade; moves no money."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .funding import Funding as Funding
from .jit import inlined_kernel, kernel
from .terms import Terms

FUNDING_PERIOD_MS = 8 * 3_600_000
BPS = 1e-4


@dataclass(frozen=True, slots=True)
class Costs:
    """Cost assumptions. `impact_y` is Y of Y·σ·√(Q/V); `participation` the share of a bar's volume one may take.

    `gap_multiple`: a position closed because the data ends in a long gap pays this many times the usual cost.
    """

    taker_fee_bps: float = 5.0
    maker_fee_bps: float = 2.0
    half_spread_bps: float = 1.0
    impact_y: float = 0.5
    participation: float = 0.1
    funding_bps_per_8h: float = 1.0  # assumed where the instrument has no funding series; longs pay
    gap_multiple: float = 4.0
    borrow_bps_per_day: float = 0.0  # on what is sold short and on cash beyond one's own; perpetuals have funding

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not math.isfinite(value) or (value < 0 and name not in ("funding_bps_per_8h", "maker_fee_bps")):
                raise ValueError(f"costs: {name} {value} must be a finite number, 0 or more")


@inlined_kernel
def funding_stamps(opened_at: int, interval_ms: int) -> int:
    """How many 8-hour stamps (00, 08, 16 UTC) lie in [open, close) of a bar."""
    return (opened_at + interval_ms - 1) // FUNDING_PERIOD_MS - (opened_at - 1) // FUNDING_PERIOD_MS


@kernel
def assumed_funding(opened_at: int, interval_ms: int, bps_per_8h: float) -> float:
    """The constant funding rate that falls due inside one bar."""
    return funding_stamps(opened_at, interval_ms) * (bps_per_8h * BPS)


def funding_per_bar(
    opened_at: NDArray[np.int64], interval_ms: int, bps_per_8h: float, series: Funding | None = None
) -> NDArray[np.float64]:
    """Sum of the rates whose stamps lie in [open, close) of each bar; the assumed constant without a series."""
    if series is None:
        stamps = (opened_at + interval_ms - 1) // FUNDING_PERIOD_MS - (opened_at - 1) // FUNDING_PERIOD_MS
        return np.asarray(stamps * (bps_per_8h * BPS), np.float64)
    due = np.zeros(len(opened_at))
    row = np.searchsorted(opened_at, series.stamps, "right") - 1
    inside = row >= 0
    inside[inside] = series.stamps[inside] < opened_at[row[inside]] + interval_ms
    np.add.at(due, row[inside], series.rates[inside])  # in the order of the stamps
    return due


@inlined_kernel
def impact(lots: int, sigma: float, volume: float, terms: Terms) -> float:
    """Square-root impact as a share of price: Y·σ·√(Q/V), with σ and V estimated before the order."""
    if volume <= 0.0:
        return 0.0
    return terms.impact_y * sigma * math.sqrt(abs(lots) * terms.lot / volume)


@inlined_kernel
def taker_price(price: float, lots: int, sigma: float, volume: float, multiple: float, terms: Terms) -> float:
    """Price of a market order of signed `lots`: reference ± multiple × (half-spread + impact)."""
    cost = multiple * (terms.half_spread + impact(lots, sigma, volume, terms))
    if lots > 0:
        return price * (1.0 + cost)
    return price * max(1.0 - cost, 0.0)
