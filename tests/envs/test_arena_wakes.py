"""Wakes inside a bar: after some market steps, or at an own fill. A bar in pieces ends as a bar in one."""

import math
from typing import Any

import numpy as np
import pytest

from wavetank.envs.arena import ArenaEnv
from wavetank.envs.desk import N_ACCOUNT
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits, State
from wavetank.simulators import world as crowd

NOTHING = np.array([0, 0, 0, 0])
DEAR = Costs(taker_fee_bps=7.0, maker_fee_bps=1.0, funding_bps_per_8h=30.0, borrow_bps_per_day=40.0)


@pytest.mark.parametrize("wake_steps", [1, 13, 30])
def test_a_bar_in_pieces_ends_as_a_bar_in_one(wake_steps: int) -> None:
    """Two days of hourly bars with funding, borrow and live limits: equal accounts and observations at every close."""
    setup: dict[str, Any] = {
        "interval": "1h", "episode_bars": 50, "observation": "spine", "pool": 2, "costs": DEAR, "size": 4.0,
        "actions": "orders", "limits": Limits("live", 1.0, 2.0, daily_loss=0.004, drawdown=0.5), "order_levels": 3,
    }  # fmt: skip
    whole, pieces = ArenaEnv("normal", **setup), ArenaEnv("normal", **setup, wake_steps=wake_steps)
    assert whole.reset(seed=3)[0].tobytes() == pieces.reset(seed=3)[0].tobytes()
    rng, states, over = np.random.default_rng(1), set[str](), False
    while not over:
        action = np.array([rng.integers(0, 3), rng.integers(0, 4), rng.integers(0, 3), rng.integers(0, 2)])
        observation, reward, ended, over, info = whole.step(action)
        states.add(info["state"])
        growth, last, days = 0.0, pieces.account, (info["closed_at"] + 1 - 3_600_000) % 86_400_000 == 0
        for k in range(math.ceil(60 / wake_steps)):
            seen, rewarded, also_ended, also_over, told = pieces.step(NOTHING if k else action)
            growth += float(rewarded)
            if days:  # the day begins with the bar, not with its close
                assert pieces.account.day_equity == last.equity
                assert pieces.account.state != State.REDUCING or "bar_steps" not in told
            assert (also_over or "bar_steps" not in told) == (k == math.ceil(60 / wake_steps) - 1)
        assert pieces.account == whole.account
        assert seen.tobytes() == observation.tobytes()
        assert growth == pytest.approx(float(reward), abs=1e-12)
        assert (also_ended, also_over) == (ended, over)
    assert {"ACTIVE", "REDUCING"} <= states
    assert whole.account.funding != 0.0
    assert whole.account.borrow > 0.0


def test_targets_are_followed_at_every_wake() -> None:
    env = ArenaEnv("normal", episode_bars=3, observation="spine", pool=2, wake_steps=20, dead_band=0.0)
    env.reset(seed=3)
    for target in (0.5, -0.5, 0.25):
        _, _, _, _, info = env.step(np.array([target], np.float32))
        assert info["order_lots"] == info["filled_lots"] != 0
    assert env.market.position(env.owner) == info["lots"]
    assert info["exposure"] == pytest.approx(0.25, rel=0.02)


def test_bar_columns_wait_for_the_close_and_account_columns_do_not() -> None:
    env = ArenaEnv("normal", episode_bars=4, observation="spine", pool=2, wake_steps=15)
    last, info = env.reset(seed=8)
    closed_at = info["closed_at"]
    for k in range(1, 9):
        seen, _, _, _, info = env.step(np.array([0.9], np.float32))
        is_close = k % 4 == 0
        assert (seen[:-N_ACCOUNT] == last[:-N_ACCOUNT]).all() == (not is_close)
        assert info["closed_at"] == closed_at + 60_000 * (k // 4)
        assert info.get("bar_steps", 0) == 15 * (k % 4)
        assert info["close"] == env.market.close_price
        held = env.account.lots * env.terms.lot
        assert env.account.equity == env.account.cash + held * env.market.close_price
        assert seen[-N_ACCOUNT] == np.float32(held * env.market.close_price / (env.terms.leverage * env.account.equity))
        last = seen


def test_a_fill_wakes_in_the_step_in_which_it_happened() -> None:
    env = ArenaEnv(
        "normal", episode_bars=40, observation="spine", pool=2, actions="orders", wake_on_fill=True, tape=True
    )
    env.reset(seed=5)
    quote, side, woken, over, before = (1, 2, 0, 0), 1, 0, False, env.market.steps
    while not over:
        _, _, _, over, info = env.step(np.array([side, *quote[1:]]))
        side = 3 - side
        trades = env.market.trades()
        mine = trades[((trades["taker"] == env.owner) | (trades["maker"] == env.owner)) & (trades["step"] >= before)]
        if info["filled_lots"]:
            assert set(mine["step"].tolist()) == {env.market.steps - 1}
            woken += info.get("bar_steps", 0) > 0
        else:
            assert not len(mine)
            assert "bar_steps" not in info
        before = env.market.steps
    assert woken > 10
    assert env.market.bars_done == env.setup.warm_up + 40


def test_an_episode_is_as_many_bars_whatever_the_wakes() -> None:
    for wake_steps, steps in ((None, 4), (25, 12), (60, 4)):
        env = ArenaEnv("normal", episode_bars=4, observation="spine", pool=2, wake_steps=wake_steps)
        env.reset(seed=1)
        lived = 1
        while not env.step(np.zeros(1, np.float32))[3]:
            lived += 1
        assert lived == steps
        assert int(env.market.world.clock[crowd.STEPS]) == 0


@pytest.mark.parametrize("wake_steps", [0, 61, -3])
def test_a_wake_that_never_comes_is_refused(wake_steps: int) -> None:
    with pytest.raises(ValueError, match=f"wake_steps {wake_steps} must lie in 1 … 60"):
        ArenaEnv("normal", observation="spine", wake_steps=wake_steps)
