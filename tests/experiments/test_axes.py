from typing import Any

import numpy as np
import pytest

from wavetank.experiments.axes import Scale, apart, number_ticks, spread, thin, time_ticks

HOUR = 3_600_000


def test_scale_maps_ends_to_ends_and_turns_the_y_axis_over() -> None:
    scale = Scale(10.0, 20.0, 300.0, 0.0)
    assert (scale(10.0), scale(15.0), scale(20.0)) == (300.0, 150.0, 0.0)
    assert list(scale.all(np.array([10.0, 20.0]))) == [300.0, 0.0]


@pytest.mark.parametrize(
    "low, high, labels",
    [
        (0.0, 10.0, ["0", "2", "4", "6", "8", "10"]),
        (98_000.0, 104_000.0, ["98,000", "100,000", "102,000", "104,000"]),
        (-0.3, 0.3, ["−0.2", "0.0", "0.2"]),
    ],
)
def test_ticks_are_round(low: Any, high: Any, labels: Any) -> None:
    assert [tick.label for tick in number_ticks(low, high, 5)] == labels


def test_percentages_are_of_the_value() -> None:
    ticks = number_ticks(-0.1, 0.0, 5, percent=True)
    assert [(tick.at, tick.label) for tick in ticks][:2] == [(-0.1, "−10%"), (pytest.approx(-0.08), "−8%")]


def test_times_are_round_in_utc() -> None:
    start = 1_700_000_000_000  # 2023-11-14 22:13:20
    hours = [tick.label for tick in time_ticks(start, start + 6 * HOUR, 6)]
    assert hours == ["23:00", "00:00", "01:00", "02:00", "03:00", "04:00"]
    days = [tick.label for tick in time_ticks(start, start + 96 * HOUR, 4)]
    assert days == ["15 Nov", "16 Nov", "17 Nov", "18 Nov"]


def test_thinning_keeps_the_extremes_and_both_ends() -> None:
    x = np.arange(10_000.0)
    y = np.sin(x / 50.0)
    y[4321], y[7777] = -9.0, 9.0
    few_x, few_y = thin(x, y, 100)
    assert len(few_x) <= 202
    assert {-9.0, 9.0} <= set(few_y)
    assert (few_x[0], few_x[-1]) == (0.0, 9999.0)
    assert np.all(np.diff(few_x) > 0)


def test_labels_stand_apart_and_stay_inside() -> None:
    assert apart([50.0, 51.0, 98.0, 99.0], 10.0, 0.0, 100.0) == [50.0, 60.0, 90.0, 100.0]
    assert apart([99.0, 51.0, 98.0, 50.0], 10.0, 0.0, 100.0) == [100.0, 60.0, 90.0, 50.0]


def test_a_flat_line_has_a_range_around_it() -> None:
    low, high = spread(100.0, 100.0)
    assert low < 100.0 < high
    with pytest.raises(ValueError, match="cannot span"):
        spread(float("nan"), 1.0)
