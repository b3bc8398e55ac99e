"""Parameter files of a crowd: what is read is what was written, and a wrong file is one sentence."""

from pathlib import Path

import pytest
import yaml

from wavetank.simulators.population import UNITS, Noise, Population, described, parse_population, population


@pytest.mark.parametrize("interval", sorted(UNITS))
def test_each_time_unit_has_a_calibrated_crowd_of_a_hundred_and_more(interval: str) -> None:
    crowd = population(interval)
    assert crowd.unit == UNITS[interval]
    assert sum(part["traders"] for part in described(crowd).values() if "traders" in part) >= 100


def test_a_crowd_told_as_data_is_the_same_crowd_again(tmp_path: Path) -> None:
    crowd = Population(UNITS["1h"], noise=Noise(traders=7, rate=0.25))
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(described(crowd)))
    assert population(path) == crowd


def test_what_a_file_leaves_out_has_its_default() -> None:
    crowd = parse_population({"interval": "1m", "makers": {"size": 2}}, "mine")
    assert crowd.makers == Population().makers._replace(size=2.0)
    assert isinstance(crowd.makers.size, float)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"interval": "5m"}, "mine: interval '5m' is not one of 1m, 1h"),
        (["noise"], "mine: interval"),
        ({"interval": "1m", "whales": {}}, "there is no part 'whales'"),
        ({"interval": "1m", "noise": {"speed": 3}}, "mine, noise has unknown key 'speed'"),
        ({"interval": "1m", "noise": {"rate": "fast"}}, "noise: rate is 'fast', it must be a number"),
        ({"interval": "1m", "noise": 3}, "noise is 3, it must be a mapping"),
        ({"interval": "1m", "noise": {"latency": 0}}, "noise.latency is 0, an order travels at least 1 market step"),
        ({"interval": "1m", "trend": {"rate": -1}}, "trend.rate is -1, it must be a finite number of 0 or more"),
    ],
)
def test_a_wrong_file_is_one_sentence(data: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_population(data, "mine")


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no parameter file"):
        population(tmp_path / "none.yaml")
    with pytest.raises(ValueError, match="no interval '5m', it trades at 1m, 1h"):
        population("5m")
