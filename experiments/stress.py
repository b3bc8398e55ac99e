"""The stress matrix: a policy and its baselines through the same storms, cell by cell, with paired comparisons.

A storm is met by an `Episode`: any callable that drives one policy through one scenario at one seed.
`RecordedStorms` lets the crowd make the bars first and replays them, so orders do not move the price; the
arena, where they do, is another Episode. Severities come from the judge ranges, which no training draws.
Decides nothing: `promote` does.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..agents.policy import Policy
from ..envs.arena import ArenaEnv
from ..envs.passport import Terrain, load_passport
from ..envs.remembrance import Remembrance
from ..market.ledger import SOLVENT
from ..simulators.crowd import CrowdMarket
from ..simulators.scenarios import ScenarioAbsent
from .baselines import rules_of
from .burn_in import archived
from .evaluate import Track, follow
from .figures import max_drawdown
from .runs import write_json
from .seeds import derive_seed, role_rng
from .statistics import Comparison, paired_comparison

OURS = "policy"
SCENARIOS = ("normal", "flash_crash")
FLAT_EXPOSURE = 0.05  # of the allowed exposure: less than this counts as out of the market
FIGURES = ("total_return", "max_drawdown")  # of which each baseline is compared; better is more, or shallower
STORM_BARS = 540  # from bar 60 on: every storm, recovery included, is over before bar 600
JUDGED = ("1m", "1h")  # bars at which every storm is held to its band; what no one has held to one opens no gate


class Weather(NamedTuple):
    """When a storm rages, ms UTC: from its onset to its end, and until its recovery window is over."""

    onset: int
    end: int
    calm_again: int


@dataclass(frozen=True, eq=False)
class Outing:
    """One policy's way through one scenario; `weather` is None where it was calm."""

    track: Track
    weather: Weather | None
    liquidated: bool


class Episode(Protocol):
    """Drives `policy` once through `scenario`; equal seeds give equal markets. Raises StormAbsent where it cannot."""

    def __call__(self, policy: Policy, scenario: str, seed: int, name: str) -> Outing: ...


class StormAbsent(ValueError):
    """There is no such storm at this policy's interval; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What came of one policy, scenario and seed. `bars_to_flat` counts from the onset; None: never, or no storm."""

    policy: str
    scenario: str
    pair: int
    total_return: float
    max_drawdown: float
    bars_to_flat: int | None
    liquidated: bool
    trades: int


@dataclass(frozen=True, slots=True)
class Against:
    """The policy compared with one baseline in one scenario; a positive difference is in the policy's favour."""

    scenario: str
    baseline: str
    figure: str
    comparison: Comparison


@dataclass(frozen=True, eq=False)
class StressMatrix:
    """All cells, the comparisons, the scenarios that are absent and why, and the policy's worst storm to look at."""

    policy: str
    interval: str
    seeds: tuple[int, ...]
    bars: int
    cells: tuple[Cell, ...]
    against: tuple[Against, ...]
    absent: dict[str, str]
    worst: dict[str, Outing]  # by policy, all in the storm that hurt the policy most

    def of(self, policy: str, scenario: str) -> list[Cell]:
        """The cells of one row, by pair."""
        return [cell for cell in self.cells if (cell.policy, cell.scenario) == (policy, scenario)]

    def to_json(self) -> dict[str, Any]:
        """Plain data: what `stress.json` holds."""
        worst = self.worst.get(self.policy)
        return {
            "policy": self.policy,
            "interval": self.interval,
            "role": "judge",
            "seeds": [str(seed) for seed in self.seeds],  # 64 bits: more than a JSON number keeps everywhere
            "bars": self.bars,
            "absent": self.absent,
            "cells": [asdict(cell) for cell in self.cells],
            "against": [asdict(row) for row in self.against],
            "worst": worst
            and {
                "weather": worst.weather and worst.weather._asdict(),
                "tracks": {name: _track_file(name) for name in self.worst},
            },
        }


def stress(
    policies: Mapping[str, Policy],
    episode: Episode,
    *,
    policy: str,
    interval: str,
    run_seed: int,
    scenarios: Sequence[str] = SCENARIOS,
    pairs: int = 10,
    progress: Callable[[str], None] = lambda _: None,
) -> StressMatrix:
    """Drive every policy through every scenario with the same seeds, and compare `policy` with the others."""
    if policy not in policies:
        raise ValueError(f"there is no policy {policy!r} among {', '.join(policies)}")
    if pairs < 3:
        raise ValueError(f"{pairs} paired seeds carry no comparison: three are the least")
    seeds = tuple(derive_seed(run_seed, "stress", worker=pair) for pair in range(pairs))
    cells: list[Cell] = []
    absent: dict[str, str] = {}
    hardest: tuple[str, int, float] | None = None
    for scenario in scenarios:
        try:
            for pair, seed in enumerate(seeds):
                for name, candidate in policies.items():
                    outing = episode(candidate, scenario, seed, name)
                    cells.append(cell_of(outing, name, scenario, pair))
                    drop = cells[-1].max_drawdown
                    if name == policy and outing.weather and (hardest is None or drop > hardest[2]):
                        hardest = (scenario, seed, drop)
                    progress(f"{scenario} {pair + 1} {name}")
        except StormAbsent as error:
            absent[scenario] = str(error)
    worst = {n: episode(p, hardest[0], hardest[1], n) for n, p in policies.items()} if hardest else {}
    against = _comparisons(cells, policy, tuple(policies), run_seed)
    bars = max((len(outing.track) for outing in worst.values()), default=0)
    return StressMatrix(policy, interval, seeds, bars, tuple(cells), against, absent, worst)


