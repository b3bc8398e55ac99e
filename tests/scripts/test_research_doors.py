"""The doors of train, evaluate, walkforward and export, opened as `wavetank VERB …` opens them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wavetank.market.store import write_bars
from wavetank.scripts import cli

from ..experiments.made_bars import wandering

pytestmark = pytest.mark.slow

TINY = ["experiment=fast", "env.bars=1200", "steps=512"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = dict(os.environ)
    yield
    os.environ.clear()  # a door may set variables for its process
    os.environ.update(before)


def wavetank(monkeypatch: pytest.MonkeyPatch, verb: str, *words: object) -> int:
    # Hydra's set-up of logging would close the handlers, and with them the streams, of the process it runs in.
    quiet = ["hydra/job_logging=none"] if verb in cli.HYDRA_VERBS else []
    monkeypatch.setattr(sys, "argv", ["wavetank", verb, *map(str, words), *quiet])
    return cli.main()


def in_a_process(*words: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-P", "-m", "wavetank.scripts.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_train_evaluate_and_export_leave_what_they_say_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run, passport = tmp_path / "run", tmp_path / "passport"
    words = [*TINY, f"out={run}", f"tracking.root={tmp_path / 'mlflow'}", "seed=5"]
    done = in_a_process("train", *words)
    assert done.returncode == 0, done.stderr
    assert f"run       {run}" in done.stdout
    assert "registry  wavetank version 1" in done.stdout
    noise = [line for line in done.stderr.splitlines() if "512/512" not in line]
    assert noise == ["I wavetank.experiments.train: registered wavetank as version 1"]
    assert json.loads((run / "run.json").read_text())["seed"] == 5

    assert wavetank(monkeypatch, "evaluate", f"policy={run}") == 0
    told = capfd.readouterr().out
    figures = json.loads((run / "evaluation.json").read_text())["figures"]
    (earned,) = [line.split() for line in told.splitlines() if line.startswith("   total return")]
    assert earned[2:] == [
        f"{figures[name]['total_return']:.2%}".replace("-", "−") for name in ("policy", "flat", "ma_cross", "hold")
    ]
    assert "…" not in told  # nothing is cut short where there is no terminal
    for group in ("Drawdown", "Round trips", "Against buy-and-hold", "Does the VaR hold? (Kupiec)"):
        assert group in told
    assert f"page      {run / 'evaluation.html'}" in told
    assert (run / "evaluation.html").is_file()

    bars = write_bars(tmp_path / "bars.parquet", wandering(200))
    assert wavetank(monkeypatch, "evaluate", f"policy={run}", f"market.path={bars}", "baselines=[]") == 0
    shown = capfd.readouterr()
    assert "bars      it was trained on none of these bars, but in an invented market" in shown.out
    assert "judging" in shown.err
    assert "1/1" in shown.err
    bars.unlink()

    assert wavetank(monkeypatch, "export", run, "--out", passport) == 0
    assert (passport / "manifest.sha256").read_bytes() == (run / "passport" / "manifest.sha256").read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["here", "mlflow", "passport", "run"]
    assert list((tmp_path / "here").iterdir()) == []  # Hydra litters nothing where out is given


def test_a_walk_prints_every_window_and_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["experiment=fast", "env.bars=1600", "steps=256", "walk.windows=2", "tracking=none"]
    assert wavetank(monkeypatch, "walkforward", *words, f"out={tmp_path / 'run'}") == 0
    told = capfd.readouterr().out

    assert "window 2, out of sample" in told
    assert "all windows stitched" in told
    assert str(tmp_path / "run" / "walkforward.json") in told


def test_without_out_a_run_gets_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wavetank(monkeypatch, "train", *TINY, "steps=256", "tracking=none") == 0

    (run,) = (tmp_path / "here" / "outputs").glob("*/*/run.json")
    assert (run.parent / "passport" / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "seeed=1"], "Key 'seeed' not in 'TrainConfig'"),
        (["train", "agent=dqn"], "dqn"),
        (["train", "steps=-5"], "steps: -5 must be 1 or more"),
        (["train", "market.path=nowhere.parquet"], "there is no file of bars at nowhere.parquet"),
        (["train", "env=history"], "market.path=FILE.parquet"),
        (["evaluate"], "policy is missing: say policy=RUN"),
        (["evaluate", "policy=nowhere", "market.instrument.lot=1000"], "Key 'instrument' not in 'BarsSchema'"),
        (["evaluate", "policy=nowhere"], "nowhere is neither a run's folder nor a passport's"),
        (["evaluate", "policy=nowhere", "var_window=10"], "var_window: 10 must be 50 or more"),
        (["evaluate", "policy=nowhere", "sharpe_days=0"], "sharpe_days: 0 must be 1 or more"),
        (["walkforward", "env=arena"], "not arena"),
        (["export", "nowhere", "--out", "there"], "nowhere is not a folder"),
    ],
)
def test_a_wrong_input_costs_one_sentence_and_exit_code_2_and_writes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    extra = [f"out={tmp_path / 'run'}"] if words[0] != "export" else []
    assert wavetank(monkeypatch, *words, *extra) == 2
    told = capfd.readouterr().err.strip().splitlines()

    assert sentence in told[-1]
    assert told[-1].startswith(f"wavetank {words[0]}: ")
    assert told == told[-1:]  # nothing but the sentence
    assert [entry.name for entry in tmp_path.iterdir()] == ["here"]
    assert list((tmp_path / "here").iterdir()) == []


def test_a_process_of_its_own_tells_the_same_sentence(tmp_path: Path) -> None:
    done = in_a_process("train", "env=history", f"out={tmp_path / 'run'}")

    assert done.returncode == 2
    assert done.stderr.startswith("wavetank train: env=history needs bars: market.path=FILE.parquet")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert [entry.name for entry in tmp_path.iterdir()] == ["here"]


def test_a_tampered_passport_is_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert wavetank(monkeypatch, "train", *TINY, "steps=256", "tracking=none", f"out={run}") == 0
    golden = run / "passport" / "golden.npz"
    content = bytearray(golden.read_bytes())
    content[len(content) // 2] ^= 1
    golden.write_bytes(bytes(content))

    assert wavetank(monkeypatch, "export", run, "--out", tmp_path / "passport") == 2
    assert "golden.npz differs from its hash" in capfd.readouterr().err
    assert not (tmp_path / "passport").exists()
