"""The 128 statistics: each against a plain twin written from its definition, and blind to units and to the future."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import talib
from numpy.typing import NDArray

from wavetank.market.bars import Bars
from wavetank.memory.statistics import STATISTICS, last_statistics, raw_statistics

from .walks import HOUR_MS, START, splice, walk

SHARES = {"16th": 1 / 16, "8th": 1 / 8, "4th": 1 / 4, "3_8ths": 3 / 8, "half": 1 / 2, "all": 1.0}
LONG = ("4th", "3_8ths", "half", "all")
PRICES = ("open", "high", "low", "close")

Row = dict[str, float]


def plain_row(bars: Bars) -> Row:
    """The same statistics of one whole window by name, written with numpy, pandas and slices of the window."""
    w = len(bars)
    frame = pd.DataFrame({name: getattr(bars, name) for name in (*PRICES, "volume")})
    hours = np.diff(bars.opened_at) / bars.interval_ms
    scaled: NDArray[np.float64] = np.diff(np.log(bars.close)) / np.sqrt(hours)
    move: pd.Series[float] = pd.Series([np.nan, *scaled], dtype=np.float64)  # the first bar has none
    sigma = math.sqrt((move**2).mean())
    scale = 1 / sigma if sigma > 1e-7 else 0.0
    row: Row = {f"return_lag_{lag}": move.iloc[-1 - lag] * scale for lag in range(31)}
    for name, share in SHARES.items():
        span = frame.tail(round(share * w))
        moves = move.tail(len(span)).dropna()
        row |= moves_of(name, moves, scale) | ranges_of(name, span)
        row |= volumes_of(name, span.loc[moves.index, "volume"], moves, frame.volume.mean())
    row["volume_last"] = level(bars.volume[-1], frame.volume.mean())
    row |= profile_of(frame) | indicators_of(frame, scale)
    opened = pd.Timestamp(int(bars.opened_at[-1]), unit="ms", tz="UTC")
    of_day = (opened - opened.normalize()) / pd.Timedelta(days=1)
    of_week = ((opened.day_of_week - 3) % 7 + of_day) / 7  # the epoch was a Thursday
    for name, turns in (("half_day", 2 * of_day), ("day", of_day), ("week", of_week)):
        row |= {f"{name}_sine": math.sin(2 * math.pi * turns), f"{name}_cosine": math.cos(2 * math.pi * turns)}
    return row


def moves_of(name: str, moves: pd.Series, scale: float) -> Row:
    n, square = len(moves), (moves**2).mean()
    row = {
        f"return_sum_{name}": moves.sum() * scale / math.sqrt(n),
        f"volatility_{name}": 0.5 * math.log(square + 1e-14),
    }
    if name not in LONG:
        return row
    moved = square > 0
    return row | {
        f"up_share_{name}": (moves > 0).mean(),
        f"efficiency_{name}": abs(moves.sum()) / moves.abs().sum() if moved else 0.0,
        f"autocorrelation_{name}": (moves * moves.shift()).sum() / (moves**2).sum() if moved else 0.0,
        f"skew_{name}": (moves**3).mean() / square**1.5 if moved else 0.0,
        f"largest_move_{name}": math.log(moves.abs().max() + 1e-7),
    }


def ranges_of(name: str, span: pd.DataFrame) -> Row:
    reach = np.log(span.high / span.low)
    high, low, close = math.log(span.high.max()), math.log(span.low.min()), math.log(span.close.iloc[-1])
    row = {
        f"range_{name}": math.log(reach.mean() + 1e-7),
        f"place_{name}": (close - low) / (high - low) if high > low else 0.5,
    }
    if name not in LONG:
        return row
    since_high, since_low = np.argmax(span.high.to_numpy()[::-1]), np.argmin(span.low.to_numpy()[::-1])
    klass = (0.5 * reach**2 - (2 * math.log(2) - 1) * np.log(span.close / span.open) ** 2).mean()
    return row | {
        f"extent_{name}": math.log(high - low + 1e-7),
        f"aroon_{name}": (since_low - since_high) / (len(span) - 1),
        f"close_in_bar_{name}": in_bar(span).mean(),
        f"garman_klass_{name}": 0.5 * math.log(klass + 1e-14),
    }


def in_bar(span: pd.DataFrame) -> pd.Series:
    high, low, close = np.log(span.high), np.log(span.low), np.log(span.close)
    place: pd.Series = ((close - low) - (high - close)).div((high - low).where(high > low)).fillna(0.0)
    return place


def volumes_of(name: str, volume: pd.Series, moves: pd.Series, mean: float) -> Row:
    row = {} if name == "all" else {f"volume_{name}": level(volume.mean(), mean)}
    if name not in LONG:
        return row
    even = volume.mean() * moves.abs().mean()
    return row | {
        f"volume_direction_{name}": (volume * np.sign(moves)).sum() / volume.sum() if volume.sum() else 0.0,
        f"volume_movement_{name}": (volume * moves.abs()).mean() / even if even else 1.0,
    }


def level(recent: float, mean: float) -> float:
    return math.log(((recent / mean if mean else 1.0) + 0.01) / 1.01)


def profile_of(frame: pd.DataFrame) -> Row:
    high, low, typical = math.log(frame.high.max()), math.log(frame.low.min()), np.log(frame[["high", "low", "close"]])
    centres = low + (np.arange(10) + 0.5) * (high - low) / 10
    held = np.zeros(10)
    for price, traded in zip(typical.mean(axis=1), frame.volume, strict=True):
        above = np.searchsorted(centres, price) if high > low else 0
        if above in (0, 10):  # beyond the outermost centres all goes to one
            held[min(above, 9)] += traded
        else:
            part = (price - centres[above - 1]) / (centres[above] - centres[above - 1])
            held[above - 1 : above + 1] += [traded * (1 - part), traded * part]
    return {f"volume_profile_{k}": math.sqrt(h / held.sum() if held.sum() else 0.1) for k, h in enumerate(held)}


def indicators_of(frame: pd.DataFrame, scale: float) -> Row:
    w, close, volume = len(frame), np.log(frame.close), frame.volume

    def exponential(of: pd.Series, bars: float) -> pd.Series:
        return of.ewm(alpha=2 / (bars * w / 64 + 1), adjust=False).mean()

    fast, slow = exponential(close, 12), exponential(close, 26)
    line = fast - slow
    change = close.diff().fillna(0.0)
    ups, downs = (
        side.ewm(alpha=64 / 14 / w, adjust=False).mean().iloc[-1] for side in (change.clip(0), -change.clip(None, 0))
    )
    band = close.tail(3 * w // 8)
    typical = np.log(frame[["high", "low", "close"]]).mean(axis=1)
    paid = (typical * volume).sum() / volume.sum() if volume.sum() else close.iloc[-1]
    return {
        "vwap_distance": (close.iloc[-1] - paid) * scale,
        "ema_fast": (close - fast).iloc[-1] * scale,
        "ema_slow": (close - slow).iloc[-1] * scale,
        "macd_histogram": (line - exponential(line, 9)).iloc[-1] * scale,
        "bollinger": (band.iloc[-1] - band.mean()) / band.std(ddof=0) if band.std() > 1e-7 else 0.0,
        "rsi": ups / (ups + downs) if ups + downs else 0.5,
        "close_in_last_bar": in_bar(frame).iloc[-1],
    }


def assert_twins(bars: Bars, window: int, lasts: list[int]) -> None:
    raw = raw_statistics(bars, window)
    for last in lasts:
        expected = plain_row(bars.slice(last - window + 1, last + 1))
        assert set(expected) == set(STATISTICS)
        for name, value in zip(STATISTICS, raw[last], strict=True):
            assert value == pytest.approx(expected[name], rel=1e-7, abs=1e-7), f"{name} at bar {last}"


def test_there_are_128_statistics_under_as_many_names() -> None:
    assert len(STATISTICS) == len(set(STATISTICS)) == 128


@pytest.mark.parametrize("window", [32, 48, 64, 128])
def test_every_statistic_equals_its_plain_twin(window: int) -> None:
    assert_twins(walk(240, seed=window), window, [*range(window - 1, 240, 23), 239])


def test_a_crossed_gap_counts_as_the_time_that_passed() -> None:
    assert_twins(walk(100, gap_at=60, gap_bars=2), 32, [59, 60, 61, 70, 90, 91, 92])


def halted(bars: Bars, start: int, stop: int) -> Bars:
    """The same, but nothing is traded and nothing moves from bar `start` to the one before `stop`."""
    still = slice(start, stop)
    held = {name: getattr(bars, name).copy() for name in (*PRICES, "volume")}
    for name in PRICES:
        held[name][still] = held["close"][start - 1]
    held["open"][stop] = held["close"][start - 1]
    held["high"][stop] = max(held[name][stop] for name in PRICES)
    held["low"][stop] = min(held[name][stop] for name in PRICES)
    held["volume"][still] = 0.0
    return replace(bars, **held)


def test_a_market_that_halts_and_goes_on_has_the_statistics_of_the_twin() -> None:
    assert_twins(halted(walk(160), 60, 90), 32, [*range(58, 125)])


def test_a_market_that_stands_still_without_volume_has_the_statistics_of_the_twin() -> None:
    still = np.full(40, 5.0)
    assert_twins(Bars("1h", HOUR_MS * np.arange(40), still, still, still, still, np.zeros(40)), 32, [31, 39])


def of(bars: Bars, name: str) -> float:
    """A statistic of all 64 bars."""
    return float(raw_statistics(bars, 64)[-1, STATISTICS.index(name)])


def test_indicators_of_a_window_are_those_of_ta_lib() -> None:
    bars = walk(64, seed=5)
    high, low, close = (np.log(getattr(bars, name)) for name in ("high", "low", "close"))
    upper, middle, lower = (band[-1] for band in talib.BBANDS(close, timeperiod=24))
    assert of(bars, "bollinger") == pytest.approx(4 * (close[-1] - middle) / (upper - lower), rel=1e-6)
    assert of(bars, "aroon_all") == pytest.approx(talib.AROONOSC(high, low, 63)[-1] / 100)
    assert of(bars, "close_in_bar_all") == pytest.approx(talib.AD(high, low, close, np.ones(64))[-1] / 64)
    assert of(bars, "place_all") == pytest.approx(talib.STOCHF(high, low, close, 64, 1)[0][-1] / 100)


def test_statistics_of_bars_typed_by_hand() -> None:
    """The price doubles at every second bar and halves at every other: no trend, all reversal."""
    close = np.where(np.arange(64) % 2 == 0, 1.0, 2.0)
    bars = Bars(
        "1h", START + HOUR_MS * np.arange(64), close, np.full(64, 2.0), np.full(64, 1.0), close, np.full(64, 7.0)
    )
    assert of(bars, "return_lag_0") == pytest.approx(1.0)
    assert of(bars, "return_lag_1") == pytest.approx(-1.0)
    assert of(bars, "volatility_16th") == pytest.approx(math.log(math.log(2)))
    assert of(bars, "efficiency_half") == pytest.approx(0.0)
    assert of(bars, "autocorrelation_half") == pytest.approx(-31 / 32)
    assert of(bars, "up_share_4th") == 0.5
    assert of(bars, "volume_direction_3_8ths") == 0.0
    assert of(bars, "volume_8th") == pytest.approx(0.0)
    assert of(bars, "place_all") == 1.0
    # typical prices lie at a third and two thirds of the range, where bins 2 and 3, 6 and 7 share them
    shares = [of(bars, f"volume_profile_{k}") ** 2 for k in range(10)]
    assert shares == pytest.approx([0, 0, 1 / 12, 5 / 12, 0, 0, 5 / 12, 1 / 12, 0, 0], abs=1e-12)


def test_no_window_crosses_a_gap_that_ends_the_segment() -> None:
    raw = raw_statistics(walk(100, gap_at=50, gap_bars=4), 32)
    assert np.flatnonzero(np.isfinite(raw).all(axis=1)).tolist() == [*range(31, 50), *range(81, 100)]
    assert np.flatnonzero(np.isfinite(raw).any(axis=1)).tolist() == [*range(31, 50), *range(81, 100)]


def test_a_history_too_short_for_a_window_has_none() -> None:
    assert np.isnan(raw_statistics(walk(31), 32)).all()
    raw, whole = last_statistics([walk(31)], 32, HOUR_MS)
    assert raw.shape == (0, 128)
    assert not len(whole)


@pytest.mark.parametrize("window", [32, 64])
def test_no_statistic_depends_on_the_price_level_or_the_unit_of_volume(window: int) -> None:
    bars = walk(200, seed=3)
    scaled = {name: getattr(bars, name) * 7.0 for name in PRICES}
    other = raw_statistics(replace(bars, **scaled, volume=bars.volume * 3.0), window)
    np.testing.assert_allclose(other, raw_statistics(bars, window), rtol=1e-9, atol=1e-9)


def test_a_window_alone_has_the_bits_of_its_row_wherever_it_stands() -> None:
    bars = walk(150, gap_at=80, gap_bars=2)
    raw = raw_statistics(bars, 48)
    cuts = [bars.slice(t - 47 - t % 3 if t > 50 else t - 47, t + 1) for t in range(47, 150)]
    together, whole = last_statistics(cuts, 48, HOUR_MS)
    np.testing.assert_array_equal(whole, np.arange(len(cuts)))
    np.testing.assert_array_equal(together, raw[47:])
    for t in (47, 80, 81, 120):
        np.testing.assert_array_equal(raw_statistics(bars.slice(t - 47, t + 1), 48)[-1], raw[t])


def test_another_future_leaves_the_rows_of_the_past_as_they_were_to_the_last_bit() -> None:
    bars, cut = walk(200), 120
    other = splice(bars, walk(200, seed=9), cut)
    raw, changed = raw_statistics(bars, 64), raw_statistics(other, 64)
    np.testing.assert_array_equal(changed[:cut], raw[:cut])
    assert (changed[cut] != raw[cut]).sum() > 100  # a single new bar is seen by nearly every statistic


def test_no_statistic_stands_still_on_a_walk() -> None:
    raw = raw_statistics(walk(900), 32)[31:]
    spread: NDArray[np.float64] = raw.std(axis=0)
    assert [name for name, value in zip(STATISTICS, spread, strict=True) if value < 1e-3] == []
