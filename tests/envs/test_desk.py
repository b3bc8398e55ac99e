"""The desk on paper: orders from actions, the account's eight columns, a restart that changes nothing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavetank.envs.desk import Desk, account_columns, order_lots
from wavetank.envs.features import FEATURES
from wavetank.envs.observation import ACCOUNT_COLUMNS, ObservationSpec
from wavetank.envs.past import Nothing, Tabled
from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.ledger import Account, open_account
from wavetank.market.limits import Limits, State
from wavetank.market.orders import Instrument, Order
from wavetank.market.terms import Terms
from wavetank.memory.columns import MEMORY_COLUMNS

from ..market.handmade import HOUR, drawn_bars, same_bits

SHORT = ObservationSpec("short", 1, ("return_1", "return_5"))


def _terms(dead_band: float = 0.0, **instrument: float) -> Terms:
    given = {"lot": 0.1, "min_notional": 0.0, "max_leverage": 2.0} | instrument
    limits = Limits(max_exposure=0.5, daily_loss=0.05, drawdown=0.2)
    return terms_of(Instrument(**given), Costs(), limits, dead_band)  # type: ignore[arg-type]


def _account(**changed: float) -> Account:
    return open_account(1_000.0)._replace(**changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("action", "held", "lots"),
    [
        (1.0, 0, 2_000),  # leverage 2 on 1,000 at 10 in lots of 0.1
        (-1.0, 0, -2_000),
        (0.5, 0, 1_000),
        (0.5, 1_000, 0),
        (0.5, -300, 1_300),
        (0.0, 700, -700),
        (0.00049, 0, 0),  # less than a lot
        (0.0005, 0, 1),
        (0.00099, 0, 1),
        (-0.00099, 0, -1),
        (7.0, 0, 2_000),  # beyond the space: held at its edge
    ],
)
def test_an_action_is_a_target_exposure_as_a_share_of_the_allowed_one(action: float, held: int, lots: int) -> None:
    assert order_lots(action, _account(lots=held), 10.0, _terms()) == lots


def test_exposure_is_measured_on_what_the_account_is_worth_now() -> None:
    assert order_lots(1.0, _account(equity=500.0), 10.0, _terms()) == 1_000
    assert order_lots(1.0, _account(equity=500.0), 5.0, _terms()) == 2_000
    assert order_lots(1.0, _account(equity=0.0), 10.0, _terms()) == 0
    assert order_lots(1.0, _account(equity=-5.0, lots=3), 10.0, _terms()) == 0


@pytest.mark.parametrize(("action", "lots"), [(0.5099, 0), (0.51, 20), (0.49, -20), (0.4905, 0)])
def test_a_change_inside_the_dead_band_is_not_traded(action: float, lots: int) -> None:
    assert order_lots(action, _account(lots=1_000), 10.0, _terms(dead_band=0.01)) == lots


@pytest.mark.parametrize(("action", "lots"), [(0.00449, 0), (0.0045, 9), (-0.0045, -9), (-0.00449, 0)])
def test_an_order_below_the_least_notional_is_not_sent(action: float, lots: int) -> None:
    assert order_lots(action, _account(), 10.0, _terms(min_notional=9.0)) == lots


def test_account_columns_on_paper() -> None:
    account = _account(
        lots=-50, entry=12.0, equity=950.0, peak=1_100.0, day_equity=1_000.0, idle_bars=9, state=int(State.REDUCING)
    )
    got = dict(zip(ACCOUNT_COLUMNS, account_columns(account, 10.0, _terms(maintenance=0.01)), strict=True))
    assert got == pytest.approx(
        {
            "position": -50 / 1_900,
            "unrealised": 10 / 950,
            "drawdown": 150 / 1_100,
            "idle": math.log(10),
            "margin_headroom": 1 - 0.01 * 50 / 950,
            "loss_headroom": 0.0,  # five per cent of 1,000 have gone, and that is the limit
            "exposure_headroom": 1 - 50 / 1_900 / 0.5,
            "trading_state": 0.5,
        },
        abs=1e-12,
    )


def test_a_fresh_account_looks_untouched() -> None:
    assert account_columns(open_account(5.0), 123.0, _terms()) == (0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0)


def test_an_account_with_nothing_left_has_columns_too() -> None:
    gone = _account(equity=-3.0, lots=0, idle_bars=1, state=int(State.HALTED))
    assert account_columns(gone, 10.0, _terms()) == (0.0, 0.0, 1.0, math.log(2.0), 0.0, 0.0, 0.0, 1.0)


_money = st.floats(-1e9, 1e9)


@given(
    st.integers(-(10**9), 10**9),
    _money,
    st.floats(1e-9, 1e9),
    st.floats(1e-9, 1e9),
    st.floats(1e-6, 1e7),
    st.integers(0, 10**6),
    st.sampled_from([0, 1, 2]),
    st.floats(1e-9, 1e9),
)
def test_account_columns_are_always_finite_and_bounded(
    lots: int, equity: float, day: float, above: float, price: float, idle: int, state: int, entry: float
) -> None:
    peak = max(equity, 0.0) + above
    account = _account(lots=lots, entry=entry, equity=equity, peak=peak, day_equity=day, idle_bars=idle, state=state)
    columns = np.array(account_columns(account, price, _terms()), np.float32)
    assert np.isfinite(columns).all()
    assert np.abs(columns).max() <= 14.0


def test_the_desk_says_nothing_until_it_is_warm() -> None:
    bars = drawn_bars(np.random.default_rng(1), 60)
    desk = Desk(SHORT, _terms(), HOUR)
    assert not desk.is_warm
    with pytest.raises(ValueError, match="the desk has not seen enough bars to observe"):
        desk.observe(open_account(1.0))
    warm = [desk.on_bar(bar) for bar in bars]
    assert warm == sorted(warm), "once warm, it stays so"
    assert warm.index(True) >= 5
    assert desk.is_warm


def test_an_observation_is_market_then_account_in_float32_and_belongs_to_the_caller() -> None:
    bars = drawn_bars(np.random.default_rng(2), 40)
    desk = Desk(SHORT, _terms(), HOUR)
    for bar in bars:
        desk.on_bar(bar)
    account = _account(lots=300, entry=99.0)
    seen = desk.observe(account)
    expected = [math.log(bars.close[-1] / bars.close[-2]), math.log(bars.close[-1] / bars.close[-6])]
    assert seen.dtype == np.float32
    assert seen[:2] == pytest.approx(expected, rel=1e-6)
    assert same_bits(seen[2:], np.array(account_columns(account, float(bars.close[-1]), _terms()), np.float32))
    seen[:] = 0.0
    assert desk.observe(account)[0] != 0.0
    assert desk.price == bars.close[-1]


def test_orders_are_market_orders_of_whole_lots_or_none() -> None:
    desk = Desk(SHORT, _terms(dead_band=0.02), HOUR)
    for bar in drawn_bars(np.random.default_rng(3), 40):
        desk.on_bar(bar)
    lots = order_lots(0.5, _account(), desk.price, _terms(dead_band=0.02))
    assert lots > 0
    assert desk.orders(0.5, _account()) == [Order(lots)]
    assert desk.orders(0.0, _account()) == []


@pytest.mark.parametrize("action", [math.nan, math.inf, -math.inf, 1.0001, -2.0])
def test_an_action_that_is_none_is_refused(action: float) -> None:
    desk = Desk(SHORT, _terms(), HOUR)
    for bar in drawn_bars(np.random.default_rng(4), 40):
        desk.on_bar(bar)
    with pytest.raises(ValueError, match=r"action .* is not a number in \[-1, 1\]"):
        desk.orders(action, _account())


@pytest.mark.parametrize("at", [0, 3, 30, 59, 60, 100])
def test_a_restored_desk_goes_on_exactly(at: int) -> None:
    spec = ObservationSpec("all", 1, tuple(FEATURES))
    bars = list(drawn_bars(np.random.default_rng(5), 200, gaps={110: 20}))
    whole, second = Desk(spec, _terms(), HOUR), Desk(spec, _terms(), HOUR)
    for bar in bars[:at]:
        whole.on_bar(bar)
    second.restore(whole.state())
    account = _account(lots=30, entry=90.0)
    assert (whole.is_warm, whole.price) == (second.is_warm, second.price)
    if whole.is_warm:
        assert same_bits(whole.observe(account), second.observe(account))
        assert whole.orders(0.3, account) == second.orders(0.3, account)
    for bar in bars[at:]:
        assert whole.on_bar(bar) == second.on_bar(bar)
        if whole.is_warm:
            assert same_bits(whole.observe(account), second.observe(account))
    assert whole.state() == second.state()


def test_the_past_stands_between_market_and_account() -> None:
    bars = drawn_bars(np.random.default_rng(6), 30)
    matrix = np.random.default_rng(7).random((30, 10)).astype(np.float32)
    spec = ObservationSpec("m", 1, SHORT.market, MEMORY_COLUMNS)
    desk = Desk(spec, _terms(), HOUR, Tabled(bars.closed_at, matrix))
    for bar in bars:
        desk.on_bar(bar)
    seen = desk.observe(open_account(9.0))
    assert seen.shape == (20,)
    assert same_bits(seen[2:12], matrix[-1])


def test_memory_columns_and_the_past_must_belong_together() -> None:
    with pytest.raises(ValueError, match="observation short has 0 memory columns; the past does not match"):
        Desk(SHORT, _terms(), HOUR, Tabled([MEMORY_COLUMNS.index("available")], np.zeros((1, 10))))
    spec = ObservationSpec("m", 1, SHORT.market, MEMORY_COLUMNS)
    for past in (None, Nothing()):
        with pytest.raises(ValueError, match="observation m has 10 memory columns; the past does not match"):
            Desk(spec, _terms(), HOUR, past)
