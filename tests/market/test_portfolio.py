"""One account of many assets, worked out on paper: who goes first, what is borrowed, what a liquidation leaves."""

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.cross_margin import close_for_gaps, end_bars
from wavetank.market.ledger import LIQUIDATED, RUINED, SOLVENT, Account, open_account
from wavetank.market.limits import Limits, State
from wavetank.market.orders import Instrument
from wavetank.market.portfolio import (
    ABSENT,
    CLOSE,
    FRESH,
    HIGH,
    LOW,
    OPEN,
    PRESENCE,
    STALE,
    VOLUME,
    Markets,
    Positions,
    begin_bars,
    no_positions,
    share_limits,
    take_turns,
)

from .venues import FREE

MARGIN = Instrument(lot=1.0, tick=1.0, max_leverage=9.0, maintenance=0.1, liquidation_fee=0.02)


def _markets(
    bars: list[tuple[float, float, float, float]],
    *,
    instruments: list[Instrument] | None = None,
    costs: Costs = FREE,
    limits: Limits | None = None,
    presence: list[float] | None = None,
    rolled: float = 0.0,
) -> Markets:
    """Two rows: all assets at 100 with a volume of 1,000, then one bar each (open, high, low, close)."""
    prices: NDArray[np.float64] = np.zeros((2, len(bars), 8))
    prices[0, :, OPEN : CLOSE + 1] = 100.0
    prices[:, :, VOLUME], prices[:, :, PRESENCE] = 1_000.0, FRESH
    prices[1, :, OPEN : CLOSE + 1] = bars
    if presence is not None:
        prices[1, :, PRESENCE] = presence
    given = instruments or [MARGIN] * len(bars)
    terms = np.array([terms_of(each, costs, limits or Limits()) for each in given], np.float64)
    return Markets(prices, np.array([0.0, rolled]), terms, np.array([1.0 / 24.0]))


def _holding(cash: float, *lots: int) -> tuple[Account, Positions]:
    """An account that bought its lots at 100 each and was marked there."""
    positions = no_positions(1, len(lots))
    positions.lots[0], positions.entry[0] = lots, [100.0 if held else 0.0 for held in lots]
    equity = cash + 100.0 * sum(lots)
    return open_account(1_000.0)._replace(cash=cash, equity=equity, peak=equity, day_equity=equity), positions


FLAT = (100.0, 100.0, 100.0, 100.0)


# orders


@pytest.mark.parametrize(
    ("orders", "lots", "turns"),
    [
        ([1, 1, 1], [0, 0, 0], [0, 1, 2]),
        ([2, -1, -3, 0], [0, 3, 3, 3], [1, 2, 0, 3]),  # no order takes the place of one that adds
        ([-5, 5, -7], [3, -3, 3], [0, 1, 2]),  # through zero: to 2 of 3 that reduces, to 4 it adds
        ([-6, -7, 1], [3, 3, -1], [2, 0, 1]),  # as much on the other side is not less
    ],
)
def test_orders_that_reduce_go_first_then_by_index(orders: list[int], lots: list[int], turns: list[int]) -> None:
    positions = no_positions(1, len(lots))
    positions.lots[0], positions.ordered[0] = lots, orders
    take_turns(0, positions)
    assert positions.turn[0].tolist() == turns


def test_orders_of_one_bar_fill_at_their_opens_out_of_one_cash() -> None:
    markets = _markets([(100.0, 110.0, 90.0, 105.0), (50.0, 60.0, 40.0, 55.0)])
    account, positions = _holding(1_000.0, 0, 4)
    positions.ordered[0] = [3, -6]
    take_turns(0, positions)
    account = begin_bars(0, 1, account, positions, markets)
    assert account.cash == 1_000.0 - 300.0 + 300.0
    assert positions.lots[0].tolist() == [3, -2]
    assert positions.entry[0].tolist() == [100.0, 50.0]
    assert positions.filled[0].tolist() == [3, -6]
    account = end_bars(0, 1, account, positions, markets)
    assert account.equity == 1_000.0 + 3 * 105.0 - 2 * 55.0
    assert (account.trades, account.turnover, account.idle_bars) == (2, 600.0, 1)
    assert positions.idle[0].tolist() == [1, 1]


