"""The single environment: gymnasium's contract, an exact plain twin of its walk, resets, starts, and wrong input."""

import math

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from wavetank.envs.features import feature_matrix
from wavetank.envs.observation import ACCOUNT_COLUMNS, ObservationSpec
from wavetank.envs.past import Tabled
from wavetank.envs.trading import TradingEnv
from wavetank.market.bars import Bar, Bars
from wavetank.market.costs import Costs, Funding
from wavetank.market.ledger import LIQUIDATED, open_account
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument
from wavetank.memory.columns import MEMORY_COLUMNS

from ..market.handmade import HOUR, MIDNIGHT, drawn_bars, same_bits
from .cases import FREE, GAPPY, LEVERED, SHORT, SMOOTH


@pytest.mark.parametrize("actions", ["box", "discrete"])
@pytest.mark.filterwarnings("ignore:.*A Box observation space (minimum|maximum) value is .*infinity.*:UserWarning")
def test_gymnasium_is_content(actions: str) -> None:
    check_env(TradingEnv(SMOOTH, actions=actions), skip_render_check=True)


def test_the_spaces_are_those_of_the_contract() -> None:
    env = TradingEnv(SMOOTH)
    assert env.observation_space == gymnasium.spaces.Box(-np.inf, np.inf, (40,), np.float32)
    assert env.action_space == gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    assert TradingEnv(SMOOTH, actions="discrete").action_space == gymnasium.spaces.Discrete(3)


# the first bars by hand


def _ladder(closes: list[float], volume: float = 1e9, tail: list[float] | None = None) -> Bars:
    """Sixteen quiet bars at 100 to warm up, then bars that open at the last close and close as told."""
    rows, last = [], 100.0
    for k, close in enumerate([100.0] * 16 + closes + (tail or [])):
        rows.append(Bar(MIDNIGHT + k * HOUR, last, max(last, close), min(last, close), close, volume))
        last = close
    return Bars.from_rows("1h", rows)


def test_a_trade_by_hand() -> None:
    """Half of 1,000 at 110: 4 lots of 1; then the bar closes at 121, then back to flat at 121."""
    env = TradingEnv(
        _ladder([110.0, 121.0, 121.0]),
        instrument=Instrument(lot=1.0),
        costs=Costs(10.0, 0, 0, 0, 1.0, 0),
        observation=SHORT,
        cash=1_000.0,
        random_start=False,
    )
    observation, info = env.reset()
    assert info["index"] == 15
    assert observation.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 0]
    env.step(np.array([0.0]))
    observation, reward, terminated, truncated, info = env.step(np.array([0.5]))
    fee = 4 * 110 * 0.001
    assert (info["order_lots"], info["filled_lots"], info["lots"]) == (4, 4, 4)
    assert info["fees"] == pytest.approx(fee)
    assert info["equity"] == pytest.approx(1_000 + 4 * 11 - fee)
    assert reward == pytest.approx(math.log((1_000 + 44 - fee) / 1_000))
    assert not terminated
    assert not truncated
    seen = dict(zip(("return_1", "return_5", *ACCOUNT_COLUMNS), observation.tolist(), strict=True))
    assert seen["return_1"] == pytest.approx(math.log(1.1), rel=1e-6)
    assert seen["position"] == pytest.approx(4 * 121 / info["equity"], rel=1e-6)
    assert seen["unrealised"] == pytest.approx(4 * 11 / info["equity"], rel=1e-6)
    _, _, terminated, truncated, info = env.step(np.array([0.0]))
    assert (info["lots"], terminated, truncated) == (0, False, True)
    assert info["equity"] == pytest.approx(1_000 + 44 - fee - 4 * 121 * 0.001)


def test_a_liquidation_terminates() -> None:
    env = TradingEnv(
        _ladder([100.0, 50.0, 50.0, 50.0]),
        instrument=Instrument(lot=1.0, max_leverage=3.0),
        costs=FREE,
        observation=SHORT,
        cash=1_000.0,
        random_start=False,
    )
    env.reset()
    env.step(np.array([1.0]))
    _, reward, terminated, truncated, info = env.step(np.array([1.0]))
    assert (terminated, truncated, info["ruin"], info["lots"]) == (True, False, LIQUIDATED, 0)
    assert float(reward) < -5
    with pytest.raises(ValueError, match="the episode is over: call reset before the next step"):
        env.step(np.array([0.0]))


def test_a_halt_terminates_only_if_asked() -> None:
    ends = []
    for asked in (False, True):
        limits = Limits("live", drawdown=0.1, terminate_on_halt=asked)
        env = TradingEnv(
            _ladder([100.0, 80.0, 80.0, 80.0]),
            instrument=Instrument(lot=1.0),
            limits=limits,
            costs=FREE,
            observation=SHORT,
            random_start=False,
        )
        env.reset()
        env.step(np.array([1.0]))
        _, _, terminated, _, info = env.step(np.array([1.0]))
        assert info["state"] == "HALTED"
        ends.append(terminated)
        if not asked:
            _, _, _, _, info = env.step(np.array([1.0]))
            assert info["lots"] == 0, "a halt closes the position, whatever the policy asks for"
    assert ends == [False, True]


