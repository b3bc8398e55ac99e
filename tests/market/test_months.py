"""Months in milliseconds, against the standard library's calendar."""

import calendar
from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from wavetank.market.months import Month, months_between

MONTH = st.builds(Month, st.integers(1970, 2200), st.integers(1, 12))
INSTANT = st.integers(0, 7_000_000_000_000)


@given(MONTH)
def test_a_month_begins_and_ends_where_the_calendar_says(month: Month) -> None:
    days = calendar.monthrange(month.year, month.month)[1]
    assert month.begin_ms == int(datetime(month.year, month.month, 1, tzinfo=UTC).timestamp()) * 1000
    assert month.end_ms - month.begin_ms == days * 86_400_000


@given(INSTANT)
def test_an_instant_lies_in_its_month(at_ms: int) -> None:
    month = Month.of(at_ms)
    assert month.begin_ms <= at_ms < month.end_ms
    assert str(month) == datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m")


@given(INSTANT, st.integers(1, 100_000_000_000))
def test_months_between_cover_a_range_without_holes_and_no_more(start_ms: int, length: int) -> None:
    months = months_between(start_ms, start_ms + length)
    assert months[0].begin_ms <= start_ms < months[0].end_ms
    assert months[-1].begin_ms < start_ms + length <= months[-1].end_ms
    assert all(a.end_ms == b.begin_ms for a, b in pairwise(months))


def test_between_an_instant_and_itself_there_is_no_whole_month() -> None:
    begin_ms = Month(2021, 2).begin_ms
    assert months_between(begin_ms, begin_ms) == []
    assert months_between(begin_ms - 1, begin_ms) == [Month(2021, 1)]
