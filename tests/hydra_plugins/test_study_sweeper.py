import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna")

TOY = Path(__file__).with_name("toy.py")
SPACE = ["++x=interval(-3,3)", "++depth=1,2"]


def sweep(folder: Path, *overrides: str, trials: int = 6, space: list[str] = SPACE) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, str(TOY), "-m", "hydra/sweeper=study",
        f"hydra.sweeper.storage={folder}/study.journal", f"hydra.sweeper.n_trials={trials}",
        f"hydra.sweep.dir={folder}", "hydra.sweep.subdir=trial-${trial.number}",
        "hydra.sweeper.reported=score", f"++folder={folder}", *space, *overrides,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=folder)


def study(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "study.json").read_text())
    return read


def states(folder: Path) -> list[str]:
    return [trial["state"] for trial in study(folder)["trials"]]


def walked(folder: Path) -> list[str]:
    """What each job saw, without its number: x and depth."""
    return [line.split(" ", 1)[1] for line in (folder / "walked.txt").read_text().splitlines()]


def folder_of(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def test_sweep_runs_to_its_total_and_a_second_call_only_adds_what_is_missing(tmp_path: Path) -> None:
    done = sweep(tmp_path, trials=4)
    assert done.returncode == 0, done.stderr
    assert states(tmp_path) == ["complete"] * 4
    assert (tmp_path / "trial-3").is_dir()
    assert (tmp_path / "multirun.yaml").is_file()
    sweep(tmp_path, trials=6)
    assert len(walked(tmp_path)) == 6
    best = max(study(tmp_path)["trials"], key=lambda trial: trial["value"])
    assert study(tmp_path)["best"]["number"] == best["number"]
    again = sweep(tmp_path, trials=6)
    assert again.returncode == 0
    assert len(walked(tmp_path)) == 6


@pytest.mark.slow
def test_sweep_killed_in_mid_trial_walks_the_same_way_as_one_that_was_not(tmp_path: Path) -> None:
    whole, killed = folder_of(tmp_path, "whole"), folder_of(tmp_path, "killed")
    sweep(whole, trials=14)
    first = sweep(killed, "++dies_at=11", trials=14)
    assert first.returncode == -9
    assert not (killed / "study.json").exists()
    second = sweep(killed, "++dies_at=11", trials=14)
    assert second.returncode == 0, second.stderr
    ended = states(killed)
    assert (ended.count("complete"), ended.count("fail"), len(ended)) == (14, 1, 15)
    way = walked(killed)
    assert way[11] == way[12]  # the one that died is tried again, next
    assert way[:11] + way[12:] == walked(whole)


def test_trials_behind_the_median_are_pruned_through_the_storage(tmp_path: Path) -> None:
    kind = "hydra.sweeper.pruner._target_=optuna.pruners.MedianPruner"
    done = sweep(tmp_path, kind, "++hydra.sweeper.pruner.n_startup_trials=2", trials=10)
    assert done.returncode == 0, done.stderr
    ended = states(tmp_path)
    assert len(ended) == 10
    assert ended.count("pruned") >= 2
    values = [t["value"] for t in study(tmp_path)["trials"] if t["state"] == "complete"]
    best = study(tmp_path)["best"]["value"]
    assert best == max(values)


@pytest.mark.slow
def test_failed_jobs_are_counted_and_end_the_sweep_with_their_own_error(tmp_path: Path) -> None:
    within = sweep(tmp_path, "++fails_at=[1]", "hydra.sweeper.max_failures=1", trials=3)
    assert within.returncode == 0, within.stderr
    assert states(tmp_path) == ["complete", "fail", "complete", "complete"]
    beyond = folder_of(tmp_path, "beyond")
    ended = sweep(beyond, "++fails_at=[0]", "hydra.sweeper.max_failures=0", trials=3)
    assert ended.returncode != 0
    assert "is out of reach" in ended.stderr


def test_resuming_with_another_space_is_refused(tmp_path: Path) -> None:
    sweep(tmp_path, trials=1)
    other = sweep(tmp_path, trials=2, space=["++x=interval(-9,9)", "++depth=1,2"])
    assert other.returncode != 0
    assert "was begun with another space" in other.stderr
    assert len(walked(tmp_path)) == 1


@pytest.mark.slow
def test_sqlite_holds_a_study_too(tmp_path: Path) -> None:
    storage = f"hydra.sweeper.storage=sqlite:///{tmp_path}/study.db"
    done = sweep(tmp_path, storage, trials=2)
    assert done.returncode == 0, done.stderr
    sweep(tmp_path, storage, trials=3)
    assert len(walked(tmp_path)) == 3
    assert not (tmp_path / "study.journal").exists()