def test_an_episode_before_a_long_gap_ends_flat_and_a_crossed_gap_ends_nothing() -> None:
    rows = list(_ladder([100.0] * 4))
    later = [bar._replace(opened_at=bar.opened_at + 40 * HOUR) for bar in rows]
    bars = Bars.from_rows("1h", [*rows, *later])
    env = TradingEnv(bars, costs=Costs(10.0, 0, 0, 0, 1.0, 0), instrument=Instrument(lot=1.0), observation=SHORT)
    env.reset(options={"start": 17})
    env.step(np.array([0.5]))
    _, _, terminated, truncated, info = env.step(np.array([0.5]))
    assert (terminated, truncated, info["lots"]) == (False, True, 0)
    held = 500  # half of 100,000 at 100
    assert info["fees"] == pytest.approx(held * 100 * 0.001 * (1 + 4)), "the way out costs four times as much"
    with pytest.raises(ValueError, match="an episode cannot start at bar 19; bars 15…18, 35…38 can be observed"):
        env.reset(options={"start": 19})


def test_the_last_bar_of_all_truncates_without_closing() -> None:
    env = TradingEnv(_ladder([100.0] * 2), costs=FREE, instrument=Instrument(lot=1.0), observation=SHORT)
    env.reset(options={"start": 15})
    env.step(np.array([0.5]))
    _, _, terminated, truncated, info = env.step(np.array([0.5]))
    assert (terminated, truncated, info["lots"]) == (False, True, 500)


def test_a_funding_series_replaces_the_assumed_rate() -> None:
    bars = _ladder([100.0] * 4)
    stamps = np.array([bars.opened_at[17], bars.opened_at[17] + 1], np.int64)
    env = TradingEnv(
        bars,
        funding=Funding(stamps, np.array([0.01, 0.002])),
        instrument=Instrument(lot=1.0),
        costs=Costs(0, 0, 0, 0, 1.0, 100.0),
        observation=SHORT,
    )
    env.reset(options={"start": 15})
    paid = [env.step(np.array([0.5]))[4]["funding"] for _ in range(4)]
    assert paid == pytest.approx([0.0, 50_000 * 0.012, 50_000 * 0.012, 50_000 * 0.012])


def test_borrow_is_told_as_the_account_pays_it() -> None:
    env = TradingEnv(
        _ladder([100.0] * 4),
        instrument=Instrument(lot=1.0),
        costs=Costs(0, 0, 0, 0, 1.0, 0, borrow_bps_per_day=10.0),
        observation=SHORT,
    )
    _, info = env.reset(options={"start": 15})
    assert info["borrow"] == 0.0
    days = env.bars.interval_ms / 86_400_000
    paid = [env.step(np.array([-0.5]))[4]["borrow"] for _ in range(3)]
    assert paid == pytest.approx([50_000 * 0.001 * days * bars for bars in (1, 2, 3)], rel=1e-3)


# observations


def test_an_observation_is_the_row_of_the_bar_and_the_account() -> None:
    env = TradingEnv(GAPPY)
    matrix = feature_matrix(GAPPY, env.setup.spec.market)
    observation, info = env.reset(seed=1)
    for _ in range(60):
        assert same_bits(observation[:32], matrix[info["index"]])
        assert np.isfinite(observation).all()
        observation, _, _, over, info = env.step(np.array([0.3]))
        if over:
            observation, info = env.reset()


def test_memory_columns_come_from_the_past_that_is_given() -> None:
    table = np.random.default_rng(1).random((len(SMOOTH), 10)).astype(np.float32)
    env = TradingEnv(SMOOTH, observation="spine_memory", past=Tabled(SMOOTH.closed_at, table))
    observation, info = env.reset(seed=1)
    assert observation.shape == (28,)
    assert same_bits(observation[10:20], table[info["index"]])
    with pytest.raises(ValueError, match="observation spine_memory has memory columns, but no past was given"):
        TradingEnv(SMOOTH, observation="spine_memory")
    with pytest.raises(ValueError, match="observation default has no memory columns, yet a past was given"):
        TradingEnv(SMOOTH, past=Tabled(SMOOTH.closed_at, table))
    short = ObservationSpec("short_memory", 1, SHORT.market, MEMORY_COLUMNS)
    with pytest.raises(ValueError, match="the tabled past has no row for the close at"):
        TradingEnv(SMOOTH, observation=short, past=Tabled(SMOOTH.closed_at[5:], table[5:]))


def test_what_was_returned_belongs_to_the_caller() -> None:
    env, twin = (TradingEnv(SMOOTH) for _ in range(2))
    held = [env.reset(seed=1)[0]]
    twin.reset(seed=1)
    for _ in range(20):
        held.append(env.step(np.array([0.5]))[0])
    copies = [array.copy() for array in held]
    for _ in range(20):
        env.step(np.array([-0.5]))
    assert all(same_bits(a, b) for a, b in zip(held, copies, strict=True))
    held[0].fill(np.nan)
    for k in range(20):
        assert same_bits(twin.step(np.array([0.5]))[0], copies[k + 1])


