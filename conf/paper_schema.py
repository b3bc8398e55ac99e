"""The schema of `wavetank paper`: which keys there are and of which type; YAML holds the values.

Imports nothing of the house but the research loop's schema (for `tracking`), and Hydra alone of the world.
"""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from .market_schema import INTERVALS
from .schema import TrackingSchema


@dataclass
class FeedSchema:
    """Where bars come from; the kinds say what they need."""


@dataclass
class ReplayFeedSchema(FeedSchema):
    """A file of recorded bars, and of funding rates where there are any."""

    path: str = MISSING
    funding: str | None = MISSING


@dataclass
class CrowdFeedSchema(FeedSchema):
    """A market made by the crowd, the same for the same seed."""

    scenario: str = MISSING
    interval: str = MISSING
    bars: int = MISSING
    seed: int = MISSING

    def __post_init__(self) -> None:
        if self.interval not in INTERVALS:
            raise ValueError(f"feed.interval: {self.interval!r} is not one of {', '.join(INTERVALS)}")
        if self.bars < 1:
            raise ValueError(f"feed.bars: {self.bars} must be 1 or more")


@dataclass
class ApiSchema:
    """The control API on 127.0.0.1."""

    enabled: bool = MISSING
    port: int = MISSING
    folder: str | None = MISSING
    token_hours: float = MISSING

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise ValueError(f"api.port: {self.port} must lie in 0 … 65535")
        if not 0 < self.token_hours <= 24 * 30:
            raise ValueError(f"api.token_hours: {self.token_hours} must lie above 0 and within 30 days")


@dataclass
class PaperConfig:
    """`wavetank paper`; ranges are checked by `wavetank.execution.session.Settings`."""

    policy: str = MISSING
    journal: str = MISSING
    cash: float = MISSING
    limits_mode: str = MISSING
    stale_after: float = MISSING
    snapshot_every: int = MISSING
    feed: FeedSchema = MISSING
    api: ApiSchema = MISSING
    tracking: TrackingSchema = MISSING


def register() -> None:
    """Put the schemas into Hydra's store."""
    store = ConfigStore.instance()
    store.store(name="paper_schema", node=PaperConfig, provider="wavetank")
    store.store(group="feed", name="replay_schema", node=ReplayFeedSchema, provider="wavetank")
    store.store(group="feed", name="crowd_schema", node=CrowdFeedSchema, provider="wavetank")
    store.store(group="api", name="api_schema", node=ApiSchema, provider="wavetank")


register()
