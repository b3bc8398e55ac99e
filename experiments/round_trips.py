"""Round trips out of a track: from the bar that leaves flat, or turns over, to the bar that ends the holding.

A trip earns what equity gained over its bars, after every cost, so the trips of a track add up to what its account
gained. Adding to a holding or reducing it is part of the trip. What happened inside one bar is told by that bar's
ends alone. Knows neither orders nor policies.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .ratios import LEAST_SPREAD, gain_to_loss

TRIP_FIGURES = (
    "round_trips",
    "win_rate",
    "profit_factor",
    "expectancy",
    "expectancy_share",
    "average_win",
    "average_loss",
    "payoff",
    "sqn",
    "kelly",
    "longest_winning_run",
    "longest_losing_run",
    "trip_bars_mean",
    "open_profit",
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Traded(Protocol):
    """What round trips need of a track; see `evaluate.Track` for the meaning of its columns."""

    @property
    def close(self) -> Floats: ...
    @property
    def equity(self) -> Floats: ...
    @property
    def exposure(self) -> Floats: ...
    @property
    def fees(self) -> Floats: ...
    @property
    def funding(self) -> Floats: ...
    @property
    def borrow(self) -> Floats: ...
    @property
    def turnover(self) -> Floats: ...
    @property
    def trades(self) -> NDArray[np.int64]: ...


@dataclass(frozen=True, eq=False)
class RoundTrips:
    """One entry a trip, in order of time; arrays of length N.

    `begun` is the row at whose close the deciding order was given, `ended` the row at whose close the holding was
    over, or the last row; `side` 1 long, −1 short, 0 where opened and closed inside one bar. `profit` in quote
    currency after `costs` (fees, funding, borrow); `result` = profit ÷ equity at `begun`. Only the last trip can be
    open: `is_open`.
    """

    begun: Ints
    ended: Ints
    side: Ints
    profit: Floats
    costs: Floats
    result: Floats
    is_open: bool

    def __len__(self) -> int:
        return len(self.begun)

    @property
    def closed(self) -> int:
        """How many trips are over: the first ones."""
        return len(self) - int(self.is_open)


def round_trips_of(track: Traded) -> RoundTrips:
    """The trips of a track; one that was under way in row 0 begins there."""
    side = np.sign(track.exposure).astype(np.int64)
    before, after = side[:-1], side[1:]
    inside = (before == 0) & (after == 0) & (np.diff(track.trades) > 0)
    starts = ((after != 0) & (before != after)) | inside
    ends = ((before != 0) & (before != after)) | inside
    begun, ended = np.flatnonzero(starts), np.flatnonzero(ends) + 1
    if side[0] != 0:
        begun = np.insert(begun, 0, 0)
    is_open = len(begun) > len(ended)
    if is_open:
        ended = np.append(ended, len(side) - 1)
    owner = np.cumsum(starts) + int(side[0] != 0) - 1  # of the bar that ends at row i + 1
    owner[(before == 0) & (after == 0) & ~inside] = len(begun)  # nobody's
    turned = before * after < 0
    gain, cost = np.diff(track.equity), np.diff(track.fees) + np.diff(track.funding) + np.diff(track.borrow)
    early_gain, early_cost = _before_the_turn(track, turned, gain, cost)
    profit = _per_trip(owner, turned, gain, early_gain, len(begun))
    costs = _per_trip(owner, turned, cost, early_cost, len(begun))
    base = track.equity[begun]
    result = np.divide(profit, base, out=np.zeros_like(profit), where=base > 0.0)
    sides = side[begun + 1]
    if side[0] != 0:
        sides[0] = side[0]
    return RoundTrips(begun, ended, sides, profit, costs, result, is_open)


def trip_figures(trips: RoundTrips) -> dict[str, float]:
    """The figures named in `TRIP_FIGURES`, of the trips that are over; all 0 where none is.

    A trip is won where its profit is above 0 and lost where below. `expectancy`, `average_win`, `average_loss` and
    `open_profit` (of the trip still open) are in quote currency, losses positive; `expectancy_share` is the mean of
    profit ÷ equity. `profit_factor` = won ÷ lost money and `payoff` = average win ÷ average loss, both LOSSLESS where
    nothing was lost. `sqn` = √n × mean ÷ sample deviation of the profits (Tharp). `kelly` = W − (1 − W) ÷ payoff, W
    the win rate; 0 where nothing was won, below 0 where the odds say not to bet.
    """
    profit, count = trips.profit[: trips.closed], trips.closed
    open_profit = float(trips.profit[-1]) if trips.is_open else 0.0
    if count == 0:
        return dict.fromkeys(TRIP_FIGURES, 0.0) | {"open_profit": open_profit}
    won, lost = profit > 0.0, profit < 0.0
    win_rate = float(np.mean(won))
    average_win, average_loss = _mean(profit[won]), -_mean(profit[lost])
    payoff = gain_to_loss(average_win, average_loss)
    return {
        "round_trips": float(count),
        "win_rate": win_rate,
        "profit_factor": gain_to_loss(float(np.sum(profit[won])), -float(np.sum(profit[lost]))),
        "expectancy": float(np.mean(profit)),
        "expectancy_share": float(np.mean(trips.result[:count])),
        "average_win": average_win,
        "average_loss": average_loss,
        "payoff": payoff,
        "sqn": _sqn(profit),
        "kelly": win_rate - (1.0 - win_rate) / payoff if payoff > 0.0 else 0.0,
        "longest_winning_run": float(_longest_run(won)),
        "longest_losing_run": float(_longest_run(lost)),
        "trip_bars_mean": float(np.mean((trips.ended - trips.begun)[:count])),
        "open_profit": open_profit,
    }


def _before_the_turn(track: Traded, turned: NDArray[np.bool_], gain: Floats, cost: Floats) -> tuple[Floats, Floats]:
    """What the old holding gained and cost in the bars that turned it over, (T-1,), 0 elsewhere.

    One fill sells the old holding and buys the new one, so turnover ÷ quantity is its price: the old holding moved
    from the last close to there and pays its part of the fee; funding and borrow come after. Of several fills that
    price is not known, and the whole bar falls to the trip that ends.
    """
    held = track.exposure * track.equity / track.close
    old, new = held[:-1], held[1:]
    moved = np.abs(new - old)
    price = np.divide(np.diff(track.turnover), moved, out=track.close[:-1].copy(), where=turned)
    fee = np.divide(np.diff(track.fees) * np.abs(old), moved, out=np.zeros_like(moved), where=turned)
    is_one = np.diff(track.trades) == 1
    early_gain = np.where(is_one, old * (price - track.close[:-1]) - fee, gain)
    return np.where(turned, early_gain, 0.0), np.where(turned, np.where(is_one, fee, cost), 0.0)


def _per_trip(owner: Ints, turned: NDArray[np.bool_], amounts: Floats, early: Floats, count: int) -> Floats:
    found = np.zeros(count + 1)
    np.add.at(found, owner, amounts - early)
    np.add.at(found, owner[turned] - 1, early[turned])
    return found[:count]


def _mean(values: Floats) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _sqn(profit: Floats) -> float:
    if len(profit) < 2:
        return 0.0
    mean, spread = float(np.mean(profit)), float(np.std(profit, ddof=1))
    return float(np.sqrt(len(profit))) * mean / spread if spread > LEAST_SPREAD * abs(mean) else 0.0


def _longest_run(flags: NDArray[np.bool_]) -> int:
    """Length of the longest stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int(np.max(edges[1::2] - edges[::2])) if len(edges) else 0
