"""What a policy is trained on and judged on: bars in slices, the terrain, the past. One course a run, or a fold.

Everything that config can get wrong about data is wrong here, before a run has written anything. Knows no trainer.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from hydra.utils import get_class
from numpy.typing import NDArray

from ..agents.policy import Policy
from ..conf.market_schema import BarsSchema
from ..conf.schema import ArenaEnv as ArenaSchema
from ..conf.schema import HistoryEnv, MemorySchema, ProcessEnv, TrainConfig
from ..envs.adapters import rllib_arena_creator
from ..envs.arena import ArenaEnv, BatchArenaEnv
from ..envs.batch import BatchTradingEnv
from ..envs.observation import ObservationSpec
from ..envs.passport import Terrain, fitted_rows
from ..envs.past import Tabled
from ..envs.remembrance import Remembrance
from ..envs.setup import EnvKeywords
from ..market.bars import INTERVALS, Bars
from ..market.costs import Costs
from ..market.funding import Funding
from ..market.limits import Limits
from ..market.orders import Instrument
from ..market.store import Store, read_bars, read_funding
from ..memory.embed import Embedder
from ..simulators.crowd import CrowdMarket
from ..simulators.processes import mean_reversion, random_walk
from .evaluate import Track, follow, judge, warm_up_bars
from .runs import bars_facts, funding_facts
from .seeds import derive_seed, role_rng
from .splits import Fold, holdout, purge_of

LABEL_HORIZON = 1  # bars: a reward spans the bar after its observation
PROCESSES: dict[str, Callable[..., Bars]] = {"mean_reversion": mean_reversion, "random_walk": random_walk}

AnyVectorEnv: TypeAlias = BatchTradingEnv | BatchArenaEnv
Maker: TypeAlias = Callable[[Any], Any]  # RLlib's own config object in, a vector env out
T = TypeVar("T", Instrument, Costs, Limits)


class CourseError(ValueError):
    """Bars, slices or an observation that no course can be made of."""


@dataclass(frozen=True, eq=False)
class Course:
    """`train` trains, `validation` and `test` judge; the latter two begin with the warm-up bars they need.

    `terrain` has the limits in live mode, as everything after training runs; `training_limits` are those of training.
    """

    config: TrainConfig
    terrain: Terrain
    training_limits: Limits
    train: Bars
    validation: Bars | None
    test: Bars | None
    past: Tabled | None = None
    memory: Remembrance | None = None
    source: str = ""
    funding: Funding | None = None

    def training_env(self) -> AnyVectorEnv:
        """Episodes side by side on the training bars, SAME_STEP autoreset, two buffers that take turns."""
        count = self.config.env.num_envs
        return BatchTradingEnv(self.train, count, autoreset="SAME_STEP", copy=False, **self._keywords())

    def rllib_env(self) -> Maker:
        """What RLlib's vector entry point takes: a maker of NEXT_STEP envs."""
        bars, keywords = self.train, self._keywords()
        return lambda told: BatchTradingEnv(bars, int(told["num_envs"]), autoreset="NEXT_STEP", **keywords)

    def rows(self) -> NDArray[np.float32]:
        """(T, market + memory) float32 of the training bars, warm ones only: what the scaler is fitted on."""
        return fitted_rows(self.train, self.terrain.spec, self.past)

    def judge(
        self, policy: Policy, role: str, *, name: str, limits: Limits | None = None, close_out: bool = False
    ) -> Track:
        """The policy's track on the slice `role`, "validation" or "test", under live limits unless given."""
        bars = {"validation": self.validation, "test": self.test}[role]
        if bars is None:
            raise CourseError(f"the split left no {role} bars")
        terrain = self.terrain if limits is None else self.terrain.with_limits(limits)
        cash = self.config.env.cash
        return judge(
            policy, bars, terrain, past=self.past, funding=self.funding, cash=cash, close_out=close_out, name=name
        )

    def facts(self) -> dict[str, Any]:
        """What run.json and the passport say about the data."""
        told: dict[str, Any] = {"source": self.source, "symbol": self.train.symbol, "interval": self.train.interval}
        for name, bars in (("train", self.train), ("validation", self.validation), ("test", self.test)):
            if bars is not None:
                told[name] = bars_facts(bars)
        if self.funding is not None:
            told["funding"] = funding_facts(self.funding)
        return told

    def _keywords(self) -> EnvKeywords:
        env = self.config.env
        return EnvKeywords(
            instrument=self.terrain.instrument,
            costs=self.terrain.costs,
            limits=self.training_limits,
            funding=self.funding,
            observation=self.terrain.spec,
            past=self.past,
            actions=env.actions,
            episode_bars=env.episode_bars,
            cash=env.cash,
            rewards=dict(env.rewards),
            dead_band=env.dead_band,
            vary_costs=env.vary_costs,
        )


