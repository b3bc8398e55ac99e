import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_module

from wavetank.conf.schema import TrainConfig, typed
from wavetank.experiments.runs import (
    RunError,
    RunFolder,
    bars_digest,
    begin_run,
    config_digest,
    discard,
    held,
    open_record,
    read_config,
    read_run,
    reopen_record,
    write_json,
)

from .made_bars import wandering


def config_of(*overrides: str) -> TrainConfig:
    with initialize_config_module("wavetank.conf", version_base="1.3"):
        return typed(compose("train", overrides=list(overrides)), TrainConfig)


@pytest.mark.parametrize(
    "overrides",
    [
        ["env=history"],
        ["env=process", "agent=rllib_ppo", "ray.address=auto"],
        ["env=arena", "seed=9"],
        ["agent=sb3_sac"],
        ["agent=sb3_recurrent", "validate_every=9", "agent.clip_end=0.1"],
    ],
)
def test_a_config_comes_back_from_a_run_s_folder_as_it_went_in(tmp_path: Path, overrides: list[str]) -> None:
    config = config_of(*overrides, f"out={tmp_path / 'run'}")
    run = begin_run(config.out, config)
    open_record(run, config, {})

    again = read_config(run.path)
    assert again == config
    assert type(again.env) is type(config.env)


def test_the_record_says_config_commit_seed_and_versions(tmp_path: Path) -> None:
    config = config_of("seed=4")
    run = begin_run(tmp_path / "run", config)
    open_record(run, config, {"data": {"train": {"sha256": "ab"}}})
    told = run.record()

    assert told["seed"] == 4
    assert told["config_digest"] == config_digest(config)
    assert told["data"]["train"]["sha256"] == "ab"
    assert {"git_commit", "lock_sha256", "versions"} <= set(told)
    assert told["versions"]["numpy"]


def test_the_digest_changes_with_what_is_learnt_and_not_with_where_it_is_written() -> None:
    config = config_of()

    assert config_digest(config) == config_digest(replace(config, out="elsewhere"))
    assert config_digest(config) == config_digest(config_of("tracking=none", "checkpoint_every=5", "out=x", "resume=y"))
    assert config_digest(config) != config_digest(config_of("agent.gamma=0.98"))
    assert config_digest(config) != config_digest(config_of("seed=2"))
    assert config_digest(config) != config_digest(config_of("validate_every=1000"))  # it chooses the weights


def test_an_unfinished_run_of_the_same_config_goes_on_and_another_one_is_refused(tmp_path: Path) -> None:
    config = config_of("steps=100")
    run = begin_run(tmp_path / "run", config)
    assert not run.is_resumed
    open_record(run, config, {})

    assert begin_run(tmp_path / "run", config).is_resumed
    with pytest.raises(RunError, match="holds a run with steps=100, not 200"):
        begin_run(tmp_path / "run", replace(config, steps=200))


def test_folders_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    config = config_of()
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.png").write_text("")
    (tmp_path / "empty").mkdir()

    with pytest.raises(RunError, match="is a file"):
        begin_run(tmp_path / "file", config)
    with pytest.raises(RunError, match="holds other files and no run"):
        begin_run(tmp_path / "full", config)
    assert begin_run(tmp_path / "empty", config).path == tmp_path / "empty"


def test_a_finished_run_is_not_overwritten(tmp_path: Path) -> None:
    config = config_of()
    run = begin_run(tmp_path / "run", config)
    open_record(run, config, {})
    with pytest.raises(RunError, match="not finished"):
        read_run(run.path)
    run.passport.mkdir()

    with pytest.raises(RunError, match="holds a finished run"):
        begin_run(run.path, config)
    assert read_run(run.path)[1] == config


def test_a_folder_that_is_no_run_or_whose_config_is_broken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no run.json"):
        read_run(tmp_path)
    config = config_of()
    run = begin_run(tmp_path / "run", config)
    open_record(run, config, {})
    file = run.path / "config.yaml"
    file.write_text(file.read_text() + "seeed: 3\n")

    with pytest.raises(RunError, match="seeed"):
        read_config(run.path)


