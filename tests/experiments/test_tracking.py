import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetank.agents.frozen import FrozenPolicy
from wavetank.experiments import tracking
from wavetank.experiments.tracking import (
    RunTracker,
    TrackingError,
    champion_version,
    count_runs,
    download_champion,
    flatten,
    open_run,
    register_passport,
    set_champion,
    tag_version,
)
from wavetank.experiments.train import RunResult

from ..envs.passports import made

pytestmark = pytest.mark.slow  # importing MLflow and making its tables take 2.5 s


@pytest.fixture
def run(store: Path) -> RunTracker:
    return open_run(store, "tests", "one")


def read(store: Path, run: RunTracker) -> Any:
    return tracking._client(store).get_run(run.run_id)


def sealed(folder: Path, text: str = "graph") -> Path:
    """A folder with a seal, as far as the registry looks."""
    folder.mkdir(parents=True)
    (folder / "policy.onnx").write_text(text)
    (folder / "deep").mkdir()
    (folder / "deep" / "more.bin").write_bytes(b"\0\1")
    digest = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.sha256").write_text(f"{digest}  policy.onnx\n")
    return folder


def test_points_are_buffered_and_written_in_batches(store: Path, run: RunTracker) -> None:
    written: list[int] = []
    log_batch = run._client.log_batch

    def counted(run_id: str, metrics: list[Any]) -> None:
        written.append(len(metrics))
        log_batch(run_id, metrics=metrics)

    run._client.log_batch = counted
    for step in range(120):
        run.log(step, {"train/loss": step / 2, "train/kl": 0.1, "rollout/return": float("nan")})
    assert written == [200]  # of two finite points a step; NaN is left out
    run.close()

    history = tracking._client(store).get_metric_history(run.run_id, "train/loss")
    assert written == [200, 40]
    assert [(point.step, point.value) for point in history] == [(step, step / 2) for step in range(120)]
    assert "rollout/return" not in read(store, run).data.metrics
    assert read(store, run).info.status == "FINISHED"


def test_a_config_is_kept_whole_and_flat(store: Path, run: RunTracker) -> None:
    run.config({"agent": {"hidden": [64, 64], "gamma": 0.99}, "seed": 3})

    assert read(store, run).data.params == {"agent.hidden": "[64, 64]", "agent.gamma": "0.99", "seed": "3"}
    assert [file.path for file in tracking._client(store).list_artifacts(run.run_id)] == ["config.json"]


def test_a_resumed_run_keeps_its_parameters_and_refuses_changed_ones(store: Path, run: RunTracker) -> None:
    run.config({"seed": 3})
    run.close("KILLED")
    again = open_run(store, "tests", "ignored", run_id=run.run_id)
    again.config({"seed": 3, "later": 1})

    assert again.run_id == run.run_id
    assert read(store, run).data.params == {"seed": "3", "later": "1"}
    assert read(store, run).info.status == "RUNNING"
    with pytest.raises(TrackingError, match="seed=3; it cannot go on with 4"):
        again.config({"seed": 4})


def test_data_is_named_by_its_hash(store: Path, run: RunTracker) -> None:
    digest = "ab" * 32
    run.dataset("train", digest, source="/data/btc.parquet", context="train", rows=9)
    (entry,) = read(store, run).inputs.dataset_inputs

    assert (entry.dataset.name, entry.dataset.digest) == ("train", digest[:36])
    assert [tag.value for tag in entry.tags] == ["train"]


def test_files_folders_and_tags_are_kept_with_the_run(store: Path, tmp_path: Path, run: RunTracker) -> None:
    run.artifact(sealed(tmp_path / "passport"), "passport")
    run.artifact(tmp_path / "passport" / "policy.onnx")
    run.tag(git_commit="abc")
    client = tracking._client(store)

    assert {file.path for file in client.list_artifacts(run.run_id)} == {"passport", "policy.onnx"}
    assert read(store, run).data.tags["git_commit"] == "abc"
    assert Path(read(store, run).info.artifact_uri.removeprefix("file://")).is_relative_to(store)


