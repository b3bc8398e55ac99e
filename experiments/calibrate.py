"""Fit a crowd to real markets: search its parameters for realism, health, impact and speed at once.

Four objectives, all to be made small: facts missed on the scorecard and figures of the book out of their bands, hard
gates that fail, how far the impact law lies outside its band, and processor time a market step. Trials see calibration
seeds only; the best of them are judged once more on others of these, and the winner is told with its evidence. Knows
nothing of the kernels. Optuna is imported inside a function: 0.45 s that only a calibration pays.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..simulators import ladder, world
from ..simulators.book_metrics import book_metrics, in_band
from ..simulators.crowd import CrowdMarket
from ..simulators.gates import Gate, spread_gate, trading_gate, two_sided_gate, volatility_gate
from ..simulators.impact import DECAY_LEAST, EXPONENT, PREFACTOR, ImpactFit, Pairs, impact_fit
from ..simulators.metaorders import paired_impacts
from ..simulators.population import Population, described, parse_population
from ..simulators.realism import CALIBRATION_SEEDS, Bands, Scorecard, deciding_bands, scorecard
from ..simulators.stylised import FACTS, returns_of

Floats = NDArray[np.float64]
Told = Callable[[str], None]

THREADS = 2  # markets side by side
MARGIN = 0.12  # of a band's span: a fact that lies this close to its edge is half missed already
EDGE = 0.04  # by which the impact law should lie inside its bands
NO_IMPACT = 3.0  # the impact miss of a market too sick to be asked
WORST = (17.0 * 2, 1.0, NO_IMPACT, 1e3)  # of a crowd that cannot trade at all
FINALISTS = 8
FIGURE_BARS = 240  # on which the order book's own figures are taken
A_FIGURE = 0.3  # what one of them out of its band counts, beside a fact's 1


class Range(NamedTuple):
    """Where a parameter is searched for."""

    low: float
    high: float
    log: bool


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a calibration may see: trials, seeds and pairs of a trial, seeds and pairs of the finalists' trial."""

    trials: int
    seeds: int
    pairs: int
    final_seeds: int
    final_pairs: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What a crowd is worth on some seeds, smaller is better; `evidence` is told beside the parameters."""

    missed: float
    gates: float
    impact: float
    micros: float
    evidence: dict[str, Any]

    @property
    def objectives(self) -> tuple[float, float, float, float]:
        return self.missed, self.gates, self.impact, self.micros

    @property
    def sound(self) -> bool:
        """Whether every gate held and the impact law lay in its bands."""
        return self.gates == 0.0 and self.impact == 0.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """The crowd that won, what it is worth on the finalists' seeds, and how it was found."""

    crowd: Population
    judged: Judged
    search: dict[str, Any]


