"""The counterfactual twin: the same seed without the policy's orders, told in info and nowhere else."""

from typing import Any

import numpy as np
import pytest

from wavetank.envs.arena import ArenaEnv, BatchArenaEnv

SETUP: dict[str, Any] = {"episode_bars": 4, "observation": "spine", "pool": 4}
BUY, HOLD = np.array([0.9], np.float32), np.zeros(1, np.float32)


@pytest.mark.parametrize("keywords", [{}, {"wake_steps": 25}, {"wake_on_fill": True}])
def test_the_twin_is_the_market_in_which_nobody_traded(keywords: dict[str, Any]) -> None:
    """The oracle is another arena that holds, one bar a step."""
    env = ArenaEnv("normal", twin=True, size=20.0, **SETUP, **keywords)
    quiet = ArenaEnv("normal", **SETUP)
    for seed in (None, 5, None):
        env.reset(seed=3 if seed is None else seed)
        quiet.reset(seed=3 if seed is None else seed)
        over, moved = False, 0.0
        while not over:
            _, _, _, over, info = env.step(BUY)
            moved = max(moved, abs(info["impact_bps"]))
            assert info["impact_bps"] == pytest.approx(1e4 * (info["close"] / info["twin_close"] - 1.0))
            if "bar_steps" not in info:
                assert info["twin_close"] == quiet.step(HOLD)[4]["close"]
        assert moved > 0.0


def test_without_orders_there_is_no_impact() -> None:
    env = ArenaEnv("flash_crash", twin=True, role="judge", **(SETUP | {"episode_bars": 30}))
    env.reset(seed=2)
    over = False
    while not over:
        _, _, _, over, info = env.step(HOLD)
        assert (info["impact_bps"], info["twin_close"]) == (0.0, info["close"])


def test_buying_lifts_the_price_over_its_twin() -> None:
    env = ArenaEnv("normal", twin=True, size=20.0, **SETUP)
    moved = []
    for seed in range(48):
        env.reset(seed=seed)
        env.step(BUY)
        moved.append(env.step(BUY)[4]["impact_bps"])
    assert np.mean(moved) > 2.0 * np.std(moved) / len(moved) ** 0.5


def test_the_twin_is_told_in_info_alone() -> None:
    with_twin, without = ArenaEnv("normal", twin=True, **SETUP), ArenaEnv("normal", **SETUP)
    assert with_twin.observation_space == without.observation_space
    assert with_twin.reset(seed=6)[0].tobytes() == without.reset(seed=6)[0].tobytes()
    for action in (BUY, HOLD, -BUY):
        seen, reward, *_, info = with_twin.step(action)
        also, rewarded, *_, told = without.step(action)
        assert (seen.tobytes(), reward) == (also.tobytes(), rewarded)
        assert set(info) - set(told) == {"twin_close", "impact_bps"}


def test_a_batch_has_no_twin() -> None:
    with pytest.raises(ValueError, match="no keyword twin"):
        BatchArenaEnv("normal", 2, twin=True, **SETUP)
