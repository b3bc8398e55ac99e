"""The arena: the same desk, ledger and rewards inside a crowd whose order book the policy's own orders move.

An order leaves when the desk wakes and enters the book after the market's latency; what it costs is what the crowd
takes for it. A step is a bar of the crowd, or ends at an earlier wake. Knows no recorded bars.
"""

from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ..market.ledger import Account, mark, open_account
from ..market.limits import State
from ..simulators import world as crowd
from ..simulators.crowd import CrowdMarket
from ..simulators.storms import Role
from .arena_batch import BatchArenaEnv
from .arena_book import write_block
from .arena_hands import Hand, OrderHand, TargetHand
from .arena_orders import has_filled
from .arena_past import Recollection, Told
from .arena_pool import pool_of, shown
from .arena_settle import close_account, roll_into
from .arena_setup import ArenaSetup, Lottery, Scenarios, setup_of
from .arena_twin import Twin
from .arena_view import View
from .desk import Desk
from .info import account_info
from .rewards import N_MOMENTS, Reward, reward_into

__all__ = ["TRADER", "ArenaEnv", "ArenaSetup", "BatchArenaEnv"]

TRADER = "policy"


class ArenaEnv(gymnasium.Env[NDArray[np.float32], Any]):
    """Trade inside a crowd: `reset(seed)` sends a warm market on with its own draws and opens the account.

    `scenario` is one, a list, or weights by name: each episode draws its own. `role` "train" draws storms from the
    training ranges; "judge", for stress tests, from ranges that reach beyond. The first action trades once the desk is
    warm, at the start of bar 60 or later; no storm begins before it. `twin` runs the same market beside, without the
    policy's orders, and tells in `info` how far these have moved the price; other keywords are ArenaSetup's.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # gymnasium's own convention

    def __init__(
        self, scenario: Scenarios = "normal", *, role: Role = "train", twin: bool = False, **keywords: Any
    ) -> None:
        setup = self.setup = setup_of(keywords)
        self.interval_ms = setup.interval_ms
        self._lottery = Lottery(scenario, setup.pool, setup.interval)
        self.market = self._new_market(role, setup.tape)
        self.owner = self.market.add_trader(TRADER)
        self._twin = Twin(self._new_market(role, tape=False)) if twin else None
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
        self._view = View(setup, self._desk)
        self._hand: Hand = (
            OrderHand(self.market, self.owner, setup.menu, self.terms)
            if setup.menu
            else TargetHand(self.market, self.owner, setup.actions, self.terms)
        )
        self._account = self._booked = open_account(1.0)
        self._price, self._unit, self._is_closed = 0.0, 1.0, True
        self._running, self._seed, self._episode, self._until = False, 0, 0, 0

    @property
    def account(self) -> Account:
        """The account as it stood when the desk woke; inside a bar valued at the last trade."""
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
        if self._twin:
            self._twin.begin(warm.market, drawn.market_seed, drawn.scenario)
        if self._recollection and warm.kept:
            self._recollection.put(0, warm.kept)
        self._desk.take_up(warm.stream, warm.rows, warm.close)
        self._view.begin()
        self._hand.begin()
        self._account = self._booked = open_account(
            self.setup.cash(warm.median_volume, warm.close, self.terms.leverage)
        )
        self._price, self._is_closed = warm.close, True
        self._unit = self.setup.step_lots(warm.median_volume, self.terms.lot)
        self._until = self.setup.warm_up - 1 + self.setup.episode_bars
        self._moments[:] = 0.0
        self._episode, self._running = self._episode + 1, True
        return self._observe(), self._info()

    def step(self, action: Any) -> tuple[NDArray[np.float32], SupportsFloat, bool, bool, dict[str, Any]]:
        """Do what `action` says, and live through the crowd's steps until the next wake."""
        if not self._running:
            raise ValueError("the episode is over: call reset before the next step")
        before = self._account
        lots = self._hand.act(action, before, self._price)
        closed = self._live()
        traded = self._settle(closed)
        after = self._account
        reward, parts = self._rewarded(before, after)
        halted = self.setup.limits.terminate_on_halt and after.state == State.HALTED
        terminated = bool(after.ruin) or halted
        truncated = not terminated and self.market.bars_done - 1 >= self._until
        self._running = not (terminated or truncated)
        info = self._info()
        info["reward_parts"] = dict(zip(self.reward.names, parts, strict=True))
        info["order_lots"] = lots
        info.update(traded)
        if self._twin:
            info.update(self._twin.follow(self.market, closed))
        observation = self._observe()
        if not self._running:
            self._hand.end()
        return observation, reward, terminated, truncated, info

    def close(self) -> None:
        self.market.close()
        if self._twin:
            self._twin.close()

    def _new_market(self, role: Role, tape: bool) -> CrowdMarket:
        setup = self.setup
        return CrowdMarket(
            self._lottery.scenarios[0],
            0,
            interval=setup.interval,
            role=role,
            onset=setup.onset,
            calm_bars=setup.calm_bars,
            tape=tape,
        )

    def _live(self) -> bool:
        """Let the crowd trade until the next wake; whether a bar closed."""
        setup, market = self.setup, self.market
        if not setup.wakes_inside:
            market.run_bar()
            return True
        read = int(market.world.clock[crowd.FILLS])
        for _ in range(min(setup.wake, setup.steps_per_bar - int(market.world.clock[crowd.STEPS]))):
            market.step()
            world = market.world
            if setup.wake_on_fill and has_filled(world.fills, read, int(world.clock[crowd.FILLS]), self.owner):
                break
        return int(market.world.clock[crowd.STEPS]) == 0

    def _settle(self, closed: bool) -> dict[str, int]:
        """Book what happened since the last wake, show the desk a closed bar; what was traded, by name."""
        bar, account, terms = self.market.last_bar(), self._booked, self.terms
        if self._is_closed:
            account = roll_into(account, bar.opened_at if closed else bar.opened_at + self.interval_ms, terms)
        account, traded = self._hand.book(account)
        if closed:
            if self._recollection and self.setup.past:
                self._told.row = self._recollection.columns([0], [shown(self.market, self.setup.past.bars)])[0]
            self._desk.on_bar(bar)
            account = close_account(account, bar, self.interval_ms, self.setup.costs.funding_bps_per_8h, terms)
        self._is_closed, self._booked = closed, account
        self._price = bar.close if closed else self.market.close_price
        self._account = account if closed else mark(account, self._price, terms)
        return traded

    def _observe(self) -> NDArray[np.float32]:
        setup, block = self.setup, np.zeros(len(self.setup.block), np.float32)
        if setup.book:
            inside, ours = int(setup.wakes_inside), int(setup.menu is not None)
            write_block(self.market.world, self._hand.own, self._unit, setup.book, inside, ours, block)
        if self._is_closed:
            return self._view.at_close(self._account, block)
        return self._view.inside(self._account, self._price, block)

    def _rewarded(self, before: Account, after: Account) -> tuple[float, list[float]]:
        parts, sums = np.zeros((2, 1, self.reward.built_in))
        reward = float(reward_into(0, before, after, self.reward.rule, parts, sums, self._moments))
        told = parts[0].tolist()
        for own in self.reward.own:
            told.append(own.of(before, after))
            reward += own.weight * told[-1]
        return reward, told

    def _info(self) -> dict[str, Any]:
        """The account at the price of now; `index` and `closed_at` are of the last closed bar."""
        bar = self.market.last_bar()
        closed_at = bar.opened_at + self.interval_ms - 1
        info = account_info(self._account, self.terms.lot, self._price, closed_at, self.market.bars_done - 1)
        return info if self._is_closed else info | {"bar_steps": int(self.market.world.clock[crowd.STEPS])}
