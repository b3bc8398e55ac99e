"""Months of a series as columns: split by month, merged without duplicates, searched for gaps.

Pure arithmetic on `Columns`. Knows nothing of files, manifests or pyarrow.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bars import Floats, Ints
from .parquet import TIME, Columns

Mask = NDArray[np.bool_]

_MONTH, _MS = "datetime64[M]", "datetime64[ms]"


class Merge(NamedTuple):
    """A month after rows were laid into it: how many were new, the same, or changed what was known."""

    columns: Columns
    new: int
    same: int
    changed: int


class Conflict(NamedTuple):
    """The first row that says other than what is known."""

    at: int
    column: str
    known: float
    told: float


class ConflictError(ValueError):
    """Rows at known times with other values."""

    def __init__(self, conflict: Conflict) -> None:
        super().__init__(f"{conflict.column} at {conflict.at} is known as {conflict.known}, not {conflict.told}")
        self.conflict = conflict


def by_month(columns: Columns) -> Iterator[tuple[str, Columns]]:
    """Rows in order of time, cut where the UTC month changes: ("2021-01", columns), …"""
    months = columns[TIME].astype(_MS).astype(_MONTH)
    edges = [0, *(int(edge) + 1 for edge in np.flatnonzero(np.diff(months))), len(months)]
    for start, stop in pairwise(edges):
        yield str(months[start]), {name: values[start:stop] for name, values in columns.items()}


def merged(known: Columns, told: Columns, *, replace: bool) -> Merge:
    """Lay rows into a month. A value that was not known (NaN) is filled in; one that differs is a ConflictError.

    With `replace`, a row that differs takes the place of the known one whole, its unknown values included.
    """
    names = list(dict.fromkeys([*known, *told]))
    known, told = _widened(known, names), _widened(told, names)
    place = np.searchsorted(known[TIME], told[TIME])
    there = np.zeros(len(place), bool)
    inside = place < len(known[TIME])
    there[inside] = known[TIME][place[inside]] == told[TIME][inside]
    rows = np.flatnonzero(there)
    differs, fills = _compared(known, told, place[rows], rows, replace)
    columns = {name: values.copy() for name, values in known.items()}
    for name in names[1:]:
        old, new = columns[name][place[rows]], told[name][rows]
        columns[name][place[rows]] = np.where(differs | (np.isnan(old) & ~np.isnan(new)), new, old)
    changed = int(np.count_nonzero(differs | fills))
    return Merge(_joined(columns, told, ~there), int(np.count_nonzero(~there)), len(rows) - changed, changed)


def missing_between(times: Ints, step: int) -> list[tuple[int, int]]:
    """Gaps in a month as (opening of the first missing bar, opening of the bar that ends the gap)."""
    before = np.flatnonzero(np.diff(times) > step)
    return [(int(times[i]) + step, int(times[i + 1])) for i in before]


def joined(parts: list[Columns]) -> Columns:
    """Months in order as one; a column that some month lacks is unknown there."""
    names = list(dict.fromkeys(name for part in parts for name in part))
    wide = [_widened(part, names) for part in parts]
    return {name: np.concatenate([part[name] for part in wide]) for name in names}


def _compared(known: Columns, told: Columns, place: Ints, rows: Ints, replace: bool) -> tuple[Mask, Mask]:
    differs, fills = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    for name in list(known)[1:]:
        old, new = known[name][place], told[name][rows]
        other = ~np.isnan(old) & ~np.isnan(new) & (old != new)
        if other.any() and not replace:
            i = int(np.argmax(other))
            raise ConflictError(Conflict(int(told[TIME][rows[i]]), name, float(old[i]), float(new[i])))
        differs |= other
        fills |= np.isnan(old) & ~np.isnan(new)
    return differs, fills


def _joined(columns: Columns, told: Columns, fresh: Mask) -> Columns:
    both = {name: np.concatenate([values, told[name][fresh]]) for name, values in columns.items()}
    order = np.argsort(both[TIME], kind="stable")
    return {name: values[order] for name, values in both.items() if name == TIME or not np.isnan(values).all()}


def _widened(columns: Columns, names: list[str]) -> Columns:
    count = len(columns[TIME])
    return {name: columns[name] if name in columns else _unknown(count) for name in names}


def _unknown(count: int) -> Floats:
    return np.full(count, np.nan)
