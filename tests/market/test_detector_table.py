"""A detector's file: what goes in comes out, and every way of not fitting costs one sentence."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetank.market.chunks import Pace
from wavetank.market.detector_model import model_of, scores
from wavetank.market.detector_table import PUMP, PUMP_BARS, DetectorTable, TableError, read_table, write_table
from wavetank.market.pump_features import PUMP_FEATURES

STUMP: dict[str, list[float]] = {
    "roots": [0],
    "asked": [1, -1, -1],
    "split": [2.0, 0.0, 0.0],
    "left": [1, 0, 0],
    "right": [2, 0, 0],
    "value": [0.0, -3.0, 3.0],
}
TABLE = DetectorTable(
    PUMP,
    ("std_rush_orders", "std_volumes"),
    (-1.0, -1.0),
    (5.0, 5.0),
    bias=0.5,
    threshold=0.8,
    refractory_ms=60_000,
    trees=STUMP,
    pace=Pace(15_000, 5_000),
    training={"runs": 7},
)


def row(**values: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([[values.get(name, 0.0) for name in PUMP_FEATURES]])


def changed(path: Path, **changes: object) -> Path:
    """The table's file with some keys changed by hand; `sha256="true"` makes the hash fit again."""
    import hashlib

    facts = json.loads(path.read_text()) | changes
    if changes.get("sha256") == "true":
        bare = {key: facts[key] for key in facts if key != "sha256"}
        written = json.dumps(bare, sort_keys=True, separators=(",", ":"))
        facts["sha256"] = hashlib.sha256(written.encode()).hexdigest()
    path.write_text(json.dumps(facts))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_table(tmp_path / "pump.json", TABLE)
    return tmp_path / "pump.json"


def test_a_table_comes_back_as_it_was_written(path: Path) -> None:
    assert read_table(path, PUMP) == replace(TABLE, trees=read_table(path).trees, training={"runs": 7})
    told = row(std_rush_orders=1.0, std_volumes=4.0)
    assert scores(read_table(path).model(), told) == scores(TABLE.model(), told)


def test_an_equal_table_makes_an_equal_file(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    assert write_table(again, read_table(path)) == json.loads(path.read_text())["sha256"]
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "wavetank detector 2"}, "format 'wavetank detector 2', this version reads 'wavetank detector 1'"),
        ({"threshold": 0.1}, "its sha256 does not fit its contents"),
        ({"feature_code": 99, "sha256": "true"}, "trained on feature code 99, this version has"),
        ({"features": ["std_rush_orders", "std_moons"], "sha256": "true"}, "feature 'std_moons' is not one of"),
        ({"kind": "wash trades", "sha256": "true"}, "a detector of 'wash trades' is not one of"),
        ({"mood": 1, "sha256": "true"}, "unknown: \\['mood'\\]"),
        ({"threshold": 0.0, "sha256": "true"}, "threshold 0.0 is not a probability above 0"),
        ({"pace": {"chunk_ms": 25_000, "hop_ms": 4_000}, "sha256": "true"}, "a value has the wrong form: a chunk of"),
        ({"low": [0.0], "sha256": "true"}, "model is broken: low has 1 numbers for 2 columns"),
        ({"trees": STUMP | {"left": [0, 0, 0]}, "sha256": "true"}, "a node's left leads nowhere or back"),
        ({"trees": STUMP | {"right": [9, 0, 0]}, "sha256": "true"}, "a node's right leads nowhere or back"),
        ({"trees": STUMP | {"asked": [2, -1, -1]}, "sha256": "true"}, "a node asks for none of 2 columns"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_naming_the_file(
    path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(TableError, match=said) as refusal:
        read_table(changed(path, **changes))
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_and_one_that_is_no_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="there is no such detector"):
        read_table("no_such_detector")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(TableError, match="no JSON"):
        read_table(tmp_path / "broken.json")


def test_another_kind_than_wanted_is_refused(path: Path) -> None:
    with pytest.raises(TableError, match="a pump detector, where one for spoof is wanted"):
        read_table(path, "spoof")


def test_bars_tell_no_rush_orders() -> None:
    with pytest.raises(TableError, match="bars only tell"):
        replace(TABLE, kind=PUMP_BARS)


def test_a_score_is_that_of_paper() -> None:
    model = model_of([0, 2], [0.0, 0.0], [10.0, 3.0], -1.0, [0.5, 0.25], STUMP | {"split": [1.5, 0.0, 0.0]})
    values = np.array([[4.0, 9.0, 2.0], [40.0, 9.0, 1.0], [0.0, 9.0, 99.0]])
    odds = np.array([-1.0 + 2.0 + 0.5 + 3.0, -1.0 + 5.0 + 0.25 - 3.0, -1.0 + 0.0 + 0.75 + 3.0])
    np.testing.assert_allclose(scores(model, values), 1.0 / (1.0 + np.exp(-odds)), rtol=1e-15)
