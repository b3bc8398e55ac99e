"""Borrow by hand: what is sold short is borrowed, and so is cash beyond one's own; nothing else pays."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.exchange import BarExchange
from wavetank.market.ledger import open_account, pay_borrow
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument, Order

from .handmade import HOUR, drawn_bars, flat_bar
from .twin import exact
from .venues import ONE, a_bar, a_venue

DEAR = Costs(0, 0, 0, 0, 1.0, 0, borrow_bps_per_day=240.0)  # a thousandth of what is borrowed, every hour


@pytest.mark.parametrize(
    ("lots", "paid"),
    [
        (0, 0.0),
        (10, 0.0),  # 1,000 of one's own cash
        (15, 0.5),  # 500 borrowed to hold 1,500
        (-5, 0.5),  # assets worth 500
        (-20, 2.0),  # the 2,000 they brought are not one's own, and are not lent out
    ],
)
def test_an_hour_of_borrowing(lots: int, paid: float) -> None:
    venue = a_venue(DEAR)
    if lots:
        venue.submit(Order(lots))
    venue.on_bar(flat_bar(100.0, ONE))
    assert venue.account.borrow == pytest.approx(paid, abs=1e-12)
    assert venue.account.equity == pytest.approx(1_000.0 - paid)
    assert venue.account.funding == 0.0


def test_borrow_is_paid_on_the_value_at_the_open_of_every_bar() -> None:
    venue = a_venue(DEAR)
    venue.submit(Order(-5))
    venue.on_bar(flat_bar(100.0, ONE))
    venue.on_bar(a_bar(ONE + HOUR, 120, 120, 90, 90))
    assert venue.account.borrow == pytest.approx(0.5 + 0.6)


def test_cash_that_a_short_left_behind_does_not_hide_a_loan() -> None:
    """Sold for 300, and 100 in cash: 200 of what was sold for were spent, so they are borrowed too."""
    account = open_account(1_000.0)._replace(cash=100.0)
    after = pay_borrow(account, 300.0, 0.01)
    assert after.borrow == pytest.approx(0.01 * (300.0 + 200.0))
    assert after.cash == pytest.approx(100.0 - 5.0)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(1.0, 500.0), st.sampled_from([1.0, 4.0]))
def test_a_walk_with_borrow_equals_its_exact_twin(seed: int, rate: float, leverage: float) -> None:
    costs = Costs(0, 0, 0, 0, 1.0, 0, borrow_bps_per_day=rate)
    terms = terms_of(Instrument(lot=0.1, max_leverage=leverage, maintenance=0.0), costs, Limits())
    venue, rng = BarExchange(terms, HOUR, 10_000.0, 0.0), np.random.default_rng(seed)
    cash, lots, borrow = Fraction(10_000), 0, Fraction(0)
    for bar in drawn_bars(rng, 20, sigma=0.01):
        order = int(rng.integers(-200, 200))
        if order:
            venue.submit(Order(order))
        filled = sum(fill.lots for fill in venue.on_bar(bar))
        lots += filled
        price = Fraction(bar.open)
        cash -= filled * exact(0.1) * price
        sold = max(-lots * exact(0.1) * price, Fraction(0))
        paid = exact(rate) / 10_000 / 24 * (sold + max(sold - cash, Fraction(0))) if lots else Fraction(0)
        cash, borrow = cash - paid, borrow + paid
        if venue.account.ruin:
            return
        assert float(borrow) == pytest.approx(venue.account.borrow, rel=1e-9, abs=1e-9)
        assert float(cash) == pytest.approx(venue.account.cash, rel=1e-9, abs=1e-6)
