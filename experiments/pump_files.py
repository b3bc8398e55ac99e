"""Recorded pumps: detectors on real labelled files, which no detector is ever trained on.

Tick files of 19 days around a labelled minute: is there an alert within a minute of it, and how many a day elsewhere?
Minute files: does the bar-level form alert on the SNGLS minute and not on the largest natural moves of others? Reads
only through WAVETANK_DATA; features were chosen with sight of these files, which docs/surveillance.md says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bars
from ..market.chunks import Pace
from ..market.detector_table import DetectorTable
from ..market.prints import Prints
from ..market.pump_features import PUMP_FEATURES, Rows, bar_rows, tape_rows
from ..market.store import data_folder, read_bars
from ..market.surveillance import Alert, watch_bars, watch_tape
from ..market.tick_files import read_ticks
from .alert_scores import ScoredTape, alerts_of

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MINUTE_MS, DAY_MS = 60_000, 86_400_000
NEAR_MS = MINUTE_MS  # an alert so near the labelled minute catches it
AFTERMATH_MS = 4 * 3_600_000  # alerts so long after the label belong to the pump, and count for nothing
SNGLS, SNGLS_MINUTE = "binance_SNGLSBTC_1m_2018-04-10.parquet", "2018-04-10T19:00"
LARGEST = 20  # moves of a minute file that a bar-level detector must not take for pumps
REFRACTORY_MS = 3_600_000  # of the single-feature table below


@dataclass(frozen=True, slots=True)
class LabelledTicks:
    """One tick file: its prints and the labelled minute. `days` it covers."""

    name: str
    prints: Prints
    labelled_ms: int

    @property
    def days(self) -> float:
        return float(self.prints.at_ms[-1] - self.prints.at_ms[0]) / DAY_MS


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """A detector on one tick file. `delay_ms` from the labelled minute to the nearest alert, None beyond `NEAR_MS`."""

    name: str
    delay_ms: int | None
    false_alerts: int
    days: float

    @property
    def false_a_day(self) -> float:
        return self.false_alerts / self.days


@dataclass(frozen=True, slots=True)
class Separation:
    """A single feature on all tick files: the largest threshold that catches every label, and what it costs.

    `lowest` is the smallest threshold down to which every file stays within the false alerts allowed, NaN if even
    `threshold` does not: the room between both is what a detector trained elsewhere may miss it by.
    """

    feature: str
    threshold: float
    false_alerts: tuple[int, ...]
    delays_ms: tuple[int, ...]
    lowest: float


def tick_files(folder: Path | None = None) -> list[LabelledTicks]:
    """The labelled tick files under `WAVETANK_DATA`, none where it is absent."""
    found = sorted(((folder or data_folder()) / "pumps").glob("ticks_binance_*.parquet"))
    return [_read_ticks(path) for path in found]


def minute_files(folder: Path | None = None) -> list[Path]:
    """The minute files without a labelled pump."""
    return sorted(((folder or data_folder()) / "ohlcv").glob("*_1m_*.parquet"))


def judge_ticks(table: DetectorTable, file: LabelledTicks) -> FileVerdict:
    """Run a pump detector over one tick file."""
    known_at = np.array([alert.known_at for alert in watch_tape(table, file.prints)], np.int64)
    away = known_at - file.labelled_ms
    near = away[np.abs(away) <= NEAR_MS]
    return FileVerdict(file.name, int(near[0]) if len(near) else None, int(_is_elsewhere(away).sum()), file.days)


def judge_sngls(table: DetectorTable, folder: Path | None = None) -> list[Alert]:
    """Alerts of a bar-level detector within the labelled minute of SNGLS: it is caught if there is one."""
    bars = read_bars((folder or data_folder()) / "pumps" / SNGLS, "SNGLSBTC", "1m")
    at = int(np.datetime64(SNGLS_MINUTE, "ms").astype(np.int64))
    return [alert for alert in watch_bars(table, bars) if at <= alert.known_at < at + MINUTE_MS]


def judge_moves(table: DetectorTable, path: Path) -> tuple[int, int]:
    """(largest moves of a minute file on which a bar-level detector alerts, moves looked at)."""
    bars = read_minutes(path)
    moves = largest_moves(bars)
    hit = {alert.known_at for alert in watch_bars(table, bars)}
    return sum(int(bars.closed_at[i]) in hit for i in moves), len(moves)


def read_minutes(path: Path) -> Bars:
    """A minute file, whatever its name says of the symbol."""
    return read_bars(path, path.stem.split("_")[1], "1m")


def largest_moves(bars: Bars, count: int = LARGEST) -> Ints:
    """Places of the bars that moved most from close to close, up or down; not those behind a gap."""
    size = np.zeros(len(bars))
    size[1:] = np.abs(np.log(bars.close[1:] / bars.close[:-1]))
    size[1:][np.diff(bars.opened_at) != bars.interval_ms] = 0.0
    return np.argsort(-size, kind="stable")[:count]


def separations(files: Sequence[LabelledTicks], pace: Pace, false_a_day: float = 1.0) -> list[Separation]:
    """How well each feature alone parts the labelled minutes from all the rest of the files."""
    rows = [tape_rows(file.prints, pace) for file in files]
    return [_separation(name, k, files, rows, false_a_day) for k, name in enumerate(PUMP_FEATURES)]


def bar_values(bars: Bars, pace: Pace, places: Ints) -> Floats:
    """Bar-level features (n, features) of the bars at `places`, of those that are warm."""
    rows = bar_rows(bars, pace)
    return rows.values[np.isin(rows.known_at, bars.closed_at[places])]


def _separation(
    name: str, column: int, files: Sequence[LabelledTicks], rows: Sequence[Rows], false_a_day: float
) -> Separation:
    best, elsewhere = list[float](), list[ScoredTape]()
    for file, told in zip(files, rows, strict=True):
        away, value = told.known_at - file.labelled_ms, told.values[:, column]
        best.append(float(value[(away > 0) & (away <= NEAR_MS)].max()))
        outside = _is_elsewhere(away)
        elsewhere.append(ScoredTape(told.known_at[outside], value[outside]))
    threshold = min(best)
    delays = []
    for file, told in zip(files, rows, strict=True):
        away = told.known_at - file.labelled_ms
        delays.append(int(away[(away > 0) & (told.values[:, column] >= threshold)][0]))
    false = tuple(len(alerts_of(tape, threshold, REFRACTORY_MS)) for tape in elsewhere)
    allowed = [false_a_day * file.days for file in files]
    lowest = float("nan")
    for lower in np.arange(threshold, threshold - 4.0, -0.02):
        counts = [len(alerts_of(tape, float(lower), REFRACTORY_MS)) for tape in elsewhere]
        if any(count > most for count, most in zip(counts, allowed, strict=True)):
            break
        lowest = float(lower)
    return Separation(name, threshold, false, tuple(delays), lowest)


def _is_elsewhere(away: Ints) -> NDArray[np.bool_]:
    """Whether an instant so far from the label is outside the pump."""
    outside: NDArray[np.bool_] = (away < -NEAR_MS) | (away > AFTERMATH_MS)
    return outside


def _read_ticks(path: Path) -> LabelledTicks:
    stamp = path.stem.rsplit("_", 1)[1]
    written = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[9:11]}:{stamp[11:13]}"
    return LabelledTicks(path.stem.split("_")[2], read_ticks(path), int(np.datetime64(written, "ms").astype(np.int64)))
