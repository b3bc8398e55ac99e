"""Portfolio steps a second, batch and single, beside FinRL's stock environment: `python benchmarks/portfolio_env.py`.

Workload: 10 assets in one account, full accounting (fee, half-spread, impact, participation, funding, cross margin,
liquidation check, integer lots, daily roll), limits in `clip` mode, the 32 default market columns an asset (365 numbers
an observation), targets a = clip(0.9 a' + 0.1 U(-1, 1)) scaled to the whole, episodes of 2,000 bars, SAME_STEP,
caller-owned arrays. The row by processor time is what one thread does while the machine is shared.

The peer walks the same closes and columns with a flat fee alone. It is loaded from its one file, found by PYTHONPATH
(`pip download --no-deps finrl`, unzipped), since its package asks for much more; where it is not, that is said.
"""

import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
from measure import Figure, rate, report
from numpy.typing import NDArray

from wavetank.envs.features import feature_matrix, warm_up
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.portfolio import PortfolioEnv
from wavetank.envs.portfolio_batch import BatchPortfolioEnv
from wavetank.market.bars import Bars
from wavetank.market.jit import set_threads
from wavetank.market.limits import Limits
from wavetank.market.store import data_folder, read_bars
from wavetank.simulators.processes import mean_reversion

SYMBOLS = ("ADA", "BCH", "BNB", "BTC", "DOGE", "ETH", "LINK", "LTC", "SOL", "XRP")
COLUMNS = "default"
EPISODE_BARS = 2000
ROUNDS = 96
PEER_STEPS = 400
PEER_FILE = Path("meta", "env_stock_trading", "env_stocktrading.py")


def panel_bars() -> tuple[list[Bars], str]:
    """Ten assets, and what they are in words."""
    paths = [data_folder() / "ohlcv" / f"binanceusdm-panel_{symbol}USDT_1h.parquet" for symbol in SYMBOLS]
    if all(path.is_file() for path in paths):
        return [read_bars(path) for path in paths], "10 hourly perpetuals, 31,972 recorded bars each"
    drawn = [mean_reversion(31_972, rng=np.random.default_rng(k)) for k in range(len(SYMBOLS))]
    return drawn, "31,972 bars of 10 mean-reverting processes"


def wandering_targets(count: int) -> NDArray[np.float64]:
    """(64, count, 10): slowly moving targets of each portfolio."""
    rng, shape = np.random.default_rng(0), (count, len(SYMBOLS))
    rows = [np.zeros(shape)]
    for _ in range(63):
        rows.append(np.clip(0.9 * rows[-1] + 0.1 * rng.uniform(-1, 1, shape), -1, 1))
    return np.array(rows)


def batch_work(bars: list[Bars], count: int) -> Callable[[], int]:
    """Walk `count` portfolios ROUNDS steps."""
    env = BatchPortfolioEnv(bars, count, observation=COLUMNS, episode_bars=EPISODE_BARS, limits=Limits(mode="clip"))
    targets = wandering_targets(count)
    env.reset(seed=1)

    def work() -> int:
        for k in range(ROUNDS):
            env.step(targets[k % 64])
        return ROUNDS * count

    return work


def single_work(bars: list[Bars]) -> Callable[[], int]:
    """Walk one gymnasium env 5,000 steps."""
    env = PortfolioEnv(bars, observation=COLUMNS, episode_bars=EPISODE_BARS, limits=Limits(mode="clip"))
    targets = wandering_targets(1)[:, 0]
    env.reset(seed=1)

    def work() -> int:
        for k in range(5_000):
            _, _, terminated, truncated, _ = env.step(targets[k % 64])
            if terminated or truncated:
                env.reset()
        return 5_000

    return work


def by_processor(work: Callable[[], int], repetitions: int = 5) -> list[float]:
    """Steps a second of processor time."""
    values = []
    for _ in range(repetitions):
        began = time.process_time()
        done = work()
        values.append(done / (time.process_time() - began))
    return values


def peer_module() -> ModuleType | None:
    """FinRL's environment file without its package; None where it is not at hand."""
    package = importlib.util.find_spec("finrl")
    if package is None or not package.submodule_search_locations:
        return None
    spec = importlib.util.spec_from_file_location("finrl_env", Path(package.submodule_search_locations[0]) / PEER_FILE)
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def peer_work(module: ModuleType, bars: list[Bars]) -> Callable[[], int]:
    """Walk FinRL's env over the same closes and columns; a turn of the whole action is a tenth of the account."""
    import pandas as pd

    market = ObservationSpec.load(COLUMNS).market
    first = warm_up(market, bars[0].interval_ms)
    frames = []
    for k, each in enumerate(bars):
        rows = slice(first, first + EPISODE_BARS)
        frame = pd.DataFrame(feature_matrix(each, market)[rows].astype(np.float64), columns=list(market))
        frame["close"], frame["tic"], frame["date"] = each.close[rows], SYMBOLS[k], each.opened_at[rows]
        frames.append(frame)
    table = pd.concat(frames).sort_index(kind="stable")
    assets = len(bars)
    env = module.StockTradingEnv(
        df=table,
        stock_dim=assets,
        hmax=10_000,
        initial_amount=1_000_000,
        num_stock_shares=[0] * assets,
        buy_cost_pct=[0.0005] * assets,
        sell_cost_pct=[0.0005] * assets,
        reward_scaling=1e-4,
        state_space=1 + 2 * assets + len(market) * assets,
        action_space=assets,
        tech_indicator_list=list(market),
        print_verbosity=10**9,
    )
    targets = wandering_targets(1)[:, 0]

    def work() -> int:
        env.reset()
        for k in range(PEER_STEPS):
            env.step(targets[k % 64].copy())
        return PEER_STEPS

    return work


def main() -> int:
    bars, about = panel_bars()
    told = {"bars": about, "assets": len(bars), "columns": 365}
    ours = 0.0
    for threads, count in ((2, 1024), (2, 4096)):
        set_threads(threads)
        figure = Figure(f"portfolio env, N = {count:,}, {threads} threads", "portfolio steps/s", [], told)
        figure.values.extend(rate(batch_work(bars, count)))
        ours = max(ours, figure.median)
        report(figure)
    set_threads(1)
    work = batch_work(bars, 1024)
    work()
    name = "portfolio env, N = 1,024, 1 thread by processor time"
    report(Figure(name, "portfolio steps/s", by_processor(work), told))
    report(Figure("single portfolio env", "portfolio steps/s", rate(single_work(bars)), told))
    peer = peer_module()
    if peer is None:
        print("FinRL is absent: put the folder that holds its package on PYTHONPATH to compare", file=sys.stderr)
        return 0
    figure = Figure("FinRL StockTradingEnv, flat fee alone", "portfolio steps/s", rate(peer_work(peer, bars), 3), told)
    report(figure)
    report(Figure("portfolio env over FinRL", "times", [ours / figure.median], told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
