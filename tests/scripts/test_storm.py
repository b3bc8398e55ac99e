"""The door to one storm: what it leaves, that it is repeatable, and that a mistake leaves nothing."""

import json
import sys
from pathlib import Path

import pytest

from wavetank.market.store import data_folder
from wavetank.scripts.cli import main


def storm(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["wavetank", "storm", *words])
    return main()


def test_a_storm_leaves_its_folder_and_says_what_was_drawn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("outage", "--seed", "7", "--role", "judge", "--orders")
    assert storm(monkeypatch, *command, "--out", str(tmp_path / "one")) == 0
    told = capsys.readouterr().out
    assert told.startswith("outage: ")
    assert str(tmp_path / "one") in told
    assert sorted(file.name for file in (tmp_path / "one").iterdir()) == [
        *("bars.parquet", "labels.parquet", "orders.parquet", "storm.json", "storm.png", "tape.parquet")
    ]
    facts = json.loads((tmp_path / "one" / "storm.json").read_text())
    (drawn,) = facts["storms"]
    assert (facts["scenario"], facts["seed"], facts["role"], drawn["role"]) == ("outage", "7", "judge", "judge")
    assert 21 <= drawn["duration"] <= 40
    assert facts["bars"]["onset"] == drawn["onset"]
    assert facts["bars"]["end"] == drawn["onset"] + drawn["duration"]
    assert facts["band"][0]["line"] == "fills_inside ≤ 0"
    assert facts["band"][0]["storm"] == 0.0
    assert facts["band"][0]["calm_twin"] > 0
    assert storm(monkeypatch, *command[:-1], "--out", str(tmp_path / "two")) == 0
    for name in ("bars.parquet", "tape.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert not (tmp_path / "two" / "orders.parquet").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("hail", "--out", "new"), "there is no scenario 'hail', there are crash, "),
        (("normal", "--out", "new"), "normal is calm: there is no storm to put beside its twin"),
        (("outage", "--out", "full"), "--out full is there already and not empty, name a new folder"),
        (("outage", "--out", "no/new"), "--out no/new: there is no folder no to put it in"),
        (("outage", "--onset", "0", "--out", "new"), "a storm at bar 0 has no bar before it to be measured from"),
    ],
)
def test_a_mistake_costs_one_line_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep", encoding="utf-8")
    assert storm(monkeypatch, *words) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"wavetank storm: {sentence}")
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "mine.txt"]


def test_a_fault_on_the_way_leaves_nothing_half_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def torn(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "x"))

    monkeypatch.setattr("wavetank.experiments.storm_pictures.draw_storm", torn)
    assert storm(monkeypatch, "outage", "--out", str(tmp_path / "new")) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("outage",), ("outage", "--out", "x", "--seed", "-1"), ("outage", "--role", "exam")])
def test_a_command_line_that_cannot_be_read_exits_with_two(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as stop:
        storm(monkeypatch, *words)
    assert stop.value.code == 2


def test_a_gallery_puts_storms_beside_recorded_events(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not data_folder().is_dir():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    assert storm(monkeypatch, "flash_crash", "--gallery", str(tmp_path / "new")) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("flash crash          the crowd: furthest −")
    assert told[1].startswith("flash crash          NEARUSDT perpetual, Binance: furthest −5 %, ")
    assert told[-1] == f"gallery              {tmp_path / 'new'}"
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "flash_crash.png"]
    assert (tmp_path / "new" / "flash_crash.png").stat().st_size < 120_000
    assert storm(monkeypatch, "flash_crash", f"--gallery={tmp_path / 'new'}") == 0  # anew, in place


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("crash", "--gallery", "new"), "there is no recorded data at nowhere, WAVETANK_DATA names the folder"),
        (("spoofing", "--gallery", "new"), "spoofing has no cousin in the record, crash, "),
        (("--gallery", "no/new"), "--gallery no/new: there is no folder no to put it in"),
    ],
)
def test_a_mistake_about_a_gallery_costs_one_line_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WAVETANK_DATA", "nowhere")
    assert storm(monkeypatch, *words) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"wavetank storm: {sentence}")
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_gallery_takes_no_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as stop:
        storm(monkeypatch, "--gallery", "new", "--seed", "3")
    assert stop.value.code == 2
