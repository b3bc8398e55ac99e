"""What is normal: thresholds that advice is measured by, fitted once on the training slice, point-in-time.

Every training moment is asked what a desk at its close could have recalled; how novel it looked, and how often what
followed was a deep fall, is the yardstick. Nothing after `fitted_until` enters. Knows nothing of the moment that is
judged by it.
"""

import json
import math
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .columns import FEWEST, TEMPERATURE
from .moments import Embedding, Floats, Ints, Moments, PastError, Singles
from .recall import NEIGHBOURS, Progress, embargo_ms, nearest_as_of

FORMAT = 1
ALARM_RATE = 0.01  # share of the training slice's last quarter that would have raised the anomaly flag
DEEP_FALL = 0.9  # quantile of the training slice's forward drawdowns: what lies above is a deep fall
STORMY = 0.75  # quantile of its forward volatilities; the calm three quarters split into thirds by return
SHRINKAGES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
LEAST_MOMENTS = 500
GROWN = 0.75  # novelty is measured from here on: to a young memory everything is new, and the flag would never rise
RANKS = 1000  # novelty quantiles that are kept
_WHOLE = ("interval_ms", "neighbours", "horizon", "embargo", "fitted_until", "moments")


class TooFewMoments(PastError):
    """A training slice is too short to say what is normal."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """The yardsticks of one training slice, for one embedder and one way of asking (`neighbours`, `horizon`, `embargo`
    in bars).

    An anomaly is a novelty above `anomaly`, the (1 − alarm_rate) quantile of the slice's last quarter, whose memory had
    grown; `novelty` holds RANKS + 1 quantiles of it. As the memory grows on, alarms become rarer than that.
    `deep_fall` is a forward drawdown, `base_rate` the share above it; `shrinkage` is how many neighbours the base rate
    counts for. `stormy` is a volatility per bar, `rising` and `falling` log returns over the horizon.
    """

    embedder: str
    interval_ms: int
    neighbours: int
    horizon: int
    embargo: int
    fitted_until: int
    moments: int
    alarm_rate: float
    anomaly: float
    deep_fall: float
    base_rate: float
    shrinkage: float
    stormy: float
    rising: float
    falling: float
    novelty: tuple[float, ...]

    def __post_init__(self) -> None:
        numbers = [value for value in asdict(self).values() if isinstance(value, float)]
        if not all(math.isfinite(value) for value in (*numbers, *self.novelty)):
            raise PastError("a calibration holds NaN or infinity")
        if len(self.novelty) != RANKS + 1 or np.any(np.diff(self.novelty) < 0.0):
            raise PastError(f"a calibration needs {RANKS + 1} rising quantiles of novelty, not {len(self.novelty)}")
        if not 0.0 < self.base_rate < 1.0 or self.shrinkage <= 0.0 or self.rising < self.falling:
            raise PastError(
                f"a calibration of base rate {self.base_rate}, shrinkage {self.shrinkage} and returns from "
                f"{self.falling} to {self.rising} cannot be"
            )

    @classmethod
    def fit(
        cls,
        moments: Moments,
        embedder: Embedding,
        *,
        interval_ms: int,
        horizon: int,
        until: int,
        k: int = NEIGHBOURS,
        embargo: int | None = None,
        alarm_rate: float = ALARM_RATE,
        progress: Progress | None = None,
    ) -> "Calibration":
        """Fit on the moments that were known by `until`, the training slice's last close (ms UTC).

        `moments` as an archive holds them, in known_at order; `embargo` in bars, as `nearest_in` is asked.
        """
        if not 0.0 < alarm_rate < 0.5:
            raise PastError(f"alarm rate {alarm_rate} must lie between 0 and 0.5")
        stop = int(np.searchsorted(moments.known_at, until, "right"))
        span = embargo_ms(embedder, interval_ms, horizon, embargo)
        indices, similarities = nearest_as_of(
            moments.vectors[:stop],
            moments.known_at[:stop],
            moments.vectors[:stop],
            moments.closed_at[:stop],
            k=k,
            symbol=moments.symbol[:stop],
            query_symbol=moments.symbol[:stop],
            embargo=span,
            episode=moments.episodes(horizon * interval_ms)[:stop],
            progress=progress,
        )
        asked = np.flatnonzero((indices >= 0).sum(axis=1) >= FEWEST)
        if len(asked) < LEAST_MOMENTS:
            raise TooFewMoments(
                f"{len(asked)} training moments had a past to recall by {until}; a calibration needs {LEAST_MOMENTS}"
            )
        falls = moments.forward_drawdown[:stop].astype(np.float64)
        deep = float(np.quantile(falls[asked], DEEP_FALL))
        shares, effective = _recalled_shares(falls > deep, indices[asked], similarities[asked])
        happened = falls[asked] > deep
        base = float(np.clip(happened.mean(), 1.0 / len(asked), 1.0 - 1.0 / len(asked)))
        grown = similarities[asked[int(GROWN * len(asked)) :]]
        novelties = np.sort([novelty_of(row[row > -np.inf]) for row in grown])
        volatility, outcome = (
            column[:stop][asked].astype(np.float64) for column in (moments.forward_volatility, moments.forward_return)
        )
        stormy = float(np.quantile(volatility, STORMY))
        falling, rising = np.quantile(outcome[volatility <= stormy], (1.0 / 3.0, 2.0 / 3.0)).tolist()
        return cls(
            embedder=embedder.digest,
            interval_ms=interval_ms,
            neighbours=k,
            horizon=horizon,
            embargo=span // interval_ms,
            fitted_until=int(until),
            moments=len(asked),
            alarm_rate=alarm_rate,
            anomaly=_upper_quantile(novelties, alarm_rate),
            deep_fall=deep,
            base_rate=base,
            shrinkage=_best_shrinkage(shares, effective, base, happened),
            stormy=stormy,
            rising=rising,
            falling=falling,
            novelty=tuple(np.quantile(novelties, np.linspace(0.0, 1.0, RANKS + 1)).tolist()),
        )

    def rank_of(self, novelty: float) -> float:
        """The share of the slice's last quarter that looked no more novel than this, to a thousandth."""
        return int(np.searchsorted(self.novelty, novelty, "right")) / (RANKS + 1)

    def check(self, *, embedder: str, neighbours: int, horizon: int) -> None:
        """PastError where it is another embedder's, or was fitted for another way of asking."""
        for name, value in {"embedder": embedder, "neighbours": neighbours, "horizon": horizon}.items():
            if getattr(self, name) != value:
                raise PastError(f"the calibration is of {name} {getattr(self, name)}, not {value}: fit it again")

    def save(self, path: str | Path) -> None:
        """Write JSON, whole or not at all."""
        target = Path(path)
        part = target.with_name(target.name + ".part")
        with part.open("w") as file:
            json.dump({"format": FORMAT, **asdict(self)}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)

    @classmethod
    def load(cls, path: str | Path) -> "Calibration":
        """Read what `save` wrote; a torn or foreign file is refused."""
        try:
            held = json.loads(Path(path).read_text())
            if held.pop("format") != FORMAT:
                raise PastError(f"calibration {path} is of another format than {FORMAT}")
            names = {field.name for field in fields(cls)}
            if set(held) != names:
                raise PastError(f"calibration {path} lacks or adds {', '.join(sorted(set(held) ^ names))}")
            read = {name: (int if name in _WHOLE else float)(held[name]) for name in names - {"embedder", "novelty"}}
            quantiles = tuple(float(value) for value in held["novelty"])
            return cls(embedder=str(held["embedder"]), novelty=quantiles, **read)  # type: ignore[arg-type]  # by name
        except PastError:
            raise
        except FileNotFoundError:
            raise PastError(f"there is no calibration at {path}: without one nothing can be said") from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise PastError(f"calibration {path} cannot be read: {error}") from None


