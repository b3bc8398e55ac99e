"""Months laid together: against a dictionary of rows, and gaps against a set of instants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavetank.market.parquet import TIME, Columns
from wavetank.market.segments import ConflictError, by_month, joined, merged, missing_between

from .handmade import HOUR, MIDNIGHT, same_bits

Rows = dict[int, tuple[float, float | None]]  # an instant's price, and its count where that is known

_PRICES = st.sampled_from([1.0, 2.0])
_COUNTS = st.sampled_from([None, 5.0, 6.0])
_ROWS = st.dictionaries(st.integers(0, 9), st.tuples(_PRICES, _COUNTS), min_size=1)


def _columns(rows: Rows) -> Columns:
    at = sorted(rows)
    counts = np.array([np.nan if rows[t][1] is None else rows[t][1] for t in at], float)
    columns = {TIME: np.array(at, np.int64), "close": np.array([rows[t][0] for t in at])}
    return columns if np.isnan(counts).all() else columns | {"trades": counts}


def _laid_by_hand(known: Rows, told: Rows) -> tuple[Rows, int, int, int]:
    """The slow twin, one row at a time: what is there then, and how many rows were new, the same, changed."""
    rows, new, same, changed = dict(known), 0, 0, 0
    for at, row in told.items():
        if at not in known:
            rows[at], new = row, new + 1
        elif row == known[at] or (row[0] == known[at][0] and row[1] is None):
            same += 1
        else:
            rows[at], changed = row, changed + 1
    return rows, new, same, changed


def _contradicts(known: Rows, told: Rows) -> bool:
    both = [(known[at], told[at]) for at in known.keys() & told.keys()]
    return any(a[0] != b[0] or (None not in (a[1], b[1]) and a[1] != b[1]) for a, b in both)


@given(_ROWS, _ROWS)
def test_rows_are_laid_in_as_a_dictionary_would(known: Rows, told: Rows) -> None:
    rows, *counts = _laid_by_hand(known, told)
    merge = merged(_columns(known), _columns(told), replace=True)
    assert [merge.new, merge.same, merge.changed] == counts
    assert merge.columns.keys() == _columns(rows).keys()
    assert all(same_bits(merge.columns[name], values) for name, values in _columns(rows).items())


@given(_ROWS, _ROWS)
def test_a_contradiction_is_refused_and_nothing_else_is(known: Rows, told: Rows) -> None:
    if _contradicts(known, told):
        with pytest.raises(ConflictError) as error:
            merged(_columns(known), _columns(told), replace=False)
        at, name, before, after = error.value.conflict
        place = 0 if name == "close" else 1
        assert (known[at][place], told[at][place]) == (before, after)
        assert before != after
    else:
        free, forced = (merged(_columns(known), _columns(told), replace=how) for how in (False, True))
        assert free[1:] == forced[1:]
        assert all(same_bits(free.columns[name], forced.columns[name]) for name in forced.columns)


@given(_ROWS, _ROWS)
def test_laying_rows_in_twice_changes_nothing_more(known: Rows, told: Rows) -> None:
    once = merged(_columns(known), _columns(told), replace=True)
    again = merged(once.columns, _columns(told), replace=False)
    assert (again.new, again.same, again.changed) == (0, len(told), 0)


def test_a_merge_leaves_the_rows_that_it_was_given_alone() -> None:
    known, told = _columns({0: (1.0, None), 2: (1.0, 5.0)}), _columns({0: (2.0, 6.0), 1: (1.0, None)})
    copies = [{name: values.copy() for name, values in columns.items()} for columns in (known, told)]
    merged(known, told, replace=True)
    for columns, copy in zip((known, told), copies, strict=True):
        assert all(same_bits(columns[name], copy[name]) for name in copy)


@given(st.sets(st.integers(0, 40), min_size=1))
def test_gaps_are_the_instants_that_a_set_lacks(present: set[int]) -> None:
    at = np.array(sorted(present), np.int64) * HOUR + MIDNIGHT
    gaps = missing_between(at, HOUR)
    absent = [t for first, end in gaps for t in range(first, end, HOUR)]
    expected = set(range(min(present), max(present))) - present
    assert absent == [MIDNIGHT + i * HOUR for i in sorted(expected)]
    assert all(end in at and first - HOUR in at for first, end in gaps)


def test_months_are_cut_at_midnight_utc_and_put_together_again() -> None:
    at = np.array([MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 30 * 24 * HOUR, MIDNIGHT + 31 * 24 * HOUR], np.int64)
    columns: Columns = {TIME: at, "close": np.arange(4.0)}
    parts = list(by_month(columns))
    assert [(month, list(part["close"])) for month, part in parts] == [
        ("2023-12", [0.0]),
        ("2024-01", [1.0, 2.0]),
        ("2024-02", [3.0]),
    ]
    back = joined([part for _, part in parts])
    assert all(same_bits(back[name], columns[name]) for name in columns)
