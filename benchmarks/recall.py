"""The exact as-of builder: `python benchmarks/recall.py [--rows 100000] [--alone]`.

CPU-seconds, one thread, of finding the 16 nearest known moments for every one of `rows` synthetic ones, by ours and, in
the same run, by faiss's flat index and hnswlib (extra bench; absent, they are left out with a line). A peer's index
grows block by block with what is known at each block's start; what becomes known inside a block is found by our own
scan, for all alike. `--alone` leaves the peers out: a million rows take ours minutes and them hours.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from measure import Figure, report
from numpy.typing import NDArray
from synthetic_moments import HORIZON, HOUR_MS, WIDTH, moments

from wavetank.memory import gemm
from wavetank.memory.moments import Ints, Moments, Singles
from wavetank.memory.recall import Prepared
from wavetank.memory.scoring import Asked, Best, no_best, offer, order_doubt, product_slack, scan_singles

K, EMBARGO = 16, 512 * HOUR_MS  # the embargo of features that look back over 512 bars
PEER_BLOCK, TAIL_BLOCK, CHECKED, WHOLE_CHECK = 4096, 512, 400, 200_000
TUNED = {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}
LINKS, BUILD_EF, EF = 16, 100, 128  # of hnswlib

Found = tuple[Ints, Singles]
Search = Callable[[Singles], tuple[NDArray[Any], NDArray[Any]]]


def main() -> None:
    arguments = parsed()
    if TUNED & set(os.environ):  # they name an older kernel than the machine has: peers in float32 would lose by that
        kept = {name: value for name, value in os.environ.items() if name not in TUNED}
        os.execve(sys.executable, [sys.executable, *sys.argv], kept)
    past = moments(arguments.rows)
    rate = integer_rate()
    report(Figure("int8 product, 512 × 128 by 128 × 2,048", "GOP/s", [rate / 1e9]))
    said = f"{arguments.rows:,} × {WIDTH}"
    ours, found = measured(lambda: time_filter(past, 1), arguments.repeat)
    report(Figure(f"as-of build, {said}, time filter", "CPU-s", ours, share(past, rate, ours)))
    check(past, found, None)
    ruled, found_ruled = measured(lambda: all_rules(past, 1), arguments.repeat)
    title = f"as-of build, {said}, embargo and episodes"
    report(Figure(title, "CPU-s", ruled, share(past, rate, ruled)))
    check(past, found_ruled, EMBARGO)
    if len(past) <= WHOLE_CHECK:
        whole = Prepared(past.vectors, past.known_at, product="float32").nearest(past.vectors, past.closed_at, k=K)
        print(f"  sets equal a search by float32 products: {same_sets(whole, found):.2%}")
    began = time.perf_counter()
    time_filter(past, None)
    report(Figure(f"as-of build, {said}, time filter, all cores", "s", [time.perf_counter() - began]))
    if not arguments.alone:
        peers(past, found, ours)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="leave the peers out")
    return parser.parse_args()


def measured(work: Callable[[], Found], repeat: int) -> tuple[list[float], Found]:
    """CPU-seconds of each repetition, preparation included, and what was found; torch and kernels are loaded before."""
    time_filter(moments(2000), 1)
    all_rules(moments(2000), 1)
    seconds = []
    for _ in range(repeat):
        began = time.process_time()
        found = work()
        seconds.append(time.process_time() - began)
    return seconds, found


def time_filter(past: Moments, workers: int | None) -> Found:
    """By `known_at <= as_of` alone; symbols are told, for who knows them finds leads, and forbid nothing."""
    prepared = Prepared(past.vectors, past.known_at, past.symbol, product="int8")
    return prepared.nearest(past.vectors, past.closed_at, k=K, query_symbol=past.symbol, workers=workers)


def all_rules(past: Moments, workers: int | None) -> Found:
    """With the embargo for the same symbol and one neighbour an episode."""
    episodes = past.episodes(HORIZON * HOUR_MS)
    prepared = Prepared(past.vectors, past.known_at, past.symbol, episodes, product="int8")
    return prepared.nearest(
        past.vectors, past.closed_at, k=K, query_symbol=past.symbol, embargo=EMBARGO, workers=workers
    )


def integer_rate() -> float:
    """Operations a CPU-second of the integer product alone, on blocks that lie in the cache."""
    product = gemm.integer_product()
    assert product is not None
    rng = np.random.default_rng(0)
    left, right = (rng.integers(-127, 128, shape, np.int8) for shape in ((512, WIDTH), (WIDTH, gemm.BLOCK)))
    out = np.empty((512, gemm.BLOCK), np.int32)
    product(left, right, out)
    began, rounds = time.thread_time(), 3000
    for _ in range(rounds):
        product(left, right, out)
    return 2.0 * left.size * gemm.BLOCK * rounds / (time.thread_time() - began)


def share(past: Moments, rate: float, seconds: list[float]) -> dict[str, Any]:
    """How much of our time the integer product of all known pairs alone would take."""
    pairs = float(np.searchsorted(past.known_at, past.closed_at, "right").sum())
    return {"share_of_int8": 2.0 * WIDTH * pairs / rate / float(np.median(seconds)), "pairs": pairs}


def check(past: Moments, found: Found, embargo: int | None) -> None:
    """Sampled queries against a float64 product over all that was known and numpy's sort."""
    rows = np.random.default_rng(1).integers(0, len(past), CHECKED)
    rows[: CHECKED // 4] = np.arange(len(past) - CHECKED // 4, len(past))
    episodes = past.episodes(HORIZON * HOUR_MS)
    for row in rows.tolist():
        known = int(np.searchsorted(past.known_at, past.closed_at[row], "right"))
        scores = (past.vectors[:known].astype(np.float64) @ past.vectors[row].astype(np.float64)).astype(np.float32)
        allowed = np.ones(known, bool)
        if embargo is not None:
            own = past.symbol[:known] == past.symbol[row]
            allowed = ~own | (past.known_at[:known] <= past.closed_at[row] - embargo)
        candidates = np.flatnonzero(allowed)
        order = candidates[np.lexsort((candidates, -scores[candidates]))]
        if embargo is not None:
            order = order[np.sort(np.unique(episodes[order], return_index=True)[1])]
        expected = np.full(K, -1)
        expected[: min(K, len(order))] = order[:K]
        if set(found[0][row].tolist()) != set(expected.tolist()):
            raise SystemExit(f"row {row}: found {found[0][row].tolist()}, brute force {expected.tolist()}")
    print(f"  {CHECKED} queries equal brute force")


def peers(past: Moments, found: Found, ours: list[float]) -> None:
    for name, work in (("faiss flat", faiss_flat), (f"hnswlib ef {EF}", hnsw)):
        try:
            began = time.process_time()
            theirs = work(past)
            seconds = time.process_time() - began
        except ImportError as error:
            print(f"  {name} is left out: {error}")
            continue
        same = same_sets(theirs, found)
        ratio = seconds / float(np.median(ours))
        about = {"sets_equal_ours": same, "recall": recall(theirs, found), "ratio_to_ours": ratio}
        report(Figure(f"the same by {name}, {len(past):,} × {WIDTH}", "CPU-s", [seconds], about))


def faiss_flat(past: Moments) -> Found:
    import faiss  # type: ignore[import-not-found]  # extra bench

    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(WIDTH)
    return grown(past, index.add, lambda block: index.search(block, K))


def hnsw(past: Moments) -> Found:
    import hnswlib  # type: ignore[import-untyped]  # extra bench

    index = hnswlib.Index("ip", WIDTH)
    index.init_index(len(past), M=LINKS, ef_construction=BUILD_EF)
    index.set_ef(EF)

    def search(block: Singles) -> tuple[NDArray[Any], NDArray[Any]]:
        labels, distances = index.knn_query(block, K, num_threads=1)
        return 1.0 - distances, labels.astype(np.int64)

    return grown(past, lambda rows: index.add_items(rows, num_threads=1), search)


def grown(past: Moments, add: Callable[[Singles], None], search: Search) -> Found:
    """Block by block: the index knows what was known at the block's first query, our scan finds what came since."""
    indices = np.full((len(past), K), -1, np.int64)
    similarities = np.full((len(past), K), -np.inf, np.float32)
    prefix = np.searchsorted(past.known_at, past.closed_at, "right")
    points = Prepared(past.vectors, past.known_at)._points
    held = 0
    for start in range(0, len(past), PEER_BLOCK):
        stop = min(start + PEER_BLOCK, len(past))
        known = int(prefix[start])
        if known > held:
            add(past.vectors[held:known])
            held = known
        first = search(past.vectors[start:stop]) if held >= K else None
        for a in range(start, stop, TAIL_BLOCK):
            rows = np.arange(a, min(a + TAIL_BLOCK, stop))
            best = no_best(len(rows), K)
            if first is not None:
                begin(best, first[0][rows - start], first[1][rows - start])
            tail(past, points, rows, prefix[rows], held, best)
            indices[rows], similarities[rows] = best.id, best.similarity
    return indices, similarities


def begin(best: Best, scores: NDArray[Any], labels: NDArray[Any]) -> None:
    for q in range(len(labels)):
        for score, label in zip(scores[q].tolist(), labels[q].tolist(), strict=True):
            if label >= 0:
                offer(score, label, label, q, best.similarity, best.id, best.episode, best.filled)


def tail(past: Moments, points: Any, rows: Ints, prefix: Ints, held: int, best: Best) -> None:
    zeros = np.zeros(len(rows), np.int64)
    slack = np.full(len(rows), product_slack(WIDTH))
    asked = Asked(past.vectors[rows], zeros, prefix, zeros + 1, zeros, slack, order_doubt(WIDTH))
    for first in range(held, int(prefix.max(initial=0)), gemm.BLOCK):
        block = past.vectors[first : min(first + gemm.BLOCK, int(prefix.max()))]
        scan_singles(asked.vectors @ block.T, first, points, asked, best)


def pairs_of(found: Found) -> Iterator[set[int]]:
    return (set(row) for row in found[0].tolist())


def same_sets(theirs: Found, ours: Found) -> float:
    """Share of queries whose neighbours are the same; near ties in an engine's own float32 count as different."""
    return float(np.mean([a == b for a, b in zip(pairs_of(theirs), pairs_of(ours), strict=True)]))


def recall(theirs: Found, ours: Found) -> float:
    hits = sum(len((a & b) - {-1}) for a, b in zip(pairs_of(theirs), pairs_of(ours), strict=True))
    return hits / max(1, int((ours[0] >= 0).sum()))


if __name__ == "__main__":
    main()
