import re
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from wavetank.experiments.evaluate import Track
from wavetank.experiments.evaluation_page import MOST_TRIPS, render_page
from wavetank.experiments.evaluation_pictures import returns_picture, rolling_picture, rolling_window, trips_picture
from wavetank.experiments.figure_groups import GROUPS
from wavetank.experiments.measured import measure
from wavetank.experiments.met_before import Met
from wavetank.experiments.round_trips import round_trips_of
from wavetank.market.costs import Costs

from .hand_tracks import kept_track, track_of, walk_of
from .test_report import WORDS_OF_NOTHING, Page

TOLD: dict[str, Any] = {
    "slice": "test",
    "policy": "runs/<one>",
    "data": {"sha256": "a" * 64, "bars": 900, "from": 0, "until": 900 * 3_600_000},
    "costs": asdict(Costs(taker_fee_bps=4.5)),
    "funding": None,
}
ACCOUNT = kept_track(3, 800)[0]
TRACKS = {"policy": ACCOUNT, "flat": track_of([10_000.0] * 801), "hold": walk_of(2, 800)}


def page_of(tracks: dict[str, Track], **told: Any) -> str:
    return render_page(measure(tracks, var_window=200), TOLD | told, sharpe_days=7)


def drawing(figure: str) -> ElementTree.Element:
    """The wide one of a figure's two drawings."""
    return ElementTree.fromstring(figure).findall(".//svg")[0]


def test_the_page_is_well_formed_and_refers_to_nothing_outside_itself() -> None:
    text = page_of(TRACKS)
    read = Page(text)

    assert {"equity", "sharpe", "returns", "trips", "figures", "provenance"} <= set(read.ids)
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)
    assert not re.search(r"url\(|@import|<script|https?://", text)
    assert WORDS_OF_NOTHING.search(read.text) is None
    assert "Nothing to draw" not in read.text


def test_the_page_tells_every_figure_of_every_track() -> None:
    text = Page(page_of(TRACKS)).text
    for group in GROUPS:
        for figure in group.figures:
            assert figure.label in text
    assert "buy & hold" in text
    assert "which neither training nor selection has seen" in text
    assert "a" * 64 in text


def test_the_page_says_what_was_assumed_of_costs() -> None:
    text = Page(page_of(TRACKS)).text
    assert "taker 4.5 bp, maker 2 bp (assumed)" in text
    assert "half-spread 1 bp, impact 0.5 σ √(Q/V) (assumed)" in text
    assert "1 bp per 8 h, longs pay (assumed)" in text
    assert "a day (assumed)" not in text

    other = {"costs": asdict(Costs(borrow_bps_per_day=3.0)), "funding": {"stamps": 3000, "sha256": "b" * 64}}
    text = Page(page_of(TRACKS, **other)).text
    assert "3,000 rates of the instrument, sha256 bbbb" in text
    assert "longs pay" not in text
    assert "3 bp a day (assumed)" in text


def test_the_page_says_how_much_of_a_file_the_policy_has_met_before() -> None:
    met = Met("same", 0.7, 0.15)
    text = Page(page_of(TRACKS, slice="file", source="mine.parquet", met=met._asdict())).text
    assert f"On mine.parquet: {met.sentence}." in text
    assert "70.0% of these bars and selected on 15.0% of them" in text


def test_five_pictures_have_words_for_those_who_do_not_see_them() -> None:
    labels = Page(page_of(TRACKS)).labels
    assert len(labels) == 5
    assert all(len(label) > 30 for label in labels)


def test_a_name_cannot_break_the_page() -> None:
    text = page_of(TRACKS)
    assert "runs/&lt;one&gt;" in text
    assert "<one>" not in text


