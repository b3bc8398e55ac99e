"""The scaler: per-column centre, spread and clip, fitted once on the training slice and then frozen.

It becomes the first layer of the network, so it leaves the trainer inside the exported graph. Knows no columns by
name and no library of learning.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLIP = 10.0  # scaled units; a robust spread leaves fat tails long, and beyond ten they say nothing more
NORMAL_IQR = 1.3489795003921634  # the interquartile range of a standard normal distribution
LEAST_SPREAD = 1e-8  # float32 columns carry seven digits: less than this is a constant


@dataclass(frozen=True, eq=False)
class Scaler:
    """`clip((x - centre) / spread, -clip, clip)` in float64, then float32; every array (n_columns,) float64.

    An infinite clip, as on account columns, lets the column through as it is.
    """

    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    clip: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("centre", "spread", "clip"):
            frozen = np.array(getattr(self, name), dtype=np.float64)
            frozen.setflags(write=False)
            object.__setattr__(self, name, frozen)
        if not (self.centre.ndim == 1 and self.centre.shape == self.spread.shape == self.clip.shape):
            raise ValueError(
                f"scaler: centre {self.centre.shape}, spread {self.spread.shape} and clip {self.clip.shape} differ"
            )
        sane = np.isfinite(self.centre) & np.isfinite(self.spread) & (self.spread > 0) & (self.clip > 0)
        if not np.all(sane):
            column = int(np.argmin(sane))
            raise ValueError(
                f"scaler: column {column} has centre {self.centre[column]}, spread {self.spread[column]}, "
                f"clip {self.clip[column]}: they must be finite, and spread and clip above 0"
            )

    @classmethod
    def fit(cls, rows: NDArray[np.float32], account_columns: int = 8, clip: float = CLIP) -> "Scaler":
        """Fit on the market and memory columns of the training slice, rows (T, n) float32; account columns follow.

        Centre is the median and spread the interquartile range over that of a standard normal: returns have fat
        tails, and one crash must not squeeze all other days. A column whose middle half is constant (a flag, a
        memory that is mostly empty) takes mean and standard deviation; a constant one is only centred.
        """
        if rows.ndim != 2 or len(rows) < 2:
            raise ValueError(f"scaler: rows of shape {rows.shape} are not two or more rows of columns")
        finite = np.isfinite(rows)
        if not np.all(finite):
            row, column = np.argwhere(~finite)[0]
            raise ValueError(
                f"scaler: row {row}, column {column} is {rows[row, column]}; warm-up rows must be left out"
            )
        data = rows.astype(np.float64)
        low, centre, high = np.quantile(data, (0.25, 0.5, 0.75), axis=0)
        spread = (high - low) / NORMAL_IQR
        flat = spread < LEAST_SPREAD
        centre = np.where(flat, data.mean(axis=0), centre)
        spread = np.where(flat, data.std(axis=0), spread)
        spread = np.where(spread < LEAST_SPREAD, 1.0, spread)
        return cls(
            np.concatenate([centre, np.zeros(account_columns)]),
            np.concatenate([spread, np.ones(account_columns)]),
            np.concatenate([np.full(len(centre), clip), np.full(account_columns, np.inf)]),
        )

    @classmethod
    def identity(cls, width: int) -> "Scaler":
        """The scaler that changes nothing, for columns that are already scaled."""
        return cls(np.zeros(width), np.ones(width), np.full(width, np.inf))

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.centre)

    @property
    def digest(self) -> str:
        """sha256 over the exact bits of centre, spread and clip."""
        parts = (self.centre, self.spread, self.clip)
        return hashlib.sha256(b"".join(part.astype("<f8").tobytes() for part in parts)).hexdigest()

    def apply(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale rows (..., n_columns) float32 with the very arithmetic of the network's first layer."""
        scaled = (rows.astype(np.float64) - self.centre) / self.spread
        return np.clip(scaled, -self.clip, self.clip).astype(np.float32)

    def to_json(self) -> dict[str, list[float | None]]:
        """Plain lists, exact to the last bit; an infinite clip is null."""
        clip = [float(bound) if np.isfinite(bound) else None for bound in self.clip]
        return {"centre": self.centre.tolist(), "spread": self.spread.tolist(), "clip": clip}

    @classmethod
    def from_json(cls, data: dict[str, Any] | str) -> "Scaler":
        """Read what `to_json` wrote, as a dict or as its JSON text."""
        parsed: dict[str, Any] = json.loads(data) if isinstance(data, str) else data
        if set(parsed) != {"centre", "spread", "clip"}:
            raise ValueError(f"scaler: keys {', '.join(sorted(parsed))} are not centre, spread, clip")
        clip = [np.inf if bound is None else bound for bound in parsed["clip"]]
        return cls(np.array(parsed["centre"]), np.array(parsed["spread"]), np.array(clip))
