"""The door `wavetank realism`: it judges, shows, writes, says what falls short, and refuses early what cannot be."""

import json
import sys
from pathlib import Path

import pytest

from wavetank.scripts import realism
from wavetank.simulators.stylised import FACTS

PLACES = "".join(f"<!-- {name} -->\n<!-- end {name} -->\n" for name in ("bands", "trial", "verdict", "crowd"))


def open_door(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["wavetank", *arguments])
    return realism.main()


def test_a_seed_is_judged_shown_and_written_and_fall_short(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, page = tmp_path / "realism.json", tmp_path / "page.md"
    page.write_text(PLACES)
    arguments = ("--interval", "1m", "--seeds", "1", "--pairs", "2", "--json", str(figures), "--page", str(page))
    assert open_door(monkeypatch, *arguments) == realism.FALLS_SHORT
    shown = capsys.readouterr().out
    assert "1m: the crowd falls short: 1 seeds are fewer than 20" in shown
    for part in ("shuffled, of the crowd", "real held out", "hard gates", "order book", "impact, 2 pairs", *FACTS):
        assert part in shown
    told = json.loads(figures.read_text())
    assert list(told["intervals"]) == ["1m"]
    assert told["command"] == "wavetank realism --interval 1m --seeds 1 --pairs 2"
    assert f"`{told['command']}`" in page.read_text()


@pytest.mark.parametrize("flag", ["--json", "--page"])
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flag: str
) -> None:
    with pytest.raises(ValueError, match="there is no folder"):
        open_door(monkeypatch, flag, str(tmp_path / "nowhere" / "file"))
    with pytest.raises(ValueError, match="it is a folder"):
        open_door(monkeypatch, flag, str(tmp_path))


@pytest.mark.parametrize("arguments", [("--interval", "5m"), ("--seeds", "many"), ("--sedes", "3")])
def test_a_wrong_flag_costs_a_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        open_door(monkeypatch, *arguments)
    assert stopped.value.code == 2
    assert "wavetank realism: error:" in capsys.readouterr().err


def test_no_seeds_are_a_mistake_and_leave_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="0 seeds and 200 pairs"):
        open_door(monkeypatch, "--seeds", "0", "--json", str(tmp_path / "out.json"))
    assert not list(tmp_path.iterdir())


def test_a_page_without_places_is_a_mistake_before_the_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Mine\n")
    with pytest.raises(ValueError, match="no place for bands"):
        open_door(monkeypatch, "--seeds", "1", "--page", str(page))
