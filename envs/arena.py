"""The arena: the same desk, ledger and rewards inside a crowd whose order book the policy's own orders move.

An order leaves at a bar's close and enters the book after the market's latency; what it costs is what the crowd takes
for it. One bar of the crowd is one step. Knows no recorded bars.
"""

from collections.abc import Mapping
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from ..market.bars import DAY_MS, Bar
from ..market.costs import assumed_funding
from ..market.exchange import Quote, end_bar
from ..market.ledger import Account, apply_fill, open_account, pay_borrow, pay_funding
from ..market.limits import State, allowed_lots, day_roll
from ..simulators.crowd import CrowdMarket
from ..simulators.storms import Role
from .actions import exposure_of
from .arena_engine import Arenas
from .arena_past import Recollection, Told
from .arena_pool import pool_of, shown
from .arena_setup import ArenaSetup, Lottery, Scenarios
from .batching import Batch, autoreset_of, one_seed
from .desk import Desk
from .info import account_info
from .rewards import N_MOMENTS, Reward, reward_into
from .setup import exposures_of

__all__ = ["TRADER", "ArenaEnv", "ArenaSetup", "BatchArenaEnv"]

TRADER = "policy"


class ArenaEnv(gymnasium.Env[NDArray[np.float32], Any]):
    """Trade inside a crowd: `reset(seed)` sends a warm market on with its own draws and opens the account.

    `scenario` is one, a list, or weights by name: each episode draws its own. `role` "train" draws storms from the
    training ranges; "judge", for stress tests, from ranges that reach beyond. The first action trades once the desk is
    warm, at the start of bar 60 or later; no storm begins before it.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # gymnasium's own convention

    def __init__(self, scenario: Scenarios = "normal", *, role: Role = "train", **keywords: Any) -> None:
        setup = self.setup = ArenaSetup(**keywords)
        self.interval_ms = setup.interval_ms
        self._lottery = Lottery(scenario, setup.pool)
        self.market = CrowdMarket(
            self._lottery.scenarios[0],
            0,
            interval=setup.interval,
            role=role,
            onset=setup.onset,
            calm_bars=setup.calm_bars,
            tape=setup.tape,
        )
        self.owner = self.market.add_trader(TRADER)
        self._pools = {each.name: pool_of(setup, each, role, CrowdMarket) for each in self._lottery.scenarios}
        self.terms = setup.terms(self.market.instrument())
        self.observation_space = setup.observation_space()
        self.action_space = setup.action_space()
        self.reward = Reward.of(setup.rewards)
        self._moments = np.zeros((1, N_MOMENTS))
        self._told, self._recollection = Told(), None
        if setup.past:
            room = setup.warm_up + setup.episode_bars + 1
            self._recollection = Recollection(setup.past, setup.interval, 1, room)
        self._desk = Desk(setup.spec, self.terms, setup.interval_ms, self._told if setup.past else None)
        self._account = open_account(1.0)
        self._running, self._seed, self._episode, self._until = False, 0, 0, 0

    @property
    def account(self) -> Account:
        """The account as it stands at the last close."""
        return self._account

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin another market; everything of the last episode is rebuilt."""
        super().reset(seed=seed)
        if options:
            raise ValueError(f"reset of an arena has no option {', '.join(options)}")
        if seed is not None or self._episode == 0:
            self._seed, self._episode = seed if seed is not None else int(self.np_random.integers(0, 2**63)), 0
        drawn = self._lottery.draw(self._seed, self._episode)
        warm = self._pools[drawn.scenario.name].warm(drawn.slot)
        self.market.set_state(warm.market)
        self.market.branch(drawn.market_seed, drawn.scenario)
        if self._recollection and warm.kept:
            self._recollection.put(0, warm.kept)
        self._desk.take_up(warm.stream, warm.rows, warm.close)
        self._account = open_account(self.setup.cash(warm.median_volume, warm.close, self.terms.leverage))
        self._until = self.setup.warm_up - 1 + self.setup.episode_bars
        self._moments[:] = 0.0
        self._episode, self._running = self._episode + 1, True
        return self._desk.observe(self._account), self._info()

    def step(self, action: Any) -> tuple[NDArray[np.float32], SupportsFloat, bool, bool, dict[str, Any]]:
        """Send the order that moves towards `action`, and live through one bar of the crowd."""
        if not self._running:
            raise ValueError("the episode is over: call reset before the next step")
        before, price = self._account, self._desk.price
        lots = self._send(float(np.asarray(action).reshape(())), before, price)
        bar = self._live_bar()
        fills = self.market.fills(self.owner)
        after = self._settle(before, bar, fills)
        self._account = after
        reward, parts = self._rewarded(before, after)
        halted = self.setup.limits.terminate_on_halt and after.state == State.HALTED
        terminated = bool(after.ruin) or halted
        truncated = not terminated and self.market.bars_done - 1 >= self._until
        self._running = not (terminated or truncated)
        info = self._info()
        info["reward_parts"] = dict(zip(self.reward.names, parts, strict=True))
        info["order_lots"], info["filled_lots"] = lots, int(fills[:, 1].sum())
        return self._desk.observe(after), reward, terminated, truncated, info

    def close(self) -> None:
        self.market.close()

    def _send(self, action: float, account: Account, price: float) -> int:
        exposure = exposure_of(action, self.setup.actions)
        orders = self._desk.orders(exposure, account)
        lots = allowed_lots(orders[0].lots if orders else 0, account, price, self.terms)
        if lots:
            self.market.submit_market(self.owner, lots)
        return lots

    def _live_bar(self) -> Bar:
        """Let the crowd trade one bar and show it to the desk."""
        self.market.run_bar()
        bar = self.market.last_bar()
        if self._recollection and self.setup.past:
            self._told.row = self._recollection.columns([0], [shown(self.market, self.setup.past.bars)])[0]
        self._desk.on_bar(bar)
        return bar

    def _settle(self, account: Account, bar: Bar, fills: NDArray[np.int64]) -> Account:
        """The bar in DESIGN's order: day roll, fills, funding on what is then held, liquidation, mark, limits."""
        due = assumed_funding(bar.opened_at, self.interval_ms, self.setup.costs.funding_bps_per_8h)
        rolled = bar.opened_at % DAY_MS == 0
        if rolled:
            account = day_roll(account, self.terms)
        for ticks, lots, _ in fills.tolist():
            price = ticks * self.terms.tick
            fee = abs(lots) * self.terms.lot * price * self.terms.taker_fee
            account = apply_fill(account, lots, price, fee, self.terms)
        if account.lots and due:
            account = pay_funding(account, due, bar.open, self.terms)
        if account.lots and self.terms.borrow > 0.0:
            sold = max(-account.lots * self.terms.lot * bar.open, 0.0)
            account = pay_borrow(account, sold, self.terms.borrow * self.interval_ms / DAY_MS)
        quote = Quote(bar.open, bar.high, bar.low, bar.close, due, float(rolled), self.interval_ms / DAY_MS)
        return end_bar(account, quote, self.terms)[0]

    def _rewarded(self, before: Account, after: Account) -> tuple[float, list[float]]:
        parts, sums = np.zeros((2, 1, self.reward.built_in))
        reward = float(reward_into(0, before, after, self.reward.rule, parts, sums, self._moments))
        told = parts[0].tolist()
        for own in self.reward.own:
            told.append(own.of(before, after))
            reward += own.weight * told[-1]
        return reward, told

    def _info(self) -> dict[str, Any]:
        bar = self.market.last_bar()
        closed_at = bar.opened_at + self.interval_ms - 1
        return account_info(self._account, self.terms.lot, bar.close, closed_at, self.market.bars_done - 1)


