"""What went wrong in ABIDES-Gym goes right here: one test a defect (shared facts, "conventions and defects")."""

import pickle
import random  # noqa: TID251  # to show that nobody draws from it
import tracemalloc
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from wavetank.envs.arena import ArenaEnv, BatchArenaEnv
from wavetank.market.costs import Costs
from wavetank.simulators import ladder, matching

HOLD, BUY, SELL = (np.array([target], np.float32) for target in (0.0, 0.9, -0.9))


@pytest.fixture(scope="module")
def env() -> ArenaEnv:
    return ArenaEnv("normal", episode_bars=6, observation="spine", pool=4)


def test_a_the_first_reward_of_a_second_episode_is_its_own(env: ArenaEnv) -> None:
    """There: last episode's profit was paid out once more."""
    _finish(env, seed=3, action=BUY)
    assert env.account.equity != env.account.day_equity
    env.reset()
    _, reward, _, _, info = env.step(HOLD)
    assert reward == 0.0
    assert info["equity"] > 0.0
    assert (info["lots"], info["fees"]) == (0, 0.0)


def test_a_the_same_holds_in_a_batch() -> None:
    batch = BatchArenaEnv("normal", 3, episode_bars=4, observation="spine", pool=4)
    batch.reset(seed=3)
    for _ in range(4):
        told = batch.step(np.full(3, 0.9))
    assert told[3].all()
    assert batch.step(np.zeros(3))[1].tolist() == [0.0, 0.0, 0.0]


def test_b_nothing_of_an_episode_survives_it(env: ArenaEnv) -> None:
    """There: the step count and the entry price did. Here a used env walks as a new one."""
    fresh = ArenaEnv("normal", episode_bars=6, observation="spine", pool=4)
    _finish(env, seed=8, action=SELL)
    walks = [_walk(which, seed=9) for which in (env, fresh)]
    assert walks[0] == walks[1]
    assert env.market.position(env.owner) == fresh.market.position(fresh.owner)
    assert env.market.cash(env.owner) == fresh.market.cash(fresh.owner)


@pytest.mark.parametrize(("action", "sign"), [(BUY, 1), (SELL, -1)])
def test_c_signs_are_those_of_the_action(action: np.ndarray[Any, Any], sign: int) -> None:
    """There: a penalty took the size of a short position for that of a long one. Here twins mirror each other."""
    env = ArenaEnv("normal", episode_bars=6, observation="spine", pool=4, costs=Costs(funding_bps_per_8h=0.0))
    env.reset(seed=5)
    observation, _, _, _, info = env.step(action)
    assert np.sign(info["order_lots"]) == np.sign(info["lots"]) == sign
    assert np.sign(info["exposure"]) == np.sign(observation[-8]) == sign
    entry, close = env.account.entry, info["close"]
    held = info["lots"] * env.terms.lot
    assert env.account.equity == pytest.approx(env.account.cash + held * close)
    assert observation[-7] == pytest.approx(held * (close - entry) / info["equity"], abs=1e-6)


def test_d_asks_come_from_the_asks_and_bids_from_the_bids(env: ArenaEnv) -> None:
    """There: the ask book was filled from the bids."""
    env.reset(seed=5)
    bids, asks = env.market.depth(5)
    assert min(len(bids), len(asks)) > 1
    assert bids[:, 0].max() < asks[:, 0].min()
    assert np.all(np.diff(bids[:, 0]) < 0)
    assert np.all(np.diff(asks[:, 0]) > 0)
    head = env.market.world.book.head
    assert (bids[0, 0], asks[0, 0]) == (head[ladder.BEST_BID], head[ladder.BEST_ASK])


@pytest.mark.parametrize("lots", [3, -3])
def test_d_a_buyer_pays_the_ask_and_a_seller_gets_the_bid(env: ArenaEnv, lots: int) -> None:
    traded = 0
    for seed in range(6, 14):  # where the quote left while the order travelled, it finds nothing
        env.reset(seed=seed)
        bids, asks = env.market.depth(1)
        best = int(asks[0, 0] if lots > 0 else bids[0, 0])
        env.market.submit_limit(env.owner, lots, best, kind=matching.IOC)
        env.market.run_bar()
        fills = env.market.fills(env.owner)
        traded += len(fills) > 0
        assert np.all(np.sign(lots) * (fills[:, 0] - best) <= 0)
        assert np.all(np.sign(fills[:, 1]) == np.sign(lots))
    assert traded >= 4


def test_e_arenas_do_not_touch_the_global_generators_nor_each_other(env: ArenaEnv) -> None:
    """There: environments in one process interacted through `np.random.seed`."""
    np.random.seed(1)  # noqa: NPY002  # the very thing that must not matter
    random.seed(1)
    before = pickle.dumps(np.random.get_state()), random.getstate()  # noqa: NPY002
    alone = _walk(env, seed=12)
    other = ArenaEnv("flash_crash", episode_bars=6, observation="spine", pool=4)
    env.reset(seed=12)
    other.reset(seed=1)
    beside = []
    for action in (BUY, HOLD, SELL):
        other.step(BUY)
        beside.append(env.step(action)[0].tobytes())
    assert beside == alone
    assert (pickle.dumps(np.random.get_state()), random.getstate()) == before  # noqa: NPY002


def test_f_a_step_copies_no_book() -> None:
    """There: four or five deep copies of the whole state a step. A market's arrays are 8 MB."""
    env = BatchArenaEnv("normal", 4, episode_bars=50, observation="spine", pool=4)
    env.reset(seed=2)
    env.step(np.zeros(4))
    tracemalloc.start()
    for _ in range(10):
        env.step(np.full(4, 0.5))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


def test_f_nor_does_the_single_arena(env: ArenaEnv) -> None:
    env.reset(seed=2)
    env.step(HOLD)
    tracemalloc.start()
    for _ in range(4):
        env.step(BUY)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000


@pytest.mark.parametrize("side", [1, -1])
def test_g_observations_are_scaled_and_finite_at_a_one_sided_book(side: int) -> None:
    """There: raw cents and lots. Here one side is bought away, and no column is larger than a z-score might be."""
    env = ArenaEnv("normal", episode_bars=6, pool=4)
    env.reset(seed=4)
    vacuum = env.market.add_trader("vacuum")
    for _ in range(3):
        env.market.submit_market(vacuum, side * 1_000_000)
        env.market.submit_market(vacuum, side * 1_000_000, delay_steps=58)
        observation, reward, _, _, _ = env.step(BUY)
        assert np.isfinite(observation).all()
        assert np.isfinite(float(reward))
        assert np.abs(observation).max() <= 50.0
        assert observation.dtype == np.float32


def test_h_the_env_speaks_todays_gymnasium(env: ArenaEnv) -> None:
    """There: gym 0.18, four values a step."""
    assert isinstance(env, gymnasium.Env)
    with pytest.warns(UserWarning, match="infinity"):  # an unbounded Box is told, and is meant
        check_env(env, skip_render_check=True)
    env.reset(seed=1)
    assert len(env.step(HOLD)) == 5


def _finish(env: ArenaEnv, seed: int, action: np.ndarray[Any, Any]) -> None:
    env.reset(seed=seed)
    while not any(env.step(action)[2:4]):
        pass


def _walk(env: ArenaEnv, seed: int) -> list[bytes]:
    env.reset(seed=seed)
    return [env.step(action)[0].tobytes() for action in (BUY, HOLD, SELL)]
