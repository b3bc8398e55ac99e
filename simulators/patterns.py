"""A market that a memory can know: words of eight moves, each of which is always followed by the same drift.

Quiet bars, a word, eight bars of drift, again and again; how long the quiet lasts and which word comes is drawn. Words
are six rows of an 8 × 8 Hadamard matrix, each of which adds up to nothing, and their opposites. Three rows mean up and
three mean down, and a word means what its opposite means: nothing linear in its moves tells which, and whoever has no
memory must learn the words by heart. The unit position of the word's meaning, held while the drift lasts, earns
`edge_per_cycle` in log price before costs; holding earns nothing in the mean. Knows nothing of traders: orders do not
move these prices.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..market.bars import INTERVALS, Bars
from .processes import OPENED_AT

WORDS = np.array(
    [
        [1, -1, 1, -1, 1, -1, 1, -1],
        [1, 1, -1, -1, 1, 1, -1, -1],
        [1, -1, -1, 1, 1, -1, -1, 1],
        [1, -1, 1, -1, -1, 1, -1, 1],
        [1, 1, -1, -1, -1, -1, 1, 1],
        [1, -1, -1, 1, -1, 1, 1, -1],
    ],
    np.float64,
)
MEANING = np.array([1, -1, 1, -1, 1, -1], np.float64)
LENGTH: int = WORDS.shape[1]  # bars of a word, and of what it means
QUIET = (6, 12)  # bars before a word, drawn from [6, 12)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Patterns:
    """Log returns a bar: `size` of a word's moves, `drift` of what follows, `noise` the deviation on top of all."""

    price: float = 30_000.0
    size: float = 0.01
    drift: float = 0.004
    noise: float = 0.003
    mean_volume: float = 100.0
    volume_sd: float = 0.5  # of its logarithm

    @property
    def edge_per_cycle(self) -> float:
        """Mean log price gained in a cycle by whoever knows every word, before costs."""
        return LENGTH * self.drift


def patterns(
    n_bars: int,
    *,
    rng: np.random.Generator,
    interval: str = "1h",
    opened_at: int = OPENED_AT,
    parameters: Patterns | None = None,
) -> Bars:
    """Draw `n_bars` of a market of words.

    >>> len(patterns(500, rng=np.random.default_rng(7)))
    500
    """
    if n_bars < 1:
        raise ValueError(f"n_bars is {n_bars}, a market has at least 1 bar")
    law = Patterns() if parameters is None else parameters
    moves = _moves(n_bars, law, rng)
    close = law.price * np.exp(np.cumsum(moves + law.noise * rng.standard_normal(n_bars)))
    begun = np.concatenate([[law.price], close[:-1]])
    beyond = np.exp(0.5 * law.noise * np.abs(rng.standard_normal((2, n_bars))))
    volume = law.mean_volume * np.exp(law.volume_sd * rng.standard_normal(n_bars) - 0.5 * law.volume_sd**2)
    return Bars(
        interval,
        opened_at + INTERVALS[interval] * np.arange(n_bars, dtype=np.int64),
        begun,
        np.maximum(begun, close) * beyond[0],
        np.minimum(begun, close) / beyond[1],
        close,
        volume,
        symbol="PATTERNS",
    )


def _moves(n_bars: int, law: Patterns, rng: np.random.Generator) -> Floats:
    """What the moves are without noise."""
    cycles = math.ceil(n_bars / (QUIET[0] + 2 * LENGTH))
    pieces = []
    for _ in range(cycles):
        word, sign = int(rng.integers(len(WORDS))), float(rng.choice((-1.0, 1.0)))
        quiet = np.zeros(int(rng.integers(*QUIET)))
        pieces += [quiet, sign * law.size * WORDS[word], np.full(LENGTH, MEANING[word] * law.drift)]
    return np.concatenate(pieces)[:n_bars]
