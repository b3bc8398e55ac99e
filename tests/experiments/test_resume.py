"""Going on with an interrupted run: what is refused, and that what comes out is what would have come out."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wavetank.experiments.resume import steps_asked, unfinished_run
from wavetank.experiments.runs import RunError, begin_run, open_record, read_run
from wavetank.experiments.train import RunResult, train

from .conftest import NOW, TINY, config_of
from .learnt import all_of, figures_by_step, lines_of

QUIET = (*TINY, "tracking=none")
LOOKS = ("validate_every=512", "patience=3", "seed=3", "agent.learning_rate=0.01")
# Where it shows that something of the loop, the trainer or the env was not taken along.
KINDS = {
    "plain": (),
    "looks and patience": LOOKS,
    "schedules": (
        "agent.learning_rate_end=0",
        "agent.clip_end=0.05",
        "agent.entropy_end=0.01",
        "agent.schedule=cosine",
    ),
    "recurrent": ("agent=sb3_recurrent", "agent.lstm=8", "agent.learning_rate_end=1e-5"),
    "masked levels": ("env.actions=discrete:5", "agent.mask=true", "limits=live"),
    "varied costs, shared layers": ("env.vary_costs=2", "agent.separate=false", "agent.target_kl=0.01"),
}


class KillAt:
    """A callback that ends everything at a step, before its checkpoint."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_update(self, step: int, values: Any) -> None:
        if step >= self._step:
            raise KeyboardInterrupt


def begun(folder: Path, *words: str) -> Path:
    """A run's folder as it stands before its first step."""
    config = config_of("train", *words, f"out={folder}")
    open_record(begin_run(folder, config), config, {})
    return folder


def interrupted(folder: Path, step: int, *words: str) -> Path:
    with pytest.raises(KeyboardInterrupt):
        train(config_of("train", *words, f"out={folder}"), now=NOW, callbacks=[KillAt(step)])
    return folder


def gone_on(folder: Path, steps: int | None = None) -> RunResult:
    run, config = unfinished_run(folder, steps)
    return train(config, now=NOW, run=run)


def test_a_run_goes_on_with_the_config_it_began_with(tmp_path: Path) -> None:
    config = config_of("train", "env=process", "agent.gamma=0.9", f"out={tmp_path / 'run'}")
    run, again = unfinished_run(begun(tmp_path / "run", "env=process", "agent.gamma=0.9"))

    assert again == config
    assert run.is_resumed
    assert run.path == tmp_path / "run"


def test_a_folder_that_was_moved_is_gone_on_with_where_it_is(tmp_path: Path) -> None:
    moved = begun(tmp_path / "run").rename(tmp_path / "moved")

    assert unfinished_run(moved)[1].out == str(moved)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: None, "resume: there is no folder {folder}"),
        (lambda folder: folder.mkdir(), "resume: {folder} is not a run's folder: it has no run.json"),
        (lambda folder: (begun(folder) / "passport").mkdir(), "resume: the run in {folder} is finished"),
        (lambda folder: (begun(folder) / "config.yaml").unlink(), "{folder}/config.yaml cannot be read"),
    ],
)
def test_what_cannot_be_gone_on_with_is_told(tmp_path: Path, make: Callable[[Path], Any], sentence: str) -> None:
    folder = tmp_path / "run"
    make(folder)
    with pytest.raises(RunError) as refused:
        unfinished_run(folder)

    assert str(refused.value).startswith(sentence.format(folder=folder))


@pytest.mark.parametrize(
    ("words", "steps"), [(["resume=x"], None), (["resume=x", "steps=300"], 300), (["steps=300", "resume=x"], 300)]
)
def test_steps_alone_may_stand_beside_resume(words: list[str], steps: int | None) -> None:
    assert steps_asked(words, config_of("train", *words)) == steps


