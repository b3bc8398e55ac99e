"""Every market column against TA-Lib, pandas or paper: on drawn bars with short gaps, and on recorded ones."""

import datetime as dt
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import talib
from numpy.typing import NDArray

from wavetank.envs.families import FAMILIES, column
from wavetank.envs.features import FEATURES, FeatureStream, feature_matrix
from wavetank.envs.observation import ObservationSpec
from wavetank.market.bars import Bar, Bars
from wavetank.market.store import data_folder, read_bars

from ..market.handmade import HOUR, MIDNIGHT, drawn_bars, hourly

Floats = NDArray[np.float64]
Oracle = Callable[["Table"], Floats]


class Table:
    """Bars as arrays, their squared log steps, and the intervals that passed since the bar before."""

    def __init__(self, bars: Bars) -> None:
        self.open, self.high, self.low, self.close = bars.open, bars.high, bars.low, bars.close
        self.volume = bars.volume
        self.taker = np.full(len(bars), math.nan) if bars.taker_buy_volume is None else bars.taker_buy_volume
        self.squares = np.concatenate([[math.nan], np.diff(np.log(bars.close)) ** 2])
        self.elapsed = np.concatenate([[math.nan], np.diff(bars.opened_at) / bars.interval_ms])
        self.at = [dt.datetime.fromtimestamp(at / 1000, dt.UTC) for at in bars.closed_at.tolist()]


def _sum(values: Floats, window: int) -> Floats:
    return np.array(pd.Series(values).rolling(window).sum())


def _mean(values: Floats, window: int) -> Floats:
    return _sum(values, window) / window


def _return(bars: int) -> Oracle:
    return lambda f: np.log(f.close / np.array(pd.Series(f.close).shift(bars)))


def _realised(window: int) -> Oracle:
    return lambda f: np.sqrt(_sum(f.squares, window) / _sum(f.elapsed, window))


def _realised_ratio(short: int, long: int) -> Oracle:
    return lambda f: np.log(_realised(short)(f) / _realised(long)(f)).clip(-5, 5)


def _parkinson(window: int) -> Oracle:
    return lambda f: np.sqrt(_mean(np.log(f.high / f.low) ** 2, window) / (4 * math.log(2)))


def _rsi(window: int) -> Oracle:
    return lambda f: talib.RSI(f.close, window) / 50 - 1


def _macd(fast: int, slow: int, signal: int) -> Oracle:
    return lambda f: talib.MACD(f.close, fast, slow, signal)[2] / f.close


def _ema_ratio(fast: int, slow: int) -> Oracle:
    return lambda f: np.log(_ema(f.close, fast) / _ema(f.close, slow))


def _ema(values: Floats, span: int) -> Floats:
    return np.array(pd.Series(values).ewm(span=span, adjust=False).mean())


def _donchian(window: int) -> Oracle:
    def place(f: Table) -> Floats:
        top, bottom = talib.MAX(f.high, window), talib.MIN(f.low, window)
        return 2 * (f.close - bottom) / (top - bottom) - 1

    return place


def _bollinger(f: Table) -> Floats:
    upper, middle, _ = talib.BBANDS(f.close, 20, 1.0, 1.0)
    return (f.close - middle) / (upper - middle)


def _vwap(f: Table) -> Floats:
    money = talib.TYPPRICE(f.high, f.low, f.close) * f.volume
    return np.log(f.close / (_sum(money, 24) / _sum(f.volume, 24)))


def _twpa(f: Table) -> Floats:
    """The mean over a list with one price an interval; a missing bar's is the close before it."""
    held = [[], *([close] * (round(passed) - 1) for close, passed in zip(f.close[:-1], f.elapsed[1:], strict=True))]
    means = (f.open + f.high + f.low + f.close) / 4
    prices = [[*before, mean] for before, mean in zip(held, means, strict=True)]
    out = np.full(len(f.close), math.nan)
    for t in range(23, len(out)):
        within = [price for bar in prices[t - 23 : t + 1] for price in bar]
        out[t] = math.log(f.close[t] / (math.fsum(within) / len(within)))
    return out


def _velocity(window: int) -> Oracle:
    return lambda f: _return(window)(f) / _sum(f.elapsed, window) / _realised(window)(f)


def _surge(short: int, long: int) -> Oracle:
    return lambda f: np.log((1 + _mean(f.volume, short) / _mean(f.volume, long)) / 2)


def _concentration(f: Table) -> Floats:
    herfindahl = pd.Series(f.volume).rolling(24).apply(lambda v: float(((v / v.sum()) ** 2).sum()), raw=True)
    return (24 * np.array(herfindahl) - 1) / 23


