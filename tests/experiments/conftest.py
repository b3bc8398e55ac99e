"""One tracking store and one finished run for all tests of the room: each costs seconds, and none changes them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module

from wavetank.conf.schema import EvaluateConfig, TrainConfig, WalkForwardConfig, typed
from wavetank.experiments.train import RunResult, train

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KINDS: dict[str, Any] = {"train": TrainConfig, "walkforward": WalkForwardConfig, "evaluate": EvaluateConfig}
# Two updates of 512 steps on an hour-bar process of 1,200 bars.
TINY = ("experiment=fast", "env.bars=1200", "steps=1024", "agent.rollout=64", "checkpoint_every=512")


def config_of(program: str, *overrides: str) -> Any:
    """A composed and typed config."""
    with initialize_config_module("wavetank.conf", version_base="1.3"):
        return typed(compose(program, overrides=list(overrides)), KINDS[program])


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a tracking store on a real sqlite file."""
    return tmp_path_factory.mktemp("tracking")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, store: Path) -> RunResult:
    """A tiny run on a process, tracked and registered."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    config = config_of("train", *TINY, f"out={out}", f"tracking.root={store}", "tracking.model=finished")
    return train(config, now=NOW)
