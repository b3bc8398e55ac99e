"""Pictures of an evaluation: rolling Sharpe ratio, how returns are spread, the price with the round trips' result.

Knows what a track means and how a picture is drawn; reads no file and judges nothing.
"""

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from .evaluate import Track
from .figures import YEAR_MS
from .pictures import NAMES, name_of
from .plots import Line, Marks, Panel, Span, chart
from .ratios import rolling_sharpe
from .round_trips import RoundTrips, round_trips_of

DAY_MS = YEAR_MS // 365
LEAST_WINDOW = 20  # bars: a Sharpe ratio of fewer is noise
BINS = 60
MOST_MARKED = 20  # round trips: more triangles hide the line they stand on
SHOWN = (0.001, 0.999)  # quantiles between which a histogram is drawn: beyond are single bars

Floats = NDArray[np.float64]


def rolling_window(track: Track, days: int) -> int:
    """Bars of a rolling window of `days`, or of a quarter of the track where that is shorter; 0 where none fits."""
    window = min(days * DAY_MS // track.interval_ms, len(track.returns) // 4)
    return window if window >= LEAST_WINDOW else 0


def rolling_picture(tracks: Mapping[str, Track], days: int) -> str:
    """The Sharpe ratio of the last so many bars, over time; empty where the tracks are too short."""
    window = rolling_window(tracks["policy"], days)
    if window == 0:
        return ""
    lines = []
    for name, track in tracks.items():
        if name != "flat" and len(track.returns) >= window:
            values = rolling_sharpe(track.returns, YEAR_MS / track.interval_ms, window)
            lines.append(Line(name_of(name), _role(name), track.closed_at[window:].astype(np.float64), values))
    span = timedelta(milliseconds=window * tracks["policy"].interval_ms)
    long = f"{span.days} days" if span.days > 1 else f"{window} bars"
    ends = ", ".join(f"{line.label} {line.y[-1]:+.2f}" for line in lines)
    return chart(
        [Panel(lines, "Sharpe, a year", 200, zero=True)],
        title="Rolling Sharpe ratio.",
        caption=f"Of the last {long} at each bar, annualised.",
        alt=f"Lines of the Sharpe ratio of the last {long} over time. At the end: {ends}.",
    )


def returns_picture(track: Track, figures: Mapping[str, float]) -> str:
    """The returns a bar as a histogram, with the historical VaR; empty where nothing moved."""
    moved = track.returns[track.returns != 0.0]
    if len(moved) == 0 or np.ptp(moved) == 0.0:
        return ""
    low, high = np.quantile(moved, SHOWN)
    edges = np.linspace(min(low, -figures["var_99"], 0.0), max(high, 0.0), BINS + 1)
    worst, bad = -100.0 * figures["var_99"], -100.0 * figures["var_95"]
    spans = [Span(100.0 * float(edges[0]), worst, "beyond 99 %", "storm"), Span(worst, bad, "", "after")]
    line = Line("", "policy", 100.0 * edges, _shares(moved, edges), step=True, filled=True)
    still = 1.0 - len(moved) / len(track.returns)
    told = f"historical VaR: 95 % {figures['var_95']:.3%}, 99 % {figures['var_99']:.3%} of equity"
    return chart(
        [Panel([line], "share of bars", 220, percent=True, zero=True, spans=spans)],
        title="Returns a bar.",
        caption=f"Shaded are losses beyond the {told}; lightly those between the two. Left out: the {still:.0%} of "
        "bars that moved nothing, and the outermost thousandth at each end.",
        alt=f"A histogram of the policy's returns, the losses shaded that lie beyond the {told}.",
        time=False,
        x_label="% a bar",
    )


def trips_picture(track: Track) -> str:
    """The price with the largest round trips, and what the closed ones have earned so far; empty where none is."""
    trips = round_trips_of(track)
    if trips.closed == 0:
        return ""
    x = track.closed_at.astype(np.float64)
    marks, count = _turns(track, trips)
    earned = np.zeros(len(track))
    np.add.at(earned, trips.ended[: trips.closed], trips.profit[: trips.closed])
    earned = np.cumsum(earned)
    return chart(
        [
            Panel([Line("price", "market", x, track.close)], "price", 220, marks=marks),
            Panel([Line("closed", "policy", x, earned, step=True, filled=True)], "profit", 130, zero=True),
        ],
        title="Round trips.",
        caption=f"Triangles are where the {count} of largest gain or loss began and ended: up bought, down sold. "
        "Below: the profit of the trips that are over, in money, after all costs.",
        alt=f"The price with the beginnings and ends of {count} round trips, and the profit of all {trips.closed} "
        f"closed ones, at the end {earned[-1]:+,.2f}.",
    )


def _turns(track: Track, trips: RoundTrips) -> tuple[Marks, int]:
    """Where the closed trips of largest result were opened and closed, and how many those are."""
    chosen = np.argsort(-np.abs(trips.result[: trips.closed]), kind="stable")[:MOST_MARKED]
    rows = np.concatenate([trips.begun[chosen] + 1, trips.ended[chosen]])
    bought = np.concatenate([trips.side[chosen] >= 0, trips.side[chosen] < 0])
    return Marks(track.closed_at[rows].astype(np.float64), track.close[rows], bought), len(chosen)


def _role(name: str) -> str:
    return name if name in NAMES else "market"


def _shares(returns: Floats, edges: Floats) -> Floats:
    """Share of the returns in each bin, and a last 0 that ends the outline; what lies outside is not counted."""
    counts, _ = np.histogram(returns, edges)
    return np.append(counts / len(returns), 0.0)
