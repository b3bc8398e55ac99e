"""The proof as such, with exams of five lines: who passes, who fails, and what then stands in the folder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wavetank.experiments import prove as proving
from wavetank.experiments.exams.exam import Candidate, Curve, Mark
from wavetank.experiments.exams.proof import Proof, Sitting
from wavetank.experiments.prove import EXAMS, ProofError, Turn, prove, turns

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Fake:
    """Gives whoever learns `learnt` and a control `untouched`; wants 1 or more of each and of their sum."""

    learnt: float = 2.0
    untouched: float = 0.0
    name: str = "fake"
    seeds: int = 3

    def sit(self, candidate: Candidate) -> list[Mark]:
        candidate.curves.append(Curve("fake", candidate.backend, candidate.seed, [(1, 0.0), (2, 1.0)]))
        return [candidate.mark("fake", "points", self.untouched if candidate.control else self.learnt, "≥", 1.0)]

    def sum_up(self, marks: Sequence[Mark]) -> list[Mark]:
        return [Mark("fake", "sum", marks[0].backend, None, sum(mark.figure for mark in marks), "≥", 1.0)]


def sat(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, control: bool = True) -> tuple[Proof, Path]:
    monkeypatch.setitem(EXAMS, "fake", fake)
    order = turns(["fake"], ["sb3"], quick=False, control=control, seed=5)
    return prove(order, tmp_path / "proof", now=NOW), tmp_path / "proof"


def test_a_proof_that_stands_leaves_its_table_its_figures_and_its_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof, folder = sat(Fake(), tmp_path, monkeypatch)
    assert proof.stands
    assert sorted(file.name for file in folder.iterdir()) == ["curves.png", "prove.json", "prove.md"]
    told = json.loads((folder / "prove.json").read_text())
    assert told["stands"] is True
    assert told["started_at"] == NOW.isoformat()
    (verdict,) = told["verdicts"]
    assert [mark["seed"] for mark in verdict["marks"]] == [5, 6, 7, None]
    assert [mark["figure"] for mark in verdict["marks"]] == [2.0, 2.0, 2.0, 6.0]
    assert [mark["passed"] for mark in verdict["control"]] == [False, False]
    assert [curve["seed"] for curve in told["curves"]] == [5, 6, 7]  # the control's is not among them
    page = (folder / "prove.md").read_text()
    assert "| fake | sb3 | points | ≥ 1 | 3 | 2 | 2 2 2 | yes | 0 fails | yes |" in page
    assert "| fake | sb3 | sum | ≥ 1 | all | 6 | 6 | yes | 0 fails | yes |" in page
    assert "The proof stands." in page
    assert (folder / "curves.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(("learnt", "untouched"), [(0.5, 0.0), (2.0, 2.0), (0.5, 2.0), (float("nan"), 0.0)])
def test_a_proof_does_not_stand_where_learning_fails_or_ignorance_passes(learnt: float, untouched: float) -> None:
    exams = {"fake": Fake(learnt, untouched)}
    proof = Proof(exams)
    for control in (True, False):
        marks = tuple(exams["fake"].sit(Candidate("sb3", 1, control)))
        proof.sittings.append(Sitting("fake", "sb3", 1, control, marks, 0.0))
    assert not proof.stands
    (verdict,) = proof.verdicts
    assert verdict.control_failed is (untouched < 1.0)
    assert json.dumps(proof.to_json(), allow_nan=False)


def test_one_bad_seed_of_three_is_enough(tmp_path: Path) -> None:
    proof = Proof({"fake": Fake()})
    for seed, figure in ((1, 2.0), (2, 0.9), (3, 2.0)):
        mark = Candidate("rllib", seed).mark("fake", "points", figure, "≥", 1.0)
        proof.sittings.append(Sitting("fake", "rllib", seed, False, (mark,), 1.0))
    assert not proof.stands
    points = proof.rows[0]
    assert (points.worst, points.all, points.passed, points.learning_rate_0) == ("0.9", "2 0.9 2", "NO", "–")


def test_a_proof_without_a_control_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proof, _ = sat(Fake(), tmp_path, monkeypatch, control=False)
    assert proof.stands
    assert {row.learning_rate_0 for row in proof.rows} == {"–"}


def test_everybody_has_a_turn_and_the_control_goes_first() -> None:
    order = turns(["canary", "order"], ["sb3"], quick=False, control=True, seed=1)
    assert order[:4] == [
        Turn("canary", "sb3", 1, True),
        *(Turn("canary", "sb3", seed, False) for seed in (1, 2, 3)),
    ]
    assert [turn.exam for turn in order].count("order") == 1 + EXAMS["order"].seeds
    quick = turns(["canary", "order", "canary"], ["sb3"], quick=True, control=False, seed=4)
    assert list(map(str, quick)) == ["canary on sb3, seed 4", "order on sb3, seed 4"]


def test_mean_reversion_is_sat_by_ten_seeds_and_no_exam_by_fewer_than_three() -> None:
    assert EXAMS["reversion"].seeds == 10
    assert all(exam.seeds >= 3 for exam in EXAMS.values())


@pytest.mark.parametrize(
    ("exams", "backends", "told"),
    [
        (["orders"], ["sb3"], "exams: there is no exam 'orders'; known are canary, reversion, walk, cartpole, order"),
        (["order"], ["jax"], "backends: there is no backend 'jax'; known are sb3, rllib"),
        ([], ["sb3"], "exams: it is empty"),
        (["order"], [], "backends: it is empty"),
    ],
)
def test_a_name_that_is_not_known_is_refused(exams: list[str], backends: list[str], told: str) -> None:
    with pytest.raises(ProofError, match=told):
        turns(exams, backends, quick=True, control=True, seed=1)


def test_a_folder_that_holds_something_is_refused_before_anybody_sits(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ProofError, match="holds something already"):
        prove([Turn("canary", "sb3", 1, False)], tmp_path, now=NOW)
    with pytest.raises(ProofError, match="holds something already"):
        prove([Turn("canary", "sb3", 1, False)], tmp_path / "mine.txt", now=NOW)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_the_figures_so_far_are_kept_when_a_later_exam_breaks_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaks(Fake):
        def sit(self, candidate: Candidate) -> list[Mark]:
            if candidate.seed == 6:
                raise KeyboardInterrupt
            return super().sit(candidate)

    with pytest.raises(KeyboardInterrupt):
        sat(Breaks(), tmp_path, monkeypatch, control=False)
    told = json.loads((tmp_path / "proof" / proving.RESULT).read_text())
    assert [mark["seed"] for mark in told["verdicts"][0]["marks"]] == [5, None]
