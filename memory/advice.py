"""Advice: what the most similar moments known by now tell a person or a risk desk.

**Risk score**: the chance that the next `horizon` bars fall deeper than nine tenths of the training slice did: the
neighbours' weighted share of such falls, drawn towards the base rate as a calibration's shrinkage says. **Level**: the
score as a multiple of the base rate. **Anomaly**: a novelty that only the stated share of training moments exceeded.
**Regime**: the name under which most of the neighbours' weight falls; each of the four names a quarter of the training
slice. **Rule**: which of five plain rules earned most in similar times. Says what followed, not what will; knows no
account.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calibration import Calibration, novelty_of, shrunk, weights_of
from .columns import FEWEST
from .moments import OUTCOMES, Floats, Ints, Moments, PastError, Singles
from .rule_returns import RULES, RuleReturns
from .store import Neighbour, Payload, payload_of

LEVELS: tuple[tuple[str, float], ...] = (  # the smallest multiple of the base rate that bears the name
    ("calm", 0.0),
    ("watchful", 1.0),
    ("high", 1.5),
    ("extreme", 2.0),
)
REGIMES: tuple[str, ...] = ("stormy", "falling", "rising", "calm")  # a tie goes to the earlier one
Z = 2.576  # 99 %: the best of five rules is picked, so each must be five times surer for 95 % in all


@dataclass(frozen=True)
class Standing:
    """One rule in similar times: weighted mean net return over the horizon; the weighted share of the neighbours after
    which no other rule earned more, with its Wilson interval at the effective k."""

    rule: str
    mean_return: float
    won: float
    low: float
    high: float


@dataclass(frozen=True)
class Advice:
    """What can be said at one close; every share and score lies in [0, 1].

    `novelty_rank` is the share of the calibration's moments that looked no more novel. `regimes` are weighted shares in
    the order of REGIMES. `rules` are in the order of RULES, empty where no table of their returns was given; `rule` is
    the one of the highest mean and `confidence` its `won`.
    """

    risk: float
    level: str
    base_rate: float
    deep_fall: float
    anomaly: bool
    novelty: float
    novelty_rank: float
    alarm_rate: float
    regime: str
    regimes: tuple[float, ...]
    rule: str | None
    confidence: float | None
    rules: tuple[Standing, ...]
    neighbours: int
    effective_k: float
    horizon: int

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values; regimes and rules by name."""
        told = asdict(self)
        told["regimes"] = dict(zip(REGIMES, self.regimes, strict=True))
        told["rules"] = {standing.pop("rule"): standing for standing in told["rules"]}
        return told


def advise(neighbours: Sequence[Neighbour], calibration: Calibration, rules: RuleReturns | None = None) -> Advice:
    """Say what can be said from the neighbours of one moment, the most similar first.

    They must be those of the calibration's embedder and way of asking (`Calibration.check`). PastError where fewer than
    FEWEST outcomes are known: there is no calm answer out of an empty past.
    """
    if len(neighbours) < FEWEST:
        raise PastError(f"only {len(neighbours)} outcomes are known, {FEWEST} are needed: nothing can be said")
    if len(neighbours) > calibration.neighbours:
        raise PastError(f"{len(neighbours)} neighbours came to a calibration for {calibration.neighbours}")
    similarities = np.array([neighbour.similarity for neighbour in neighbours], np.float32)
    outcomes = np.array([_outcome(neighbour.payload) for neighbour in neighbours], np.float64)
    if not (np.isfinite(similarities).all() and np.isfinite(outcomes).all()):
        raise PastError("a neighbour's similarity or outcome is NaN or infinity")
    weights = weights_of(similarities)
    effective = 1.0 / float(np.square(weights).sum())
    fell = _share(weights, outcomes[:, 1] > calibration.deep_fall)
    risk = shrunk(fell, effective, calibration.base_rate, calibration.shrinkage)
    novelty = novelty_of(similarities)
    anomaly = novelty > calibration.anomaly
    regimes = _regimes(outcomes, weights, calibration)
    standings = _standings([neighbour.id for neighbour in neighbours], weights, effective, calibration, rules)
    best = max(standings, key=lambda standing: standing.mean_return, default=None)
    return Advice(
        risk=risk,
        level=level_of(risk, calibration.base_rate, anomaly=anomaly),
        base_rate=calibration.base_rate,
        deep_fall=calibration.deep_fall,
        anomaly=anomaly,
        novelty=novelty,
        novelty_rank=calibration.rank_of(novelty),
        alarm_rate=calibration.alarm_rate,
        regime=REGIMES[int(np.argmax(regimes))],
        regimes=regimes,
        rule=best.rule if best else None,
        confidence=best.won if best else None,
        rules=standings,
        neighbours=len(neighbours),
        effective_k=effective,
        horizon=calibration.horizon,
    )


def level_of(risk: float, base_rate: float, *, anomaly: bool = False) -> str:
    """The highest of LEVELS that the risk reaches; never calm at an anomaly, whose neighbours are no likeness."""
    reached = max(at for at, (_, times) in enumerate(LEVELS) if at == 0 or risk >= times * base_rate)
    return LEVELS[max(reached, 1) if anomaly else reached][0]


def neighbours_of(moments: Moments, indices: Ints, similarities: Singles) -> list[Neighbour]:
    """One row that `nearest_as_of` returned as the neighbours that a store would return."""
    return [
        Neighbour(int(moments.id[row]), float(similarity), moments.vectors[row], payload_of(moments, int(row)))
        for row, similarity in zip(indices, similarities, strict=True)
        if row >= 0
    ]


def wilson(share: float, count: float) -> tuple[float, float]:
    """Wilson's interval of a share among `count` witnesses, at Z."""
    spread = Z * Z / count
    centre = (share + 0.5 * spread) / (1.0 + spread)
    half = Z / (1.0 + spread) * math.sqrt(max(0.0, share * (1.0 - share)) / count + 0.25 * spread / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def _outcome(payload: Payload) -> list[float]:
    found = {**payload}
    missing = [name for name in OUTCOMES if name not in found]
    if missing:
        raise PastError(f"a point known at {payload['known']} carries no {missing[0]}")
    return [float(str(found[name])) for name in OUTCOMES]


def _share(weights: Floats, holds: NDArray[np.bool_]) -> float:
    """The weight of those for which it holds; the bound hides the rounding of a sum of shares."""
    return min(1.0, float(weights[holds].sum()))


def _regimes(outcomes: Floats, weights: Floats, calibration: Calibration) -> tuple[float, ...]:
    stormy = outcomes[:, 2] > calibration.stormy
    falling = ~stormy & (outcomes[:, 0] < calibration.falling)
    rising = ~stormy & (outcomes[:, 0] > calibration.rising)
    return tuple(_share(weights, named) for named in (stormy, falling, rising, ~(stormy | falling | rising)))


def _standings(
    ids: list[int], weights: Floats, effective: float, calibration: Calibration, rules: RuleReturns | None
) -> tuple[Standing, ...]:
    if rules is None:
        return ()
    if rules.horizon != calibration.horizon:
        raise PastError(f"the rule returns are over {rules.horizon} bars, the calibration over {calibration.horizon}")
    earned = rules.rows(ids)
    won = earned == earned.max(axis=1, keepdims=True)
    standings = []
    for column, rule in enumerate(RULES):
        share = _share(weights, won[:, column])
        standings.append(Standing(rule, float(weights @ earned[:, column]), share, *wilson(share, effective)))
    return tuple(standings)
