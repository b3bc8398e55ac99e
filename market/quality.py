"""Rows judged one by one: `sift` parts what cannot be true from a source's rows, and keeps the reason of each.

Nothing vanishes: every row is good, rejected, or an identical repeat of a good one. Knows no file and no quarantine
folder, and says nothing of a series as a whole: that is `series_quality`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bars import YEAR_2100_MS, Bars, Floats, Ints
from .raw import OPTIONAL, PRICES, RawBars

Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]

LARGEST_COUNT = 2**53  # beyond it a float64 no longer tells two whole numbers apart
TAKER_SLACK = 1e-9  # share of the volume: both are sums of the same trades, rounded apart


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be true of an instrument's bars: bounds for a row (`sift`), limits for a series (`check_bars`).

    `price_low` and `price_high` are exclusive, all other bounds inclusive. Moves are shares: `jump` of the close
    before, `span` of a bar's low, `dislocation` of the median close of five bars around. `volume_spike` is a multiple
    of the rolling median, `zero_volume` a share of the bars, `stale_bars` a number of equal bars in a row.
    A series has drifted where its index (PSI) exceeds `psi`, or where its KS distance exceeds `ks` and could come by
    chance with a probability below `ks_p`. `fatal` names the checks of a series that are errors, not warnings.
    """

    price_low: float = 0.0
    price_high: float = 1e6
    volume_high: float = math.inf
    opened_high: int = YEAR_2100_MS
    jump: float = 0.5
    span: float = 0.5
    dislocation: float = 0.25  # BTC's hourly closes never left their neighbours by more than 0.14 since 2017
    stale_bars: int = 6
    zero_volume: float = 0.05
    volume_spike: float = 200.0  # a wrong unit is a thousandfold; storms since 2017 reached 140
    psi: float = 0.25  # "a major shift", Siddiqi, Credit Risk Scorecards (2006)
    ks: float = 0.1  # with thousands of bars any distance is significant, so it must matter too
    ks_p: float = 0.01
    fatal: frozenset[str] = frozenset({"jump"})

    def __post_init__(self) -> None:
        if not 0.0 <= self.price_low < self.price_high:
            raise ValueError(f"prices between {self.price_low} and {self.price_high} are no range above 0")
        for name in ("volume_high", "opened_high", "jump", "span", "dislocation", "volume_spike", "psi", "ks", "ks_p"):
            if not getattr(self, name) > 0:
                raise ValueError(f"rule {name} is {getattr(self, name)}, which is not above 0")
        if not 0.0 <= self.zero_volume <= 1.0:
            raise ValueError(f"rule zero_volume is {self.zero_volume}, which is not a share")
        if self.stale_bars < 2:
            raise ValueError(f"rule stale_bars is {self.stale_bars}; every bar equals itself")


HOUSE_RULES = Rules()


@dataclass(frozen=True, eq=False)
class Sifted:
    """What became of every row: len(bars) + len(rejected) + repeats is the number of rows that came in.

    `reasons[k]` says why row `rows[k]` of the input, which is row k of `rejected`, cannot be true. Bar j of `bars` is
    row `kept[j]` of the input. `dropped` names optional columns that `bars` lacks: some good row has no value there.
    """

    bars: Bars | None
    rejected: RawBars
    reasons: tuple[str, ...]
    rows: Ints
    kept: Ints
    repeats: int
    dropped: tuple[str, ...]


class Fault(NamedTuple):
    """A rule that a row breaks by itself: its name, which rows break it, and the phrase for one of them."""

    rule: str
    broken: Mask
    phrase: Callable[[int], str]


def sift(raw: RawBars, rules: Rules = HOUSE_RULES) -> Sifted:
    """Part good rows from impossible ones, in order of time and without repeats.

    A row is rejected for the first rule that it breaks. Rows of one instant that are possible but disagree are all
    rejected, since nothing says which is true; identical ones collapse into one and are counted in `repeats`.
    """
    reasons: dict[int, str] = {}
    good = np.ones(len(raw), np.bool_)
    for fault in row_faults(raw, rules):
        fresh = np.flatnonzero(fault.broken & good)
        reasons |= {int(row): fault.phrase(int(row)) for row in fresh}
        good[fresh] = False
    kept, repeats = _settle(raw, np.flatnonzero(good), reasons)
    rows = np.array(sorted(reasons), np.int64)
    bars, dropped = _valid(raw if len(kept) == len(raw) and not _is_shuffled(raw) else raw.take(kept))
    told = tuple(reasons[int(row)] for row in rows)
    return Sifted(bars, raw.take(rows), told, rows, kept.astype(np.int64), repeats, dropped)


def row_faults(raw: RawBars, rules: Rules = HOUSE_RULES) -> Iterator[Fault]:
    """Every rule that judges a row by itself, in the order in which `sift` asks them."""
    yield from _time_faults(raw, rules)
    for name in PRICES:
        yield _price_fault(name, getattr(raw, name), rules)
    yield from _shape_faults(raw)
    yield _volume_fault(raw.volume, rules)
    if raw.taker_buy_volume is not None:
        yield from _taker_faults(raw.taker_buy_volume, raw.volume)
    if raw.trades is not None:
        yield _count_fault(raw.trades)


