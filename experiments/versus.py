"""A track against a benchmark, bar by bar: excess return, beta, alpha, tracking, capture.

The benchmark is another track over the same market, buy-and-hold as a rule, after its own costs. Knows no policy.
"""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..market.bars import DAY_MS
from .ratios import LEAST_SPREAD, ratio, volatility

VERSUS = (
    "excess_return",
    "beta",
    "alpha",
    "correlation",
    "tracking_error",
    "information_ratio",
    "up_capture",
    "down_capture",
    "bars_ahead",
)
YEAR_MS = 365 * DAY_MS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Earned(Protocol):
    """What a comparison needs of a track; see `evaluate.Track`."""

    @property
    def name(self) -> str: ...
    @property
    def interval_ms(self) -> int: ...
    @property
    def closed_at(self) -> Ints: ...
    @property
    def returns(self) -> Floats: ...


def versus(track: Earned, benchmark: Earned) -> dict[str, float]:
    """The figures named in `VERSUS`; ratios are 0 where they are not defined (a benchmark that does not move).

    r and b are the returns a bar, N the bars of a year. `excess_return` = total return above the benchmark's;
    `beta` = cov(r, b) ÷ var(b); `alpha` = N × (mean r − beta × mean b), a year, not compounded; `tracking_error` =
    sample deviation of r − b × √N; `information_ratio` = N × mean(r − b) ÷ `tracking_error`; `up_capture` =
    geometric mean of r over that of b, over the bars where b > 0, `down_capture` where b < 0; `bars_ahead` share of
    the bars with r > b. A track that ended early, in ruin, earns 0 from there on.
    """
    ours, theirs = _same_bars(track, benchmark)
    per_year = YEAR_MS / track.interval_ms
    active = ours - theirs
    error = volatility(active)
    beta, correlation = _line(ours, theirs)
    return {
        "excess_return": _growth(ours) - _growth(theirs),
        "beta": beta,
        "alpha": per_year * (float(np.mean(ours)) - beta * float(np.mean(theirs))),
        "correlation": correlation,
        "tracking_error": error * math.sqrt(per_year),
        "information_ratio": ratio(float(np.mean(active)), error) * math.sqrt(per_year),
        "up_capture": _capture(ours, theirs, theirs > 0.0),
        "down_capture": _capture(ours, theirs, theirs < 0.0),
        "bars_ahead": float(np.mean(ours > theirs)),
    }


def _same_bars(track: Earned, benchmark: Earned) -> tuple[Floats, Floats]:
    """Both returns over every bar that either lived through, 0 where it had ended."""
    if track.interval_ms != benchmark.interval_ms or track.closed_at[0] != benchmark.closed_at[0]:
        raise ValueError(
            f"tracks {track.name} and {benchmark.name} do not begin on the same bar: "
            f"{track.closed_at[0]} and {benchmark.closed_at[0]} ms, bars of {track.interval_ms} and "
            f"{benchmark.interval_ms} ms"
        )
    closes = np.union1d(track.closed_at[1:], benchmark.closed_at[1:])
    sides = []
    for side in (track, benchmark):
        returns = np.zeros(len(closes))
        returns[np.searchsorted(closes, side.closed_at[1:])] = side.returns
        sides.append(returns)
    return sides[0], sides[1]


def _line(ours: Floats, theirs: Floats) -> tuple[float, float]:
    """Slope of ours on theirs, and their correlation."""
    mine, other = ours - np.mean(ours), theirs - np.mean(theirs)
    both, own, square = float(np.mean(mine * other)), float(np.mean(mine * mine)), float(np.mean(other * other))
    if square <= LEAST_SPREAD * LEAST_SPREAD:
        return 0.0, 0.0
    if own <= LEAST_SPREAD * LEAST_SPREAD:
        return both / square, 0.0
    return both / square, max(-1.0, min(1.0, both / math.sqrt(own * square)))


def _capture(ours: Floats, theirs: Floats, chosen: NDArray[np.bool_]) -> float:
    other = _growth(theirs[chosen], mean=True) if chosen.any() else 0.0
    return _growth(ours[chosen], mean=True) / other + 0.0 if abs(other) > LEAST_SPREAD else 0.0


def _growth(returns: Floats, mean: bool = False) -> float:
    """Compound return of all bars, or its geometric mean a bar; −1 where one bar took everything."""
    if np.min(returns) <= -1.0:
        return -1.0
    grown = float(np.sum(np.log1p(returns)))
    return math.expm1(grown / len(returns) if mean else grown)
