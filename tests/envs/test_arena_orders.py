"""Order-level actions: what is sent where, what it costs, what holds it back, and that nothing of it is lost."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.envs.arena import ArenaEnv, BatchArenaEnv
from wavetank.envs.arena_orders import ROOM, level_ticks
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import to_lots
from wavetank.simulators.book_views import order_rows
from wavetank.simulators.ladder import LAST, empty_book
from wavetank.simulators.matching import LIMIT, process
from wavetank.simulators.world import Knob, Part

NONE, BUY, SELL = 0, 1, 2
SETUP: dict[str, Any] = {"observation": "spine", "pool": 4, "actions": "orders", "order_sizes": (0.02, 0.2, 1.0)}
FEES = Costs(taker_fee_bps=7.0, maker_fee_bps=-1.0, funding_bps_per_8h=0.0)


def test_a_walk_of_orders_is_booked_as_the_tape_tells_it() -> None:
    """Replayed by hand: each trade with its own side's fee, in a ledger of three floats."""
    env = ArenaEnv("normal", episode_bars=60, wake_steps=10, tape=True, costs=FEES, **SETUP)
    _, info = env.reset(seed=6)
    cash, fees, lots, made, seen = info["equity"], 0.0, 0, 0, 0
    rng, over, both = np.random.default_rng(2), False, [0, 0]
    while not over:
        _, _, ended, over, info = env.step(_drawn(rng, env))
        assert not ended
        made += info["maker_lots"]
        trades = env.market.trades()
        for trade in trades[seen:]:
            for who, sign, rate in (("taker", 1, 7e-4), ("maker", -1, -1e-4)):
                if trade[who] == env.owner:
                    bought = sign * int(trade["side"]) * int(trade["lots"])
                    value = bought * env.market.lot * int(trade["ticks"]) * env.market.tick
                    cash, fees, lots = cash - value - abs(value) * rate, fees + abs(value) * rate, lots + bought
                    both[who == "maker"] += abs(bought)
        seen = len(trades)
        assert env.account.lots == lots
        assert env.account.cash == pytest.approx(cash, rel=1e-12)
        assert env.account.fees == pytest.approx(fees, rel=1e-9)
        assert info["equity"] == pytest.approx(cash + lots * env.market.lot * info["close"], rel=1e-12)
    assert min(both) > 1000
    assert made == both[1]


def test_the_books_integers_are_conserved() -> None:
    env = ArenaEnv("flash_crash", episode_bars=60, wake_on_fill=True, onset=65, costs=FEES, **SETUP)
    _, info = env.reset(seed=3)
    opened, rng, over = info["equity"], np.random.default_rng(3), False
    while not over:
        _, _, ended, over, _ = env.step(_drawn(rng, env))
        over = over or ended
        assert env.market.position(env.owner) == env.account.lots
        in_quote = env.market.cash(env.owner) * env.market.tick * env.market.lot
        assert abs(env.account.cash - (opened + in_quote - env.account.fees)) <= 1e-12 * (opened + env.account.turnover)
    assert env.account.trades > 50


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("level", [1, 2, 5])
def test_an_order_joins_the_level_that_it_names(side: int, level: int) -> None:
    env = ArenaEnv("normal", episode_bars=5, wake_steps=1, **SETUP)
    for seed in range(3):
        env.reset(seed=seed)
        bids, asks = env.market.depth(level)
        ticks = int((bids if side == BUY else asks)[level - 1, 0])
        _, _, _, _, info = env.step(np.array([side, level, 1, 0]))
        mine = _resting(env)
        if level > 1:  # nobody came that far in a step
            assert mine == [(1 if side == BUY else -1, ticks, abs(info["order_lots"]))]
        else:
            assert abs(info["order_lots"]) == abs(info["filled_lots"]) + sum(lots for _, _, lots in mine)
        assert np.sign(info["order_lots"]) == (1 if side == BUY else -1)


def test_a_market_order_takes_the_other_side_and_rests_nowhere() -> None:
    env = ArenaEnv("normal", episode_bars=5, wake_steps=1, **SETUP)
    env.reset(seed=2)
    _, _, _, _, info = env.step(np.array([BUY, 0, 1, 0]))
    assert info["filled_lots"] == info["order_lots"] > 0
    assert info["maker_lots"] == 0
    assert _resting(env) == []


def test_the_size_is_a_share_of_the_allowed_exposure() -> None:
    env = ArenaEnv("normal", episode_bars=5, wake_steps=1, **SETUP)
    for size, share in enumerate((0.02, 0.2, 1.0)):
        env.reset(seed=2)
        price, allowed = env.market.close_price, env.terms.leverage * env.account.equity
        _, _, _, _, info = env.step(np.array([SELL, 5, size, 0]))
        assert info["order_lots"] == -to_lots(share * allowed / price, env.terms.lot)


