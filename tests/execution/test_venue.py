"""The paper venue: the bar-level exchange, with a state that survives JSON and orders that are taken once."""

import json

import pytest

from wavetank.execution.session import Settings
from wavetank.execution.venue import Ack, PaperVenue
from wavetank.market.exchange import BarExchange
from wavetank.market.orders import Kind, Order

from .toy import HOUR_MS, made_bars, terms


def venue() -> PaperVenue:
    return PaperVenue(terms(), HOUR_MS, 100_000.0)


def test_it_fills_as_the_exchange_alone_does() -> None:
    paper, alone = venue(), BarExchange(terms(), HOUR_MS, 100_000.0)
    for number, bar in enumerate(made_bars(40)):
        assert paper.on_bar(bar) == alone.on_bar(bar)
        assert paper.account == alone.account
        if number % 3 == 0:
            order = Order(1000 * (-1) ** number, client_id=f"o{number}")
            assert paper.submit(order) == Ack(f"o{number}", True)
            alone.submit(order)
    assert paper.account.trades == 13


def test_an_order_that_comes_twice_is_taken_once() -> None:
    paper, bars = venue(), made_bars(20)
    for bar in bars.slice(0, 19):
        paper.on_bar(bar)
    order = Order(500, client_id="a")
    assert [paper.submit(order), paper.submit(order)] == [Ack("a", True)] * 2
    (fill,) = paper.on_bar(bars.bar(19))
    assert (fill.lots, fill.client_id) == (500, "a")


def test_an_order_that_the_exchange_refuses_is_answered_with_its_reason() -> None:
    paper = venue()
    assert paper.submit(Order(0, client_id="a")) == Ack("a", False, "an order of 0 lots is not an order")
    assert paper.submit(Order(1, client_id="b")).accepted
    assert "already waits" in paper.submit(Order(2, client_id="c")).reason


def test_its_state_survives_json_to_the_last_bit() -> None:
    paper, again, bars = venue(), venue(), made_bars(60)
    for bar in bars.slice(0, 30):
        paper.on_bar(bar)
    paper.submit(Order(700, client_id="a"))
    paper.submit(Order(-300, Kind.LIMIT, int(bars.close[29] * 102), client_id="b"))
    paper.submit(Order(-200, Kind.STOP, int(bars.close[29] * 98), True, "c"))
    again.restore(json.loads(json.dumps(paper.state())))
    for bar in bars.slice(30, 60):
        assert paper.on_bar(bar) == again.on_bar(bar)
    assert paper.account == again.account
    assert paper.state() == again.state()
    assert paper.account.trades > 1


def test_a_long_gap_ends_waiting_orders_and_estimates() -> None:
    paper, bars = venue(), made_bars(40, gap_at=20)
    for bar in bars.slice(0, 20):
        paper.on_bar(bar)
    warm_before = paper.is_warm
    paper.submit(Order(500, client_id="a"))
    assert paper.on_bar(bars.bar(20)) == []
    assert (warm_before, paper.is_warm) == (True, False)
    fresh = venue()
    fresh.on_bar(bars.bar(20))
    assert paper.state()["conditions"] == fresh.state()["conditions"]


def test_before_the_first_decision_the_account_does_not_age() -> None:
    paper = venue()
    for bar in made_bars(20):
        paper.warm(bar)
    assert paper.account == venue().account
    assert paper.is_warm


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cash": 0.0}, "cash 0.0 must be above 0"),
        ({"cash": float("nan")}, "cash nan must be above 0"),
        ({"limits": "none"}, "mode 'none' is not one of"),
        ({"snapshot_every": 0}, "snapshot_every 0 must be 1 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Settings(**settings)  # type: ignore[arg-type]  # any of its fields
