"""The bar of detectors: each line holds or falls short by its own number, and nothing is asked of the evasive one."""

from dataclasses import replace

import pytest

from wavetank.experiments.alert_scores import EventScore
from wavetank.experiments.detector_bar import Line, Recorded, all_hold, lines_of
from wavetank.experiments.detector_course import Judged
from wavetank.experiments.detectors import Verdict
from wavetank.experiments.pump_files import FileVerdict
from wavetank.experiments.spoof_plays import EVASIVE, PLAIN
from wavetank.market.detector_table import PUMP, SPOOF


def scored(caught: int, missed: int, false: int, *, before_peak: int = 9, delay_s: int = 20) -> EventScore:
    return EventScore(0.5, caught, missed, false, before_peak, (delay_s * 1000,) * caught)


def judged(kind: str, on: str, at: EventScore, *, area: float = 0.99, false: int = 0) -> Judged:
    rule = Verdict("a rule", scored(5, 5, 5), 0.5)
    families = {PUMP: (0, 10), "calm": (false, 50)}
    areas = {"traders": area, "cancels": area} if kind == SPOOF else {}
    return Judged(kind, on, 60, (Verdict("ours", at, area), rule), families, areas, 10_000)


def good() -> list[Judged]:
    return [
        judged(PUMP, "pumps, hard", scored(9, 1, 1)),
        judged(PUMP, "pumps, easy", scored(10, 0, 1), false=1),
        judged(SPOOF, f"{PLAIN}s", scored(9, 1, 1)),
        judged(SPOOF, f"{EVASIVE}s", scored(1, 9, 9), area=0.6),
    ]


def files(delay_ms: int | None = 20_000, false: int = 3, *, sngls: bool = True, hits: int = 1) -> Recorded:
    return Recorded((FileVerdict("ASTBTC", delay_ms, false, 19.0),), sngls, {"ftx": (hits, 20)})


def short(lines: list[Line]) -> list[str]:
    return [line.asked for line in lines if line.holds is False]


def test_good_detectors_hold_however_the_evasive_spoofer_fares() -> None:
    lines = lines_of(good(), files())
    assert short(lines) == []
    assert all_hold(lines)
    (told,) = [line for line in lines if line.holds is None]
    assert told.measured.startswith("F1 0.100, recall 0.100")


@pytest.mark.parametrize(
    ("place", "at", "asked"),
    [
        (0, scored(9, 1, 4), ["hard set: event F1", "precision"]),
        (0, scored(7, 3, 0), ["recall"]),
        (0, scored(9, 1, 1, delay_s=26), ["median delay"]),
        (0, scored(9, 1, 1, before_peak=6), ["before the peak"]),
        (1, scored(9, 1, 1), ["easy set"]),
        (2, scored(7, 3, 1), ["F1 ≥ 0.80"]),
    ],
)
def test_a_score_below_what_is_asked_falls_short_in_its_own_line(place: int, at: EventScore, asked: list[str]) -> None:
    sets = good()
    ours, rule = sets[place].verdicts
    sets[place] = replace(sets[place], verdicts=(replace(ours, at=at), rule))
    told = short(lines_of(sets, None))
    assert len(told) == len(asked)
    assert all(part in line for part, line in zip(asked, told, strict=True))


def test_a_rule_that_does_better_and_an_alarm_too_many_in_the_calm_fall_short() -> None:
    sets = good()
    ours, rule = sets[0].verdicts
    sets[0] = replace(sets[0], verdicts=(ours, replace(rule, at=scored(10, 0, 0))))
    sets[1] = replace(sets[1], false_alerts={PUMP: (7, 10), "calm": (2, 50)})
    assert short(lines_of(sets, None)) == [
        "… above the best single threshold",
        "… false alerts in 10,000 calm bars ≤ 1",
    ]


@pytest.mark.parametrize(
    ("recorded", "asked"),
    [
        (files(None), "ASTBTC"),
        (files(false=20), "ASTBTC"),
        (files(sngls=False), "SNGLS"),
        (files(hits=3), "largest moves of ftx"),
    ],
)
def test_a_recorded_file_falls_short_by_itself(recorded: Recorded, asked: str) -> None:
    (line,) = short(lines_of(good(), recorded))
    assert asked in line
    assert not all_hold(lines_of(good(), recorded))
