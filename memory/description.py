"""What a window of bars looks like, said in two English sentences: words for buckets of nine statistics and the hour.

The same numbers always give the same words, and no word is a price. Knows no vector and no encoder.
"""

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..market.bars import DAY_MS

NINE: tuple[str, ...] = (
    "return_sum_all",
    "return_sum_8th",
    "volatility_all",
    "volatility_8th",
    "place_all",
    "volume_8th",
    "volume_direction_all",
    "autocorrelation_all",
    "skew_all",
)
HOUR_MS = 3_600_000
SESSIONS = ("Asian", "European", "American")  # eight hours of a UTC day each
DAYS = ("weekday", "weekend")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Bucket(NamedTuple):
    """A statistic's words, one more than the edges between them."""

    statistic: str
    edges: tuple[float, ...]
    words: tuple[str, ...]


BUCKETS = (
    Bucket("return_sum_all", (-1.5, -0.5, 0.5, 1.5), ("fallen far", "fallen", "gone nowhere", "risen", "risen far")),
    Bucket("return_sum_8th", (-0.7, 0.7), ("is falling now", "now stands still", "is rising now")),
    Bucket("place_all", (0.2, 0.8), ("near the low", "in the middle", "near the high")),
    Bucket("volatility_8th", (-0.3, 0.3), ("calming down", "steady", "growing")),
    Bucket("volume_8th", (-0.3, 0.3), ("thin", "usual", "heavy")),
)
LEVELS = ("low", "ordinary", "high")
TEMPLATE = (
    "The market has {0} and {1}, {2} of its range. "
    "Volatility is {level} and {3}, trading is {4}, in {session} hours on a {day}."
)
DESCRIPTION = hashlib.sha256(repr((NINE, BUCKETS, LEVELS, SESSIONS, DAYS, TEMPLATE)).encode()).hexdigest()[:16]


def describe(nine: Floats, closed_at: Ints, calm: float, high: float) -> list[str]:
    """What is said of each row: `nine` (n, 9) columns NINE, `closed_at` (n,) ms UTC.

    Volatility per bar below `calm` is low, above `high` high.
    """
    codes = [np.digitize(nine[:, NINE.index(bucket.statistic)], bucket.edges) for bucket in BUCKETS]
    level = np.digitize(nine[:, NINE.index("volatility_all")], (np.log(calm), np.log(high)))
    session = closed_at % DAY_MS // (8 * HOUR_MS)
    is_weekend = (closed_at // DAY_MS + 3) % 7 >= 5  # 1970-01-01 was a Thursday
    keys, place = np.unique(np.stack([*codes, level, session, is_weekend], axis=1), axis=0, return_inverse=True)
    texts = [_sentence(key) for key in keys.tolist()]
    return [texts[k] for k in place.reshape(-1).tolist()]


def _sentence(key: list[int]) -> str:
    *codes, level, session, is_weekend = key
    words = [bucket.words[code] for bucket, code in zip(BUCKETS, codes, strict=True)]
    return TEMPLATE.format(*words, level=LEVELS[level], session=SESSIONS[session], day=DAYS[is_weekend])
