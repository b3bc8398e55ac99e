"""The schema of the research loop's config: which keys there are, of which type and in which range.

YAML files hold the values; here a value stands only where it is `null` or a class path. A key that is not in the
schema, a wrong type and a value out of range are errors that name the key. Imports nothing of the house, and Hydra
alone of the world.
"""

from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import MISSING, DictConfig, OmegaConf

from .agent_schema import AgentSchema, RaySchema
from .env_schema import EnvSchema
from .market_schema import BarsSchema, CostsSchema, LimitsSchema, MarketSchema
from .ranges import above, at_least, given, one_of, seed_in_range, share

T = TypeVar("T")


@dataclass
class MemorySchema:
    """How bars become vectors and how the past is asked; used only by an observation with memory columns."""

    embedder: str = MISSING
    window: int = MISSING
    width: int | None = MISSING
    neighbours: int = MISSING
    horizon: int = MISSING
    embargo: int | None = MISSING
    outcomes: str = MISSING
    cache: str | None = MISSING

    def __post_init__(self) -> None:
        if ":" not in self.embedder:  # an address is looked up where it is fitted
            one_of("memory.embedder", self.embedder, ("statistics", "hybrid", "my_package.my_module:MyEmbedder"))
        at_least("memory.window", self.window, 2)
        if self.width is not None:
            at_least("memory.width", self.width, 1)
        at_least("memory.neighbours", self.neighbours, 1)
        at_least("memory.horizon", self.horizon, 1)
        if self.embargo is not None:
            at_least("memory.embargo", self.embargo, max(self.horizon, self.window))
        one_of("memory.outcomes", self.outcomes, ("known", "shuffled"))


@dataclass
class SplitSchema:
    """Shares of the bars that select and that judge; the rest trains. Between them stands the purge."""

    validation: float = MISSING
    test: float = MISSING
    embargo: int = MISSING

    def __post_init__(self) -> None:
        share("split.validation", self.validation)
        share("split.test", self.test)
        at_least("split.embargo", self.embargo, 0)
        if self.validation <= 0.0:
            raise ValueError("split.validation: 0 leaves no bars to judge the trained policy on")
        if self.validation + self.test >= 0.9:
            raise ValueError(
                f"split: validation {self.validation} and test {self.test} leave less than a tenth to train on"
            )


@dataclass
class TrackingSchema:
    """Where runs are remembered; `root: null` remembers nothing."""

    root: str | None = MISSING
    experiment: str = MISSING
    model: str = MISSING

    def __post_init__(self) -> None:
        if self.root not in (None, MISSING):  # whoever reads run.json later stands in another folder
            self.root = str(Path(str(self.root)).absolute())


@dataclass
class TrainConfig:
    """`wavetank train`. With `resume` the config is that run's, and no other key but `steps` is looked at."""

    steps: int = MISSING
    seed: int = MISSING
    out: str = MISSING
    resume: str | None = None
    checkpoint_every: int = MISSING
    validate_every: int = MISSING
    select: str = MISSING
    patience: int = MISSING
    agent: AgentSchema = MISSING
    env: EnvSchema = MISSING
    market: MarketSchema = MISSING
    costs: CostsSchema = MISSING
    limits: LimitsSchema = MISSING
    memory: MemorySchema = MISSING
    split: SplitSchema = MISSING
    tracking: TrackingSchema = MISSING
    ray: RaySchema = MISSING

    def __post_init__(self) -> None:
        at_least("steps", self.steps, 1)
        at_least("checkpoint_every", self.checkpoint_every, 1)
        at_least("validate_every", self.validate_every, 0)
        at_least("patience", self.patience, 0)
        seed_in_range("seed", self.seed)
        given("out", self.out)
        if self.patience and not self.validate_every:
            raise ValueError(f"patience: {self.patience} looks at validation, and validate_every=0 takes none")
        if self.ray.address is not None and self.agent.backend != "rllib":
            raise ValueError(
                f"ray.address: {self.ray.address} is a cluster, and agent {self.agent.backend} trains in one process; "
                "say agent=rllib_ppo"
            )


