"""A series judged as a whole: what its rows cannot tell one by one. Findings only: no row is rejected here.

Jumps, wide bars, closes far from their neighbours, stale runs, gaps, volumes that cannot be in one unit, columns out of
their bounds, drift against a reference. What may be true stands in `quality.Rules`; knows no file and no report.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bars import Bars, Ints
from .drift import ks, populations, psi
from .oddities import dislocations, moves, pauses, spans, stale_runs, surges
from .quality import HOUSE_RULES, Rows, Rules, Sifted, row_faults, sift
from .raw import RawBars

CHECKS = {  # in the order in which they are asked, with what each one says of a series that passes
    "time": "bars open between 1970 and the latest time allowed",
    "grid": "bars open on the interval's grid",
    "price": "prices are finite and within the instrument's bounds",
    "low": "low is at most open and close",
    "high": "high is at least open and close",
    "volume": "volume is a finite amount of 0 or more, within bounds",
    "taker": "the takers' bought volume is between 0 and the volume",
    "trades": "trades are a count",
    "unique": "no two rows of one instant disagree",
    "repeat": "no row is told twice",
    "order": "rows come in order of time",
    "absent": "optional columns have no holes",
    "jump": "a close lies within the jump of the close before it",
    "span": "a bar's high lies within the span of its low",
    "dislocation": "a close lies near the median of the five around it",
    "stale": "bars do not repeat themselves",
    "gap": "no bar is missing",
    "zero volume": "few bars are without volume",
    "volume spike": "no volume is a large multiple of the median around it",
    "drift psi": "populations are stable against the reference (PSI)",
    "drift ks": "distributions are near the reference's (KS)",
}
ROW_CHECKS = frozenset({"time", "grid", "price", "low", "high", "volume", "taker", "trades", "unique"})
DRIFT_CHECKS = frozenset({"drift psi", "drift ks"})


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: the rows concerned (of the input), the first one's instant in ms UTC, the worst value.

    A row's `instant` is its `opened_at`. What concerns no single row has neither.
    """

    check: str
    severity: str
    rows: tuple[int, ...]
    instant: int | None
    message: str
    value: float


def check_bars(bars: Bars | RawBars, rules: Rules = HOUSE_RULES, reference: Bars | None = None) -> list[Finding]:
    """All that is wrong or strange about a series, one finding a check, in the order of `CHECKS`.

    Rows that `sift` rejects are errors; the rest of the series is judged without them. Drift is asked only where a
    `reference` is given. Raises ValueError where bars and reference are on different intervals.
    """
    raw = RawBars.of(bars) if isinstance(bars, Bars) else bars
    if reference is not None and reference.interval != raw.interval:
        raise ValueError(f"the reference has {reference.interval} bars, the series {raw.interval}")
    sifted = sift(raw, rules)
    found = [*_row_findings(raw, sifted, rules), *_source_findings(raw, sifted, rules)]
    if sifted.bars is not None:
        found += _series_findings(sifted.bars, sifted.kept, rules)
        if reference is not None:
            found += _drift_findings(sifted.bars, reference, rules)
    return found


def check_columns(
    matrix: NDArray[Any], names: Sequence[str], bounds: Mapping[str, tuple[float, float]]
) -> list[Finding]:
    """Columns that are not finite everywhere, or leave their bounds (inclusive): one error a column at most.

    `matrix` (rows, columns); a column without bounds need only be finite. Raises ValueError where names and columns
    do not match, or a bound is given for no column.
    """
    if matrix.ndim != 2 or matrix.shape[1] != len(names):
        raise ValueError(f"a matrix of shape {matrix.shape} does not have the {len(names)} columns named")
    unknown = sorted(set(bounds) - set(names))
    if unknown:
        raise ValueError(f"bounds are given for {', '.join(unknown)}, which is no column")
    found = []
    for name, column in zip(names, matrix.T, strict=True):
        low, high = bounds.get(name, (-np.inf, np.inf))
        rows = np.flatnonzero(~(np.isfinite(column) & (column >= low) & (column <= high)))
        if len(rows):
            value = float(column[rows[0]])
            words = f"row {rows[0]} of column {name} is {value:g}, not within [{low:g}, {high:g}]{others(len(rows))}"
            found.append(Finding("bounds", "error", _tuple(rows), None, words, value))
    return found


