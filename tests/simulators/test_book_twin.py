"""The compiled book against its plain twin: equal event for event, whatever is thrown at it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wavetank.simulators.book import OrderBook
from wavetank.simulators.matching import Event

from .plain_book import PlainBook

Ints = NDArray[np.int64]

message = st.tuples(
    st.integers(-1, 3),  # kind
    st.integers(-1, 30),  # id
    st.integers(-1, 4),  # owner
    st.sampled_from([1, -1, 0]),
    st.integers(-1, 201),  # ticks
    st.sampled_from([1, 2, 3, 5, 8, 100, 0, -4, 2**31, 2**31 + 1]),
    st.integers(0, 1),  # label
)


def plain_rows(book: PlainBook) -> Ints:
    return np.array(book.events, np.int64).reshape(-1, 12)


def compiled_rows(book: OrderBook) -> Ints:
    return book.arrays.events[: len(book.events())]


def assert_sound(book: OrderBook) -> None:
    accounts = book.arrays.accounts
    assert accounts.sum(axis=0).tolist() == [0, 0]
    assert not (book.best_bid and book.best_ask and book.best_bid >= book.best_ask)


@settings(max_examples=150, deadline=None)
@given(st.lists(message, max_size=60))
def test_any_messages_make_the_same_events_as_the_plain_twin(messages: list[tuple[int, ...]]) -> None:
    fast, slow = OrderBook(4, levels=200, capacity=8, room=4096), PlainBook(4, 200, 8)
    answers = fast.process(np.array(messages, np.int64).reshape(-1, 7))
    assert answers.tolist() == [slow.process(*one) for one in messages]
    assert np.array_equal(compiled_rows(fast), plain_rows(slow))
    assert fast.live_orders == len(slow.resting)
    assert_sound(fast)


def test_a_hundred_thousand_messages_make_the_same_events_as_the_plain_twin() -> None:
    messages = market_like(np.random.default_rng(20), 100_000)
    fast, slow = OrderBook(12, levels=1 << 13, capacity=120, room=1 << 19), PlainBook(12, 1 << 13, 120)
    answers = fast.process(messages)
    assert answers.tolist() == [slow.process(*one) for one in messages.tolist()]
    rows = compiled_rows(fast)
    assert np.array_equal(rows, plain_rows(slow))
    assert [fast.position(owner) for owner in range(12)] == slow.position
    assert [fast.cash(owner) for owner in range(12)] == slow.cash
    assert_sound(fast)
    assert set(np.unique(rows[:, 1])) == {int(kind) for kind in Event}
    assert deepest_sweep(rows) >= 5


def market_like(rng: np.random.Generator, n: int) -> Ints:
    """Limits around a wandering price with far outliers, cancels of recent ids, sweeps, and one message in 50 wrong."""
    messages = np.zeros((n, 7), np.int64)
    kind = rng.choice([0, 1, 2], n, p=[0.6, 0.1, 0.3])
    side = rng.choice([1, -1], n)
    centre = 4_000 + np.cumsum(rng.choice([-1, 0, 1], n))
    away = np.where(rng.random(n) < 0.03, rng.integers(0, 3_500, n), rng.integers(-3, 40, n))
    ids = np.arange(1, n + 1)
    recent = np.maximum(1, ids - rng.integers(1, 200, n))
    messages[:, 0] = kind
    messages[:, 1] = np.where(kind == 2, recent, ids)
    messages[:, 2] = rng.integers(0, 12, n)
    messages[:, 3] = side
    messages[:, 4] = centre - side * away
    messages[:, 5] = np.where(rng.random(n) < 0.05, rng.integers(50, 400, n), rng.integers(1, 12, n))
    messages[:, 6] = rng.random(n) < 0.01
    cancels = np.flatnonzero(kind == 2)
    owned = rng.random(len(cancels)) < 0.9
    messages[cancels[owned], 2] = messages[messages[cancels[owned], 1] - 1, 2]
    wrong = np.flatnonzero(rng.random(n) < 0.02)
    messages[wrong, rng.integers(0, 6, len(wrong))] = rng.choice([-7, 0, 99, 2**40], len(wrong))
    return messages


def deepest_sweep(rows: Ints) -> int:
    """The most price levels that one order traded through."""
    trades = rows[rows[:, 1] == Event.TRADE]
    pairs = np.unique(trades[:, [7, 4]], axis=0)
    return int(np.unique(pairs[:, 0], return_counts=True)[1].max())
