"""Storms and their cousins: a storm of the crowd and a recorded event of its kind, laid over one onset.

A course is what both sides have in common, so that they can be drawn on one scale: prices in per cent of the last close
before the onset, volume in medians of the quiet bars before. Recorded bars are read through `WAVETANK_DATA` and kept
nowhere. Draws nothing, and judges nothing: the bands do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bars
from ..market.instants import instant
from ..market.store import data_folder, read_bars
from ..simulators.crowd import CrowdMarket

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cousin:
    """A recorded event beside a storm. Bars count from `onset`, an instant of UTC: `before` and `after` are shown.

    Figures are taken over `within` bars from the onset, and what comes back `later` bars after the furthest trade.
    """

    scenario: str
    file: str
    name: str
    interval: str
    onset: str
    before: int
    after: int
    within: int
    later: int

    @property
    def picture(self) -> str:
        """What its picture is called: a storm may have a cousin at either interval."""
        return self.scenario if self.interval == "1m" else f"{self.scenario}_{self.interval}"


COUSINS = (
    Cousin(
        "crash", "ohlcv/binance_LUNAUSDT_1m_2022-05.parquet", "LUNAUSDT, Binance spot", "1m",
        "2022-05-09T14:40", before=120, after=380, within=250, later=120,
    ),
    Cousin(
        "flash_crash", "ohlcv/binanceusdm_NEARUSDT_1m_2025-02.parquet", "NEARUSDT perpetual, Binance", "1m",
        "2025-02-25T07:21", before=120, after=180, within=15, later=60,
    ),
    Cousin(
        "liquidation_cascade", "ohlcv/binanceusdm_AVAXUSDT_1m_2025-02.parquet", "AVAXUSDT perpetual, Binance", "1m",
        "2025-02-03T01:40", before=180, after=120, within=40, later=60,
    ),
    Cousin(
        "pump_and_dump", "pumps/binance_SNGLSBTC_1m_2018-04-10.parquet", "SNGLSBTC, Binance spot", "1m",
        "2018-04-10T19:00", before=180, after=120, within=10, later=60,
    ),
    Cousin(
        "high_volatility", "ohlcv/ftx_BTC-PERP_1m_2022-01.parquet", "BTC perpetual, FTX", "1m",
        "2022-01-11T14:30", before=120, after=300, within=210, later=60,
    ),
    Cousin(
        "outage", "ohlcv/binance_BTCUSDT_1h.parquet", "BTCUSDT, Binance spot", "1h",
        "2018-02-08T01:00", before=120, after=120, within=42, later=60,
    ),
    Cousin(
        "fat_finger", "ohlcv/bitstamp_BTCUSD_1h.parquet", "BTCUSD, Bitstamp", "1h",
        "2019-05-17T03:00", before=120, after=60, within=2, later=5,
    ),
    Cousin(
        "crash", "ohlcv/binance_BTCUSDT_1h.parquet", "BTCUSDT, Binance spot", "1h",
        "2022-11-08T18:00", before=120, after=200, within=62, later=120,
    ),
    Cousin(
        "liquidation_cascade", "ohlcv/binance_BTCUSDT_1h.parquet", "BTCUSDT, Binance spot", "1h",
        "2021-05-19T01:00", before=180, after=100, within=40, later=60,
    ),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Course:
    """One side of a picture: a column a bar that traded, `bars` counted from the onset; the storm is on over `span`."""

    name: str
    detail: str
    bars: Ints
    high: Floats  # per cent of the last close before the onset
    low: Floats
    close: Floats
    volume: Floats  # in medians of the quiet bars
    figures: "Figures"
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What a course comes to: shares of the price before, of the way back, and of what is usual."""

    furthest: float  # signed
    back: float  # of it, at the best close
    volume: float  # the largest, in medians
    width: float  # the mean range of a bar, in units of that of the quiet bars


def cousins_of(scenarios: Sequence[str]) -> tuple[Cousin, ...]:
    """The cousins of some storms, of all that have one where none is named."""
    known = dict.fromkeys(cousin.scenario for cousin in COUSINS)
    for name in scenarios:
        if name not in known:
            raise ValueError(f"{name} has no cousin in the record, {', '.join(known)} have")
    return tuple(cousin for name in scenarios for cousin in COUSINS if cousin.scenario == name) or COUSINS


