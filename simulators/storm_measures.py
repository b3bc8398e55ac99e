"""What can be measured of a storm: depth, recovery, volatility, book, forced sales, manipulation, outages.

Small pure functions of arrays. `onset` and `within` count bars, `direction` is the storm's: +1 up, −1 down, and a fall
of an upward storm is a rise. A measure of what is not there is NaN. Knows neither markets nor what they should show.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = NDArray[np.void]  # trades or labelled orders, see `tape`


def fall(high: Floats, low: Floats, close: Floats, onset: int, within: int, direction: int) -> float:
    """How far trades went in the storm's direction within so many bars, as a share of the last close before it."""
    before = close[onset - 1]
    if direction > 0:
        return float(high[onset : onset + within].max() / before - 1.0)
    return float(1.0 - low[onset : onset + within].min() / before)


def furthest(high: Floats, low: Floats, onset: int, within: int, direction: int) -> int:
    """The bar of the most extreme trade in the storm's direction within so many bars."""
    seen = high if direction > 0 else -low
    return onset + int(np.argmax(seen[onset : onset + within]))


def recovered(high: Floats, low: Floats, close: Floats, onset: int, within: int, direction: int, after: int) -> float:
    """The share of the fall that closes regained at best, within `after` bars from the bar of the extreme on."""
    left = _left(high, low, close, onset, within, direction)
    at = furthest(high, low, onset, within, direction)
    return float(1.0 - left[at : at + after + 1].min())


def standing(high: Floats, low: Floats, close: Floats, onset: int, within: int, direction: int, after: int) -> float:
    """The share of the fall that still stands at the close `after` bars from the extreme."""
    left = _left(high, low, close, onset, within, direction)
    at = furthest(high, low, onset, within, direction) + after
    return float(left[at]) if at < len(left) else float("nan")


def returns_of(close: Floats, first: int, after: int) -> Floats:
    """Log returns of the bars `first` … `after` − 1."""
    first = max(first, 1)
    return np.asarray(np.diff(np.log(close[first - 1 : after])), np.float64)


def volatility_ratio(returns: Floats, calm: Floats) -> float:
    """Realised volatility, the root of the mean squared return, in units of the calm one."""
    usual = float(np.mean(calm * calm))
    return float(np.sqrt(np.mean(returns * returns) / usual)) if usual > 0.0 else float("nan")


def largest_move(returns: Floats) -> float:
    """The largest return in standard deviations of all."""
    sd = float(np.std(returns))
    return float(np.abs(returns).max()) / sd if sd > 0.0 else float("nan")


def peak_ratio(values: Floats, calm: Floats) -> float:
    """The largest value in units of the calm median."""
    usual = float(np.nanmedian(calm))
    return float(np.nanmax(values)) / usual if usual > 0.0 else float("nan")


def trough_ratio(values: Floats, calm: Floats) -> float:
    """The least value in units of the calm median."""
    usual = float(np.nanmedian(calm))
    return float(np.nanmin(values)) / usual if usual > 0.0 else float("nan")


def change_of(values: Floats, first: int, after: int) -> float:
    """The relative change of a series from the bar before `first` to the bar before `after`, without its sign."""
    return float(abs(values[after - 1] / values[first - 1] - 1.0))


def within_steps(rows: Rows, first: int, after: int) -> Rows:
    """The rows of the market steps `first` … `after` − 1."""
    return rows[(rows["step"] >= first) & (rows["step"] < after)]


def labelled_share(trades: Rows, label: int) -> float:
    """The share of volume that orders of one label took."""
    lots = trades["lots"].sum()
    return float(trades["lots"][trades["label"] == label].sum() / lots) if lots else float("nan")


def one_sided(trades: Rows, label: int) -> float:
    """The share of the heavier side in what orders of one label took."""
    mine = trades[trades["label"] == label]
    lots = mine["lots"].sum()
    return float(max(mine["lots"][mine["side"] == side].sum() for side in (-1, 1)) / lots) if lots else float("nan")


def filled_share(trades: Rows, orders: Rows, label: int) -> float:
    """The share of what resting orders of one label showed that was filled."""
    shown = orders["lots"][orders["label"] == label].sum()
    return float(trades["lots"][trades["maker_label"] == label].sum() / shown) if shown else float("nan")


def profit(trades: Rows, owners: range, ticks: float) -> float:
    """What some owners made of their trades, in ticks × lots, with what they hold valued at `ticks`. No fees."""
    signed = trades["side"] * trades["lots"]
    taken = np.isin(trades["taker"], owners) * signed
    given = np.isin(trades["maker"], owners) * signed
    held = taken - given
    return float(np.sum(held * (ticks - trades["ticks"])))


def holdings(trades: Rows, owners: range, steps_per_bar: int, bars: int) -> Ints:
    """What some owners held together at the end of each bar, in lots, counted from the first trade on."""
    signed = trades["side"] * trades["lots"]
    held = np.isin(trades["taker"], owners) * signed - np.isin(trades["maker"], owners) * signed
    per_bar = np.zeros(bars, np.int64)
    at = trades["step"] // steps_per_bar
    inside = (at >= 0) & (at < bars)
    np.add.at(per_bar, at[inside], held[inside])
    return np.cumsum(per_bar)


def shows_of(orders: Rows, label: int, apart: int) -> list[tuple[int, int, int]]:
    """Shows of a spoofer: first step, last step and side of labelled orders; `apart` steps part one from the next."""
    mine = orders[orders["label"] == label]
    if len(mine) == 0:
        return []
    starts = np.flatnonzero(np.diff(mine["step"], prepend=mine["step"][0] - apart - 1) > apart)
    ends = np.append(starts[1:], len(mine))
    steps, sides = mine["step"], mine["side"]
    return [(int(steps[a]), int(steps[b - 1]), int(sides[a])) for a, b in zip(starts, ends, strict=True)]


def shift(mids: Floats, calm_mids: Floats, shows: list[tuple[int, int, int]], life: int, spread: float) -> float:
    """How far shows move the mid their way, in spreads: the change over each show's life less the twin's, their mean.

    `mids` holds one mid a market step, from step 0 on.
    """
    moves = []
    for first, _, side in shows:
        last = first + life
        if first < 1 or last >= len(mids) or last >= len(calm_mids):
            continue
        moves.append(side * ((mids[last] - mids[first - 1]) - (calm_mids[last] - calm_mids[first - 1])))
    return float(np.mean(moves)) / spread if moves and spread > 0.0 else float("nan")


def reopen_gap(trades: Rows, first: int, after: int, steps: int, sd: float) -> float:
    """How far prices reopen from the last trade before the steps `first` … `after` − 1, in `sd`s of the log price.

    Where they reopen is the mean price of the first `steps` after them, by volume: orders of before still rest there,
    and the first trades alone would show no gap.
    """
    before, later = trades[trades["step"] < first], within_steps(trades, after, after + steps)
    if not len(before) or not len(later) or sd <= 0.0:
        return float("nan")
    mean = float(np.average(later["ticks"], weights=later["lots"]))
    return abs(float(np.log(mean / before["ticks"][-1]))) / sd


def _left(high: Floats, low: Floats, close: Floats, onset: int, within: int, direction: int) -> Floats:
    """For every close the share of the fall that is left: 1 at the extreme, 0 where it all came back."""
    before = close[onset - 1]
    at = furthest(high, low, onset, within, direction)
    extreme = high[at] if direction > 0 else low[at]
    gap = before - extreme
    return np.asarray((before - close) / gap, np.float64) if gap else np.full(len(close), np.nan)