@pytest.mark.parametrize(
    "tracks, words",
    [
        ({"policy": track_of([100.0, 101.0])}, ["too few bars", "never gained or lost", "no round trip is closed"]),
        ({"policy": track_of([100.0] * 300)}, ["never gained or lost", "no round trip is closed"]),
        ({"policy": track_of([100.0, 40.0, 0.0], exposure=[0.0, 2.0, 0.0], trades=[0, 1, 2])}, ["too few bars"]),
    ],
)
def test_what_cannot_be_drawn_is_said(tracks: dict[str, Track], words: list[str]) -> None:
    text = Page(page_of(tracks, data=None)).text
    for word in words:
        assert word in text
    assert WORDS_OF_NOTHING.search(text) is None


def test_the_same_measures_make_the_same_page() -> None:
    assert page_of(TRACKS) == page_of(TRACKS)


def test_the_largest_round_trips_are_listed_best_first() -> None:
    trips = round_trips_of(ACCOUNT)
    assert trips.closed > MOST_TRIPS
    profits = np.sort(trips.profit[: trips.closed])[::-1]
    text = Page(page_of(TRACKS)).text
    places = [
        text.index(f"{value:,.2f}".replace("-", "−")) for value in (profits[0], profits[4], profits[-5], profits[-1])
    ]

    assert places == sorted(places)
    assert f"{trips.closed} closed round trips" in text


def test_a_rolling_window_is_as_long_as_asked_or_a_quarter_of_the_track() -> None:
    assert rolling_window(ACCOUNT, 7) == 168
    assert rolling_window(ACCOUNT, 30) == 200
    assert rolling_window(kept_track(1, 79)[0], 30) == 0
    assert "Of the last 7 days" in rolling_picture(TRACKS, 7)


def test_a_track_that_ended_early_has_no_rolling_line_and_the_others_have() -> None:
    short = {"policy": ACCOUNT, "hold": track_of([100.0, 0.0])}
    kinds = [path.get("class") for path in drawing(rolling_picture(short, 7)).iter("path")]
    assert "line policy" in kinds
    assert "line hold" not in kinds


def test_the_histogram_shades_what_lies_beyond_the_var() -> None:
    figures = ACCOUNT.metrics()
    figure = returns_picture(ACCOUNT, figures)
    shades = {str(rect.get("class")).split()[-1]: rect for rect in drawing(figure).iter("rect")}
    storm, after = shades["storm"], shades["after"]
    low, high = np.quantile(ACCOUNT.returns[ACCOUNT.returns != 0.0], [0.001, 0.999])
    begin = min(float(low), -figures["var_99"], 0.0)
    scale = (784.0 - 64.0) / (float(high) - begin)  # the wide drawing's axis in pixels

    assert float(storm.get("width", "0")) == pytest.approx((-figures["var_99"] - begin) * scale, abs=0.11)
    assert float(after.get("width", "0")) == pytest.approx((figures["var_99"] - figures["var_95"]) * scale, abs=0.11)
    assert f"99 % {figures['var_99']:.3%}" in figure


def test_the_trips_picture_ends_at_what_the_closed_trips_earned() -> None:
    trips = round_trips_of(ACCOUNT)
    assert f"{float(np.sum(trips.profit[: trips.closed])):+,.2f}" in trips_picture(ACCOUNT)
    assert trips_picture(TRACKS["flat"]) == ""


def test_the_trips_picture_marks_where_the_largest_trips_began_and_ended() -> None:
    # long over bars 1 to 2 for a gain of 5, short over bars 4 to 5 for a loss of 2
    track = track_of(
        [100.0, 102.0, 105.0, 105.0, 104.0, 103.0],
        close=[100.0, 101.0, 110.0, 110.0, 111.0, 120.0],
        exposure=[0.0, 1.0, 0.0, 0.0, -1.0, 0.0],
        trades=[0, 1, 2, 2, 3, 4],
    )
    figure = drawing(trips_picture(track))
    places = {
        kind: sorted(
            round(float(str(path.get("d"))[1:].split()[0])) for path in figure.iter("path") if path.get("class") == kind
        )
        for kind in ("bought", "sold")
    }
    bar = (784 - 64) / 5  # pixels of the wide drawing
    assert places == {
        "bought": [round(64 + bar), round(64 + 5 * bar)],
        "sold": [round(64 + 2 * bar), round(64 + 4 * bar)],
    }
