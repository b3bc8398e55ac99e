"""The gates: each at its limit and beside it, what latches, and the table of codes in the documentation."""

import math
from pathlib import Path

import numpy as np
import pytest

from wavetank.execution.gates import MEANINGS, Denial, Gates, Verdict, denial_table
from wavetank.market.bars import Bar
from wavetank.market.contract import terms_of
from wavetank.market.ledger import LIQUIDATED, Account, open_account, with_ruin
from wavetank.market.limits import Limits, State, update_limits
from wavetank.market.orders import Instrument
from wavetank.market.terms import Terms

from .toy import COSTS, HOUR_MS

LIMITS = Limits(mode="live", max_exposure=0.5, max_order=0.3, daily_loss=0.05, drawdown=0.2)
PLAIN = Instrument(lot=1.0, max_leverage=1.0)  # at price 1 and equity 1000, one lot is a thousandth


def made(limits: Limits = LIMITS, actions: str = "box") -> Gates:
    return Gates(terms(limits), HOUR_MS, 3.0, actions)


def terms(limits: Limits = LIMITS) -> Terms:
    return terms_of(PLAIN, COSTS, limits)


def account(lots: int = 0, equity: float = 1000.0, day_equity: float = 1000.0) -> Account:
    return open_account(1000.0)._replace(cash=equity - lots, lots=lots, equity=equity, day_equity=day_equity)


def bar(number: int) -> Bar:
    return Bar(number * HOUR_MS, 1.0, 1.0, 1.0, 1.0, 1.0)


def judged(gates: Gates, asked: int, held: int = 0, equity: float = 1000.0) -> Verdict:
    return gates.judge(asked, account(held, equity), 1.0)


@pytest.mark.parametrize(
    ("asked", "lots", "codes"),
    [(299, 299, ()), (300, 300, ()), (301, 300, (Denial.ORDER_SIZE,)), (-301, -300, (Denial.ORDER_SIZE,))],
)
def test_order_size_below_at_and_above_its_limit(asked: int, lots: int, codes: tuple[Denial, ...]) -> None:
    assert judged(made(), asked) == Verdict(asked, lots, codes, State.ACTIVE)


@pytest.mark.parametrize(
    ("held", "lots", "codes"),
    [(299, 200, ()), (300, 200, ()), (301, 199, (Denial.EXPOSURE,)), (-400, 200, ())],
)
def test_exposure_below_at_and_above_its_limit(held: int, lots: int, codes: tuple[Denial, ...]) -> None:
    assert judged(made(), 200, held) == Verdict(200, lots, codes, State.ACTIVE)


def test_both_size_limits_are_named_where_both_bite() -> None:
    assert judged(made(), 400, 400) == Verdict(400, 100, (Denial.ORDER_SIZE, Denial.EXPOSURE), State.ACTIVE)


@pytest.mark.parametrize(("equity", "state"), [(951.0, 0), (950.0, 1), (949.0, 1)])
def test_daily_loss_above_at_and_below_its_limit(equity: float, state: int) -> None:
    after = update_limits(account(100, equity=equity), terms())
    grow, shrink = made().judge(10, after, 1.0), made().judge(-10, after, 1.0)
    assert (grow.state, shrink.state) == (state, state)
    assert (grow.lots, grow.codes) == ((0, (Denial.DAILY_LOSS,)) if state else (10, ()))
    assert (shrink.lots, shrink.codes) == (-10, ())


@pytest.mark.parametrize(("equity", "is_halted"), [(801.0, False), (800.0, True), (799.0, True)])
def test_drawdown_above_at_and_below_its_limit(equity: float, is_halted: bool) -> None:
    after = update_limits(account(100, equity=equity, day_equity=equity), terms())
    verdict = made().judge(10, after, 1.0)
    assert (verdict.state == State.HALTED) == is_halted
    assert (verdict.lots, verdict.codes) == ((-100, (Denial.DRAWDOWN,)) if is_halted else (10, ()))


@pytest.mark.parametrize(
    ("late_ms", "is_stale"),
    [(3 * HOUR_MS - 1, False), (3 * HOUR_MS, False), (3 * HOUR_MS + 1, True), (-HOUR_MS, False), (-HOUR_MS - 1, True)],
)
def test_a_bar_too_old_or_from_the_future_allows_reductions_alone(late_ms: int, is_stale: bool) -> None:
    gates = made()
    gates.on_bar(bar(9), 10 * HOUR_MS - 1 + late_ms, is_warm=True)
    assert judged(gates, 10, 100).codes == ((Denial.STALE_BAR,) if is_stale else ())
    assert judged(gates, -10, 100).lots == -10
    gates.on_bar(bar(10), 11 * HOUR_MS - 1, is_warm=True)
    assert judged(gates, 10, 100).lots == 10


