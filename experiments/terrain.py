"""What config says of the ground a policy stands on, as objects: terrain, instrument, costs, limits, and the purge.

Whatever is wrong with it is a CourseError. Knows no bars.
"""

from dataclasses import asdict, replace
from typing import Any, TypeVar

from hydra.utils import get_class

from ..conf.schema import TrainConfig
from ..envs.observation import ObservationSpec
from ..envs.passport import Terrain
from ..market.costs import Costs
from ..market.limits import Limits
from ..market.orders import Instrument
from .evaluate import warm_up_bars
from .splits import purge_of

LABEL_HORIZON = 1  # bars: a reward spans the bar after its observation

T = TypeVar("T", Instrument, Costs, Limits)


class CourseError(ValueError):
    """Bars, slices or an observation that no course can be made of."""


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


def purge_bars(config: TrainConfig, spec: ObservationSpec, interval_ms: int | None = None) -> int:
    """Bars between two slices: the longest look ahead of a label or look back of a column."""
    if not spec.memory:
        return purge_of(LABEL_HORIZON, warm_up_bars(spec, interval_ms))
    return purge_of(max(LABEL_HORIZON, config.memory.horizon), warm_up_bars(spec, interval_ms))
