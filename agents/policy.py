"""The words of the mind: decision, policy, metrics, callback, trainer; and the seeds that derive from one.

Knows no library of learning and no environment: a trainer is given its env from above.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Env_contra = TypeVar("Env_contra", contravariant=True)
Network_co = TypeVar("Network_co", covariant=True)


class Decision(NamedTuple):
    """What a policy says about n observations.

    `action` (n, 1) float32: target exposure in [-1, 1], or the index of a discrete action; `confidence` (n,) float32
    in [0, 1]; `value` (n,) float32 in units of reward; `state` None unless the policy is recurrent.
    """

    action: NDArray[np.float32]
    confidence: NDArray[np.float32]
    value: NDArray[np.float32]
    state: NDArray[np.float32] | None = None


class Policy(Protocol):
    """Anything that decides: a frozen network or a rule."""

    def act(
        self,
        observations: NDArray[np.float32],
        state: NDArray[np.float32] | None = None,
        starts: NDArray[np.bool_] | None = None,
    ) -> Decision:
        """Decide on observations (n, n_columns) or (n_columns,) float32."""
        ...


class Metrics(Protocol):
    """Where figures of a run go, once an update, under slash names."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record the values that hold after `step` environment steps."""
        ...


class Callback(Protocol):
    """Somebody who watches a training: a progress bar, a pruner, an evaluation."""

    def on_update(self, step: int, values: Mapping[str, float]) -> bool | None:
        """See the figures after one update; answer False to stop the training there."""
        ...


@runtime_checkable
class Paced(Protocol):
    """An env whose episodes change as training goes on: it is told before every rollout how far that is."""

    def advance(self, steps: int) -> None:
        """Hear that training has done so many environment steps over all envs."""
        ...


class Trainer(Protocol[Env_contra, Network_co]):
    """One learning algorithm of one backend; `steps` counts environment steps over all envs since the start."""

    @property
    def steps(self) -> int:
        """Environment steps done so far."""
        ...

    def fit(self, env: Env_contra, steps: int, callbacks: Sequence[Callback] = ()) -> Network_co:
        """Train until `steps` steps are done in all (a resumed trainer does the rest); return the network."""
        ...

    def save(self, folder: Path) -> Path:
        """Write a checkpoint atomically; the one that stood there is replaced only when the new one is whole."""
        ...

    def resume(self, folder: Path, env: Env_contra) -> None:
        """Take weights, optimizer and counters from a checkpoint; a damaged or foreign one is refused."""
        ...

    def policy(self) -> Network_co:
        """Snapshot the network as it is now, in the form that `export_graph` takes."""
        ...

    def close(self) -> None:
        """Let go of processes; `steps` still answers."""
        ...


class TrainingError(ValueError):
    """The training cannot go on: the loss is no number, or a checkpoint does not fit."""


def finite_figures(values: Mapping[str, float]) -> dict[str, float]:
    """Leave out what has no value yet (a return before the first episode ends); the loss stays, to be judged."""
    return {name: value for name, value in values.items() if math.isfinite(value) or name == "train/loss"}


def derived_seed(seed: int, purpose: str, worker: int = 0) -> int:
    """Derive an independent 63-bit seed for one purpose ("weights", "episodes", ...) and worker."""
    return _state(seed, purpose, worker)[0] >> 1


def derived_seed32(seed: int, purpose: str, worker: int = 0) -> int:
    """The same as `derived_seed`, in the 32 bits that numpy's old generator and RLlib take."""
    return _state(seed, purpose, worker)[1] >> 33  # 31 bits: RLlib adds the worker's index


def _state(seed: int, purpose: str, worker: int) -> tuple[int, int]:
    key = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "big")
    first, second = np.random.SeedSequence([seed, key, worker]).generate_state(2, np.uint64)
    return int(first), int(second)
