"""The arena: the same desk and ledger inside a crowd whose book the policy's orders move."""

from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from wavetank.envs.arena import ArenaEnv, BatchArenaEnv
from wavetank.envs.desk import Desk
from wavetank.envs.observation import ObservationSpec
from wavetank.market.costs import Costs

BUY, FLAT, SELL = np.array([0.8], np.float32), np.zeros(1, np.float32), np.array([-0.8], np.float32)


@pytest.fixture(scope="module")
def arena() -> ArenaEnv:
    return ArenaEnv("normal", episode_bars=12)


def test_an_arena_is_a_gymnasium_env(arena: ArenaEnv) -> None:
    with pytest.warns(UserWarning, match="infinity"):  # an unbounded Box is told, and is meant
        check_env(arena, skip_render_check=True)


def test_one_seed_walks_one_episode_and_another_seed_another(arena: ArenaEnv) -> None:
    first, again, other = (_walk(arena, seed) for seed in (3, 3, 4))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_the_second_episode_of_a_seed_is_another_market(arena: ArenaEnv) -> None:
    first, _ = arena.reset(seed=3)
    second, _ = arena.reset()
    assert not np.array_equal(first, second)


def test_nothing_of_an_episode_reaches_the_next(arena: ArenaEnv) -> None:
    arena.reset(seed=5)
    arena.step(BUY)
    arena.reset(seed=5)
    _, reward, _, _, info = arena.step(FLAT)
    assert reward == 0.0
    assert (info["lots"], info["fees"]) == (0, 0.0)
    assert arena.market.position(arena.owner) == 0


def test_borrow_is_told_as_the_account_pays_it() -> None:
    arena = ArenaEnv("normal", episode_bars=12, costs=Costs(borrow_bps_per_day=100.0))
    _, info = arena.reset(seed=6)
    assert info["borrow"] == 0.0
    told = [arena.step(SELL)[4]["borrow"] for _ in range(3)]
    assert 0.0 < told[0] < told[1] < told[2] == arena.account.borrow


def test_the_ledger_agrees_with_the_crowds_own_accounts(arena: ArenaEnv) -> None:
    """The book counts ticks × lots in integers; the ledger must say the same, but for fees and funding."""
    _, info = arena.reset(seed=6)
    opened = info["equity"]
    for action in (BUY, SELL, BUY, FLAT, BUY):
        _, _, _, _, info = arena.step(action)
    account, market = arena.account, arena.market
    assert account.lots == market.position(arena.owner) != 0
    in_quote = market.cash(arena.owner) * market.tick * market.lot
    assert account.cash == pytest.approx(opened + in_quote - account.fees - account.funding, rel=1e-12)
    assert account.equity == pytest.approx(account.cash + account.lots * market.lot * info["close"], rel=1e-12)


def test_an_order_pays_the_spread_of_the_book(arena: ArenaEnv) -> None:
    env = ArenaEnv("normal", episode_bars=12, costs=Costs(taker_fee_bps=0.0, funding_bps_per_8h=0.0))
    _, info = env.reset(seed=6)
    for action in (BUY, SELL) * 4 + (FLAT,):
        _, _, _, _, end = env.step(action)
    assert end["lots"] == 0
    assert end["equity"] < info["equity"]  # many round trips without fees still cost


def test_a_policy_moves_the_market_and_shifts_nobodys_draws() -> None:
    """One market answers a push in its own way; over sixteen, buying lifts the price."""
    quiet, loud = (ArenaEnv("normal", episode_bars=12, size=20.0, observation="spine") for _ in range(2))
    moved = []
    for seed in range(16):
        quiet.reset(seed=seed)
        loud.reset(seed=seed)
        for _ in range(2):
            _, _, _, _, told_quiet = quiet.step(FLAT)
            _, _, _, _, told_loud = loud.step(BUY)
        moved.append(told_loud["close"] / told_quiet["close"] - 1.0)
        assert quiet.market.value == loud.market.value  # the fundamental, drawn by nobody's leave
    assert np.mean(moved) > 2.0 * np.std(moved) / len(moved) ** 0.5


def test_the_arenas_desk_sees_what_a_plain_desk_sees_of_the_same_bars(arena: ArenaEnv) -> None:
    observation, _ = arena.reset(seed=8)
    for action in (BUY, FLAT, SELL):
        observation, _, _, _, _ = arena.step(action)
    desk = Desk(ObservationSpec.load("default"), arena.terms, arena.interval_ms)
    for bar in arena.market.bars():
        desk.on_bar(bar)
    assert desk.observe(arena.account).tobytes() == observation.tobytes()


def test_an_arena_in_training_refuses_the_judges_draw() -> None:
    env = ArenaEnv("flash_crash", episode_bars=5)
    storm = ArenaEnv("flash_crash", episode_bars=5, role="judge").market.storm
    assert storm is not None
    assert storm.role == "judge"
    with pytest.raises(ValueError, match="judge"):
        env.market.scenario.admit(storm, "train")


def test_a_batch_of_arenas_walks_as_single_ones() -> None:
    batch = BatchArenaEnv("normal", 2, episode_bars=4)
    singles = [ArenaEnv("normal", episode_bars=4) for _ in range(2)]
    seen, _ = batch.reset(seed=11)
    alone = [env.reset(seed=11 + i)[0] for i, env in enumerate(singles)]
    assert seen.tobytes() == np.stack(alone).tobytes()
    for k in range(6):
        action = 0.5 if k % 2 else -0.5
        seen, rewards, _, truncated, infos = batch.step(np.full(2, action, np.float32))
        for i, env in enumerate(singles):
            observation, reward, _, ended, info = env.step(np.float32(action))
            assert (reward, ended) == (rewards[i], truncated[i])
            if ended:
                assert infos["final_obs"][i].tobytes() == observation.tobytes()
                assert infos["episode"]["l"][i] == 4
                assert infos["episode"]["equity"][i] == info["equity"]
                observation, _ = env.reset()
            assert seen[i].tobytes() == observation.tobytes()
    batch.close()


@pytest.mark.parametrize(
    ("keywords", "what"),
    [({"episode_bars": 0}, "episode_bars 0"), ({"size": 0.0}, "size 0.0"), ({"observation": "nose"}, "nose")],
)
def test_a_wrong_setup_is_refused_in_one_sentence(keywords: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        ArenaEnv("normal", **keywords)


def test_steps_and_resets_out_of_place_are_refused(arena: ArenaEnv) -> None:
    arena.reset(seed=1)
    with pytest.raises(ValueError, match="1.5"):
        arena.step(np.array([1.5]))
    with pytest.raises(ValueError, match="start"):
        arena.reset(options={"start": 3})


def _walk(arena: ArenaEnv, seed: int) -> np.ndarray:
    rows = [arena.reset(seed=seed)[0]]
    for action in (BUY, BUY, SELL, FLAT):
        rows.append(arena.step(action)[0])
    return np.stack(rows)


def test_no_storm_begins_before_the_first_action() -> None:
    """The default columns warm up over a week of bars: storms, drawn from bar 60 on, wait for them."""
    arena = ArenaEnv("flash_crash", episode_bars=5)
    try:
        for seed in range(4):
            _, info = arena.reset(seed=seed)
            assert arena.market.storm is not None
            assert info["index"] + 1 == 169
            assert 169 <= arena.market.storm.onset < 169 + 540
    finally:
        arena.close()