def beside(cousin: Cousin, folder: Path | None = None) -> tuple[Course, Course]:
    """The crowd's side and the record's, which lies in `folder`, by default in that of `WAVETANK_DATA`."""
    bars = recorded(cousin, folder or data_folder())
    storm, brewed = invented(cousin)
    named = (cousin.name, f"{cousin.onset.replace('T', ' ')} UTC")
    return storm, course_of(bars, instant(cousin.onset), cousin, named, brewed)


def recorded(cousin: Cousin, folder: Path) -> Bars:
    """The file of bars that the event lies in."""
    if not folder.is_dir():
        raise ValueError(f"there is no recorded data at {folder}, WAVETANK_DATA names the folder that holds it")
    return read_bars(folder / cousin.file, cousin.name, cousin.interval)


def invented(cousin: Cousin) -> tuple[Course, int]:
    """The storm of the judge's ranges on the first seed of its band; and for how many bars it brewed.

    Its onset is where the band begins to measure: a pump's rush, a cascade's news, not what led up to them.
    """
    market = CrowdMarket(cousin.scenario, 0, interval=cousin.interval, role="judge", tape=False)
    band = market.scenario.band
    seed = band.seeds[0] if band else 0
    storm = market.reset(seed).storm
    if storm is None:
        raise ValueError(f"{cousin.scenario} is calm: there is no storm to put beside {cousin.name}")
    onset = storm.onset + (round(band.lines[0].start * storm.duration) if band else 0)
    bars = market.run(onset + cousin.after).bars()
    brewed, over = onset - storm.onset, market.scenario.last_bar(storm) - onset
    market.close()
    named = ("the crowd", f"judge, seed {seed}, severity {storm.severity:.2g}")
    return course_of(bars, int(bars.opened_at[onset]), cousin, named, brewed, (-brewed, over)), brewed


def course_of(
    bars: Bars,
    onset_ms: int,
    cousin: Cousin,
    named: tuple[str, str],
    quiet: int,
    span: tuple[int, int] | None = None,
) -> Course:
    """Bars as a course around the one that opens at `onset_ms`; a bar without volume has no price and is left out.

    What lies more than `quiet` bars before the onset is what is usual.
    """
    places = (bars.opened_at - onset_ms) // bars.interval_ms
    kept = (places >= -cousin.before) & (places < cousin.after) & (bars.volume > 0.0)
    at, volume = places[kept], bars.volume[kept]
    usual = at < -quiet
    if not usual.any() or not ((at >= 0) & (at < cousin.within)).any():
        raise ValueError(f"{', '.join(named)}: nobody traded before the onset, or in {cousin.within} bars from it on")
    before = float(bars.close[kept][at < 0][-1])
    high, low, close = (column[kept] / before - 1.0 for column in (bars.high, bars.low, bars.close))
    volume = volume / float(np.median(volume[usual]))
    figures = _figures(at, high, low, close, volume, usual, cousin)
    return Course(*named, at, 100.0 * high, 100.0 * low, 100.0 * close, volume, figures, span)


def _figures(
    at: Ints, high: Floats, low: Floats, close: Floats, volume: Floats, usual: NDArray[np.bool_], cousin: Cousin
) -> Figures:
    inside = np.flatnonzero((at >= 0) & (at < cousin.within))
    top, bottom = int(inside[np.argmax(high[inside])]), int(inside[np.argmin(low[inside])])
    extreme, furthest = (top, high[top]) if high[top] > -low[bottom] else (bottom, low[bottom])
    after = close[extreme:][at[extreme:] <= at[extreme] + cousin.later]
    wide, narrow = (float(np.mean(high[bars] - low[bars])) for bars in (inside, usual))
    return Figures(
        float(furthest),
        float(1.0 - (after / furthest).min()) if furthest else 1.0,
        float(volume[inside].max()),
        wide / narrow if narrow > 0.0 else float("inf"),
    )
