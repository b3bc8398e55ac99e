"""Costs that vary from episode to episode: within their range, drawn by seed and number, the same in every env."""

import math

import numpy as np
import pytest

from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.trading import TradingEnv
from wavetank.market.costs import Costs

from ..market.handmade import same_bits
from .cases import SMOOTH

COSTS = Costs(taker_fee_bps=10.0, maker_fee_bps=4.0, half_spread_bps=5.0, impact_y=0.7)
TAKER, MAKER, SPREAD, IMPACT = 6, 7, 8, 9  # columns of a terms row


def test_every_episode_draws_its_own_costs_even_in_their_logarithm() -> None:
    env = BatchTradingEnv(SMOOTH, 4_000, costs=COSTS, vary_costs=3.0)
    env.reset(seed=5)
    terms, base = env.episodes.world.terms, env.episodes.world.base[0]
    factors = terms[:, [TAKER, MAKER, SPREAD, IMPACT]] / base[[TAKER, MAKER, SPREAD, IMPACT]]
    assert factors.min() >= 1 / 3
    assert factors.max() <= 3
    assert factors[:, 0] == pytest.approx(factors[:, 1], rel=1e-12), "both fees are one venue's"
    logs = np.log(factors[:, [0, 2, 3]]) / math.log(3)
    assert np.abs(logs.mean(axis=0)).max() < 0.04  # six standard errors of a uniform law over 4,000 draws
    assert np.abs(logs.std(axis=0) - 1 / math.sqrt(3)).max() < 0.02
    assert np.abs(np.corrcoef(logs.T) - np.eye(3)).max() < 0.08
    others = [column for column in range(len(base)) if column not in (TAKER, MAKER, SPREAD, IMPACT)]
    assert (terms[:, others] == base[others]).all()


def test_the_next_episode_draws_anew_and_the_same_seed_draws_the_same() -> None:
    env, twin = (BatchTradingEnv(SMOOTH, 3, costs=COSTS, vary_costs=2.0, episode_bars=5) for _ in range(2))
    env.reset(seed=1)
    twin.reset(seed=1)
    first = env.episodes.world.terms.copy()
    assert same_bits(first, twin.episodes.world.terms)
    for _ in range(5):
        env.step(np.zeros((3, 1)))
    second = env.episodes.world.terms.copy()
    assert not np.any(second[:, TAKER] == first[:, TAKER])
    env.reset(seed=1)
    assert same_bits(env.episodes.world.terms, first)


def test_a_batch_charges_what_single_environments_charge() -> None:
    batch = BatchTradingEnv(SMOOTH, 5, costs=COSTS, vary_costs=2.0, episode_bars=9)
    singles = [TradingEnv(SMOOTH, costs=COSTS, vary_costs=2.0, episode_bars=9) for _ in range(5)]
    batch.reset(seed=8)
    for i, env in enumerate(singles):
        env.reset(seed=8 + i)
    rng = np.random.default_rng(3)
    for _ in range(60):
        actions = rng.uniform(-1, 1, (5, 1))
        seen, rewards, _, _, _ = batch.step(actions)
        for i, env in enumerate(singles):
            own, reward, terminated, truncated, _ = env.step(actions[i])
            assert reward == rewards[i]
            if terminated or truncated:
                own = env.reset()[0]
            assert same_bits(own, seen[i])


def test_a_fee_is_paid_at_the_rate_that_was_drawn() -> None:
    env = TradingEnv(SMOOTH, costs=COSTS, vary_costs=2.0)
    rates = []
    for seed in range(20):
        env.reset(seed=seed)
        info = env.step(np.array([1.0]))[4]
        turnover = env.account.turnover
        rates.append(info["fees"] / turnover)
        assert rates[-1] == pytest.approx(env.episodes.world.terms[0, TAKER], rel=1e-9)
    assert len(set(rates)) == 20
    assert 5e-4 <= min(rates) < max(rates) <= 20e-4


@pytest.mark.parametrize("factor", [0.5, math.nan, math.inf, -2.0])
def test_a_factor_that_cannot_be_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match=r"vary_costs .* must be 1 \(costs as they are\) or a larger factor"):
        TradingEnv(SMOOTH, vary_costs=factor)