@pytest.mark.parametrize(
    ("bids", "asks", "bought", "sold"),
    [
        ((95, 93, 90), (97, 99), {1: 95, 2: 93, 3: 90, 4: 89, 5: 88}, {1: 97, 2: 99, 3: 100, 4: 101}),
        ((95, 2), (), {1: 95, 2: 2, 3: 1, 4: 0}, {1: 96, 2: 97, 3: 98}),  # an empty side, and the end of the grid
        ((), (97,), {1: 96, 3: 94}, {1: 97, 2: 98}),
        ((), (), {1: 50, 2: 49}, {1: 50, 2: 51}),  # nothing but a last trade
    ],
)
def test_levels_that_nobody_stands_at_are_counted_on_tick_by_tick(
    bids: tuple[int, ...], asks: tuple[int, ...], bought: dict[int, int], sold: dict[int, int]
) -> None:
    book = empty_book(levels=128, capacity=16, owners=2, room=256)
    book.head[LAST] = 50
    rows = [(LIMIT, k + 1, 0, 1 if ticks in bids else -1, ticks, 5, 0, 0) for k, ticks in enumerate((*bids, *asks))]
    process(book, np.array(rows, np.int64).reshape(-1, 8), len(rows), np.zeros(len(rows), np.int64))
    for is_buy, expected in ((True, bought), (False, sold)):
        assert {level: level_ticks(book, is_buy, level) for level in expected} == expected


def test_cancel_takes_every_resting_order_out_and_the_new_one_stays() -> None:
    env = ArenaEnv("normal", episode_bars=5, wake_steps=1, **SETUP)
    env.reset(seed=6)
    for level in (3, 4, 5):
        env.step(np.array([BUY, level, 0, 0]))
    assert len(_resting(env)) == 3
    _, _, _, _, info = env.step(np.array([SELL, 5, 0, 1]))
    assert [(side, lots) for side, _, lots in _resting(env)] == [(-1, -info["order_lots"])]
    env.step(np.array([NONE, 0, 0, 1]))
    assert _resting(env) == []


@pytest.mark.parametrize("limits", [Limits("off"), Limits("clip", max_exposure=0.5), Limits("clip", max_order=0.3)])
def test_resting_orders_count_against_the_headroom(limits: Limits) -> None:
    """Whatever is drawn: were every resting order filled, the position would be within the limits."""
    env = ArenaEnv("normal", episode_bars=60, wake_steps=6, limits=limits, **SETUP)
    env.reset(seed=4)
    rng, over, most, cut = np.random.default_rng(4), False, 0.0, False
    share = limits.max_exposure if limits.mode == "clip" else 1.0
    while not over:
        action = _drawn(rng, env, cancelling=0.05)
        allowed = env.terms.leverage * env.account.equity / (env.market.close_price * env.terms.lot)
        _, _, _, over, info = env.step(action)
        rests = _resting(env)
        for side in (1, -1):
            reached = side * env.account.lots + sum(lots for each, _, lots in rests if each == side)
            most = max(most, reached / (share * allowed))
        wanted = SETUP["order_sizes"][action[2]] * allowed
        if limits.mode == "clip":
            assert abs(info["order_lots"]) <= limits.max_order * allowed
        cut = cut or 0 < abs(info["order_lots"]) < 0.9 * wanted
    assert cut
    assert 0.9 < most < 1.03  # the allowance itself moves a little with price and equity


def test_a_halted_account_withdraws_and_closes_at_market() -> None:
    limits = Limits("live", 1.0, 2.0, daily_loss=0.5, drawdown=0.0004)
    env = ArenaEnv("normal", episode_bars=300, wake_steps=20, limits=limits, order_levels=15, **SETUP)
    env.reset(seed=1)
    env.step(np.array([BUY, 0, 1, 0]))
    over, info, k = False, {"state": "ACTIVE"}, 0
    while info["state"] != "HALTED" and not over:
        k += 1
        _, _, _, over, info = env.step(np.array([BUY if k % 2 else SELL, 15 if k < 9 else 0, 0 if k < 9 else 1, 0]))
    assert info["state"] == "HALTED"
    assert {side for side, _, _ in _resting(env)} == {1, -1}
    held = env.account.lots
    assert held != 0
    for _ in range(4):
        env.step(np.array([BUY, 15, 2, 0]))
    assert env.account.lots == env.market.position(env.owner) == 0
    assert _resting(env) == []


def test_an_episode_takes_its_resting_orders_with_it() -> None:
    env = ArenaEnv("normal", episode_bars=1, order_levels=20, **SETUP)
    env.reset(seed=2)
    _, _, _, over, info = env.step(np.array([BUY, 20, 0, 0]))
    assert over
    assert info["order_lots"] > 0
    assert len(_resting(env)) == 1
    env.market.run_bar()
    assert _resting(env) == []
    env.reset()
    env.step(np.zeros(4, np.int64))
    assert _resting(env) == []


