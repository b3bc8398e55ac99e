"""Bars for benchmarks: recorded hourly BTCUSDT where it is at hand, else a mean-reverting process of that length."""

import numpy as np

from wavetank.market.bars import Bars
from wavetank.market.store import data_folder, read_bars
from wavetank.simulators.processes import mean_reversion

RECORDED = "ohlcv/binanceusdm_BTCUSDT_1h.parquet"
LENGTH = 33_363


def hourly_bars() -> tuple[Bars, str]:
    """The bars, and what they are in words."""
    path = data_folder() / RECORDED
    if path.is_file():
        return read_bars(path), "hourly BTCUSDT perpetual, 33,363 recorded bars"
    return mean_reversion(LENGTH, rng=np.random.default_rng(0)), "33,363 bars of a mean-reverting process"
