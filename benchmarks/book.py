"""Messages a second through the order book, one thread: `python benchmarks/book.py`.

Workload: a million messages, 60 % limit, 35 % cancel of a live order by its owner, 5 % market, of 1,000 owners around a
wandering price; every message validated, every account kept, every trade logged. Besides: a flow with rarer kinds, a
few messages a call from within a kernel, one a call through the Python face, and the kernels interpreted in a process
of their own. Rates per second of processor time stand beside those by the clock.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
from measure import Figure, rate, report
from numpy.typing import NDArray

from wavetank.market.jit import COMPILED, kernel
from wavetank.simulators import ladder, matching
from wavetank.simulators.book import OrderBook
from wavetank.simulators.ladder import Book
from wavetank.simulators.matching import process

Ints = NDArray[np.int64]

MESSAGES = 1_000_000 if COMPILED else 20_000
OWNERS, CAPACITY, PIECE = 1_000, 1 << 17, 500
PLAIN = {matching.LIMIT: 0.60, matching.CANCEL: 0.35, matching.MARKET: 0.05}
MIXED = {
    matching.LIMIT: 0.46,
    matching.CANCEL: 0.24,
    matching.MARKET: 0.05,
    matching.REPLACE: 0.10,
    matching.POST_SLIDE: 0.08,
    matching.IOC: 0.04,
    matching.ICEBERG: 0.02,
    matching.FOK: 0.01,
}


def flow(count: int, mix: dict[int, float], seed: int = 0) -> Ints:
    """A stream of messages whose cancels and replaces name orders that live when a piece of the stream begins."""
    rng = np.random.default_rng(seed)
    book, mid, pieces = new_book(), 50_000, []
    for first in range(1, count, PIECE):
        mid += int(rng.integers(-1, 2))
        piece = _piece(rng, first, mid, mix, book)
        book.process(piece)
        pieces.append(piece)
    return np.concatenate(pieces)


def _piece(rng: np.random.Generator, first: int, mid: int, mix: dict[int, float], book: OrderBook) -> Ints:
    kind = rng.choice(list(mix), PIECE, p=list(mix.values()))
    side = rng.choice([1, -1], PIECE)
    away = np.where(rng.random(PIECE) < 0.12, -rng.integers(0, 4, PIECE), rng.geometric(0.02, PIECE))
    lots = np.where(kind == matching.MARKET, rng.integers(1, 320, PIECE), rng.integers(1, 100, PIECE))
    live = book.arrays.ids[book.arrays.ids[:, 0] != 0]
    named = np.flatnonzero(np.isin(kind, [matching.CANCEL, matching.REPLACE]))
    if len(live) < len(named):  # the book fills up first
        kind[named], named = matching.LIMIT, named[:0]
    messages = np.zeros((PIECE, matching.MESSAGE_WIDTH), np.int64)
    messages[:, matching.MESSAGE_KIND] = kind
    messages[:, matching.MESSAGE_ID] = np.arange(first, first + PIECE)
    messages[:, matching.MESSAGE_OWNER] = rng.integers(0, OWNERS, PIECE)
    messages[:, matching.MESSAGE_SIDE] = side
    messages[:, matching.MESSAGE_PRICE] = mid - side * away
    messages[:, matching.MESSAGE_LOTS] = lots
    messages[:, matching.MESSAGE_EXTRA] = np.maximum(1, lots // 4)
    chosen = live[rng.choice(len(live), len(named), replace=False)] if len(named) else live[:0]
    messages[named, matching.MESSAGE_ID] = chosen[:, 0]
    messages[named, matching.MESSAGE_OWNER] = book.arrays.orders[chosen[:, 1], ladder.OWNER]
    return messages


def new_book() -> OrderBook:
    """A book that logs trades only; its memory has been touched, so that no page fault is timed."""
    book = OrderBook(OWNERS, capacity=CAPACITY, room=1 << 20)
    empty(book)
    return book


def empty(book: OrderBook) -> None:
    """Zeros are an empty book."""
    for array in book.arrays:
        array.fill(0)
    book.arrays.head[ladder.LOG_KINDS] = matching.ONLY_TRADES


def batch(messages: Ints, repetitions: int) -> tuple[list[float], dict[str, Any]]:
    """Messages a second in one call, the emptying of the book not counted; and what the flow did."""
    book, answers = new_book(), np.zeros(len(messages), np.int64)
    values: list[float] = []
    by_processor: list[float] = []
    for k in range(repetitions + 1):
        empty(book)
        began, busy = time.perf_counter(), time.process_time()
        process(book.arrays, messages, len(messages), answers)
        if k:  # the first compiles
            values.append(len(messages) / (time.perf_counter() - began))
            by_processor.append(len(messages) / (time.process_time() - busy))
    about = {
        "per_cpu_second": statistics.median(by_processor),
        "messages": len(messages),
        "live_orders_at_end": book.live_orders,
        "trades": int(book.arrays.head[ladder.TRADES]),
        "refused_share": round(float((answers < 0).mean()), 5),
        "threads": 1,
    }
    return values, about


def face(messages: Ints) -> list[float]:
    """Messages a second, a call of the Python face each."""
    rows = messages[:50_000].tolist()

    def work() -> int:
        book = OrderBook(OWNERS, capacity=CAPACITY, room=1 << 18)
        for kind, order_id, owner, side, ticks, lots, _, _ in rows:
            if kind == matching.LIMIT:
                book.limit(order_id=order_id, owner=owner, side=side, ticks=ticks, lots=lots)
            elif kind == matching.CANCEL:
                book.cancel(order_id=order_id, owner=owner)
            else:
                book.market(order_id=order_id, owner=owner, side=side, lots=lots)
        return len(rows)

    return rate(work)


@kernel
def process_pieces(book: Book, messages: Ints, size: int, answers: Ints) -> int:
    """Send the messages `size` a call, as the kernel of a market does step by step."""
    for first in range(0, len(messages) - size + 1, size):
        process(book, messages[first : first + size], size, answers)
    return len(messages)


def pieces(messages: Ints, size: int) -> list[float]:
    """Messages a second, `size` a call, from within a kernel."""
    book, answers, values = new_book(), np.zeros(size, np.int64), []
    for _ in range(6):
        empty(book)
        began = time.perf_counter()
        process_pieces(book.arrays, messages, size, answers)
        values.append(len(messages) / (time.perf_counter() - began))
    return values[1:]


def interpreted() -> list[float]:
    """`batch` in a process that compiles nothing."""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "values"], env=environment, capture_output=True, text=True, check=True
    )
    values: list[float] = json.loads(done.stdout)
    return values


def main() -> None:
    plain = flow(MESSAGES, PLAIN)
    values, about = batch(plain, repetitions=9 if COMPILED else 5)
    if sys.argv[1:] == ["values"]:
        print(json.dumps(values))
        return
    report(Figure("order book, 60/35/5 limit/cancel/market, batch", "messages/s", values, about))
    values, about = batch(flow(MESSAGES, MIXED), repetitions=9)
    report(Figure("order book, a quarter of rarer kinds, batch", "messages/s", values, about))
    report(Figure("order book, 60/35/5, ten a call from a kernel", "messages/s", pieces(plain, 10), {"threads": 1}))
    report(Figure("order book, one Python call a message", "messages/s", face(plain), {"threads": 1}))
    report(Figure("order book, interpreted kernels, batch", "messages/s", interpreted(), {"messages": 20_000}))


if __name__ == "__main__":
    main()
