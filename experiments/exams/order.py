"""A parent order under Almgren–Chriss dynamics: sold nearly as cheaply as the closed form says, and cheaper than TWAP.

The price's noise is in the reward and in the observation, and there is nothing in it to be learnt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...agents.keys import PPOConfig
from ...agents.policy import Policy
from ...agents.scaling import Scaler
from ...envs.parent_order import COLUMNS, ParentOrderEnv
from ...simulators.optima import ParentOrder, best_schedule, even_schedule
from ..seeds import derive_seed
from .exam import Candidate, Lesson, Mark

ORDER = ParentOrder(slices=10)  # equal slices cost a third more than the best schedule
ORDERS = 512  # fresh ones
ABOVE = 0.03  # the closed form's cost

NUM_ENVS, STEPS = 256, 160_000
CONFIG = PPOConfig(
    learning_rate=3e-3,
    learning_rate_end=0.0,
    horizon=STEPS,
    rollout=40,
    minibatch=2048,
    epochs=10,
    gamma=1.0,
    gae_lambda=0.95,
    log_std_init=-1.0,
    threads=1,
)


@dataclass(frozen=True)
class Order:
    """Within 3 % of the closed form, below TWAP, on every seed."""

    name: str = "order"
    seeds: int = 5

    def sit(self, candidate: Candidate) -> list[Mark]:
        lesson = Lesson(
            self.name,
            lambda count, autoreset: ParentOrderEnv(count, ORDER, autoreset=autoreset),
            Scaler.identity(len(COLUMNS)),
            CONFIG,
            NUM_ENVS,
            STEPS,
        )
        cost = mean_cost(candidate.learn(lesson), derive_seed(candidate.seed, "test") >> 1)
        best, even = ORDER.objective(best_schedule(ORDER)), ORDER.objective(even_schedule(ORDER))
        return [
            candidate.mark(self.name, "cost over the closed form's", cost / best - 1.0, "≤", ABOVE),
            candidate.mark(self.name, "cost over TWAP's", cost / even - 1.0, "≤", 0.0),
        ]

    def sum_up(self, marks: Sequence[Mark]) -> list[Mark]:
        return []


def mean_cost(policy: Policy, seed: int) -> float:
    """Expected cost + risk aversion × variance of a policy's schedules, in the mean over fresh orders."""
    env = ParentOrderEnv(ORDERS, ORDER, autoreset="NEXT_STEP")
    observations, _ = env.reset(seed=seed)
    for _ in range(ORDER.slices):
        observations, _, _, _, infos = env.step(policy.act(observations).action)
    return float(np.mean(infos["episode"]["cost"]))
