"""Decision latency, a bar in to its order at the venue: `python benchmarks/decision_latency.py`.

Workload: the runner as `wavetank paper` builds it (interpreted kernels, passport with a 64 × 64 network, 18 columns,
live limits, journal in WAL without fsync, on a disk of this machine), bars with a decision only. Includes the commit.
"""

import os

os.environ["NUMBA_DISABLE_JIT"] = "1"  # as the doors of the trading loop do

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from market_data import hourly_bars
from measure import Figure, report

from wavetank.agents.keys import PPOConfig
from wavetank.agents.networks import ActorCritic, PolicyNetwork
from wavetank.agents.scaling import Scaler
from wavetank.envs.features import feature_matrix
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.passport import Terrain, export_passport
from wavetank.execution.clock import BarClock
from wavetank.execution.feed import ReplayFeed
from wavetank.execution.journal import Journal
from wavetank.execution.parts import Step
from wavetank.execution.session import Settings, begin, load_trader
from wavetank.market.bars import Bars
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument

BARS = 3_000
REPETITIONS = 5


def passport(folder: Path, bars: Bars) -> Path:
    """Export an untrained policy of the usual size, whose limits are hardly ever in the way."""
    torch.manual_seed(0)
    spec = ObservationSpec.load("spine")
    limits = Limits(mode="live", daily_loss=0.9, drawdown=0.99)
    terrain = Terrain(spec, Instrument(), Costs(), limits, "1h")
    rows = feature_matrix(bars, spec.market)
    scaler = Scaler.fit(rows[np.isfinite(rows).all(axis=1)])
    keys = PPOConfig(hidden=(64, 64), orthogonal=False)  # torch's own first weights, which want something
    network = PolicyNetwork(ActorCritic(scaler, spec.shape, keys, 1, discrete=False))
    made = datetime(2025, 1, 1, tzinfo=UTC)
    return export_passport(network, folder, terrain, bars, name="latency", created_at=made, training={})


def latencies(folder: Path, bars: Bars, path: Path) -> tuple[list[float], list[float]]:
    """Milliseconds of every bar with a decision, and of those of them that sent an order."""
    decided, ordered = list[float](), list[float]()

    def watch(step: Step) -> None:
        if step.decided:
            decided.append(step.latency_ns * 1e-6)
        if step.orders:
            ordered.append(step.latency_ns * 1e-6)

    clock, settings, trader = BarClock(), Settings(), load_trader(folder, "live")
    journal = Journal(path)
    begin(journal, trader, settings, clock, source="latency", watch=watch).run(ReplayFeed(bars, "latency", clock))
    journal.close()
    return decided, ordered


def main() -> None:
    bars, about = hourly_bars()
    some = bars.slice(0, BARS)
    with tempfile.TemporaryDirectory() as scratch:
        folder = passport(Path(scratch) / "passport", some)
        latencies(folder, some, Path(scratch) / "warm.db")
        runs = [latencies(folder, some, Path(scratch) / f"{n}.db") for n in range(REPETITIONS)]
    for name, which in (("bar in → decision journalled", 0), ("bar in → order out", 1)):
        for share in (50, 99):
            values = [float(np.percentile(run[which], share)) for run in runs]
            told = {"bars": about, "network": "64x64", "samples": len(runs[0][which]), "fsync": False}
            report(Figure(f"{name}, p{share}", "ms", values, told))


if __name__ == "__main__":
    main()