def _row_findings(raw: RawBars, sifted: Sifted, rules: Rules) -> Iterator[Finding]:
    """Every rule that rows break, also where `sift` had rejected them for another one."""
    broken: dict[str, set[int]] = {}
    phrases: dict[str, str] = {}
    alone: set[int] = set()
    for fault in row_faults(raw, rules):
        rows = np.flatnonzero(fault.broken)
        if len(rows):
            broken.setdefault(fault.rule, set()).update(rows.tolist())
            phrases.setdefault(fault.rule, fault.phrase(int(rows[0])))
    for rows_of_rule in broken.values():
        alone |= rows_of_rule
    quarrels = [(int(row), why) for row, why in zip(sifted.rows, sifted.reasons, strict=True) if int(row) not in alone]
    if quarrels:
        broken["unique"], phrases["unique"] = {row for row, _ in quarrels}, quarrels[0][1]
    for rule, members in broken.items():
        ordered = np.array(sorted(members))
        yield _of_rows(raw, rules, rule, ordered, f"{phrases[rule]}{others(len(ordered))}", len(ordered))


def _source_findings(raw: RawBars, sifted: Sifted, rules: Rules) -> Iterator[Finding]:
    if sifted.repeats:
        yield _whole(rules, "repeat", f"{number_of(sifted.repeats, 'row')} told twice, collapsed", sifted.repeats)
    backwards = np.flatnonzero(np.diff(raw.opened_at) < 0) + 1
    if len(backwards):
        words = f"row {backwards[0]} opens before the row above it{others(len(backwards))}"
        yield _of_rows(raw, rules, "order", backwards, words, len(backwards))
    if sifted.dropped:
        words = f"{' and '.join(sifted.dropped)} left out: a good row has no value there"
        yield _whole(rules, "absent", words, len(sifted.dropped))


def _series_findings(bars: Bars, kept: Ints, rules: Rules) -> Iterator[Finding]:
    missing = pauses(bars)
    yield from _jump_findings(bars, kept, rules, missing)
    yield from _shape_findings(bars, kept, rules)
    yield from _stale_findings(bars, kept, rules)
    yield from _gap_findings(bars, kept, rules, missing)
    yield from _volume_findings(bars, kept, rules)


def _jump_findings(bars: Bars, kept: Ints, rules: Rules, missing: Ints) -> Iterator[Finding]:
    move = moves(bars.close)
    jumps = np.flatnonzero(move > rules.jump)
    if len(jumps):
        i = int(jumps[np.argmax(move[jumps])])
        pause = f" after {number_of(int(missing[i]), 'missing bar')}" if missing[i] else ""
        words = f"close {bars.close[i]:g} at {instant_of(bars.opened_at[i])} follows {bars.close[i - 1]:g}{pause}"
        yield _of_bars(bars, kept, rules, "jump", jumps, f"{words}{others(len(jumps))}", float(move[i]))


def _gap_findings(bars: Bars, kept: Ints, rules: Rules, missing: Ints) -> Iterator[Finding]:
    gaps = np.flatnonzero(missing)
    if len(gaps):
        i = int(gaps[np.argmax(missing[gaps])])
        words = f"{number_of(int(missing.sum()), 'bar')} missing in {number_of(len(gaps), 'gap')}"
        longest = f"the longest, {missing[i]:,}, before {instant_of(bars.opened_at[i])}"
        yield _of_bars(bars, kept, rules, "gap", gaps, f"{words}; {longest}", float(missing[i]))


def _shape_findings(bars: Bars, kept: Ints, rules: Rules) -> Iterator[Finding]:
    span = spans(bars)
    wide = np.flatnonzero(span > rules.span)
    if len(wide):
        i = int(wide[np.argmax(span[wide])])
        words = f"bar at {instant_of(bars.opened_at[i])} spans {bars.low[i]:g} … {bars.high[i]:g}{others(len(wide))}"
        yield _of_bars(bars, kept, rules, "span", wide, words, float(span[i]))
    apart = dislocations(bars.close)
    far = np.flatnonzero(apart > rules.dislocation)
    if len(far):
        i = int(far[np.argmax(apart[far])])
        words = (
            f"close {bars.close[i]:g} at {instant_of(bars.opened_at[i])} is {apart[i]:.0%} off its neighbours' median"
        )
        yield _of_bars(bars, kept, rules, "dislocation", far, f"{words}{others(len(far))}", float(apart[i]))


