"""Storms as data: what is drawn, when it ends, who may draw it, and how a wrong file is answered."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from wavetank.simulators.scenarios import ROLES, SCENARIOS, Role, load_scenario, parse_scenario, scenario_names
from wavetank.simulators.world import Knob, Label, Part


@pytest.fixture
def data() -> dict[str, Any]:
    return {
        "label": "execution",
        "recovery": 100,
        "ranges": {
            "train": {"onset": [60, 70], "severity": [0.1, 0.2], "duration": [4, 5], "direction": ["down"]},
            "judge": {"onset": [71, 80], "severity": [0.21, 0.3], "duration": [6, 8], "direction": ["down", "up"]},
        },
        "changes": [
            {"cohort": "executor", "knob": "participation", "start": 0.0, "end": 1.0, "value": "severity"},
            {"cohort": "makers", "knob": "size", "start": 0.5, "end": 2.0, "value": 0.1},
        ],
    }


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_of_the_house_loads_and_its_storms_stay_within_their_bars(name: str) -> None:
    scenario = load_scenario(name)
    rng = np.random.default_rng(0)
    for role in ROLES:
        for _ in range(200):
            storm = scenario.draw(rng, role)
            if storm is not None:
                assert storm.onset >= 60
                assert scenario.end_bar(storm) < 600
                scenario.admit(storm, role)


def test_normal_is_calm_and_flash_crash_is_not() -> None:
    rng = np.random.default_rng(0)
    assert load_scenario("normal").draw(rng) is None
    storm = load_scenario("flash_crash").draw(rng)
    assert storm is not None
    assert storm.direction == -1


def test_draws_stay_in_their_roles_ranges_which_do_not_meet(data: dict[str, Any]) -> None:
    scenario = parse_scenario(data, "test")
    rng = np.random.default_rng(1)
    drawn = {role: [scenario.draw(rng, role) for _ in range(300)] for role in ROLES}
    train, judge = ([storm for storm in drawn[role] if storm] for role in ROLES)
    assert {storm.onset for storm in train} == set(range(60, 71))
    assert {storm.onset for storm in judge} == set(range(71, 81))
    assert max(s.severity for s in train) < min(s.severity for s in judge)
    assert max(s.duration for s in train) < min(s.duration for s in judge)
    assert {storm.direction for storm in judge} == {-1, 1}


@pytest.mark.parametrize(("role", "other"), [("train", "judge"), ("judge", "train")])
def test_a_storm_of_the_other_role_is_refused_even_under_a_false_name(
    data: dict[str, Any], role: Role, other: Role
) -> None:
    scenario = parse_scenario(data, "test")
    storm = scenario.draw(np.random.default_rng(2), other)
    assert storm is not None
    with pytest.raises(ValueError, match=f"a {other} draw of test was given to a market in {role} role"):
        scenario.admit(storm, role)
    with pytest.raises(ValueError, match=f"outside the {role} range"):
        scenario.admit(replace(storm, role=role), role)
    with pytest.raises(ValueError, match="'elsewhere'"):
        scenario.admit(replace(storm, scenario="elsewhere"), other)


def test_a_storm_becomes_rows_of_market_steps(data: dict[str, Any]) -> None:
    scenario = parse_scenario(data, "test")
    storm = scenario.draw(np.random.default_rng(3), "train", onset=10)
    assert storm is not None
    assert storm.onset == 10
    begin, span = 600, storm.duration * 60
    assert scenario.label == Label.EXECUTION
    assert scenario.schedule(storm, 60).tolist() == [
        [begin, begin + span, Part.EXECUTOR, Knob.PARTICIPATION, -storm.severity],
        [begin + 0.5 * span, begin + 2 * span, Part.MAKERS, Knob.SIZE, 0.1],
    ]
    assert scenario.end_bar(storm) == 10 + 2 * storm.duration + 100


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("colour",), "red", "unknown key 'colour'"),
        (("changes", 0, "when"), 3, "change 0 has unknown key 'when'"),
        (("changes", 0, "cohort"), "whales", "no cohort 'whales'"),
        (("changes", 1, "knob"), "volume", "no knob 'volume'"),
        (("changes", 1, "value"), "huge", "value 'huge'"),
        (("changes", 1, "end"), 0.5, "no span"),
        (("label",), "magic", "label 'magic'"),
        (("ranges", "test"), {}, "unknown key 'test'"),
        (("ranges", "train", "severity"), [0.1, 0.21], "ranges of severity overlap"),
        (("ranges", "judge", "onset"), [70, 80], "ranges of onset overlap"),
        (("ranges", "train", "onset"), [59, 70], "a train storm may leave bars 60 … 599"),
        (("ranges", "judge", "onset"), [400, 484], "a judge storm may leave bars 60 … 599"),
        (("ranges", "judge", "severity"), [0.01, 0.05], "does not reach beyond train"),
        (("ranges", "train", "direction"), ["sideways"], "down or up"),
        (("ranges", "train", "duration"), [5], "must be a range"),
    ],
)
def test_a_wrong_file_is_answered_in_one_sentence(
    data: dict[str, Any], path: tuple[str | int, ...], value: Any, message: str
) -> None:
    broken = copy.deepcopy(data)
    place: Any = broken
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=message) as error:
        parse_scenario(broken, "test")
    assert "\n" not in str(error.value)


def test_a_missing_key_and_an_unknown_scenario_are_named(data: dict[str, Any], tmp_path: Path) -> None:
    del data["recovery"]
    with pytest.raises(ValueError, match="no key 'recovery'"):
        parse_scenario(data, "test")
    with pytest.raises(ValueError, match="no scenario 'hurricane', there are flash_crash, normal"):
        load_scenario("hurricane")
    (tmp_path / "bad.yaml").write_text("label: [", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.yaml is not YAML"):
        load_scenario(tmp_path / "bad.yaml")


def test_a_scenario_of_ones_own_is_read_from_its_path(data: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    assert load_scenario(tmp_path / "mine.yaml").name == "mine"
    assert SCENARIOS.is_dir()
