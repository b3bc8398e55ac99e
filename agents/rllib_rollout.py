"""What env runners collect and learners learn from: plain arrays, time before env, and advantages over them.

An env that resets at the next step spends one step on it: the row after an episode's end is a dummy whose observation
is the last one of the episode that ended. Its value is what a cut-off episode still had to expect, so nothing has to
be computed twice; the row itself is no sample. Knows numpy alone.
"""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
Ended = dict[str, float]  # of one episode: return `r`, length `l`, and the sums of its reward's parts


class Rollout(NamedTuple):
    """T steps of N envs, each array (T, N, …) float32 unless said, and the episodes that ended on the way."""

    observations: Floats
    actions: NDArray[np.float32] | NDArray[np.int64]  # (T, N, k), or (T, N) indices
    log_probs: Floats
    values: Floats
    advantages: Floats
    returns: Floats
    real: Flags  # bool: not a dummy
    starts: Flags  # bool: the first row of an episode
    states: Floats  # (T, N, S) recurrent state before the row; S is 0 without recurrence
    ended: tuple[Ended, ...]

    @property
    def steps(self) -> int:
        """Environment steps taken: dummies are none."""
        return int(self.real.sum())


def join(rollouts: Sequence[Rollout]) -> Rollout:
    """Rollouts of several runners side by side, in arrays of its own."""
    *arrays, ended = zip(*rollouts, strict=True)
    return Rollout._make([*(np.concatenate(parts, axis=1) for parts in arrays), tuple(chain(*ended))])


def advantages(
    rewards: Floats, values: Floats, terminated: Flags, done: Flags, *, gamma: float, gae_lambda: float
) -> Floats:
    """Generalised advantages (T, N) (Schulman et al. 2016) of `rewards` (T, N) with `values` (T + 1, N).

    `values[t + 1]` is that of what step t led to; `done` cuts, and `terminated` besides leaves nothing to expect.
    """
    found = np.zeros_like(rewards)
    carried = np.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        error = rewards[t] + gamma * values[t + 1] * ~terminated[t] - values[t]
        carried = error + gamma * gae_lambda * ~done[t] * carried
        found[t] = carried
    return found


def explained_variance(values: Floats, returns: Floats) -> float:
    """1 − Var(returns − values) / Var(returns); NaN where the returns do not vary."""
    spread = float(np.var(returns))
    return float("nan") if spread == 0.0 else 1.0 - float(np.var(returns - values)) / spread
