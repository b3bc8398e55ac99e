"""The door of train, where a run is gone on with: one sentence for what is wrong, and nothing written."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wavetank.experiments.runs import begin_run, open_record
from wavetank.scripts import cli

from ..experiments.conftest import config_of


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    yield
    os.environ.clear()  # a door may set variables for its process
    os.environ.update(before)


def told(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: str) -> str:
    """What the door says of a mistake; it must be one line, and the exit code 2."""
    monkeypatch.setattr(sys, "argv", ["wavetank", "train", *words, "hydra/job_logging=none"])
    assert cli.main() == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    return line


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["resume=nowhere"], "resume: there is no folder nowhere"),
        (["resume=photos"], "resume: photos is not a run's folder: it has no run.json"),
        (["resume=done"], "resume: the run in done is finished: train another with a new out"),
        (["resume=run", "agent.gamma=0.9"], "resume=run goes on with the run's own config: agent.gamma=0.9 cannot be"),
        (["resume=run", "steps=1000"], "steps: 1000 must be above 2000, which the run in run goes to by itself"),
        (["resume=run", "steps=many"], "Error merging override steps=many"),
        (
            ["resume=moving", "steps=4000"],
            "steps: the run in moving cannot go on to 4000: agent.clip_end=0.05 is reached",
        ),
        (["agent=dqn"], "there is no agent 'dqn'; there are rllib_ppo, sb3_ppo, sb3_recurrent, sb3_sac"),
        (["agent=sb3_sac", "agent.epochs=3"], "Could not override 'agent.epochs'; Key 'epochs' not in 'SACSchema'"),
        (["agent.encoder=cnn", "env=process"], "ppo: encoder cnn must be one of flat, conv"),
        (["agent.mask=true", "env=process"], "agent.mask: env.actions=box has no levels to mask"),
        (["select=sharp", "env=process"], "select: there is no figure 'sharp'; did you mean sharpe?"),
        (["patience=3"], "patience: 3 looks at validation, and validate_every=0 takes none"),
        (["ray.address=auto"], "ray.address: auto is a cluster, and agent sb3 trains in one process"),
    ],
)
def test_a_wrong_input_costs_one_sentence_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    for name, own in {"run": [], "done": [], "moving": ["agent.clip_end=0.05"]}.items():
        config = config_of("train", "env=process", "steps=2000", *own, f"out={tmp_path / name}")
        open_record(begin_run(config.out, config), config, {})
    (tmp_path / "done" / "passport").mkdir()
    (tmp_path / "photos").mkdir()
    before = files(tmp_path)

    assert told(monkeypatch, capfd, *words).startswith(f"wavetank train: {sentence}")
    assert files(tmp_path) == before
