"""One bar, from a file to an order: twenty hand-typed bars walk through every desk of the house.

Scalar environment, batch environment, the arena's desk, a bare desk at the bar-level venue, and the runner must see
identical observations, take identical actions and send identical orders; where the venue is the same, equity too.
A new way through the house is one more function in `WAYS` that returns a `Walk`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.envs import arena as arenas
from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.desk import Desk
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.trading import TradingEnv
from wavetank.execution.clock import BarClock
from wavetank.execution.feed import ReplayFeed
from wavetank.execution.history import read_history
from wavetank.execution.journal import Journal
from wavetank.execution.session import Settings, Trader, begin
from wavetank.market.bars import DAY_MS, INTERVALS, Bar, Bars
from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.exchange import BarExchange
from wavetank.market.ledger import open_account
from wavetank.market.limits import Limits, allowed_lots
from wavetank.market.orders import Instrument, Order

HOUR = INTERVALS["1h"]
SPEC = ObservationSpec("tiny", 1, ("return_1", "return_5"))
FIRST = 15  # volatility and volume have sixteen bars then, and the first decision is taken
MIDNIGHT_BAR = 17  # a UTC day and a funding stamp fall on the bar after next
EARLIER = FIRST - 5  # bars that an arena, which needs six to warm up, is not shown
# open, high, low, close, volume; prices on a grid of a half, so that ticks and floats say the same
TYPED = [
    (100.0, 101.0, 99.5, 100.5, 900.0),
    (100.5, 102.0, 100.0, 101.5, 1100.0),
    (101.5, 101.5, 99.0, 99.5, 1300.0),
    (99.5, 100.5, 99.0, 100.0, 800.0),
    (100.0, 100.0, 98.0, 98.5, 1500.0),
    (98.5, 99.5, 98.0, 99.0, 700.0),
    (99.0, 101.0, 99.0, 101.0, 1200.0),
    (101.0, 103.0, 100.5, 102.5, 1600.0),
    (102.5, 102.5, 101.0, 101.5, 900.0),
    (101.5, 102.0, 100.0, 100.5, 1000.0),
    (100.5, 101.5, 100.5, 101.0, 600.0),
    (101.0, 104.0, 101.0, 103.5, 2000.0),
    (103.5, 105.0, 103.0, 104.5, 1800.0),
    (104.5, 104.5, 102.0, 102.5, 1400.0),
    (102.5, 103.0, 101.5, 102.0, 1000.0),
    (102.0, 102.5, 100.0, 100.5, 1700.0),  # FIRST
    (101.0, 104.0, 100.5, 103.5, 2100.0),
    (103.5, 106.5, 103.0, 106.0, 2500.0),  # MIDNIGHT_BAR
    (106.0, 106.0, 98.0, 99.0, 5200.0),
    (99.0, 101.0, 96.5, 100.0, 3900.0),
]
BARS = Bars.from_rows(
    "1h", [Bar(19_723 * DAY_MS + (k - MIDNIGHT_BAR) * HOUR, *row) for k, row in enumerate(TYPED)], "TYPED"
)
ACTIONS = np.array([-0.5, 1.0, 1.0, 0.25, -0.25], np.float32)
INSTRUMENT = Instrument("TYPED", tick=0.5, lot=0.5, max_leverage=2.0, maintenance=0.02)
# A market order is filled at the open for nothing but its fee: what an order costs in the arena is the crowd's affair.
BARE = Costs(half_spread_bps=0.0, impact_y=0.0, participation=1.0)
TERMS = {
    "usual": (Costs(), Limits()),
    "cut": (Costs(participation=0.05), Limits("clip", max_exposure=0.6, max_order=0.4)),
    "latched": (Costs(), Limits("live", daily_loss=0.02, drawdown=0.5)),
    "halted": (Costs(), Limits("live", daily_loss=0.9, drawdown=0.04)),
    "bare": (BARE, Limits()),
    "bare and latched": (BARE, Limits("live", daily_loss=0.02, drawdown=0.5)),
    "bare and halted": (BARE, Limits("live", daily_loss=0.9, drawdown=0.04)),
}


class Walk(NamedTuple):
    """`observations` at bars 15 … 19; `orders` and `filled` lots of the four decisions between; `equity` at each."""

    observations: list[bytes]
    orders: list[int]
    filled: list[int]
    equity: list[float]


class Case(NamedTuple):
    costs: Costs
    limits: Limits
    cash: float
    folder: Path


def _walk_of_env(case: Case) -> Walk:
    env = TradingEnv(
        BARS,
        instrument=INSTRUMENT,
        costs=case.costs,
        limits=case.limits,
        observation=SPEC,
        cash=case.cash,
        random_start=False,
    )
    observation, info = env.reset(seed=1)
    assert info["index"] == FIRST
    walk = Walk([observation.tobytes()], [], [], [info["equity"]])
    for action in ACTIONS[:-1]:
        observation, _, _, _, info = env.step(np.array([action]))
        walk.observations.append(observation.tobytes())
        walk.orders.append(info["order_lots"])
        walk.filled.append(info["filled_lots"])
        walk.equity.append(info["equity"])
    return walk


def _walk_of_batch(case: Case) -> Walk:
    env = BatchTradingEnv(
        BARS,
        3,
        autoreset="NEXT_STEP",
        instrument=INSTRUMENT,
        costs=case.costs,
        limits=case.limits,
        observation=SPEC,
        cash=case.cash,
    )
    observations, _ = env.reset(seed=1, options={"start": FIRST})
    walk = Walk([observations[1].tobytes()], [], [], [env.episodes.account(1).equity])
    for action in ACTIONS[:-1]:
        observations = env.step(np.array([0.9, action, -0.9]))[0]
        walk.observations.append(observations[1].tobytes())
        ordered, filled = env.episodes.running.lots[1]
        walk.orders.append(int(ordered))
        walk.filled.append(int(filled))
        walk.equity.append(env.episodes.account(1).equity)
    return walk


def _walk_of_desk(case: Case) -> Walk:
    """A bare desk at the bar-level venue, wired as DESIGN draws it."""
    terms = terms_of(INSTRUMENT, case.costs, case.limits)
    desk, venue = Desk(SPEC, terms, HOUR), BarExchange(terms, HOUR, case.cash, case.costs.funding_bps_per_8h)
    walk = Walk([], [], [], [])
    for t, bar in enumerate(BARS):
        if t <= FIRST:
            venue.warm(bar)
            venue.account = open_account(case.cash)
        else:
            walk.filled.append(sum(fill.lots for fill in venue.on_bar(bar) if fill.reason == 0))
        desk.on_bar(bar)
        if t >= FIRST:
            walk.observations.append(desk.observe(venue.account).tobytes())
            walk.equity.append(venue.account.equity)
            orders = desk.orders(float(ACTIONS[t - FIRST]), venue.account)
            lots = allowed_lots(sum(order.lots for order in orders), venue.account, desk.price, terms)
            walk.orders.append(lots)
            if lots:
                venue.submit(Order(lots))
    return walk._replace(orders=walk.orders[:-1])


class _Says:
    """Says the typed actions, bar by bar, and keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def act(self, observations: NDArray[np.float32], state: NDArray[np.float32] | None = None) -> Any:
        action = ACTIONS[len(self.seen)]
        self.seen.append(observations.tobytes())
        return _Said(np.array([[action]], np.float32), np.ones(1, np.float32), None)


