"""What a mixture draws its episodes from as training goes on: recorded bars with one weight, scenarios with the rest.

A draw follows from a row's seed, the number of its episode and the stage that training has reached. Knows no market.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..simulators.storms import Scenario
from .arena_setup import SEED_BITS, Drawn, Lottery, Scenarios

KIND_OF_EPISODE = 0x31C5_7E  # a word of the draw's own, so that a market's draws tell nothing of it


@dataclass(frozen=True)
class Stage:
    """Until `until`, a share of the training's steps, an episode is one on recorded bars with probability `history`,
    else one of a crowd in `scenario`."""

    until: float
    history: float
    scenario: Scenarios = "normal"

    def __post_init__(self) -> None:
        if not 0.0 < self.until <= 1.0:
            raise ValueError(f"a stage until {self.until}: it must be a share of the steps above 0")
        if not 0.0 <= self.history <= 1.0:
            raise ValueError(f"a stage draws history with probability {self.history}, which is none")


class Curriculum(Lottery):
    """The stages of a training of `steps` steps, the last one until 1; of scenarios the lottery of the stage reached.

    `done` are the steps that training had done when it last said so.
    """

    def __init__(self, stages: Sequence[Stage], steps: int, pool: int, interval: str) -> None:
        ends = [stage.until for stage in stages]
        if not ends or ends != sorted(set(ends)) or ends[-1] != 1.0:
            raise ValueError(f"stages until {ends}: they must rise, and the last one must hold until 1")
        if steps < 1:
            raise ValueError(f"a training of {steps} steps has no stages")
        self.stages, self._steps, self.done = tuple(stages), steps, 0
        self._lotteries = [Lottery(stage.scenario, pool, interval) for stage in stages]
        every: dict[str, Scenario] = {one.name: one for lottery in self._lotteries for one in lottery.scenarios}
        super().__init__(list(every.values()), pool, interval)

    @property
    def reached(self) -> int:
        """The number of the stage that training is in."""
        share = self.done / self._steps
        return next((number for number, stage in enumerate(self.stages) if share < stage.until), len(self.stages) - 1)

    @property
    def history(self) -> float:
        """The share of history among all episodes of the training, where each is as long."""
        begins = [0.0, *(stage.until for stage in self.stages)]
        return math.fsum(
            (stage.until - begin) * stage.history for begin, stage in zip(begins, self.stages, strict=False)
        )

    def draws_history(self, seed: int, episode: int) -> bool:
        """Whether that episode of a row is one on recorded bars."""
        words = np.random.SeedSequence([seed & SEED_BITS, episode, KIND_OF_EPISODE]).generate_state(1, np.uint64)
        return int(words[0]) / 2.0**64 < self.stages[self.reached].history

    def draw(self, seed: int, episode: int) -> Drawn:
        """The draw of an episode in a crowd."""
        return self._lotteries[self.reached].draw(seed, episode)
