"""The door of calibrate, opened as `wavetank calibrate …` opens it."""

import sys
from pathlib import Path

import pytest

from wavetank.scripts import cli
from wavetank.simulators.population import population


def opened(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["wavetank", "calibrate", *words, "hydra/job_logging=none"])
    return cli.main()


@pytest.mark.slow
def test_a_tiny_calibration_leaves_a_crowd_that_trades(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found"
    effort = ("trials=2", "seeds=1", "pairs=4", "final_seeds=1", "final_pairs=4")
    with pytest.raises(SystemExit) as left:  # one trial of four pairs is no law of impact
        opened(monkeypatch, *effort, f"out={out}")
    shown = capsys.readouterr().out
    assert f"crowd     {out / 'crowd.yaml'}" in shown
    assert left.value.code == 1
    assert "this is the nearest" in shown
    assert population(out / "crowd.yaml").unit.interval == "1m"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["space.noise.rate=[0.2,0.1]"], "space"),
        (["space.noise.speed=[0.1,0.2]"], "space"),
        (["trials=0"], "trials: 0 must be 1 or more"),
        (["space=1h", "base=conf/crowd/1m.yaml"], "holds a crowd of 1m, the space one of 1h"),
        (["base=none.yaml"], "there is no parameter file none.yaml"),
        (["space=5m"], "5m"),
    ],
)
def test_wrong_input_costs_one_line_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    out = tmp_path / "found"
    assert opened(monkeypatch, *words, f"out={out}") == 2
    error = capsys.readouterr().err.strip()
    assert told in error
    assert len(error.splitlines()) == 1
    assert not out.exists()