def test_metrics_are_lines_without_what_is_not_a_number_and_a_resumed_run_drops_the_lines_it_repeats(
    tmp_path: Path,
) -> None:
    run = RunFolder(tmp_path)
    for step in (10, 20, 30):
        run.log(step, {"train/loss": step / 10, "rollout/return": float("nan")})
    run.forget_after(20)

    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"step": 10, "train/loss": 1.0}, {"step": 20, "train/loss": 2.0}]


def test_a_line_that_a_kill_tore_is_dropped_and_one_that_is_damaged_is_an_error(tmp_path: Path) -> None:
    run, file = RunFolder(tmp_path), tmp_path / "metrics.jsonl"
    run.log(10, {"train/loss": 0.1 + 0.2})
    whole = file.read_text()
    for torn in range(1, len(whole) - 1):
        file.write_text(whole + whole[:torn])
        run.forget_after(10)
        assert file.read_text() == whole  # the float came through to the last bit

    file.write_text(whole + '{"step": 20, "tr\n' + whole)
    with pytest.raises(RunError, match=r"metrics\.jsonl: line 2 cannot be read"):
        run.forget_after(10)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_run_that_goes_on_says_so_and_keeps_what_its_beginning_said(tmp_path: Path) -> None:
    config = config_of("steps=100")
    run = begin_run(tmp_path / "run", config)
    open_record(run, config, {"started_at": "monday", "data": {"train": {"sha256": "ab"}}})
    reopen_record(run, config, "tuesday", 40, {"run_id": "7"})
    reopen_record(run, replace(config, steps=200), "friday", 60, {"run_id": "7"})
    told = run.record()

    assert [(each["at"], each["step"], each["steps"]) for each in told["resumes"]] == [
        ("tuesday", 40, 100), ("friday", 60, 200)
    ]  # fmt: skip
    assert told["started_at"] == "monday"
    assert told["data"]["train"]["sha256"] == "ab"
    assert told["run_id"] == "7"
    assert told["config"]["steps"] == read_config(run.path).steps == 200
    assert told["config_digest"] == config_digest(read_config(run.path))


def test_one_process_alone_trains_in_a_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, is_resumed=True)
    with held(run), pytest.raises(RunError, match=f"{tmp_path} is being trained by another process"), held(run):
        raise AssertionError("two of them")
    with held(run):
        assert list(tmp_path.iterdir()) == []


def test_a_folder_in_which_a_kill_came_before_the_record_is_begun_in_anew(tmp_path: Path) -> None:
    for name in ("config.yaml", ".run.json.half"):
        (tmp_path / name).write_text("{")

    assert not begin_run(tmp_path, config_of()).is_resumed


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "told.json"
    write_json(path, {"a": 1})
    bad: dict[str, Any] = {"a": float("nan")}
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, bad)

    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in path.parent.iterdir()] == ["told.json"]


def test_what_came_to_nothing_is_removed_and_what_has_a_checkpoint_is_kept(tmp_path: Path) -> None:
    config = config_of()
    empty, begun = (begin_run(tmp_path / name, config) for name in ("empty", "begun"))
    for run in (empty, begun):
        open_record(run, config, {})
    (begun.checkpoints / "000000000512").mkdir(parents=True)
    for run in (empty, begun):
        discard(run)

    assert not empty.path.exists()
    assert (begun.path / "run.json").exists()


def test_one_changed_price_is_another_hash() -> None:
    bars = wandering(50)
    close = bars.close.copy()
    close[20] = np.nextafter(close[20], np.inf)

    assert bars_digest(bars) == bars_digest(wandering(50))
    assert bars_digest(bars) != bars_digest(replace(bars, close=close, high=bars.high * 2, low=bars.low / 2))
    assert bars_digest(bars) != bars_digest(bars.slice(0, 49))
