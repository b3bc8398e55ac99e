"""The door of prove, opened as `wavetank prove …` opens it."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from wavetank.experiments.exams.exam import Candidate, Mark
from wavetank.experiments.prove import EXAMS
from wavetank.scripts import cli


@dataclass(frozen=True)
class Impossible:
    """Nobody passes."""

    name: str = "order"
    seeds: int = 2

    def sit(self, candidate: Candidate) -> list[Mark]:
        return [candidate.mark(self.name, "points", 0.0, "≥", 1.0)]

    def sum_up(self, marks: Sequence[Mark]) -> list[Mark]:
        return []


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = dict(os.environ)
    yield
    assert list((tmp_path / "here").iterdir()) == []  # nothing is littered
    os.environ.clear()  # a door may set variables for its process
    os.environ.update(before)


def wavetank(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    # Hydra's set-up of logging would close the handlers, and with them the streams, of the process it runs in.
    monkeypatch.setattr(sys, "argv", ["wavetank", "prove", *map(str, words), "hydra/job_logging=none"])
    return cli.main()


@pytest.mark.slow
def test_a_quick_proof_of_one_exam_stands_and_says_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "proof"
    assert wavetank(monkeypatch, "exams=[order]", "backends=[sb3]", "quick=true", f"out={out}") == 0
    shown = capfd.readouterr()
    assert f"result    {out / 'prove.md'}" in shown.out
    assert shown.out.splitlines()[-1] == "the proof stands: 1 exams"
    assert "2/2" in shown.err  # the control and one seed
    told = json.loads((out / "prove.json").read_text())
    assert told["verdicts"][0]["control_failed"]
    assert [mark["seed"] for mark in told["verdicts"][0]["marks"]] == [1, 1]


def test_a_proof_that_does_not_stand_ends_with_1_and_says_which_exam(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(EXAMS, "order", Impossible())
    with pytest.raises(SystemExit) as ended:
        wavetank(monkeypatch, "exams=[order]", "backends=[sb3]", f"out={tmp_path / 'proof'}")
    assert ended.value.code == 1
    assert capfd.readouterr().out.splitlines()[-1] == "does not stand: order on sb3"
    assert "**The proof does not stand.**" in (tmp_path / "proof" / "prove.md").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["exams=[orders]"], "exams: there is no exam 'orders'; known are canary, reversion, walk, cartpole, order"),
        (["backends=[jax]"], "backends: there is no backend 'jax'; known are sb3, rllib"),
        (["quick=perhaps"], "quick"),
        (["exam=order"], "Key 'exam' not in 'ProveConfig'"),
        (["seed=-1"], "seed: -1 must lie in 0"),
    ],
)
def test_a_wrong_word_ends_with_2_and_one_sentence(
    words: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert wavetank(monkeypatch, *words, f"out={tmp_path / 'proof'}") == 2
    shown = capfd.readouterr()
    assert told in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert not (tmp_path / "proof").exists()


def test_a_folder_that_holds_something_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    monkeypatch.setitem(EXAMS, "order", Impossible())
    assert wavetank(monkeypatch, "exams=[order]", "backends=[sb3]", f"out={tmp_path}") == 2
    assert "holds something already; name a new folder" in capfd.readouterr().err
