"""The detectors that come with the house: whole, of this version's features, and evaluated by the base alone."""

import json
from pathlib import Path

import pytest

from wavetank.market.detector_table import FOLDER, KINDS, SHIPPED, TableError, read_table, shipped_table
from wavetank.market.surveillance import BarWatch, PumpWatch, SpoofWatch

WATCHES = {"pump": PumpWatch, "pump bars": BarWatch, "spoof": SpoofWatch}


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_a_detector_of_every_kind_and_it_can_watch(kind: str) -> None:
    table = shipped_table(kind)
    assert table.kind == kind
    assert 0.5 < table.threshold < 1.0
    assert table.training["runs"] >= 300
    assert table.training["groups"] == [0, 1, 2]
    assert WATCHES[kind](table) is not None


def test_nothing_else_lies_where_the_shipped_ones_do() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(f"{name}.json" for name in SHIPPED.values())


@pytest.mark.parametrize("name", SHIPPED.values())
def test_a_shipped_table_altered_by_hand_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.json"
    facts = json.loads((FOLDER / f"{name}.json").read_text())
    path.write_text(json.dumps(facts))
    assert read_table(path) == read_table(name)
    path.write_text(json.dumps(facts | {"threshold": 0.01}))
    with pytest.raises(TableError, match="the file was altered"):
        read_table(path)


def test_a_kind_that_is_not_shipped_is_refused() -> None:
    with pytest.raises(TableError, match="a detector of 'wash trades' is not one of pump, pump bars, spoof"):
        shipped_table("wash trades")
