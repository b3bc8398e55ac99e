"""The schema of `wavetank calibrate`: what is searched, and how much of the crowd may be seen. YAML holds the values.

Imports nothing of the house but the range checks.
"""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from .ranges import at_least, given, one_of, seed_in_range

INTERVALS = ("1m", "1h")


@dataclass
class CalibrateConfig:
    """`wavetank calibrate`."""

    interval: str = MISSING
    base: str | None = MISSING
    space: dict[str, list[Any]] = MISSING
    trials: int = MISSING
    seeds: int = MISSING
    pairs: int = MISSING
    final_seeds: int = MISSING
    final_pairs: int = MISSING
    seed: int = MISSING
    out: str = MISSING

    def __post_init__(self) -> None:
        one_of("interval", self.interval, INTERVALS)
        for key, least in (("trials", 1), ("seeds", 1), ("pairs", 4), ("final_seeds", 1), ("final_pairs", 4)):
            at_least(key, getattr(self, key), least)
        for name, ends in self.space.items():
            _span(f"space.{name}", ends)
        seed_in_range("seed", self.seed)
        given("out", self.out)


def _span(key: str, ends: list[Any]) -> None:
    """Refuse what is not [low, high] or [low, high, log]."""
    numbers, scale = ends[:2], ends[2:]
    if not (
        len(numbers) == 2
        and all(isinstance(end, int | float) and not isinstance(end, bool) for end in numbers)
        and numbers[0] < numbers[1]
        and scale in ([], ["log"])
        and (not scale or numbers[0] > 0)
    ):
        raise ValueError(f"{key}: {ends} is neither [low, high] nor [low, high, log] with 0 < low < high")


def register() -> None:
    """Put the schema into Hydra's store."""
    ConfigStore.instance().store(name="calibrate_schema", node=CalibrateConfig, provider="wavetank")


register()
