"""The walk of an environment against its slow plain twin in exact rational money, bar by bar."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from wavetank.envs.actions import exposure_of
from wavetank.envs.trading import TradingEnv
from wavetank.market.bars import Bars
from wavetank.market.conditions import conditions_of
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument

from ..market.handmade import HOUR
from ..market.twin import HALTED, REDUCING, PlainVenue, assumed_rate
from .cases import CASES, draw_actions


def _last_bars_before_gaps(bars: Bars) -> set[int]:
    return {stop - 1 for _, stop in bars.segments()[:-1]}


HAPPENS = {
    "dear": {"filled in part"},
    "gaps to the end": {"closed for a gap", "filled in part"},
    "levered": {"closed for a gap", "filled in part", "ruin"},
    "levered, clipped": {"cut by the limits", "ruin"},
    "live": {"cut by the limits", "reducing", "halt"},
    "live, ends when halted": {"cut by the limits", "filled in part", "halt"},
}


@pytest.mark.parametrize("case", CASES)
def test_the_walk_equals_its_exact_twin(case: str) -> None:
    bars, keywords = CASES[case]
    env = TradingEnv(bars, **keywords)
    costs, limits = keywords.get("costs") or Costs(), keywords.get("limits") or Limits()
    weights = keywords.get("rewards") or {"log_growth": 1.0}
    conditions = conditions_of(bars)  # checked against a plain recursion in tests/market
    actions = draw_actions(np.random.default_rng(7), keywords, 500, 1)[:, 0]
    twin, walked, happened = None, 0, set[str]()
    for k, action in enumerate(actions):
        if twin is None:
            _, info = env.reset(seed=k)
            twin = PlainVenue(keywords.get("instrument") or Instrument(), costs, limits, Fraction(env.account.cash))
            walked = 0
        t = info["index"]
        close, bar = float(bars.close[t]), bars.bar(t + 1)
        target = exposure_of(float(action.reshape(())), keywords.get("actions", "box"))
        asked = twin.order(target, close, keywords.get("dead_band", 0.02))
        order = twin.let_through(asked, close)
        rate = assumed_rate(bar.opened_at, HOUR, costs.funding_bps_per_8h)
        before = twin.equity
        sigma, volume = conditions[t].tolist()
        filled = twin.bar(order, bar, int(bars.opened_at[t]), sigma, volume, rate)
        walked += 1
        over = twin.dead or (limits.terminate_on_halt and twin.state == HALTED)
        last = next(stop for start, stop in bars.segments() if start <= t < stop) - 1
        is_last = t + 1 == last or walked == keywords.get("episode_bars")
        cut = is_last and not over
        if is_last and not twin.dead and t + 1 in _last_bars_before_gaps(bars):  # a halt there closes it too
            happened |= {"closed for a gap"} if twin.lots else set()
            sigma, volume = conditions[t + 1].tolist()
            twin.close_for_gap(bar.close, sigma, volume)
        events = {
            "ruin": twin.dead,
            "reducing": twin.state == REDUCING,
            "halt": twin.state == HALTED,
            "cut by the limits": order != asked,
            "filled in part": filled != order,
        }
        happened |= {name for name, is_so in events.items() if is_so}
        _, reward, terminated, truncated, info = env.step(action)
        assert (info["order_lots"], info["filled_lots"]) == (order, filled)
        assert (terminated, truncated) == (over, cut)
        _assert_close(env, info, twin)
        growth = math.log(max(float(twin.equity / before), 1e-4))
        parts = info["reward_parts"]
        assert parts["log_growth"] == pytest.approx(growth, abs=1e-9)
        assert reward == pytest.approx(sum(weights.get(name, 0.0) * value for name, value in parts.items()), abs=1e-15)
        if terminated or truncated:
            twin = None
    assert HAPPENS.get(case, set()) <= happened, "this walk has become a dull one"


def _assert_close(env: TradingEnv, info: dict[str, Any], twin: PlainVenue) -> None:
    moved = sum(abs(flow) for flow in twin.flows) + twin.opened_with
    for name in ("cash", "equity", "peak", "day_equity", "fees", "funding", "turnover"):
        off = abs(Fraction(getattr(env.account, name)) - getattr(twin, name))
        assert off <= Fraction(1, 10**9) * moved, f"{name} {getattr(env.account, name)} is {float(getattr(twin, name))}"
    account = env.account
    assert (account.lots, account.state, account.trades) == (twin.lots, twin.state, twin.trades)
    assert (info["lots"], info["equity"], info["fees"]) == (account.lots, account.equity, account.fees)
