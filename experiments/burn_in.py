"""Markets of training seeds that a crowd lives through before step 0: for the scaler, and for a memory to begin with.

Knows what a config calls scenarios and stages, and no environment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..conf.env_schema import CrowdEnv, MixtureEnv
from ..envs.arena_past import ArenaMemory, Recollection
from ..envs.curriculum import Stage
from ..envs.features import feature_matrix
from ..envs.observation import ObservationSpec
from ..envs.remembrance import SHUFFLED, Remembrance
from ..market.bars import Bars
from ..market.orders import Instrument
from ..memory.moments import moments_of
from ..simulators.crowd import CrowdMarket
from .seeds import derive_seed
from .terrain import CourseError

HISTORY = "history"  # beside scenarios' names
Rows = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class BurnIn:
    """A market of each scenario, by its name, and the instrument that all of them trade."""

    bars: Mapping[str, Bars]
    instrument: Instrument

    @property
    def first(self) -> Bars:
        """The bars of the scenario that is named first."""
        return next(iter(self.bars.values()))

    def rows(self, spec: ObservationSpec, memory: ArenaMemory | None) -> dict[str, Rows]:
        """(T, market + memory) float32 of every market, by scenario, as an arena would show them."""
        return {name: _rows(bars, spec, memory) for name, bars in self.bars.items()}


def burn_in(seed: int, names: Sequence[str], env: CrowdEnv) -> BurnIn:
    """Let a market of each scenario live through `env.burn_in_bars` bars, each of a seed of its own."""
    bars = dict[str, Bars]()
    for number, name in enumerate(names):
        crowd = CrowdMarket(name, derive_seed(seed, "train", worker=number), interval=env.interval)
        try:
            bars[name], instrument = crowd.run(bars=env.burn_in_bars).bars(), crowd.instrument()
        finally:
            crowd.close()
    return BurnIn(bars, instrument)


def stages_of(env: MixtureEnv) -> list[Stage]:
    """The stages of a mixture's curriculum; after the last that is named, env.history and env.scenario hold."""
    named = [
        Stage(stage.until, stage.history, env.scenario if stage.scenario is None else stage.scenario)
        for stage in env.curriculum
    ]
    return [*named, Stage(1.0, env.history, env.scenario)]


def shares_of(stages: Sequence[Stage]) -> dict[str, float]:
    """What share of all episodes of a training is history's, and each scenario's."""
    told, began = {HISTORY: 0.0}, 0.0
    for stage in stages:
        length, began = stage.until - began, stage.until
        told[HISTORY] += length * stage.history
        for name, weight in weights_of(stage.scenario).items():
            told[name] = told.get(name, 0.0) + length * (1.0 - stage.history) * weight
    return told


def weights_of(scenario: Any) -> dict[str, float]:
    """Weights by name, which sum to 1, of what config calls a scenario: a name, a list, or weights."""
    names = [scenario] if isinstance(scenario, str) else scenario
    told = dict(names) if isinstance(names, Mapping) else dict.fromkeys(names, 1.0)
    return {name: weight / sum(told.values()) for name, weight in told.items()}


def blend(parts: Mapping[str, Rows], shares: Mapping[str, float]) -> Rows:
    """Rows of all parts, as many in all as there are, each part evenly thinned out or repeated to its share."""
    there = {name: shares[name] for name in parts if shares[name] > 0.0}
    total, whole = sum(len(parts[name]) for name in there), sum(there.values())
    return np.concatenate(
        [
            parts[name][np.linspace(0, len(parts[name]), round(total * share / whole), endpoint=False).astype(int)]
            for name, share in there.items()
        ]
    )


def frozen(memory: Remembrance | None, training: Bars) -> ArenaMemory | None:
    """The past of an arena: what `memory` makes of the training bars, and never more of them."""
    if memory is None:
        return None
    if memory.mode == SHUFFLED:
        raise CourseError("memory.outcomes=shuffled is for recorded bars alone: say env=history")
    archive = moments_of(training, memory.embedder, memory.horizon)
    return ArenaMemory(memory.embedder, archive, memory.neighbours, memory.horizon, memory.embargo)


def archived(memory: Remembrance) -> ArenaMemory:
    """The same out of a passport, whose archive is that of its training slice."""
    memory.check_real()
    assert memory.archive is not None
    return ArenaMemory(memory.embedder, memory.archive.moments, memory.neighbours, memory.horizon, memory.embargo)


def _rows(bars: Bars, spec: ObservationSpec, memory: ArenaMemory | None) -> Rows:
    rows: Rows = feature_matrix(bars, spec.market).astype(np.float32)
    if memory is not None:
        past = Recollection(memory, bars.interval, 1, len(bars))
        shown = [bars.slice(max(0, end - memory.bars), end) for end in range(1, len(bars) + 1)]
        rows = np.hstack([rows, np.concatenate([past.columns([0], [last]) for last in shown])])
    return rows[np.isfinite(rows).all(axis=1)]
