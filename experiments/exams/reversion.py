"""Mean reversion: on a market whose best rule is known, a policy must earn nearly what that rule earns.

The deviation from the mean is shown as it is. The rule comes from value iteration, with costs, and walks the same
fresh markets; following the sign of the deviation alone would earn four fifths of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...agents.keys import PPOConfig
from ...agents.policy import Decision
from ...simulators.optima import ReversionRule, reversion_rule
from ...simulators.processes import MeanReversion, mean_reversion
from ..seeds import role_rng
from .exam import Candidate, Lesson, Mark
from .market import CHANNEL, COST, POSITION, Ground, length, walk

LAW = MeanReversion(stationary_sd=0.01, half_life_bars=6.0, substeps=1)
ACTIONS = "discrete:3"
TRAINING_BARS = 100_000
TRAINING_EPISODE = 128
EPISODES, EPISODE = 64, 1000  # fresh ones
ITEM = "share of the best rule's growth"
IQM, WORST = 0.95, 0.85  # of the best rule's growth: the interquartile mean over seeds, and every seed

CONFIG = PPOConfig(
    learning_rate=1e-3,
    rollout=64,
    minibatch=4096,
    epochs=10,
    gamma=0.97,
    gae_lambda=0.9,
    reward_scale=100.0,
    threads=1,
)
NUM_ENVS, STEPS = 256, 200_000


@dataclass(frozen=True)
class Reversion:
    """The interquartile mean over seeds ≥ .95 of the optimum, the worst seed ≥ .85."""

    name: str = "reversion"
    seeds: int = 10

    def sit(self, candidate: Candidate) -> list[Mark]:
        ground = ground_of(candidate.seed, "train")
        policy = candidate.learn(
            Lesson(
                self.name,
                lambda count, autoreset: ground.env(count, autoreset, TRAINING_EPISODE),
                ground.scaler,
                CONFIG,
                NUM_ENVS,
                STEPS,
            )
        )
        fresh = ground_of(candidate.seed, "test")
        earned, best = (walk(one, fresh, EPISODES, EPISODE).growth.sum() for one in (policy, Best()))
        return [candidate.mark(self.name, ITEM, earned / best, "≥", WORST)]

    def sum_up(self, marks: Sequence[Mark]) -> list[Mark]:
        shares = [mark.figure for mark in marks if mark.item == ITEM]
        return [Mark(self.name, f"{ITEM}, interquartile mean", marks[0].backend, None, middle(shares), "≥", IQM)]


class Best:
    """The rule of value iteration behind the `Policy` protocol: it reads deviation and position as a policy does."""

    def __init__(self, rule: ReversionRule | None = None) -> None:
        self.rule = rule or reversion_rule(LAW, COST)

    def act(
        self,
        observations: NDArray[np.float32],
        state: NDArray[np.float32] | None = None,
        starts: NDArray[np.bool_] | None = None,
    ) -> Decision:
        """The index of the best of short, flat and long."""
        targets = self.rule.targets(observations[:, CHANNEL], observations[:, POSITION])
        nothing = np.zeros(len(targets), np.float32)
        return Decision((targets[:, None] + 1.0).astype(np.float32), nothing + 1.0, nothing)


def middle(shares: Sequence[float]) -> float:
    """The interquartile mean: of the middle half, of four or more; of all of fewer."""
    ordered = sorted(shares)
    cut = len(ordered) // 4
    return float(np.mean(ordered[cut : len(ordered) - cut]))


def ground_of(seed: int, role: str) -> Ground:
    """A mean-reverting market, and its deviation in the channel, in stationary standard deviations."""
    count = TRAINING_BARS if role == "train" else length(EPISODES, EPISODE)
    bars = mean_reversion(count, rng=role_rng(seed, role), parameters=LAW)
    return Ground.of(bars, np.log(bars.close / LAW.price) / LAW.stationary_sd, ACTIONS)
