"""A panel: where each asset's bars come to lie, what stands in the rows it lacks, and that all of it is of the past."""

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.envs.panel import Panel
from wavetank.envs.portfolio_columns import N_OWN
from wavetank.envs.tape import FUNDING as TAPE_FUNDING
from wavetank.envs.tape import Tape
from wavetank.market.bars import Bars
from wavetank.market.conditions import conditions_of
from wavetank.market.portfolio import (
    ABSENT,
    CLOSE,
    FRESH,
    FUNDING,
    HIGH,
    LOW,
    OPEN,
    PRESENCE,
    SIGMA,
    STALE,
    VOLUME,
)

from ..market.handmade import MIDNIGHT, drawn_bars, same_bits
from .portfolios import SHORT, WARM_UP, panel, without


def _panel(bars: list[Bars]) -> Panel:
    return Panel.of([Tape.of(each, SHORT, funding_bps_per_8h=1.0) for each in bars])


WHOLE = drawn_bars(np.random.default_rng(5), 120)
OTHER = drawn_bars(np.random.default_rng(6), 120)


def _presence(lost: set[int], start: int, stop: int) -> list[float]:
    """Presence in some rows of an asset that lacks `lost`, beside one that lacks none."""
    found: list[float] = _panel([WHOLE, without(OTHER, lost)]).prices[start:stop, 1, PRESENCE].tolist()
    return found


def test_an_asset_is_absent_until_its_columns_are_warm() -> None:
    assert _presence(set(), 0, 20) == [ABSENT] * (WARM_UP - 1) + [FRESH] * (20 - WARM_UP + 1)
    assert _presence(set(range(10)), 0, 120).index(FRESH) == 10 + WARM_UP - 1


def test_up_to_three_missing_bars_are_stale_and_the_fourth_starts_an_absence() -> None:
    for count in (1, 2, 3):
        assert _presence(set(range(40, 40 + count)), 39, 45) == [FRESH, *[STALE] * count, *[FRESH] * (5 - count)]
    assert _presence(set(range(40, 44)), 39, 47) == [FRESH, STALE, STALE, STALE, *[ABSENT] * 4]
    assert _presence(set(range(40, 44)), 44, 44 + WARM_UP + 2) == [*[ABSENT] * (WARM_UP - 1), FRESH, FRESH, FRESH]


def test_whose_data_ends_is_stale_and_then_absent() -> None:
    assert _presence(set(range(100, 120)), 98, 106) == [FRESH, FRESH, STALE, STALE, STALE, ABSENT, ABSENT, ABSENT]


def test_the_last_bar_before_a_long_gap_is_fresh_even_where_it_is_the_first_warm_one() -> None:
    lost = set(range(40, 50)) | set(range(50 + WARM_UP, 80))
    assert _presence(lost, 50, 50 + WARM_UP + 1) == [*[ABSENT] * (WARM_UP - 1), FRESH, STALE]


def test_a_fresh_row_is_the_bar_and_any_other_the_last_close() -> None:
    lost = {40, 41, 60, 61, 62, 63}
    bars = without(OTHER, lost)
    laid = _panel([WHOLE, bars]).prices[:, 1]
    conditions, tape = conditions_of(bars), Tape.of(bars, SHORT, funding_bps_per_8h=1.0)
    last = 0
    for t in range(WARM_UP - 1, 120):
        if laid[t, PRESENCE] == FRESH:
            last = int(np.searchsorted(bars.opened_at, WHOLE.opened_at[t]))
            assert laid[t, [OPEN, HIGH, LOW, CLOSE]].tolist() == list(bars.bar(last)[1:5])
            assert laid[t, FUNDING] == tape.prices[last, TAPE_FUNDING]
        else:
            assert laid[t, [OPEN, HIGH, LOW, CLOSE]].tolist() == [bars.close[last]] * 4
            assert laid[t, FUNDING] == 0.0
        assert laid[t, [SIGMA, VOLUME]].tolist() == conditions[last].tolist()


def test_all_assets_of_a_row_lie_beside_each_other_with_room_for_their_account() -> None:
    bars = panel(7, 3, 120, holes=0.1, outages=1)
    laid = _panel(bars)
    rows = laid.rows.reshape(len(laid), 3, -1)
    assert laid.rows.flags.c_contiguous
    assert np.isfinite(laid.rows).all()
    for k, each in enumerate(bars):
        matrix = Tape.of(each, SHORT, funding_bps_per_8h=1.0).rows
        here = laid.prices[:, k, PRESENCE]
        last = np.searchsorted(each.opened_at, laid.opened_at, "right") - 1
        assert same_bits(rows[here != ABSENT, k, :-N_OWN], matrix[last[here != ABSENT]])
        assert not rows[here == ABSENT, k].any()
        assert not rows[:, k, -N_OWN:-1].any()
        assert same_bits(rows[:, k, -1], (here == FRESH).astype(np.float32))


def test_rows_are_every_instant_at_which_an_asset_has_a_bar() -> None:
    even, odd = set(range(0, 120, 2)), set(range(1, 120, 2))
    laid = _panel([without(WHOLE, odd), without(OTHER, even)])
    assert same_bits(laid.opened_at, WHOLE.opened_at)
    assert laid.prices[60:, :, PRESENCE].tolist() == [[FRESH, STALE], [STALE, FRESH]] * 30
    assert np.flatnonzero(laid.rolled).tolist() == [24, 48, 72, 96]
    assert laid.opened_at[0] == MIDNIGHT


def test_only_a_gap_of_all_assets_ends_a_segment() -> None:
    both = set(range(50, 54))
    assert _panel([WHOLE, without(OTHER, both)]).segments.tolist() == [[WARM_UP - 1, 120, 0]]
    laid = _panel([without(WHOLE, both | {54, 55}), without(OTHER, both)])
    assert laid.segments.tolist() == [[WARM_UP - 1, 50, 1], [50 + WARM_UP - 1, 116, 0]]
    assert _panel([without(WHOLE, both - {52}), without(OTHER, both)]).segments.tolist() == [[WARM_UP - 1, 117, 0]]


@pytest.mark.parametrize("t", [20, 70, 100])
def test_the_panel_up_to_a_row_is_made_of_bars_up_to_it(t: int) -> None:
    bars = panel(8, 3, 120, holes=0.15, outages=1)
    at = WHOLE.opened_at[t]
    other = [with_another_future(each, int(at), k) for k, each in enumerate(bars)]
    a, b = _panel(bars), _panel(other)
    rows = int(np.searchsorted(a.opened_at, at, "right"))
    assert same_bits(a.opened_at[:rows], b.opened_at[:rows])
    assert same_bits(a.prices[:rows], b.prices[:rows])
    assert same_bits(a.rows[:rows], b.rows[:rows])
    assert same_bits(a.rolled[:rows], b.rolled[:rows])
    assert not same_bits(a.prices[rows : rows + 10], b.prices[rows : rows + 10])


def with_another_future(bars: Bars, at: int, seed: int) -> Bars:
    """The same bars up to an instant; behind it other prices, and other bars missing."""
    rng = np.random.default_rng(seed)
    future = bars.opened_at > at
    keep: NDArray[np.bool_] = ~future | (rng.random(len(bars)) < 0.7)
    factor = np.where(future, 1.0 + 0.5 * rng.random(len(bars)), 1.0)
    names = ("open", "high", "low", "close", "volume")
    open_, high, low, close, volume = ((getattr(bars, name) * factor)[keep] for name in names)
    return Bars(bars.interval, bars.opened_at[keep], open_, high, low, close, volume, symbol=bars.symbol)
