"""The single environment: gymnasium's contract, an exact plain twin of its walk, resets, starts, and wrong input."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from wavetank.envs.features import feature_matrix
from wavetank.envs.observation import ACCOUNT_COLUMNS, ObservationSpec
from wavetank.envs.past import Tabled
from wavetank.envs.rewards import PARTS
from wavetank.envs.trading import TradingEnv
from wavetank.market.bars import Bar, Bars
from wavetank.market.costs import Costs, Funding
from wavetank.market.ledger import LIQUIDATED, open_account
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument
from wavetank.memory.columns import MEMORY_COLUMNS

from ..market.handmade import HOUR, MIDNIGHT, drawn_bars, same_bits
from ..market.twin import PlainVenue, assumed_rate, plain_conditions
from .cases import CASES, FREE, GAPPY, LEVERED, SHORT, SMOOTH, WILD, draw_actions


@pytest.mark.parametrize("actions", ["box", "discrete"])
@pytest.mark.filterwarnings("ignore:.*A Box observation space (minimum|maximum) value is .*infinity.*:UserWarning")
def test_gymnasium_is_content(actions: str) -> None:
    check_env(TradingEnv(SMOOTH, actions=actions), skip_render_check=True)


def test_the_spaces_are_those_of_the_contract() -> None:
    env = TradingEnv(SMOOTH)
    assert env.observation_space == gymnasium.spaces.Box(-np.inf, np.inf, (18,), np.float32)
    assert env.action_space == gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    assert TradingEnv(SMOOTH, actions="discrete").action_space == gymnasium.spaces.Discrete(3)


# an exact twin


def _segment_before(bars: Bars, t: int) -> list[Bar]:
    """The bars of t's segment up to and including t."""
    start = max(first for first, stop in bars.segments() if first <= t)
    return [bars.bar(i) for i in range(start, t + 1)]


@pytest.mark.parametrize("case", CASES)
def test_the_walk_equals_its_exact_twin(case: str) -> None:
    bars, keywords = CASES[case]
    env = TradingEnv(bars, **keywords)
    costs, limits = keywords.get("costs") or Costs(), keywords.get("limits") or Limits()
    instrument = keywords.get("instrument") or Instrument()
    actions = draw_actions(np.random.default_rng(7), keywords, 500, 1)[:, 0]
    twin, ends = None, iter(_last_bars(bars))
    del ends
    for k, action in enumerate(actions):
        if twin is None:
            _, info = env.reset(seed=k)
            twin = PlainVenue(instrument, costs, limits, Fraction(repr(env.account.cash)))
        t = info["index"]
        target = float(np.reshape(action, ())) if env.setup.actions == "box" else float(action) - 1.0
        order = twin.order(target, float(bars.close[t]), env.setup.dead_band)
        order = twin.let_through(order, float(bars.close[t]))
        sigma, volume = plain_conditions(_segment_before(bars, t)[-400:])
        bar = bars.bar(t + 1)
        rate = assumed_rate(bar.opened_at, HOUR, costs.funding_bps_per_8h)
        before = twin.equity
        filled = twin.bar(order, bar, int(bars.opened_at[t]), env.episodes.tape.prices[t, 6], volume, rate)
        _, reward, terminated, truncated, info = env.step(action)
        if truncated and t + 1 in _last_bars(bars):
            twin.close_for_gap(bar.close, float(env.episodes.tape.prices[t + 1, 6]), float(env.episodes.tape.prices[t + 1, 7]))
        assert sigma == pytest.approx(env.episodes.tape.prices[t, 6], rel=1e-9)
        assert (info["order_lots"], info["filled_lots"]) == (order, filled)
        _assert_close(info, env, twin)
        growth = math.log(max(float(twin.equity / before), 1e-4))
        assert info["reward_parts"]["log_growth"] == pytest.approx(growth, abs=1e-9)
        weights = keywords.get("rewards") or {"log_growth": 1.0}
        assert reward == pytest.approx(sum(weights.get(n, 0.0) * info["reward_parts"][n] for n in PARTS), abs=1e-15)
        halted = limits.terminate_on_halt and twin.state == 2
        assert terminated == (twin.dead or halted)
        if terminated or truncated:
            twin = None
