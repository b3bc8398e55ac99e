import json
from pathlib import Path
from typing import Any

import pytest

from wavetank.experiments.checkpoints import TRAINER, CheckpointError, Checkpoints, standing_of


class Scribe:
    """A trainer of one number."""

    def __init__(self) -> None:
        self.steps = 0

    def save(self, folder: Path) -> Path:
        folder.mkdir()
        (folder / "weights").write_text(f"weights after {self.steps} steps")
        return folder


def saved(folder: Path, *steps: int, best: dict[int, int] | None = None) -> Checkpoints:
    """Checkpoints at `steps`; `best` says from which step on which one is the best."""
    checkpoints, scribe, leader = Checkpoints(folder), Scribe(), None
    for step in steps:
        scribe.steps, leader = step, (best or {}).get(step, leader)
        checkpoints.save(scribe, step, {"ended": None}, leader)  # type: ignore[arg-type]  # all that save needs
    return checkpoints


def names(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir() if path.is_dir())


def weights(checkpoint: Path | None) -> str:
    assert checkpoint is not None
    return (checkpoint / TRAINER / "weights").read_text()


def spoil(checkpoint: Path) -> None:
    (checkpoint / TRAINER / "weights").write_text("weights after 3O steps")


def test_a_checkpoint_bears_its_step_and_gives_back_trainer_and_standing(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path / "c", 512)

    assert [path.name for path in (tmp_path / "c").iterdir()] == ["000000000512"]
    newest = checkpoints.newest()
    assert newest == checkpoints.of(512)
    assert weights(newest) == "weights after 512 steps"
    assert standing_of(checkpoints.of(512)) == {"best": None, "ended": None}


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 10, 20, 30, 40)

    assert names(tmp_path) == [30, 40]
    assert checkpoints.newest() == checkpoints.of(40)


def test_the_best_is_kept_until_no_kept_checkpoint_calls_it_so(tmp_path: Path) -> None:
    saved(tmp_path / "a", 10, 20, 30, 40, 50, best={20: 20})
    assert names(tmp_path / "a") == [20, 40, 50]
    assert json.loads((tmp_path / "a" / "best.json").read_text()) == {"step": 20, "folder": "000000000020"}

    saved(tmp_path / "b", 10, 20, 30, 40, 50, best={20: 20, 50: 50})
    assert names(tmp_path / "b") == [20, 40, 50]  # without 50, 40 would go on with 20 as its best

    saved(tmp_path / "c", 10, 20, 30, 40, 50, 60, best={20: 20, 50: 50})
    assert names(tmp_path / "c") == [50, 60]


def test_a_folder_without_checkpoints_has_no_newest(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none").newest() is None
    assert Checkpoints(tmp_path / "none").last() is None
    Checkpoints(tmp_path / "none").tidy()
    assert not (tmp_path / "none").exists()


def test_a_damaged_one_is_refused_naming_the_file_and_the_way_back(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 10, 20, 30)
    spoil(checkpoints.of(30))

    with pytest.raises(CheckpointError) as refused:
        checkpoints.newest()
    bad, good = checkpoints.of(30), checkpoints.of(20)
    assert str(refused.value) == (
        f"checkpoint {bad}: trainer/weights differs from its hash in manifest.sha256; delete {bad} to go on from {good}"
    )
    assert names(tmp_path) == [20, 30]  # nothing was taken away


def test_the_way_back_names_no_damaged_one_either(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 10, 20, 30)
    for step in (20, 30):
        spoil(checkpoints.of(step))

    with pytest.raises(CheckpointError, match=f"none is whole: delete {tmp_path}"):
        checkpoints.newest()


def test_a_standing_that_was_changed_is_refused(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 10, 20)
    (checkpoints.of(20) / "standing.json").write_text('{"best": null, "ended": "steps"}')

    with pytest.raises(CheckpointError, match=r"standing\.json differs"):
        checkpoints.newest()


def test_best_weights_that_are_gone_are_told_before_training_goes_on(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 10, 20, 30, 40, best={10: 10})
    spoil(checkpoints.of(10))

    with pytest.raises(CheckpointError, match="the best weights so far are lost: .*000000000010: trainer/weights"):
        checkpoints.newest()


def test_drafts_that_a_kill_left_are_tidied_away_and_nothing_else_is(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 10, 20, best={10: 10})
    for name in (".000000000030.abcd", ".000000000001.old"):
        (tmp_path / name / TRAINER).mkdir(parents=True)
    (tmp_path / ".best.json.half").write_text("{")

    assert checkpoints.newest() == checkpoints.of(20)
    checkpoints.tidy()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000000010", "000000000020", "best.json"]


def test_a_save_that_fails_leaves_the_old_ones_alone(tmp_path: Path) -> None:
    class Broken(Scribe):
        def save(self, folder: Path) -> Path:
            super().save(folder)
            raise OSError("no space left on device")

    checkpoints = saved(tmp_path, 10)
    broken: Any = Broken()
    with pytest.raises(OSError, match="no space"):
        checkpoints.save(broken, 20, {"ended": None}, 20)

    assert [path.name for path in tmp_path.iterdir()] == ["000000000010"]
    assert checkpoints.newest() == checkpoints.of(10)
