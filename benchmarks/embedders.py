"""What each embedder's memory knows of the next 24 hours: `python benchmarks/embedders.py [FILE.parquet [NAME …]]`.

Every embedder is fitted on the first 20,000 hourly bars; on the bars behind them the memory's `outcome_mean` is
correlated with the return that followed, `forward_volatility` with the volatility that followed, both unknown to the
memory when it was asked. Intervals of 95 % from a bootstrap of blocks of ten days; differences are paired. `Learned` is
an embedder of one's own: the directions of the house's statistics that a ridge regression turns towards what followed.
"""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavetank.market.bars import Bars
from wavetank.market.store import data_folder, read_bars
from wavetank.memory.columns import MEMORY_COLUMNS
from wavetank.memory.embedding import fit_embedder
from wavetank.memory.moments import forward_outcomes
from wavetank.memory.statistics import LOG_VOLATILITY, raw_statistics
from wavetank.memory.table import memory_table

FITTED, HORIZON, BLOCK, DRAWS = 20_000, 24, 240, 2000
RIDGE, FUTURES = 0.1, (6, 24, 72)  # λ in shares of the variance; bars ahead
PAIRS = (("outcome_mean", 0, "return"), ("forward_volatility", 2, "volatility"), ("forward_drawdown", 1, "drawdown"))

Floats = NDArray[np.float64]


class Learned:
    """Nine directions, each a regression of a scaled future on the 128 statistics of a window."""

    def __init__(self, numbers: Mapping[str, NDArray[Any]]) -> None:
        self.numbers = numbers

    @classmethod
    def fit(cls, bars: Bars, window: int, width: int | None) -> "Learned":
        raw = raw_statistics(bars, window)
        volatility = np.exp(raw[:, LOG_VOLATILITY])
        futures = np.hstack([forward_outcomes(bars, horizon).astype(np.float64) for horizon in FUTURES])
        futures[:, 0::3] /= volatility[:, None]
        futures[:, 1::3] = np.log(futures[:, 1::3] + 1e-4)
        futures[:, 2::3] = np.log(futures[:, 2::3] + 1e-6)
        rows = np.isfinite(raw[:, 0]) & np.isfinite(futures).all(axis=1)
        x, y = raw[rows], futures[rows]
        centre, scale = x.mean(axis=0), 1.0 / np.maximum(x.std(axis=0), 1e-9)
        z, aims = np.clip((x - centre) * scale, -5, 5), (y - y.mean(axis=0)) / y.std(axis=0)
        turn = np.linalg.solve(z.T @ z + RIDGE * len(z) * np.eye(z.shape[1]), z.T @ np.clip(aims, -5, 5))
        turn /= (z @ turn).std(axis=0)
        return cls({"window": np.array(window), "centre": centre, "scale": scale, "turn": turn})

    def vector(self, window: Bars) -> Floats:
        raw = raw_statistics(window, int(self.numbers["window"]))[-1]
        row: Floats = np.clip((raw - self.numbers["centre"]) * self.numbers["scale"], -5, 5) @ self.numbers["turn"]
        return row


def correlations(x: Floats, y: Floats, picks: NDArray[np.int64]) -> Floats:
    """(draws,) correlations of x and y over the blocks that each draw picks; block sums are made once."""
    blocks = len(x) // BLOCK
    columns = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y])[:, : blocks * BLOCK]
    n, sx, sy, xx, yy, xy = columns.reshape(6, blocks, BLOCK).sum(axis=2)[:, picks].sum(axis=-1)
    correlated: Floats = (n * xy - sx * sy) / np.sqrt((n * xx - sx * sx) * (n * yy - sy * sy))
    return correlated


def interval(values: Floats) -> str:
    low, high = np.quantile(values, (0.025, 0.975))
    return f"{low:+.3f} … {high:+.3f}"


def main(path: Path, names: list[str]) -> None:
    bars = read_bars(path)
    outcomes = forward_outcomes(bars, HORIZON).astype(np.float64)
    tables: dict[str, NDArray[np.float32]] = {}
    for name in names:
        began = time.perf_counter()
        embedder = fit_embedder(name, bars, FITTED)
        embedder.vectors(bars)
        per_row = (time.perf_counter() - began) / len(bars) * 1e6
        tables[name] = memory_table(bars, embedder, horizon=HORIZON)
        print(f"{name:24} width {embedder.width:4}, fit and vectors {per_row:.0f} µs a row", flush=True)
    rows = np.arange(len(bars)) >= FITTED
    rows &= np.isfinite(outcomes[:, 0])
    for table in tables.values():
        rows &= table[:, -1] == 1.0
    print(f"{path.name}: {rows.sum():,} bars after the first {FITTED:,}, horizon {HORIZON}")
    blocks = int(rows.sum()) // BLOCK
    picks = np.random.default_rng(1).integers(0, blocks, (DRAWS, blocks))
    whole = np.arange(blocks)[None, :]
    trailing = np.exp(raw_statistics(bars, 64)[rows, LOG_VOLATILITY])
    for column, outcome, said in PAIRS:
        y, base = outcomes[rows, outcome], None
        if outcome:  # what needs no memory at all
            plain, luck = float(correlations(trailing, y, whole)[0]), interval(correlations(trailing, y, picks))
            print(f"{'volatility of 64 bars':21} ~ {said:10} {'no memory':24} {plain:+.3f}  [{luck}]")
        for name, table in tables.items():
            x = table[rows, MEMORY_COLUMNS.index(column)].astype(np.float64)
            drawn, estimate = correlations(x, y, picks), float(correlations(x, y, whole)[0])
            base = drawn if base is None else base
            beside = "" if base is drawn else f"   against the first {interval(drawn - base)}"
            print(f"{column:21} ~ {said:10} {name:24} {estimate:+.3f}  [{interval(drawn)}]{beside}", flush=True)


if __name__ == "__main__":
    given = sys.argv[1:]
    found = Path(given[0]) if given else data_folder() / "ohlcv" / "binanceusdm_BTCUSDT_1h.parquet"
    main(found, given[1:] or ["statistics", "hybrid", "embedders:Learned"])
