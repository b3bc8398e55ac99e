"""Money neither appears nor disappears: every step's flows add up to the change of equity, and to an exact twin's."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavetank.market.bars import Bar
from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.exchange import BarExchange
from wavetank.market.ledger import (
    LIQUIDATED,
    N_COUNTS,
    N_MONEY,
    RUINED,
    SOLVENT,
    Account,
    apply_fill,
    liquidate,
    mark,
    open_account,
    pay_funding,
    read_account,
    worth,
    write_account,
)
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument, Kind, Order, Reason
from wavetank.market.terms import Terms

from .handmade import HOUR, drawn_bars
from .twin import PlainVenue, assumed_rate, exact

UNIT = terms_of(Instrument(lot=1.0, tick=1.0), Costs(), Limits())


def _walk(account: Account, fills: list[tuple[int, float]], terms: Terms = UNIT) -> Account:
    for lots, price in fills:
        account = apply_fill(account, lots, price, 0.0, terms)
    return account


def test_an_account_opens_with_its_cash_and_nothing_else() -> None:
    account = open_account(1_000.0)
    assert account == Account(1000.0, 0.0, 1000.0, 1000.0, 1000.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, SOLVENT)


@pytest.mark.parametrize("cash", [0.0, -1.0, float("nan"), float("inf")])
def test_an_account_cannot_open_without_money(cash: float) -> None:
    with pytest.raises(ValueError, match=f"an account cannot open with {cash} in cash"):
        open_account(cash)


def test_a_fill_moves_cash_fee_turnover_and_lots() -> None:
    terms = UNIT._replace(lot=0.5)
    account = apply_fill(open_account(1_000.0), -4, 100.0, 3.0, terms)
    assert (account.cash, account.lots, account.entry) == (1_197.0, -4, 100.0)
    assert (account.fees, account.turnover, account.trades, account.idle_bars) == (3.0, 200.0, 1, 0)
    assert account.equity == 1_000.0, "equity keeps its last mark until the next one"
    assert worth(account, 100.0, terms) == 997.0


@pytest.mark.parametrize(
    ("fills", "entry"),
    [
        ([(2, 100.0), (2, 110.0)], 105.0),
        ([(-1, 100.0), (-3, 120.0)], 115.0),
        ([(4, 100.0), (-1, 130.0)], 100.0),
        ([(4, 100.0), (-4, 130.0)], 0.0),
        ([(4, 100.0), (-6, 130.0)], 130.0),
        ([(-4, 100.0), (6, 90.0), (2, 100.0)], 95.0),
    ],
)
def test_the_entry_is_the_average_of_what_was_added(fills: list[tuple[int, float]], entry: float) -> None:
    assert _walk(open_account(10_000.0), fills).entry == pytest.approx(entry)


def test_longs_pay_positive_funding_and_shorts_receive_it() -> None:
    for lots, paid in ((3, 0.3), (-3, -0.3), (0, 0.0)):
        before = _walk(open_account(1_000.0), [(lots, 100.0)])
        after = pay_funding(before, 0.001, 100.0, UNIT)
        assert after.cash == pytest.approx(before.cash - paid)
        assert after.funding == pytest.approx(paid)


def test_marking_moves_equity_and_a_peak_that_never_falls() -> None:
    account = _walk(open_account(1_000.0), [(2, 100.0)])
    up = mark(account, 150.0, UNIT)
    down = mark(up, 60.0, UNIT)
    assert (up.equity, up.peak, up.idle_bars) == (1_100.0, 1_100.0, 1)
    assert (down.equity, down.peak, down.idle_bars) == (920.0, 1_100.0, 2)


def test_a_worth_of_nothing_is_ruin() -> None:
    account = _walk(open_account(1_000.0), [(20, 100.0)])
    assert mark(account, 50.01, UNIT).ruin == SOLVENT
    assert mark(account, 50.0, UNIT).ruin == RUINED
    assert mark(account, 10.0, UNIT).ruin == RUINED


def test_a_liquidation_closes_everything_and_stays_named_so() -> None:
    account = liquidate(_walk(open_account(1_000.0), [(20, 100.0)]), 55.0, 7.0, UNIT)
    assert (account.lots, account.entry, account.ruin) == (0, 0.0, LIQUIDATED)
    assert account.cash == pytest.approx(1_000 - 20 * 45 - 7)
    assert mark(account, 1.0, UNIT).ruin == LIQUIDATED


def test_an_account_survives_its_row() -> None:
    account = Account(1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, -9, 1, 11, 12, 2)
    money, counts = np.zeros((3, N_MONEY)), np.zeros((3, N_COUNTS), np.int64)
    write_account(money, counts, 1, account)
    assert read_account(money, counts, 1) == account
    assert read_account(money, counts, 0) == Account(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 0)


Market = tuple[Instrument, Costs, list[Bar], int]

_rates = st.floats(0.0, 60.0)


@st.composite
def _markets(draw: st.DrawFn) -> Market:
    instrument = Instrument(
        lot=draw(st.sampled_from([1.0, 0.1, 0.001])),
        tick=0.01,
        max_leverage=draw(st.sampled_from([1.0, 5.0, 20.0])),
        maintenance=draw(st.floats(0.0, 0.04)),
        liquidation_fee=draw(st.floats(0.0, 0.05)),
    )
    costs = Costs(
        taker_fee_bps=draw(_rates),
        maker_fee_bps=draw(st.floats(-5.0, 20.0)),
        half_spread_bps=draw(_rates),
        impact_y=draw(st.floats(0.0, 2.0)),
        participation=draw(st.sampled_from([0.05, 0.5, 1.0])),
        funding_bps_per_8h=draw(st.floats(-50.0, 50.0)),
    )
    seed = draw(st.integers(0, 2**32 - 1))
    gaps = {draw(st.integers(1, 15)): draw(st.integers(0, 3))}
    sigma = draw(st.sampled_from([0.005, 0.05, 0.2]))
    bars = drawn_bars(np.random.default_rng(seed), 16, gaps=gaps, sigma=sigma)
    return instrument, costs, list(bars), seed


@settings(deadline=None, max_examples=80)
@given(_markets())
def test_the_flows_of_every_step_add_up_to_the_change_of_equity(market: Market) -> None:
    _assert_flows_add_up(*market)


def test_the_drawn_markets_see_every_kind_of_fill() -> None:
    costs = Costs(participation=1.0)
    seen: set[int] = set()
    for seed in range(12):
        bars = list(drawn_bars(np.random.default_rng(seed), 16, sigma=0.1))
        seen |= _assert_flows_add_up(Instrument(lot=0.1, max_leverage=5.0), costs, bars, seed)
    assert seen == {Reason.ORDER, Reason.LIMIT, Reason.STOP, Reason.LIQUIDATION}


def _assert_flows_add_up(instrument: Instrument, costs: Costs, bars: list[Bar], seed: int) -> set[int]:
    """Flows are taken from outside the ledger: from the fills that the venue reports, and from the clock."""
    rng = np.random.default_rng(seed)
    venue = BarExchange(terms_of(instrument, costs, Limits()), HOUR, 10_000.0, costs.funding_bps_per_8h)
    venue.warm(bars[0])
    lot, lots, close, reasons = exact(instrument.lot), 0, Fraction(bars[0].close), set()
    for bar in bars[1:]:
        _submit_something(venue, rng, bar)
        before = Fraction(venue.account.equity)
        fills = venue.on_bar(bar)
        reasons |= {fill.reason for fill in fills}
        flows = [amount for fill in fills for amount in (-fill.lots * lot * Fraction(fill.price), -Fraction(fill.fee))]
        due = assumed_rate(bar.opened_at, HOUR, costs.funding_bps_per_8h)
        held = lots + sum(fill.lots for fill in fills if fill.reason == Reason.ORDER)
        flows.append(-held * lot * Fraction(bar.open) * due)
        flows.append(-lots * lot * close)
        lots, close = lots + sum(fill.lots for fill in fills), Fraction(bar.close)
        flows.append(lots * lot * close)
        moved = sum(abs(flow) for flow in flows)
        assert venue.account.lots == lots
        change = Fraction(venue.account.equity) - before
        assert abs(sum(flows) - change) <= Fraction(1, 10**9) * (moved + 10_000)
        if venue.account.ruin:
            break
    return reasons


def _submit_something(venue: BarExchange, rng: np.random.Generator, bar: Bar) -> None:
    size = max(1, int(20_000 / bar.open / venue.terms.lot))
    if rng.random() < 0.8:
        venue.submit(Order(int(rng.integers(-size, size)) or 1))
    if rng.random() < 0.3:
        kind = Kind.LIMIT if rng.random() < 0.5 else Kind.STOP
        ticks = int(bar.open * float(rng.uniform(0.95, 1.05)) / venue.terms.tick)
        venue.submit(Order(int(rng.integers(1, size + 1)) * (1 if rng.random() < 0.5 else -1), kind, ticks))


@settings(deadline=None, max_examples=60)
@given(_markets(), st.sampled_from(["off", "clip", "live"]))
def test_the_venue_equals_its_exact_twin_bar_by_bar(market: Market, mode: str) -> None:
    instrument, costs, bars, seed = market
    rng = np.random.default_rng(seed)
    limits = Limits(mode=mode, daily_loss=0.04, drawdown=0.15)
    venue = BarExchange(terms_of(instrument, costs, limits), HOUR, 10_000.0, costs.funding_bps_per_8h)
    twin = PlainVenue(instrument, costs, limits, Fraction(10_000))
    venue.warm(bars[0])
    venue.account = open_account(10_000.0)
    last = bars[0]
    for bar in bars[1:]:
        size = max(1, int(20_000 / bar.open / instrument.lot))
        order = int(rng.integers(-size, size))
        sigma, volume = venue.sigma, venue.volume
        if order:
            venue.submit(Order(order))
        fills = venue.on_bar(bar)
        due = assumed_rate(bar.opened_at, HOUR, costs.funding_bps_per_8h)
        filled = twin.bar(order, bar, last.opened_at, sigma, volume, due)
        assert sum(fill.lots for fill in fills if fill.reason == 0) == filled
        _assert_close(venue.account, twin)
        last = bar
        if twin.dead:
            assert venue.account.ruin != SOLVENT
            return
        assert venue.account.ruin == SOLVENT


def _assert_close(account: Account, twin: PlainVenue) -> None:
    moved = sum(abs(flow) for flow in twin.flows) + twin.opened_with
    for name in ("cash", "equity", "peak", "day_equity", "fees", "funding", "turnover"):
        off = abs(Fraction(getattr(account, name)) - getattr(twin, name))
        assert off <= Fraction(1, 10**9) * moved, f"{name}: {float(getattr(twin, name))} is {getattr(account, name)}"
    assert (account.lots, account.state, account.trades) == (twin.lots, twin.state, twin.trades)
    assert account.idle_bars == twin.idle
