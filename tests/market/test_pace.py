"""A pace never spends more in any minute than the lane allows, and waits no longer than it must."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavetank.market.pace import Lane, Pace

from .pages import FakeTime


def _pace(time: FakeTime, allowed: float = 600.0) -> Pace:
    return Pace(Lane("test", allowed), sleep=time.sleep, monotonic=time.monotonic)


def _most_in_a_minute(spent: list[tuple[float, float]]) -> float:
    """Every minute that begins with a request, to within a nanosecond: sums of floats end a little early."""
    return max(sum(weight for at, weight in spent if begin <= at < begin + 60.0 - 1e-9) for begin, _ in spent)


def test_a_fifth_of_the_limit_may_be_spent_at_once_and_the_rest_evenly() -> None:
    time = FakeTime()
    pace = _pace(time, 600.0)  # 120 at once, then 8 a second
    for _ in range(12):
        pace.spend(10)
    assert time.slept == []
    pace.spend(16)
    assert time.slept == [pytest.approx(2.0)]


def test_time_that_passes_by_itself_is_not_slept_again() -> None:
    time = FakeTime()
    pace = _pace(time)
    pace.spend(120)
    time.now_s += 5.0
    pace.spend(40)
    assert time.slept == []


def test_a_weight_above_the_burst_leaves_a_debt() -> None:
    time = FakeTime()
    pace = _pace(time)
    pace.spend(200)
    assert time.slept == []
    pace.spend(8)
    assert time.slept == [pytest.approx((80 + 8) / 8)]


@given(
    st.lists(st.tuples(st.floats(0.1, 600.0), st.floats(0.0, 30.0)), min_size=1, max_size=80),
    st.sampled_from([600.0, 650.5, 6000.0]),
)
def test_no_minute_ever_holds_more_than_the_limit(steps: list[tuple[float, float]], allowed: float) -> None:
    time, spent = FakeTime(), []
    pace = _pace(time, allowed)
    for weight, idle_s in steps:
        pace.spend(weight)
        spent.append((time.now_s, weight))
        time.now_s += idle_s
    assert _most_in_a_minute(spent) <= allowed * (1 + 1e-9)


@pytest.mark.parametrize("weights", [[24.0] * 8, [24.0, *[1.0] * 23, 24.0, 24.0], [45.0] * 6])
def test_weights_above_the_burst_keep_every_minute_under_the_limit(weights: list[float]) -> None:
    time, spent = FakeTime(), []
    pace = _pace(time, 60.0)  # 12 at once, then 0.8 a second
    for weight in weights:
        pace.spend(weight)
        spent.append((time.now_s, weight))
    assert _most_in_a_minute(spent) <= 60.0
    assert time.now_s - 1000.0 <= 60.0 * len(weights)


def test_a_weight_above_the_limit_has_a_minute_for_itself() -> None:
    time = FakeTime()
    pace = _pace(time, 60.0)
    pace.spend(10)
    pace.spend(70)
    assert time.now_s == pytest.approx(1060.0)
    pace.spend(1)
    assert time.now_s >= 1120.0


def test_the_venues_count_closes_the_lane_for_a_minute() -> None:
    time = FakeTime()
    pace = _pace(time)
    pace.heed(479)
    pace.spend(1)
    assert time.slept == []
    pace.heed(480)
    time.now_s += 20.0
    pace.spend(1)
    assert time.slept == [40.0]


@pytest.mark.parametrize("allowed", [0.0, -1.0, float("nan")])
def test_a_lane_that_allows_nothing_is_refused(allowed: float) -> None:
    with pytest.raises(ValueError, match="lane test allows a weight of .*, which is not above 0"):
        Lane("test", allowed)
