"""A live question to the past: `python benchmarks/live_memory.py [100000] [1000000] [--keep DIR] [--queries 1000]`.

An Edge store of n invented moments of 128 columns (`synthetic_moments.py`), payload indexes first, the graph built once
(a million takes 10 to 25 minutes; `--keep` leaves the store in DIR and finds it there again). Then single questions as
the live desk asks them, vectors and payloads read, k = 16: each by a moment at its own close, so that the as-of filter
passes half of the points or nine tenths. Beside each beam of the graph: recall against exact search, and a numpy scan
of the same prefix that answers exactly: points sorted by the instant they became known, one float32 product into a
buffer made before, argpartition. Both on one thread, in turns, in this process. Last, what the graph does to the ten
columns that the desk sees.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import Figure, report, short
from numpy.typing import NDArray
from synthetic_moments import HORIZON, HOUR_MS, WIDTH, moments

from wavetank.memory.columns import MEMORY_COLUMNS
from wavetank.memory.edge import EdgeMemory
from wavetank.memory.moments import Moments, Singles
from wavetank.memory.rescore import columns_of, nearest_in
from wavetank.memory.store import EF, ingest

K, BEAMS, SHARES, REPETITIONS = 16, (64, 128, 160, 256), (0.5, 0.9), 3
WINDOW = 64  # bars, the embargo
TUNED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
GAP_QUESTIONS, GAP_BELOW, GAP_FEW = 1000, 200_000, 200


@dataclass(frozen=True)
class Questions:
    """Which moments ask, when, and how many points were known then."""

    rows: NDArray[np.int64]
    as_of: NDArray[np.int64]
    prefix: NDArray[np.int64]


def questions(past: Moments, share: float, count: int) -> Questions:
    """Moments that close when about that share of the points is known; for 1.0 the newest ones, asked after all."""
    rng, n = np.random.default_rng(int(100 * share)), len(past)
    rows = np.sort(rng.integers(int(0.99 * share * n), int(share * n), count))
    as_of = past.closed_at[rows] if share < 1.0 else np.full(count, past.known_at[-1])
    return Questions(rows, as_of, np.searchsorted(past.known_at, as_of, "right"))


def store_of(past: Moments, folder: Path) -> EdgeMemory:
    """The store in `folder`; where it does not hold all of the past, it is filled, optimized and timed."""
    memory = EdgeMemory(folder, WIDTH, embedder="synthetic")
    if memory.count() == len(past):
        return memory
    began, cpu = time.perf_counter(), time.process_time()
    ingest(memory, past)
    filled = len(past) / (time.perf_counter() - began)
    report(Figure("points into an Edge store, 1,000 an upsert", "points/s", [filled], {"n": len(past)}))
    began, cpu = time.perf_counter(), time.process_time()
    memory.optimize()
    about = {
        "n": len(past),
        "cpu_s": round(time.process_time() - cpu, 1),
        "rss_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "disk_gb": round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9, 2),
    }
    report(Figure(f"graph of {short(len(past))} points built", "s", [time.perf_counter() - began], about))
    return memory


def timed(ask: Callable[[int], list[int]], count: int) -> tuple[NDArray[np.float64], float, list[list[int]]]:
    """Milliseconds of each question, CPU milliseconds of one, and the answers."""
    taken, answers, cpu = np.empty(count), [], time.process_time()
    for i in range(count):
        began = time.perf_counter()
        answer = ask(i)
        taken[i] = time.perf_counter() - began
        answers.append(answer)
    return 1e3 * taken, 1e3 * (time.process_time() - cpu) / count, answers


def scanning(past: Moments, asked: Questions, products: Singles) -> Callable[[int], list[int]]:
    """The exact answer by numpy: best first."""

    def ask(i: int) -> list[int]:
        stop = int(asked.prefix[i])
        known = np.dot(past.vectors[:stop], past.vectors[asked.rows[i]], out=products[:stop])
        best = np.argpartition(known, stop - K)[stop - K :]
        return [int(row) for row in best[np.argsort(-known[best])]]

    return ask


def asking(memory: EdgeMemory, past: Moments, asked: Questions, ef: int) -> Callable[[int], list[int]]:
    def ask(i: int) -> list[int]:
        vector = past.vectors[asked.rows[i]]
        return [hit.id for hit in memory.query(vector, int(asked.as_of[i]), K, exact=False, ef=ef)]

    return ask


def latencies(memory: EdgeMemory, past: Moments, count: int) -> None:
    """p50, p99 and recall of every beam, beside the scan, for every share of points that pass the filter."""
    n, products = len(past), np.empty(len(past), np.float32)
    for share in SHARES:
        asked = questions(past, share, count)
        asks = {0: scanning(past, asked, products)} | {ef: asking(memory, past, asked, ef) for ef in BEAMS}
        for ef, ask in asks.items():
            timed(ask, min(count, 50))  # warm, and not counted
            assert ef or len(ask(0)) == K
        p50, p99, cpu = ({ef: list[float]() for ef in asks} for _ in range(3))
        answers: dict[int, list[list[int]]] = {}
        for _ in range(REPETITIONS):
            for ef, ask in asks.items():
                taken, used, answers[ef] = timed(ask, count)
                p50[ef].append(float(np.percentile(taken, 50)))
                p99[ef].append(float(np.percentile(taken, 99)))
                cpu[ef].append(used)
        about: dict[str, Any] = {"n": n, "share": share, "questions": count, "k": K}
        scan = {"cpu_ms": cpu[0], "recall": 1.0, "threads": 1}
        report(Figure(f"numpy scan, {short(n)}, share {share}, p50", "ms", p50[0], about | scan))
        for ef in BEAMS:
            found = [len({*near} & {*exact}) / K for near, exact in zip(answers[ef], answers[0], strict=True)]
            told = about | {"ef": ef, "recall": round(float(np.mean(found)), 4), "worst_recall": min(found)}
            told |= {"cpu_ms": cpu[ef], "scan_p50": float(np.median(p50[0]))}
            told |= {"ratio": float(np.median(p50[0]) / np.median(p50[ef]))}
            told |= {"cpu_ratio": float(np.median(cpu[0]) / np.median(cpu[ef]))}
            print(f"  recall@{K} {told['recall']:.3f}; the scan takes {told['ratio']:.1f} times as long")
            name = f"Edge query, {short(n)}, share {share}, ef {ef}"
            report(Figure(f"{name}, p50", "ms", p50[ef], told))
            report(Figure(f"{name}, p99", "ms", p99[ef], told))


def gap(memory: EdgeMemory, past: Moments) -> None:
    """|exact − graph| of each column, under the embargo and one neighbour an episode, as the live past asks."""
    count = GAP_QUESTIONS if len(past) <= GAP_BELOW else GAP_FEW
    asked = questions(past, 0.9, count)
    high = float(np.quantile(past.forward_volatility, 2.0 / 3.0))
    apart = np.empty((count, len(MEMORY_COLUMNS)))
    for i, row in enumerate(asked.rows):
        exact, near = (
            nearest_in(
                memory,
                past.vectors[row],
                int(asked.as_of[i]),
                k=K,
                symbol=past.names[int(past.symbol[row])],
                embargo=WINDOW * HOUR_MS,
                episode_ms=HORIZON * HOUR_MS,
                exact=is_exact,
            )
            for is_exact in (True, False)
        )
        apart[i] = np.abs(columns_of(exact, high).astype(np.float64) - columns_of(near, high).astype(np.float64))
    print(f"columns, exact against graph (ef {EF}), {short(len(past))} points, {count} questions")
    for column, name in enumerate(MEMORY_COLUMNS):
        values = apart[:, column]
        about = {"n": len(past), "questions": count, "ef": EF, "median": float(np.median(values))}
        about["share_equal"] = float(np.mean(values == 0.0))
        named = f"{name}, exact less graph, {short(len(past))}, largest of {count}"
        report(Figure(named, "", [float(values.max())], about))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("n", type=int, nargs="*", default=[100_000], help="points in a store")
    parser.add_argument("--keep", type=Path, help="a folder in which stores are left, and found again")
    parser.add_argument("--queries", type=int, default=1000, help="questions of each kind")
    arguments = parser.parse_args()
    told = [name for name in TUNED if name in os.environ]
    if told:
        parser.error(f"{', '.join(told)} must not be set: the scan is measured with OpenBLAS as it finds the machine")
    for n in arguments.n:
        folder = arguments.keep or Path(tempfile.mkdtemp(prefix="live-memory-"))
        past = moments(n)
        try:
            with store_of(past, folder / f"{n}") as memory:
                latencies(memory, past, arguments.queries)
                gap(memory, past)
        finally:
            if arguments.keep is None:
                shutil.rmtree(folder)


if __name__ == "__main__":
    main()