def _stale_findings(bars: Bars, kept: Ints, rules: Rules) -> Iterator[Finding]:
    starts, stops = stale_runs(bars)
    lengths = stops - starts
    stale = np.flatnonzero(lengths >= rules.stale_bars)
    if len(stale):
        longest = int(stale[np.argmax(lengths[stale])])
        rows = np.concatenate([np.arange(starts[k], stops[k]) for k in stale])
        words = f"{lengths[longest]} equal bars from {instant_of(bars.opened_at[starts[longest]])} on"
        more = f"; {number_of(len(stale) - 1, 'more run')}" if len(stale) > 1 else ""
        yield _of_bars(bars, kept, rules, "stale", rows, f"{words}{more}", float(lengths[longest]))


def _volume_findings(bars: Bars, kept: Ints, rules: Rules) -> Iterator[Finding]:
    empty = np.flatnonzero(bars.volume == 0.0)
    share = len(empty) / len(bars)
    if share > rules.zero_volume:
        words = f"{len(empty)} of {len(bars)} bars have no volume, {share:.1%}"
        yield _of_bars(bars, kept, rules, "zero volume", empty, words, share)
    times = surges(bars.volume)
    spikes = np.flatnonzero(times > rules.volume_spike)
    if len(spikes):
        i = int(spikes[np.argmax(times[spikes])])
        words = f"volume {bars.volume[i]:g} at {instant_of(bars.opened_at[i])} is {times[i]:,.0f} times its median"
        yield _of_bars(bars, kept, rules, "volume spike", spikes, f"{words}{others(len(spikes))}", float(times[i]))


def _drift_findings(bars: Bars, reference: Bars, rules: Rules) -> Iterator[Finding]:
    theirs, ours = populations(reference), populations(bars)
    names = [name for name in ours if len(ours[name]) and len(theirs[name])]
    indices = {name: psi(theirs[name], ours[name]) for name in names}
    moved = {name: value for name, value in indices.items() if value > rules.psi}
    if moved:
        words = ", ".join(f"{name} {value:.2f}" for name, value in moved.items())
        yield _whole(rules, "drift psi", f"{words}; at most {rules.psi:g} is stable", max(moved.values()))
    tests = {name: ks(theirs[name], ours[name]) for name in names}
    far = {name: told for name, told in tests.items() if told[0] > rules.ks and told[1] < rules.ks_p}
    if far:
        words = ", ".join(f"{name} {distance:.2f} (p {p:.2g})" for name, (distance, p) in far.items())
        yield _whole(rules, "drift ks", f"{words}; at most {rules.ks:g} is near", max(d for d, _ in far.values()))


def instant_of(ms: Any) -> str:
    """A UTC instant in ms as a person reads it, to the minute."""
    return datetime.fromtimestamp(int(ms) / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def number_of(count: int, noun: str) -> str:
    """A count with its noun: 1 row, 2,000 rows."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def others(count: int, noun: str = "row") -> str:
    """The end of a sentence about the first of `count`: nothing, or how many more there are."""
    return f"; {number_of(count - 1, f'more {noun}')}" if count > 1 else ""


def _of_bars(bars: Bars, kept: Ints, rules: Rules, check: str, rows: Rows, words: str, value: float) -> Finding:
    return Finding(check, _severity(check, rules), _tuple(kept[rows]), int(bars.opened_at[rows[0]]), words, value)


def _of_rows(raw: RawBars, rules: Rules, check: str, rows: Rows, words: str, value: float) -> Finding:
    return Finding(check, _severity(check, rules), _tuple(rows), int(raw.opened_at[rows].min()), words, float(value))


def _whole(rules: Rules, check: str, words: str, value: float) -> Finding:
    return Finding(check, _severity(check, rules), (), None, words, float(value))


def _severity(check: str, rules: Rules) -> str:
    return "error" if check in ROW_CHECKS or check in rules.fatal else "warning"


def _tuple(rows: NDArray[Any]) -> tuple[int, ...]:
    return tuple(rows.tolist())
