import numpy as np

from wavetank.envs.adapters import SB3VecEnv
from wavetank.envs.cartpole import cartpole


def test_poles_that_fall_are_told_with_return_length_and_last_observation() -> None:
    env = SB3VecEnv(cartpole(3), base_seed=1)
    env.reset()
    ends = []
    for _ in range(30):  # pushed one way, a pole falls within a dozen steps
        observations, rewards, dones, infos = env.step(np.ones(3, np.int64))
        ends += [(info, row) for info, row, done in zip(infos, observations, dones, strict=True) if done]
        assert rewards.tolist() == [1.0, 1.0, 1.0]
    env.close()
    assert len(ends) >= 3
    for info, began in ends:
        assert 8 <= info["episode"]["l"] == info["episode"]["r"] <= 12
        assert abs(info["terminal_observation"][2]) > 0.2  # radians, beyond which an episode ends
        assert np.abs(began).max() <= 0.05  # where the next one begins
        assert not info["TimeLimit.truncated"]


def test_next_step_autoreset_begins_the_next_pole_one_step_later() -> None:
    env = cartpole(1, "NEXT_STEP")
    env.reset(seed=1)
    over = False
    while not over:
        observations, _, terminated, _, _ = env.step(np.ones(1, np.int64))
        over = bool(terminated[0])
    assert abs(observations[0, 2]) > 0.2
    observations, rewards, terminated, _, _ = env.step(np.ones(1, np.int64))
    assert (rewards[0], terminated[0]) == (0.0, False)
    assert np.abs(observations).max() <= 0.05
    env.close()
