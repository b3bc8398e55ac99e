"""The keys of learning: PPO's, which mean the same in both backends, and SAC's. Every value is checked here, once.

Knows no library of learning; a trainer that cannot honour a key says so itself.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

ACTIVATIONS = ("tanh", "relu", "silu")
ENCODERS = ("flat", "conv")
SCHEDULES = ("linear", "cosine")
DEVICES = ("auto", "cpu", "cuda")
THREADS_PAY_FROM = 2048  # samples of a minibatch; below, two threads wait for each other longer than they work
MOST_THREADS = 4  # of a 64-wide net's update: beyond, the pieces are too small (docs/benchmarks.md)


class Rates(NamedTuple):
    """What a schedule moves, as it stands at one update."""

    learning_rate: float
    clip: float
    entropy: float


@dataclass(frozen=True, slots=True)
class PPOConfig:
    """Proximal policy optimisation (Schulman et al. 2017); one set of keys for both backends."""

    learning_rate: float = 3e-4  # Adam's
    learning_rate_end: float | None = None  # where the learning rate goes over `horizon`; None: it stays
    rollout: int = 64  # steps per env between two updates
    minibatch: int = 4096  # samples a gradient step; must divide rollout x envs
    epochs: int = 10  # passes over one rollout
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip: float = 0.2  # of the probability ratio
    clip_end: float | None = None
    entropy: float = 0.0  # weight of the entropy bonus
    entropy_end: float | None = None
    schedule: str = "linear"  # the way to the ends: linear, or half a cosine wave
    value_coef: float = 0.5  # weight of the squared value error
    max_grad_norm: float = 0.5  # over all weights together
    target_kl: float | None = None  # stop the epochs of an update past 1.5 x this
    normalize_advantage: bool = True  # to mean 0 and deviation 1 within each minibatch
    encoder: str = "flat"  # of a window of bars: one long row, or convolutions along time
    conv_channels: tuple[int, ...] = (16, 32)  # of the convolutions, the later ones with stride 2
    conv_kernel: int = 5  # bars that one convolution spans
    lstm: int = 0  # units of a recurrent layer before the hidden ones; 0: none
    hidden: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    orthogonal: bool = True  # orthogonal first weights, the policy's head small; False: torch's own
    separate: bool = True  # policy and value have layers of their own; False: they share all but the heads
    mask: bool = False  # discrete levels that the account's state forbids are never chosen
    log_std_init: float = 0.0  # Gaussian actions only
    reward_scale: float = 1.0  # the trainer sees reward x this; values are exported unscaled
    seed: int = 0  # the only source of randomness: weights, actions, shuffles and episodes derive from it
    threads: int = 0  # of torch; 0 chooses by minibatch and machine
    device: str = "auto"  # auto: a GPU where there is one
    horizon: int = 0  # environment steps over which the schedules run; the door gives those of the run

    def __post_init__(self) -> None:
        for name in ("hidden", "conv_channels"):
            object.__setattr__(self, name, tuple(int(width) for width in getattr(self, name)))
        _check_finite("ppo", self)
        demand = _Demand("ppo", self)
        demand.at_least(1, "rollout", "epochs", "conv_kernel")
        demand.at_least(2, "minibatch")
        demand.at_least(0, "learning_rate", "entropy", "value_coef", "seed", "threads", "lstm", "horizon")
        demand.at_least(0, "learning_rate_end", "entropy_end")
        demand.above(0, "clip", "clip_end", "max_grad_norm", "reward_scale", "target_kl")
        demand.share("gamma", "gae_lambda")
        demand.widths("hidden", "conv_channels")
        demand.one_of(ACTIVATIONS, "activation")
        demand.one_of(ENCODERS, "encoder")
        demand.one_of(SCHEDULES, "schedule")
        demand.one_of(DEVICES, "device")
        if self.is_scheduled and self.horizon == 0:
            raise ValueError("ppo: a schedule needs a horizon, the environment steps over which it runs")

    @property
    def is_scheduled(self) -> bool:
        """Whether a rate moves in the course of training."""
        return not (self.learning_rate_end is self.clip_end is self.entropy_end is None)

    def rates(self, steps: int) -> Rates:
        """The rates of the update whose rollout began after `steps` environment steps."""
        done = min(1.0, steps / self.horizon) if self.horizon else 0.0
        share = done if self.schedule == "linear" else 0.5 * (1.0 - math.cos(math.pi * done))
        return Rates(
            _towards(self.learning_rate, self.learning_rate_end, share),
            _towards(self.clip, self.clip_end, share),
            _towards(self.entropy, self.entropy_end, share),
        )

    def check_batch(self, n_envs: int) -> int:
        """Return the samples of one update with `n_envs` envs in all; a minibatch that leaves a rest is refused."""
        batch = self.rollout * n_envs
        if batch % self.minibatch:
            raise ValueError(
                f"ppo: minibatch {self.minibatch} does not divide rollout {self.rollout} x {n_envs} envs = {batch}"
            )
        return batch

    @property
    def chosen_threads(self) -> int:
        """Threads of torch. The same machine and keys give the same number, for another number gives other bits."""
        return self.threads or chosen_threads(self.minibatch)


@dataclass(frozen=True, slots=True)
class SACConfig:
    """Soft actor-critic (Haarnoja et al. 2018), off-policy, for contrast; Stable-Baselines3 only."""

    learning_rate: float = 3e-4
    buffer: int = 200_000  # transitions remembered
    learning_starts: int = 10_000  # environment steps at random before the first update
    minibatch: int = 1024
    tau: float = 0.005  # of the target critics' averaging
    gamma: float = 0.99
    train_every: int = 1  # steps of every env between two updates
    gradient_steps: int = 4  # of one update
    entropy: float | str = "auto"  # weight of the entropy bonus; auto learns it
    hidden: tuple[int, ...] = (64, 64)
    activation: str = "relu"
    reward_scale: float = 1.0
    seed: int = 0
    threads: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(int(width) for width in self.hidden))
        _check_finite("sac", self)
        demand = _Demand("sac", self)
        demand.at_least(1, "buffer", "train_every", "gradient_steps")
        demand.at_least(2, "minibatch")
        demand.at_least(0, "learning_rate", "learning_starts", "seed", "threads")
        demand.above(0, "tau", "reward_scale")
        demand.share("gamma", "tau")
        demand.widths("hidden")
        demand.one_of(ACTIVATIONS, "activation")
        demand.one_of(DEVICES, "device")
        if isinstance(self.entropy, str):
            demand.one_of(("auto",), "entropy")
        else:
            demand.at_least(0, "entropy")

    @property
    def chosen_threads(self) -> int:
        """As PPO's."""
        return self.threads or chosen_threads(self.minibatch)


