"""What a policy is trained on and judged on, made of a config: one course a run, or a fold.

Everything that config can get wrong about data is wrong here, before a run has written anything. Knows no trainer.
"""

from collections.abc import Callable

from ..conf.env_schema import ArenaEnv, HistoryEnv, MixtureEnv, ProcessEnv
from ..conf.schema import TrainConfig
from ..envs.passport import Terrain
from ..market.bars import INTERVALS, Bars
from ..market.limits import Limits
from ..memory.recall import Progress
from ..simulators.processes import mean_reversion, random_walk
from .arena_course import ArenaCourse, MixtureCourse, arena_course, mixture_course
from .evaluate import warm_up_bars
from .recorded import funding_of, history_bars
from .seeds import role_rng
from .slices import Course, judged_slices, past_of
from .splits import Fold, holdout
from .terrain import CourseError, build, purge_bars, terrain_of

__all__ = [
    "ArenaCourse",
    "Course",
    "CourseError",
    "MixtureCourse",
    "build",
    "course_of",
    "funding_of",
    "history_bars",
    "open_course",
    "purge_bars",
    "terrain_of",
    "whole_timeline",
]

PROCESSES: dict[str, Callable[..., Bars]] = {"mean_reversion": mean_reversion, "random_walk": random_walk}


def open_course(config: TrainConfig, recalling: Progress | None = None) -> Course:
    """The course of a whole run: history is split by shares, a process drawn once for every role.

    `recalling` is told how many bars of a history have their memory columns.
    """
    env = config.env
    if isinstance(env, ProcessEnv):
        return _process_course(config, terrain_of(config), env)
    if isinstance(env, ArenaEnv):
        return arena_course(config, env)
    if isinstance(env, MixtureEnv) and config.market.path is None:
        raise CourseError("env=mixture draws from recorded bars too: market.path=FILE.parquet; env=arena needs none")
    terrain = terrain_of(config)
    bars = history_bars(config.market)
    purge = purge_bars(config, terrain.spec, bars.interval_ms)
    split = config.split
    fold = holdout(len(bars), validation=split.validation, test=split.test, purge=purge, embargo=split.embargo)
    course = course_of(bars, fold, config, recalling)
    return mixture_course(course, env) if isinstance(env, MixtureEnv) else course


def whole_timeline(config: TrainConfig) -> Bars:
    """All bars in one piece, for a walk-forward to cut."""
    if isinstance(config.env, HistoryEnv):
        return history_bars(config.market)
    if isinstance(config.env, ProcessEnv):
        return _draw(config, config.env, "train", config.env.bars)
    raise CourseError(f"a walk-forward needs bars to walk through: env=history or env=process, not {config.env.kind}")


def course_of(bars: Bars, fold: Fold, config: TrainConfig, recalling: Progress | None = None) -> Course:
    """The course of one fold of `bars`; a past, where the observation has one, is fitted on the training slice."""
    terrain = terrain_of(config, bars.interval)
    validation, test = judged_slices(bars, fold, warm_up_bars(terrain.spec, bars.interval_ms))
    past, memory = past_of(bars, fold.train, terrain.spec, config.memory, config.seed, recalling)
    return Course(
        config,
        terrain,
        build(config.limits, Limits),
        bars.slice(*fold.train),
        validation,
        test,
        past,
        memory,
        source=config.market.path or config.env.kind,
        funding=None if isinstance(config.env, ProcessEnv) else funding_of(config.market, bars),
    )


def _process_course(config: TrainConfig, terrain: Terrain, env: ProcessEnv) -> Course:
    if terrain.spec.memory:
        raise CourseError(f"observation {terrain.spec.name} looks into a past, which env=process has not")
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


def _draw(config: TrainConfig, env: ProcessEnv, role: str, count: int) -> Bars:
    return PROCESSES[env.process](count, rng=role_rng(config.seed, role), interval=env.interval)
