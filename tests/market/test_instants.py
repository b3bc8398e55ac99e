"""Instants come as dates, moments and milliseconds, and mean the same millisecond; what is none costs one sentence."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavetank.market.bars import YEAR_2100_MS
from wavetank.market.instants import instant, iso
from wavetank.market.parquet import BarsError

from .handmade import HOUR, MIDNIGHT


@pytest.mark.parametrize(
    "when",
    [
        "2024-01-01",
        "20240101",
        "2024-01-01T00:00Z",
        "2024-01-01T02:00+02:00",
        "1704067200000",
        1_704_067_200_000,
        np.int64(1_704_067_200_000),
        np.uint64(1_704_067_200_000),
        datetime.fromisoformat("2024-01-01"),
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2023, 12, 31, 19, tzinfo=timezone(timedelta(hours=-5))),
        pd.Timestamp("2024-01-01", tz="Asia/Tokyo") + pd.Timedelta(hours=9),
    ],
)
def test_the_same_instant_in_every_spelling(when: Any) -> None:
    found = instant(when)
    assert (found, type(found)) == (MIDNIGHT, int)


@given(st.integers(0, YEAR_2100_MS))
def test_what_a_sentence_tells_is_read_back_to_the_millisecond(at: int) -> None:
    assert instant(iso(at)) == at


def test_a_fraction_of_a_millisecond_is_rounded_up_since_no_bar_opens_in_it() -> None:
    assert instant("2024-01-01T01:00:00.0005") == MIDNIGHT + HOUR + 1
    assert instant("1969-12-31T23:59:59.9995") == 0


@pytest.mark.parametrize(
    "when",
    [True, np.bool_(True), 1.5e12, np.float64(0), date(2024, 1, 1), None, [MIDNIGHT], np.array([1]), 10**20, "9" * 20],
)
def test_what_is_no_instant_costs_one_sentence(when: Any) -> None:
    with pytest.raises(BarsError, match="is no instant: neither an ISO date, nor a datetime, nor whole milliseconds"):
        instant(when)


@pytest.mark.parametrize("when", ["yesterday", "", "-", "2024-13-01", "²²²²²²²²²", "2024", "--1704067200000"])
def test_words_that_are_no_date_are_told(when: str) -> None:
    with pytest.raises(BarsError, match=f"'{when}' is not an ISO date"):
        instant(when)


def test_an_instant_beyond_every_calendar_is_told_in_milliseconds() -> None:
    assert iso(MIDNIGHT * 1000) == f"{MIDNIGHT * 1000} ms"
    assert iso(MIDNIGHT) == "2024-01-01T00:00:00Z"
    assert iso(MIDNIGHT + 1) == "2024-01-01T00:00:00.001Z"