def test_each_order_takes_its_share_of_its_own_volume() -> None:
    markets = _markets([FLAT, FLAT], costs=Costs(0, 0, 0, 0, 0.01, 0))
    markets.prices[0, 1, VOLUME] = 300.0
    account, positions = _holding(10_000.0, 0, 0)
    positions.ordered[0] = [50, 50]
    take_turns(0, positions)
    begin_bars(0, 1, account, positions, markets)
    assert positions.filled[0].tolist() == [10, 3]


@pytest.mark.parametrize("presence", [STALE, ABSENT])
def test_an_order_expires_where_its_asset_has_no_bar(presence: float) -> None:
    markets = _markets([FLAT, FLAT], presence=[FRESH, presence])
    account, positions = _holding(1_000.0, 0, 0)
    positions.ordered[0] = [2, 2]
    take_turns(0, positions)
    begin_bars(0, 1, account, positions, markets)
    assert positions.filled[0].tolist() == positions.lots[0].tolist() == [2, 0]


def test_what_a_long_gap_left_behind_is_closed_at_its_last_close_at_a_multiple_of_the_cost() -> None:
    costs = Costs(taker_fee_bps=10, half_spread_bps=20, impact_y=0, funding_bps_per_8h=0, gap_multiple=5.0)
    markets = _markets([FLAT, (80.0, 80.0, 80.0, 80.0)], costs=costs, presence=[FRESH, ABSENT])
    account, positions = _holding(1_000.0, 2, 3)
    take_turns(0, positions)
    account = begin_bars(0, 1, account, positions, markets)
    price = 80.0 * (1.0 - 5 * 0.002)
    assert account.fees == pytest.approx(3 * price * 5 * 0.001)
    assert account.cash == pytest.approx(1_000.0 + 3 * price - account.fees)
    assert positions.lots[0].tolist() == [2, 0]


def test_a_gap_of_all_closes_every_position_once() -> None:
    markets = _markets([FLAT, (90.0, 90.0, 90.0, 90.0)], costs=Costs(10, 0, 0, 0, 1.0, 0, 4.0))
    account, positions = _holding(1_000.0, 2, -3)
    account = close_for_gaps(0, 1, account, positions, markets)
    assert account.fees == pytest.approx(4 * 0.001 * (200.0 + 270.0))
    assert account.equity == account.cash == pytest.approx(1_000.0 + 200.0 - 270.0 - account.fees)
    flat, nothing = _holding(500.0, 0, 0)
    assert close_for_gaps(0, 1, flat, nothing, markets) == flat


# limits


def _cut(orders: list[int], lots: list[int], limits: Limits, **changed: float) -> list[int]:
    account, positions = _holding(1_000.0 - 100.0 * sum(lots), *lots)
    positions.ordered[0] = orders
    instrument = Instrument(lot=1.0, max_leverage=1.0)
    markets = _markets([FLAT] * len(lots), limits=limits, instruments=[instrument] * len(lots))
    take_turns(0, positions)
    share_limits(0, 0, account._replace(**changed), positions, markets)  # type: ignore[arg-type]
    cut: list[int] = positions.ordered[0].tolist()
    return cut


