"""A portfolio of one asset is a TradingEnv, to the last bit: money, orders, rewards, columns and endings."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.portfolio import PortfolioEnv
from wavetank.envs.portfolio_batch import BatchPortfolioEnv
from wavetank.envs.setup import EnvKeywords
from wavetank.envs.trading import TradingEnv
from wavetank.market.bars import Bars
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument

from ..market.handmade import drawn_bars, same_bits
from .cases import CASES, DEAR, FREE, draw_actions
from .portfolios import MARGIN, SHORT, funding_series

BOXES = [name for name, (_, keywords) in CASES.items() if "actions" not in keywords]


def _portfolio_keywords(keywords: EnvKeywords) -> dict[str, Any]:
    """The same terms as a portfolio words them."""
    given: dict[str, Any] = dict(keywords)
    instrument, funding = given.pop("instrument", None), given.pop("funding", None)
    return {**given, "instruments": [instrument or Instrument()], "funding": [funding]}


def _places(single: TradingEnv, portfolio: PortfolioEnv) -> list[int]:
    """Where a portfolio of one shows each column of the single env."""
    names = [name.split("/")[-1] for name in portfolio.columns]
    return [names.index(name) for name in single.setup.spec.columns]


def _assert_same_walk(bars: Bars, keywords: EnvKeywords, actions: NDArray[Any], seed: int) -> int:
    single, portfolio = TradingEnv(bars, **keywords), PortfolioEnv([bars], **_portfolio_keywords(keywords))
    places, endings = _places(single, portfolio), 0
    seen, told = single.reset(seed=seed)[0], portfolio.reset(seed=seed)[0]
    for action in actions:
        assert same_bits(seen, told[places])
        assert told[len(single.setup.spec.columns) - 8 + 3] == 1.0, "its only asset is always fresh"
        assert single.account == portfolio.holding(0)
        seen, *ending, info = single.step(action)
        told, *same_ending, same_info = portfolio.step(action)
        assert ending == same_ending
        assert info["reward_parts"] == same_info["reward_parts"]
        assert ([info["order_lots"]], [info["filled_lots"]]) == (same_info["order_lots"], same_info["filled_lots"])
        for name in ("index", "closed_at", "equity", "fees", "funding", "borrow", "state", "ruin"):
            assert info[name] == same_info[name]
        assert ([info["lots"]], [info["exposure"]]) == (same_info["lots"], same_info["exposures"])
        if ending[1] or ending[2]:
            assert same_bits(seen, told[places])
            assert single.account == portfolio.holding(0)
            endings += 1
            seen, told = single.reset()[0], portfolio.reset()[0]
    return endings


@pytest.mark.parametrize("case", BOXES)
def test_one_asset_walks_as_a_trading_env(case: str) -> None:
    bars, keywords = CASES[case]
    actions = draw_actions(np.random.default_rng(21), keywords, 600, 1)[:, 0]
    assert _assert_same_walk(bars, keywords, actions, 31) > 0


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    leverage=st.sampled_from([0.5, 1.0, 4.0, 15.0]),
    maintenance=st.sampled_from([0.0, 0.01, 0.06]),
    limits=st.sampled_from(
        [
            Limits(),
            Limits("clip", 0.4, 0.3, 0.02, 0.2),
            Limits("live", 0.9, 2.0, 0.01, 0.08),
            Limits("live", 1.0, 0.5, 0.03, 0.1, terminate_on_halt=True),
        ]
    ),
    costs=st.sampled_from([Costs(), DEAR, FREE, MARGIN]),
    gaps=st.dictionaries(st.integers(20, 195), st.sampled_from([1, 3, 4, 30]), max_size=4),
    series=st.booleans(),
    episode_bars=st.sampled_from([None, 1, 25]),
    random_start=st.booleans(),
    sigma=st.sampled_from([0.01, 0.08]),
    dead_band=st.sampled_from([0.0, 0.02]),
)
def test_any_portfolio_of_one_is_a_trading_env(
    seed: int,
    leverage: float,
    maintenance: float,
    limits: Limits,
    costs: Costs,
    gaps: dict[int, int],
    series: bool,
    episode_bars: int | None,
    random_start: bool,
    sigma: float,
    dead_band: float,
) -> None:
    rng = np.random.default_rng(seed)
    keywords: EnvKeywords = {
        "instrument": Instrument(max_leverage=leverage, maintenance=maintenance, lot=0.01),
        "costs": costs,
        "limits": limits,
        "funding": funding_series(seed) if series else None,
        "observation": SHORT,
        "episode_bars": episode_bars,
        "random_start": random_start,
        "dead_band": dead_band,
        "rewards": dict.fromkeys(("log_growth", "cost", "turnover", "drawdown", "downside"), 0.5),
    }
    bars = drawn_bars(rng, 200, gaps=gaps, sigma=sigma, volume=20_000.0)
    _assert_same_walk(bars, keywords, draw_actions(rng, keywords, 120, 1)[:, 0], seed)


@pytest.mark.parametrize("autoreset", ["SAME_STEP", "NEXT_STEP"])
def test_a_batch_of_portfolios_of_one_is_a_batch_of_trading_envs(autoreset: str) -> None:
    bars, keywords = CASES["gaps"]
    single = BatchTradingEnv(bars, 20, autoreset=autoreset, **keywords)
    portfolio = BatchPortfolioEnv([bars], 20, autoreset=autoreset, **_portfolio_keywords(keywords))
    places = _places(TradingEnv(bars, **keywords), PortfolioEnv([bars], **_portfolio_keywords(keywords)))
    seen, told = single.reset(seed=4)[0], portfolio.reset(seed=4)[0]
    actions = draw_actions(np.random.default_rng(5), keywords, 300, 20)
    for action in actions:
        assert same_bits(seen, told[:, places])
        seen, *results, infos = single.step(action)
        told, *same_results, same_infos = portfolio.step(action)
        assert all(same_bits(a, b) for a, b in zip(results, same_results, strict=True))
        assert infos.keys() == same_infos.keys()
        if "episode" in infos:
            assert all(same_bits(infos["episode"][name], same_infos["episode"][name]) for name in infos["episode"])
