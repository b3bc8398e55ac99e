"""Courses with a crowd in them: in a crowd alone, or on recorded bars and in crowds by turns.

The scaler is fitted on burn-in markets of training seeds, and on the training bars in their share. Validation and test
have warm markets of their own to begin in. Knows no trainer.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..agents.policy import Policy
from ..conf.env_schema import ArenaEnv as ArenaSchema
from ..conf.env_schema import CrowdEnv as CrowdSchema
from ..conf.env_schema import MixtureEnv as MixtureSchema
from ..conf.schema import TrainConfig
from ..envs.arena import ArenaEnv, BatchArenaEnv
from ..envs.arena_past import ArenaMemory
from ..envs.mixture import MixtureEnv
from ..envs.passport import Terrain
from ..market.limits import Limits
from .arena_tracks import follow_all
from .burn_in import HISTORY, BurnIn, blend, burn_in, frozen, shares_of, stages_of, weights_of
from .evaluate import Track, follow
from .runs import bars_facts
from .seeds import derive_seed
from .slices import AnyVectorEnv, Course, Maker, past_of
from .terrain import CourseError, build, terrain_of


@dataclass(frozen=True, eq=False)
class ArenaCourse(Course):
    """A course inside a crowd: `train` is the first burn-in market; every episode is a market of its own."""

    burnt: BurnIn | None = None
    remembered: ArenaMemory | None = None
    kept: dict[tuple[str, Limits], BatchArenaEnv] = field(default_factory=dict, repr=False)  # judged in, still warm

    def training_env(self) -> AnyVectorEnv:
        return BatchArenaEnv(self._env.scenario, self._env.num_envs, copy=False, **self._arena(self.training_limits))

    def rllib_env(self) -> Maker:
        scenario, keywords = self._env.scenario, self._arena(self.training_limits)
        return lambda told: BatchArenaEnv(scenario, int(told["num_envs"]), autoreset="NEXT_STEP", **keywords)

    def rows(self) -> NDArray[np.float32]:
        """Of the burn-in markets, as often as their scenarios come."""
        assert self.burnt is not None
        own, spec = self.burnt.first, self.terrain.spec
        others = BurnIn(
            {name: bars for name, bars in self.burnt.bars.items() if bars is not own}, self.burnt.instrument
        )
        # The first market's own moments are the archive: it remembers as the past of its own bars does.
        parts = {next(iter(self.burnt.bars)): super().rows()} | others.rows(spec, self.remembered)
        return blend(parts, weights_of(self._env.scenario))

    def judge(
        self, policy: Policy, role: str, *, name: str, limits: Limits | None = None, close_out: bool = False
    ) -> Track:
        """The policy's track through the first market of the slice; each policy's orders move its own copy."""
        arena = ArenaEnv(self._env.scenario, **self._judging(role, limits))
        seed = derive_seed(self.config.seed, role)
        try:
            return follow(
                policy, arena, name=name, interval_ms=arena.interval_ms, actions=self.terrain.action, seed=seed
            )
        finally:
            arena.close()

    def tracks(
        self, policy: Policy, role: str, *, name: str, limits: Limits | None = None, close_out: bool = False
    ) -> list[Track]:
        """Tracks through `env.validation_markets` markets of the slice's own seeds at once, the first that of `judge`.

        The markets stay warm from one call to the next: a look has nothing to raise after the first.
        """
        key = (role, limits or self.terrain.limits)
        if key not in self.kept:
            keywords = self._judging(role, limits)
            self.kept[key] = BatchArenaEnv(
                self._env.scenario, self._env.validation_markets, autoreset="NEXT_STEP", **keywords
            )
        seed = derive_seed(self.config.seed, role)
        return follow_all(policy, self.kept[key], name=name, seed=seed, actions=self.terrain.action)

    @property
    def _env(self) -> ArenaSchema:
        assert isinstance(self.config.env, ArenaSchema)
        return self.config.env

    def _judging(self, role: str, limits: Limits | None) -> dict[str, Any]:
        return self._arena(limits or self.terrain.limits) | {"actions": "box", "pool_role": role}

    def _arena(self, limits: Limits) -> dict[str, Any]:
        return arena_keywords(self._env, self.terrain, limits, self.remembered)


@dataclass(frozen=True, eq=False)
class MixtureCourse(Course):
    """A course on recorded bars and in crowds; it is judged on recorded bars, as `Course` is."""

    burnt: BurnIn | None = None
    remembered: ArenaMemory | None = None

    def training_env(self) -> AnyVectorEnv:
        return self._mixture(self.config.env.num_envs, autoreset="SAME_STEP", copy=False)

    def rllib_env(self) -> Maker:
        return lambda told: self._mixture(int(told["num_envs"]), autoreset="NEXT_STEP")

    def rows(self) -> NDArray[np.float32]:
        """Of the training bars and of the burn-in markets, each in its share of all episodes."""
        assert self.burnt is not None
        parts = {HISTORY: super().rows()} | self.burnt.rows(self.terrain.spec, self.remembered)
        return blend(parts, shares_of(stages_of(self._env)))

    def facts(self) -> dict[str, Any]:
        assert self.burnt is not None
        return super().facts() | {"burn_in": {name: bars_facts(bars) for name, bars in self.burnt.bars.items()}}

    @property
    def _env(self) -> MixtureSchema:
        assert isinstance(self.config.env, MixtureSchema)
        return self.config.env

    def _mixture(self, count: int, **how: Any) -> MixtureEnv:
        return MixtureEnv(
            self.train,
            stages_of(self._env),
            count,
            steps=self.config.steps,
            history=self.keywords(),
            arena=arena_keywords(self._env, self.terrain, self.training_limits, self.remembered),
            **how,
        )


def arena_course(config: TrainConfig, env: ArenaSchema) -> ArenaCourse:
    """The course of `env=arena`; the instrument is the crowd's."""
    burnt = burn_in(config.seed, list(weights_of(env.scenario)), env)
    terrain = replace(terrain_of(config), instrument=burnt.instrument)
    bars = burnt.first
    past, memory = past_of(bars, (0, len(bars)), terrain.spec, config.memory, config.seed)
    return ArenaCourse(
        config,
        terrain,
        build(config.limits, Limits),
        bars,
        None,
        None,
        past,
        memory,
        source=f"arena {env.scenario}",
        burnt=burnt,
        remembered=frozen(memory, bars),
    )


def mixture_course(course: Course, env: MixtureSchema) -> MixtureCourse:
    """The course of `env=mixture` around one on recorded bars alone."""
    interval = course.train.interval
    if interval != env.interval:
        raise CourseError(
            f"a mixture has one interval: the recorded bars are {interval}, env.interval is {env.interval}"
        )
    shares = shares_of(stages_of(env))
    names = [name for name, share in shares.items() if name != HISTORY and share > 0.0]
    burnt = burn_in(course.config.seed, names, env)
    return MixtureCourse(**vars(course), burnt=burnt, remembered=frozen(course.memory, course.train))


def arena_keywords(env: CrowdSchema, terrain: Terrain, limits: Limits, memory: ArenaMemory | None) -> dict[str, Any]:
    """What an arena is made with: the keywords of ArenaSetup."""
    return {
        "interval": env.interval,
        "costs": terrain.costs,
        "limits": limits,
        "observation": terrain.spec,
        "actions": env.actions,
        "episode_bars": env.episode_bars,
        "size": env.size,
        "rewards": dict(env.rewards),
        "dead_band": env.dead_band,
        "past": memory,
    }
