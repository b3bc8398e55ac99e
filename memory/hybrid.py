"""The hybrid embedding: nine statistics of the last W bars beside a sentence about them, 393 columns.

The sentence is put together from words for buckets, so that a few thousand sentences tell of any history, and none
holds a price. Statistics are z-scores, sentences differences from the average one; each kind has a stated share of the
squared length before the whole is made a unit vector. Fitted on the training slice only. Knows no encoder but as a
function of text, and nothing of outcomes.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bars
from ..market.durable import write_whole
from . import sentences
from .description import DESCRIPTION, NINE, describe
from .embed import CLIP, HIGH_VOLATILITY, WINDOW
from .moments import PastError, Singles
from .statistics import SHORTEST_WINDOW, STATISTICS, VERSION, columns_of, raw_statistics, statistics_at, whole_rows

WIDTH = len(NINE) + sentences.WIDTH
TEXT_SHARE = 0.5  # of the squared length of a typical vector of the training slice; the nine have the rest
FEWEST = 100  # whole windows of a training slice
BLOCK = 512  # rows held at a time

_ARRAYS = ("centre", "scale", "text_centre")
_TERMS = ("interval", "window", "fitted_until", "high_volatility", "calm", "text_scale")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Hybrid:
    """Frozen numbers: `centre` and `scale` (9,) of the statistics, `text_centre` (384,) and `text_scale` of sentences.

    Volatility per bar below `calm` is low, above `high_volatility` high: a third of the training slice each.
    """

    interval: str
    window: int
    fitted_until: int
    high_volatility: float
    calm: float
    centre: Floats
    scale: Floats
    text_centre: Floats
    text_scale: float
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", _digest(self))

    @property
    def width(self) -> int:
        return WIDTH

    @classmethod
    def fit(cls, bars: Bars, stop: int, *, window: int = WINDOW, width: int | None = None) -> "Hybrid":
        """Fit on bars 0 … stop−1 and on nothing after them."""
        if width not in (None, WIDTH):
            raise PastError(f"the hybrid embedder is {WIDTH} wide, width {width} cannot be had")
        if window < SHORTEST_WINDOW or window % 16:
            raise PastError(f"window {window} must be a multiple of 16 and at least {SHORTEST_WINDOW} bars")
        training = bars.slice(0, stop)
        rows = whole_rows(training, window)
        if len(rows) < FEWEST:
            raise PastError(f"{len(rows)} whole windows of {window} bars are too few to fit an embedding")
        nine = _nine(statistics_at(columns_of(training), rows, window))
        volatility = np.exp(nine[:, NINE.index("volatility_all")])
        calm, high = (float(np.quantile(volatility, share)) for share in (1.0 - HIGH_VOLATILITY, HIGH_VOLATILITY))
        texts = _encoded(describe(nine, training.closed_at[rows], calm, high))
        text_centre = texts.mean(axis=0)
        length = float(np.sqrt(np.square(texts - text_centre).sum(axis=1).mean()))
        spread = nine.std(axis=0)
        return cls(
            bars.interval,
            window,
            int(bars.closed_at[stop - 1]),
            high,
            calm,
            nine.mean(axis=0),
            np.where(spread > 1e-9, 1.0 / np.maximum(spread, 1e-9), 0.0),
            text_centre,
            1.0 / length if length > 1e-9 else 0.0,
        )

    def vectors(self, bars: Bars) -> Singles:
        """(T, 393) float32 of unit norm; row t uses bars ≤ t, NaN while its window is not whole."""
        self._check_interval(bars)
        out = np.full((len(bars), WIDTH), np.nan, np.float32)
        rows, columns = whole_rows(bars, self.window), columns_of(bars)
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            out[block] = self._joined(_nine(statistics_at(columns, block, self.window)), bars.closed_at[block])
        return out

    def vectors_of(self, histories: Sequence[Bars]) -> Singles:
        """(n, 393) float32 at the last bar of each history, NaN where its window is not whole."""
        rows = [self.vector(bars) for bars in histories]
        return np.stack(rows) if rows else np.empty((0, WIDTH), np.float32)

    def vector(self, window: Bars) -> Singles:
        """(393,) float32 at the last of these bars: the same bits as that row of `vectors`."""
        row: Singles = self.vectors(window.slice(max(0, len(window) - self.window), len(window)))[-1]
        return row

    def descriptions(self, bars: Bars) -> list[str]:
        """What is said of each whole window of these bars, oldest first."""
        rows = whole_rows(bars, self.window)
        return describe(
            _nine(raw_statistics(bars, self.window)[rows]), bars.closed_at[rows], self.calm, self.high_volatility
        )

    def save(self, path: str | Path) -> None:
        """Write an .npz without pickled objects, whole or not at all."""
        file = io.BytesIO()
        terms = json.dumps({**_terms(self), "digest": self.digest})
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        np.savez(file, allow_pickle=False, kind=np.array("hybrid"), terms=np.array(terms), **arrays)
        write_whole(Path(path), file.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> "Hybrid":
        """Read what `save` wrote; a torn or changed file, and one of other words or another encoder, are refused."""
        try:
            with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as file:
                told: dict[str, Any] = json.loads(str(file["terms"]))
                arrays: dict[str, Any] = {name: np.ascontiguousarray(file[name], np.float64) for name in _ARRAYS}
            embedder = cls(**{name: told[name] for name in _TERMS}, **arrays)
        except (OSError, EOFError, LookupError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise PastError(f"embedder {path} cannot be read: {error}") from None
        sentences.check()  # now, rather than at the first bar
        for name, value in _terms(embedder).items():
            if told.get(name) != value:
                raise PastError(f"embedder {path} was made with {name} {told.get(name)}, this house has {value}")
        if embedder.digest != told.get("digest"):
            raise PastError(f"embedder {path} is not the one that was saved: its digest differs")
        return embedder

    def _joined(self, nine: Floats, closed_at: Ints) -> Singles:
        """Unit vectors (n, 393) of statistics (n, 9) and of what is said of them."""
        scaled = np.clip((nine - self.centre) * self.scale, -CLIP, CLIP)
        texts = _encoded(describe(nine, closed_at, self.calm, self.high_volatility)) - self.text_centre
        parts = (
            scaled * np.sqrt((1.0 - TEXT_SHARE) / len(NINE)),
            texts * (self.text_scale * np.sqrt(TEXT_SHARE)),
        )
        rows = np.hstack(parts)
        norms = np.sqrt(np.square(rows).sum(axis=1))
        unit: Singles = (rows / np.where(norms > 1e-9, norms, np.nan)[:, None]).astype(np.float32)
        return unit

    def _check_interval(self, bars: Bars) -> None:
        if bars.interval != self.interval:
            raise PastError(f"the embedder was fitted on {self.interval} bars, these are {bars.interval}")


def _nine(statistics: Floats) -> Floats:
    return np.ascontiguousarray(statistics[:, [STATISTICS.index(name) for name in NINE]])


def _encoded(texts: Sequence[str]) -> Floats:
    """(n, 384) float64; each distinct text goes through the encoder once in this process."""
    return np.array([sentences.encode(text) for text in texts], np.float64).reshape(len(texts), sentences.WIDTH)


def _terms(embedder: Hybrid) -> dict[str, Any]:
    own = {name: getattr(embedder, name) for name in _TERMS}
    return {
        "statistics": VERSION,
        "text_share": TEXT_SHARE,
        "description": DESCRIPTION,
        "encoder": sentences.DIGEST,
        **own,
    }


def _digest(embedder: Hybrid) -> str:
    digest = hashlib.sha256(json.dumps(_terms(embedder), sort_keys=True).encode())
    for name in _ARRAYS:
        digest.update(getattr(embedder, name).astype("<f8").tobytes())
    return digest.hexdigest()