@pytest.mark.parametrize(
    ("orders", "lots", "allowed"),
    [
        ([4, 4], [0, 0], [4, 1]),  # of room for 5 lots the first takes what it wants
        ([-4, 4], [0, 0], [-4, 1]),  # exposure is gross: a short takes room too
        ([3, -3], [0, 5], [3, -3]),  # the reduction goes first, and makes room for the lower index
        ([3, 3, -2], [1, 1, 3], [2, 0, -2]),
        ([-6, 4], [2, 0], [-6, 1]),  # through zero to a larger short: that adds, and goes by index
        ([-3, 4], [2, 0], [-3, 4]),  # through zero to a smaller one: that reduces
        ([0, 0], [4, 4], [0, 0]),  # beyond the cap already: nothing is forced
        ([1, -1], [4, 4], [0, -1]),
    ],
)
def test_room_below_the_exposure_cap_is_shared_in_order(orders: list[int], lots: list[int], allowed: list[int]) -> None:
    for mode in ("clip", "live"):
        assert _cut(orders, lots, Limits(mode, max_exposure=0.5, daily_loss=0.9, drawdown=0.9)) == allowed
    assert _cut(orders, lots, Limits("off", max_exposure=0.5)) == orders


def test_the_largest_order_is_each_orders_own() -> None:
    assert _cut([9, -9, 2], [0, 0, 0], Limits("clip", max_exposure=9.0, max_order=0.3)) == [3, -3, 2]


def test_a_reducing_account_makes_positions_smaller_and_a_halted_one_closes_them_all() -> None:
    limits = Limits("live", max_exposure=9.0, daily_loss=0.9, drawdown=0.9)
    orders, lots = [4, -1, -9, 5], [2, 2, 2, -3]
    assert _cut(orders, lots, limits, state=State.REDUCING) == [0, -1, -2, 3]
    assert _cut([0] * 4, lots, limits, state=State.HALTED) == [-2, -2, -2, 3]


# what a bar costs


def test_funding_is_paid_by_each_position_at_its_own_rate() -> None:
    markets = _markets([FLAT, (200.0, 200.0, 200.0, 200.0), FLAT])
    markets.prices[1, :, 4] = [0.01, 0.02, 0.5]
    account, positions = _holding(1_000.0, 5, -2, 0)
    take_turns(0, positions)
    account = begin_bars(0, 1, account, positions, markets)
    assert account.funding == pytest.approx(0.01 * 500.0 - 0.02 * 400.0)
    assert account.cash == pytest.approx(1_000.0 - account.funding)


def test_borrow_is_paid_once_on_all_that_is_short_and_on_missing_cash() -> None:
    markets = _markets([FLAT] * 3, costs=Costs(0, 0, 0, 0, 1.0, 0, borrow_bps_per_day=24.0))
    account, positions = _holding(600.0, -4, -5, 3)
    take_turns(0, positions)
    account = begin_bars(0, 1, account, positions, markets)
    assert account.borrow == pytest.approx(0.0024 / 24 * (900.0 + (900.0 - 600.0)))
    flat, nothing = _holding(600.0, 0, 0, 0)
    assert begin_bars(0, 1, flat, nothing, markets).borrow == 0.0


def test_a_day_that_rolls_renews_the_accounts_baseline() -> None:
    markets = _markets([FLAT, FLAT], rolled=1.0)
    account, positions = _holding(1_000.0, 1, 1)
    account = begin_bars(0, 1, account._replace(day_equity=7.0, state=1), positions, markets)
    assert (account.day_equity, account.state) == (1_200.0, State.ACTIVE)


# liquidation


def _end(cash: float, lots: list[int], worst: list[float], **given: object) -> tuple[Account, list[int]]:
    """A bar that goes from 100 to each position's worst price and closes at 99."""
    bars = [(100.0, max(price, 100.0), min(price, 99.0), 99.0) for price in worst]
    markets = _markets(bars, **given)  # type: ignore[arg-type]
    account, positions = _holding(cash, *lots)
    return end_bars(0, 1, account, positions, markets), positions.lots[0].tolist()


def test_an_account_whose_worst_covers_the_margin_is_left_alone() -> None:
    account, lots = _end(-1_400.0, [10, 6], [96.0, 98.5])  # 151 of 155.1 would not do: see below
    assert (account.ruin, lots) == (LIQUIDATED, [0, 6])
    account, lots = _end(-1_400.0, [10, 6], [97.0, 99.0])  # worth 164, margin 156.4
    assert (account.ruin, lots, account.equity) == (SOLVENT, [10, 6], -1_400.0 + 1_600.0 * 0.99)