def _time_faults(raw: RawBars, rules: Rules) -> Iterator[Fault]:
    at = raw.opened_at
    yield Fault(
        "time",
        (at < 0) | (at > rules.opened_high),
        lambda row: f"opened_at {at[row]} ms lies outside 0 … {rules.opened_high}",
    )
    yield Fault("grid", at % raw.interval_ms != 0, lambda row: f"opened_at {at[row]} ms is off the {raw.interval} grid")


def _price_fault(name: str, values: Floats, rules: Rules) -> Fault:
    inside = (values > rules.price_low) & (values < rules.price_high)  # false for NaN too
    return Fault(
        "price",
        ~inside,
        lambda row: f"{name} {values[row]} is no price in ({rules.price_low:g}, {rules.price_high:g})",
    )


def _shape_faults(raw: RawBars) -> Iterator[Fault]:
    yield Fault(
        "low",
        (raw.low > raw.open) | (raw.low > raw.close),
        lambda row: f"low {raw.low[row]} lies above open {raw.open[row]} or close {raw.close[row]}",
    )
    yield Fault(
        "high",
        (raw.high < raw.open) | (raw.high < raw.close),
        lambda row: f"high {raw.high[row]} lies below open {raw.open[row]} or close {raw.close[row]}",
    )


def _volume_fault(volume: Floats, rules: Rules) -> Fault:
    possible = (volume >= 0.0) & (volume <= rules.volume_high) & (volume < math.inf)
    return Fault("volume", ~possible, lambda row: f"volume {volume[row]} is no amount in 0 … {rules.volume_high:g}")


def _taker_faults(taker: Floats, volume: Floats) -> Iterator[Fault]:
    """NaN is no fault: the source said nothing."""
    yield Fault(
        "taker",
        (taker < 0.0) | np.isposinf(taker),
        lambda row: f"taker_buy_volume {taker[row]} is no amount of 0 or more",
    )
    yield Fault(
        "taker",
        taker > volume + TAKER_SLACK * volume,
        lambda row: f"taker_buy_volume {taker[row]} is more than the volume {volume[row]}",
    )


def _count_fault(trades: Floats) -> Fault:
    count = (trades >= 0.0) & (trades <= LARGEST_COUNT) & (trades == np.floor(trades))
    return Fault("trades", ~(count | np.isnan(trades)), lambda row: f"trades {trades[row]} is no count")


def _is_shuffled(raw: RawBars) -> bool:
    return bool(np.any(raw.opened_at[1:] < raw.opened_at[:-1]))


def _settle(raw: RawBars, good: Rows, reasons: dict[int, str]) -> tuple[Rows, int]:
    """Rows that are kept, in order of time, and how many identical ones fell away; disagreements go to `reasons`."""
    order = good[np.argsort(raw.opened_at[good], kind="stable")]  # a scan where they are in order already
    at = raw.opened_at[order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = at[1:] != at[:-1]
    if is_first.all():
        return order, 0
    group = np.cumsum(is_first) - 1
    first = order[is_first][group]
    differs = np.zeros(len(order), np.bool_)
    for _, values in _columns(raw):
        differs |= ~_equal(values[order], values[first])
    quarrels = np.bincount(group, differs) > 0
    starts = np.append(np.flatnonzero(is_first), len(order))
    for index in np.flatnonzero(quarrels):
        rows = order[starts[index] : starts[index + 1]]
        reasons |= dict.fromkeys((int(row) for row in rows), _quarrel(raw, rows))
    settled = ~quarrels[group]
    return order[is_first & settled], int(np.sum(~is_first & settled))


def _quarrel(raw: RawBars, rows: Rows) -> str:
    name, values = next((n, v[rows]) for n, v in _columns(raw) if not _equal(v[rows], v[rows[0]]).all())
    told = list(dict.fromkeys(str(value) for value in values))
    return f"{len(rows)} rows open at {raw.opened_at[rows[0]]} ms and disagree: {name} {' and '.join(told[:3])}"


def _equal(a: Any, b: Any) -> Mask:
    same: Mask = (a == b) | (np.isnan(a) & np.isnan(b))
    return same


def _columns(raw: RawBars) -> Iterator[tuple[str, Floats]]:
    for name in (*PRICES, "volume", *OPTIONAL):
        values = getattr(raw, name)
        if values is not None:
            yield name, values


def _valid(raw: RawBars) -> tuple[Bars | None, tuple[str, ...]]:
    if not len(raw):
        return None, ()
    holes = tuple(name for name, values in _columns(raw) if np.isnan(values).any())
    without: dict[str, Any] = dict.fromkeys(holes)
    return (replace(raw, **without) if holes else raw).bars(), holes