def _imbalance(window: int) -> Oracle:
    def imbalance(f: Table) -> Floats:
        total = _sum(f.volume, window)
        return _sum(2 * f.taker - f.volume, window) / np.where(total == 0, math.inf, total)

    return imbalance


def _clock(share: Callable[[dt.datetime], float], wave: Callable[[float], float]) -> Oracle:
    return lambda f: np.array([wave(2 * math.pi * share(at)) for at in f.at])


def _day(at: dt.datetime) -> float:
    return (at - at.replace(hour=0, minute=0, second=0, microsecond=0)) / dt.timedelta(days=1)


def _week(at: dt.datetime) -> float:
    return (at.weekday() + _day(at)) / 7


ORACLES: dict[str, Oracle] = {
    **{f"return_{bars}": _return(bars) for bars in (1, 2, 4, 5, 8, 20, 24, 48, 96, 168)},
    "volatility_20": lambda f: np.sqrt(_mean(f.squares, 20)),
    "volatility_ratio": lambda f: (np.log(_mean(f.squares, 10) / _mean(f.squares, 48)) / 2).clip(-5, 5),
    "volume_surge_20": lambda f: np.log((1 + f.volume / _mean(f.volume, 20)) / 2),
    **{f"realised_{window}": _realised(window) for window in (12, 24, 96)},
    "realised_ratio_6_24": _realised_ratio(6, 24),
    "realised_ratio_24_168": _realised_ratio(24, 168),
    **{f"parkinson_{window}": _parkinson(window) for window in (12, 24)},
    "atr_14": lambda f: talib.ATR(f.high, f.low, f.close, 14) / f.close,
    **{f"rsi_{window}": _rsi(window) for window in (14, 28)},
    "macd_12_26_9": _macd(12, 26, 9),
    "macd_6_13_4": _macd(6, 13, 4),
    "ema_ratio": lambda f: np.log(talib.EMA(f.close, 12) / talib.EMA(f.close, 26)),
    "ema_ratio_12_26": _ema_ratio(12, 26),
    "ema_ratio_24_72": _ema_ratio(24, 72),
    "bollinger_20": _bollinger,
    **{f"donchian_{window}": _donchian(window) for window in (20, 24, 96)},
    "vwap_24": _vwap,
    "twpa_24": _twpa,
    **{f"velocity_{window}": _velocity(window) for window in (12, 48)},
    "surge_4_24": _surge(4, 24),
    "surge_4_48": _surge(4, 48),
    "surge_24_168": _surge(24, 168),
    "concentration_24": _concentration,
    **{f"taker_imbalance_{window}": _imbalance(window) for window in (1, 24, 96)},
    "day_sin": _clock(_day, math.sin),
    "day_cos": _clock(_day, math.cos),
    "week_sin": _clock(_week, math.sin),
    "week_cos": _clock(_week, math.cos),
}
FADING = ("atr", "rsi", "macd", "ema_ratio")  # TA-Lib begins their averages elsewhere


def _with_takers(bars: Bars, seed: int) -> Bars:
    taker = bars.volume * np.random.default_rng(seed).random(len(bars))
    return Bars(bars.interval, bars.opened_at, bars.open, bars.high, bars.low, bars.close, bars.volume, taker)


DRAWN = _with_takers(drawn_bars(np.random.default_rng(11), 900, gaps={40: 1, 200: 3, 201: 2, 640: 3}), 1)


@pytest.fixture(scope="module")
def recorded() -> Bars:
    path = data_folder() / "ohlcv" / "binanceusdm_BTCUSDT_1h.parquet"
    if not path.is_file():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    return read_bars(path, start="2020-02-15", end="2020-04-15")


def _column(name: str, bars: Bars) -> Floats:
    """The column in float64, NaN while it warms up."""
    stream = FeatureStream((name,), bars.interval_ms)
    rows = [stream.update(bar) for bar in bars]
    return np.array([math.nan if row is None else row[0] for row in rows])


