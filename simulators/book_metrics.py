"""The order book's own figures: spread, memory of order signs, sizes, pace, price response, depth.

Measured on quotes at the end of steps and on trades, merged so that one market order is one print. The bands are those
of BTC at one second, so they judge a market whose step is a second; at another step they are shown and judge nothing.
A figure that the market does not allow is NaN. Knows nothing of traders.
"""

import math
from typing import NamedTuple

import numpy as np

from .gates import Ints, Table, spreads, two_sided
from .stylised import DECAY_LAGS, Floats, acf, correlation, decay_exponent, hurst, tail_exponent

LARGE_TICK = 0.90  # time at one tick from which a market is of the large-tick regime
SIZE_TAIL = 0.05
MIN_ORDERS = 1_024  # for a memory of signs
JUDGED_STEP_MS = 1_000

BANDS: dict[str, tuple[float, float]] = {
    "time_at_one_tick": (-math.inf, math.inf),  # the regime is stated, not judged
    "spread_p99_over_median": (5.0, math.inf),
    "sign_acf_1": (0.15, 0.50),
    "sign_acf_10": (0.05, 0.25),
    "sign_acf_100": (-math.inf, math.inf),  # real .02–.04
    "sign_decay": (0.35, 0.80),
    "sign_hurst": (0.65, 0.85),
    "size_tail": (1.0, 2.0),
    "size_median_over_mean": (-math.inf, 0.5),  # "median far below mean": the half is ours
    "interarrival_cv": (1.2, 3.0),
    "imbalance_next_return": (0.10, 0.50),
    "signed_volume_return": (0.30, 0.80),
    "volume_abs_return": (0.10, math.inf),
    "quotes_per_market_order": (3.0, math.inf),
    "depth_100bp_over_10bp": (3.0, 7.0),
}


class MarketOrders(NamedTuple):
    """Market orders that traded, a row each: the step, the side (±1), the lots of all its prints together."""

    step: Ints
    side: Ints
    lots: Ints


def book_metrics(quotes: Table, trades: Table, rng: np.random.Generator) -> dict[str, float]:
    """Every figure of `BANDS`. Quotes of consecutive steps, trades of the same; `rng` lays orders within a step."""
    _check(quotes)
    orders = merged(trades)
    spread = spreads(quotes)
    median, p99 = np.percentile(spread, [50, 99]) if len(spread) else (math.nan, math.nan)
    return {
        "time_at_one_tick": float(np.mean(spread == 1)) if len(spread) else math.nan,
        "spread_p99_over_median": float(p99 / median) if median > 0 else math.nan,
        **_signs(orders.side.astype(np.float64)),
        "size_tail": tail_exponent(orders.lots.astype(np.float64), SIZE_TAIL) if len(orders.lots) > 20 else math.nan,
        "size_median_over_mean": float(np.median(orders.lots) / np.mean(orders.lots)) if len(orders.lots) else math.nan,
        "interarrival_cv": _pace(orders.step, rng),
        **_response(quotes, orders),
        "quotes_per_market_order": _quoting(quotes, len(orders.step)),
        "depth_100bp_over_10bp": _ratio(float(quotes["far_lots"].mean()), float(quotes["near_lots"].mean())),
    }


def in_band(name: str, value: float) -> bool:
    """Whether a figure lies in its band; NaN lies in none."""
    low, high = BANDS[name]
    return low <= value <= high


def regime(time_at_one_tick: float) -> str:
    """What kind of market that is: one whose spread is its tick, or one whose spread moves."""
    return "large tick" if time_at_one_tick >= LARGE_TICK else "small tick"


def merged(trades: Table) -> MarketOrders:
    """Prints of one aggressor's order made one: unmerged, a sweep of ten levels looks like ten orders of one sign."""
    if not len(trades):
        none = np.zeros(0, np.int64)
        return MarketOrders(none, none, none)
    first = np.flatnonzero(np.diff(trades["taker_id"], prepend=trades["taker_id"][0] - 1))
    lots = np.add.reduceat(trades["lots"], first)
    return MarketOrders(trades["step"][first], trades["side"][first], lots)


def _signs(side: Floats) -> dict[str, float]:
    names = ("sign_acf_1", "sign_acf_10", "sign_acf_100", "sign_decay", "sign_hurst")
    if len(side) < MIN_ORDERS:
        return dict.fromkeys(names, math.nan)
    values = (*acf(side, (1, 10, max(DECAY_LAGS))).tolist(), decay_exponent(side), hurst(side))
    return dict(zip(names, values, strict=True))


def _pace(step: Ints, rng: np.random.Generator) -> float:
    """sd over mean of the time between market orders.

    A market knows no time within a step; whole steps alone would make a Poisson flow look clustered. So the orders of
    one step lie at instants drawn evenly in it, which leaves a Poisson flow Poisson.
    """
    if len(step) < 3:
        return math.nan
    gaps = np.diff(np.sort(step + rng.random(len(step))))
    return float(gaps.std() / gaps.mean())


def _response(quotes: Table, orders: MarketOrders) -> dict[str, float]:
    """How a step's return goes with the imbalance before it and with what was traded in it."""
    both = two_sided(quotes)
    mid = np.where(both, 0.5 * (quotes["bid_ticks"] + quotes["ask_ticks"]), np.nan)
    returns = np.diff(np.log(mid))
    size = np.maximum(1, quotes["bid_lots"] + quotes["ask_lots"])
    imbalance = (quotes["bid_lots"] - quotes["ask_lots"]) / size
    first, steps = int(quotes["step"][0]), len(quotes)
    volume: Floats = np.bincount(orders.step - first, orders.lots, steps).astype(np.float64)[1:]
    signed: Floats = np.bincount(orders.step - first, orders.side * orders.lots, steps).astype(np.float64)[1:]
    known = np.isfinite(returns)
    if np.count_nonzero(known) < 3:
        return dict.fromkeys(("imbalance_next_return", "signed_volume_return", "volume_abs_return"), math.nan)
    return {
        "imbalance_next_return": correlation(imbalance[:-1][known], returns[known]),
        "signed_volume_return": correlation(signed[known], returns[known]),
        "volume_abs_return": correlation(volume[known], np.abs(returns[known])),
    }


def _quoting(quotes: Table, market_orders: int) -> float:
    """Messages that the book accepted and that were no market order, to one market order."""
    messages = int(quotes["messages"][-1] - quotes["messages"][0])
    return _ratio(messages - market_orders, market_orders)


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan


def _check(quotes: Table) -> None:
    if len(quotes) < 3:
        raise ValueError(f"{len(quotes)} quotes are too few, the book's figures want one a step")
    gaps = np.flatnonzero(np.diff(quotes["step"]) != 1)
    if len(gaps):
        raise ValueError(f"quotes jump from step {quotes['step'][gaps[0]]} to {quotes['step'][gaps[0] + 1]}")
