"""The compiled book against its plain twin: equal event for event, whatever is thrown at it."""

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wavetank.simulators import ladder
from wavetank.simulators.book import OrderBook
from wavetank.simulators.matching import MESSAGE_WIDTH, Event, Reject
from wavetank.simulators.order_checks import most_events

from . import plain_book
from .plain_book import PlainBook

Ints = NDArray[np.int64]

OWNERS, LEVELS, CAPACITY = 12, 1 << 13, 120
SEED = 20
OF_THE_BOOK = {int(kind) for kind in Event} - {int(Event.DELEVERAGED)}

message = st.tuples(
    st.one_of(st.integers(0, 10), st.integers(16, 26), st.sampled_from([-1, 11, 27, 32, 99])),  # kind
    st.integers(-1, 30),  # id
    st.integers(-1, 4),  # owner
    st.sampled_from([1, -1, 1, -1, 0]),
    st.one_of(st.integers(90, 110), st.sampled_from([-1, 0, 1, 199, 200, 2**62])),  # ticks
    st.sampled_from([1, 2, 3, 5, 8, 100, 0, -4, 2**36, 2**36 + 1]),
    st.integers(0, 1),  # label
    st.one_of(st.integers(1, 6), st.integers(90, 110), st.sampled_from([-1, 0, 2**62])),  # trigger or peak
)


def plain_rows(book: PlainBook) -> Ints:
    return np.array(book.events, np.int64).reshape(-1, 12)


def compiled_rows(book: OrderBook) -> Ints:
    return book.arrays.events[: len(book.events())]


def assert_sound(book: OrderBook) -> None:
    """Nothing was made or lost, the best prices do not cross, and every live order has its own id."""
    assert book.arrays.accounts.sum(axis=0).tolist() == [0, 0]
    assert not (book.best_bid and book.best_ask and book.best_bid >= book.best_ask)
    orders = book.orders()
    ids = [*orders["order_id"].tolist(), *book.waiting_stops()["order_id"].tolist()]
    assert len(ids) == len(set(ids)) == book.live_orders


def assert_queues_are_equal(fast: OrderBook, slow: PlainBook) -> None:
    """Every resting order, best first and in the order of the queue, and every waiting stop."""
    expected = sorted(slow.resting.values(), key=lambda order: (-order.side, -order.side * order.ticks, order.arrived))
    rows = [(one.order_id, one.owner, one.side, one.ticks, one.shown, one.lots, one.label) for one in expected]
    names = ["order_id", "owner", "side", "ticks", "shown", "lots", "label"]
    assert fast.orders()[names].tolist() == rows
    waiting = sorted(slow.waiting, key=lambda stop: (-stop.side, stop.side * stop.trigger, stop.arrived))
    assert fast.waiting_stops()["order_id"].tolist() == [stop.order_id for stop in waiting]
    for side, depth in zip((1, -1), fast.depth(LEVELS), strict=True):
        shown: dict[int, int] = {}
        for one in expected:
            if one.side == side:
                shown[one.ticks] = shown.get(one.ticks, 0) + one.shown
        assert [tuple(level) for level in depth.tolist()] == list(shown.items())


