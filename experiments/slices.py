"""A course on bars: a slice to train on, slices to judge on, the terrain, the past. One a run, or a fold.

Makes the environments of both backends. Knows no trainer; where the bars come from is told in `course`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..agents.policy import Policy
from ..conf.schema import MemorySchema, TrainConfig
from ..envs.arena import BatchArenaEnv
from ..envs.batch import BatchTradingEnv
from ..envs.mixture import MixtureEnv
from ..envs.observation import ObservationSpec
from ..envs.passport import Terrain, fitted_rows
from ..envs.past import Tabled
from ..envs.remembrance import EXACT, SHUFFLED, Remembrance
from ..envs.setup import EnvKeywords
from ..market.bars import Bars
from ..market.funding import Funding
from ..market.jit import cache_root
from ..market.limits import Limits
from ..memory.embedding import fit_embedder
from ..memory.recall import Progress
from .evaluate import Track, judge
from .runs import bars_facts, funding_facts
from .seeds import derive_seed
from .splits import Fold
from .terrain import CourseError

AnyVectorEnv: TypeAlias = BatchTradingEnv | BatchArenaEnv | MixtureEnv
Maker: TypeAlias = Callable[[Any], Any]  # RLlib's own config object in, a vector env out


@dataclass(frozen=True, eq=False)
class Course:
    """`train` trains, `validation` and `test` judge; the latter two begin with the warm-up bars they need.

    `terrain` has the limits in live mode, as everything after training runs; `training_limits` are those of training.
    """

    config: TrainConfig
    terrain: Terrain
    training_limits: Limits
    train: Bars
    validation: Bars | None
    test: Bars | None
    past: Tabled | None = None
    memory: Remembrance | None = None
    source: str = ""
    funding: Funding | None = None

    def training_env(self) -> AnyVectorEnv:
        """Episodes side by side on the training bars, SAME_STEP autoreset, two buffers that take turns."""
        count = self.config.env.num_envs
        return BatchTradingEnv(self.train, count, autoreset="SAME_STEP", copy=False, **self.keywords())

    def rllib_env(self) -> Maker:
        """What RLlib's vector entry point takes: a maker of NEXT_STEP envs, which the runner seeds by its worker."""
        bars, keywords = self.train, self.keywords()
        return lambda told: BatchTradingEnv(bars, int(told["num_envs"]), autoreset="NEXT_STEP", **keywords)

    def rows(self) -> NDArray[np.float32]:
        """(T, market + memory) float32 of the training bars, warm ones only: what the scaler is fitted on."""
        return fitted_rows(self.train, self.terrain.spec, self.past)

    def judge(
        self, policy: Policy, role: str, *, name: str, limits: Limits | None = None, close_out: bool = False
    ) -> Track:
        """The policy's track on the slice `role`, "validation" or "test", under live limits unless given."""
        bars = {"validation": self.validation, "test": self.test}[role]
        if bars is None:
            raise CourseError(f"the split left no {role} bars")
        terrain = self.terrain if limits is None else self.terrain.with_limits(limits)
        cash = self.config.env.cash
        return judge(
            policy, bars, terrain, past=self.past, funding=self.funding, cash=cash, close_out=close_out, name=name
        )

    def tracks(
        self, policy: Policy, role: str, *, name: str, limits: Limits | None = None, close_out: bool = False
    ) -> list[Track]:
        """The tracks whose figures' means are the policy's figures on a slice: one on bars, several in a crowd."""
        return [self.judge(policy, role, name=name, limits=limits, close_out=close_out)]

    def facts(self) -> dict[str, Any]:
        """What run.json and the passport say about the data."""
        told: dict[str, Any] = {"source": self.source, "symbol": self.train.symbol, "interval": self.train.interval}
        for name, bars in (("train", self.train), ("validation", self.validation), ("test", self.test)):
            if bars is not None:
                told[name] = bars_facts(bars)
        if self.funding is not None:
            told["funding"] = funding_facts(self.funding)
        if self.memory is not None:
            told["memory"] = self.memory.to_json()
        return told

    def keywords(self) -> EnvKeywords:
        """What an environment on recorded bars is made with."""
        env = self.config.env
        return EnvKeywords(
            instrument=self.terrain.instrument,
            costs=self.terrain.costs,
            limits=self.training_limits,
            funding=self.funding,
            observation=self.terrain.spec,
            past=self.past,
            actions=env.actions,
            episode_bars=env.episode_bars,
            cash=env.cash,
            rewards=dict(env.rewards),
            dead_band=env.dead_band,
            vary_costs=env.vary_costs,
        )


def judged_slices(bars: Bars, fold: Fold, need: int) -> tuple[Bars | None, Bars | None]:
    """Validation and test bars, each with the `need` bars before it that its first observation looks back on."""
    return _judged(bars, fold.validation, need), _judged(bars, fold.test, need)


def past_of(
    bars: Bars,
    train: tuple[int, int],
    spec: ObservationSpec,
    memory: MemorySchema,
    seed: int,
    progress: Progress | None = None,
) -> tuple[Tabled | None, Remembrance | None]:
    """The past of an observation with memory columns, fitted on the bars `train` alone; none where it has none.

    `seed`, the run's, draws whose outcome each moment is given where config wants them shuffled.
    """
    if not spec.memory:
        return None, None
    embedder = fit_embedder(memory.embedder, bars.slice(*train), window=memory.window, width=memory.width)
    remembrance = Remembrance(
        embedder,
        bars.symbol,
        bars.interval,
        memory.neighbours,
        memory.horizon,
        embargo=memory.embargo,
        mode=SHUFFLED if memory.outcomes == SHUFFLED else EXACT,
    )
    past = Tabled.of(
        bars,
        embedder,
        k=memory.neighbours,
        horizon=memory.horizon,
        embargo=memory.embargo,
        shuffled=derive_seed(seed, "memory") if memory.outcomes == SHUFFLED else None,
        cache=neighbours_in(memory),
        progress=progress,
    )
    return past, remembrance


def neighbours_in(memory: MemorySchema) -> Path:
    """The folder of neighbours already found."""
    return cache_root() / "memory" if memory.cache is None else Path(memory.cache)


def _judged(bars: Bars, part: tuple[int, int], need: int) -> Bars | None:
    """Bars of a slice and as many before it as its first observation, one bar earlier, needs."""
    start, stop = part
    return bars.slice(max(start - need, 0), stop) if stop > start else None