def calibrate(
    base: Population, space: Mapping[str, Range], effort: Effort, seed: int, told: Told = lambda _: None
) -> Calibration:
    """Search `space` around `base`, which is the first trial even where it lies outside, and judge the best anew."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=min(60, effort.trials))
    study = optuna.create_study(directions=["minimize"] * 4, sampler=sampler)
    study.enqueue_trial(_point_of(base, space))
    tried: list[tuple[Population, Judged]] = []
    for number in range(effort.trials):
        trial = study.ask()
        point = {name: trial.suggest_float(name, r.low, r.high, log=r.log) for name, r in space.items()}
        crowd = _moved(base, point) if number else base  # the sampler takes it for the nearest point within
        judged = judge(crowd, _seeds(number, effort), _pairs(number, effort))
        study.tell(trial, judged.objectives)
        tried.append((crowd, judged))
        told(f"missed {min(_rank(one)[1] for _, one in tried):.2f}")
    return _final(tried, effort, seed, told)


def judge(crowd: Population, seeds: Sequence[int], pairs: Sequence[int]) -> Judged:
    """Run a calm market a seed, and, where it is healthy, pairs with a metaorder."""
    bands = deciding_bands(crowd.unit.interval)
    began = time.process_time()
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            runs = list(pool.map(lambda seed: _run(crowd, seed, bands), seeds))
    except ValueError as error:  # a market that stands still has no facts
        return Judged(*WORST, {"error": str(error)})
    micros = (time.process_time() - began) * 1e6 / sum(run.steps for run in runs)
    gates = float(np.mean([not gate.holds for run in runs for gate in run.gates]))
    evidence = {
        "passes": [run.card.passes for run in runs],
        "missed_by": {name: int(n) for name, n in _missed_by(runs).items() if n},
        "gates": {gate.name: gate.seen for gate in runs[0].gates},
        "messages_a_step": round(float(np.mean([run.messages / run.steps for run in runs])), 3),
        "bar_volume": round(float(np.median([run.bar_volume for run in runs])), 4),
    }
    figures = _figures(crowd, seeds[0])
    evidence["book"] = {name: round(value, 3) for name, value in figures.items()}
    off = sum(not in_band(name, value) for name, value in figures.items())
    missed = float(np.mean([_missed(run.card, bands) for run in runs])) + A_FIGURE * off
    if gates > 0.25:
        return Judged(missed, gates, NO_IMPACT, micros, evidence)
    fit = impact_fit(_paired(crowd, pairs), np.random.default_rng(0))
    evidence["impact"] = {
        name: round(float(getattr(fit, name)), 3) for name in ("exponent", "prefactor", "decay", "pairs")
    }
    return Judged(missed, gates, impact_miss(fit), micros, evidence)


def impact_miss(fit: ImpactFit) -> float:
    """How far the law lies outside its bands, each figure by its own measure; 0 where all lie well inside."""
    exponent = max(EXPONENT[0] + EDGE - fit.exponent, fit.exponent - EXPONENT[1] + EDGE, 0.0)
    prefactor = max(fit.prefactor, 1e-3)
    low, high = PREFACTOR[0] * (1.0 + 2.0 * EDGE), PREFACTOR[1] * (1.0 - EDGE)
    off = max(math.log(low / prefactor), math.log(prefactor / high), 0.0)
    return min(NO_IMPACT, 2.0 * exponent + off + max(DECAY_LEAST + EDGE - fit.decay, 0.0))


@dataclass(frozen=True, slots=True)
class _Run:
    card: Scorecard
    gates: list[Gate]
    steps: int
    messages: int
    bar_volume: float


def _run(crowd: Population, seed: int, bands: Bands) -> _Run:
    market = CrowdMarket(crowd=crowd, rng=seed, quotes="top").run(bands.pace.window)
    bars, quotes = market.bars(), market.quotes()
    assert bars.trades is not None  # the crowd counts its trades
    returns = returns_of(bars.close)
    gates = [
        volatility_gate(returns, crowd.unit.interval),
        two_sided_gate(quotes),
        spread_gate(quotes),
        trading_gate(bars.trades),
    ]
    card = scorecard(returns, bars.volume[1:], bands)
    messages = int(market.world.book.head[ladder.MESSAGES])
    market.close()
    return _Run(card, gates, int(market.world.clock[world.STEP]), messages, float(np.median(bars.volume)))


def _figures(crowd: Population, seed: int) -> dict[str, float]:
    """What the order book itself looks like, on a part of a window: its depth is a long walk."""
    market = CrowdMarket(crowd=crowd, rng=seed, quotes=True).run(FIGURE_BARS)
    figures = book_metrics(market.quotes(), market.trades(), np.random.default_rng(seed))
    market.close()
    return figures


def _missed(card: Scorecard, bands: Bands) -> float:
    """Facts missed, with a share for how far outside a band one lies, or how near to its edge inside."""
    values, low, high = card.values, bands.low, bands.high
    closed = np.isfinite(low) & np.isfinite(high)
    span = np.where(closed, high - low, np.abs(np.where(np.isfinite(high), high, low)))
    outside = np.fmax(np.fmax(np.where(np.isfinite(low), low - values, 0.0), values - high), 0.0) / span
    room = np.fmin(values - low, high - values) / span
    near = np.where(closed, np.clip(MARGIN - room, 0.0, MARGIN) / MARGIN, 0.0) * 0.3
    return float((~card.in_band).sum() + 2.0 * np.nan_to_num(np.clip(outside, 0.0, 1.0), nan=1.0).sum() + near.sum())


def _missed_by(runs: Sequence[_Run]) -> dict[str, int]:
    return dict(zip(FACTS, np.sum([~run.card.in_band for run in runs], axis=0).tolist(), strict=True))


def _paired(crowd: Population, seeds: Sequence[int]) -> Pairs:
    """Pairs of two halves of the seeds side by side."""
    with ThreadPoolExecutor(THREADS) as pool:
        halves = list(
            pool.map(lambda part: paired_impacts(part, crowd.unit.interval, crowd), (seeds[::2], seeds[1::2]))
        )
    return Pairs(*(np.hstack([getattr(half, name) for half in halves]) for name in ("share", "end", "after", "filled")))


def _final(tried: list[tuple[Population, Judged]], effort: Effort, seed: int, told: Told) -> Calibration:
    """Judge the best trials on seeds that no trial has seen, and take the best of those."""
    order = sorted(tried, key=lambda one: _rank(one[1]))[:FINALISTS]
    held = CALIBRATION_SEEDS[-effort.final_seeds - effort.final_pairs :]
    seeds, pairs = held[: effort.final_seeds], held[effort.final_seeds :]
    finals = []
    for place, (crowd, _) in enumerate(order):
        told(f"finalist {place + 1} of {len(order)}")
        finals.append((crowd, judge(crowd, seeds, pairs)))
    crowd, judged = min(finals, key=lambda one: _rank(one[1]))
    sound = sum(one.sound for _, one in tried)
    told_volume = judged.evidence.get("bar_volume", crowd.executor.bar_volume)
    crowd = replace(crowd, executor=crowd.executor._replace(bar_volume=told_volume))  # asleep while it is calm
    return Calibration(crowd, judged, {"seed": seed, **asdict(effort), "sound_trials": sound})


def _rank(judged: Judged) -> tuple[bool, float]:
    """Sound crowds first, then by everything weighed together."""
    return not judged.sound, judged.missed + 20.0 * judged.gates + 6.0 * judged.impact


def _seeds(number: int, effort: Effort) -> Sequence[int]:
    """Each trial its own seeds, in turn, so that no crowd is fitted to the luck of a few."""
    first = number * effort.seeds % (len(CALIBRATION_SEEDS) // 2)
    return [CALIBRATION_SEEDS[first + i] for i in range(effort.seeds)]


def _pairs(number: int, effort: Effort) -> Sequence[int]:
    half = len(CALIBRATION_SEEDS) // 2
    first = half + number * effort.pairs % (half - 2_000)
    return [CALIBRATION_SEEDS[first + i] for i in range(effort.pairs)]


def _point_of(base: Population, space: Mapping[str, Range]) -> dict[str, float]:
    """Where `base` lies in the space, or the nearest point within."""
    told = described(base)
    point = {}
    for name, (low, high, _) in space.items():
        part, _, key = name.partition(".")
        if part not in told or key not in told[part]:
            raise ValueError(f"space: the crowd has no parameter {name!r}")
        point[name] = min(high, max(low, float(told[part][key])))
    return point


def _moved(base: Population, point: Mapping[str, float]) -> Population:
    data = described(base)
    for name, value in point.items():
        part, _, key = name.partition(".")
        data[part][key] = float(f"{value:.4g}")  # what is written to the file is what was judged
    return parse_population(data, "calibration")
