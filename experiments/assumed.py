"""What trading was taken to cost, in words: assumed, unless the instrument's own rates were charged."""

from collections.abc import Mapping
from typing import Any


def cost_rows(costs: Mapping[str, Any], funding: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Names and words of the keys of `Costs`; `funding` are the facts of the instrument's series, if it was charged.

    Costs without a half-spread are those of a crowd, whose book says what a trade costs.
    """
    fees = f"taker {costs['taker_fee_bps']:g} bp, maker {costs['maker_fee_bps']:g} bp (assumed)"
    rows = [("Fees", fees), ("Spread and impact", _spread(costs)), ("Funding", _funding(costs, funding))]
    if borrow := costs.get("borrow_bps_per_day", 0.0):
        rows.append(("Borrow", f"{borrow:g} bp a day (assumed)"))
    return rows


def _spread(costs: Mapping[str, Any]) -> str:
    if "half_spread_bps" not in costs:
        return "what the crowd's order book took"
    return f"half-spread {costs['half_spread_bps']:g} bp, impact {costs['impact_y']:g} σ √(Q/V) (assumed)"


def _funding(costs: Mapping[str, Any], funding: Mapping[str, Any] | None) -> str:
    if funding:
        return f"{funding['stamps']:,} rates of the instrument, sha256 {funding['sha256'][:16]}…"
    return f"{costs['funding_bps_per_8h']:g} bp per 8 h, longs pay (assumed)"