class _Said(NamedTuple):
    action: NDArray[np.float32]
    confidence: NDArray[np.float32]
    state: NDArray[np.float32] | None


def _walk_of_runner(case: Case) -> Walk:
    terms, policy, clock = terms_of(INSTRUMENT, case.costs, case.limits), _Says(), BarClock()
    trader = Trader("typed", "0" * 8, "", "1h", policy, Desk(SPEC, terms, HOUR), terms, case.costs.funding_bps_per_8h)
    path = case.folder / "paper.db"
    journal = Journal(path)
    try:
        settings = Settings(cash=case.cash, limits=case.limits.mode)
        begin(journal, trader, settings, clock, source="typed").run(ReplayFeed(BARS, "typed", clock))
    finally:
        journal.close()
    told = read_history(path)
    filled = dict.fromkeys((BARS.closed_at[FIRST + 1 :]).tolist(), 0)
    for fill in told.fills:
        filled[fill.at] += fill.lots if fill.reason == 0 else 0
    return Walk(policy.seen, told.allowed[:-1].tolist(), list(filled.values()), told.equity.tolist())


class _Replayed:
    """Ten typed bars in the place of a crowd: what the arena sends fills at the next open, whatever its size."""

    def __init__(self, scenario: str, rng: int, **keywords: object) -> None:
        self.reset(rng)

    def reset(self, rng: int) -> None:
        self.bars_done, self._waiting, self._filled = 0, 0, np.zeros((0, 3), np.int64)

    def add_trader(self, name: str) -> int:
        return 0

    def state(self) -> dict[str, NDArray[np.int64]]:
        return {"bars_done": np.array([self.bars_done])}

    def set_state(self, state: dict[str, NDArray[np.int64]]) -> None:
        self.bars_done = int(state["bars_done"][0])

    def branch(self, rng: int, scenario: object) -> None: ...

    def instrument(self) -> Instrument:
        return INSTRUMENT

    def submit_market(self, owner: int, lots: int) -> None:
        self._waiting = lots

    def fills(self, owner: int) -> NDArray[np.int64]:
        return self._filled

    def last_bar(self) -> Bar:
        return BARS.bar(EARLIER + self.bars_done - 1)

    def run_bar(self) -> None:
        ticks = round(BARS.open[EARLIER + self.bars_done] / INSTRUMENT.tick)
        self._filled = np.array([[ticks, self._waiting, 0]] if self._waiting else [], np.int64).reshape(-1, 3)
        self.bars_done, self._waiting = self.bars_done + 1, 0

    def close(self) -> None: ...