class BatchArenaEnv(VectorEnv[NDArray[np.float32], NDArray[Any], NDArray[Any]]):
    """N arenas as one VectorEnv, one compiled call a step on as many threads as kernels use.

    Arena i of `reset(seed=s)` walks as ArenaEnv seeded s + i. `autoreset`, `copy`, `parts` and infos as in
    BatchTradingEnv; the markets keep no trades, only bars.
    """

    def __init__(
        self,
        scenario: Scenarios = "normal",
        num_envs: int = 8,
        *,
        role: Role = "train",
        autoreset: str = "SAME_STEP",
        copy: bool = True,
        parts: bool = False,
        **keywords: Any,
    ) -> None:
        mode = autoreset_of(autoreset)
        same_step = mode == AutoresetMode.SAME_STEP
        setup = self.setup = ArenaSetup(**keywords)
        self.arenas = Arenas(scenario, setup, role, num_envs, same_step=same_step)
        self.num_envs = num_envs
        self.render_mode = None
        self.metadata = {"autoreset_mode": mode, "render_modes": []}
        self.single_observation_space = setup.observation_space()
        self.single_action_space = setup.action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._batch = Batch(self.arenas, setup.spec.shape, same_step=same_step, copy=copy, parts=parts)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin all arenas, or those of `options["reset_mask"]`."""
        seed = one_seed(seed)
        if unknown := set(options or {}) - {"reset_mask"}:
            raise ValueError(f"reset of an arena has no option {', '.join(sorted(unknown))}; it has reset_mask")
        if seed is not None or not self._batch.is_started:
            super().reset(seed=seed)
        return self._batch.reset(seed, options, lambda: int(self.np_random.integers(0, 2**63))), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """One bar in every market; `actions` (N,) or (N, 1)."""
        if not self._batch.is_started:
            raise ValueError("call reset before the first step")
        return self._batch.step(exposures_of(actions, self.setup.actions, self.num_envs), parallel=True)

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the next steps depend on, as arrays by name: `set_state` on an env made alike goes on from there."""
        return self._batch.state()

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up the markets where `state` left them, to the last bit; an env must have been reset before."""
        self._batch.set_state(state)