@dataclass
class WalkSchema:
    """The windows of a walk-forward, in shares of all bars; the test windows adjoin and end with the bars."""

    windows: int = MISSING
    train: float = MISSING
    validation: float = MISSING
    test: float = MISSING
    embargo: int = MISSING
    anchored: bool = MISSING

    def __post_init__(self) -> None:
        at_least("walk.windows", self.windows, 1)
        for name in ("train", "validation", "test"):
            share(f"walk.{name}", getattr(self, name))
        at_least("walk.embargo", self.embargo, 0)


@dataclass
class WalkForwardConfig(TrainConfig):
    """`wavetank walkforward`: train's keys, and the windows."""

    walk: WalkSchema = MISSING
    baselines: list[str] = MISSING

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resume is not None:
            raise ValueError("resume: a walk-forward goes on where the same command with the same out is given again")


@dataclass
class EvaluateConfig:
    """`wavetank evaluate`; the instrument is the one in the policy's passport."""

    policy: str = MISSING
    out: str | None = MISSING
    slice: str | None = MISSING
    baselines: list[str] = MISSING
    memory: str = MISSING
    memory_seeds: int | None = MISSING
    cash: float | None = MISSING
    seed: int | None = MISSING
    var_window: int = MISSING
    sharpe_days: int = MISSING
    market: BarsSchema = MISSING

    def __post_init__(self) -> None:
        given("policy", self.policy)
        if self.slice is not None:
            one_of("slice", self.slice, ("validation", "test"))
        one_of("memory", self.memory, ("on", "off", "shuffled"))
        if self.memory_seeds is not None:
            at_least("memory_seeds", self.memory_seeds, 1)
            if self.memory != "shuffled":
                raise ValueError(
                    f"memory_seeds: {self.memory_seeds} says nothing where memory is {self.memory}, not shuffled"
                )
        if self.cash is not None:
            above("cash", self.cash, 0.0)
        at_least("var_window", self.var_window, 50)
        at_least("sharpe_days", self.sharpe_days, 1)
        if type(self.market) is not BarsSchema:
            raise ValueError("market: the instrument is the one in the policy's passport; name bars with market.path")


def run_folder(moment: str) -> str:
    """Where a run goes that is not told where: by its moment, or, as a job of a multirun, where Hydra puts the job."""
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        return str(HydraConfig.get().runtime.output_dir)
    return f"outputs/{moment}"


def quarter(rollout: int, envs: int) -> int:
    """A quarter of the samples of one rollout, or all of them where they have no quarter."""
    samples = rollout * envs
    return samples // 4 if samples % 4 == 0 else samples


def typed(composed: DictConfig, kind: type[T]) -> T:
    """The composed config as the plain object it describes; ValueError naming a key that was forced in with `+`."""
    _no_more_keys(composed, "")
    config = OmegaConf.to_object(composed)
    if not isinstance(config, kind):
        raise ValueError(f"the config is a {type(config).__name__}, not a {kind.__name__}")
    return config


def _no_more_keys(node: DictConfig, path: str) -> None:
    kind = OmegaConf.get_type(node)
    known = {found.name for found in fields(kind)} if is_dataclass(kind) else None
    for key in map(str, node):
        if known is not None and key not in known:
            raise ValueError(f"Key '{path}{key}' not in '{getattr(kind, '__name__', kind)}'")
        value = None if OmegaConf.is_missing(node, key) else node[key]
        if isinstance(value, DictConfig):
            _no_more_keys(value, f"{path}{key}.")


def register() -> None:
    """Put the schemas into Hydra's store, under the names that the YAML files' defaults lists use."""
    OmegaConf.register_new_resolver("run_folder", run_folder, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("quarter", quarter, replace=True)
    store = ConfigStore.instance()
    programs: dict[str, Any] = {
        "train_schema": TrainConfig,
        "walkforward_schema": WalkForwardConfig,
        "evaluate_schema": EvaluateConfig,
    }
    for name, node in programs.items():
        store.store(name=name, node=node, provider="wavetank")
    groups: list[tuple[str, str, Any]] = [
        ("market", "market_schema", MarketSchema),
        ("costs", "costs_schema", CostsSchema),
        ("limits", "limits_schema", LimitsSchema),
        ("tracking", "tracking_schema", TrackingSchema),
    ]
    for group, name, schema in groups:
        store.store(group=group, name=name, node=schema, provider="wavetank")


register()
