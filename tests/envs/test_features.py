"""Market columns against pandas, TA-Lib and paper; the stream is the batch; a restart and a gap change nothing else."""

import hashlib
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wavetank.envs import features
from wavetank.envs.features import FEATURES, FeatureStream, code_digest, describe, feature_matrix, warm_up
from wavetank.market.bars import Bar, Bars

from ..market.handmade import HOUR, MIDNIGHT, drawn_bars, hourly, same_bits

ALL = tuple(FEATURES)
COUNT = 700
BARS = drawn_bars(np.random.default_rng(11), COUNT)


def _column(name: str, bars: Bars = BARS) -> NDArray[np.float64]:
    """The column in float64, NaN while it warms up."""
    stream = FeatureStream((name,), bars.interval_ms)
    rows = [stream.update(bar) for bar in bars]
    return np.array([math.nan if row is None else row[0] for row in rows])


def _assert_equal_where_warm(name: str, oracle: object, skip: int = 0) -> None:
    got, expected = _column(name), np.asarray(oracle, np.float64)
    first = FEATURES[name].warm_up - 1
    assert np.isnan(got[:first]).all(), "nothing is said before the warm-up is over"
    assert np.isfinite(got[first:]).all()
    np.testing.assert_allclose(got[first + skip :], expected[first + skip :], rtol=1e-9, atol=1e-12)


CLOSE = pd.Series(BARS.close)
STRANGE = st.tuples(st.sampled_from([1e-8, 0.5, 1.0, 1.0, 1.0, 3e7]), st.sampled_from([0.0, 0.0, 1.0, 1e12]))
STEPS = pd.Series(np.log(BARS.close)).diff()


@pytest.mark.parametrize("window", [1, 5, 20])
def test_returns_are_log_returns(window: int) -> None:
    _assert_equal_where_warm(f"return_{window}", np.log(CLOSE / CLOSE.shift(window)))


def test_volatility_is_the_root_mean_square_of_twenty_returns() -> None:
    _assert_equal_where_warm("volatility_20", np.sqrt((STEPS**2).rolling(20).mean()))


def test_volatility_ratio_compares_ten_returns_with_forty_eight() -> None:
    short, long = (np.sqrt((STEPS**2).rolling(window).mean()) for window in (10, 48))
    _assert_equal_where_warm("volatility_ratio", np.log(short / long).clip(-5, 5))


def test_the_average_true_range_is_wilders() -> None:
    """TA-Lib starts from another bar; what is left of that after 450 bars is (13/14)**450 of it."""
    oracle = talib.ATR(BARS.high, BARS.low, BARS.close, 14) / BARS.close
    _assert_equal_where_warm("atr_14", oracle, skip=450)


def test_the_relative_strength_is_wilders() -> None:
    _assert_equal_where_warm("rsi_14", talib.RSI(BARS.close, 14) / 50.0 - 1.0, skip=450)


def test_both_wilder_averages_start_as_plain_means() -> None:
    closes, ranges, gains, losses = BARS.close, [], [], []
    atr, rsi = [], []
    average, up, down = 0.0, 0.0, 0.0
    for t in range(COUNT):
        before = closes[t - 1] if t else BARS.open[0]
        ranges.append(max(BARS.high[t] - BARS.low[t], abs(BARS.high[t] - before), abs(BARS.low[t] - before)))
        average = float(np.mean(ranges)) if t < 14 else (13 * average + ranges[-1]) / 14
        atr.append(average / closes[t])
        if t:
            gains.append(max(closes[t] - before, 0.0))
            losses.append(max(before - closes[t], 0.0))
            up = float(np.mean(gains)) if t <= 14 else (13 * up + gains[-1]) / 14
            down = float(np.mean(losses)) if t <= 14 else (13 * down + losses[-1]) / 14
        rsi.append((up - down) / (up + down) if up + down > 0 else 0.0)
    _assert_equal_where_warm("atr_14", atr)
    _assert_equal_where_warm("rsi_14", rsi)


def test_the_averages_of_closes_are_exponential() -> None:
    fast, slow = (CLOSE.ewm(span=span, adjust=False).mean() for span in (12, 26))
    _assert_equal_where_warm("ema_ratio", np.log(fast / slow))
    talibs = np.log(talib.EMA(BARS.close, 12) / talib.EMA(BARS.close, 26))
    np.testing.assert_allclose(_column("ema_ratio")[450:], talibs[450:], rtol=1e-6, atol=1e-12)


def test_the_donchian_place_is_that_of_the_close_between_twenty_lows_and_highs() -> None:
    top, bottom = talib.MAX(BARS.high, 20), talib.MIN(BARS.low, 20)
    _assert_equal_where_warm("donchian_20", 2 * (BARS.close - bottom) / (top - bottom) - 1)


def test_the_volume_surge_compares_with_the_mean_of_twenty() -> None:
    mean = pd.Series(BARS.volume).rolling(20).mean()
    _assert_equal_where_warm("volume_surge_20", np.log((1 + BARS.volume / mean) / 2))


def test_twenty_bars_on_paper() -> None:
    """Closes 1, 2, … 20, ranges of ±0.5, volume 1 and at last 20."""
    rows = [(float(k), k + 0.5, k - 0.5, float(k), 20.0 if k == 20 else 1.0) for k in range(1, 21)]
    names = ("return_1", "return_5", "donchian_20", "volume_surge_20")
    row = feature_matrix(hourly(rows), names)[-1]
    paper = [math.log(20 / 19), math.log(20 / 15), 2 * 19.5 / 20 - 1, math.log((1 + 20 / (39 / 20)) / 2)]
    assert row == pytest.approx(np.array(paper, np.float32), rel=1e-6)