def chosen_threads(minibatch: int) -> int:
    """Threads that pay for gradient steps of `minibatch` samples on this machine."""
    return 1 if minibatch < THREADS_PAY_FROM else min(MOST_THREADS, os.cpu_count() or 1)


class _Demand:
    """Checks of named values that say name, value and what was wanted; None, where a key allows it, passes."""

    def __init__(self, whose: str, keys: object) -> None:
        self._whose, self._keys = whose, keys

    def at_least(self, least: float, *names: str) -> None:
        wanted = "0 or more" if least == 0 else f"at least {least}"
        self._all(names, lambda value: value >= least, wanted)

    def above(self, bound: float, *names: str) -> None:
        self._all(names, lambda value: value > bound, f"above {bound}")

    def share(self, *names: str) -> None:
        self._all(names, lambda value: 0 <= value <= 1, "between 0 and 1")

    def widths(self, *names: str) -> None:
        self._all(names, lambda value: all(width >= 1 for width in value), "widths of at least 1")

    def one_of(self, known: tuple[str, ...], *names: str) -> None:
        self._all(names, lambda value: value in known, f"one of {', '.join(known)}")

    def _all(self, names: tuple[str, ...], holds: Callable[[Any], bool], wanted: str) -> None:
        for name in names:
            value = getattr(self._keys, name)
            if value is not None and not holds(value):
                raise ValueError(f"{self._whose}: {name} {value} must be {wanted}")


def _check_finite(whose: str, keys: PPOConfig | SACConfig) -> None:
    for field in fields(keys):
        value = getattr(keys, field.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{whose}: {field.name} {value} is not a finite number")


def _towards(start: float, end: float | None, share: float) -> float:
    return start if end is None else start + (end - start) * share