def stress_passport(
    passport: str | Path,
    *,
    baselines: Sequence[str],
    run_seed: int,
    scenarios: Sequence[str] = SCENARIOS,
    pairs: int = 10,
    progress: Callable[[str], None] = lambda _: None,
) -> StressMatrix:
    """The matrix of a sealed policy, under its own limits in live mode, beside baselines without any."""
    rules = rules_of(baselines)
    loaded = load_passport(passport)
    terrain = loaded.terrain
    policies: dict[str, Policy] = {OURS: loaded.policy, **rules}
    return stress(
        policies,
        ArenaStorms(terrain, memory=loaded.memory, unlimited=tuple(baselines)),
        policy=OURS,
        interval=terrain.interval,
        run_seed=run_seed,
        scenarios=scenarios,
        pairs=pairs,
        progress=progress,
    )


def cell_of(outing: Outing, policy: str, scenario: str, pair: int) -> Cell:
    """The figures of one outing."""
    track = outing.track
    return Cell(
        policy,
        scenario,
        pair,
        total_return=float(track.equity[-1] / track.equity[0] - 1.0),
        max_drawdown=max_drawdown(track.equity),
        bars_to_flat=bars_to_flat(track, outing.weather.onset) if outing.weather else None,
        liquidated=outing.liquidated,
        trades=int(track.trades[-1] - track.trades[0]),
    )


def bars_to_flat(track: Track, onset: int) -> int | None:
    """Bars from the onset (ms UTC) until next to nothing is held; 0 where nothing was held; None: never."""
    after = np.flatnonzero(track.closed_at >= onset)
    out = after[np.abs(track.exposure[after]) <= FLAT_EXPOSURE]
    return int(out[0] - after[0]) if len(out) else None


class ArenaStorms:
    """The Episode of the arena: a crowd raised from the seed, in which the policy's own orders move the price.

    `terrain` and `memory` are those of the policy's passport. Limits stand in live mode, but for the names in
    `unlimited`: baselines are yardsticks, and nothing stops them.
    """

    def __init__(
        self,
        terrain: Terrain,
        *,
        memory: Remembrance | None = None,
        unlimited: Container[str] = (),
        bars: int = STORM_BARS,
    ) -> None:
        self._terrain, self._unlimited, self._bars = terrain, unlimited, bars
        self._past = None if memory is None else archived(memory)
        self._arenas: dict[tuple[str, str], ArenaEnv] = {}

    def __call__(self, policy: Policy, scenario: str, seed: int, name: str) -> Outing:
        arena = self._arena(scenario, "off" if name in self._unlimited else "live")
        track = follow(
            policy,
            arena,
            name=name,
            interval_ms=arena.interval_ms,
            actions=self._terrain.action,
            seed=seed,
        )
        return Outing(track, weather_of(arena.market), liquidated=arena.account.ruin != SOLVENT)

    def _arena(self, scenario: str, mode: str) -> ArenaEnv:
        terrain = self._terrain
        if terrain.interval not in JUDGED:
            raise StormAbsent(
                f"the crowd trades bars of {', '.join(JUDGED)} where its storms hold their bands, the policy lives at "
                f"{terrain.interval}: it is judged at its own interval only"
            )
        if terrain.spec.memory and self._past is None:
            raise StormAbsent(f"observation {terrain.spec.name} looks into a past, and none was given")
        if (scenario, mode) not in self._arenas:
            keywords = storm_keywords(terrain, mode, bars=self._bars)
            try:
                self._arenas[scenario, mode] = ArenaEnv(scenario, role="judge", **keywords, past=self._past)
            except ScenarioAbsent as error:
                raise StormAbsent(str(error)) from error
        return self._arenas[scenario, mode]


def storm_keywords(terrain: Terrain, mode: str, *, bars: int = STORM_BARS) -> dict[str, Any]:
    """What an arena is made with in which a policy of this terrain meets storms, under limits in this mode."""
    return {
        "interval": terrain.interval,
        "costs": terrain.costs,
        "limits": replace(terrain.limits, mode=mode, terminate_on_halt=False),
        "observation": terrain.spec,
        "episode_bars": bars,
        "dead_band": terrain.dead_band,
    }


def weather_of(market: CrowdMarket) -> Weather | None:
    """When the storm of a market rages; None for a calm one."""
    if not market.storms:
        return None
    step = market.crowd.unit.step_ms * market.crowd.unit.steps_per_bar
    return Weather(*(market.opened_at + bar * step for bar in market.scenario.span(market.storms)))


def write_stress(matrix: StressMatrix, folder: str | Path, passport_sha256: str) -> Path:
    """Write `stress.json`, and the worst storm's tracks, into a run's folder; it names the passport it is about."""
    folder = Path(folder)
    for name, outing in matrix.worst.items():
        outing.track.save(folder / _track_file(name))
    return write_json(folder / "stress.json", {"passport_sha256": passport_sha256, **matrix.to_json()})


def _comparisons(cells: Sequence[Cell], policy: str, names: tuple[str, ...], run_seed: int) -> tuple[Against, ...]:
    rng = role_rng(run_seed, "stress", fold=1)
    rows = []
    for scenario in dict.fromkeys(cell.scenario for cell in cells):
        for baseline in (name for name in names if name != policy):
            for figure in FIGURES:
                sign = -1.0 if figure == "max_drawdown" else 1.0
                ours, theirs = (
                    np.array([sign * getattr(c, figure) for c in cells if (c.policy, c.scenario) == (who, scenario)])
                    for who in (policy, baseline)
                )
                rows.append(Against(scenario, baseline, figure, paired_comparison(ours, theirs, rng=rng)))
    return tuple(rows)


def _track_file(name: str) -> str:
    return f"tracks/storm_{name}.npz"
