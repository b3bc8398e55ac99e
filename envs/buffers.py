"""Where a batch writes its steps: arrays of the caller's own, or two buffers that take turns.

What a step gave belongs to the caller for as long as anybody holds it, or a view of it. Once nobody does, the same
memory serves again: new arrays of a megabyte would cost more page faults a step than the step costs arithmetic.
"""

import sys
from collections.abc import Callable

import numpy as np

from .world import SUMS, Step

KEPT = 8  # buffers; whoever holds on to more steps than this gets new arrays, which are not kept


def new_step(count: int, cells: int, parts: int) -> Step:
    """Arrays for one step of `count` episodes, with observations of `cells` numbers and so many reward parts."""
    return Step(
        np.empty((count, cells), np.float32),
        np.empty(count),
        np.empty(count, np.bool_),
        np.empty(count, np.bool_),
        np.empty((count, cells), np.float32),
        np.empty((count, parts + len(SUMS))),
    )


class Buffers:
    """Steps to write into. `copy` False: two of them take turns, whoever holds what."""

    def __init__(self, fresh: Callable[[], Step], copy: bool) -> None:
        self._fresh, self._copy = fresh, copy
        self._steps = [fresh()] if copy else [fresh(), fresh()]
        self._unheld = _holders(self._steps[0])

    def next(self) -> Step:
        """A step whose arrays nobody else holds; without `copy`, the one that was not used last."""
        if not self._copy:
            self._steps.reverse()
            return self._steps[0]
        for step in self._steps:
            if _holders(step) == self._unheld:
                return step
        first = self._steps[0]
        step = self._fresh()._replace(finals=first.finals, final_sums=first.final_sums)  # these are never handed out
        if len(self._steps) < KEPT:
            self._steps.append(step)
        return step


def _holders(step: Step) -> int:
    """The most references to any array that is handed out; a view holds the array that it looks into."""
    return max(map(sys.getrefcount, step[:4]))