def test_a_gap_allows_reductions_alone_until_the_desk_is_warm() -> None:
    gates = made()
    gates.on_bar(bar(0), HOUR_MS - 1, is_warm=True)
    gates.on_bar(bar(4), 5 * HOUR_MS - 1, is_warm=True)  # three bars are missing: crossed
    assert judged(gates, 10, 100).lots == 10
    gates.on_bar(bar(9), 10 * HOUR_MS - 1, is_warm=False)  # four are missing
    assert judged(gates, 10, 100) == Verdict(10, 0, (Denial.FEED_GAP,), State.REDUCING)
    gates.on_bar(bar(10), 11 * HOUR_MS - 1, is_warm=False)
    assert judged(gates, 10, 100).lots == 0
    gates.on_bar(bar(11), 12 * HOUR_MS - 1, is_warm=True)
    assert judged(gates, 10, 100).lots == 10


@pytest.mark.parametrize(
    ("action", "code"),
    [
        (math.nan, Denial.ACTION_NOT_FINITE),
        (math.inf, Denial.ACTION_NOT_FINITE),
        (-math.inf, Denial.ACTION_NOT_FINITE),
        (math.nextafter(1.0, 2.0), Denial.ACTION_OUT_OF_RANGE),
        (-1.5, Denial.ACTION_OUT_OF_RANGE),
        (1.0, None),
        (-1.0, None),
    ],
)
def test_an_action_that_is_no_exposure_sends_nothing_and_halts(action: float, code: Denial | None) -> None:
    gates = made()
    exposure, denied = gates.check_action(action)
    assert denied == code
    assert gates.halted_by == code
    if code is None:
        assert exposure == action
        return
    assert gates.judge(0, account(100), 1.0, denied) == Verdict(0, 0, (code,), State.HALTED)
    assert judged(gates, 10, 100) == Verdict(10, -100, (code,), State.HALTED)


@pytest.mark.parametrize(("action", "exposure"), [(0.0, -1.0), (1.0, 0.0), (2.0, 1.0), (3.0, None), (0.5, None)])
def test_discrete_actions_are_levels(action: float, exposure: float | None) -> None:
    gates = made(actions="discrete")
    told, denied = gates.check_action(action)
    assert (denied is None) == (exposure is not None)
    assert exposure is None or told == exposure


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_observation_that_is_not_all_numbers_halts(bad: float) -> None:
    gates = made()
    assert gates.check_observation(np.array([0.0, 1.0], np.float32)) is None
    assert gates.check_observation(np.array([0.0, bad], np.float32)) == Denial.OBSERVATION_NOT_FINITE
    assert judged(gates, 10).state == State.HALTED


def test_equity_that_is_no_number_sends_nothing_and_halts() -> None:
    gates, broken = made(), account(100, equity=math.nan)
    gates.check_account(broken)
    assert gates.judge(10, broken, 1.0) == Verdict(10, 0, (Denial.EQUITY_NOT_FINITE,), State.HALTED)


def test_a_liquidation_halts() -> None:
    gates = made()
    gates.check_account(with_ruin(account(), LIQUIDATED))
    assert judged(gates, 10) == Verdict(10, 0, (Denial.LIQUIDATED,), State.HALTED)


@pytest.mark.parametrize("mode", ["off", "clip", "live"])
def test_a_halt_closes_and_stays_in_every_mode_of_the_limits(mode: str) -> None:
    gates = made(Limits(mode=mode))
    gates.halt(Denial.KILLED)
    gates.halt(Denial.DRAWDOWN)  # the first cause is kept
    assert judged(gates, 0, -7) == Verdict(0, 7, (Denial.KILLED,), State.HALTED)
    gates.on_bar(bar(1), 2 * HOUR_MS - 1, is_warm=True)
    assert judged(gates, 5) == Verdict(5, 0, (Denial.KILLED,), State.HALTED)


def test_limits_that_are_off_let_everything_pass() -> None:
    assert judged(made(Limits(mode="off", max_order=0.1)), 5000, 10, equity=1.0).lots == 5000


def test_latches_survive_a_restart() -> None:
    gates, again = made(), made()
    gates.on_bar(bar(0), HOUR_MS - 1, is_warm=True)
    gates.on_bar(bar(9), 99 * HOUR_MS, is_warm=False)
    gates.halt(Denial.KILLED)
    again.restore(gates.state())
    assert again.state() == gates.state()
    assert judged(again, 5, 5) == judged(gates, 5, 5)
    assert again.halted_by == Denial.KILLED


def test_every_code_has_its_row_in_the_documentation() -> None:
    assert set(MEANINGS) == set(Denial)
    document = (Path(__file__).parents[2] / "docs" / "execution.md").read_text()
    assert denial_table() in document
