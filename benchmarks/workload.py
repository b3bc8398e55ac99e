"""The environments' workload, `env_workload.yaml`, as bars, keywords and actions."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from market_data import hourly_bars
from numpy.typing import NDArray

from wavetank.envs.past import Tabled
from wavetank.envs.setup import EnvKeywords
from wavetank.market.bars import Bars
from wavetank.market.limits import Limits
from wavetank.memory.columns import MEMORY_COLUMNS

FILE = Path(__file__).with_name("env_workload.yaml")
ACTION_ROWS = 64


@dataclass(frozen=True)
class Workload:
    """What the file says; default costs, funding, liquidation check and integer lots are the environment's own."""

    told: dict[str, Any]
    bars: Bars
    about: str

    @classmethod
    def load(cls) -> "Workload":
        return cls(yaml.safe_load(FILE.read_text()), *hourly_bars())

    @property
    def rounds(self) -> int:
        return int(self.told["rounds"])

    @cached_property
    def past(self) -> Tabled:
        """Drawn numbers: only the reading of a table costs time."""
        rng = np.random.default_rng(0)
        return Tabled(self.bars.closed_at, rng.random((len(self.bars), len(MEMORY_COLUMNS))))

    def keywords(self) -> EnvKeywords:
        told = self.told
        return EnvKeywords(
            observation=told["observation"],
            past=self.past,
            limits=Limits(mode=told["limits"]),
            rewards=told["rewards"],
            episode_bars=told["episode_bars"],
        )

    def actions(self, count: int) -> NDArray[np.float64]:
        """(64, count): a slowly moving target exposure for each episode."""
        keep, noise = self.told["actions"]["keep"], self.told["actions"]["noise"]
        rng = np.random.default_rng(0)
        rows = [np.zeros(count)]
        for _ in range(ACTION_ROWS - 1):
            rows.append(np.clip(keep * rows[-1] + noise * rng.uniform(-1, 1, count), -1, 1))
        return np.array(rows)
