"""The arena: the same desk, ledger and rewards inside a crowd whose order book the policy's own orders move.

An order leaves at a bar's close and enters the book after the market's latency; what it costs is what the crowd takes
for it. One bar of the crowd is one step. Knows no recorded bars.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from ..market.bars import DAY_MS, INTERVALS, Bar
from ..market.contract import terms_of
from ..market.costs import Costs, assumed_funding
from ..market.exchange import Quote, end_bar
from ..market.jit import threads
from ..market.ledger import Account, apply_fill, open_account, pay_borrow, pay_funding
from ..market.limits import Limits, State, allowed_lots, day_roll
from ..simulators.crowd import CrowdMarket
from ..simulators.scenarios import FIRST_BAR, Role
from .actions import exposure_of, levels_of
from .desk import Desk
from .features import warm_up
from .info import account_info
from .observation import ObservationSpec
from .past import Past
from .rewards import N_MOMENTS, Reward, reward_into

TRADER = "policy"


@dataclass(frozen=True)
class ArenaSetup:
    """What an arena needs besides a scenario. `size` is the full allowed position in median bar volumes: the account
    opens with as much cash as that takes. Spread and impact are the crowd's; of `costs` fees, funding and borrow count.
    """

    interval: str = "1m"
    costs: Costs = field(default_factory=Costs)
    limits: Limits = field(default_factory=Limits)
    observation: str | ObservationSpec = "default"
    actions: str = "box"
    episode_bars: int = 540
    size: float = 0.5
    rewards: dict[str, float] | None = None
    dead_band: float = 0.02
    past: Past | None = None

    def __post_init__(self) -> None:
        if self.episode_bars < 1:
            raise ValueError(f"episode_bars {self.episode_bars} must be 1 or more")
        if not (np.isfinite(self.size) and self.size > 0):
            raise ValueError(f"size {self.size} must be above 0 median bar volumes")

    @property
    def spec(self) -> ObservationSpec:
        named = self.observation
        return ObservationSpec.load(named) if isinstance(named, str) else named


class ArenaEnv(gymnasium.Env[NDArray[np.float32], Any]):
    """Trade inside a crowd: `reset(seed)` raises a market, warms the desk up and opens the account.

    `role` "train" draws storms from the training ranges; "judge", for stress tests, from ranges that reach beyond.
    The first action trades once the desk is warm, at the start of bar 60 or later; no storm begins before it, unless
    `onset` names its bar.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # gymnasium's own convention

    def __init__(
        self, scenario: str = "normal", *, role: Role = "train", onset: int | None = None, **keywords: Any
    ) -> None:
        self.setup = ArenaSetup(**keywords)
        spec = self.setup.spec
        self.interval_ms = INTERVALS[self.setup.interval]
        self._spec, self._warm_up = spec, warm_up(spec.market, self.interval_ms) + spec.window - 1
        calm_bars = max(self._warm_up - FIRST_BAR, 0)
        self.market = CrowdMarket(
            scenario, 0, interval=self.setup.interval, role=role, onset=onset, calm_bars=calm_bars
        )
        self.owner = self.market.add_trader(TRADER)
        self.terms = terms_of(self.market.instrument(), self.setup.costs, self.setup.limits, self.setup.dead_band)
        self.observation_space = spaces.Box(-np.inf, np.inf, spec.shape, np.float32)
        levels = levels_of(self.setup.actions)
        self.action_space: spaces.Space[Any] = (
            spaces.Box(-1.0, 1.0, (1,), np.float32) if levels is None else spaces.Discrete(len(levels))
        )
        self.reward = Reward.of(self.setup.rewards)
        self._moments = np.zeros((1, N_MOMENTS))
        self._desk = self._fresh_desk()
        self._account = open_account(1.0)
        self._running, self._seed, self._episode, self._until = False, 0, 0, 0

    @property
    def account(self) -> Account:
        """The account as it stands at the last close."""
        return self._account

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Raise another market; everything of the last episode is rebuilt."""
        super().reset(seed=seed)
        if options:
            raise ValueError(f"reset of an arena has no option {', '.join(options)}")
        if seed is not None or self._episode == 0:
            self._seed, self._episode = seed if seed is not None else int(self.np_random.integers(0, 2**63)), 0
        self.market.reset(_market_seed(self._seed, self._episode))
        self._episode += 1
        self._desk = self._fresh_desk()
        volumes = []
        for _ in range(self._warm_up):
            volumes.append(self._live_bar().volume)
        self._account = open_account(self._cash(float(np.median(volumes))))
        self._until = self._warm_up - 1 + self.setup.episode_bars
        self._moments[:] = 0.0
        self._running = True
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

    def _cash(self, median_volume: float) -> float:
        if median_volume <= 0:
            raise ValueError("this market does not trade: its median bar volume is 0")
        return self.setup.size * median_volume * self._desk.price / self.terms.leverage

    def _fresh_desk(self) -> Desk:
        return Desk(self._spec, self.terms, self.interval_ms, self.setup.past)

    def _info(self) -> dict[str, Any]:
        bar = self.market.last_bar()
        closed_at = bar.opened_at + self.interval_ms - 1
        return account_info(self._account, self.terms.lot, bar.close, closed_at, self.market.bars_done - 1)


class BatchArenaEnv(VectorEnv[NDArray[np.float32], NDArray[Any], NDArray[Any]]):
    """N arenas as one VectorEnv with SAME_STEP autoreset; arena i of `reset(seed=s)` walks as ArenaEnv seeded s + i.

    Markets advance on as many threads as kernels use. Infos as in BatchTradingEnv.
    """

    def __init__(self, scenario: str = "normal", num_envs: int = 8, *, role: Role = "train", **keywords: Any) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs {num_envs} must be 1 or more")
        self.arenas = [ArenaEnv(scenario, role=role, **keywords) for _ in range(num_envs)]
        self.num_envs = num_envs
        self.render_mode = None
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}
        self.single_observation_space = self.arenas[0].observation_space
        self.single_action_space = self.arenas[0].action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._pool = ThreadPoolExecutor(max_workers=max(1, min(threads(), num_envs)))
        self._names = self.arenas[0].reward.names
        self._sums = np.zeros((num_envs, 2 + len(self._names)))

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Raise N markets."""
        if isinstance(seed, list):
            raise ValueError("a batch is seeded by one number: arena i gets seed + i")
        self._sums[:] = 0.0
        seeds = [None if seed is None else seed + i for i in range(self.num_envs)]
        pairs = self._pool.map(
            lambda pair: pair[0].reset(seed=pair[1], options=options), zip(self.arenas, seeds, strict=True)
        )
        return np.stack([observation for observation, _ in pairs]), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """One bar in every market; `actions` (N,) or (N, 1)."""
        given = np.asarray(actions).reshape(self.num_envs)
        walked = list(self._pool.map(_walk, self.arenas, given))
        observations = np.stack([row.observation for row in walked])
        rewards = np.array([row.reward for row in walked])
        terminated = np.array([row.terminated for row in walked])
        truncated = np.array([row.truncated for row in walked])
        self._sums += np.array([[row.reward, 1.0, *row.parts] for row in walked])
        infos: dict[str, Any] = {}
        over = terminated | truncated
        if over.any():
            self._report(over, walked, infos)
        return observations, rewards, terminated, truncated, infos

    def close_extras(self, **kwargs: Any) -> None:
        self._pool.shutdown()
        for arena in self.arenas:
            arena.close()

    def _report(self, over: NDArray[np.bool_], walked: "list[_Walked]", infos: dict[str, Any]) -> None:
        sums = np.where(over[:, None], self._sums, 0.0)
        infos["episode"] = {"r": sums[:, 0], "l": sums[:, 1].astype(np.int64)}
        infos["episode"]["equity"] = np.array(
            [row.equity if done else 0.0 for row, done in zip(walked, over, strict=True)]
        )
        infos["episode"] |= {name: sums[:, 2 + k] for k, name in enumerate(self._names)}
        infos["_episode"] = over
        infos["final_obs"] = np.stack([row.final for row in walked])
        infos["_final_obs"] = over
        self._sums[over] = 0.0


@dataclass(frozen=True)
class _Walked:
    observation: NDArray[np.float32]
    reward: float
    terminated: bool
    truncated: bool
    parts: list[float]
    equity: float
    final: NDArray[np.float32]


def _walk(arena: ArenaEnv, action: Any) -> _Walked:
    observation, reward, terminated, truncated, info = arena.step(action)
    final = np.zeros_like(observation)
    if terminated or truncated:
        final = observation
        observation, _ = arena.reset()
    parts = list(info["reward_parts"].values())
    return _Walked(observation, float(reward), terminated, truncated, parts, info["equity"], final)


def _market_seed(seed: int, episode: int) -> int:
    """The market of an episode: another seed for each, the same for the same."""
    return int(np.random.SeedSequence([seed, episode]).generate_state(1, np.uint64)[0])
