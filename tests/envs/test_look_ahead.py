"""Nothing knows the future: other bars after t leave observations, rewards and fills up to t bit-identical."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.features import FEATURES, feature_matrix, warm_up
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.setup import EnvKeywords
from wavetank.envs.tape import FUNDING, ROLLED, Tape
from wavetank.envs.trading import TradingEnv
from wavetank.market.bars import Bars
from wavetank.market.store import data_folder, read_bars

from ..market.handmade import drawn_bars, same_bits
from .cases import CASES, GAPPY, SMOOTH, draw_actions

PRICES = ("open", "high", "low", "close", "volume")
ALL = ObservationSpec("all", 1, tuple(FEATURES))


def _with_another_future(bars: Bars, t: int, seed: int = 1) -> Bars:
    """The same bars up to t; behind it another market at the same instants."""
    rng, rest = np.random.default_rng(seed), len(bars) - t - 1
    other = drawn_bars(rng, rest, sigma=0.1, volume=1e6)
    factor = float(rng.uniform(0.5, 2.0)) * float(bars.close[t]) / 100.0

    columns = []
    for name in PRICES:
        scale = 1.0 if name == "volume" else factor
        columns.append(np.concatenate([getattr(bars, name)[: t + 1], getattr(other, name) * scale]))
    open_, high, low, close, volume = columns
    taker = bars.taker_buy_volume
    if taker is not None:
        taker = np.concatenate([taker[: t + 1], other.volume * rng.random(rest)])
    return Bars(bars.interval, bars.opened_at, open_, high, low, close, volume, taker)


@pytest.fixture(scope="module")
def recorded() -> Bars:
    path = data_folder() / "ohlcv" / "binanceusdm_BTCUSDT_1h.parquet"
    if not path.is_file():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    return read_bars(path, start="2020-02-15", end="2020-04-15")


def _told(env: TradingEnv, actions: NDArray[Any], start: int, until: int) -> Iterator[bytes]:
    """Everything that a walk from `start` tells at the closes up to `until`, one line a bar."""
    observation, info = env.reset(seed=1, options={"start": start})
    yield observation.tobytes() + repr(info).encode()
    for action in actions[: until - start]:
        observation, reward, terminated, truncated, info = env.step(action)
        yield observation.tobytes() + repr((reward, terminated, truncated, info, env.account)).encode()
        if terminated or truncated:
            return


def _assert_blind(bars: Bars, t: int, **keywords: Any) -> None:
    """Walk both futures from 50 bars before t to 5 behind it: equal up to t, different after it."""
    actions = draw_actions(np.random.default_rng(5), keywords, 60, 1)[:, 0]  # type: ignore[arg-type]
    other = _with_another_future(bars, t)
    a, b = (list(_told(TradingEnv(each, **keywords), actions, t - 50, t + 5)) for each in (bars, other))
    past = min(51, len(a), len(b))
    assert past > 1
    assert a[:past] == b[:past]
    if min(len(a), len(b)) > past:
        assert a[past] != b[past], "the futures are the same: this test sees nothing"


def _first_walked(bars: Bars, keywords: EnvKeywords) -> int:
    """Bars of a segment before a walk of 50 bars may begin and end at t."""
    named = keywords.get("observation", "default")
    spec = ObservationSpec.load(named) if isinstance(named, str) else named
    return warm_up(spec.market, bars.interval_ms) + spec.window + 50


PLACES = [
    (case, t)
    for case, (bars, keywords) in CASES.items()
    for t in (120, 230, 299, 420, 490, 560, 800, 850)
    if any(first + _first_walked(bars, keywords) <= t < stop - 1 for first, stop in bars.segments())
]


def test_every_case_has_its_places() -> None:
    assert {case for case, _ in PLACES} == set(CASES)


@pytest.mark.parametrize(("case", "t"), PLACES)
def test_another_future_changes_nothing_that_was_told_before(case: str, t: int) -> None:
    bars, keywords = CASES[case]
    _assert_blind(bars, t, **keywords)


@pytest.mark.parametrize("t", [250, 650, 1_000, 1_300])
def test_another_future_of_recorded_bars_changes_nothing_either(recorded: Bars, t: int) -> None:
    _assert_blind(recorded, t)


@pytest.mark.parametrize("bars", [SMOOTH, GAPPY])
@pytest.mark.parametrize("t", [5, 60, 310, 500])
def test_the_tape_up_to_t_is_made_of_bars_up_to_t(bars: Bars, t: int) -> None:
    whole, other = (Tape.of(each, ALL, funding_bps_per_8h=1.0) for each in (bars, _with_another_future(bars, t)))
    assert same_bits(whole.prices[: t + 1], other.prices[: t + 1])
    assert same_bits(whole.rows[: t + 1], other.rows[: t + 1])
    assert same_bits(whole.prices[:, [FUNDING, ROLLED]], other.prices[:, [FUNDING, ROLLED]]), "the calendar is known"
    assert not same_bits(whole.rows, other.rows)


def test_bars_that_are_not_there_yet_change_no_column(recorded: Bars) -> None:
    whole = feature_matrix(recorded, ALL.market)
    for stop in (61, 100, 777, 1_200):
        assert same_bits(feature_matrix(recorded.slice(0, stop), ALL.market), whole[:stop])


@pytest.mark.parametrize("interval", ["", "@2h", "@4h", "@1d"])
def test_no_column_of_any_interval_knows_another_future_of_recorded_bars(interval: str) -> None:
    """Also in the middle of a higher bar: t stands at every place within a day."""
    path = data_folder() / "ohlcv" / "binanceusdm_BTCUSDT_1h.parquet"
    if not path.is_file():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    bars = read_bars(path, start="2020-01-01", end="2020-04-20")
    named = (*FEATURES, *ObservationSpec.load("default_flow").market, *ObservationSpec.load("spine").market)
    columns = [
        name + interval for name in dict.fromkeys(named) if warm_up((name + interval,), bars.interval_ms) < 2_400
    ]
    assert len(columns) > (30 if interval == "@1d" else 45)
    need = warm_up(tuple(columns), bars.interval_ms)
    told = feature_matrix(bars, tuple(columns))
    for t in range(need + 5, need + 5 + 24 * 5, 5):
        other = feature_matrix(_with_another_future(bars, t, seed=t), tuple(columns))
        assert same_bits(told[: t + 1], other[: t + 1])
        moved = ~(told[t + 1 :] == other[t + 1 :]).all(axis=0)
        still = [name for name, moves in zip(columns, moved, strict=True) if not moves]
        assert all(name.startswith(("day_", "week_")) for name in still), "this test sees nothing of these"


def test_a_batch_that_starts_and_restarts_at_random_knows_no_more() -> None:
    """Episodes are drawn by seed and number alone, so even their starts do not depend on prices."""
    t = 700
    envs = [BatchTradingEnv(bars, 32, episode_bars=25) for bars in (SMOOTH, _with_another_future(SMOOTH, t))]
    rng = np.random.default_rng(3)
    told = [env.reset(seed=9)[0] for env in envs]
    compared = 0
    for _ in range(200):
        clocks = [env.episodes.running.clock[:, 0].copy() for env in envs]
        assert same_bits(*clocks)
        past = clocks[0] <= t - 26  # wherever an episode that stands here may have come to
        assert same_bits(told[0][past], told[1][past])
        compared += int(past.sum())
        actions = rng.uniform(-1, 1, (32, 1))
        told = [env.step(actions)[0] for env in envs]
    assert compared > 3_000
