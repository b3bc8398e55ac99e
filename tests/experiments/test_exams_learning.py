"""Both trainers sit every exam, with one seed: who learns passes, who learns at rate 0 does not."""

import pytest

from wavetank.experiments.exams.exam import Candidate
from wavetank.experiments.prove import EXAMS

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("exam", EXAMS)]


def test_who_learns_on_sb3_passes_and_who_learns_at_rate_0_fails(exam: str) -> None:
    sit_twice(exam, "sb3")


@pytest.mark.ray
def test_who_learns_on_rllib_passes_and_who_learns_at_rate_0_fails(exam: str, ray_cluster: None) -> None:
    sit_twice(exam, "rllib")


def sit_twice(exam: str, backend: str) -> None:
    learner, control = Candidate(backend, 1), Candidate(backend, 1, control=True)
    failed = {}
    for candidate in (learner, control):
        marks = EXAMS[exam].sit(candidate)
        failed[candidate.control] = [mark for mark in [*marks, *EXAMS[exam].sum_up(marks)] if not mark.passed]
    assert failed[False] == []
    assert failed[True] != []
    returns = [value for _, value in learner.curves[0].points]
    assert returns[-1] > returns[0]