@pytest.mark.parametrize("other", ["agent.gamma=0.9", "agent=rllib_ppo", "out=elsewhere", "+env.rewards.drawdown=1"])
def test_any_other_key_beside_resume_is_refused_by_name(other: str) -> None:
    words = ["resume=x", other]
    with pytest.raises(RunError, match="resume=x goes on with the run's own config") as refused:
        steps_asked(words, config_of("train", *words))
    assert other in str(refused.value)


def test_more_steps_may_be_asked_and_no_fewer(tmp_path: Path) -> None:
    folder = begun(tmp_path / "run", "steps=2000")

    assert unfinished_run(folder, 3000)[1].steps == 3000
    for steps in (1000, 2000):
        with pytest.raises(RunError, match=f"steps: {steps} must be above 2000"):
            unfinished_run(folder, steps)


def test_a_schedule_that_has_its_end_cannot_be_stretched(tmp_path: Path) -> None:
    folder = begun(tmp_path / "run", "steps=2000", "agent.clip_end=0.05")

    assert unfinished_run(folder)[1].steps == 2000
    with pytest.raises(RunError, match=r"cannot go on to 3000: agent\.clip_end=0\.05 is reached at step 2000"):
        unfinished_run(folder, 3000)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_run_ends_as_the_uninterrupted_one_to_the_last_bit(tmp_path: Path, kind: str) -> None:
    words = (*QUIET, "steps=3072", "checkpoint_every=1024", *KINDS[kind])
    whole = train(config_of("train", *words, f"out={tmp_path / 'whole'}"), now=NOW)
    folder = interrupted(tmp_path / "broken", 1536, *words)  # half an episode after the checkpoint
    interrupted_at = [line["step"] for line in lines_of(folder)]
    assert max(interrupted_at) == 1536

    again = gone_on(folder)
    assert all_of(folder) == all_of(whole.folder)
    assert (again.metrics, again.selected_step, again.looks) == (whole.metrics, whole.selected_step, whole.looks)


@pytest.mark.slow
def test_an_interrupted_run_of_sac_does_so_too_with_all_that_it_remembers(tmp_path: Path) -> None:
    words = ["agent=sb3_sac", "agent.hidden=[16]", "agent.buffer=20000", "agent.learning_starts=4096"]
    words += ["agent.minibatch=64", "agent.train_every=16", "env=process", "env.bars=1200", "env.num_envs=8"]
    words += ["env.episode_bars=64", "env.observation=spine", "tracking=none"]
    words += ["steps=25000", "checkpoint_every=8192", "validate_every=8192"]  # it reports every 8,192 steps
    whole = train(config_of("train", *words, f"out={tmp_path / 'whole'}"), now=NOW)
    assert whole.looks == 4  # the last one at the end, where there was no report
    folder = interrupted(tmp_path / "broken", 16384, *words)

    gone_on(folder)
    assert all_of(folder) == all_of(whole.folder)


@pytest.mark.slow
@pytest.mark.ray
def test_an_interrupted_run_of_rllib_goes_on_with_its_steps_its_weights_and_its_looks(
    tmp_path: Path, ray_cluster: None
) -> None:
    words = (*QUIET, "agent=rllib_ppo", "steps=2048", "checkpoint_every=512", "validate_every=512")
    folder = interrupted(tmp_path / "run", 1024, *words)
    before = [line for line in lines_of(folder) if line["step"] <= 512]
    result = gone_on(folder)

    assert lines_of(folder)[:2] == before  # an update and a look, and neither is made again
    updates = list(figures_by_step(folder, "train/loss"))
    assert updates == sorted(updates)
    assert updates[-1] == result.steps >= 2048
    assert len(updates) == 5  # of 512 steps, but for the few that begin an episode and are none
    sharpe = figures_by_step(folder, "validation/sharpe")
    assert {512, result.steps} <= set(sharpe)
    assert (result.looks, result.metrics["sharpe"]) == (len(sharpe), max(sharpe.values()))
    assert sharpe[result.selected_step] == result.metrics["sharpe"]