# resets and starts


def test_two_resets_with_one_seed_begin_the_same_episode() -> None:
    env = TradingEnv(GAPPY, instrument=LEVERED)
    walks = []
    for _ in range(2):
        told = [env.reset(seed=12)]
        told += [env.step(np.array([0.2]))[:2] for _ in range(15)]  # type: ignore[misc]
        walks.append([observation.tobytes() for observation, _ in told])
        assert env.account != open_account(100_000.0)
    assert walks[0] == walks[1]


def test_the_second_episode_begins_as_untouched_as_the_first() -> None:
    env = TradingEnv(SMOOTH, episode_bars=30)
    env.reset(seed=1)
    for _ in range(30):
        env.step(np.array([1.0]))
    assert env.account.trades > 0
    observation, info = env.reset()
    assert env.account == open_account(100_000.0)
    assert observation[32:].tolist() == [0, 0, 0, 0, 1, 1, 1, 0]
    assert (info["fees"], info["funding"], info["lots"]) == (0.0, 0.0, 0)
    _, reward, _, _, info = env.step(np.array([0.0]))
    assert reward == 0.0
    assert not any(info["reward_parts"].values())


def test_episodes_start_all_over_the_bars_with_room_for_their_length() -> None:
    env = TradingEnv(GAPPY, episode_bars=40, observation=SHORT)
    env.reset(seed=0)
    starts = [env.reset()[1]["index"] for _ in range(3_000)]
    allowed = {t for a, b in GAPPY.segments() for t in range(a + 15, b - 40)}
    short = {a + 15 for a, b in GAPPY.segments() if 16 < b - a <= 56}
    assert set(starts) <= allowed | short
    assert len(set(starts)) > 0.95 * len(allowed)


def test_without_random_start_an_episode_begins_at_the_first_bar_that_can_be_observed() -> None:
    env = TradingEnv(SMOOTH, random_start=False)
    assert [env.reset(seed=seed)[1]["index"] for seed in (1, 2, None)] == [168, 168, 168]


def test_a_named_start_wins_over_the_draw_and_the_next_reset_draws_again() -> None:
    env, twin = TradingEnv(SMOOTH), TradingEnv(SMOOTH)
    assert env.reset(seed=3, options={"start": 321})[1]["index"] == 321
    twin.reset(seed=3)
    assert env.reset()[1]["index"] == twin.reset()[1]["index"]
    assert env.reset(options={})[1]["index"] != 321


@pytest.mark.parametrize("bars", [SMOOTH, GAPPY])
def test_an_episode_as_long_as_the_bars_allow_ends_at_their_end(bars: Bars) -> None:
    env = TradingEnv(bars, episode_bars=100_000, random_start=False)
    _, info = env.reset()
    end = False
    while not end:
        _, _, _, end, info = env.step(np.array([0.0]))
    assert info["index"] == bars.segments()[0][1] - 1


# wrong input


@pytest.mark.parametrize("action", [np.array([np.nan]), np.array([1.01]), np.array([-np.inf]), math.nan, 2.0])
def test_an_action_that_is_none_is_refused_and_costs_nothing(action: object) -> None:
    env = TradingEnv(SMOOTH)
    env.reset(seed=1)
    before = (env.account, env.index)
    with pytest.raises(ValueError, match=r"^action .* of episode 0 is not a number in \[-1, 1\]$"):
        env.step(action)
    assert (env.account, env.index) == before


def test_a_plain_number_is_an_action_too() -> None:
    env, twin = TradingEnv(SMOOTH), TradingEnv(SMOOTH)
    env.reset(seed=1)
    twin.reset(seed=1)
    assert same_bits(env.step(0.5)[0], twin.step(np.array([0.5], np.float32))[0])


def test_wrong_calls_cost_one_sentence() -> None:
    with pytest.raises(ValueError, match="render_mode 'human': a report shows an episode"):
        TradingEnv(SMOOTH, render_mode="human")
    env = TradingEnv(SMOOTH)
    with pytest.raises(ValueError, match="the episode is over: call reset before the next step"):
        env.step(np.array([0.0]))
    with pytest.raises(ValueError, match="reset has no option begin; it has start"):
        env.reset(options={"begin": 3})
    with pytest.raises(ValueError, match="an episode cannot start at bar 167; bars 168…898 can be observed and traded"):
        env.reset(options={"start": 167})
    env.reset(seed=1)
    with pytest.raises(ValueError, match="2 actions were given for 1 episodes"):
        env.step(np.array([0.1, 0.2]))


def test_defaults_need_nothing_but_bars_of_any_interval() -> None:
    for interval in ("1m", "15m", "1h", "4h", "1d"):
        env = TradingEnv(drawn_bars(np.random.default_rng(1), 200, interval=interval))
        env.reset(seed=1)
        assert math.isfinite(float(env.step(env.action_space.sample())[1]))
