"""Baseline rules: the policies that a trained one must beat. They read named columns and act like any policy.

Know only where a column stands in the observation; the desk turns their target into orders.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .policy import ACTION_KINDS, Decision

TREND_COLUMN = "ema_ratio"  # log of fast over slow moving average: its sign is the cross


class Rule(ABC):
    """A target in {-1, 0, 1} for each observation: exposure ("box"), or index of short, flat, long ("discrete")."""

    def __init__(self, columns: Sequence[str], kind: str = "box") -> None:
        if kind not in ACTION_KINDS:
            raise ValueError(f"action kind {kind!r} is neither box nor discrete")
        self.columns, self.kind = tuple(columns), kind

    def act(
        self,
        observations: NDArray[np.float32],
        state: NDArray[np.float32] | None = None,
        starts: NDArray[np.bool_] | None = None,
    ) -> Decision:
        """Decide on observations (n, n_columns) or (n_columns,) float32; confidence is 1 and value 0."""
        rows = np.atleast_2d(observations)
        if rows.ndim != 2 or rows.shape[1] != len(self.columns):
            raise ValueError(
                f"observations of shape {observations.shape} do not fit a rule of {len(self.columns)} columns"
            )
        target = self._target(rows)
        action = (target if self.kind == "box" else target + 1.0).astype(np.float32).reshape(-1, 1)
        return Decision(action, np.ones(len(rows), np.float32), np.zeros(len(rows), np.float32))

    @abstractmethod
    def _target(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Target (n,) in {-1, 0, 1} for rows (n, n_columns)."""


class Flat(Rule):
    """Never hold anything."""

    def _target(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.zeros(len(rows), np.float32)


class Hold(Rule):
    """Buy all that is allowed and keep it."""

    def _target(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.ones(len(rows), np.float32)


class MACross(Rule):
    """Long while the fast moving average is above the slow one, short while it is below, flat when they are equal."""

    def __init__(self, columns: Sequence[str], kind: str = "box", column: str = TREND_COLUMN) -> None:
        super().__init__(columns, kind)
        if column not in self.columns:
            raise ValueError(f"a moving-average cross needs the column {column!r}, which this observation has not")
        self._index = self.columns.index(column)

    def _target(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        trend = rows[:, self._index]
        if not np.isfinite(trend).all():
            raise ValueError(f"column {self.columns[self._index]!r} is {trend[~np.isfinite(trend)][0]}")
        return np.sign(trend)


RULES: dict[str, type[Rule]] = {"flat": Flat, "hold": Hold, "ma_cross": MACross}