class ArenaCourse(Course):
    """A course inside a crowd: `train` is a burn-in market, on which the scaler is fitted; every episode is its own."""

    def training_env(self) -> AnyVectorEnv:
        env = self._env
        return BatchArenaEnv(env.scenario, env.num_envs, **self._arena(self.training_limits))

    def rllib_env(self) -> Maker:
        return rllib_arena_creator(self._env.scenario, **self._arena(self.training_limits))

    def judge(
        self, policy: Policy, role: str, *, name: str, limits: Limits | None = None, close_out: bool = False
    ) -> Track:
        """The policy's track through one market of the slice's own seed; each policy's orders move its own copy."""
        arena = ArenaEnv(self._env.scenario, **self._arena(limits or self.terrain.limits) | {"actions": "box"})
        seed = derive_seed(self.config.seed, role)
        try:
            return follow(
                policy, arena, name=name, interval_ms=arena.interval_ms, actions=self.terrain.action, seed=seed
            )
        finally:
            arena.close()

    @property
    def _env(self) -> ArenaSchema:
        assert isinstance(self.config.env, ArenaSchema)
        return self.config.env

    def _arena(self, limits: Limits) -> dict[str, Any]:
        env = self._env
        return {
            "interval": env.interval,
            "costs": self.terrain.costs,
            "limits": limits,
            "observation": self.terrain.spec,
            "actions": env.actions,
            "episode_bars": env.episode_bars,
            "size": env.size,
            "rewards": dict(env.rewards),
            "dead_band": env.dead_band,
        }


def open_course(config: TrainConfig) -> Course:
    """The course of a whole run: history is split by shares, a process drawn once for every role."""
    terrain = terrain_of(config)
    if isinstance(config.env, ArenaSchema):
        return _arena_course(config, terrain, config.env)
    if isinstance(config.env, ProcessEnv):
        return _process_course(config, terrain, config.env)
    bars = history_bars(config.market)
    purge = purge_bars(config, terrain.spec, bars.interval_ms)
    split = config.split
    fold = holdout(len(bars), validation=split.validation, test=split.test, purge=purge, embargo=split.embargo)
    return course_of(bars, fold, config)


def whole_timeline(config: TrainConfig) -> Bars:
    """All bars in one piece, for a walk-forward to cut."""
    if isinstance(config.env, HistoryEnv):
        return history_bars(config.market)
    if isinstance(config.env, ProcessEnv):
        return _draw(config, config.env, "train", config.env.bars)
    raise CourseError(f"a walk-forward needs bars to walk through: env=history or env=process, not {config.env.kind}")


def course_of(bars: Bars, fold: Fold, config: TrainConfig) -> Course:
    """The course of one fold of `bars`; a past, where the observation has one, is fitted on the training slice."""
    terrain = terrain_of(config, bars.interval)
    need = warm_up_bars(terrain.spec, bars.interval_ms)
    past, memory = _past(bars, fold.train, terrain.spec, config.memory)
    return Course(
        config,
        terrain,
        build(config.limits, Limits),
        bars.slice(*fold.train),
        _judged(bars, fold.validation, need),
        _judged(bars, fold.test, need),
        past,
        memory,
        source=config.market.path or config.env.kind,
        funding=funding_of(config.market, bars) if isinstance(config.env, HistoryEnv) else None,
    )


def history_bars(market: BarsSchema) -> Bars:
    """The recorded bars that `market` names."""
    if market.path is None:
        raise CourseError(
            "env=history needs bars: market.path=FILE.parquet, or market=btc_1h; env=process makes its own"
        )
    series = _stored(market.path, 3)
    if series is None:
        return read_bars(market.path, interval=market.interval, start=market.start, end=market.end)
    if market.interval not in (None, series[2]):
        raise CourseError(f"market.path names {series[2]} bars, market.interval is {market.interval}")
    venue, symbol, interval = series
    return read_bars(venue, symbol, interval, market.start, market.end)


