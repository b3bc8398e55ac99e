"""The scorecard: how many of the seventeen stylised facts of a window lie in the bands of a real market.

Bands are data, `conf/realism/*.yaml`. Two sets for each time unit: `facts`, as first proposed, and `refit`, fitted
once to real windows by a fixed rule (`experiments/bands.py`); the refit decides where it stands. Knows neither traders
nor where a window came from.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from .stylised import FACTS, PACES, Floats, Pace, facts_of

BANDS = Path(__file__).resolve().parents[1] / "conf" / "realism"
SETS = ("facts", "refit")
UPPER_ONLY = ("return_acf_2_10", "gaussianity")  # less is no fault there

# The bar for a market (proposed with the facts): over its seeds.
MEAN_PASSES, MIN_PASSES = 14.0, 12

# Seeds on which a market is fitted and seeds on which it is reported never meet.
CALIBRATION_SEEDS = range(10_000)
REPORTED_SEEDS = range(10_000, 20_000)
PAIRED_SEEDS = range(20_000, 30_000)  # of the impact gate, reported as well


@dataclass(frozen=True, slots=True)
class Bands:
    """One band set: where each fact may lie, (17,) float64 each way, an infinity where the band is open.

    `fitted` is what was written beside fitted bands: the windows, the rule and the scores that let them stand or not.
    """

    name: str
    interval: str
    stands: bool
    low: Floats
    high: Floats
    fitted: Mapping[str, Any] = field(default_factory=dict)

    @property
    def pace(self) -> Pace:
        return PACES[self.interval]


@dataclass(frozen=True, slots=True)
class Scorecard:
    """One window judged: how many facts lie in their bands, what they are, and which do. NaN lies in no band."""

    passes: int
    values: Floats
    in_band: NDArray[np.bool_]

    def told(self) -> dict[str, Any]:
        """The card as JSON takes it."""
        values = [None if math.isnan(value) else float(value) for value in self.values]
        return {
            "passes": self.passes,
            "values": dict(zip(FACTS, values, strict=True)),
            "failed": [name for name, inside in zip(FACTS, self.in_band, strict=True) if not inside],
        }


def scorecard(returns: Floats, volume: Floats, bands: Bands) -> Scorecard:
    """Judge one window of bar returns and the volumes of the same bars."""
    return judged(facts_of(returns, volume, bands.pace), bands)


def judged(values: Floats, bands: Bands) -> Scorecard:
    """Judge facts that were measured before, in the order of `FACTS`."""
    in_band = (bands.low <= values) & (values <= bands.high)
    return Scorecard(int(np.count_nonzero(in_band)), values, in_band)


def deciding_bands(interval: str) -> Bands:
    """The set that decides at one time unit: the refit where it stands, else the proposed one."""
    refit = load_bands(f"refit_{interval}")
    return refit if refit.stands else load_bands(f"facts_{interval}")


def load_bands(name: str | Path) -> Bands:
    """Read a band set by name from `conf/realism`, or from the path of a YAML file of one's own."""
    path = Path(name) if str(name).endswith((".yaml", ".yml")) else BANDS / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"there are no bands {str(name)!r}, there are {', '.join(_names())}")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"bands {path.name} are not YAML: {' '.join(str(error).split())}") from error
    return parse_bands(data, path.stem)


def parse_bands(data: Any, name: str) -> Bands:
    """Build a band set from parsed YAML; an unknown or missing key is a ValueError that names it."""
    wanted = {"interval", "stands", "bands"}
    if not isinstance(data, Mapping) or set(data) - {"fitted"} != wanted:
        raise ValueError(f"bands {name}: the keys must be {', '.join(sorted(wanted))}, and may be fitted")
    if data["interval"] not in PACES:
        raise ValueError(f"bands {name}: interval {data['interval']!r} is not one of {', '.join(PACES)}")
    if not isinstance(data["stands"], bool):
        raise ValueError(f"bands {name}: stands is {data['stands']!r}, it must be true or false")
    if not isinstance(data["bands"], Mapping) or set(data["bands"]) != set(FACTS):
        odd = set(data["bands"] if isinstance(data["bands"], Mapping) else ()) ^ set(FACTS)
        raise ValueError(f"bands {name}: each of the {len(FACTS)} facts has one, see {', '.join(sorted(odd))}")
    pairs = np.array([_band(data["bands"][fact], f"bands {name}, {fact}") for fact in FACTS])
    return Bands(name, data["interval"], data["stands"], pairs[:, 0], pairs[:, 1], data.get("fitted", {}))


def _band(pair: Any, place: str) -> tuple[float, float]:
    if not (isinstance(pair, list) and len(pair) == 2 and all(_is_end(end) for end in pair)):
        raise ValueError(f"{place}: the band is {pair!r}, it must be [low, high], null where it is open")
    low = -math.inf if pair[0] is None else float(pair[0])
    high = math.inf if pair[1] is None else float(pair[1])
    if low >= high:
        raise ValueError(f"{place}: the band {low} … {high} is empty")
    return low, high


def _is_end(end: Any) -> bool:
    return end is None or (isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end))


def _names() -> list[str]:
    return sorted(path.stem for path in BANDS.glob("*.yaml"))
