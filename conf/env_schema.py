"""The schema of where a policy trades: the keys of each kind of environment, and what a scenario or a stage may be.

YAML files of `env/` hold the values. Imports nothing of the house, and Hydra alone of the world.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from .market_schema import INTERVALS
from .ranges import above, at_least, one_of, shaped, share


@dataclass
class EnvSchema:
    """What every environment has; the kinds add where their market comes from."""

    kind: str = MISSING
    num_envs: int = MISSING
    episode_bars: int | None = MISSING
    actions: str = MISSING
    observation: str = MISSING
    rewards: dict[str, float] = MISSING
    dead_band: float = MISSING
    cash: float = MISSING
    vary_costs: float = MISSING

    def __post_init__(self) -> None:
        at_least("env.num_envs", self.num_envs, 1)
        if self.episode_bars is not None:
            at_least("env.episode_bars", self.episode_bars, 2)
        shaped("env.actions", self.actions, r"box|discrete(:[1-9]\d*)?", "box, discrete or discrete:n")
        share("env.dead_band", self.dead_band)
        above("env.cash", self.cash, 0.0)
        at_least("env.vary_costs", self.vary_costs, 1.0)


@dataclass
class HistoryEnv(EnvSchema):
    """Recorded bars: `market.path`."""

    kind: str = "history"


@dataclass
class ProcessEnv(EnvSchema):
    """A closed-form market, drawn anew for every seed role."""

    kind: str = "process"
    process: str = MISSING
    interval: str = MISSING
    bars: int = MISSING

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("env.process", self.process, ("mean_reversion", "random_walk"))
        one_of("env.interval", self.interval, INTERVALS)
        at_least("env.bars", self.bars, 200)


@dataclass
class CrowdEnv(EnvSchema):
    """What every environment with a crowd has: traders in an order book, in which the policy's own orders count."""

    scenario: Any = MISSING
    interval: str = MISSING
    size: float = MISSING
    burn_in_bars: int = MISSING

    def __post_init__(self) -> None:
        super().__post_init__()
        check_scenario("env.scenario", self.scenario)
        one_of("env.interval", self.interval, INTERVALS)
        at_least("env.burn_in_bars", self.burn_in_bars, 200)
        above("env.size", self.size, 0.0)
        if self.episode_bars is None:
            raise ValueError("env.episode_bars: an arena's market has no end, so an episode needs a length")


@dataclass
class ArenaEnv(CrowdEnv):
    """A crowd alone; the policy's own orders move the price."""

    kind: str = "arena"
    validation_markets: int = MISSING

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("env.validation_markets", self.validation_markets, 1)


@dataclass
class StageSchema:
    """A stage of a curriculum: what holds until `until`, a share of the steps. `scenario` null is env.scenario."""

    until: float = MISSING
    history: float = MISSING
    scenario: Any = None


@dataclass
class MixtureEnv(CrowdEnv):
    """Recorded bars (`market.path`) and crowds; each episode is drawn from either."""

    kind: str = "mixture"
    history: float = MISSING
    curriculum: list[StageSchema] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        weight("env.history", self.history)
        before = 0.0
        for stage in self.curriculum:
            if not before < stage.until < 1.0:
                raise ValueError(
                    f"env.curriculum: a stage until {stage.until} after {before}; stages rise inside (0, 1), and after "
                    "the last one env.history and env.scenario hold"
                )
            weight("env.curriculum: history", stage.history)
            if stage.scenario is not None:
                check_scenario("env.curriculum: scenario", stage.scenario)
            before = stage.until
        drawn = {stage.history for stage in self.curriculum} | {self.history}
        for only, env in ((1.0, "history"), (0.0, "arena")):
            if drawn == {only}:
                raise ValueError(f"env.history: {only} at all times mixes nothing; say env={env}")


ENVS: dict[str, type[EnvSchema]] = {
    "history": HistoryEnv,
    "process": ProcessEnv,
    "arena": ArenaEnv,
    "mixture": MixtureEnv,
}


def weight(key: str, value: float) -> None:
    """Refuse what is not a probability."""
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{key}: {value} is not a share in [0, 1]")


def check_scenario(key: str, told: Any) -> None:
    """Refuse what is neither a scenario's name, a list of names, nor weights by name."""
    names = [told] if isinstance(told, str) else list(told) if isinstance(told, list | dict) else []
    weights = list(told.values()) if isinstance(told, dict) else []
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"{key}: {told!r} is neither a name, a list of names, nor weights as {{normal: 3, crash: 1}}")
    for name, value in zip(names, weights, strict=False):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and math.isfinite(value) and value > 0):
            raise ValueError(f"{key}: {name} has weight {value!r}, it must be a number above 0")
    if len(set(names)) < len(names):
        raise ValueError(f"{key}: a name stands twice in {', '.join(names)}; weights say how often each comes")
    if "history" in names:
        raise ValueError(f"{key}: history is no scenario; env=mixture draws it with probability env.history")


def register() -> None:
    """Put the schemas into Hydra's store."""
    store = ConfigStore.instance()
    for kind, schema in ENVS.items():
        store.store(group="env", name=f"{kind}_schema", node=schema, provider="wavetank")


register()
