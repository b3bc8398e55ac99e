"""What a frozen policy costs, a decision and a start: `python benchmarks/frozen_policy.py`.

One row of 50 columns (a window: 64 of them), numpy in and out, one thread, 64 × 64 behind the encoder; µs of 20,000
calls in each of five repetitions. Beside each class: onnxruntime's bare `run` of the same graph with its inputs ready,
and `predict` of a Stable-Baselines3 policy of that size. A start is a passport of the `default` observation verified
and replayed in a fresh process, kernels interpreted as at the doors of the trading loop.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import onnxruntime
import torch
from market_data import hourly_bars
from measure import Figure, report, versus
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.policies import ActorCriticPolicy

from wavetank.agents.export import export_graph
from wavetank.agents.frozen import FrozenPolicy
from wavetank.agents.keys import PPOConfig
from wavetank.agents.networks import ActorCritic, PolicyNetwork
from wavetank.agents.scaling import Scaler
from wavetank.envs.features import feature_matrix
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.passport import Terrain, export_passport
from wavetank.market.bars import Bars
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument

COLUMNS, BARS, UNITS = 50, 64, 64
CALLS, REPETITIONS = 20_000, 5
CLASSES: dict[str, tuple[tuple[int, ...], PPOConfig]] = {
    "stateless": ((COLUMNS,), PPOConfig()),
    f"recurrent, LSTM {UNITS}": ((COLUMNS,), PPOConfig(lstm=UNITS)),
    f"recurrent, LSTM {UNITS}, policy and value share it": ((COLUMNS,), PPOConfig(lstm=UNITS, separate=False)),
    f"window of {BARS}, convolutions": ((BARS, COLUMNS), PPOConfig(encoder="conv")),
}
LOADS = """
import sys, time
began = time.perf_counter()
from wavetank.envs.passport import load_passport
imported = time.perf_counter()
load_passport(sys.argv[1])
ended = time.perf_counter()
print(1e3 * (ended - began), 1e3 * (ended - imported), "torch" in sys.modules)
"""

Call = Callable[[int], object]


def network(shape: tuple[int, ...], keys: PPOConfig, scaler: Scaler) -> PolicyNetwork:
    torch.manual_seed(0)
    return PolicyNetwork(ActorCritic(scaler, shape, keys, 1, discrete=False))


def microseconds(call: Call) -> list[np.ndarray]:
    """The time of each call, repetition by repetition; a first one is not counted."""
    runs = []
    for _ in range(REPETITIONS + 1):
        taken = np.empty(CALLS)
        for i in range(CALLS):
            began = time.perf_counter_ns()
            call(i)
            taken[i] = time.perf_counter_ns() - began
        runs.append(taken * 1e-3)
    return runs[1:]


def acting(policy: FrozenPolicy, rows: np.ndarray) -> Call:
    """One call of `act`; a policy that remembers is handed what it answered last."""
    state: list[Any] = [None]

    def call(i: int) -> None:
        state[0] = policy.act(rows[i % len(rows)], state[0]).state

    return call


def bare(path: Path, policy: FrozenPolicy, rows: np.ndarray) -> Call:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = [{"obs": row[None]} for row in rows]
    if policy.state_size:
        more = {"state": np.zeros((1, policy.state_size), np.float32), "starts": np.zeros(1, np.bool_)}
        given = [{**each, **more} for each in given]
    return lambda i: session.run(None, given[i % len(given)])


def sb3(keys: PPOConfig, rows: np.ndarray) -> Call | None:
    """`predict` of the library's own policy; None for a window, for which it has none of that form."""
    if rows.ndim == 3:
        return None
    spaces = gymnasium.spaces.Box(-np.inf, np.inf, (COLUMNS,)), gymnasium.spaces.Box(-1.0, 1.0, (1,))
    more: dict[str, Any] = {"net_arch": [64, 64]}
    if not keys.lstm:
        stateless = ActorCriticPolicy(*spaces, lambda _: 3e-4, **more)
        return lambda i: stateless.predict(rows[i % len(rows)], deterministic=True)
    more |= {"lstm_hidden_size": keys.lstm, "shared_lstm": not keys.separate, "enable_critic_lstm": keys.separate}
    recurrent = RecurrentActorCriticPolicy(*spaces, lambda _: 3e-4, **more)
    state: list[Any] = [None]

    def call(i: int) -> None:
        _, state[0] = recurrent.predict(rows[i % len(rows)], state[0], np.zeros(1, np.bool_), deterministic=True)

    return call


def decisions(folder: Path) -> None:
    """Latency of every class, p50 and p99, beside onnxruntime alone and Stable-Baselines3."""
    for number, (name, (shape, keys)) in enumerate(CLASSES.items()):
        path = export_graph(network(shape, keys, Scaler.identity(COLUMNS)), folder / f"{number}.onnx")
        policy = FrozenPolicy.from_graph(path)
        rows = np.random.default_rng(0).standard_normal((512, *shape)).astype(np.float32)
        ours, alone = microseconds(acting(policy, rows)), microseconds(bare(path, policy, rows))
        theirs = sb3(keys, rows)
        predicted = None if theirs is None else microseconds(theirs)
        for share in (50, 99):
            values, beside, other = (
                None if runs is None else [float(np.percentile(run, share)) for run in runs]
                for runs in (ours, alone, predicted)
            )
            assert values is not None
            about = {"network": "64x64", "shape": shape, "state": policy.state_size, "onnxruntime_run": beside}
            about |= versus("SB3 predict", values, other)
            print(f"  onnxruntime run alone: {np.median(beside or [np.nan]):.3g}")
            report(Figure(f"FrozenPolicy.act, {name}, p{share}", "µs", values, about))


def passport(folder: Path, bars: Bars, window: int, keys: PPOConfig) -> Path:
    """Export an untrained policy of the `default` observation."""
    spec = ObservationSpec.load("default")
    spec = ObservationSpec(spec.name, spec.version, spec.market, window=window)
    rows = feature_matrix(bars, spec.market)
    scaler = Scaler.fit(rows[np.isfinite(rows).all(axis=1)], account_columns=len(spec.account))
    terrain = Terrain(spec, Instrument(), Costs(), Limits(mode="live"), bars.interval)
    made = datetime(2025, 1, 1, tzinfo=UTC)
    return export_passport(
        network(spec.shape, keys, scaler), folder, terrain, bars, name="frozen", created_at=made, training={}
    )


def starts(folder: Path) -> None:
    """Milliseconds from the import to a verified policy, and of the loading alone, each in a process of its own."""
    bars, about = hourly_bars()
    some = bars.slice(0, 3_000)
    for number, (name, (shape, keys)) in enumerate(CLASSES.items()):
        made = passport(folder / f"passport {number}", some, shape[0] if len(shape) == 2 else 1, keys)
        whole, alone = list[float](), list[float]()
        for _ in range(REPETITIONS + 1):
            done = subprocess.run(
                [sys.executable, "-c", LOADS, str(made)],
                env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            words = done.stdout.split()
            whole.append(float(words[0]))
            alone.append(float(words[1]))
            assert words[2] == "False", "torch was imported"
        told = {"bars": about, "bytes": sum(file.stat().st_size for file in made.rglob("*")), "torch": False}
        report(Figure(f"passport imported, verified, replayed, {name}", "ms", whole[1:], told))
        report(Figure(f"passport verified, replayed, {name}", "ms", alone[1:], told))


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        decisions(Path(scratch))
        starts(Path(scratch))


if __name__ == "__main__":
    main()