def test_more_orders_than_there_is_room_for_are_not_sent() -> None:
    env = ArenaEnv("normal", episode_bars=5, wake_steps=1, **(SETUP | {"order_sizes": (0.001,), "order_levels": 20}))
    env.reset(seed=2)
    sent = [env.step(np.array([BUY, 20, 0, 0]))[4]["order_lots"] for _ in range(ROOM + 3)]
    assert sum(lots > 0 for lots in sent) - ROOM == ROOM - len(_resting(env))
    assert sent[-1] == 0


def test_orders_held_by_a_halted_venue_are_not_lost() -> None:
    """The cancel arrives while the order is held: it cancels nothing, and the order still counts and still fills."""
    env = ArenaEnv("normal", episode_bars=10, wake_steps=1, tape=True, costs=FEES, **SETUP)
    _, info = env.reset(seed=5)  # in whose book the purchase does not reach the sale
    opened = info["equity"]
    held = (env.market.steps, env.market.steps + 6, Part.VENUE, Knob.HALT, 1.0)
    env.market.world.schedule[0] = held
    env.market.world.clock[3] = 1
    sent = []
    for action in ((BUY, 0, 1, 0), (SELL, 5, 0, 0), (NONE, 0, 0, 1), (BUY, 0, 1, 0)):
        _, _, _, _, info = env.step(np.array(action))
        assert info["filled_lots"] == 0
        sent.append(info["order_lots"])
    later = [env.step(np.zeros(4, np.int64))[4] for _ in range(8)]
    filled, trades = sum(info["filled_lots"] for info in later), env.market.trades()
    assert filled == env.account.lots == env.market.position(env.owner) != 0
    taken = trades[trades["taker"] == env.owner]
    assert len(set(taken["step"].tolist())) == 1
    made = sum(info["maker_lots"] for info in later)
    assert made == trades[trades["maker"] == env.owner]["lots"].sum()
    in_quote = env.market.cash(env.owner) * env.market.tick * env.market.lot
    assert env.account.cash == pytest.approx(opened + in_quote - env.account.fees, rel=1e-12)
    assert made + sum(lots for _, _, lots in _resting(env)) == -sent[1] > 0  # the sale rests, or has been made


@pytest.mark.parametrize(
    ("keywords", "what"),
    [
        ({"order_levels": 3}, "order_levels is of actions 'orders'"),
        ({"order_sizes": (0.5,), "actions": "discrete"}, "order_sizes is of actions 'orders'"),
        ({"actions": "orders", "order_sizes": ()}, "order_sizes needs"),
        ({"actions": "orders", "order_sizes": (0.5, -1.0)}, "share -1.0"),
        ({"actions": "orders", "order_levels": 21}, "order_levels 21"),
        ({"actions": "order"}, "'order'"),
        ({"books": 5}, "no keyword books"),
    ],
)
@pytest.mark.parametrize("kind", [ArenaEnv, BatchArenaEnv])
def test_contradictions_are_refused_in_one_sentence(kind: Any, keywords: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what) as told:
        kind("normal", **({"observation": "spine"} | keywords))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("action", [[3, 0, 0, 0], [0, 6, 0, 0], [0, 0, 3, 0], [0, 0, 0, 2], [-1, 0, 0, 0], [0.5] * 4])
def test_an_action_that_the_space_does_not_hold_is_refused(action: list[float]) -> None:
    single, batch = ArenaEnv("normal", episode_bars=5, **SETUP), BatchArenaEnv("normal", 2, episode_bars=5, **SETUP)
    single.reset(seed=1)
    batch.reset(seed=1)
    with pytest.raises(ValueError, match="whole numbers below"):
        single.step(np.array(action))
    with pytest.raises(ValueError, match="whole numbers below"):
        batch.step(np.array([action, action]))
    with pytest.raises(ValueError, match="4 numbers were given for 2"):
        batch.step(np.zeros(4, np.int64))


def _drawn(rng: np.random.Generator, env: ArenaEnv, cancelling: float = 0.2) -> NDArray[np.int64]:
    """Mostly quotes near the touch, some orders at market, some cancels."""
    return np.array(
        [rng.integers(0, 3), min(rng.integers(0, 4), 3), rng.integers(0, 2), rng.random() < cancelling], np.int64
    )


def _resting(env: ArenaEnv) -> list[tuple[int, int, int]]:
    """Side, ticks and lots of the policy's orders in the book, as the market's level 3 shows them."""
    rows = order_rows(env.market.world.book)
    mine = rows[rows["owner"] == env.owner]
    return [(int(row["side"]), int(row["ticks"]), int(row["lots"])) for row in mine]
