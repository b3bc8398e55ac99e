"""Reward parts of a user's own: the same numbers in the scalar, the batch and the arena env, compiled or plain."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from wavetank.envs.arena import ArenaEnv
from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.rewards import Reward
from wavetank.envs.trading import TradingEnv

from ..market.handmade import same_bits
from .cases import GAPPY, SMOOTH, WILD

FOLDER = Path(__file__).parent
HELD, GAINED = "own_rewards:held", "own_rewards:gained"
WEIGHTS = {"log_growth": 1.0, HELD: 1e-6, GAINED: 1e-3}


@pytest.fixture(autouse=True)
def _on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    sys.modules.pop("own_rewards", None)


def test_parts_of_ones_own_stand_behind_the_built_in_ones() -> None:
    assert Reward.of(WEIGHTS).names == ("log_growth", "cost", "turnover", "drawdown", HELD, GAINED)


def test_their_values_are_those_of_the_accounts() -> None:
    env = TradingEnv(SMOOTH, rewards=WEIGHTS)
    _, info = env.reset(seed=4)
    rng = np.random.default_rng(1)
    for _ in range(50):
        before = info["equity"]
        _, reward, _, _, info = env.step(rng.uniform(-1, 1, 1))
        parts = info["reward_parts"]
        assert parts[HELD] == -abs(info["lots"])
        assert parts[GAINED] == info["equity"] - before
        paid = parts["log_growth"] + 1e-6 * parts[HELD] + 1e-3 * parts[GAINED]
        assert reward == pytest.approx(paid, abs=1e-12)


@pytest.mark.parametrize("autoreset", ["SAME_STEP", "NEXT_STEP"])
def test_a_batch_gives_what_single_environments_give(autoreset: str) -> None:
    for bars in (GAPPY, WILD):
        batch = BatchTradingEnv(bars, 6, autoreset=autoreset, parts=True, rewards=WEIGHTS, episode_bars=23)
        singles = [TradingEnv(bars, rewards=WEIGHTS, episode_bars=23) for _ in range(6)]
        batch.reset(seed=7)
        for i, env in enumerate(singles):
            env.reset(seed=7 + i)
        rng, over, totals, sums = np.random.default_rng(2), [False] * 6, np.zeros(6), np.zeros((6, 6))
        for _ in range(120):
            actions = rng.uniform(-1, 1, (6, 1))
            _, rewards, _, _, infos = batch.step(actions)
            for i, env in enumerate(singles):
                if over[i]:
                    env.reset()
                    over[i], totals[i], sums[i] = False, 0.0, 0.0
                    assert rewards[i] == 0.0
                    assert not infos["reward_parts"][i].any()
                    continue
                _, reward, terminated, truncated, info = env.step(actions[i])
                totals[i] += float(reward)
                sums[i] += list(info["reward_parts"].values())
                assert rewards[i] == reward
                assert infos["reward_parts"][i].tolist() == list(info["reward_parts"].values())
                if terminated or truncated:
                    assert infos["episode"]["r"][i] == pytest.approx(totals[i], rel=1e-12, abs=1e-12)
                    assert infos["episode"][HELD][i] == sums[i, 4]
                    assert infos["episode"][GAINED][i] == pytest.approx(sums[i, 5], rel=1e-12, abs=1e-9)
                    if autoreset == "SAME_STEP":
                        env.reset()
                        totals[i], sums[i] = 0.0, 0.0
                    else:
                        over[i] = True


def test_one_thread_or_many_give_the_same() -> None:
    many, one = (BatchTradingEnv(SMOOTH, 300, rewards=WEIGHTS, episode_bars=9) for _ in range(2))
    one.parallel = False
    assert many.parallel
    many.reset(seed=1)
    one.reset(seed=1)
    rng = np.random.default_rng(3)
    for _ in range(25):
        actions = rng.uniform(-1, 1, (300, 1))
        for a, b in zip(many.step(actions)[:4], one.step(actions)[:4], strict=True):
            assert same_bits(a, b)


def test_in_the_arena_they_count_too() -> None:
    env = ArenaEnv("normal", episode_bars=5, rewards={HELD: 1.0})
    try:
        env.reset(seed=1)
        _, reward, _, _, info = env.step(np.array([1.0]))
        assert info["lots"] > 0
        assert reward == info["reward_parts"][HELD] == -abs(info["lots"])
    finally:
        env.close()


def test_plain_python_works_and_says_how_slow_it_is(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Reward.of({GAINED: 1.0})
    assert "reward part own_rewards:gained is plain Python" in caplog.text
    caplog.clear()
    Reward.of({HELD: 1.0})
    assert not caplog.text


def test_a_part_that_is_no_number_is_refused_by_name() -> None:
    env = TradingEnv(SMOOTH, rewards={"own_rewards:broken": 1.0})
    env.reset(seed=1)
    with pytest.raises(ValueError, match="reward part own_rewards:broken is nan; a reward must be a number"):
        env.step(np.array([1.0]))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no_such_module:held", "reward part 'no_such_module:held': there is no module no_such_module"),
        ("own_rewards:absent", "reward part own_rewards:absent: module own_rewards has no function absent"),
        ("own_rewards:NOT_CALLABLE", "module own_rewards has no function NOT_CALLABLE"),
        ("own_rewards:", "there is no reward part 'own_rewards:'"),
    ],
)
def test_an_address_that_leads_nowhere_costs_one_sentence(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Reward.of({name: 1.0})
