"""The embedding: the last W bars as one unit vector, fitted on the training slice and frozen.

Statistics, z-score, clip, PCA rotation, unit norm. Another embedder, a learned one say, is any `Embedding` of
`moments.py`. Knows nothing of outcomes or stores.
"""

import hashlib
import io
import math
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..market.bars import INTERVALS, Bars
from ..market.jit import COMPILED, inlined_kernel, lean_kernel
from .moments import PastError
from .statistics import (
    LOG_VOLATILITY,
    SHORTEST_WINDOW,
    STATISTICS,
    VERSION,
    columns_of,
    last_statistics,
    statistics_at,
    whole_rows,
)

WINDOW = 64  # bars
WIDTH = 128  # dimensions kept of the rotated statistics: all of them
FEWEST = len(STATISTICS)  # whole windows of a training slice: with fewer some directions would be without any spread
CLIP = 5.0  # spreads
SMALLEST = 1e-9  # length: a row exactly at the centre points nowhere and has no vector
BLOCK = 512  # rows of statistics held at a time: half a megabyte stays in a core's cache
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
        _check(self)
        object.__setattr__(self, "digest", _digest(self))

    @property
    def width(self) -> int:
        return int(self.rotation.shape[1])

    @classmethod
    def fit(cls, bars: Bars, stop: int | None = None, *, window: int = WINDOW, width: int = WIDTH) -> "Embedder":
        """Fit on bars 0 … stop−1, the training slice, and on nothing after them."""
        stop = len(bars) if stop is None else stop
        _check_fit(bars, stop, window, width)
        training = bars.slice(0, stop)
        rows = whole_rows(training, window)
        if len(rows) < FEWEST:
            raise PastError(
                f"{len(rows)} whole windows of {window} bars are too few to fit an embedding, {FEWEST} needed"
            )
        raw = statistics_at(columns_of(training), rows, window)
        threshold = float(np.quantile(np.exp(raw[:, LOG_VOLATILITY]), HIGH_VOLATILITY))
        centre, spread = raw.mean(axis=0), raw.std(axis=0)
        scale = np.where(spread > 1e-9, 1.0 / np.maximum(spread, 1e-9), 0.0)
        scaled = _scaled(raw, centre, scale)
        until = int(bars.closed_at[stop - 1])
        return cls(bars.interval, window, until, threshold, centre, scale, _rotation(scaled, width))

    def vectors(self, bars: Bars) -> Vectors:
        """(T, D) float32 of unit norm; row t uses bars ≤ t, NaN while its window is not whole."""
        self._check_interval(bars)
        out = np.full((len(bars), self.width), np.nan, np.float32)
        rows, columns = whole_rows(bars, self.window), columns_of(bars)
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            out[block] = self._turned(statistics_at(columns, block, self.window))
        return out

    def vectors_of(self, histories: Sequence[Bars]) -> Vectors:
        """(n, D) float32 at the last bar of each history, NaN where its window is not whole: the bits of `vectors`."""
        for bars in histories:
            self._check_interval(bars)
        out = np.full((len(histories), self.width), np.nan, np.float32)
        raw, whole = last_statistics(histories, self.window, INTERVALS[self.interval])
        out[whole] = self._turned(raw)
        return out

    def vector(self, window: Bars) -> Vectors:
        """(D,) float32 at the last of these bars: the same bits as that row of `vectors`."""
        row: Vectors = self.vectors_of([window])[0]
        return row

    def _turned(self, raw: Floats) -> Vectors:
        """Unit vectors (n, D) of statistics (n, F)."""
        out = np.full((len(raw), self.width), np.nan, np.float32)
        turn = _turn_compiled if COMPILED else _turn_plainly
        turn(raw, self.centre, self.scale, self.rotation, np.empty(self.width), out)
        return out

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
        if str(found["version"]) != str(VERSION):
            raise PastError(f"embedder {path} is of version {found['version']}, this house reads {VERSION}")
        try:
            embedder = cls(
                str(found["interval"]),
                int(found["window"]),
                int(found["fitted_until"]),
                float(found["high_volatility"]),
                *(np.ascontiguousarray(found[name], np.float64) for name in ("centre", "scale", "rotation")),
            )
        except (TypeError, ValueError) as error:
            raise PastError(f"embedder {path} cannot be read: {error}") from None
        if embedder.digest != str(found["digest"]):
            raise PastError(f"embedder {path} is not the one that was saved: its digest differs")
        return embedder

    def _check_interval(self, bars: Bars) -> None:
        if bars.interval != self.interval:
            raise PastError(f"the embedder was fitted on {self.interval} bars, these are {bars.interval}")


