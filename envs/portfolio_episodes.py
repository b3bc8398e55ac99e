"""N portfolios on one panel, stepped by one compiled call: the engine inside PortfolioEnv and BatchPortfolioEnv.

Lays out the arrays that `portfolio_walk` walks over, seeds and resets episodes, and adds the reward parts that are not
built in. Knows nothing of gymnasium.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..market.bars import DAY_MS
from ..market.ledger import N_COUNTS, N_MONEY, Account, read_account
from ..market.portfolio import Positions, holding, no_positions
from ..market.terms import Terms
from . import portfolio_walk as walk
from .buffers import new_step
from .episodes import Plan, add_own_parts, put_back
from .panel import Panel
from .portfolio_columns import N_SHARED
from .portfolio_walk import Columns, Flags, Floats, Ints, Running, World
from .rewards import N_MOMENTS, Reward
from .starts import check_start, signed
from .world import IDLE_LOGS, Step, Witness

PARALLEL_FROM = 128  # below this many portfolios the threads' fork and join cost more than they give


@dataclass(frozen=True, eq=False)
class PortfolioEpisodes:
    """N portfolios on one panel."""

    panel: Panel
    reward: Reward
    world: World
    running: Running
    witness: Witness
    count: int

    @classmethod
    def of(cls, panel: Panel, terms: Sequence[Terms], reward: Reward, plan: Plan, count: int) -> "PortfolioEpisodes":
        """Lay out `count` portfolios of the panel's assets, each with its terms; none has begun."""
        if count < 1:
            raise ValueError(f"num_envs {count} must be 1 or more")
        witnessed = count if reward.own else 0
        return cls(
            panel,
            reward,
            _world(panel, terms, reward, plan),
            _nothing_running(count, len(terms), len(reward.names)),
            Witness(
                np.zeros((witnessed, N_MONEY)),
                np.zeros((witnessed, N_COUNTS), np.int64),
                np.zeros((witnessed, N_MONEY)),
                np.zeros((witnessed, N_COUNTS), np.int64),
            ),
            count,
        )

    @property
    def width(self) -> int:
        """Columns of one observation."""
        return int(self.panel.rows.shape[1]) + N_SHARED

    @property
    def parts(self) -> Floats:
        """Reward parts of the last step, (N, P) float64."""
        return self.running.parts

    def fresh_step(self) -> Step:
        """Arrays for one step."""
        return new_step(self.count, self.width, len(self.reward.names))

    def seed(self, base: int) -> None:
        """Give episode stream i the seed base + i, and start counting episodes from 0."""
        self.running.streams[:] = np.array([signed(base + i) for i in range(self.count)], np.int64)
        self.running.clock[:, walk.EPISODE] = 0

    def reset(self, observations: Columns, mask: Flags, starts: Ints) -> None:
        """Begin a new episode where `mask` is set, at row `starts[i]` or, where that is -1, by the env's own rule."""
        for start in starts[mask & (starts != -1)]:
            check_start(int(start), self.panel.segments, "row")
        walk.begin_many(self.world, self.running, mask, starts, observations)

    def step(self, targets: Floats, step: Step, parallel: bool) -> int:
        """Walk every portfolio one row towards its `targets` (N, K); fills `step`, returns how many episodes ended."""
        resting = self.running.clock[:, walk.DONE] != 0 if self.reward.own else None
        stride = walk.walk_parallel if parallel else walk.walk_serial
        ended = int(stride(self.world, self.running, self.witness, targets, step))
        if resting is not None:
            add_own_parts(self.reward, self.witness, self.running.parts, self.running.sums, step, resting)
        return ended

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of all that the next step depends on, by name; what the panel holds is not among it."""
        return {name: array.copy() for name, array in self.running._asdict().items()}

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up the portfolios that `state` told of; ValueError where they are another number or kind."""
        put_back(self.running._asdict(), state)

    @property
    def positions(self) -> Positions:
        """What all portfolios hold, and ordered in the last step."""
        return walk.positions_of(self.running)

    def account(self, i: int) -> Account:
        """The account of portfolio `i`; what it holds stands in `positions`, its own `lots` are 0."""
        return read_account(self.running.money, self.running.counts, i)

    def holding(self, i: int, k: int) -> Account:
        """The account of portfolio `i` as the holder of asset `k`."""
        positions = self.positions
        lots, entry, idle = int(positions.lots[i, k]), float(positions.entry[i, k]), int(positions.idle[i, k])
        return holding(self.account(i), lots, entry, idle)


def _world(panel: Panel, terms: Sequence[Terms], reward: Reward, plan: Plan) -> World:
    days = np.array([panel.tapes[0].bars.interval_ms / DAY_MS])
    options = [plan.episode_bars or 0, plan.random_start, plan.same_step, bool(reward.own)]
    return World(
        panel.prices,
        panel.rolled,
        np.array(terms, np.float64),
        days,
        panel.rows,
        panel.segments,
        reward.rule.watched,
        reward.rule.weights,
        np.array(options, np.int64),
        np.array([plan.cash]),
        IDLE_LOGS,
    )


def _nothing_running(count: int, assets: int, parts: int) -> Running:
    return Running(
        np.zeros((count, N_MONEY)),
        np.zeros((count, N_COUNTS), np.int64),
        *no_positions(count, assets),
        np.zeros((count, 5), np.int64),
        np.zeros(count, np.int64),
        np.zeros((count, parts + 3)),
        np.zeros((count, parts)),
        np.zeros((count, N_MOMENTS)),
    )
