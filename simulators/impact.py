"""The impact gate: does a large order move the price by the square root of its share, and does the price come back?

Impact is measured on pairs of one market with and without a metaorder, in units of the other's volatility over the
metaorder's span: impact ÷ σ = Y · (Q ÷ V) ** δ. Stylised facts do not test this: a market whose price is pinned to a
value passes them all. Knows nothing of markets; `metaorders.py` makes the pairs.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHARES = (0.01, 0.03, 0.10, 0.30)  # of the volume that is traded without the metaorder
SPAN_BARS, REST_BARS = 30, 60  # how long a metaorder trades, and how long after its end the price is looked at again
LEAST_PAIRS = 200
EXPONENT, PREFACTOR, DECAY_LEAST = (0.4, 0.7), (0.3, 2.0), 0.30
FILLED_LEAST = 0.95  # of what was sent

EXPONENTS = np.arange(0.02, 2.0, 0.005)  # where the fit looks
RESAMPLES, CONFIDENCE = 2_000, 0.95


@dataclass(frozen=True, slots=True)
class Pairs:
    """What metaorders did, (levels, pairs) float64 each; every pair has all levels.

    `share` is what was filled ÷ the volume without it; `end` and `after` are the paired differences of log mid, at the
    metaorder's end and `REST_BARS` later, in its direction, ÷ σ of the same span without it; `filled` is the part of
    what was sent that traded.
    """

    share: Floats
    end: Floats
    after: Floats
    filled: Floats


@dataclass(frozen=True, slots=True)
class ImpactFit:
    """The law as fitted, each figure with its bootstrap interval, and what fails; levels in the order of `SHARES`."""

    pairs: int
    share: Floats
    mean_end: Floats
    error_end: Floats
    mean_after: Floats
    filled: Floats
    exponent: float
    exponent_interval: tuple[float, float]
    prefactor: float
    prefactor_interval: tuple[float, float]
    decay: float
    decay_interval: tuple[float, float]
    failed: list[str]

    @property
    def passes(self) -> bool:
        return not self.failed

    def told(self) -> dict[str, Any]:
        """The fit as JSON takes it."""
        names = ("share", "mean_end", "error_end", "mean_after", "filled")
        levels = {name: getattr(self, name).tolist() for name in names}
        laws = {
            name: {"value": getattr(self, name), "interval": list(getattr(self, f"{name}_interval"))}
            for name in ("exponent", "prefactor", "decay")
        }
        return {"pairs": self.pairs, "levels": levels, **laws, "passes": self.passes, "failed": self.failed}


def impact_fit(pairs: Pairs, rng: np.random.Generator) -> ImpactFit:
    """Fit Y and δ to the levels' mean impacts, weighted by their errors, and the decay; bootstrap over pairs."""
    count = pairs.end.shape[1]
    if count < 2 or len({values.shape for values in (pairs.share, pairs.end, pairs.after, pairs.filled)}) != 1:
        raise ValueError(f"impacts of shape {pairs.end.shape} cannot be fitted: levels × pairs, two pairs or more")
    share, mean_end, mean_after = (values.mean(axis=1) for values in (pairs.share, pairs.end, pairs.after))
    error = pairs.end.std(axis=1, ddof=1) / np.sqrt(count)
    exponent, prefactor = _law(share, mean_end[None], error)
    drawn = rng.integers(0, count, (RESAMPLES, count))
    ends = np.stack([level[drawn].mean(axis=1) for level in pairs.end], axis=1)
    afters = np.stack([level[drawn].mean(axis=1) for level in pairs.after], axis=1)
    exponents, prefactors = _law(share, ends, error)
    fit = ImpactFit(
        count,
        share,
        mean_end,
        error,
        mean_after,
        pairs.filled.mean(axis=1),
        float(exponent[0]),
        _interval(exponents),
        float(prefactor[0]),
        _interval(prefactors),
        float(_decay(mean_end[None], mean_after[None])[0]),
        _interval(_decay(ends, afters)),
        [],
    )
    fit.failed.extend(_failures(fit))
    return fit


def child_lots(lots: int, children: int) -> list[int]:
    """A metaorder in as many even parts as whole lots allow; their sum is `lots`, a part may be 0."""
    edges = [round(lots * k / children) for k in range(children + 1)]
    return [later - sooner for sooner, later in pairwise(edges)]


def _law(share: Floats, means: Floats, error: Floats) -> tuple[Floats, Floats]:
    """(δ, Y) of least squares for each row of `means`, (n, levels). A mean below 0 needs no logarithm here."""
    shape = share[:, None] ** EXPONENTS  # (levels, exponents)
    weight = 1.0 / (error * error)
    along = (means * weight) @ shape  # (n, exponents)
    power = weight @ (shape * shape)
    best = np.argmax(np.sign(along) * along * along / power, axis=1)
    return EXPONENTS[best], along[np.arange(len(means)), best] / power[best]


def _decay(ends: Floats, afters: Floats) -> Floats:
    """The share of an impact that is gone later, (n,); 0 where there was none."""
    at_end = ends.sum(axis=1)
    return np.where(at_end == 0.0, 0.0, 1.0 - afters.sum(axis=1) / np.where(at_end == 0.0, 1.0, at_end))


def _failures(fit: ImpactFit) -> list[str]:
    failed = []
    if fit.pairs < LEAST_PAIRS:
        failed.append(f"{fit.pairs} pairs are fewer than {LEAST_PAIRS}")
    for name, value, (low, high) in (("δ", fit.exponent, EXPONENT), ("Y", fit.prefactor, PREFACTOR)):
        if not low <= value <= high:
            failed.append(f"{name} {value:.2f} is not in {low:g} … {high:g}")
    if not fit.decay >= DECAY_LEAST:
        failed.append(f"decay {fit.decay:.0%} is below {DECAY_LEAST:.0%}")
    if fit.filled.min() < FILLED_LEAST:
        failed.append(f"only {fit.filled.min():.0%} of a metaorder was filled, {FILLED_LEAST:.0%} are needed")
    return failed


def _interval(values: Floats) -> tuple[float, float]:
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return float(low), float(high)
