"""What came of exams: sittings, a verdict for each exam on each backend, the proof that they make, its table.

An exam stands where learning passes it and a control, who learns at rate 0, does not. Knows no trainer, no folder.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from .exam import Curve, Exam, Mark


@dataclass(frozen=True, slots=True)
class Sitting:
    """One candidate's marks in one exam, and the seconds that learning and acting took."""

    exam: str
    backend: str
    seed: int
    control: bool
    marks: tuple[Mark, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """One exam on one backend: its marks over all seeds and in sum, and the control's; None where there was none."""

    exam: str
    backend: str
    marks: tuple[Mark, ...]
    control: tuple[Mark, ...] | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether somebody sat, and every mark keeps to its bound."""
        return bool(self.marks) and all(mark.passed for mark in self.marks)

    @property
    def control_failed(self) -> bool:
        """Whether who learnt nothing failed; true where nobody tried."""
        return self.control is None or not all(mark.passed for mark in self.control)

    @property
    def stands(self) -> bool:
        """Whether learning passes this exam, and nothing else does."""
        return self.passed and self.control_failed

    def to_json(self) -> dict[str, Any]:
        """Everything, with what follows from it."""
        kept = None if self.control is None else [mark.to_json() for mark in self.control]
        return {
            "exam": self.exam,
            "backend": self.backend,
            "stands": self.stands,
            "passed": self.passed,
            "control_failed": self.control_failed,
            "seconds": round(self.seconds, 1),
            "marks": [mark.to_json() for mark in self.marks],
            "control": kept,
        }


class Row(NamedTuple):
    """One line of the table, in words."""

    exam: str
    backend: str
    figure: str
    bound: str
    seeds: str
    worst: str
    all: str
    passed: str
    learning_rate_0: str
    stands: str


@dataclass(eq=False)
class Proof:
    """All sittings so far and the curves of their trainings, the controls' left out."""

    exams: Mapping[str, Exam]
    sittings: list[Sitting] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)

    @property
    def verdicts(self) -> list[Verdict]:
        """One for each exam and backend, in the order in which they were sat."""
        pairs = dict.fromkeys((sitting.exam, sitting.backend) for sitting in self.sittings)
        return [self._verdict(*pair) for pair in pairs]

    @property
    def stands(self) -> bool:
        """Whether every verdict does."""
        return all(verdict.stands for verdict in self.verdicts)

    @property
    def rows(self) -> list[Row]:
        """The table: a row for each exam, backend and figure."""
        return [row for verdict in self.verdicts for row in _rows(verdict)]

    def to_json(self) -> dict[str, Any]:
        """Verdicts, marks and curves."""
        return {
            "stands": self.stands,
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "curves": [asdict(curve) for curve in self.curves],
        }

    def _verdict(self, exam: str, backend: str) -> Verdict:
        mine = [sitting for sitting in self.sittings if (sitting.exam, sitting.backend) == (exam, backend)]
        marks = [mark for sitting in mine if not sitting.control for mark in sitting.marks]
        control = [mark for sitting in mine if sitting.control for mark in sitting.marks]
        return Verdict(
            exam,
            backend,
            tuple(self._summed(exam, marks)),
            tuple(self._summed(exam, control)) or None,
            sum(sitting.seconds for sitting in mine),
        )

    def _summed(self, exam: str, marks: list[Mark]) -> list[Mark]:
        return [*marks, *self.exams[exam].sum_up(marks)] if marks else []


def _rows(verdict: Verdict) -> list[Row]:
    controls = {mark.item: mark for mark in verdict.control or ()}
    rows = []
    for item in dict.fromkeys(mark.item for mark in (*verdict.marks, *controls.values())):
        marks = [mark for mark in verdict.marks if mark.item == item]
        kept = controls.get(item)
        first = marks[0] if marks else controls[item]
        figures = [mark.figure for mark in marks]
        worst = min if first.sense == "≥" else max
        rows.append(
            Row(
                verdict.exam,
                verdict.backend,
                item,
                f"{first.sense} {first.bound:g}",
                "all" if first.seed is None else str(len(marks)),
                f"{worst(figures):.3g}" if figures else "–",
                " ".join(f"{figure:.3g}" for figure in figures) or "–",
                _yes(bool(marks) and all(mark.passed for mark in marks)),
                "–" if kept is None else f"{kept.figure:.3g} {'passes' if kept.passed else 'fails'}",
                _yes(verdict.stands),
            )
        )
    return rows


def _yes(holds: bool) -> str:
    return "yes" if holds else "NO"
