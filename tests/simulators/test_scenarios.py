"""Storms as data: what is drawn, when it ends, who may draw it, and how a wrong file is answered."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.scenarios import SCENARIOS, ScenarioAbsent, load_scenario, parse_scenario, scenario_names
from wavetank.simulators.storms import HEEDED, ROLES, Role, Storm
from wavetank.simulators.world import SCHEDULE_ROOM, Knob, Part

SEED = np.random.SeedSequence(5, spawn_key=(2,))


@pytest.fixture
def data() -> dict[str, Any]:
    return {
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


@pytest.mark.parametrize(
    ("name", "interval"), [(name, interval) for interval in ("1m", "1h") for name in scenario_names(interval)]
)
def test_every_scenario_of_the_house_loads_and_its_storms_stay_within_their_bars(name: str, interval: str) -> None:
    scenario = load_scenario(name, interval)
    for seed in range(200):
        for role in ROLES:
            storms = scenario.draw_all(np.random.SeedSequence(seed), role)
            assert len(storms) == (len(scenario.parts) or bool(scenario.changes))
            for storm in storms:
                assert storm.onset >= 60
                assert scenario.end_bar(storm) < 600
                scenario.admit(storm, role)


def test_every_storm_of_the_house_says_what_it_must_show_and_calm_has_nothing_to_show() -> None:
    banded = {name for name in scenario_names() if load_scenario(name).band is not None}
    assert banded == set(scenario_names()) - {"normal"}
    assert load_scenario("normal").draw_all(SEED) == ()


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
    assert scenario.schedule(storm, 60).tolist() == [
        [begin, begin + span, Part.EXECUTOR, Knob.PARTICIPATION, -storm.severity],
        [begin + 0.5 * span, begin + 2 * span, Part.MAKERS, Knob.SIZE, 0.1],
    ]
    assert scenario.end_bar(storm) == 10 + 2 * storm.duration + 100


def test_times_scale_the_severity_and_signed_knobs_follow_the_direction(data: dict[str, Any]) -> None:
    whole = {"start": 0.0, "end": 1.0}
    data["changes"] = [
        {"cohort": "executor", "knob": "shot", "value": "severity", "times": 2.0, **whole},
        {"cohort": "value", "knob": "drift", "value": "severity", **whole},
        {"cohort": "leveraged", "knob": "bias", "value": -0.4, **whole},
        {"cohort": "makers", "knob": "size", "value": "severity", "times": 3.0, **whole},
        {"cohort": "venue", "knob": "halt", "value": 2, **whole},
    ]
    scenario = parse_scenario(data, "test")
    for direction in (-1, 1):
        rows = scenario.schedule(Storm("test", "judge", 80, 0.25, 6, direction), 60)
        assert rows[:, 4].tolist() == [0.5 * direction, 0.25 * direction, -0.4 * direction, 0.75, 2.0]


def test_spans_are_whole_steps_so_that_a_drift_adds_up(data: dict[str, Any]) -> None:
    data["changes"][0] |= {"start": 0.333, "end": 0.3331}
    scenario = parse_scenario(data, "test")
    first, after = scenario.schedule(Storm("test", "train", 60, 0.1, 5, -1), 60)[0, :2].tolist()
    assert (first, after) == (3700, 3701)  # 0.333 × 300 steps, and at least one of them


def test_a_profile_holds_at_every_step_whatever_is_drawn(data: dict[str, Any]) -> None:
    data["profile"] = [{"cohort": "noise", "knob": "size", "value": 0.05}]
    scenario = parse_scenario(data, "test")
    ((first, after, who, what, value),) = scenario.standing().tolist()
    assert (who, what, value) == (Part.NOISE, Knob.SIZE, 0.05)
    assert first < -1e9
    assert after > 1e9
    silent = scenario.without(Part.READERS)
    assert silent.standing()[:, 2:].tolist() == [[Part.NOISE, Knob.SIZE, 0.05], [Part.READERS, Knob.RATE, 0.0]]
    assert silent.draw_all(SEED) == scenario.draw_all(SEED)


def test_a_composition_draws_each_part_as_it_would_be_drawn_alone(tmp_path: Path) -> None:
    both = load_scenario("crash_with_spoofing")
    crash, spoofing = both.draw_all(SEED, "judge")
    assert (crash.scenario, spoofing.scenario) == ("crash", "spoofing")
    assert load_scenario("crash").draw_all(SEED, "judge") == (crash,)
    assert load_scenario("spoofing").draw_all(SEED, "judge") == (spoofing,)
    alone = load_scenario("crash"), load_scenario("spoofing")
    assert both.schedule(spoofing, 60).tolist() == alone[1].schedule(spoofing, 60).tolist()
    assert both.settings() == both.profile + alone[0].profile + alone[1].profile
    assert both.span((crash, spoofing)) == (
        min(crash.onset, spoofing.onset),
        max(crash.onset + crash.duration, spoofing.onset + spoofing.duration),
        max(alone[0].end_bar(crash), alone[1].end_bar(spoofing)),
    )
    with pytest.raises(ValueError, match="a storm of scenario 'outage' was given to scenario 'crash_with_spoofing'"):
        both.admit(replace(crash, scenario="outage"), "judge")


def test_two_parts_do_not_draw_from_one_stream() -> None:
    places = []
    for seed in range(40):
        crash, spoofing = load_scenario("crash_with_spoofing").draw_all(np.random.SeedSequence(seed))
        ranges = (load_scenario(s.scenario).ranges for s in (crash, spoofing))
        onsets = [r["train"].onset for r in ranges if r is not None]
        places.append([(s.onset - a) / (b - a) for s, (a, b) in zip((crash, spoofing), onsets, strict=True)])
    assert abs(np.corrcoef(np.array(places).T)[0, 1]) < 0.4  # one stream would place both alike


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("colour",), "red", "unknown key 'colour'"),
        (("changes", 0, "when"), 3, "change 0 has unknown key 'when'"),
        (("changes", 0, "cohort"), "whales", "no cohort 'whales'"),
        (("changes", 1, "knob"), "volume", "no knob 'volume'"),
        (("changes", 1, "knob"), "rate", "makers does not heed rate, it heeds size, distance, inventory, lean, alarm"),
        (("changes", 1, "value"), "huge", "value 'huge' is no number"),
        (("changes", 1, "value"), -0.5, "value -0.5 is no number of 0 or more"),
        (("changes", 1, "times"), 2.0, "times stands beside value: severity, not beside 0.1"),
        (("changes", 0, "times"), "twice", "times 'twice' is no number"),
        (("changes", 1, "end"), 0.5, "no span"),
        (("profile",), [{"cohort": "noise", "knob": "size"}], "profile 0 has no key 'value'"),
        (("profile",), [{"cohort": "executor", "knob": "shot", "value": 1}], "shot is an event, a profile turns rate"),
        (("profile",), {}, "profile is {}, it must be a list"),
        (("band",), {"share": 0.8, "lines": [{"measure": "fall", "least": 0.1}]}, "a band without a seed range"),
        (("ranges", "test"), {}, "unknown key 'test'"),
        (("ranges", "train", "severity"), [0.1, 0.21], "ranges of severity overlap"),
        (("ranges", "judge", "onset"), [70, 80], "ranges of onset overlap"),
        (("ranges", "train", "onset"), [59, 70], "a train storm may leave bars 60 … 599"),
        (("ranges", "judge", "onset"), [400, 484], "a judge storm may leave bars 60 … 599"),
        (("ranges", "judge", "severity"), [0.01, 0.05], "does not reach beyond train"),
        (("ranges", "train", "direction"), ["sideways"], "down or up"),
        (("ranges", "train", "duration"), [5], "must be a range"),
        (("ranges", "train", "duration"), [3.5, 4.5], "counts whole bars"),
        (("ranges", "train", "duration"), [0, 5], "a storm lasts a bar or more"),
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


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"compose": ["crash"]}, "it must list two scenarios or more"),
        ({"compose": ["crash", "crash"]}, "names a scenario twice"),
        ({"compose": ["crash", "normal"]}, "normal is calm"),
        ({"compose": ["crash", "crash_with_spoofing"]}, "crash_with_spoofing is itself composed"),
        ({"compose": ["crash", "hail"]}, "no scenario 'hail'"),
        ({"compose": ["crash", "spoofing"], "recovery": 3}, "unknown key 'recovery'"),
        (
            {
                "compose": ["crash", "spoofing"],
                "band": {
                    "seeds": [0, 19],
                    "share": 0.8,
                    "lines": [{"measure": "fall", "storm": "outage", "least": 0.1}],
                },
            },
            "there is no storm 'outage' in it, it is composed of crash, spoofing",
        ),
    ],
)
def test_a_wrong_composition_is_answered_in_one_sentence(told: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_scenario(told, "both")


def test_a_storm_that_the_schedule_cannot_hold_is_refused(data: dict[str, Any]) -> None:
    data["changes"] = [data["changes"][0]] * (SCHEDULE_ROOM + 1)
    with pytest.raises(ValueError, match=f"has {SCHEDULE_ROOM + 1} changes and settings, at most {SCHEDULE_ROOM}"):
        parse_scenario(data, "test")


def test_a_missing_key_and_an_unknown_scenario_are_named(data: dict[str, Any], tmp_path: Path) -> None:
    del data["recovery"]
    with pytest.raises(ValueError, match="no key 'recovery'"):
        parse_scenario(data, "test")
    with pytest.raises(ValueError, match="no scenario 'hurricane', there are crash, crash_with_spoofing, "):
        load_scenario("hurricane")
    (tmp_path / "bad.yaml").write_text("label: [", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.yaml is not YAML"):
        load_scenario(tmp_path / "bad.yaml")


def test_where_a_bar_is_an_hour_a_storm_has_the_keys_that_it_says_are_its_own_there(
    data: dict[str, Any], tmp_path: Path
) -> None:
    slower = {**data["ranges"], "train": {**data["ranges"]["train"], "severity": [0.05, 0.06]}}
    data["band"] = {"seeds": [0, 19], "share": 0.8, "lines": [{"measure": "fall", "least": 0.1}]}
    data["1h"] = {"ranges": slower, "recovery": 50, "band": {"seeds": [100, 129]}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    minute, hour = (load_scenario(tmp_path / "mine.yaml", interval) for interval in ("1m", "1h"))
    assert (minute.name, minute.recovery, hour.name, hour.recovery) == ("mine", 100, "mine", 50)
    assert minute.ranges is not None
    assert hour.ranges is not None
    assert (minute.ranges["train"].severity, hour.ranges["train"].severity) == ((0.1, 0.2), (0.05, 0.06))
    assert hour.ranges["judge"] == minute.ranges["judge"]
    assert hour.changes == minute.changes
    assert minute.band is not None
    assert hour.band == replace(minute.band, first=100, last=129)
    market = CrowdMarket(tmp_path / "mine.yaml", 0, interval="1h")
    assert (market.scenario, CrowdMarket(tmp_path / "mine.yaml", 0).scenario) == (hour, minute)


def test_a_composition_takes_its_parts_at_its_own_interval() -> None:
    whole = parse_scenario({"compose": ["crash", "spoofing"]}, "both", "1h")
    assert whole.parts == (load_scenario("crash", "1h"), load_scenario("spoofing", "1h"))


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({}, "scenario test at 1h is {}, it must be absent, or a mapping of the keys that it replaces"),
        (7, "scenario test at 1h is 7, it must be absent, or a mapping"),
        ({"colour": "red"}, "scenario test at 1h has unknown key 'colour'"),
        ({"recovery": 520}, "scenario test at 1h: a train storm may leave bars 60 … 599"),
    ],
)
def test_what_is_wrong_in_the_keys_of_an_hour_is_told_whatever_a_bar_is(
    data: dict[str, Any], own: Any, message: str
) -> None:
    data["1h"] = own
    with pytest.raises(ValueError, match=message):
        parse_scenario(data, "test")


def test_a_scenario_may_be_absent_where_a_bar_is_an_hour(data: dict[str, Any]) -> None:
    data["1h"] = "absent"
    assert parse_scenario(data, "test").recovery == 100
    with pytest.raises(ScenarioAbsent, match="scenario test is absent where a bar is 1h: its file says so"):
        parse_scenario(data, "test", "1h")
    assert set(scenario_names()) - set(scenario_names("1h")) == {"crash_with_spoofing"}


def test_a_scenario_for_bars_that_the_crowd_has_not_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the crowd has no bars of '4h', it has 1m, 1h"):
        parse_scenario(data, "test", "4h")


def test_a_scenario_of_ones_own_is_read_from_its_path(data: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    assert load_scenario(tmp_path / "mine.yaml").name == "mine"
    assert SCENARIOS.is_dir()


def test_every_part_heeds_some_knob() -> None:
    assert set(HEEDED) == set(Part)
    assert all(HEEDED.values())
