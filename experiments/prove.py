"""Proof of learning: every backend sits exams with known answers, with several seeds, and with one that cannot learn.

The folder `out` gets prove.json, after every sitting, and at the end prove.md and the learning curves. What an exam
asks stands in `exams/`; knows no trainer.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from .curves import draw_curves
from .exams.canary import Canary
from .exams.cartpole import Cartpole
from .exams.exam import BACKENDS, Candidate, Exam, trainer_of
from .exams.order import Order
from .exams.proof import Proof, Row, Sitting
from .exams.reversion import Reversion
from .exams.walk import Walk
from .runs import origin, write_json

EXAMS: dict[str, Exam] = {exam.name: exam for exam in (Canary(), Reversion(), Walk(), Cartpole(), Order())}
RESULT, PAGE, PICTURE = "prove.json", "prove.md", "curves.png"


class ProofError(ValueError):
    """A proof that cannot be begun as asked."""


class Turn(NamedTuple):
    """Who sits down next, and to which exam; a control learns at rate 0."""

    exam: str
    backend: str
    seed: int
    control: bool

    def __str__(self) -> str:
        return f"{self.exam} on {self.backend}, {'learning rate 0' if self.control else f'seed {self.seed}'}"


def turns(exams: Sequence[str], backends: Sequence[str], *, quick: bool, control: bool, seed: int) -> list[Turn]:
    """Everybody's turn in order: as many seeds as an exam wants, one in a `quick` proof; the control goes first.

    Raises ProofError on a name that is not known, ImportError where a backend's library is not installed.
    """
    for what, names, known in (("exam", exams, tuple(EXAMS)), ("backend", backends, BACKENDS)):
        unknown = next((name for name in names if name not in known), None)
        if unknown is not None:
            raise ProofError(f"{what}s: there is no {what} {unknown!r}; known are {', '.join(known)}")
        if not names:
            raise ProofError(f"{what}s: it is empty; known are {', '.join(known)}")
    found = []
    for backend in dict.fromkeys(backends):
        trainer_of(backend)
        for exam in dict.fromkeys(exams):
            found += [Turn(exam, backend, seed, True)] if control else []
            found += [Turn(exam, backend, seed + k, False) for k in range(1 if quick else EXAMS[exam].seeds)]
    return found


def prove(
    order: Sequence[Turn], out: str | Path, *, now: datetime, told: Callable[[str], None] = lambda _: None
) -> Proof:
    """Let everybody sit in `order`; `told` hears whose turn begins.

    Raises ProofError, before anything is written, where the folder `out` holds something already.
    """
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ProofError(f"out {folder} holds something already; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)  # what cannot be written to is found before the first minute
    proof, facts = Proof(EXAMS), {"started_at": now.isoformat(), **origin()}
    for turn in order:
        told(str(turn))
        candidate = Candidate(turn.backend, turn.seed, turn.control)
        began = perf_counter()
        marks = tuple(EXAMS[turn.exam].sit(candidate))
        proof.sittings.append(Sitting(*turn, marks, perf_counter() - began))
        proof.curves += [] if turn.control else candidate.curves
        write_json(folder / RESULT, {**facts, **proof.to_json()})
    (folder / PAGE).write_text(page(proof, facts))
    draw_curves(proof.curves, folder / PICTURE)
    return proof


def page(proof: Proof, facts: dict[str, Any]) -> str:
    """The proof as Markdown."""
    commit = str(facts["git_commit"] or "unknown")[:9] + (" with uncommitted changes" if facts["git_dirty"] else "")
    total = sum(verdict.seconds for verdict in proof.verdicts)
    return "\n".join(
        [
            "# Proof of learning",
            "",
            f"{facts['started_at'][:10]}, commit {commit}, {total:.0f} s. Written by `wavetank prove`; what each exam "
            "asks and why stands in docs/proof-of-learning.md.",
            "",
            f"| {' | '.join(name.replace('_', ' ') for name in Row._fields)} |",
            "|" + "---|" * len(Row._fields),
            *(f"| {' | '.join(row)} |" for row in proof.rows),
            "",
            "The proof stands." if proof.stands else "**The proof does not stand.**",
            "",
        ]
    )