def novelty_of(similarities: Singles) -> float:
    """1 − mean similarity of the neighbours that there are."""
    return 1.0 - float(np.mean(similarities, dtype=np.float64))


def weights_of(similarities: Singles) -> Floats:
    """Shares that add up to 1: exp((similarity − best) / TEMPERATURE), as the memory columns weigh."""
    wide = similarities.astype(np.float64)
    raw: Floats = np.exp((wide - wide.max(axis=-1, keepdims=True)) / TEMPERATURE)
    shares: Floats = raw / raw.sum(axis=-1, keepdims=True)
    return shares


def shrunk(share: float, effective_k: float, base_rate: float, shrinkage: float) -> float:
    """A share that `effective_k` neighbours tell, drawn towards the base rate, which counts as `shrinkage` more."""
    return (effective_k * share + shrinkage * base_rate) / (effective_k + shrinkage)


def _upper_quantile(rising: Floats, above: float) -> float:
    """The smallest value that at most the share `above` of values like these exceeds (a conformal quantile)."""
    place = math.ceil((len(rising) + 1) * (1.0 - above))
    if place > len(rising):
        raise PastError(f"{len(rising)} novelties are too few for an alarm rate of {above}")
    return float(rising[place - 1])


def _recalled_shares(happened: NDArray[np.bool_], indices: Ints, similarities: Singles) -> tuple[Floats, Floats]:
    """For each query the weighted share of its neighbours to which it happened, and its effective k."""
    weights = weights_of(similarities)  # a missing neighbour, of similarity −inf, weighs nothing
    shares: Floats = (weights * happened[indices]).sum(axis=1)
    effective: Floats = 1.0 / np.square(weights).sum(axis=1)
    return shares, effective


def _best_shrinkage(shares: Floats, effective: Floats, base: float, happened: NDArray[np.bool_]) -> float:
    """The one of SHRINKAGES with the smallest mean squared error (Brier) on the training slice."""
    errors = []
    for shrinkage in SHRINKAGES:
        told = (effective * shares + shrinkage * base) / (effective + shrinkage)
        errors.append(float(np.mean(np.square(told - happened))))
    return SHRINKAGES[int(np.argmin(errors))]