def _check_fit(bars: Bars, stop: int, window: int, width: int) -> None:
    if not 0 < stop <= len(bars):
        raise PastError(f"the training slice ends at bar {stop}, the history has {len(bars)}")
    _check_window(window)
    if not 1 <= width <= len(STATISTICS):
        raise PastError(f"width {width} must lie between 1 and {len(STATISTICS)}")


def _check_window(window: int) -> None:
    if window < SHORTEST_WINDOW or window % 16:
        raise PastError(f"window {window} must be a multiple of 16 and at least {SHORTEST_WINDOW} bars")


def _check(embedder: Embedder) -> None:
    """Kernels do not look where they reach: what is not of the right shape must not come in."""
    if embedder.interval not in INTERVALS:
        raise PastError(f"interval {embedder.interval!r} of the embedder is not one of {', '.join(INTERVALS)}")
    _check_window(embedder.window)
    count = len(STATISTICS)
    width = min(max(1, *embedder.rotation.shape[1:2], 1), count)
    for name, shape in (("centre", (count,)), ("scale", (count,)), ("rotation", (count, width))):
        array = getattr(embedder, name)
        if array.shape != shape or array.dtype != np.float64 or not np.isfinite(array).all():
            raise PastError(f"{name} of the embedder is {array.dtype} {array.shape}: not finite float64 {shape}")


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
    digest = hashlib.sha256(",".join(STATISTICS).encode())
    for name, array in _arrays(embedder).items():
        value = array.item() if array.ndim == 0 else array.astype("<f8").tobytes().hex()
        digest.update(f"|{name}={array.shape}:{value!r}".encode())
    return digest.hexdigest()


def _scaled(raw: Floats, centre: Floats, scale: Floats) -> Floats:
    scaled = (raw - centre) * scale
    np.maximum(np.minimum(scaled, CLIP, out=scaled), -CLIP, out=scaled)
    return scaled


@lean_kernel
def _turn_compiled(raw: Floats, centre: Floats, scale: Floats, rotation: Floats, turned: Floats, out: Vectors) -> None:
    """Scale, clip, rotate and normalise each row; plain loops, since BLAS bits depend on the shape. Four directions at
    a time: the sums, which are the same, then go through memory a quarter as often."""
    width = rotation.shape[1]
    for row in range(raw.shape[0]):
        for j in range(width):
            turned[j] = 0.0
        for i in range(0, rotation.shape[0] - 3, 4):
            first = _clipped(float(raw[row, i]), float(centre[i]), float(scale[i]))
            second = _clipped(float(raw[row, i + 1]), float(centre[i + 1]), float(scale[i + 1]))
            third = _clipped(float(raw[row, i + 2]), float(centre[i + 2]), float(scale[i + 2]))
            fourth = _clipped(float(raw[row, i + 3]), float(centre[i + 3]), float(scale[i + 3]))
            for j in range(width):
                two = float(turned[j]) + first * float(rotation[i, j]) + second * float(rotation[i + 1, j])
                turned[j] = two + third * float(rotation[i + 2, j]) + fourth * float(rotation[i + 3, j])
        squares = 0.0
        for j in range(width):
            squares += float(turned[j]) * float(turned[j])
        norm = math.sqrt(squares)
        if norm > SMALLEST:
            for j in range(width):
                out[row, j] = float(turned[j]) / norm


@inlined_kernel
def _clipped(value: float, centre: float, scale: float) -> float:
    return max(-CLIP, min(CLIP, (value - centre) * scale))


def _turn_plainly(raw: Floats, centre: Floats, scale: Floats, rotation: Floats, _: Floats, out: Vectors) -> None:
    """The same additions in the same order, a direction of the statistics at a time: interpreted, the loops over
    128 × 128 numbers would take longer than all else in a decision."""
    scaled = _scaled(raw, centre, scale)
    turned = np.zeros((len(raw), rotation.shape[1]))
    for i, direction in enumerate(rotation):
        turned += scaled[:, i : i + 1] * direction
    squares = np.zeros(len(raw))
    for j in range(rotation.shape[1]):
        squares += turned[:, j] * turned[:, j]
    norm = np.sqrt(squares)
    points = norm > SMALLEST
    out[points] = turned[points] / norm[points, None]
