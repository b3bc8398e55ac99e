"""Each limit in each mode one lot below, at, and above its threshold; latches; what stays allowed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.ledger import Account, open_account
from wavetank.market.limits import (
    Limits,
    State,
    allowed_lots,
    day_roll,
    drawdown_breached,
    loss_breached,
    update_limits,
)
from wavetank.market.orders import Instrument
from wavetank.market.terms import Terms

INSTRUMENT = Instrument(lot=0.1, max_leverage=2.0)
MODES = ["off", "clip", "live"]


def _terms(mode: str, **limits: float) -> Terms:
    return terms_of(INSTRUMENT, Costs(), Limits(mode=mode, **limits))  # type: ignore[arg-type]


def _account(lots: int = 0, equity: float = 1_000.0, **changed: float) -> Account:
    """Worth 1,000 at a price of 10: with leverage 2 and lots of 0.1, the whole of it is 2,000 lots."""
    return open_account(1_000.0)._replace(lots=lots, equity=equity, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("held", [0, 300, -300, 1_000, -1_000])
@pytest.mark.parametrize("beyond", [-1, 0, 1])
@pytest.mark.parametrize("side", [1, -1])
def test_exposure_stops_an_order_at_its_limit(mode: str, held: int, beyond: int, side: int) -> None:
    terms = _terms(mode, max_exposure=0.5)  # 1,000 lots
    order = side * (1_000 + beyond) - held
    after = held + allowed_lots(order, _account(held), 10.0, terms)
    assert after == side * (1_000 + (beyond if mode == "off" else min(beyond, 0)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("beyond", [-1, 0, 1])
@pytest.mark.parametrize("side", [1, -1])
def test_a_large_order_is_cut_to_its_limit(mode: str, beyond: int, side: int) -> None:
    terms = _terms(mode, max_order=0.25)  # 500 lots
    allowed = allowed_lots(side * (500 + beyond), _account(), 10.0, terms)
    assert allowed == side * (500 + (beyond if mode == "off" else min(beyond, 0)))


@pytest.mark.parametrize("mode", ["clip", "live"])
@pytest.mark.parametrize(
    ("held", "order", "allowed"),
    [
        (1_400, 0, 0),
        (1_400, 5, 0),
        (1_400, -5, -5),
        (1_400, -400, -400),
        (1_400, -2_400, -2_400),
        (1_400, -2_401, -2_400),
        (-1_400, 0, 0),
        (-1_400, -5, 0),
        (-1_400, 5, 5),
        (-1_400, 2_401, 2_400),
    ],
)
def test_beyond_the_limit_an_order_is_never_enlarged_or_turned_around(
    mode: str, held: int, order: int, allowed: int
) -> None:
    assert allowed_lots(order, _account(held), 10.0, _terms(mode, max_exposure=0.5)) == allowed


@given(
    st.sampled_from(["clip", "live"]),
    st.integers(-4_000, 4_000),
    st.integers(-6_000, 6_000),
    st.floats(0.05, 1.5),
    st.floats(0.05, 2.0),
    st.sampled_from([0, 1, 2]),
    st.floats(0.0, 1_200.0),
)
def test_limits_let_through_a_part_of_the_order_or_close(
    mode: str, held: int, order: int, exposure: float, size: float, state: int, equity: float
) -> None:
    terms = _terms(mode, max_exposure=exposure, max_order=size)
    account = _account(held, equity, state=state, peak=1_200.0)
    allowed = allowed_lots(order, account, 10.0, terms)
    if state == State.HALTED:
        assert allowed == -held
        return
    assert min(0, order) <= allowed <= max(0, order)
    grows = abs(held + allowed) > abs(held)
    if grows:
        assert state == State.ACTIVE
        assert abs(held + allowed) <= exposure * 2 * equity + 1
        assert abs(allowed) <= size * 2 * equity + 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("equity", "breached"), [(950.01, False), (950.0, True), (949.99, True)])
def test_a_days_loss_allows_only_reductions(mode: str, equity: float, breached: bool) -> None:
    terms = _terms(mode, daily_loss=0.05, drawdown=0.9)
    account = update_limits(_account(300, equity), terms)
    assert loss_breached(account, terms) == breached
    assert account.state == (State.REDUCING if breached and mode == "live" else State.ACTIVE)
    reducing = breached and mode != "off"
    assert allowed_lots(50, account, 10.0, terms) == (0 if reducing else 50)
    assert allowed_lots(-50, account, 10.0, terms) == -50
    assert allowed_lots(-400, account, 10.0, terms) == (-300 if reducing else -400)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("equity", "breached"), [(960.01, False), (960.0, True), (959.99, True)])
def test_a_drawdown_from_the_peak_halts_and_closes(mode: str, equity: float, breached: bool) -> None:
    terms = _terms(mode, daily_loss=0.9, drawdown=0.2)
    account = update_limits(_account(-300, equity, peak=1_200.0), terms)
    assert drawdown_breached(account, terms) == breached
    assert account.state == (State.HALTED if breached and mode == "live" else State.ACTIVE)
    closing = {"off": -50, "clip": 0 if breached else -50, "live": 300 if breached else -50}
    assert allowed_lots(-50, account, 10.0, terms) == closing[mode]


def test_a_daily_latch_holds_when_the_loss_is_won_back_and_opens_with_the_day() -> None:
    terms = _terms("live", daily_loss=0.05, drawdown=0.9)
    latched = update_limits(_account(300, 940.0), terms)
    won_back = update_limits(latched._replace(equity=1_000.0), terms)
    assert won_back.state == State.REDUCING
    assert allowed_lots(50, won_back, 10.0, terms) == 0
    fresh = update_limits(day_roll(won_back, terms), terms)
    assert (fresh.state, fresh.day_equity) == (State.ACTIVE, 1_000.0)
    assert allowed_lots(50, fresh, 10.0, terms) == 50


def test_a_halt_outlives_the_day_and_the_recovery() -> None:
    terms = _terms("live", daily_loss=0.05, drawdown=0.2)
    halted = update_limits(_account(300, 700.0), terms)
    later = update_limits(day_roll(halted._replace(equity=2_000.0, peak=2_000.0), terms), terms)
    assert later.state == State.HALTED
    assert allowed_lots(50, later, 10.0, terms) == -300
    assert allowed_lots(50, later._replace(lots=0), 10.0, terms) == 0


def test_a_reducing_account_can_still_be_halted() -> None:
    terms = _terms("live", daily_loss=0.05, drawdown=0.2)
    assert update_limits(_account(300, 800.0, state=int(State.REDUCING)), terms).state == State.HALTED


@pytest.mark.parametrize("mode", MODES)
def test_a_day_begins_with_its_own_baseline_in_every_mode(mode: str) -> None:
    assert day_roll(_account(5, 870.0), _terms(mode)).day_equity == 870.0


def test_with_nothing_left_nothing_may_be_added() -> None:
    terms = _terms("clip", daily_loss=5.0, drawdown=5.0)
    assert allowed_lots(7, _account(0, -3.0), 10.0, terms) == 0
    assert allowed_lots(-7, _account(7, -3.0), 10.0, terms) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_exposure", 0.0), ("max_order", -1.0), ("daily_loss", float("nan")), ("drawdown", float("inf"))],
)
def test_a_limit_that_cannot_be_is_refused_with_its_name_and_value(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^limits: {name} {value} must be above 0$"):
        Limits(**{name: value})  # type: ignore[arg-type]


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="limits: mode 'on' is not one of off, clip, live"):
        Limits(mode="on")
