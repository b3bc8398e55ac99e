"""CartPole: the trainers and the frozen graph, on a task that nobody here has made; solved from 475 of 500 on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...agents.keys import PPOConfig
from ...agents.policy import Policy
from ...agents.scaling import Scaler
from ...envs.cartpole import cartpole
from ..seeds import derive_seed, library_seed
from .exam import Candidate, Lesson, Mark

EPISODES, LONGEST = 100, 500  # fresh ones; CartPole-v1 ends an episode there
SOLVED = 475.0

CONFIG = PPOConfig(
    learning_rate=2e-3,
    rollout=64,
    minibatch=1024,
    epochs=10,
    gamma=0.98,
    gae_lambda=0.9,
    threads=1,
)
NUM_ENVS, STEPS = 64, 123_000


@dataclass(frozen=True)
class Cartpole:
    """A mean return of 475."""

    name: str = "cartpole"
    seeds: int = 3

    def sit(self, candidate: Candidate) -> list[Mark]:
        policy = candidate.learn(Lesson(self.name, cartpole, Scaler.identity(4), CONFIG, NUM_ENVS, STEPS))
        seed = library_seed(derive_seed(candidate.seed, "test"))
        return [candidate.mark(self.name, "mean return", mean_return(policy, seed), "≥", SOLVED)]

    def sum_up(self, marks: Sequence[Mark]) -> list[Mark]:
        return []


def mean_return(policy: Policy, seed: int) -> float:
    """Mean return of the first episode of each of `EPISODES` poles."""
    env = cartpole(EPISODES, "NEXT_STEP")
    observations, _ = env.reset(seed=seed)
    earned, going = np.zeros(EPISODES), np.ones(EPISODES, np.bool_)
    for _ in range(LONGEST):
        actions = policy.act(observations).action[:, 0].astype(np.int64)
        observations, rewards, terminated, truncated, _ = env.step(actions)
        earned += np.where(going, rewards, 0.0)
        going &= ~(terminated | truncated)
    env.close()
    return float(earned.mean())
