"""The random walk: where nothing can be known and trading costs, a policy must stay out of the market.

Columns of noise stand where a signal would. An untrained policy follows them and trades at random.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ...agents.keys import PPOConfig
from ...simulators.processes import RandomWalk, random_walk
from ..seeds import role_rng
from .exam import Candidate, Lesson, Mark
from .market import Ground, length, walk

LAW = RandomWalk(return_sd=0.005, substeps=1)
ACTIONS = "discrete:5"  # of which one is flat
NOISES = 3  # columns
TRAINING_BARS = 100_000
TRAINING_EPISODE = 32
EPISODES, EPISODE = 32, 240  # fresh ones, of ten days
POSITION, COST_BPS = 0.05, 1.0  # the mean of |position|, and what may be paid a day

NUM_ENVS, STEPS = 256, 131_000
CONFIG = PPOConfig(
    learning_rate=1e-3,
    learning_rate_end=0.0,
    horizon=STEPS,
    rollout=32,
    minibatch=2048,
    epochs=10,
    gamma=0.9,
    gae_lambda=0.9,
    reward_scale=200.0,
    threads=1,
)


@dataclass(frozen=True)
class Walk:
    """Hardly a position and hardly a cost, on every seed."""

    name: str = "walk"
    seeds: int = 5

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
        walked = walk(policy, ground_of(candidate.seed, "test"), EPISODES, EPISODE)
        return [
            candidate.mark(self.name, "mean absolute position", walked.mean_position, "≤", POSITION),
            candidate.mark(self.name, "cost, bp a day", walked.cost_bps_a_day, "≤", COST_BPS),
        ]

    def sum_up(self, marks: Sequence[Mark]) -> list[Mark]:
        return []


def ground_of(seed: int, role: str) -> Ground:
    """A random walk, and noise in the channel."""
    rng = role_rng(seed, role)
    count = TRAINING_BARS if role == "train" else length(EPISODES, EPISODE)
    bars = random_walk(count, rng=rng, parameters=LAW)
    return Ground.of(bars, rng.standard_normal((count, NOISES)), ACTIONS)
