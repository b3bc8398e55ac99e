"""The schema of `wavetank sweep`, `stress` and `promote`: what searches, storms and decides; YAML holds the values.

Imports nothing of the house but the training's schema, which a sweep's jobs share, and Hydra alone of the world.
"""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from .ranges import above, at_least, given, seed_in_range, share
from .schema import TrainConfig


@dataclass
class TrialSchema:
    """Which trial of which study a job is; filled in by the sweeper."""

    study: str | None = MISSING
    storage: str | None = MISSING
    reported: str | None = MISSING
    key: int | None = MISSING
    number: int | None = MISSING


@dataclass
class SweepConfig(TrainConfig):
    """`wavetank sweep`: train's keys, how many trials, and which figure of the validation slice is sought."""

    n_trials: int = MISSING
    objective: str = MISSING
    trial: TrialSchema = MISSING

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("n_trials", self.n_trials, 1)
        if self.resume is not None:
            raise ValueError("resume: a sweep goes on where the same command with the same out is given again")


@dataclass
class StressConfig:
    """`wavetank stress`."""

    run: str = MISSING
    scenarios: list[str] = MISSING
    pairs: int = MISSING
    baselines: list[str] = MISSING
    seed: int | None = MISSING

    def __post_init__(self) -> None:
        given("run", self.run)
        at_least("pairs", self.pairs, 3)
        if self.seed is not None:
            seed_in_range("seed", self.seed)
        if not self.scenarios:
            raise ValueError("scenarios: it is empty; name at least one")


@dataclass
class StandardSchema:
    """How far the evidence must reach; see `wavetank.experiments.promote`."""

    deflated_sharpe: float = MISSING
    walk_bars: int = MISSING
    scenarios: list[str] = MISSING
    pairs: int = MISSING
    drawdown: float = MISSING
    mean_loss: float = MISSING
    parity_bars: int = MISSING

    def __post_init__(self) -> None:
        for name in ("deflated_sharpe", "drawdown", "mean_loss"):
            share(f"standard.{name}", getattr(self, name))
        above("standard.deflated_sharpe", self.deflated_sharpe, 0.5)
        at_least("standard.walk_bars", self.walk_bars, 30)
        at_least("standard.pairs", self.pairs, 3)
        at_least("standard.parity_bars", self.parity_bars, 2)
        if not self.scenarios:
            raise ValueError("standard.scenarios: it is empty, and a policy without a storm is not promoted")


@dataclass
class PromoteConfig:
    """`wavetank promote`."""

    run: str = MISSING
    standard: StandardSchema = MISSING

    def __post_init__(self) -> None:
        given("run", self.run)


def register() -> None:
    """Put the schemas into Hydra's store."""
    store = ConfigStore.instance()
    store.store(name="sweep_schema", node=SweepConfig, provider="wavetank")
    store.store(name="stress_schema", node=StressConfig, provider="wavetank")
    store.store(name="promote_schema", node=PromoteConfig, provider="wavetank")


register()
