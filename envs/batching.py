"""What every batch environment does around its engine: seeds and resets, buffers, and what it tells of endings.

Knows neither actions nor markets: the environments make targets of actions, the engines walk.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from .buffers import Buffers
from .rewards import Reward
from .setup import start_bars
from .world import SUMS, Columns, Flags, Floats, Ints, Step

Told = tuple[Columns, Floats, Flags, Flags, dict[str, Any]]


class Engine(Protocol):
    """N episodes that walk together: `episodes.Episodes`, `portfolio_episodes.PortfolioEpisodes`."""

    @property
    def count(self) -> int: ...
    @property
    def reward(self) -> Reward: ...
    @property
    def parts(self) -> Floats: ...
    def fresh_step(self) -> Step: ...
    def seed(self, base: int) -> None: ...
    def reset(self, observations: Columns, mask: Flags, starts: Ints) -> None: ...
    def step(self, targets: Floats, step: Step, parallel: bool) -> int: ...
    def state(self) -> dict[str, NDArray[Any]]: ...
    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None: ...


class Batch:
    """An engine's episodes as a gymnasium VectorEnv wants them told; `shape` is that of one observation."""

    def __init__(self, engine: Engine, shape: tuple[int, ...], *, same_step: bool, copy: bool, parts: bool) -> None:
        self._engine, self._shape = engine, (engine.count, *shape)
        self._same_step, self._parts = same_step, parts
        self.buffers = Buffers(engine.fresh_step, copy)
        self._last: Step | None = None

    @property
    def is_started(self) -> bool:
        """Whether there has been a first reset."""
        return self._last is not None

    def reset(self, seed: int | None, options: dict[str, Any] | None, draw: Callable[[], int]) -> Columns:
        """Begin all episodes, or those of `options["reset_mask"]`, at `options["start"]` where it is given.

        Without a seed the streams go on; the first time they begin at what `draw` says.
        """
        given = options or {}
        if unknown := set(given) - {"reset_mask", "start"}:
            raise ValueError(f"reset has no option {', '.join(sorted(unknown))}; it has reset_mask, start")
        count, last = self._engine.count, self._last
        mask = np.asarray(given.get("reset_mask", np.ones(count, np.bool_)), np.bool_)
        starts = np.broadcast_to(start_bars(given.get("start", -1)), (count,))
        if last is None and not mask.all():
            raise ValueError("the first reset begins every episode: a reset_mask that leaves some out comes later")
        if seed is not None or last is None:
            self._engine.seed(seed if seed is not None else draw())
        step = self.buffers.next()
        if last is not None and not mask.all():
            step.observations[:] = last.observations
        self._engine.reset(step.observations, mask, starts)
        self._last = step
        return self._shaped(step.observations)

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the next step depends on, and the observations that the last one gave."""
        if self._last is None:
            raise ValueError("call reset before the first state")
        return self._engine.state() | {"observations": self._last.observations.copy()}

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up the episodes that `state` told of."""
        if self._last is None:
            raise ValueError("call reset before a state is set")
        self._engine.set_state(state)
        self._last.observations[:] = state["observations"]

    def step(self, targets: Floats, parallel: bool) -> Told:
        """Walk every episode one bar towards its targets."""
        step = self.buffers.next()
        ended = self._engine.step(targets, step, parallel)
        self._last = step
        infos: dict[str, Any] = {"reward_parts": self._engine.parts.copy()} if self._parts else {}
        if ended:
            self._report(step, infos)
        return self._shaped(step.observations), step.rewards, step.terminated, step.truncated, infos

    def _report(self, step: Step, infos: dict[str, Any]) -> None:
        """Tell of the few episodes that ended, without touching the rows of the many that go on."""
        over = step.terminated | step.truncated
        rows = np.flatnonzero(over)
        names = [*self._engine.reward.names, *SUMS]
        told = {name: np.zeros(len(over)) for name in names}
        for k, name in enumerate(names):
            told[name][rows] = step.final_sums[rows, k]
        infos["episode"] = {**told, "l": told["l"].astype(np.int64)}
        infos["_episode"] = over
        if self._same_step:
            finals = np.zeros_like(step.finals)
            finals[rows] = step.finals[rows]
            infos["final_obs"], infos["_final_obs"] = self._shaped(finals), over

    def _shaped(self, observations: Columns) -> Columns:
        return observations if len(self._shape) == 2 else observations.reshape(self._shape)


def autoreset_of(name: str) -> AutoresetMode:
    """The mode of that name; ValueError on one that no batch here has."""
    if name not in ("SAME_STEP", "NEXT_STEP"):
        raise ValueError(f"autoreset {name!r} must be 'SAME_STEP' or 'NEXT_STEP'")
    return AutoresetMode[name]


def one_seed(seed: int | list[int | None] | None) -> int | None:
    """The seed of a batch; ValueError on gymnasium's list of one for each."""
    if isinstance(seed, list):
        raise ValueError("a batch is seeded by one number: episode i gets seed + i")
    return seed