def test_a_registered_passport_comes_back_byte_for_byte(store: Path, tmp_path: Path) -> None:
    first, second = sealed(tmp_path / "one", "first"), sealed(tmp_path / "two", "second")
    versions = [register_passport(each, root=store, name="bytes", tags={"gate": "open"}) for each in (first, second)]
    assert versions == [1, 2]
    assert champion_version("bytes", root=store) is None

    set_champion("bytes", 2, root=store, tags={"verdict": "promoted"})
    set_champion("bytes", 1, root=store, alias="challenger")
    assert champion_version("bytes", root=store) == 2
    assert champion_version("bytes", root=store, alias="challenger") == 1
    fetched = download_champion("bytes", root=store, folder=tmp_path / "fetched")
    for file in (file for file in second.rglob("*") if file.is_file()):
        assert (fetched / file.relative_to(second)).read_bytes() == file.read_bytes()
    assert len(list(fetched.rglob("*"))) == len(list(second.rglob("*")))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["fetched", "one", "two"]
    found = tracking._client(store).get_model_version("bytes", "2")
    assert found.tags["gate"] == "open"
    assert found.tags["verdict"] == "promoted"
    assert found.tags["manifest_sha256"] == hashlib.sha256(b"second").hexdigest()


def test_the_champion_changes_hands(store: Path, tmp_path: Path) -> None:
    for text in ("first", "second"):
        register_passport(sealed(tmp_path / text, text), root=store, name="hands")
    set_champion("hands", 1, root=store)
    set_champion("hands", 2, root=store)

    assert champion_version("hands", root=store) == 2
    assert (download_champion("hands", root=store, folder=tmp_path / "now") / "policy.onnx").read_text() == "second"


def test_what_is_not_there_is_told_in_one_sentence(store: Path, tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="no champion"):
        download_champion("nobody", root=store, folder=tmp_path / "champion")
    with pytest.raises(TrackingError, match="no champion"):
        download_champion("nobody", root=tmp_path / "nowhere", folder=tmp_path / "champion")
    with pytest.raises(TrackingError, match="already exists"):
        download_champion("nobody", root=store, folder=tmp_path)
    with pytest.raises(TrackingError, match="no version 7"):
        set_champion("nobody", 7, root=store)
    with pytest.raises(TrackingError, match="no version 7"):
        tag_version("nobody", 7, root=store, tags={"a": "b"})
    with pytest.raises(TrackingError, match="no run feed"):
        open_run(store, "tests", "x", run_id="feed")
    with pytest.raises(TrackingError, match="not a sealed passport"):
        register_passport(tmp_path, root=store, name="open")
    assert not (tmp_path / "nowhere").exists()  # asking makes no store
    assert list(tmp_path.iterdir()) == []


def test_runs_are_counted_by_experiment(store: Path, tmp_path: Path) -> None:
    before = count_runs(store)
    for name in ("one", "two", "three"):
        open_run(store, "counted", name)

    assert count_runs(store, "counted") == 3
    assert count_runs(store) == before + 3
    assert count_runs(store, "nothing") == 0
    assert count_runs(tmp_path / "nowhere") == 0


def test_a_registered_passport_loads_as_a_model_that_acts_as_the_frozen_policy(
    store: Path, finished: RunResult
) -> None:
    import mlflow  # the test's oracle is MLflow's own loader

    tracking._client(store)
    with tracking._quiet():
        model = mlflow.pyfunc.load_model(f"models:/finished/{finished.version}")
    policy = FrozenPolicy.load(finished.passport)
    rows = np.random.default_rng(0).standard_normal((5, policy.width)).astype(np.float32)

    answer = model.predict(rows)
    assert answer["action"].tobytes() == policy.act(rows).action.tobytes()
    assert set(answer) == {"action", "confidence", "value"}


def test_a_registered_policy_that_remembers_is_handed_its_state_by_the_caller(store: Path, tmp_path: Path) -> None:
    import mlflow  # as above

    folder = made("both", tmp_path / "passport", lambda kind: tmp_path / kind)
    version = register_passport(folder, root=store, name="remembering")
    with tracking._quiet():
        model = mlflow.pyfunc.load_model(f"models:/remembering/{version}")
    policy = FrozenPolicy.load(folder)
    rng, state = np.random.default_rng(0), None
    for _ in range(5):
        rows = (0.02 * rng.standard_normal((3, *policy.shape))).astype(np.float32)
        starts = rng.random(3) < 0.4
        wanted = policy.act(rows, state, starts)
        answer = model.predict(rows if state is None else {"obs": rows, "state": state, "starts": starts})
        for name, part in wanted._asdict().items():
            assert answer[name].tobytes() == part.tobytes()
        state = answer["state"]


def test_the_store_is_silent_about_its_own_affairs(
    store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        register_passport(sealed(tmp_path / "one"), root=store, name="silent")
        set_champion("silent", 1, root=store)
        download_champion("silent", root=store, folder=tmp_path / "fetched")
    told = capfd.readouterr()

    assert (told.out, told.err) == ("", "")


def test_flat_keys_join_with_dots() -> None:
    assert dict(flatten({"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None})) == {"a.b.c": 1, "a.d": [1, 2], "e": None}