@settings(max_examples=300, deadline=None)
@given(st.lists(message, max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_any_messages_make_the_same_events_as_the_plain_twin(
    messages: list[tuple[int, ...]], halted_at: int, resumed_at: int
) -> None:
    fast, slow = OrderBook(4, levels=200, capacity=8, room=8192), PlainBook(4, 200, 8)
    for i, one in enumerate(messages):
        if i == halted_at:
            fast.halt()
            slow.halted = True
        if i == resumed_at:
            fast.resume()
            slow.halted = False
        answer = fast.process(np.array([one], np.int64))
        assert answer.tolist() == [slow.process(*one)]
    assert np.array_equal(compiled_rows(fast), plain_rows(slow))
    assert_queues_are_equal(fast, slow)
    assert_sound(fast)


def test_thirty_thousand_messages_of_all_kinds_make_the_same_events_as_the_plain_twin() -> None:
    rows = run_both(30_000)
    assert set(np.unique(rows[:, 1])) == OF_THE_BOOK


@pytest.mark.slow
def test_a_million_messages_of_all_kinds_make_the_same_events_as_the_plain_twin() -> None:
    rows = run_both(1_000_000)
    assert set(np.unique(rows[:, 1])) == OF_THE_BOOK
    refused = rows[rows[:, 1] == Event.REJECTED]
    assert set(np.unique(refused[:, 5])) == {int(code) for code in Reject} - {int(Reject.LOG_FULL)}
    assert deepest_sweep(rows) >= 5
    assert longest_cascade(rows) >= 3


@pytest.mark.slow
def test_interpreted_the_book_makes_the_same_bits() -> None:
    """A process without numba runs 4,000 messages; its arrays must be the compiled ones, every cell."""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "WAVETANK_BOOK_DIGEST": digest(4_000)}
    test = f"{__file__}::test_two_books_of_the_same_messages_are_equal_cell_by_cell"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        env=environment,
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_two_books_of_the_same_messages_are_equal_cell_by_cell() -> None:
    """The other book is one of this process, or of the compiled process that asks."""
    assert digest(4_000) == os.environ.get("WAVETANK_BOOK_DIGEST", digest(4_000))


def test_no_message_makes_more_events_than_the_book_keeps_room_for() -> None:
    book = OrderBook(OWNERS, levels=LEVELS, capacity=CAPACITY, room=1 << 18)
    head, closest = book.arrays.head, 0.0
    for message in every_kind(np.random.default_rng(21), 15_000):
        room, before = most_events(book.arrays), int(head[ladder.SEQUENCE])
        book.process(message[None])
        made = int(head[ladder.SEQUENCE]) - before
        assert made <= room
        closest = max(closest, made / room)
    assert closest > 0.2  # the bound was put to the test


@pytest.mark.parametrize("room", [40, 200, 700])
def test_a_log_that_runs_full_refuses_messages_and_loses_no_event(room: int) -> None:
    book = OrderBook(OWNERS, levels=LEVELS, capacity=CAPACITY, room=room)
    book.process(every_kind(np.random.default_rng(22), 3_000))
    assert book.rejects()[Reject.LOG_FULL] > 0
    assert book.events()["sequence"].tolist() == list(range(1, int(book.arrays.head[ladder.SEQUENCE]) + 1))
    assert_sound(book)


def digest(count: int) -> str:
    book = OrderBook(OWNERS, levels=LEVELS, capacity=CAPACITY, room=16 * count)
    answers = book.process(every_kind(np.random.default_rng(SEED), count))
    parts = [answers, *book.arrays]
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def run_both(count: int) -> Ints:
    """The same messages, with a halt now and then, through both books; the events, which are equal."""
    messages = every_kind(np.random.default_rng(SEED), count)
    fast, slow = (
        OrderBook(OWNERS, levels=LEVELS, capacity=CAPACITY, room=16 * count),
        PlainBook(OWNERS, LEVELS, CAPACITY),
    )
    cuts = [0, *range(5_000, count, 5_000), count]
    for piece, (start, end) in enumerate(itertools.pairwise(cuts)):
        slow.halted = piece % 10 == 4
        (fast.halt if slow.halted else fast.resume)()
        end = start + (end - start) // 10 if slow.halted else end  # a short halt
        answers = fast.process(messages[start:end])
        assert answers.tolist() == [slow.process(*one) for one in messages[start:end].tolist()]
        assert_queues_are_equal(fast, slow)
    rows = compiled_rows(fast)
    assert np.array_equal(rows, plain_rows(slow))
    assert [fast.position(owner) for owner in range(OWNERS)] == slow.position
    assert [fast.cash(owner) for owner in range(OWNERS)] == slow.cash
    assert sum(fast.rejects().values()) == int((rows[:, 1] == Event.REJECTED).sum())
    assert_sound(fast)
    return rows


def every_kind(rng: np.random.Generator, n: int) -> Ints:
    """Orders of all kinds around a wandering price, far outliers, cancels of recent ids, one message in 40 garbage."""
    kinds = np.arange(plain_book.ICEBERG + 1)
    share = np.array([0.36, 0.06, 0.22, 0.04, 0.03, 0.03, 0.03, 0.07, 0.05, 0.03, 0.08])
    kind = rng.choice(kinds, n, p=share)
    side = rng.choice([1, -1], n)
    centre = 4_000 + np.cumsum(rng.choice([-1, 0, 1], n, p=[0.05, 0.9, 0.05]))
    away = np.where(rng.random(n) < 0.03, rng.integers(0, 3_500, n), rng.integers(-4, 30, n))
    ids = np.arange(1, n + 1)
    recent = np.maximum(1, ids - rng.integers(1, 300, n))
    old = np.isin(kind, [plain_book.CANCEL, plain_book.REPLACE])
    messages = np.zeros((n, MESSAGE_WIDTH), np.int64)
    messages[:, 1] = np.where(old, recent, ids)
    messages[:, 2] = rng.integers(0, OWNERS, n)
    messages[:, 3] = side
    messages[:, 4] = centre - side * away
    messages[:, 5] = np.where(rng.random(n) < 0.05, rng.integers(50, 400, n), rng.integers(1, 12, n))
    messages[:, 6] = rng.random(n) < 0.01
    stops = np.isin(kind, [plain_book.STOP, plain_book.STOP_LIMIT])
    messages[:, 7] = np.where(
        stops, centre + side * rng.integers(0, 40, n), 1 + messages[:, 5] // rng.integers(1, 12, n)
    )
    reducing = rng.random(n) < np.where(stops, 0.4, 0.12)
    messages[:, 0] = kind + np.where(reducing & ~old, plain_book.REDUCE_ONLY, 0)
    owned = np.flatnonzero(old & (rng.random(n) < 0.93))
    messages[owned, 2] = messages[messages[owned, 1] - 1, 2]
    same_price = np.flatnonzero((kind == plain_book.REPLACE) & (rng.random(n) < 0.5))
    messages[same_price, 4] = messages[messages[same_price, 1] - 1, 4]
    wrong = np.flatnonzero(rng.random(n) < 0.025)
    messages[wrong, rng.integers(0, 8, len(wrong))] = rng.choice([-7, 0, 99, 5, 2**40, -(2**63), 2**63 - 1], len(wrong))
    return messages


def deepest_sweep(rows: Ints) -> int:
    """The most price levels that one order traded through."""
    trades = rows[rows[:, 1] == Event.TRADE]
    pairs = np.unique(trades[:, [7, 4]], axis=0)
    return int(np.unique(pairs[:, 0], return_counts=True)[1].max())


def longest_cascade(rows: Ints) -> int:
    """The most stops triggered between two messages."""
    longest = run = 0
    for kind in rows[:, 1].tolist():
        if kind == Event.TRIGGERED:
            run += 1
            longest = max(longest, run)
        elif kind in (Event.ACCEPTED, Event.CANCELLED, Event.REPLACED, Event.REJECTED):
            run = 0
    return longest
