"""Rows in quarantine: raw rows with the reason why they cannot be true, as the manifest keeps them.

They never vanish: the same row with the same reason is kept once, however often it comes. Judges nothing itself.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .manifest import SeriesKey, StoreError, Suspect
from .raw import OPTIONAL, PRICES, RawBars

_NUMBERS = (*PRICES, "volume", *OPTIONAL)


@dataclass(frozen=True, eq=False)
class Quarantine:
    """Rejected rows of a series in order of time, with a reason and a source for each."""

    rows: RawBars
    reasons: tuple[str, ...]
    sources: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)


def suspects_of(rejected: RawBars, reasons: Sequence[str], source: str) -> list[Suspect]:
    """Rejected rows as the manifest keeps them."""
    if len(reasons) != len(rejected):
        raise StoreError(f"{len(rejected)} rejected rows come with {len(reasons)} reasons")
    columns = [_numbers(rejected, name) for name in _NUMBERS]
    rows = zip(rejected.opened_at.tolist(), zip(*columns, strict=True), reasons, strict=True)
    return [Suspect._make((_digest(at, numbers, why), at, *numbers, why, source)) for at, numbers, why in rows]


def quarantine_of(key: SeriesKey, suspects: Sequence[Suspect]) -> Quarantine:
    """Rows of a manifest as raw rows again; an optional column that no row has is absent."""
    columns: dict[str, Any] = {
        name: np.array([np.nan if value is None else value for value in (getattr(s, name) for s in suspects)], float)
        for name in _NUMBERS
    }
    opened_at = np.array([s.opened_at for s in suspects], np.int64)
    columns |= {name: None for name in OPTIONAL if np.isnan(columns[name]).all()}
    rows = RawBars(interval=key.interval, opened_at=opened_at, symbol=key.symbol, **columns)
    return Quarantine(rows, tuple(s.reason for s in suspects), tuple(s.source for s in suspects))


def _numbers(rows: RawBars, name: str) -> list[float | None]:
    values = getattr(rows, name)
    if values is None:
        return [None] * len(rows)
    return [None if np.isnan(value) else float(value) for value in values]


def _digest(at: int, numbers: Sequence[float | None], reason: str) -> bytes:
    """What makes a row the same: its instant, the bits of its numbers, and the reason."""
    bits = b"".join(b"-" if number is None else struct.pack("<d", number) for number in numbers)
    return hashlib.sha256(b"%d\0%s\0%s" % (at, bits, reason.encode())).digest()[:16]
