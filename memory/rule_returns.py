"""What five plain rules earned after each moment: the table from which advice tells which did best in similar times.

A rule takes its position at the moment's close and holds it for the horizon: `flat`, `long`, `short`, `trend` (the sign
of the return over the moment's window) and `reversal` (minus that). Returns are simple ones, net of a round trip's cost
where there is a position. A row uses its own window and its own outcome, so it is known when the outcome is. Knows
nothing of neighbours, and none of the rules that trade: this is the past's book, not a back-test.
"""

import io
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bars
from .moments import HORIZON, Floats, Ints, PastError, forward_outcomes, symbol_code

RULES: tuple[str, ...] = ("flat", "long", "short", "trend", "reversal")  # a tie goes to the earlier one
COST_BPS = 10.0  # a round trip: taker fee and half-spread, twice
VERSION = 1

_FIELDS = ("version", "window", "horizon", "cost_bps", "ids", "returns")


@dataclass(frozen=True, eq=False)
class RuleReturns:
    """`returns` (n, len(RULES)) float64 of the moments `ids` (n,) int64, which rise; `window`, `horizon` in bars."""

    window: int
    horizon: int
    cost_bps: float
    ids: Ints
    returns: Floats

    def __post_init__(self) -> None:
        if self.returns.shape != (len(self.ids), len(RULES)):
            raise PastError(f"{len(self.ids)} moments have rule returns of shape {self.returns.shape}")
        if not np.isfinite(self.returns).all():
            raise PastError("the rule returns hold NaN or infinity")
        if np.any(np.diff(self.ids) <= 0):
            raise PastError("the moments of rule returns must rise")

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, bars: Bars, window: int, horizon: int = HORIZON, cost_bps: float = COST_BPS) -> "RuleReturns":
        """Every moment of these bars whose window is whole and whose outcome lies inside them."""
        if window < 2 or horizon < 1:
            raise PastError(f"rule returns need a window of 2 bars and a horizon of 1, not {window} and {horizon}")
        if not 0.0 <= cost_bps < 10_000.0:
            raise PastError(f"a round trip's cost of {cost_bps} bps must lie between 0 and 10,000")
        outcome = forward_outcomes(bars, horizon)[:, 0].astype(np.float64)
        before = np.full(len(bars), np.nan)
        for start, stop in bars.segments():
            if stop - start >= window:
                first, last = bars.close[start : stop - window + 1], bars.close[start + window - 1 : stop]
                before[start + window - 1 : stop] = np.sign(last - first)
        rows = np.flatnonzero(np.isfinite(outcome) & np.isfinite(before))
        gross, trend = np.expm1(outcome[rows]), before[rows]
        none = np.zeros(len(rows))
        positions = np.stack([none, none + 1.0, none - 1.0, trend, -trend], axis=1)
        returns = positions * gross[:, None] - np.abs(positions) * (cost_bps * 1e-4)
        ids = (symbol_code(bars.symbol) << 32) + bars.opened_at[rows] // bars.interval_ms
        return cls(window, horizon, cost_bps, ids, returns)

    def joined(self, other: "RuleReturns") -> "RuleReturns":
        """Both tables' moments, of another symbol or of later bars; where both hold one, `other` counts."""
        mine, theirs = ((t.window, t.horizon, t.cost_bps) for t in (self, other))
        if mine != theirs:
            raise PastError(f"rule returns of window, horizon and cost {theirs} cannot join those of {mine}")
        kept = ~np.isin(self.ids, other.ids)
        ids, returns = np.r_[self.ids[kept], other.ids], np.concatenate([self.returns[kept], other.returns])
        order = np.argsort(ids)
        return RuleReturns(self.window, self.horizon, self.cost_bps, ids[order], returns[order])

    def rows(self, ids: Sequence[int]) -> Floats:
        """(k, len(RULES)) float64 of these moments; one without a row is an error."""
        wanted: NDArray[np.int64] = np.array(ids, np.int64)
        places = np.searchsorted(self.ids, wanted)
        there = np.zeros(len(wanted), np.bool_)
        inside = places < len(self.ids)
        there[inside] = self.ids[places[inside]] == wanted[inside]
        if not there.all():
            raise PastError(f"what the rules earned after moment {int(wanted[~there][0])} is not known: add its bars")
        rows: Floats = self.returns[places]
        return rows

    def save(self, path: str | Path) -> None:
        """Write an .npz without pickled objects, whole or not at all."""
        target = Path(path)
        part = target.with_name(target.name + ".part")
        with part.open("wb") as file:
            values = {name: np.array(getattr(self, name)) for name in _FIELDS[1:]}
            np.savez(file, allow_pickle=False, version=np.array(VERSION), **values)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)

    @classmethod
    def load(cls, path: str | Path) -> "RuleReturns":
        """Read what `save` wrote; a torn or foreign file is refused."""
        try:
            file = np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False)
            version, window, horizon, cost_bps, ids, returns = (file[name] for name in _FIELDS)
            if int(version) != VERSION:
                raise PastError(f"rule returns {path} are of version {version}, this house reads {VERSION}")
            return cls(int(window), int(horizon), float(cost_bps), ids.astype(np.int64), returns.astype(np.float64))
        except PastError:
            raise
        except FileNotFoundError:
            raise PastError(f"there are no rule returns at {path}") from None
        except (OSError, EOFError, LookupError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            raise PastError(f"rule returns {path} cannot be read: {error}") from None