@pytest.mark.parametrize("names", [ALL, ALL[::-1], ("atr_14",), ("rsi_14", "return_1")])
def test_the_batch_is_the_stream_to_the_last_bit_across_gaps_too(names: tuple[str, ...]) -> None:
    bars = drawn_bars(np.random.default_rng(12), 400, gaps={100: 3, 180: 4, 200: 50, 300: 1})
    stream = FeatureStream(names, HOUR)
    absent = np.full(len(names), np.nan, np.float32)
    rows = [absent if (row := stream.update(bar)) is None else row.astype(np.float32) for bar in bars]
    matrix = feature_matrix(bars, names)
    assert matrix.dtype == np.float32
    assert same_bits(matrix, np.array(rows))


def test_the_columns_of_a_set_are_those_of_its_members() -> None:
    together = feature_matrix(BARS, ALL)
    need = warm_up(ALL)
    for k, name in enumerate(ALL):
        assert same_bits(together[need - 1 :, k], feature_matrix(BARS, (name,))[need - 1 :, 0]), name


@pytest.mark.parametrize(("missing", "restarts"), [(3, False), (4, True)])
def test_a_gap_of_more_than_three_bars_starts_the_warm_up_anew(missing: int, restarts: bool) -> None:
    bars = drawn_bars(np.random.default_rng(13), 300, gaps={200: missing})
    stream = FeatureStream(ALL, HOUR)
    warm = [stream.update(bar) is not None for bar in bars]
    need = warm_up(ALL)
    silent = [*range(need - 1), *(range(200, 200 + need - 1) if restarts else [])]
    assert [t for t in range(300) if not warm[t]] == silent
    if restarts:
        behind = feature_matrix(bars.slice(200, 300), ALL)
        assert same_bits(feature_matrix(bars, ALL)[200:], behind), "nothing of the time before the gap is left"


def test_the_warm_up_is_that_of_the_slowest_column() -> None:
    assert warm_up(("return_1",)) == 2
    assert warm_up(("return_1", "donchian_20")) == 20
    assert warm_up(ALL) == max(feature.warm_up for feature in FEATURES.values())


@pytest.mark.parametrize("at", [1, 5, 30, 79, 80, 150])
def test_a_restored_stream_goes_on_exactly(at: int) -> None:
    bars = list(drawn_bars(np.random.default_rng(14), 200, gaps={120: 10}))
    whole, first = FeatureStream(ALL, HOUR), FeatureStream(ALL, HOUR)
    for bar in bars[:at]:
        whole.update(bar)
        first.update(bar)
    saved = first.state()
    second = FeatureStream(ALL, HOUR)
    second.restore(saved)
    first.update(bars[at])  # the first stream lives on; its bytes were a copy
    for bar in bars[at:]:
        a, b = whole.update(bar), second.update(bar)
        assert (a is None) == (b is None)
        assert a is None or same_bits(a, b)
    assert whole.state() == second.state()


def test_a_state_of_other_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="a feature state of .* numbers does not fit these columns"):
        FeatureStream(ALL, HOUR).restore(FeatureStream(("return_1",), HOUR).state())


@pytest.mark.parametrize("at", [MIDNIGHT, MIDNIGHT - HOUR])
def test_a_bar_that_is_not_newer_is_refused(at: int) -> None:
    stream = FeatureStream(("return_1",), HOUR)
    stream.update(Bar(MIDNIGHT, 1.0, 1.0, 1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match=f"bar at {at} is not newer than the last one, {MIDNIGHT}"):
        stream.update(Bar(at, 1.0, 1.0, 1.0, 1.0, 1.0))


def test_an_unknown_column_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match="there is no market column 'macd'; known are return_1, return_5"):
        feature_matrix(BARS, ("return_1", "macd"))


@pytest.mark.parametrize("factor", [2.0**-40, 0.25, 1024.0])
def test_columns_have_no_scale(factor: float) -> None:
    """Prices and volumes times a power of two move no bit of any column."""
    scaled = Bars(
        "1h",
        BARS.opened_at,
        *(getattr(BARS, name) * factor for name in ("open", "high", "low", "close", "volume")),
    )
    assert same_bits(feature_matrix(scaled, ALL), feature_matrix(BARS, ALL))


@settings(max_examples=40, deadline=None)
@given(st.lists(STRANGE, min_size=62, max_size=90))
def test_columns_are_finite_in_the_strangest_markets(market: list[tuple[float, float]]) -> None:
    bars = hourly([(price, price, price, price, volume) for price, volume in market])
    matrix = feature_matrix(bars, ALL)[warm_up(ALL) - 1 :]
    assert np.isfinite(matrix).all()
    for name in ("rsi_14", "donchian_20"):
        assert np.abs(matrix[:, ALL.index(name)]).max() <= 1.0


def test_a_market_in_which_nothing_happens_gives_zeros() -> None:
    matrix = feature_matrix(hourly([(7.0, 7.0, 7.0, 7.0, 3.0)] * 70), ALL)
    assert np.array_equal(matrix[-1], np.zeros(len(ALL), np.float32))


def test_the_code_digest_is_that_of_the_file_and_every_column_is_described() -> None:
    assert code_digest() == hashlib.sha256(Path(features.__file__).read_bytes()).hexdigest()
    assert describe("atr_14").endswith("60 bars to warm up.")
    assert len({describe(name) for name in ALL}) == len(ALL)
