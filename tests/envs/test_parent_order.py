"""N parent orders: they cost what the closed form says, end as they must, and both autoresets tell the same story."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.envs.adapters import SB3VecEnv
from wavetank.envs.parent_order import COLUMNS, ParentOrderEnv
from wavetank.simulators.optima import ParentOrder, best_schedule, even_schedule

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]

ORDER = ParentOrder(slices=6, impact=0.7, sigma=1.3, risk_aversion=5.0)
TIME_LEFT, LEFT, LAST_MOVE = range(len(COLUMNS))


def shares_of(schedule: Floats) -> Floats:
    return 1.0 - schedule[1:] / schedule[:-1]


def sell(env: ParentOrderEnv, shares: Floats, seed: int = 1) -> tuple[Floats, list[Rows], dict[str, Any]]:
    """Sell one order in every env by a schedule; rewards (slices, n), observations, the last infos."""
    observations, _ = env.reset(seed=seed)
    infos: dict[str, Any] = {}
    rewards, seen = [], [observations]
    for share in shares:
        observations, reward, _, truncated, infos = env.step(np.full((env.num_envs, 1), 2.0 * share - 1.0))
        assert not truncated.any()
        rewards.append(reward)
        seen.append(observations)
    return np.array(rewards), seen, infos


@pytest.mark.parametrize("schedule", [best_schedule(ORDER), even_schedule(ORDER)], ids=["best", "even"])
def test_a_schedule_costs_its_objective_and_the_noise_is_nothing_in_the_mean(schedule: Floats) -> None:
    env = ParentOrderEnv(4000, ORDER, autoreset="NEXT_STEP")
    rewards, seen, infos = sell(env, shares_of(schedule))
    told = infos["episode"]
    assert told["cost"] == pytest.approx(np.full(4000, ORDER.objective(schedule)))
    assert told["r"] == pytest.approx(rewards.sum(axis=0))
    assert (told["l"] == 6).all()
    noise = told["r"] + told["cost"]
    assert abs(noise.mean()) < 4.0 * noise.std() / np.sqrt(4000)
    assert noise.std() == pytest.approx(ORDER.sigma * np.sqrt(np.square(schedule[1:]).sum() / 6), rel=0.05)
    assert np.array([rows[0, LEFT] for rows in seen]) == pytest.approx(schedule, abs=1e-6)
    assert np.array([rows[0, TIME_LEFT] for rows in seen]) == pytest.approx(np.linspace(1.0, 0.0, 7))


def test_the_noise_of_a_reward_is_the_observed_move_on_what_is_left() -> None:
    env = ParentOrderEnv(3, ORDER)
    env.reset(seed=5)
    observations, rewards, *_ = env.step(np.array([-0.5, 0.0, 0.5]))
    left = np.array([0.75, 0.5, 0.25])
    expected = ORDER.sigma / np.sqrt(6) * observations[:, LAST_MOVE] * left - ORDER.slice_cost(1.0 - left, left)
    assert rewards == pytest.approx(expected, rel=1e-6)


def test_the_last_slice_sells_the_rest_whatever_is_asked() -> None:
    env = ParentOrderEnv(2, ORDER, autoreset="NEXT_STEP")
    _, seen, infos = sell(env, np.zeros(6))
    assert seen[5][0, LEFT] == 1.0
    assert seen[6][0, LEFT] == 0.0
    waited = np.array([1.0] * 6 + [0.0])
    assert infos["episode"]["cost"] == pytest.approx(np.full(2, ORDER.objective(waited)))


def test_both_autoresets_tell_the_same_orders() -> None:
    same, later = ParentOrderEnv(3, ORDER), ParentOrderEnv(3, ORDER, autoreset="NEXT_STEP")
    shares = np.array([0.1, 0.9, 0.3, 0.3, 0.5, 0.0])
    rewards, seen, infos = sell(same, shares)
    other_rewards, other_seen, other_infos = sell(later, shares)
    assert np.array_equal(rewards, other_rewards)
    for name in ("r", "l", "cost"):
        assert np.array_equal(infos["episode"][name], other_infos["episode"][name])
    assert np.array_equal(infos["final_obs"], other_seen[-1])
    assert seen[-1][:, [TIME_LEFT, LEFT]].tolist() == [[1.0, 1.0]] * 3  # the next order has begun
    assert not seen[-1][:, LAST_MOVE].any()
    observations, reward, terminated, _, infos = later.step(np.ones((3, 1)))
    assert (reward.tolist(), terminated.tolist(), infos) == ([0.0] * 3, [False] * 3, {})
    assert observations[:, [TIME_LEFT, LEFT]].tolist() == [[1.0, 1.0]] * 3
    assert later.step(np.ones((3, 1)))[0][:, TIME_LEFT] == pytest.approx(np.full(3, 5 / 6))


def test_a_seed_names_the_prices_and_nothing_else_does() -> None:
    shares = np.full(6, 0.2)
    first, *_ = sell(ParentOrderEnv(4, ORDER), shares, seed=7)
    again, *_ = sell(ParentOrderEnv(4, ORDER), shares, seed=7)
    other, *_ = sell(ParentOrderEnv(4, ORDER), shares, seed=8)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(set(first[0].tolist())) == 4  # every order has a price of its own


def test_stable_baselines_is_told_of_every_end() -> None:
    env = SB3VecEnv(ParentOrderEnv(2, ORDER), base_seed=3)
    env.reset()
    for _ in range(6):
        observations, _, dones, infos = env.step(np.zeros((2, 1), np.float32))
    assert dones.all()
    assert infos[0]["episode"]["l"] == 6
    assert infos[0]["terminal_observation"][LEFT] == 0.0
    assert not infos[0]["TimeLimit.truncated"]
    assert np.asarray(observations)[0, LEFT] == 1.0


@pytest.mark.parametrize("action", [np.nan, 1.01, -2.0])
def test_an_action_outside_the_space_is_refused_with_its_value(action: float) -> None:
    env = ParentOrderEnv(2, ORDER)
    env.reset(seed=1)
    with pytest.raises(ValueError, match=f"action {action} of order 1 is not a number in"):
        env.step(np.array([0.0, action]))


def test_what_an_order_env_does_not_know_is_refused() -> None:
    env = ParentOrderEnv(2, ORDER)
    with pytest.raises(ValueError, match="call reset before the first step"):
        env.step(np.zeros(2))
    with pytest.raises(ValueError, match="reset has no option start"):
        env.reset(options={"start": 1})
    env.reset(seed=1)
    with pytest.raises(ValueError, match="3 actions were given for 2 orders"):
        env.step(np.zeros(3))
    with pytest.raises(ValueError, match="num_envs 0"):
        ParentOrderEnv(0)
    with pytest.raises(ValueError, match="autoreset 'DISABLED'"):
        ParentOrderEnv(1, autoreset="DISABLED")
