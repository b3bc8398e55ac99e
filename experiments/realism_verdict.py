"""The verdict on a crowd at one time unit: many reported seeds, the impact gate, and the bar that all must clear.

Gathers what `simulators/judgement.py` saw seed by seed and decides on the band set that stands. Runs no kernel itself
and draws nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..simulators.book_metrics import BANDS as BOOK_BANDS
from ..simulators.book_metrics import in_band, regime
from ..simulators.impact import ImpactFit, impact_fit
from ..simulators.judgement import SeedReport, judge_seed
from ..simulators.metaorders import paired_impacts
from ..simulators.nulls import NULL_NAMES
from ..simulators.population import Population
from ..simulators.realism import (
    MEAN_PASSES,
    MIN_PASSES,
    PAIRED_SEEDS,
    REPORTED_SEEDS,
    SETS,
    deciding_bands,
    load_bands,
)
from ..simulators.stylised import FACTS, Floats

LEAST_SEEDS = 20
VOLUME = FACTS.index("volume_volatility")  # the one fact that the bar asks for by name
FIT_SEED = 0  # of the bootstrap

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that was seen of one time unit, the set that decides, and every condition that is not met."""

    interval: str
    deciding: str
    reports: list[SeedReport]
    impact: ImpactFit
    failed: list[str]

    @property
    def passes(self) -> bool:
        return not self.failed

    def scores(self, band_set: str) -> list[int]:
        """Passes of every seed on one band set."""
        return [report.cards[band_set].passes for report in self.reports]

    def values(self) -> Floats:
        """The facts of every seed, (seeds, 17)."""
        return np.array([report.cards[SETS[0]].values for report in self.reports])

    def null_means(self) -> dict[str, dict[str, float]]:
        """Mean passes of the null models of the crowd's own windows, by band set."""
        return {
            null: {name: _mean([report.nulls[null][name] for report in self.reports]) for name in SETS}
            for null in NULL_NAMES
        }


def turns_of_verdict(seeds: int, pairs: int) -> int:
    """How often `judge_crowd` tells whose turn it is."""
    return seeds + pairs


def judge_crowd(
    interval: str,
    seeds: int,
    pairs: int,
    told: Told = lambda _: None,
    crowd: Population | None = None,
    bars: int | None = None,
) -> Verdict:
    """Judge the crowd of one time unit on reported seeds, which no calibration may have seen."""
    if not 1 <= seeds <= len(REPORTED_SEEDS) or not 2 <= pairs <= len(PAIRED_SEEDS):
        raise ValueError(
            f"{seeds} seeds and {pairs} pairs: 1 … {len(REPORTED_SEEDS)} and 2 … {len(PAIRED_SEEDS)} can be reported"
        )
    deciding = deciding_bands(interval).name.partition("_")[0]
    reports = []
    for seed in REPORTED_SEEDS[:seeds]:
        told(f"{interval} seed {seed}")
        reports.append(judge_seed(seed, interval, crowd, bars))
    impacts = paired_impacts(PAIRED_SEEDS[:pairs], interval, crowd, lambda turn: told(f"{interval} impact, {turn}"))
    fit = impact_fit(impacts, np.random.default_rng(FIT_SEED))
    return Verdict(interval, deciding, reports, fit, failures(reports, fit, deciding))


def failures(reports: Sequence[SeedReport], fit: ImpactFit, deciding: str) -> list[str]:
    """Every condition of the bar that is not met, a sentence each."""
    cards = [report.cards[deciding] for report in reports]
    passes = [card.passes for card in cards]
    failed = []
    if len(reports) < LEAST_SEEDS:
        failed.append(f"{len(reports)} seeds are fewer than {LEAST_SEEDS}")
    if _mean(passes) < MEAN_PASSES:
        failed.append(f"mean score {_mean(passes):.2f} is below {MEAN_PASSES:g}")
    if min(passes) < MIN_PASSES:
        failed.append(f"lowest score {min(passes)} is below {MIN_PASSES}")
    without = sum(not card.in_band[VOLUME] for card in cards)
    if without * 2 >= len(cards):
        failed.append(f"corr(volume, |r|) is out of its band on {without} of {len(cards)} seeds")
    for gates in zip(*(report.gates for report in reports), strict=True):
        broken = sum(not gate.holds for gate in gates)
        if broken:
            failed.append(f"{gates[0].name} fails on {broken} of {len(gates)} seeds")
    return [*failed, *(f"impact: {reason}" for reason in fit.failed)]


def told_verdict(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON takes it: everything that was seen."""
    return {
        "interval": verdict.interval,
        "passes": verdict.passes,
        "failed": verdict.failed,
        "deciding": verdict.deciding,
        "scores": {name: _spread(verdict.scores(name)) for name in SETS},
        "facts": _facts(verdict),
        "nulls": {
            "of_the_crowd": verdict.null_means(),
            "of_real_windows": load_bands(f"refit_{verdict.interval}").fitted["scores"],
        },
        "gates": _gates(verdict.reports),
        "book": _book(verdict.reports),
        "impact": verdict.impact.told(),
        "seeds": [_seed(report) for report in verdict.reports],
    }


def _facts(verdict: Verdict) -> list[dict[str, Any]]:
    values, rows = verdict.values(), []
    for i, fact in enumerate(FACTS):
        known = values[np.isfinite(values[:, i]), i]
        row: dict[str, Any] = {"fact": fact, "quantiles": _quantiles(known)}
        for name in SETS:
            row[name] = _mean([bool(report.cards[name].in_band[i]) for report in verdict.reports])
        rows.append(row)
    return rows


def _gates(reports: Sequence[SeedReport]) -> list[dict[str, Any]]:
    rows = []
    for gates in zip(*(report.gates for report in reports), strict=True):
        worst = next((gate for gate in gates if not gate.holds), gates[0])
        rows.append({"gate": worst.name, "holds": sum(gate.holds for gate in gates), "seen": worst.seen})
    return rows


def _book(reports: Sequence[SeedReport]) -> list[dict[str, Any]]:
    rows = []
    for name, (low, high) in BOOK_BANDS.items():
        values = np.array([report.book[name] for report in reports])
        row: dict[str, Any] = {
            "figure": name,
            "quantiles": _quantiles(values[np.isfinite(values)]),
            "band": [low if np.isfinite(low) else None, high if np.isfinite(high) else None],
            "in_band": _mean([in_band(name, value) for value in values]),
        }
        if name == "time_at_one_tick":
            row["regime"] = regime(float(np.median(values)))
        rows.append(row)
    return rows


def _seed(report: SeedReport) -> dict[str, Any]:
    return {
        "seed": report.seed,
        "digest": report.digest,
        "cards": {name: card.told() for name, card in report.cards.items()},
        "gates": [gate._asdict() for gate in report.gates],
        "book": {name: value if np.isfinite(value) else None for name, value in report.book.items()},
    }


def _spread(passes: Sequence[int]) -> dict[str, float]:
    return {"mean": _mean(passes), "p10": float(np.percentile(passes, 10)), "min": min(passes)}


def _quantiles(values: Floats) -> list[float] | None:
    """p05, median, p95; None where no seed has the figure."""
    return [round(float(q), 5) for q in np.percentile(values, [5, 50, 95])] if len(values) else None


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 3)