def _assert_equal_where_warm(name: str, bars: Bars) -> None:
    got, expected = _column(name, bars), ORACLES[name](Table(bars))
    first = column(name).warm_up - 1
    assert np.isnan(got[:first]).all(), "nothing is said before the warm-up is over"
    assert np.isfinite(got[first:]).all()
    settled = 5 * first if name.startswith(FADING) else first  # 1 % of the start is left at first, 1e-10 here
    np.testing.assert_allclose(got[settled:], expected[settled:], rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("name", ORACLES)
def test_a_column_is_what_its_oracle_says(name: str) -> None:
    _assert_equal_where_warm(name, DRAWN)


@pytest.mark.parametrize("name", ObservationSpec.load("default_flow").market)
def test_a_column_of_recorded_bars_is_what_its_oracle_says(name: str, recorded: Bars) -> None:
    _assert_equal_where_warm(name, recorded)


def test_every_column_of_every_spec_and_every_family_has_an_oracle() -> None:
    named = {name for spec in ("spine", "default", "default_flow") for name in ObservationSpec.load(spec).market}
    assert named | set(FEATURES) <= set(ORACLES)
    assert {column(name).kind for name in ORACLES} == {family.kind for family in FAMILIES.values()}


def test_wilders_averages_start_as_plain_means() -> None:
    closes, ranges, gains, losses = DRAWN.close, [], [], []
    atr, rsi = [], []
    average, up, down = 0.0, 0.0, 0.0
    for t in range(len(DRAWN)):
        before = closes[t - 1] if t else DRAWN.open[0]
        ranges.append(max(DRAWN.high[t] - DRAWN.low[t], abs(DRAWN.high[t] - before), abs(DRAWN.low[t] - before)))
        average = float(np.mean(ranges)) if t < 14 else (13 * average + ranges[-1]) / 14
        atr.append(average / closes[t])
        if t:
            gains.append(max(closes[t] - before, 0.0))
            losses.append(max(before - closes[t], 0.0))
            up = float(np.mean(gains)) if t <= 14 else (13 * up + gains[-1]) / 14
            down = float(np.mean(losses)) if t <= 14 else (13 * down + losses[-1]) / 14
        rsi.append((up - down) / (up + down) if up + down > 0 else 0.0)
    np.testing.assert_allclose(_column("atr_14", DRAWN)[59:], atr[59:], rtol=1e-9)
    np.testing.assert_allclose(_column("rsi_14", DRAWN)[59:], rsi[59:], rtol=1e-9, atol=1e-12)


def test_twenty_bars_on_paper() -> None:
    """Closes 1, 2, … 20, ranges of ±0.5, volume 1 and at last 20."""
    rows = [(float(k), k + 0.5, k - 0.5, float(k), 20.0 if k == 20 else 1.0) for k in range(1, 21)]
    paper = {
        "return_1": math.log(20 / 19),
        "return_5": math.log(20 / 15),
        "donchian_20": 2 * 19.5 / 20 - 1,
        "volume_surge_20": math.log((1 + 20 / (39 / 20)) / 2),
        "surge_2_20": math.log((1 + (21 / 2) / (39 / 20)) / 2),
        "bollinger_20": (20 - 10.5) / math.sqrt((400 - 1) / 12),
        "vwap_20": math.log(20 / ((190 + 400) / 39)),
        "twpa_20": math.log(20 / 10.5),
        "concentration_20": (20 * (19 + 400) / 39**2 - 1) / 19,
        "day_sin": math.sin(2 * math.pi * (20 / 24 - 1 / 86_400_000)),
    }
    row = feature_matrix(hourly(rows), tuple(paper))[-1]
    assert row == pytest.approx(np.array([*paper.values()], np.float32), rel=1e-6)


def test_missing_bars_pass_time() -> None:
    """Four closes, 1 % up each; two bars are missing before the last, so three hours bring what one would have."""
    price, at, rows = 100.0, MIDNIGHT, []
    for k in range(4):
        at += (3 if k == 3 else 1) * HOUR
        rows.append(Bar(at, price, price * 1.01, price, price * 1.01, 1.0))
        price *= 1.01
    bars = Bars.from_rows("1h", rows)
    step = math.log(1.01)
    assert _column("realised_3", bars)[-1] == pytest.approx(step * math.sqrt(3 / 5))
    assert _column("velocity_3", bars)[-1] == pytest.approx(math.sqrt(3 / 5))
    within = [100 * 1.01**k * 1.005 for k in (2, 3)]  # mean prices of the third bar and the fourth
    expected = (within[0] + 2 * 100 * 1.01**3 + within[1]) / 4
    assert _column("twpa_2", bars)[-1] == pytest.approx(math.log(100 * 1.01**4 / expected))


def test_what_is_missing_altogether_gives_zero_and_not_a_guess() -> None:
    """Volumes of zero: no weights, no surge, no concentration."""
    names = ("vwap_24", "surge_4_24", "concentration_24", "volume_surge_20")
    rows = [(1.0 + k % 3, 4.0, 0.5, 1.0 + k % 3, 0.0) for k in range(40)]
    assert np.array_equal(feature_matrix(hourly(rows), names)[-1], np.zeros(4, np.float32))
