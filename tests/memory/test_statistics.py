import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.market.bars import DAY_MS, Bars
from wavetank.memory.statistics import STATISTICS, raw_statistics

from .walks import HOUR_MS, walk


def plain_row(bars: Bars) -> NDArray[np.float64]:
    """The same statistics of one whole window, written with numpy and slices."""
    w = len(bars)
    steps = np.sqrt(np.diff(bars.opened_at) / bars.interval_ms)
    moves = np.diff(np.log(bars.close)) / steps
    sigma = math.sqrt(float(np.mean(moves**2)))
    row: list[float] = [*(moves[::-1][:16] / sigma)]
    row += [moves[-span:].sum() / sigma / math.sqrt(span) for span in (w // 16, w // 8, w // 4, w // 2, w - 1)]
    row += [0.5 * math.log(np.mean(moves[-span:] ** 2) / sigma**2) for span in (w // 16, w // 8, w // 4, w // 2)]
    row += [math.log(sigma)]
    row += [np.log(bars.high / bars.low)[-span:].mean() / sigma for span in (w // 8, w)]
    for span in (w // 8, w // 4, w // 2, w):
        low, high = bars.low[-span:].min(), bars.high[-span:].max()
        row += [(bars.close[-1] - low) / (high - low)]
    mean = bars.volume.mean()
    for span in (1, w // 16, w // 8, w // 4, w // 2):
        row += [math.log((bars.volume[-span:].mean() / mean + 0.01) / 1.01)]
    row += [(bars.volume[1:] * abs(moves)).sum() / (abs(moves).sum() * mean)]
    row += [(bars.volume[1:] * np.sign(moves)).sum() / bars.volume.sum()]
    row += [float((moves > 0).mean()), (moves[1:] * moves[:-1]).sum() / (moves**2).sum()]
    row += [float(np.mean((moves / sigma) ** 3))]
    for period in (DAY_MS, 7 * DAY_MS):
        angle = 2 * math.pi * (int(bars.opened_at[-1]) % period) / period
        row += [math.sin(angle), math.cos(angle)]
    return np.array(row)


@pytest.mark.parametrize("window", [32, 64])
def test_every_statistic_equals_its_plain_twin(window: int) -> None:
    bars = walk(100, gap_at=60, gap_bars=2)  # a crossed gap: real elapsed time counts
    raw = raw_statistics(bars, window)
    for last in (window - 1, 70, 99):
        expected = plain_row(bars.slice(last - window + 1, last + 1))
        assert len(expected) == len(STATISTICS)
        np.testing.assert_allclose(raw[last], expected, rtol=1e-7, atol=1e-7)


def test_no_window_crosses_a_gap_that_ends_the_segment() -> None:
    raw = raw_statistics(walk(100, gap_at=50, gap_bars=4), 32)
    assert np.flatnonzero(np.isfinite(raw).all(axis=1)).tolist() == [*range(31, 50), *range(81, 100)]


def test_a_market_that_stands_still_without_volume_has_finite_statistics() -> None:
    still = np.full(40, 5.0)
    bars = Bars("1h", HOUR_MS * np.arange(40), still, still, still, still, np.zeros(40))
    assert np.isfinite(raw_statistics(bars, 32)[31:]).all()


def test_no_statistic_depends_on_the_price_level_or_the_unit_of_volume() -> None:
    bars = walk(64)
    scaled = {name: getattr(bars, name) * 1000.0 for name in ("open", "high", "low", "close")}
    other = replace(bars, **scaled, volume=bars.volume * 1e-6)
    np.testing.assert_allclose(raw_statistics(other, 64)[-1], raw_statistics(bars, 64)[-1], rtol=1e-9, atol=1e-9)
