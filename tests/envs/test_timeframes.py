"""Higher intervals: what bars gather into, against pandas; when it is seen; and that an unfinished bar is not."""

import math

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.desk import Desk
from wavetank.envs.features import FEATURES, FeatureStream, feature_matrix, warm_up
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.timeframes import GATHERING, close_higher
from wavetank.envs.trading import TradingEnv
from wavetank.market.bars import INTERVALS, Bar, Bars
from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument
from wavetank.market.store import data_folder, read_bars

from ..market.handmade import HOUR, MIDNIGHT, drawn_bars, same_bits

ALL = tuple(FEATURES)
GAPPY = {5: 2, 100: 3, 171: 1, 172: 3, 300: 1}  # all short: nothing starts anew


def _resampled(bars: Bars, interval: str) -> Bars:
    """The same bars gathered by pandas: buckets begun late or not yet over are left out."""
    index = pd.to_datetime(bars.opened_at, unit="ms", utc=True)
    columns = {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")}
    if bars.taker_buy_volume is not None:
        columns["taker_buy_volume"] = bars.taker_buy_volume
    frame = pd.DataFrame(columns, index=index)
    how = {"open": "first", "high": "max", "low": "min", "close": "last"}
    sums = dict.fromkeys(set(columns) - set(how), "sum")
    whole = frame.resample(pd.Timedelta(milliseconds=INTERVALS[interval])).agg(how | sums).dropna()
    opened_at = whole.index.astype("datetime64[ms, UTC]").astype(np.int64).to_numpy()
    kept = (opened_at >= bars.opened_at[0]) & (opened_at + INTERVALS[interval] <= bars.opened_at[-1] + bars.interval_ms)
    arrays = {name: whole[name].to_numpy()[kept] for name in columns}
    return Bars(interval, opened_at[kept], **arrays)


def _expected(bars: Bars, names: tuple[str, ...], interval: str) -> NDArray[np.float32]:
    """Columns of the resampled bars, each row shown from the first close of a base bar at or behind its own."""
    higher = _resampled(bars, interval)
    columns = np.column_stack([feature_matrix(higher, (name,)) for name in names])
    newest = np.searchsorted(higher.closed_at, bars.closed_at, side="right") - 1
    return np.where((newest >= 0)[:, None], columns[np.maximum(newest, 0)], np.float32(math.nan))


@pytest.mark.parametrize("interval", ["2h", "4h", "1d"])
@pytest.mark.parametrize("late", [0, 1, 3])
def test_a_higher_column_is_that_of_the_resampled_bars(interval: str, late: int) -> None:
    bars = drawn_bars(np.random.default_rng(21), 1_900, opened_at=MIDNIGHT + late * HOUR, gaps=GAPPY)
    names = ("return_1", "rsi_5", "donchian_7", "realised_6", "vwap_9", "week_sin", "atr_4", "bollinger_5")
    got = feature_matrix(bars, tuple(f"{name}@{interval}" for name in names))
    need = warm_up(tuple(f"{name}@{interval}" for name in names), HOUR)
    assert np.isnan(got[: need - 1]).all()
    np.testing.assert_allclose(got[need - 1 :], _expected(bars, names, interval)[need - 1 :], rtol=3e-6, atol=1e-7)


@pytest.mark.parametrize("interval", ["4h", "1d"])
def test_so_are_all_columns_of_recorded_bars_gathered(interval: str) -> None:
    path = data_folder() / "ohlcv" / "binanceusdm_BTCUSDT_1h.parquet"
    if not path.is_file():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    bars = read_bars(path, start="2020-01-01T05:00:00", end="2020-04-15")
    names = (*ALL, "taker_imbalance_5")
    got = feature_matrix(bars, tuple(f"{name}@{interval}" for name in names))
    need = warm_up(tuple(f"{name}@{interval}" for name in names), HOUR)
    assert len(bars) > need + 100
    np.testing.assert_allclose(got[need - 1 :], _expected(bars, names, interval)[need - 1 :], rtol=3e-6, atol=1e-7)


def test_the_first_bar_is_left_out_unless_it_was_gathered_from_its_beginning() -> None:
    """Hourly bars from 01:00: 00:00–04:00 is partial, 04:00–08:00 is the first whole one, closed at 08:00."""
    gathering, seen = np.zeros(GATHERING), []
    for k in range(1, 9):
        bar = Bar(MIDNIGHT + k * HOUR, 10.0 + k, 20.0 + k, 5.0 - 0.1 * k, 11.0 + k, 1.0, 0.5, 2)
        closed = close_higher(gathering, bar, HOUR, 4 * HOUR)
        seen.append((k, closed.first) if closed.number else None)
    assert [told for told in seen if told] == [(7, Bar(MIDNIGHT + 4 * HOUR, 14.0, 27.0, 4.3, 18.0, 4.0, 2.0, 8))]


def test_where_the_completing_bar_is_missing_the_next_one_shows_that_it_is_over() -> None:
    """00:00, 01:00 and then 05:00: at 06:00 one sees that 00:00–04:00 is over, made of what there was."""
    gathering = np.zeros(GATHERING)
    closed = [
        close_higher(gathering, Bar(MIDNIGHT + k * HOUR, 1.0, 2.0, 0.5, 1.5, 3.0), HOUR, 4 * HOUR) for k in (0, 1, 5)
    ]
    assert [each.number for each in closed] == [0, 0, 1]
    assert closed[2].first == Bar(MIDNIGHT, 1.0, 2.0, 0.5, 1.5, 6.0, -1.0, -1)


def test_one_bar_may_close_two() -> None:
    """00:00, 01:00, 02:00 and then 07:00, which is the last of its own four hours."""
    gathering, numbers = np.zeros(GATHERING), []
    for k in (0, 1, 2, 7):
        bar = Bar(MIDNIGHT + k * HOUR, 1.0 + k, 2.0 + k, 0.5, 1.5 + k, 3.0)
        closed = close_higher(gathering, bar, HOUR, 4 * HOUR)
        numbers.append(closed.number)
    assert numbers == [0, 0, 0, 2]
    assert (closed.first.opened_at, closed.first.close, closed.first.volume) == (MIDNIGHT, 3.5, 9.0)
    assert (closed.second.opened_at, closed.second.close, closed.second.volume) == (MIDNIGHT + 4 * HOUR, 8.5, 3.0)


def test_a_future_inside_the_unfinished_bar_changes_nothing_seen_before() -> None:
    """Bars 00:00 … t, then another market: what was told up to t is the same, also in the middle of four hours."""
    names = ("return_1", "rsi_3@4h", "realised_6@2h", "donchian_5@4h", "vwap_2@1d", "surge_1_3@4h", "week_cos@1d")
    bars = drawn_bars(np.random.default_rng(22), 420)
    for t in range(300, 326):
        other = drawn_bars(np.random.default_rng(t), 420 - t, opened_at=int(bars.opened_at[t]), sigma=0.2)
        changed = Bars.from_rows("1h", [*list(bars)[:t], *other])
        a, b = feature_matrix(bars, names), feature_matrix(changed, names)
        assert same_bits(a[:t], b[:t])
        assert not same_bits(a[t : t + 5], b[t : t + 5])


def test_between_two_closes_the_last_higher_bar_stays_in_sight() -> None:
    bars = drawn_bars(np.random.default_rng(23), 80)
    column = feature_matrix(bars, ("return_1@4h",))[:, 0]
    need = warm_up(("return_1@4h",), HOUR)
    assert need == 2 * 4 + 3
    for t in range(need, 80):
        closes_now = (bars.opened_at[t] + HOUR) % (4 * HOUR) == 0
        assert (column[t] != column[t - 1]) == closes_now
    closes = bars.close[3::4]
    assert column[-1] == pytest.approx(math.log(closes[-1] / closes[-2]))


@pytest.mark.parametrize("late", range(4))
@pytest.mark.parametrize("missing", [{}, {9: 1, 11: 3, 13: 2}, {2: 3, 3: 3, 4: 3, 5: 3, 6: 3}])
def test_the_warm_up_suffices_wherever_the_bars_begin_and_whatever_is_missing(
    late: int, missing: dict[int, int]
) -> None:
    """As soon as the stream speaks, enough higher bars have closed for every column to mean what it says."""
    bars = drawn_bars(np.random.default_rng(24), 60, opened_at=MIDNIGHT + late * HOUR, gaps=missing)
    names = ("return_3@2h", "return_2@4h")
    need = warm_up(names, HOUR)
    for name, interval, bars_needed in (("return_3", "2h", 4), ("return_2", "4h", 3)):
        higher = _resampled(bars, interval)
        assert (higher.closed_at <= bars.closed_at[need - 1]).sum() >= bars_needed
        assert np.isfinite(_expected(bars, (name,), interval)[need - 1 :]).all()


@pytest.mark.parametrize("at", [1, 2, 3, 101, 150])
def test_a_restart_in_the_middle_of_a_higher_bar_is_exact(at: int) -> None:
    bars = list(drawn_bars(np.random.default_rng(25), 200, gaps={100: 3, 140: 8}))
    names = ("rsi_3@4h", "donchian_5@2h", "return_1")
    whole, first, second = (FeatureStream(names, HOUR) for _ in range(3))
    for bar in bars[:at]:
        whole.update(bar)
        first.update(bar)
    second.restore(first.state())
    for bar in bars[at:]:
        a, b = whole.update(bar), second.update(bar)
        assert (a is None) == (b is None)
        assert a is None or same_bits(a, b)
    assert whole.state() == second.state()


def test_the_desk_and_the_environments_see_higher_columns_alike() -> None:
    spec = ObservationSpec("tall", 1, ("return_1", "rsi_3@4h", "donchian_2@1d"))
    bars = drawn_bars(np.random.default_rng(26), 400, gaps={60: 2, 130: 9})
    matrix = feature_matrix(bars, spec.market)
    single = TradingEnv(bars, observation=spec, random_start=False)
    batch = BatchTradingEnv(bars, 2, observation=spec, random_start=False)
    told, many = single.reset(seed=1)[0], batch.reset(seed=1)[0]
    desk, account = Desk(spec, terms_of(Instrument(), Costs(), Limits()), HOUR), single.account
    warm = [desk.on_bar(bar) for bar in list(bars)[: single.index + 1]]
    need = warm_up(spec.market, HOUR)
    assert single.index >= need - 1
    assert warm.index(True) == need - 1
    for _ in range(20):
        assert same_bits(told[:3], matrix[single.index])
        assert same_bits(many[0], told)
        assert same_bits(desk.observe(account)[:3], told[:3])
        told, many = single.step(np.zeros(1))[0], batch.step(np.zeros((2, 1)))[0]
        desk.on_bar(bars.bar(single.index))


def test_how_long_a_higher_column_warms_up_depends_on_the_bars() -> None:
    assert warm_up(("rsi_14@4h",), HOUR) == 60 * 4 + 3
    assert warm_up(("rsi_14@4h",), INTERVALS["15m"]) == 60 * 16 + 15
    with pytest.raises(ValueError, match="how long 'rsi_14@4h' warms up depends on the interval of the bars"):
        warm_up(("return_1", "rsi_14@4h"))
