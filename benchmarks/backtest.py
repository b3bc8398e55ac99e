"""Bars a second of a rule's back-test over 1,000 settings, beside the peers: `python benchmarks/backtest.py`.

Workload: moving-average crosses (fast 5 … 54, slow 60, 65 … 155), long and short, over the hourly bars. Ours computes
the averages, walks every setting through the whole venue (integer lots, fee, half-spread, square-root impact, funding,
participation, liquidation check, daily roll, dead-band) and tallies all its figures. vectorbt's `from_signals` gets
finished signals and charges fee and slippage alone: that row does less a bar than ours, the one with averages and
figures does as much work, under simpler money. backtesting.py walks one setting at a time. A peer that is not
installed is reported as absent; its place may be given by PYTHONPATH.
"""

import time
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from market_data import hourly_bars
from measure import Figure, rate, report

from wavetank.agents.grids import grid
from wavetank.envs.backtest import backtest
from wavetank.market.bars import Bars

FAST, SLOW = range(5, 55), range(60, 160, 5)
AT_ONCE = 100  # settings vectorbt takes in one call: all 1,000 would want gigabytes
FEE, SLIPPAGE = 0.0005, 0.0001


def ours(bars: Bars, name: str, threads: int, **values: Any) -> Callable[[], int]:
    """Bars walked: settings × bars."""
    tried = grid(name, **values)

    def work() -> int:
        return backtest(tried, bars, threads=threads).trials * len(bars)

    return work


def by_cpu(work: Callable[[], int], repetitions: int = 3) -> list[float]:
    """Bars a second of processor time: what one thread does while the machine is shared."""
    values = []
    for _ in range(repetitions):
        began = time.process_time()
        done = work()
        values.append(done / (time.process_time() - began))
    return values


def vectorbt_works(bars: Bars) -> dict[str, Callable[[], int]]:
    """vectorbt from finished signals, and from averages to figures; AT_ONCE settings each."""
    import pandas as pd

    vbt = import_module("vectorbt")
    close = pd.Series(bars.close, pd.to_datetime(bars.opened_at, unit="ms"))
    pairs = [(fast, slow) for fast in FAST for slow in SLOW][:: len(FAST) * len(SLOW) // AT_ONCE]

    def signals() -> tuple[Any, Any]:
        fast, slow = (vbt.MA.run(close, [pair[k] for pair in pairs], short_name=n).ma for k, n in ((0, "f"), (1, "s")))
        above = fast.to_numpy() > slow.to_numpy()
        below = fast.to_numpy() < slow.to_numpy()
        return above, below

    def portfolio(above: Any, below: Any) -> Any:
        return vbt.Portfolio.from_signals(
            close, above, below, direction="both", fees=FEE, slippage=SLIPPAGE, init_cash=100_000.0, freq="1h"
        )

    made = signals()

    def simulate() -> int:
        portfolio(*made)
        return len(pairs) * len(bars)

    def whole() -> int:
        found = portfolio(*signals())
        for figure in (found.total_return, found.sharpe_ratio, found.sortino_ratio, found.max_drawdown):
            np.asarray(figure())
        return len(pairs) * len(bars)

    return {
        f"vectorbt from_signals alone, {AT_ONCE} settings": simulate,
        f"vectorbt averages, from_signals, four figures, {AT_ONCE} settings": whole,
    }


def backtesting_works(bars: Bars) -> dict[str, Callable[[], int]]:
    """backtesting.py, one setting at a time."""
    import pandas as pd

    peer = import_module("backtesting")
    columns = {"Open": bars.open, "High": bars.high, "Low": bars.low, "Close": bars.close, "Volume": bars.volume}
    frame = pd.DataFrame(columns, pd.to_datetime(bars.opened_at, unit="ms"))

    class Cross(peer.Strategy):  # type: ignore[misc, name-defined]  # the peer is not always there
        fast, slow = 10, 50

        def init(self) -> None:
            close = pd.Series(self.data.Close)
            self.quick = self.I(lambda: close.rolling(self.fast).mean())
            self.calm = self.I(lambda: close.rolling(self.slow).mean())

        def next(self) -> None:
            if self.quick[-1] > self.calm[-1] and not self.position.is_long:
                self.buy()
            elif self.quick[-1] < self.calm[-1] and not self.position.is_short:
                self.sell()

    run = peer.Backtest(frame, Cross, cash=10_000_000, commission=FEE, exclusive_orders=True)

    def work() -> int:
        run.run(fast=10, slow=50)
        return len(bars)

    return {"backtesting.py, one setting": work}


def peers(bars: Bars) -> dict[str, Callable[[], int]]:
    """Works of the peers that are installed; the others are said to be absent."""
    found: dict[str, Callable[[], int]] = {}
    for name, works in (("vectorbt", vectorbt_works), ("backtesting", backtesting_works)):
        try:
            import_module(name)
        except ImportError as error:
            print(f"{name} is absent: {error}")
            continue
        found |= works(bars)
    return found


def main() -> None:
    bars, about = hourly_bars()
    facts = {"bars": about}
    crosses = {"fast": FAST, "slow": SLOW}
    best = Figure(
        "ours, ma_cross, 1,000 settings, 2 threads", "bars/s", rate(ours(bars, "ma_cross", 2, **crosses)), facts
    )
    report(best)
    report(
        Figure(
            "ours, ma_cross, 1,000 settings, 1 thread", "bars/s", rate(ours(bars, "ma_cross", 1, **crosses), 3), facts
        )
    )
    cpu = by_cpu(ours(bars, "ma_cross", 1, **crosses))
    report(Figure("ours, ma_cross, 1,000 settings, a second of processor", "bars/s", cpu, facts))
    channels = ours(bars, "breakout", 2, entry=range(20, 120, 2), exit=range(5, 20, 1))
    report(Figure("ours, breakout, 750 settings, 2 threads", "bars/s", rate(channels, 3), facts))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peers' own
        for name, work in peers(bars).items():
            figure = Figure(name, "bars/s", rate(work, 3), facts)
            report(figure)
            print(f"{'ours, 2 threads ÷ ' + name:<58} {best.median / figure.median:.1f} ×")


if __name__ == "__main__":
    main()
