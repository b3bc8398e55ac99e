"""PortfolioEnv as a user meets it: spaces, columns, what a missing asset shows, endings, own reward parts, refusals."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from wavetank.envs.past import Tabled
from wavetank.envs.portfolio import PortfolioEnv
from wavetank.envs.portfolio_batch import BatchPortfolioEnv
from wavetank.envs.portfolio_setup import PortfolioKeywords
from wavetank.market.costs import Costs, Funding
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument
from wavetank.memory.columns import MEMORY_COLUMNS

from ..market.handmade import HOUR, drawn_bars, hourly, same_bits
from .cases import SMOOTH
from .portfolios import CASES, SHORT, WARM_UP, instruments, panel, without

FLAT = (100.0, 100.0, 100.0, 100.0, 1_000_000.0)
FREE = Costs(0, 0, 0, 0, 1.0, 0, 4.0)
PLAIN: PortfolioKeywords = {"observation": SHORT, "costs": FREE, "random_start": False}


def _still(lost: list[set[int]], count: int = 60, price: float = 100.0) -> list[Any]:
    """Assets that never move; each lacks some rows. The first one to lack none makes the grid."""
    return [without(hourly([FLAT] * count), rows) for rows in lost]


def _fresh(env: PortfolioEnv, observation: np.ndarray[Any, Any]) -> list[float]:
    return [value for name, value in zip(env.columns, observation.tolist(), strict=True) if name.endswith("/fresh")]


@pytest.mark.parametrize("name", [name for name in CASES if name != "short episodes"])  # it needs two steps
def test_gymnasium_and_sb3_find_no_fault(name: str) -> None:
    bars, keywords = CASES[name]
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=r".*(not within a Box|symmetric|no render fps|maximum value|minimum value)"
        )
        check_env(PortfolioEnv(bars, **keywords), skip_render_check=True)
    sb3_check_env(PortfolioEnv(bars, **keywords), warn=False)


def test_one_to_twenty_eight_assets_walk() -> None:
    for count in (1, 2, 28):
        bars = panel(1, count, 60, holes=0.1)
        env = PortfolioEnv(bars, observation=SHORT, instruments=instruments(count))
        observation, _ = env.reset(seed=1)
        assert env.observation_space.contains(observation)
        assert observation.shape == (len(env.columns),) == (count * (2 + 4) + 5,)
        assert env.action_space.shape == (count,)
        over = False
        while not over:
            observation, _, terminated, truncated, info = env.step(env.action_space.sample())
            over = terminated or truncated
            assert np.isfinite(observation).all()
        assert len(info["lots"]) == count


def test_columns_are_named_by_asset_and_the_accounts_stand_last() -> None:
    env = PortfolioEnv(panel(1, 2), observation=SHORT)
    assert env.columns == (
        *("COIN0/return_1", "COIN0/return_5", "COIN0/position", "COIN0/unrealised", "COIN0/idle", "COIN0/fresh"),
        *("COIN1/return_1", "COIN1/return_5", "COIN1/position", "COIN1/unrealised", "COIN1/idle", "COIN1/fresh"),
        *("drawdown", "margin_headroom", "loss_headroom", "exposure_headroom", "trading_state"),
    )
    nameless = [drawn_bars(np.random.default_rng(k), 60) for k in range(2)]  # both called DRAWN
    assert PortfolioEnv(nameless, observation=SHORT).columns[:3] == (
        "asset0/return_1",
        "asset0/return_5",
        "asset0/position",
    )


def test_weights_that_are_more_than_the_whole_are_scaled_down() -> None:
    given = [Instrument(max_leverage=3.0)] * 3
    env = PortfolioEnv(_still([set(), set(), set()]), **(PLAIN | {"instruments": given, "leverage": 2.0}))
    env.reset(seed=1)
    *_, info = env.step(np.array([1.0, -0.5, 0.5]))
    assert info["exposures"] == pytest.approx([1.0, -0.5, 0.5])  # of equity; the whole is twice that
    *_, info = env.step(np.array([0.25, -0.25, 0.5]))
    assert info["exposures"] == pytest.approx([0.5, -0.5, 1.0])


# missing bars


def test_an_asset_without_a_bar_keeps_its_mark_takes_no_orders_and_shows_it() -> None:
    env = PortfolioEnv(_still([set(), {20, 21, 22}]), **PLAIN)
    observation, _ = env.reset(options={"start": 18})
    observation, *_, info = env.step(np.array([0.2, 0.4]))  # 19
    assert _fresh(env, observation) == [1.0, 1.0]
    lots = info["lots"]
    for _ in range(3):  # 20 … 22
        observation, *_, info = env.step(np.array([0.3, -0.4]))
        assert _fresh(env, observation) == [1.0, 0.0]
        assert info["lots"][1] == lots[1]
        assert info["order_lots"][1] == 0 or info["index"] == 20  # at 19 it was fresh still, and its order expired
        assert info["filled_lots"][1] == 0
        assert observation[env.columns.index("asset1/position")] == pytest.approx(0.4)
    observation, *_, info = env.step(np.array([0.3, -0.4]))  # 23: a bar again, but the order needs a bar before it
    assert _fresh(env, observation) == [1.0, 1.0]
    assert info["lots"][1] == lots[1]
    *_, info = env.step(np.array([0.3, -0.4]))
    assert info["lots"][1] == -lots[1]


def test_an_asset_gone_for_longer_is_closed_and_absent_until_it_is_warm() -> None:
    costs = Costs(10, 0, 0, 0, 1.0, 0, 4.0)
    env = PortfolioEnv(_still([set(), set(range(20, 24))], 60), **(PLAIN | {"costs": costs}))
    env.reset(options={"start": 18})
    told = {}
    for _ in range(40):
        observation, _, _, _, info = env.step(np.array([0.0, 0.5]))
        told[info["index"]] = (info["lots"][1], _fresh(env, observation)[1], info["fees"])
    bought = told[19][0]
    assert [told[t][0] for t in (20, 21, 22)] == [bought] * 3
    assert told[23][0] == 0, "the fourth missing interval makes the gap a long one"
    assert told[23][2] - told[22][2] == pytest.approx(4 * 0.001 * bought * 0.001 * 100.0)
    assert all(told[t][:2] == (0, 0.0) for t in range(23, 24 + WARM_UP - 1))
    assert told[24 + WARM_UP - 1][1] == 1.0
    assert told[24 + WARM_UP][0] > 0


def test_a_gap_that_only_its_next_bar_shows_to_be_long_closes_the_position_then() -> None:
    rows = [set(range(19, 22)), {19 - 1, *range(19, 22)}]  # both lack 19 … 21, one lacks 18 too
    env = PortfolioEnv([without(bars, lost) for bars, lost in zip(_still([set(), set()]), rows, strict=True)], **PLAIN)
    env.reset(options={"start": 16})
    *_, info = env.step(np.array([0.5, 0.5]))
    assert info["lots"][1] > 0
    *_, info = env.step(np.array([0.5, 0.5]))
    assert info["closed_at"] == int(env.bars[0].opened_at[18]) + HOUR - 1
    assert info["lots"][1] > 0
    *_, info = env.step(np.array([0.5, 0.5]))
    assert info["lots"][1] == 0
    assert info["lots"][0] > 0


def test_where_all_are_gone_for_long_positions_are_closed_and_the_episode_truncates() -> None:
    costs = Costs(10, 0, 0, 0, 1.0, 0, 4.0)
    env = PortfolioEnv(_still([set(range(30, 35)), set(range(30, 34))]), **(PLAIN | {"costs": costs}))
    env.reset(options={"start": 26})
    for _ in range(2):
        *_, truncated, info = env.step(np.array([0.2, -0.4]))
        assert not truncated
    fees, lots = info["fees"], info["lots"]
    *_, truncated, info = env.step(np.array([0.2, -0.4]))
    assert truncated
    assert info["lots"] == [0, 0]
    assert info["fees"] - fees == pytest.approx(4 * 0.001 * 0.1 * sum(abs(held) for held in lots))


def test_no_episode_starts_before_an_asset_can_be_traded() -> None:
    env = PortfolioEnv(panel(3, 4, 100, late=True), observation=SHORT, random_start=False)
    observation, info = env.reset(seed=1)
    assert info["index"] == WARM_UP - 1
    assert _fresh(env, observation) == [1.0, 0.0, 0.0, 0.0]
    absent = [k for k, name in enumerate(env.columns) if name.startswith("COIN3/")]
    assert not observation[absent].any()


# terms


def test_memory_columns_stand_behind_each_assets_market_columns() -> None:
    bars, rng = panel(2, 2, 80), np.random.default_rng(1)
    tables = [rng.normal(size=(len(each), len(MEMORY_COLUMNS))).astype(np.float32) for each in bars]
    past = [Tabled(each.closed_at, table) for each, table in zip(bars, tables, strict=True)]
    env = PortfolioEnv(bars, observation="spine_memory", past=past)
    observation, info = env.reset(seed=3)
    for k, table in enumerate(tables):
        at = env.columns.index(f"COIN{k}/{MEMORY_COLUMNS[0]}")
        assert same_bits(observation[at : at + len(MEMORY_COLUMNS)], table[info["index"]])


def test_a_reward_part_of_ones_own_sees_the_whole_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "calm_portfolio.py").write_text(
        "from wavetank.market.jit import kernel\n\n\n@kernel\ndef calm(before, after):\n"
        "    return after.equity - before.equity\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    keywords: dict[str, Any] = {**CASES["holes"][1], "rewards": {"calm_portfolio:calm": 2.0, "log_growth": 0.0}}
    keywords["episode_bars"] = 7
    single = PortfolioEnv(CASES["holes"][0], **keywords)
    batch = BatchPortfolioEnv(CASES["holes"][0], 1, autoreset="NEXT_STEP", parts=True, **keywords)
    single.reset(seed=4)
    batch.reset(seed=4)
    before, total = single.account.equity, 0.0
    for _ in range(7):
        _, reward, _, truncated, info = single.step(np.full(5, 0.2))
        _, rewards, _, _, infos = batch.step(np.full((1, 5), 0.2))
        assert reward == rewards[0] == 2.0 * (info["equity"] - before)
        assert infos["reward_parts"][0].tolist() == list(info["reward_parts"].values())
        before, total = info["equity"], total + float(reward)
    assert truncated
    assert infos["episode"]["r"][0] == pytest.approx(total)


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"instruments": [Instrument()]}, "instruments: 1 were given for 3 assets"),
        ({"costs": [Costs()] * 4}, "costs: 4 were given for 3 assets"),
        ({"funding": [None]}, "funding: 1 were given for 3 assets"),
        ({"past": []}, "past: 0 were given for 3 assets"),
        ({"costs": [Costs(), Costs(borrow_bps_per_day=3), Costs()]}, "costs: one account borrows at one rate"),
        ({"leverage": 0.0}, "leverage 0.0 must be above 0 and at most 1.0, as ASSET allows"),
        ({"leverage": 2.0}, "leverage 2.0 must be above 0 and at most 1.0, as ASSET allows"),
        ({"leverage": float("nan")}, "leverage nan must be above 0"),
        ({"episode_bars": 0}, "episode_bars 0 must be 1 or more"),
        ({"cash": -1.0}, "an account cannot open with -1.0 in cash"),
        ({"observation": "spline"}, "there is no observation 'spline'"),
        ({"rewards": {"sharpe": 1.0}}, "there is no reward part 'sharpe'"),
        ({"dead_band": 1.0}, r"dead_band 1.0 must lie in \[0, 1\)"),
        ({"render_mode": "human"}, "render_mode 'human'"),
    ],
)
def test_a_wrong_keyword_costs_one_sentence(keywords: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        PortfolioEnv(panel(1, 3, 80), **{"observation": SHORT, **keywords})


def test_wrong_bars_and_wrong_calls_cost_one_sentence() -> None:
    with pytest.raises(ValueError, match="a portfolio needs the bars of at least one asset"):
        PortfolioEnv([])
    quarter = drawn_bars(np.random.default_rng(1), 80, interval="15m")
    with pytest.raises(ValueError, match="asset 1 has 15m bars, asset 0 has 1h bars"):
        PortfolioEnv([SMOOTH, quarter], observation=SHORT)
    with pytest.raises(ValueError, match="asset 1: observation short needs 16 bars to warm up and one to trade"):
        PortfolioEnv([SMOOTH, SMOOTH.slice(0, 16)], observation=SHORT)
    env = PortfolioEnv(panel(1, 2), observation=SHORT)
    with pytest.raises(ValueError, match="the episode is over: call reset before the next step"):
        env.step(np.zeros(2))
    env.reset(seed=1)
    with pytest.raises(ValueError, match=r"actions of shape \(1, 3\) were given; 1 × 2 targets are needed"):
        env.step(np.zeros(3))
    with pytest.raises(ValueError, match=r"action inf of episode 0, asset 1 is not a number in \[-1, 1\]"):
        env.step(np.array([0.0, np.inf]))
    with pytest.raises(ValueError, match="reset has no option mask; it has start"):
        env.reset(options={"mask": 1})


def test_leverage_is_the_accounts_and_by_default_the_least_that_an_instrument_allows() -> None:
    bars, given = panel(1, 2), [Instrument(max_leverage=5.0), Instrument(max_leverage=3.0)]
    terms = PortfolioEnv(bars, observation=SHORT, instruments=given).setup.terms(2)
    assert [each.leverage for each in terms] == [3.0, 3.0]
    terms = PortfolioEnv(bars, observation=SHORT, instruments=given, leverage=2).setup.terms(2)
    assert [each.leverage for each in terms] == [2.0, 2.0]


def test_a_halt_closes_everything_and_ends_the_episode_where_that_is_asked() -> None:
    rows = [(100.0, 101.0, 99.0, 100.0, 1e6)] * 30 + [(80.0, 81.0, 79.0, 80.0, 1e6)] * 30
    for ends in (False, True):
        limits = Limits("live", daily_loss=0.9, drawdown=0.1, terminate_on_halt=ends)
        env = PortfolioEnv([hourly(rows), hourly(rows)], **(PLAIN | {"limits": limits}))
        env.reset(options={"start": 27})
        env.step(np.array([0.5, 0.5]))
        env.step(np.array([0.5, 0.5]))
        _, _, terminated, _, info = env.step(np.array([0.5, 0.5]))
        assert (terminated, info["state"]) == (ends, "HALTED")
        if not ends:
            *_, info = env.step(np.array([0.5, 0.5]))
            assert info["lots"] == [0, 0]


def test_funding_series_belong_to_their_assets() -> None:
    bars = _still([set(), set()])
    stamp = int(bars[0].opened_at[20]) + 5
    series = Funding(np.array([stamp]), np.array([0.01]))
    env = PortfolioEnv(bars, **(PLAIN | {"funding": [None, series]}))
    env.reset(options={"start": 17})
    paid = [env.step(np.array([0.5, 0.5]))[4]["funding"] for _ in range(4)]
    assert paid == [0.0, 0.0, pytest.approx(0.01 * 50_000.0), pytest.approx(0.01 * 50_000.0)]