def funding_of(market: BarsSchema, bars: Bars) -> Funding | None:
    """The funding rates that `market` names for these bars; None where the assumed constant is charged.

    Raises ValueError where they do not reach over the bars: what lies beyond them would be free.
    """
    if market.funding is None:
        return None
    series = _stored(market.funding, 2)
    rates = read_funding(market.funding) if series is None else Store().funding(*series)
    try:
        rates.check_covers(int(bars.opened_at[0]), int(bars.closed_at[-1]))
    except ValueError as error:
        raise CourseError(f"market.funding={market.funding}: {error}") from error
    return rates


def _stored(address: str, parts: int) -> list[str] | None:
    """The parts of an address in the store; None where it is a file's."""
    if Path(address).suffix.lower() in (".parquet", ".csv"):
        return None
    found = address.split("/")
    if len(found) != parts or not all(found):
        wanted = "/".join(("VENUE", "SYMBOL", "INTERVAL")[:parts])
        raise CourseError(f"{address} is neither a .parquet or .csv file nor {wanted} in the store")
    return found


def purge_bars(config: TrainConfig, spec: ObservationSpec, interval_ms: int | None = None) -> int:
    """Bars between two slices: the longest look ahead of a label or look back of a column."""
    if not spec.memory:
        return purge_of(LABEL_HORIZON, warm_up_bars(spec, interval_ms))
    return purge_of(max(LABEL_HORIZON, config.memory.horizon), warm_up_bars(spec, interval_ms))


def terrain_of(config: TrainConfig, interval: str = "") -> Terrain:
    """The terrain that config describes, with its limits in live mode."""
    return Terrain(
        ObservationSpec.load(config.env.observation),
        build(config.market.instrument, Instrument),
        build(config.costs, Costs),
        replace(build(config.limits, Limits), mode="live"),
        interval or getattr(config.env, "interval", ""),
        config.env.actions,
        config.env.dead_band,
    )


def build(schema: Any, kind: type[T]) -> T:
    """The object that a schema with a `_target_` describes."""
    keys = asdict(schema)
    made = get_class(keys.pop("_target_"))(**keys)
    if not isinstance(made, kind):
        raise CourseError(f"{schema._target_} is not a {kind.__name__}")
    return made


def _process_course(config: TrainConfig, terrain: Terrain, env: ProcessEnv) -> Course:
    if terrain.spec.memory:
        raise CourseError(f"observation {terrain.spec.name} looks into a past, which only env=history has")
    count, need = env.bars, warm_up_bars(terrain.spec, INTERVALS[terrain.interval])
    test = round(count * config.split.test)
    return Course(
        config,
        terrain,
        build(config.limits, Limits),
        _draw(config, env, "train", count),
        _draw(config, env, "validation", need + round(count * config.split.validation)),
        _draw(config, env, "test", need + test) if test else None,
        source=env.process,
    )


def _arena_course(config: TrainConfig, terrain: Terrain, env: ArenaSchema) -> Course:
    if terrain.spec.memory:
        raise CourseError(f"observation {terrain.spec.name} looks into a past, which only env=history has")
    seed = derive_seed(config.seed, "train")
    crowd = CrowdMarket(env.scenario, seed, interval=env.interval)
    try:
        bars, instrument = crowd.run(bars=env.burn_in_bars).bars(), crowd.instrument()
    finally:
        crowd.close()
    own = replace(terrain, instrument=instrument)
    return ArenaCourse(config, own, build(config.limits, Limits), bars, None, None, source=f"arena {env.scenario}")


def _draw(config: TrainConfig, env: ProcessEnv, role: str, count: int) -> Bars:
    return PROCESSES[env.process](count, rng=role_rng(config.seed, role), interval=env.interval)


def _judged(bars: Bars, part: tuple[int, int], need: int) -> Bars | None:
    """Bars of a slice and as many before it as its first observation, one bar earlier, needs."""
    start, stop = part
    return bars.slice(max(start - need, 0), stop) if stop > start else None


def _past(
    bars: Bars, train: tuple[int, int], spec: ObservationSpec, memory: MemorySchema
) -> tuple[Tabled | None, Remembrance | None]:
    if not spec.memory:
        return None, None
    embedder = Embedder.fit(bars.slice(*train))
    past = Tabled.of(bars, embedder, k=memory.neighbours, horizon=memory.horizon)
    return past, Remembrance(embedder, bars.symbol, bars.interval, memory.neighbours, memory.horizon)
