"""Spoofing features against paper, and what they see in a maker and in a spoofer."""

import math

import numpy as np
import pytest

from wavetank.market.chunks import Pace
from wavetank.market.order_events import CANCELLED, OrderEvent, OrderEvents
from wavetank.market.spoof_features import MEMORY_CHUNKS, SPOOF_FEATURES, SpoofBook, event_rows

from .invented_tapes import START, Quotes, maker_at_work, spoofer_at_work

NAMES = list(SPOOF_FEATURES)
PACE = Pace()


def told(events: OrderEvents) -> list[dict[str, float]]:
    rows, _ = event_rows(events, PACE)
    return [dict(zip(NAMES, (float(x) for x in row), strict=True)) for row in rows.values]


def test_one_order_shown_and_withdrawn_is_as_on_paper() -> None:
    book = Quotes()
    order = book.rest(0, 5, 1, 2, 30)  # 30 lots at 98, two ticks (one spread) behind a touch of 10 lots
    book.cancel(5_000, 5, order, 1, 30)
    (row,) = told(book.events())
    assert row["size"] == pytest.approx(math.log1p(3.0))
    left = math.exp(-5.0 / (25.0 * MEMORY_CHUNKS))  # a peak fades, a share of two faded sums does not
    assert row["weight"] == pytest.approx(left * 30 / (30 + 20))
    assert row["layers"] == pytest.approx(math.log1p(left))
    assert row["distance"] == pytest.approx(math.log1p(1.0))
    assert row["life"] == pytest.approx(math.log1p(0.2))
    assert row["cancelled"] == 1.0
    assert row["one_sided"] == 1.0
    assert row["opposite"] == 0.0  # traded nothing
    assert row["activity"] == pytest.approx(math.log1p(1.0))


def test_what_was_filled_was_not_cancelled() -> None:
    book = Quotes()
    order = book.rest(0, 5, 1, 0, 30)
    book.fill(0, 5, order, 1, 10)
    book.cancel(0, 5, order, 1, 20)
    (row,) = told(book.events())
    assert row["cancelled"] == pytest.approx(20 / 30)
    assert row["opposite"] == -1.0  # bought where it showed buying


def test_a_trade_against_the_side_shown_is_opposite() -> None:
    book = Quotes()
    order = book.rest(0, 5, 1, 0, 30)
    book.take(0, 5, -1, 6)
    book.cancel(0, 5, order, 1, 30)
    (row,) = told(book.events())
    assert row["opposite"] == 1.0
    assert row["opposite_fills"] == pytest.approx(6 / 30)


def test_the_past_fades() -> None:
    book = Quotes()
    first = book.rest(0, 5, 1, 0, 30)
    book.cancel(0, 5, first, 1, 30)
    later = 1000 * 25 * MEMORY_CHUNKS
    second = book.rest(later, 5, -1, 0, 30)
    book.cancel(later, 5, second, -1, 30)
    row = told(book.events())[1]
    old = 30 * math.exp(-1.0)
    assert row["one_sided"] == pytest.approx((30 - old) / (30 + old))


def test_an_order_whose_coming_was_not_seen_tells_nothing() -> None:
    book = Quotes()
    book.cancel(0, 5, 99, 1, 30)
    assert told(book.events()) == []


def test_an_order_that_was_filled_whole_is_gone() -> None:
    book = Quotes()
    order = book.rest(0, 5, 1, 0, 30)
    book.fill(1_000, 5, order, 1, 30)
    book.cancel(2_000, 5, order, 1, 30)
    assert told(book.events()) == []


def test_a_spoofer_parts_from_a_maker_in_every_feature_that_has_a_direction() -> None:
    rng, book = np.random.default_rng(1), Quotes()
    maker_at_work(book, rng, 1, 600)
    spoofer_at_work(book, rng, 2, 300_000, side=1, layers=4)
    rows, owners = event_rows(book.events(), PACE)
    last = rows.values[np.flatnonzero(owners == 2)[-1]]
    usual = np.median(rows.values[owners == 1], axis=0)
    for k, (name, (_, direction)) in enumerate(SPOOF_FEATURES.items()):
        if direction:
            assert direction * last[k] > direction * usual[k], name


def test_an_owner_is_watched_from_its_first_event_on_and_no_longer_than_the_memory() -> None:
    book = Quotes()
    orders = [book.rest(at, 5, 1, 0, 10) for at in (0, 40_000, 70_000)]
    for at, order in zip((50_000, 75_000, 10_000_000), orders, strict=True):
        book.cancel(at, 5, order, 1, 10)
    rows, _ = event_rows(book.events(), PACE)
    expected = [50_000 / PACE.chunk_ms, 75_000 / PACE.chunk_ms, MEMORY_CHUNKS]
    assert rows.values[:, NAMES.index("watched")] == pytest.approx([math.log1p(x) for x in expected])


def test_another_future_leaves_every_past_row_as_it_was() -> None:
    rng, book = np.random.default_rng(2), Quotes()
    maker_at_work(book, rng, 1, 600)
    spoofer_at_work(book, rng, 2, 100_000, side=-1, layers=3)
    events = book.events()
    whole, _ = event_rows(events, PACE)
    half, _ = event_rows(events.slice(0, len(events) // 2), PACE)
    assert len(half.values) > 50
    assert np.array_equal(half.values, whole.values[: len(half.values)])


def test_tables_grow_with_owners_and_orders() -> None:
    book = Quotes()
    for owner in range(1, 400):
        book.rest(owner, owner, 1, 0, owner)
    for order in range(1, 400):
        book.cancel(1_000, order, order, 1, order)
    rows, owners = event_rows(book.events(), PACE)
    assert sorted(owners) == list(range(1, 400))
    assert rows.values[owners == 300][0, NAMES.index("size")] == pytest.approx(math.log1p(30.0))


@pytest.mark.parametrize("broken", [{"kind": 9}, {"side": 0}, {"lots": 0}, {"order_id": 0}, {"bid_lots": -1}])
def test_an_event_that_cannot_be_true_is_refused(broken: dict[str, int]) -> None:
    event = OrderEvent(START, CANCELLED, 1, 1, 1, 99, 5, 100, 10, 102, 10)._replace(**broken)
    with pytest.raises(ValueError, match="order event"):
        SpoofBook(PACE).take(event)
    with pytest.raises(ValueError, match="event 0 cannot be true"):
        OrderEvents(*(np.array([value]) for value in event))
