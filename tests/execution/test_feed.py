"""Clocks, feeds, and the ids of intents."""

import math
from pathlib import Path

import pytest

from wavetank.execution.clock import BarClock, WallClock
from wavetank.execution.feed import FeedError, ReplayFeed, is_long_gap, refusal
from wavetank.execution.intents import client_id, intents_of
from wavetank.market.bars import Bar
from wavetank.market.orders import Order

from .toy import HOUR_MS, made_bars

GOOD = Bar(HOUR_MS, 10.0, 12.0, 9.0, 11.0, 5.0)


def test_wall_clock_tells_utc_milliseconds(tmp_path: Path) -> None:
    (tmp_path / "now").touch()  # stamped by the file system, in UTC too
    assert abs(WallClock().now_ms() - (tmp_path / "now").stat().st_mtime * 1000) < 60_000


def test_bar_clock_stands_at_the_close_of_the_bar_just_fed() -> None:
    clock = BarClock()
    feed = ReplayFeed(made_bars(3), "made", clock)
    for number in (1, 2, 3):
        feed.next()
        assert clock.now_ms() == number * HOUR_MS - 1
    assert feed.next() is None
    with pytest.raises(ValueError, match="cannot go back to 5 ms"):
        clock.advance(5)


def test_feed_goes_on_behind_the_last_bar_it_is_told() -> None:
    bars = made_bars(5)
    feed = ReplayFeed(bars, "made", BarClock())
    feed.resume(bars.bar(2))
    assert len(feed) == 2
    assert feed.next() == bars.bar(3)


def test_feed_that_tells_another_story_is_refused() -> None:
    bars = made_bars(5)
    feed = ReplayFeed(bars, "made", BarClock())
    with pytest.raises(FeedError, match="made tells another bar at 7200000 ms than the journal"):
        feed.resume(bars.bar(2)._replace(volume=1.0))
    with pytest.raises(FeedError, match="made has no bar that opened at 18000000 ms"):
        feed.resume(bars.bar(4)._replace(opened_at=5 * HOUR_MS))
    with pytest.raises(FeedError, match="has no bar that opened at"):
        ReplayFeed(made_bars(5, start=HOUR_MS), "late", BarClock()).resume(bars.bar(0))


@pytest.mark.parametrize(
    ("bar", "words"),
    [
        (GOOD, ""),
        (GOOD._replace(opened_at=HOUR_MS + 1), "not on the grid"),
        (GOOD._replace(opened_at=0), "not after the last one"),
        (GOOD._replace(close=math.nan), "not all above 0"),
        (GOOD._replace(open=0.0), "not all above 0"),
        (GOOD._replace(high=math.inf), "not all above 0"),
        (GOOD._replace(low=10.5), "inside its other prices"),
        (GOOD._replace(high=10.5), "inside its other prices"),
        (GOOD._replace(volume=-1.0), "volume"),
        (GOOD._replace(volume=math.nan), "volume"),
    ],
)
def test_bars_that_cannot_be_true_are_refused(bar: Bar, words: str) -> None:
    reason = refusal(bar, Bar(0, 10.0, 10.0, 10.0, 10.0, 1.0), HOUR_MS)
    assert words in reason
    assert bool(words) == bool(reason)


def test_more_than_three_missing_bars_are_a_long_gap() -> None:
    assert [is_long_gap(0, missing * HOUR_MS + HOUR_MS, HOUR_MS) for missing in (0, 2, 3, 4)] == [
        False,
        False,
        False,
        True,
    ]
    assert not is_long_gap(-1, 99 * HOUR_MS, HOUR_MS)


def test_order_ids_are_made_of_passport_and_bar_number() -> None:
    assert client_id("0123456789abcdef", 7) == "wt-01234567-000000007-0"
    orders = intents_of([Order(1), Order(-2)], "abc", 12)
    assert [order.client_id for order in orders] == ["wt-abc-000000012-0", "wt-abc-000000012-1"]
    with pytest.raises(ValueError, match="longer than 36 signs"):
        client_id("01234567", 10**24)
