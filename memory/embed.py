"""The embedding: the last W bars as one unit vector, fitted on the training slice and frozen.

Statistics, z-score, clip, PCA rotation, unit norm. Another embedder, a learned one say, is any `Embedding` of
`moments.py`. Knows nothing of outcomes or stores.
"""

import hashlib
import io
import math
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..market.bars import INTERVALS, Bars
from ..market.jit import kernel
from .moments import PastError
from .statistics import LOG_VOLATILITY, SHORTEST_WINDOW, STATISTICS, VERSION, raw_statistics

WINDOW = 64  # bars
WIDTH = 32  # dimensions kept of the rotated statistics
CLIP = 5.0  # spreads
HIGH_VOLATILITY = 2.0 / 3.0  # the calmer share of the training slice: what lies above is a regime of its own

_FIELDS = ("version", "window", "interval", "fitted_until", "high_volatility", "centre", "scale", "rotation")

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Embedder:
    """Frozen numbers that turn bars into vectors: equal digests give equal bits.

    `centre` and `scale` (F,), `rotation` (F, D) float64. `high_volatility` is the volatility per bar that
    divides the training slice's calm two thirds from the rest; `fitted_until` the close of its last bar.
    """

    interval: str
    window: int
    fitted_until: int
    high_volatility: float
    centre: Floats
    scale: Floats
    rotation: Floats
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", _digest(self))

    @property
    def width(self) -> int:
        return int(self.rotation.shape[1])

    @classmethod
    def fit(cls, bars: Bars, stop: int | None = None, *, window: int = WINDOW, width: int = WIDTH) -> "Embedder":
        """Fit on bars 0 … stop−1, the training slice, and on nothing after them."""
        stop = len(bars) if stop is None else stop
        _check_fit(bars, stop, window, width)
        raw = raw_statistics(bars.slice(0, stop), window)
        rows = raw[np.isfinite(raw[:, 0])]
        if len(rows) < 2 * len(STATISTICS):
            raise PastError(f"{len(rows)} whole windows of {window} bars are too few to fit an embedding")
        centre, spread = rows.mean(axis=0), rows.std(axis=0)
        scale = np.where(spread > 1e-9, 1.0 / np.maximum(spread, 1e-9), 0.0)
        scaled = np.clip((rows - centre) * scale, -CLIP, CLIP)
        threshold = float(np.quantile(np.exp(rows[:, LOG_VOLATILITY]), HIGH_VOLATILITY))
        until = int(bars.closed_at[stop - 1])
        return cls(bars.interval, window, until, threshold, centre, scale, _rotation(scaled, width))

    def vectors(self, bars: Bars) -> Vectors:
        """(T, D) float32 of unit norm; row t uses bars ≤ t, NaN while its window is not whole."""
        self._check_interval(bars)
        raw = raw_statistics(bars, self.window)
        out = np.full((len(bars), self.width), np.nan, np.float32)
        _project(raw, self.centre, self.scale, self.rotation, np.empty(self.width), out)
        return out

    def vector(self, window: Bars) -> Vectors:
        """(D,) float32 at the last of these bars: the same bits as that row of `vectors`."""
        rows: Vectors = self.vectors(window.slice(max(0, len(window) - self.window), len(window)))[-1]
        return rows

    def save(self, path: str | Path) -> None:
        """Write an .npz without pickled objects, whole or not at all."""
        target = Path(path)
        part = target.with_name(target.name + ".part")
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, digest=np.array(self.digest), **_arrays(self))
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)

    @classmethod
    def load(cls, path: str | Path) -> "Embedder":
        """Read what `save` wrote; a torn, foreign or changed file is refused."""
        try:
            file = np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False)
            found = {name: file[name] for name in (*_FIELDS, "digest")}
        except FileNotFoundError:
            raise PastError(f"there is no embedder at {path}") from None
        except (OSError, EOFError, LookupError, ValueError, zipfile.BadZipFile) as error:
            raise PastError(f"embedder {path} cannot be read: {error}") from None
        if int(found["version"]) != VERSION:
            raise PastError(f"embedder {path} is of version {found['version']}, this house reads {VERSION}")
        embedder = cls(
            str(found["interval"]),
            int(found["window"]),
            int(found["fitted_until"]),
            float(found["high_volatility"]),
            *(np.ascontiguousarray(found[name], np.float64) for name in ("centre", "scale", "rotation")),
        )
        if embedder.digest != str(found["digest"]):
            raise PastError(f"embedder {path} is not the one that was saved: its digest differs")
        return embedder

    def _check_interval(self, bars: Bars) -> None:
        if bars.interval != self.interval:
            raise PastError(f"the embedder was fitted on {self.interval} bars, these are {bars.interval}")


def _check_fit(bars: Bars, stop: int, window: int, width: int) -> None:
    if not 0 < stop <= len(bars):
        raise PastError(f"the training slice ends at bar {stop}, the history has {len(bars)}")
    if window < SHORTEST_WINDOW or window % 16:
        raise PastError(f"window {window} must be a multiple of 16 and at least {SHORTEST_WINDOW} bars")
    if not 1 <= width <= len(STATISTICS):
        raise PastError(f"width {width} must lie between 1 and {len(STATISTICS)}")


def _rotation(scaled: Floats, width: int) -> Floats:
    """The first principal directions as columns; the largest entry of each is positive: signs are settled."""
    covariance = np.einsum("ti,tj->ij", scaled, scaled) / len(scaled)  # no BLAS: bits free of the thread count
    _, directions = np.linalg.eigh(covariance)
    kept = directions[:, ::-1][:, :width]
    largest = np.take_along_axis(kept, np.abs(kept).argmax(axis=0)[None, :], axis=0)
    return np.ascontiguousarray(kept * np.where(largest < 0.0, -1.0, 1.0))


def _arrays(embedder: Embedder) -> dict[str, NDArray[np.generic]]:
    values = {name: getattr(embedder, name) for name in _FIELDS if name != "version"}
    return {"version": np.array(VERSION), **{name: np.array(value) for name, value in values.items()}}


def _digest(embedder: Embedder) -> str:
    if embedder.interval not in INTERVALS:
        raise PastError(f"interval {embedder.interval!r} of the embedder is not one of {', '.join(INTERVALS)}")
    digest = hashlib.sha256(",".join(STATISTICS).encode())
    for name, array in _arrays(embedder).items():
        value = array.item() if array.ndim == 0 else array.astype("<f8").tobytes().hex()
        digest.update(f"|{name}={array.shape}:{value!r}".encode())
    return digest.hexdigest()


@kernel
def _project(raw: Floats, centre: Floats, scale: Floats, rotation: Floats, turned: Floats, out: Vectors) -> None:
    """Scale, clip, rotate and normalise each whole row; plain loops, since BLAS bits depend on the shape."""
    columns, width = rotation.shape
    for row in range(raw.shape[0]):
        if math.isnan(float(raw[row, 0])):
            continue
        for j in range(width):
            turned[j] = 0.0
        for i in range(columns):
            value = (float(raw[row, i]) - float(centre[i])) * float(scale[i])
            value = max(-CLIP, min(CLIP, value))
            for j in range(width):
                turned[j] += value * float(rotation[i, j])
        squares = 0.0
        for j in range(width):
            squares += float(turned[j]) * float(turned[j])
        norm = math.sqrt(squares)
        if norm > 1e-9:  # a row exactly at the centre points nowhere and stays NaN
            for j in range(width):
                out[row, j] = float(turned[j]) / norm