@pytest.mark.slow
def test_a_run_that_goes_on_to_more_steps_ends_as_one_that_was_meant_to(tmp_path: Path) -> None:
    words = (*QUIET, *LOOKS, "patience=0", "checkpoint_every=1024")
    whole = train(config_of("train", *words, "steps=3072", f"out={tmp_path / 'whole'}"), now=NOW)
    gone_on(interrupted(tmp_path / "broken", 1536, *words, "steps=2048"), steps=3072)

    assert all_of(tmp_path / "broken") == all_of(whole.folder)
    run, config = read_run(tmp_path / "broken")
    assert config.steps == run.record()["config"]["steps"] == 3072
    (resumed,) = run.record()["resumes"]
    assert (resumed["at"], resumed["step"], resumed["steps"]) == (NOW.isoformat(), 1024, 3072)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_leads_to_the_same_end(tmp_path: Path) -> None:
    words = (*QUIET, "steps=2048")
    whole = train(config_of("train", *words, f"out={tmp_path / 'whole'}"), now=NOW)
    folder = interrupted(tmp_path / "broken", 1536, *words)
    newest = folder / "checkpoints" / "000000001024"
    content = bytearray((newest / "trainer" / "training.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (newest / "trainer" / "training.pt").write_bytes(bytes(content))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    with pytest.raises(ValueError, match=r"trainer/training\.pt differs .*; delete .*1024 to go on from .*0512"):
        gone_on(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    for path in sorted(newest.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    newest.rmdir()
    gone_on(folder)
    assert all_of(folder) == all_of(whole.folder)


# `wavetank` in a process of its own, which kills itself as soon as it flushes a file while a path stands in the run.
KILLED_AT = """
import glob, os, signal, sys
path, sync = sys.argv.pop(1), os.fsync
os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL) if glob.glob(path) else sync(file)
from wavetank.scripts.cli import main
sys.exit(main())
"""
KILLED = (*QUIET, *LOOKS, "patience=0", "steps=4096", "validate_every=2048", "checkpoint_every=512")


def process(path: Path, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-P", "-c", KILLED_AT, str(path), "train", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def killed_at(path: Path, *words: str) -> None:
    with process(path, *words) as running:
        told = running.communicate()[1]
    assert running.returncode == -signal.SIGKILL, told


def killed_from_outside(folder: Path, lines: int) -> None:
    """Kill -9 wherever it is, once metrics.jsonl has so many lines."""
    with process(folder / "never", f"resume={folder}") as running:
        while running.poll() is None and len(lines_of(folder)) < lines:
            time.sleep(0.001)
        running.kill()
        assert running.wait() == -signal.SIGKILL, running.communicate()[1]


@pytest.mark.slow
def test_kill_9_at_any_time_loses_nothing(tmp_path: Path) -> None:
    whole = train(config_of("train", *KILLED, f"out={tmp_path / 'whole'}"), now=NOW)
    folder = tmp_path / "killed"
    checkpoints = folder / "checkpoints"
    killed_at(checkpoints / ".000000000512.*", *KILLED, f"out={folder}")  # while the first one is written
    assert list(checkpoints.glob("0*")) == []
    killed_at(checkpoints / "000000001536", f"resume={folder}")  # while the one after it begins
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2048, "train/lo')  # a line that a kill tore
    killed_at(checkpoints / ".000000002560.*" / "manifest.sha256", f"resume={folder}")  # when it is all but whole
    assert list(checkpoints.glob(".000000002560.*")) != []
    killed_from_outside(folder, lines=len(lines_of(folder)) + 2)
    killed_at(folder / ".draft" / ".passport.*", f"resume={folder}")
    assert not (folder / "passport").exists()

    with process(folder / "never", f"resume={folder}") as last:
        told = last.communicate()[1]
    assert last.returncode == 0, told
    assert all_of(folder) == all_of(whole.folder)
    assert list(folder.rglob(".*")) == []  # no draft is left
    resumes = [resumed["step"] for resumed in json.loads((folder / "run.json").read_text())["resumes"]]
    assert resumes[:3] == [0, 1536, 2048]
    assert resumes == sorted(resumes)
    assert resumes[-1] == 4096