def _arena(case: Case, size: float) -> arenas.ArenaEnv:
    return arenas.ArenaEnv(
        "normal", interval="1h", costs=case.costs, limits=case.limits, observation=SPEC, size=size, episode_bars=4
    )


def _walk_of_arena(case: Case) -> Walk:
    opened = _arena(case, size=1.0)
    opened.reset(seed=1)
    env = _arena(case, size=case.cash / opened.account.cash)  # the arena's account is as large as its market
    observation, info = env.reset(seed=1)
    assert info["closed_at"] == BARS.closed_at[FIRST]
    assert env.account.cash == case.cash
    walk = Walk([observation.tobytes()], [], [], [info["equity"]])
    for action in ACTIONS[:-1]:
        observation, _, _, _, info = env.step(np.array([action]))
        walk.observations.append(observation.tobytes())
        walk.orders.append(info["order_lots"])
        walk.filled.append(info["filled_lots"])
        walk.equity.append(info["equity"])
    return walk


WAYS: dict[str, Callable[[Case], Walk]] = {
    "batch environment": _walk_of_batch,
    "desk at the venue": _walk_of_desk,
    "runner": _walk_of_runner,
    "arena": _walk_of_arena,
}


@pytest.mark.parametrize(
    ("way", "terms"),
    [(way, terms) for way in WAYS for terms in TERMS if way != "arena" or TERMS[terms][0] is BARE],
)
def test_every_way_through_the_house_is_the_same(
    way: str, terms: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arenas, "CrowdMarket", _Replayed)
    case = Case(*TERMS[terms], cash=10_250.0, folder=tmp_path)
    expected, walked = _walk_of_env(case), WAYS[way](case)
    assert walked.observations == expected.observations
    assert walked.orders == expected.orders
    assert walked.filled == expected.filled
    assert walked.equity == expected.equity


def test_the_twenty_bars_are_not_dull(tmp_path: Path) -> None:
    """Orders of both signs, a cut, a latch and a halt: what the walks above agree upon is not nothing."""
    orders = {name: _walk_of_env(Case(*terms, 10_250.0, tmp_path)) for name, terms in TERMS.items()}
    assert min(orders["usual"].orders) < 0 < max(orders["usual"].orders)
    assert abs(orders["cut"].orders[0]) < abs(orders["usual"].orders[0])
    assert orders["cut"].filled != orders["cut"].orders
    assert orders["latched"].orders[3] != orders["usual"].orders[3]
    assert orders["halted"].orders[3] != orders["latched"].orders[3]
    assert len(BARS) == 20
    assert int(BARS.opened_at[MIDNIGHT_BAR]) % DAY_MS == 0
    assert all(len(set(walk.equity)) == 5 for walk in orders.values())


def test_the_first_order_by_hand() -> None:
    """Short half of 2 × 10,250 at the close of 100.5 in lots of 0.5: 203 lots, filled at the open of 101."""
    walk = _walk_of_env(Case(*TERMS["bare"], 10_250.0, Path()))
    assert -walk.orders[0] == int(10_250 / 100.5 / 0.5) == 203
    assert walk.filled[0] == -203
    fee = 203 * 0.5 * 101.0 * 0.0005
    assert walk.equity[1] == pytest.approx(10_250 - 203 * 0.5 * (103.5 - 101.0) - fee, abs=1e-9)