def test_the_largest_margin_is_closed_first_and_no_more_than_needed() -> None:
    account, lots = _end(-1_400.0, [10, 6], [95.0, 97.0])  # worth 132, margin 95 + 58.2
    assert lots == [0, 6]
    assert account.fees == pytest.approx(0.02 * 950.0)
    assert account.cash == pytest.approx(-1_400.0 + 950.0 - 19.0)  # worth 113 now, margin 58.2
    assert account.equity == pytest.approx(-469.0 + 6 * 99.0)
    assert (account.ruin, account.trades) == (LIQUIDATED, 1)


def test_of_equal_margins_the_first_is_closed_first() -> None:
    assert _end(-1_400.0, [8, 8], [96.0, 96.0])[1] == [0, 8]


def test_margins_are_compared_not_values() -> None:
    strict = Instrument(lot=1.0, max_leverage=1.0, maintenance=0.4, liquidation_fee=0.0)
    account, lots = _end(-1_200.0, [10, 5], [95.0, 97.0], instruments=[MARGIN, strict])  # 95 and 194 of 235
    assert (account.ruin, lots) == (LIQUIDATED, [10, 0])


def test_all_positions_are_at_their_worst_at_once() -> None:
    """A long and a short of one size cannot both lose, yet a bar does not say which came first."""
    account, lots = _end(400.0, [10, -10], [90.0, 115.0], instruments=[MARGIN, MARGIN])
    assert (account.ruin, lots) == (LIQUIDATED, [10, 0])  # worth 150 < 205: the short, 115 of margin, goes


def test_a_bankrupt_account_ends_with_nothing_and_owes_nothing() -> None:
    account, lots = _end(-1_400.0, [10, 6], [80.0, 85.0])  # worth -90
    assert lots == [0, 0]
    assert account.cash == account.equity == 0.0
    assert (account.fees, account.turnover) == (0.0, 890.0 + 510.0)  # the first is closed at 89, where nothing is left
    assert account.ruin == LIQUIDATED


def test_a_short_is_never_bought_back_below_nothing() -> None:
    strict = Instrument(lot=1.0, max_leverage=1.0, maintenance=0.5, liquidation_fee=0.02)
    mild = Instrument(lot=1.0, max_leverage=9.0, maintenance=0.05, liquidation_fee=0.02)
    given = [mild, strict]
    account, lots = _end(-1_600.0, [20, -3], [60.0, 110.0], instruments=given, presence=[STALE, FRESH])
    assert (lots, account.cash, account.fees) == ([20, 0], -1_600.0, 0.0)  # bought back at 0: 400 are missing even so
    account, lots = _end(-1_600.0, [20, -3], [60.0, 110.0], instruments=given)
    assert (lots, account.cash, account.turnover) == ([0, 0], 0.0, 1_600.0)  # then the long is closed at 80


def test_what_has_no_bar_cannot_be_liquidated() -> None:
    account, lots = _end(-1_400.0, [10, 6], [80.0, 90.0], presence=[STALE, FRESH])
    assert lots == [10, 0]
    assert account.ruin == LIQUIDATED
    account, lots = _end(-1_650.0, [10, 6], [80.0, 90.0], presence=[STALE, STALE])
    assert (lots, account.ruin) == ([10, 6], RUINED)


def test_the_worst_price_of_a_long_is_the_low_and_of_a_short_the_high() -> None:
    markets = _markets([(100.0, 101.0, 99.0, 100.0)])
    assert (markets.prices[1, 0, HIGH], markets.prices[1, 0, LOW]) == (101.0, 99.0)
    for lots, ruin in ((9, LIQUIDATED), (-9, LIQUIDATED), (8, SOLVENT), (-8, SOLVENT)):
        account, positions = _holding(97.0 - 100.0 * lots, lots)
        assert end_bars(0, 1, account, positions, markets).ruin == ruin, lots
