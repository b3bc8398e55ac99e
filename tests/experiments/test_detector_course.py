"""The course: no market and no parameters stand on both sides, and a whole small one gives tables and lines."""

from dataclasses import dataclass

import pytest

from wavetank.experiments import detector_course, detectors
from wavetank.experiments.detector_bar import lines_of
from wavetank.experiments.detector_course import (
    HELD,
    LEARNT,
    NEGATIVES_A_PUMP,
    RULES,
    Effort,
    Judged,
    judge_all,
    teach,
)
from wavetank.experiments.plays import CELLS
from wavetank.experiments.pump_plays import HARD
from wavetank.market.detector_table import KINDS, PUMP, SPOOF, DetectorTable

SMALL = Effort(pumps=1, looks=1, judged_pumps=1, spoofers=1, judged_spoofers=1)


@dataclass(frozen=True)
class Course:
    tables: dict[str, DetectorTable]
    found: list[Judged]
    turns: list[str]
    told: int


@pytest.fixture(scope="module")
def course() -> Course:
    """A whole course of 200 markets, with two negatives a pump and small forests."""
    turns = list[str]()
    with pytest.MonkeyPatch.context() as smaller:
        smaller.setattr(detector_course, "NEGATIVES_A_PUMP", 2)
        smaller.setitem(detectors.TREES, "max_iter", 10)
        tables = teach(3, SMALL, turns.append)
        return Course(tables, judge_all(tables, 3, SMALL, turns.append), turns, SMALL.turns(learns=True))


def test_groups_are_learnt_or_held_and_together_all() -> None:
    assert not set(LEARNT) & set(HELD)
    assert set(LEARNT) | set(HELD) == set(range(CELLS))


@pytest.mark.parametrize("share", [0.02, 0.1, 1.0, 3.0])
def test_there_are_twenty_negatives_a_pump_in_either_set(share: float) -> None:
    effort = Effort().scaled(share)
    pumps = len(HELD) * CELLS * effort.judged_pumps
    assert len(HELD) * effort.hard * len(HARD) >= NEGATIVES_A_PUMP * pumps
    assert len(HELD) * effort.calm >= NEGATIVES_A_PUMP * pumps


@pytest.mark.slow
def test_a_small_course_trains_all_three_and_judges_them_beside_their_rules(course: Course) -> None:
    assert {kind: table.kind for kind, table in course.tables.items()} == {kind: kind for kind in KINDS}
    for table in course.tables.values():
        assert table.training["groups"] == list(LEARNT)
        assert len(table.training[RULES]) >= 2
    assert [each.on for each in course.found if each.kind == SPOOF] == ["plain spoofers", "evasive spoofers"]
    hard = next(each for each in course.found if (each.kind, each.on) == (PUMP, "pumps, hard"))
    assert set(hard.false_alerts) == {PUMP, *HARD}
    assert {verdict.at.caught + verdict.at.missed for verdict in hard.verdicts} == {len(HELD) * CELLS}
    assert len(lines_of(course.found, None)) > 10


@pytest.mark.slow
def test_the_course_tells_of_as_many_markets_as_it_said(course: Course) -> None:
    assert len(course.turns) == course.told
    pumps = {turn for turn in course.turns if turn.startswith("pump ")}
    assert len(pumps) == CELLS * (len(LEARNT) * SMALL.pumps + len(HELD) * SMALL.judged_pumps)
