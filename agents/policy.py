"""The words of the mind: decision, policy, trainer, and the keys of PPO, which mean the same in both backends.

Knows no library of learning and no environment: a trainer is given its env from above.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Env_contra = TypeVar("Env_contra", contravariant=True)
Network_co = TypeVar("Network_co", covariant=True)

ACTIVATIONS = ("tanh", "relu", "silu")
ACTION_KINDS = ("box", "discrete")


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


@dataclass(frozen=True, slots=True)
class PPOConfig:
    """Proximal policy optimisation (Schulman et al. 2017); one set of keys for both backends."""

    learning_rate: float = 3e-4  # Adam's
    rollout: int = 128  # steps per env between two updates
    minibatch: int = 1024  # samples a gradient step; must divide rollout x envs
    epochs: int = 10  # passes over one rollout
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip: float = 0.2  # of the probability ratio
    entropy: float = 0.0  # weight of the entropy bonus
    value_coef: float = 0.5  # weight of the squared value error
    max_grad_norm: float = 0.5  # over all weights together
    hidden: tuple[int, ...] = (64, 64)  # policy and value net are separate and alike
    activation: str = "tanh"
    log_std_init: float = 0.0  # Gaussian actions only
    target_kl: float | None = None  # stop the epochs of an update past 1.5 x this
    normalize_advantage: bool = True  # to mean 0 and deviation 1 within each minibatch
    reward_scale: float = 1.0  # the trainer sees reward x this; values are exported unscaled
    seed: int = 0  # the only source of randomness: weights, actions, shuffles and episodes derive from it
    threads: int = 1  # of torch; more pays for large minibatches on a quiet machine only

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(int(width) for width in self.hidden))
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"ppo: {field.name} {value} is not a finite number")
        for name in ("rollout", "minibatch", "epochs", "threads"):
            _demand(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("learning_rate", "entropy", "value_coef", "seed"):
            _demand(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        for name in ("gamma", "gae_lambda"):
            _demand(0 <= getattr(self, name) <= 1, name, getattr(self, name), "between 0 and 1")
        for name in ("clip", "max_grad_norm", "reward_scale"):
            _demand(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        _demand(self.minibatch > 1, "minibatch", self.minibatch, "at least 2")
        _demand(all(width >= 1 for width in self.hidden), "hidden", self.hidden, "widths of at least 1")
        _demand(self.target_kl is None or self.target_kl > 0, "target_kl", self.target_kl, "above 0, or null")
        _demand(self.activation in ACTIVATIONS, "activation", self.activation, f"one of {', '.join(ACTIVATIONS)}")

    def check_batch(self, n_envs: int) -> int:
        """Return the samples of one update with `n_envs` envs in all; a minibatch that leaves a rest is refused."""
        batch = self.rollout * n_envs
        if batch % self.minibatch:
            raise ValueError(
                f"ppo: minibatch {self.minibatch} does not divide rollout {self.rollout} x {n_envs} envs = {batch}"
            )
        return batch


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


def _demand(holds: bool, name: str, value: object, wanted: str) -> None:
    if not holds:
        raise ValueError(f"ppo: {name} {value} must be {wanted}")
