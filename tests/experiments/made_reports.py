"""Reports of seeds as a judged market would leave them, with the scores that a test wants."""

from dataclasses import replace

import numpy as np

from wavetank.simulators.book_metrics import BANDS as BOOK_BANDS
from wavetank.simulators.gates import Gate
from wavetank.simulators.impact import SHARES, ImpactFit
from wavetank.simulators.judgement import SeedReport
from wavetank.simulators.nulls import NULL_NAMES
from wavetank.simulators.realism import SETS, judged, load_bands

GATES = [Gate(f"G{number}", "fine", True) for number in range(1, 7)]


def report(seed: int, *, out: tuple[int, ...] = (), broken: str = "") -> SeedReport:
    """A seed whose facts lie in the middle of the proposed bands, but for those of number `out`."""
    bands = load_bands("facts_1m")
    values = np.where(np.isfinite(bands.low), (bands.low + bands.high) / 2.0, bands.high)
    values[[number - 1 for number in out]] = np.nan
    cards = {name: judged(values, load_bands(f"{name}_1m")) for name in SETS}
    gates = [gate._replace(holds=gate.name != broken) for gate in GATES]
    nulls = {null: {"facts": 9, "refit": 10} for null in NULL_NAMES}
    book = dict.fromkeys(BOOK_BANDS, 0.4) | {"sign_hurst": float("nan")}
    return SeedReport(seed, f"digest {seed}", cards, nulls, gates, book)


def fit(**changes: object) -> ImpactFit:
    """A square root that decays."""
    levels = np.sqrt(np.array(SHARES))
    good = ImpactFit(
        200, np.array(SHARES), levels, levels / 10, levels / 2, np.ones(4),
        0.5, (0.45, 0.55), 1.0, (0.8, 1.2), 0.5, (0.4, 0.6), [],
    )  # fmt: skip
    return replace(good, **changes)  # type: ignore[arg-type]  # of the fields' own types
