"""The refit: bands of the stylised facts from real windows, by a rule fixed beforehand, and the trial it must stand.

The rule. A record is cut into blocks of two windows; even blocks fit, odd ones are held out, so that both walk through
the whole record and share no bar. Windows begin every quarter of a window inside their block. A band reaches from p05
to p95 of the fit windows, and a tenth of that span further on each side; where less is no fault it is open below. Then
held-out windows must score high and null models, drawn from them, low: else the refit is void, and the bands proposed
with the facts stay. Fits no trader and sees none.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from ..market.bars import Bars
from ..market.store import data_folder, read_bars
from ..simulators.nulls import NULL_NAMES, Window, draw_null
from ..simulators.realism import BANDS, UPPER_ONLY, Bands, judged, load_bands
from ..simulators.stylised import FACTS, PACES, Floats, Pace, facts_of, returns_of

SOURCES = {"1m": "ftx_BTC-PERP_1m_2022-01", "1h": "binance_BTCUSDT_1h"}  # the longest record of BTC at each unit
WINDOWS_PER_BLOCK, STARTS_PER_WINDOW = 2, 4
FROM_PERCENTILE, TO_PERCENTILE, WIDENED = 5, 95, 0.10
DIGITS = 4  # significant ones of a band's ends
NULLS_PER_WINDOW, NULL_SEED = 10, 0

REAL = "real_held_out"
HELD_OUT_LEAST = 15.5  # mean passes of 17
NULLS_MOST = {"shuffled": 10.0, "iid_t3": 10.0, "iid_t4": 10.0, "gaussian": 10.0, "garch_normal": 12.5}

Told = Callable[[str], None]


class Refit(NamedTuple):
    """Fitted bands and their trial: mean passes by model for the fitted and the proposed set, and what failed."""

    bands: Bands
    source: str
    fit_windows: int
    held_out_windows: int
    scores: dict[str, dict[str, float]]
    failed: list[str]


def refit(interval: str, folder: Path | None = None, told: Told = lambda _: None) -> Refit:
    """Fit the bands of one time unit to the recorded data and put them on trial; the same data, the same refit."""
    source, pace, proposed = SOURCES[interval], PACES[interval], load_bands(f"facts_{interval}")
    bars = read_bars((folder or data_folder()) / "ohlcv" / f"{source}.parquet")
    fit, held_out = windows_of(bars, pace)
    told(f"{interval} real windows")
    low, high = fitted_ends(np.array([facts_of(*window, pace) for window in fit]))
    fitted = Bands(f"refit_{interval}", interval, False, low, high)
    scores = _scores(held_out, {"refit": fitted, "facts": proposed}, told)
    failed = failures({model: means["refit"] for model, means in scores.items()})
    return Refit(Bands(fitted.name, interval, not failed, low, high), source, len(fit), len(held_out), scores, failed)


def turns_of_refit() -> int:
    """How often `refit` tells whose turn it is."""
    return 2 + len(NULL_NAMES)


def windows_of(bars: Bars, pace: Pace) -> tuple[list[Window], list[Window]]:
    """(fit, held-out) windows of returns and volumes. A return across missing bars is no bar's, and is left out."""
    kept = np.diff(bars.opened_at) == bars.interval_ms
    returns, volume = returns_of(bars.close)[kept], bars.volume[1:][kept]
    halves: tuple[list[Window], list[Window]] = ([], [])
    block = WINDOWS_PER_BLOCK * pace.window
    for number, begin in enumerate(range(0, len(returns), block)):
        end = min(begin + block, len(returns))
        for start in range(begin, end - pace.window + 1, pace.window // STARTS_PER_WINDOW):
            cut = slice(start, start + pace.window)
            halves[number % 2].append((returns[cut], volume[cut]))
    return halves


def fitted_ends(facts: Floats) -> tuple[Floats, Floats]:
    """Low and high ends, (17,) each, from the facts of the fit windows, (windows, 17); NaN windows are left out."""
    low, high = np.nanpercentile(facts, [FROM_PERCENTILE, TO_PERCENTILE], axis=0)
    margin = WIDENED * (high - low)
    low, high = _rounded(low - margin), _rounded(high + margin)
    low[[FACTS.index(name) for name in UPPER_ONLY]] = -np.inf
    return low, high


def failures(means: dict[str, float]) -> list[str]:
    """The conditions that mean passes by model do not meet, a sentence each; none lets a refit stand."""
    failed = []
    if means[REAL] < HELD_OUT_LEAST:
        failed.append(f"{REAL} {means[REAL]:.2f} is below {HELD_OUT_LEAST}")
    failed += [f"{name} {means[name]:.2f} is above {most}" for name, most in NULLS_MOST.items() if means[name] > most]
    return failed


def write(result: Refit, folder: Path = BANDS) -> Path:
    """Write a refit as a band file and return its path."""
    bands = result.bands
    rule = (
        f"p{FROM_PERCENTILE:02d}-p{TO_PERCENTILE} of the fit windows, {WIDENED:.0%} of their span wider on each side; "
        f"blocks of {WINDOWS_PER_BLOCK} windows, even ones fit, odd ones held out, "
        f"{STARTS_PER_WINDOW} starts a window"
    )
    data = {
        "interval": bands.interval,
        "stands": bands.stands,
        "fitted": {
            "source": result.source,
            "rule": rule,
            "window": bands.pace.window,
            "fit_windows": result.fit_windows,
            "held_out_windows": result.held_out_windows,
            "null_windows": result.held_out_windows * NULLS_PER_WINDOW,
            "scores": result.scores,
            "failed": result.failed,
        },
        "bands": {name: [_end(a), _end(b)] for name, a, b in zip(FACTS, bands.low, bands.high, strict=True)},
    }
    head = f"# Written by `wavetank realism --refit` from {result.source}: see docs/realism.md. Not to be edited.\n"
    path = folder / f"{bands.name}.yaml"
    path.write_text(head + yaml.dump(data, Dumper=_Plain, sort_keys=False, default_flow_style=None, width=120))
    return path


def _scores(held_out: list[Window], sets: dict[str, Bands], told: Told) -> dict[str, dict[str, float]]:
    scores = {}
    pace = next(iter(sets.values())).pace
    for model, windows in _models(held_out):
        told(f"{next(iter(sets.values())).interval} {model}")
        facts = [facts_of(*window, pace) for window in windows]
        scores[model] = {
            name: round(float(np.mean([judged(values, bands).passes for values in facts])), 2)
            for name, bands in sets.items()
        }
    return scores


def _models(held_out: list[Window]) -> Iterator[tuple[str, Iterator[Window]]]:
    yield REAL, iter(held_out)
    for number, name in enumerate(NULL_NAMES):
        rng = np.random.default_rng([NULL_SEED, number])
        yield name, (draw_null(name, rng, window) for window in held_out for _ in range(NULLS_PER_WINDOW))


def _rounded(values: NDArray[np.float64]) -> Floats:
    return np.array([float(f"{value:.{DIGITS}g}") for value in values])


def _end(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


class _Plain(yaml.SafeDumper):
    """YAML without the anchors that equal lists would get."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
