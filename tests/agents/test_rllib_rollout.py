"""Advantages over an env that resets at the next step, against one episode at a time in plain Python."""

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.agents.rllib_rollout import Rollout, advantages, explained_variance, join

GAMMA, LAMBDA = 0.9, 0.8


def plain(rewards: list[float], values: list[float], after: float) -> list[float]:
    """Of one stretch of one episode; `after` is the value of what its last step led to, 0 where nothing follows."""
    found, carried = [], 0.0
    for t in reversed(range(len(rewards))):
        following = values[t + 1] if t + 1 < len(rewards) else after
        carried = rewards[t] + GAMMA * following - values[t] + GAMMA * LAMBDA * carried
        found.append(carried)
    return found[::-1]


def test_three_steps_by_hand() -> None:
    # the episode is cut after the second step; the third row is the dummy, whose value is that of the last observation
    rewards, values = np.array([[1.0], [2.0], [99.0]], np.float32), np.array([[0.5], [1.0], [4.0], [7.0]], np.float32)
    never, done = np.zeros((3, 1), bool), np.array([[False], [True], [False]])
    found = advantages(rewards, values, never, done, gamma=0.5, gae_lambda=1.0)
    assert found[1, 0] == pytest.approx(2.0 + 0.5 * 4.0 - 1.0)
    assert found[0, 0] == pytest.approx(1.0 + 0.5 * 1.0 - 0.5 + 0.5 * 3.0)


def test_every_stretch_of_every_episode_has_the_advantages_of_the_plain_form() -> None:
    rng = np.random.default_rng(0)
    steps, count = 40, 6
    rewards = rng.standard_normal((steps, count)).astype(np.float32)
    values = rng.standard_normal((steps + 1, count)).astype(np.float32)
    terminated, done, real = (np.zeros((steps, count), bool) for _ in range(3))
    wanted = np.zeros((steps, count))
    for env in range(count):
        t = 0
        while t < steps:
            length = int(rng.integers(1, 12))
            end, ends = min(t + length, steps), t + length <= steps
            real[t:end, env] = True
            if ends:
                done[end - 1, env], terminated[end - 1, env] = True, rng.random() < 0.5
            after = 0.0 if ends and terminated[end - 1, env] else float(values[end, env])
            wanted[t:end, env] = plain(rewards[t:end, env].tolist(), values[t:end, env].tolist(), after)
            t = end + 1  # the dummy
    found = advantages(rewards, values, terminated, done, gamma=GAMMA, gae_lambda=LAMBDA)
    assert terminated.any()
    assert (~real).sum() > 10
    np.testing.assert_allclose(found[real], wanted[real], atol=1e-5)


def filled(count: int, number: float) -> Rollout:
    def array(*shape: int) -> NDArray[np.float32]:
        return np.full((3, count, *shape), number, np.float32)

    flags = np.ones((3, count), bool)
    ended = ({"r": number, "l": 3.0},)
    return Rollout(array(2), array(1), array(), array(), array(), array(), flags, flags, array(0), ended)


def test_rollouts_of_several_runners_stand_side_by_side_in_order() -> None:
    both = join([filled(2, 1.0), filled(3, 5.0)])
    assert both.observations.shape == (3, 5, 2)
    assert both.values[0].tolist() == [1.0, 1.0, 5.0, 5.0, 5.0]
    assert [episode["r"] for episode in both.ended] == [1.0, 5.0]
    assert both.steps == 15


def test_explained_variance_is_one_of_a_perfect_guess_and_unknown_without_spread() -> None:
    returns = np.array([1.0, 2.0, 5.0], np.float32)
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance(np.full(3, 8.0 / 3.0, np.float32), returns) == pytest.approx(0.0, abs=1e-6)
    assert np.isnan(explained_variance(returns, np.ones(3, np.float32)))
