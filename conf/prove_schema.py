"""The schema of `wavetank prove`: which exams, on which backends. YAML holds the values.

Which names there are is known to `wavetank.experiments.prove`. Imports nothing of the house but the range checks.
"""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from .ranges import given, seed_in_range


@dataclass
class ProveConfig:
    """`wavetank prove`."""

    exams: list[str] = MISSING
    backends: list[str] = MISSING
    quick: bool = MISSING
    control: bool = MISSING
    seed: int = MISSING
    out: str = MISSING

    def __post_init__(self) -> None:
        seed_in_range("seed", self.seed)
        given("out", self.out)


def register() -> None:
    """Put the schema into Hydra's store."""
    ConfigStore.instance().store(name="prove_schema", node=ProveConfig, provider="wavetank")


register()
