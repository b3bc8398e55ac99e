"""Storms and their cousins: both sides on one scale, the figures worked out by hand, the record where it is at hand."""

import numpy as np
import pytest

from wavetank.experiments.cousins import COUSINS, Cousin, beside, course_of, cousins_of, invented, recorded
from wavetank.market.bars import Bar, Bars
from wavetank.market.instants import instant
from wavetank.market.store import data_folder
from wavetank.simulators.scenarios import load_scenario

MINUTE = 60_000
ONSET = instant("2024-01-01T00:04")
HAND = Cousin("outage", "none.parquet", "HAND", "1m", "2024-01-01T00:04", before=4, after=5, within=3, later=2)


def by_hand() -> Bars:
    """Nine bars, five of them from the onset on: open, high, low, close, volume."""
    rows = [
        (100.0, 101.0, 100.0, 100.0, 2.0),
        (100.0, 101.0, 100.0, 101.0, 8.0),
        (101.0, 101.0, 100.0, 100.0, 4.0),
        (100.0, 100.0, 100.0, 100.0, 0.0),  # nobody traded
        (100.0, 102.0, 95.0, 96.0, 40.0),  # the onset
        (96.0, 96.0, 80.0, 85.0, 20.0),
        (85.0, 90.0, 85.0, 90.0, 4.0),
        (90.0, 95.0, 90.0, 95.0, 4.0),
        (95.0, 120.0, 95.0, 120.0, 4.0),
    ]
    opened = ONSET - 4 * MINUTE
    return Bars.from_rows("1m", [Bar(opened + i * MINUTE, *row, np.nan, -1) for i, row in enumerate(rows)], "HAND")


def test_a_course_is_in_per_cent_of_the_last_close_and_in_medians_of_what_was_traded_before() -> None:
    course = course_of(by_hand(), ONSET, HAND, ("hand", "made"), 0)
    assert course.bars.tolist() == [-4, -3, -2, 0, 1, 2, 3, 4]
    assert course.close == pytest.approx([0.0, 1.0, 0.0, -4.0, -15.0, -10.0, -5.0, 20.0])
    assert (course.high[3], course.low[4]) == (pytest.approx(2.0), pytest.approx(-20.0))
    assert course.volume == pytest.approx([0.5, 2.0, 1.0, 10.0, 5.0, 1.0, 1.0, 1.0])


def test_figures_are_those_of_the_bars_within() -> None:
    figures = course_of(by_hand(), ONSET, HAND, ("hand", "made"), 0).figures
    assert figures.furthest == pytest.approx(-0.20)
    assert figures.back == pytest.approx(0.75)  # from 80 to a close of 95 two bars later, not to the 120 of the third
    assert figures.volume == pytest.approx(10.0)
    assert figures.width == pytest.approx((7.0 + 16.0 + 5.0) / 3.0)  # every bar before was 1 wide


def test_what_brews_before_the_onset_is_not_what_is_usual() -> None:
    course = course_of(by_hand(), ONSET, HAND, ("hand", "made"), 2)
    assert course.volume[:2] == pytest.approx([0.4, 1.6])  # the median of 2 and 8, without the 4 of bar −2


def test_bars_without_a_trade_where_it_matters_are_one_sentence() -> None:
    with pytest.raises(ValueError, match="hand, made: nobody traded before the onset, or in 3 bars from it on"):
        course_of(by_hand().slice(0, 4), ONSET, HAND, ("hand", "made"), 0)


@pytest.mark.parametrize("cousin", cousins_of(["flash_crash", "pump_and_dump"]), ids=lambda cousin: cousin.scenario)
def test_the_crowds_side_begins_where_the_band_begins_to_measure(cousin: Cousin) -> None:
    course, brewed = invented(cousin)
    band = load_scenario(cousin.scenario).band
    assert band is not None
    assert course.span is not None
    assert course.span[0] == -brewed
    assert (brewed == 0) == (band.lines[0].start == 0.0)
    assert str(band.seeds[0]) in course.detail
    assert course.bars[-1] == cousin.after - 1
    inside = (course.bars >= 0) & (course.bars < cousin.within)
    assert course.volume[inside].max() > 5.0  # a storm's, not a calm market's
    again, _ = invented(cousin)
    assert again.close.tobytes() == course.close.tobytes()


def test_every_cousin_is_of_a_storm_with_a_band_and_has_a_picture_of_its_own() -> None:
    assert cousins_of([]) == COUSINS
    assert len({cousin.picture for cousin in COUSINS}) == len(COUSINS)
    assert all(load_scenario(cousin.scenario, cousin.interval).band is not None for cousin in COUSINS)
    with pytest.raises(ValueError, match="spoofing has no cousin in the record, crash, "):
        cousins_of(["spoofing"])


@pytest.mark.parametrize("cousin", COUSINS, ids=lambda cousin: cousin.picture)
def test_the_record_holds_the_bars_around_every_onset(cousin: Cousin) -> None:
    if not data_folder().is_dir():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    bars = recorded(cousin, data_folder())
    opened = instant(cousin.onset)
    assert bars.opened_at[0] <= opened - cousin.before * bars.interval_ms
    assert bars.opened_at[-1] >= opened + (cousin.after - 1) * bars.interval_ms


def test_both_sides_of_a_storm_stand_on_one_onset() -> None:
    if not data_folder().is_dir():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    (cousin,) = cousins_of(["flash_crash"])
    crowd, record = beside(cousin)
    assert record.figures.furthest < -0.04
    assert record.figures.back > 0.6
    for course in (crowd, record):
        assert course.close[course.bars < 0][-1] == 0.0
        assert (course.low <= course.close).all()
        assert (course.close <= course.high).all()
