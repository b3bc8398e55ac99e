"""MixtureEnv: N episodes as one gymnasium VectorEnv, each drawn from recorded bars or from a crowd.

Every row draws anew at every episode, so weights are shares of episodes at any number of rows and in every stage of a
curriculum; halves of fixed rows would round them, and could not follow one. Episodes last as long in both halves, so
they are shares of steps too, but for what ruin, or the end of a stretch of bars, cuts off.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from ..market.bars import Bars
from ..simulators.storms import Role
from .arena_setup import ArenaSetup, setup_of
from .batching import Batch, autoreset_of, one_seed
from .curriculum import Curriculum, Stage
from .mixture_engine import Mixed, Storms
from .setup import EnvKeywords, EnvSetup

__all__ = ["MixtureEnv", "Stage"]


class MixtureEnv(VectorEnv[NDArray[np.float32], NDArray[Any], NDArray[Any]]):
    """N trading episodes, stepped together, on `bars` or in crowds as the `stages` of a training of `steps` steps say.

    `history` are the keywords of BatchTradingEnv, `arena` those of ArenaSetup; both must observe, act and be rewarded
    alike, at one interval. With history alone it walks as BatchTradingEnv, with storms alone as BatchArenaEnv, bit for
    bit. `autoreset`, `copy`, `parts` and infos as there. `advance` moves the curriculum on.
    """

    def __init__(
        self,
        bars: Bars,
        stages: Sequence[Stage],
        num_envs: int,
        *,
        steps: int,
        history: EnvKeywords,
        arena: Mapping[str, Any],
        role: Role = "train",
        autoreset: str = "SAME_STEP",
        copy: bool = True,
        parts: bool = False,
    ) -> None:
        mode = autoreset_of(autoreset)
        same_step = mode == AutoresetMode.SAME_STEP
        self.setup, self.arena = EnvSetup(**history), setup_of(arena)
        _check_alike(bars, self.setup, self.arena)
        self.curriculum = Curriculum(stages, steps, self.arena.pool, self.arena.interval)
        storms = Storms(self.curriculum, self.arena, role, num_envs)
        recorded = self.setup.episodes(bars, num_envs, same_step)
        self.mixed = Mixed(recorded, storms, self.curriculum, same_step=same_step)
        self.num_envs = num_envs
        self.render_mode = None
        self.metadata = {"autoreset_mode": mode, "render_modes": []}
        self.parallel = False
        self.single_observation_space = self.setup.observation_space()
        self.single_action_space = self.setup.action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._batch = Batch(self.mixed, self.setup.spec.shape, same_step=same_step, copy=copy, parts=parts)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin all episodes, or those of `options["reset_mask"]`."""
        seed = one_seed(seed)
        if unknown := set(options or {}) - {"reset_mask"}:
            raise ValueError(f"reset of a mixture has no option {', '.join(sorted(unknown))}; it has reset_mask")
        if seed is not None or not self._batch.is_started:
            super().reset(seed=seed)
        return self._batch.reset(seed, options, lambda: int(self.np_random.integers(0, 2**63))), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Walk every episode one bar; `actions` (N,) or (N, 1)."""
        if not self._batch.is_started:
            raise ValueError("call reset before the first step")
        return self._batch.step(self.setup.exposures(actions, self.num_envs), self.parallel)

    def advance(self, steps: int) -> None:
        """Say that training has done so many steps: episodes that begin from now on are drawn as their stage says."""
        self.curriculum.done = steps

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the next steps depend on, as arrays by name: `set_state` on an env made alike goes on from there."""
        return self._batch.state()

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up the episodes where `state` left them, to the last bit; an env must have been reset before."""
        self._batch.set_state(state)


def _check_alike(bars: Bars, history: EnvSetup, arena: ArenaSetup) -> None:
    if arena.book or arena.wakes_inside:
        raise ValueError(
            "a mixture steps bar by bar and sees no book: recorded bars have neither wakes within nor a book"
        )
    for name, ours, theirs in (
        ("interval", bars.interval, arena.interval),
        ("observation", history.spec.digest, arena.spec.digest),
        ("observation space", history.observation_space(), arena.observation_space()),
        ("actions", history.actions, arena.actions),
        ("rewards", history.rewards, arena.rewards),
        ("episode_bars", history.episode_bars, arena.episode_bars),
    ):
        if ours != theirs:
            raise ValueError(f"a mixture has one {name}: recorded bars have {ours}, the crowd has {theirs}")
