"""The canary: with the next bar's return leaked into its observation, a policy must grow nearly as foresight does.

With the leak shuffled there is nothing to know, and growth must not be told from a loss: else the future comes in
some other way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...agents.keys import PPOConfig
from ...market.costs import BPS
from ...simulators.optima import foresight
from ...simulators.processes import RandomWalk, random_walk
from ..seeds import role_rng
from .exam import Candidate, Lesson, Mark
from .market import COST, Ground, length, next_returns, starts, walk

LAW = RandomWalk(return_sd=0.01, substeps=1)
TRAINING_BARS = 50_000
TRAINING_EPISODE = 64
EPISODES, EPISODE = 32, 256  # fresh ones
SHARE = 0.80  # of the growth of perfect foresight
NORMAL_95 = 1.96

CONFIG = PPOConfig(
    learning_rate=1e-3,
    rollout=32,
    minibatch=2048,
    epochs=10,
    gamma=0.9,
    gae_lambda=0.9,
    log_std_init=-0.5,
    reward_scale=100.0,
    threads=1,
)
NUM_ENVS, STEPS = 256, 82_000


@dataclass(frozen=True)
class Canary:
    """80 % of perfect foresight with the leak, nothing without it."""

    name: str = "canary"
    seeds: int = 3

    def sit(self, candidate: Candidate) -> list[Mark]:
        return [self._leaked(candidate), self._shuffled(candidate)]

    def sum_up(self, marks: Sequence[Mark]) -> list[Mark]:
        return []

    def _leaked(self, candidate: Candidate) -> Mark:
        policy = candidate.learn(lesson("canary", ground_of(candidate.seed, "train", shuffled=False)))
        fresh = ground_of(candidate.seed, "test", shuffled=False)
        grown = walk(policy, fresh, EPISODES, EPISODE).growth.sum()
        share = grown / best_growth(fresh)
        return candidate.mark(self.name, "share of the growth of perfect foresight", share, "≥", SHARE)

    def _shuffled(self, candidate: Candidate) -> Mark:
        policy = candidate.learn(lesson("canary, shuffled", ground_of(candidate.seed, "train", shuffled=True)))
        fresh = ground_of(candidate.seed, "test", shuffled=True)
        low = low_end(walk(policy, fresh, EPISODES, EPISODE).growth / EPISODE / BPS)
        return candidate.mark(self.name, "shuffled: low end of the growth, bp a bar", low, "≤", 0.0)


def best_growth(ground: Ground) -> float:
    """Log growth of perfect foresight over the episodes that `walk` walks, summed."""
    rows = starts(EPISODES, EPISODE)[:, None] + np.arange(EPISODE)
    return float(foresight(next_returns(ground.bars)[rows], COST).growth.sum())


def low_end(growth: NDArray[np.float64]) -> float:
    """Where the 95 % interval of the mean of `growth` (n,) begins."""
    return float(growth.mean() - NORMAL_95 * growth.std(ddof=1) / np.sqrt(len(growth)))


def lesson(name: str, ground: Ground) -> Lesson:
    """The training on one ground."""
    return Lesson(
        name,
        lambda count, autoreset: ground.env(count, autoreset, TRAINING_EPISODE),
        ground.scaler,
        CONFIG,
        NUM_ENVS,
        STEPS,
    )


def ground_of(seed: int, role: str, shuffled: bool) -> Ground:
    """A random walk, and its own next returns in the channel, in their own order or in none."""
    rng = role_rng(seed, role)
    bars = random_walk(TRAINING_BARS if role == "train" else length(EPISODES, EPISODE), rng=rng, parameters=LAW)
    leak: NDArray[np.float64] = next_returns(bars) / LAW.return_sd
    return Ground.of(bars, rng.permutation(leak) if shuffled else leak)
