"""Plays as data: groups of parameters that share no cell, timelines in bars, seeds that no two stages share."""

import itertools
from collections import Counter

import numpy as np
import pytest

from wavetank.experiments.plays import (
    CELLS,
    FIRST_BAR,
    Spot,
    group_of,
    numbered,
    retimed,
    scaled,
    spot_of,
    staged,
    timed,
)
from wavetank.experiments.pump_plays import FAMILIES, RAMP_BARS, look_alike, pump_play
from wavetank.experiments.spoof_plays import HONEST, SHOWS, honest_play, spoof_play
from wavetank.market.chunks import Pace
from wavetank.simulators.scenarios import load_scenario
from wavetank.simulators.storms import Change, Setting
from wavetank.simulators.world import Knob, Part


def cell(spot: Spot) -> tuple[int, int]:
    return int(spot.first * CELLS), int(spot.second * CELLS)


def test_a_group_takes_one_cell_of_every_row_and_column() -> None:
    cells = {group: set[tuple[int, int]]() for group in range(CELLS)}
    for row, column in itertools.product(range(CELLS), repeat=2):
        cells[group_of(row, column)].add((row, column))
    for mine in cells.values():
        assert sorted(row for row, _ in mine) == list(range(CELLS))
        assert sorted(column for _, column in mine) == list(range(CELLS))


@pytest.mark.parametrize("group", range(CELLS))
def test_spots_of_a_group_lie_in_its_cells_and_in_all_of_them(group: int) -> None:
    rng = np.random.default_rng(group)
    met = Counter(cell(spot_of(rng, group)) for _ in range(1000))
    assert {group_of(row, column) for row, column in met} == {group}
    assert len(met) == CELLS
    assert min(met.values()) > 150  # of 200 expected


def test_changes_are_told_in_bars_and_a_staged_storm_begins_where_it_is_told() -> None:
    scenario, storm = staged("one", [timed(Part.VALUE, Knob.DRIFT, 2.0, 3.5, 0.1)], 80, up=False)
    scenario.admit(storm, "train")
    ((first, after, who, what, value),) = scenario.schedule(storm, steps_per_bar=60)
    assert (first, after) == (82 * 60, 83.5 * 60)
    assert (who, what, value) == (Part.VALUE, Knob.DRIFT, -0.1)


def test_a_storm_is_retimed_bar_by_bar_and_told_its_severity() -> None:
    changes = (
        Change(Part.VALUE, Knob.DRIFT, 0.0, 0.5, None, 2.0),
        Change(Part.MAKERS, Knob.SIZE, 0.5, 1.0, 0.25),
    )
    first, then = retimed(changes, 0.1, 40, lambda bar: bar + 10)
    assert (first.start, first.end, first.value) == (0.1, 0.3, 0.2)
    assert (then.start, then.end, then.value) == (0.3, 0.5, 0.25)


def test_only_the_scaled_knob_of_a_profile_changes() -> None:
    profile = (Setting(Part.NOISE, Knob.SIZE, 0.04), Setting(Part.NOISE, Knob.RATE, 0.5))
    assert scaled(profile, Knob.SIZE, 2.0) == (Setting(Part.NOISE, Knob.SIZE, 0.08), profile[1])


def test_no_two_stages_share_a_market() -> None:
    met = [seed for stage in range(12) for seed, _ in itertools.islice(numbered(1, stage), 200)]
    assert len(set(met)) == len(met)
    again = [seed for seed, _ in itertools.islice(numbered(1, 3), 5)]
    assert again == met[600:605]


@pytest.mark.parametrize("ramp", RAMP_BARS)
def test_the_rush_of_a_pump_begins_where_it_is_labelled_and_lasts_its_bars(ramp: int) -> None:
    play = pump_play(1, np.random.default_rng(ramp), ramp, reach=2)
    assert play.storm is not None
    rows = play.scenario.schedule(play.storm, steps_per_bar=60)
    ((first, after),) = [row[:2] for row in rows if (row[2], row[3]) == (Part.PUMPERS, Knob.RUSH)]
    assert first == play.begins * 60
    assert after - first == ramp * 60
    (gathers,) = [row for row in rows if (row[2], row[3]) == (Part.PUMPERS, Knob.PARTICIPATION)]
    assert gathers[0] == play.storm.onset * 60
    assert gathers[1] <= first


def test_every_play_begins_once_a_detector_is_warm_and_is_of_the_group_asked_for() -> None:
    warm_bars = Pace().warm_ms // 60_000
    assert warm_bars < FIRST_BAR
    for family, group in itertools.product(FAMILIES, range(CELLS)):
        play = look_alike(1, np.random.default_rng(group), family, group)
        assert (play.family, play.group) == (family, str(group))
        assert play.begins >= FIRST_BAR
        assert play.begins + play.lasts < play.bars
        assert all(play.begins * 60 <= each.step < play.bars * 60 for each in play.sent)


@pytest.mark.parametrize("family", [*SHOWS, *HONEST])
def test_only_spoofers_show_what_they_do_not_mean(family: str) -> None:
    make = spoof_play if family in SHOWS else honest_play
    play = make(1, np.random.default_rng(0), family, 2)
    shows = [change.value for change in play.scenario.changes if change.knob == Knob.SHOW]
    assert shows == ([SHOWS[family]] if family in SHOWS else [])


def test_plays_lean_on_the_house_s_scenarios_and_leave_them_alone() -> None:
    before = load_scenario("pump_and_dump")
    for seed in range(5):
        pump_play(seed, np.random.default_rng(seed), 1, 4)
    assert load_scenario("pump_and_dump") == before
