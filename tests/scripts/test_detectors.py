"""The door `wavetank detectors`: it judges what is shipped, trains and writes, and refuses early what cannot be."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from wavetank.experiments import detector_course
from wavetank.experiments.alert_scores import EventScore
from wavetank.experiments.detector_course import Effort, Judged
from wavetank.experiments.detectors import Verdict
from wavetank.experiments.spoof_plays import EVASIVE, PLAIN
from wavetank.experiments.staged_tapes import Told
from wavetank.market.detector_table import FOLDER, PUMP, SHIPPED, SPOOF, DetectorTable, read_table, shipped_table
from wavetank.scripts import detectors


def open_door(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["wavetank", *arguments])
    return detectors.main()


def judged(kind: str, on: str, caught: int) -> Judged:
    at = EventScore(0.5, caught, 10 - caught, 0, caught, (20_000,) * caught)
    areas = {"traders": 0.99, "cancels": 0.99} if kind == SPOOF else {}
    return Judged(kind, on, 210, (Verdict(kind, at, 0.9),), {"calm": (0, 200)}, areas, 10_000)


@pytest.fixture
def course(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A course that raises no market: it teaches what is shipped, and finds what is written here. What was asked."""
    asked = list[str]()

    def teach(seed: int, effort: Effort, told: Told) -> dict[str, DetectorTable]:
        asked.append(f"teach {seed} {effort.judged_pumps}")
        return {kind: shipped_table(kind) for kind in SHIPPED}

    def judge_all(tables: Mapping[str, DetectorTable], seed: int, effort: Effort, told: Told) -> list[Judged]:
        asked.append(f"judge {sorted(tables)} {seed} {effort.judged_pumps}")
        sets = [(PUMP, "pumps, hard"), (PUMP, "pumps, easy"), (SPOOF, f"{PLAIN}s"), (SPOOF, f"{EVASIVE}s")]
        return [judged(kind, on, 5 if seed == 9 else 10) for kind, on in sets]

    monkeypatch.setenv("WAVETANK_DATA", str(tmp_path / "none"))
    monkeypatch.setattr(detector_course, "teach", teach)
    monkeypatch.setattr(detector_course, "judge_all", judge_all)
    return asked


def test_training_writes_the_tables_and_judges_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], course: list[str]
) -> None:
    out, figures = tmp_path / "tables", tmp_path / "figures.json"
    assert open_door(monkeypatch, "--out", str(out), "--seed", "4", "--share", "0.3", "--json", str(figures)) == 0
    assert course == ["teach 4 3", "judge ['pump', 'pump bars', 'spoof'] 4 3"]
    shown = capsys.readouterr().out
    for part in ("pumps, hard, by pump: 210 markets", "asked and found", "no recorded files here", str(out)):
        assert part in shown
    for kind, name in SHIPPED.items():
        assert read_table(out / f"{name}.json", kind) == shipped_table(kind)
    told = json.loads(figures.read_text())
    assert told["command"] == f"wavetank detectors --out {out} --seed 4 --share 0.3"
    assert told["sets"][0]["verdicts"][0]["at"]["median_delay_ms"] == 20_000


def test_judging_trains_nothing_and_says_by_its_exit_code_that_something_falls_short(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], course: list[str]
) -> None:
    assert open_door(monkeypatch, "--judge") == 0
    assert "SHORT" not in capsys.readouterr().out
    assert open_door(monkeypatch, "--judge", "--seed", "9") == detectors.FALLS_SHORT
    assert "SHORT" in capsys.readouterr().out
    assert [line.split()[0] for line in course] == ["judge", "judge"]


def test_tables_that_are_not_there_cost_no_market(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such detector"):
        open_door(monkeypatch, "--judge", str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--share", "0"), "--share 0.0 does not lie above 0"),
        (("--seed", "-1"), "--seed -1 must be 0 or more"),
        (("--json", "nowhere/figures.json"), "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        open_door(monkeypatch, "--judge", *arguments)


def test_a_folder_that_cannot_be_made_is_refused_and_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "no" / "where"):
        with pytest.raises(ValueError, match="cannot be written"):
            open_door(monkeypatch, "--out", str(place))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_one_of_training_and_judging_must_be_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        open_door(monkeypatch)
    assert stopped.value.code == 2
    assert "one of the arguments --out --judge is required" in capsys.readouterr().err


def test_the_shipped_tables_are_what_is_judged_where_no_folder_is_told() -> None:
    given = detectors._parser().parse_args(["--judge"])
    assert given.judge == FOLDER
