"""Hard gates: each holds on a sound market and fails on the smallest fault that it is there for."""

from itertools import pairwise

import numpy as np
import pytest

from wavetank.simulators import gates
from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.order_kinds import Event

from .hand_tapes import Table, events, quotes, trades

SOUND = [
    (Event.ACCEPTED, 1, 1, 100, 0),
    (Event.RESTED, 1, 1, 100, 0),
    (Event.ACCEPTED, 2, 1, 100, 0),
    (Event.RESTED, 2, 1, 100, 0),
    (Event.ACCEPTED, 3, -1, 0, 0),
    (Event.TRADE, 3, -1, 100, 1),
    (Event.TRADE, 3, -1, 100, 2),
]
NOBODY = np.zeros((3, 2), np.int64)


def balance(table: Table) -> gates.Gate:
    return gates.accounting_gate(NOBODY, NOBODY, quotes(step=range(3)), trades(step=[]), table)


@pytest.mark.parametrize("interval,sd_bps,holds", [("1m", 3.1, True), ("1m", 2.9, False), ("1m", 21, False),
                                                    ("1h", 60, True), ("1h", 8, False)])  # fmt: skip
def test_volatility_is_that_of_the_asset_at_its_unit(interval: str, sd_bps: float, holds: bool) -> None:
    returns = np.resize([sd_bps / 1e4, -sd_bps / 1e4], 100)
    assert gates.volatility_gate(returns, interval).holds is holds


def test_an_empty_side_in_one_step_of_a_hundred_is_too_many_and_in_one_of_two_hundred_is_not() -> None:
    for count, holds in ((100, False), (200, True)):
        asks = np.full(count, 101)
        asks[7] = 0
        gate = gates.two_sided_gate(quotes(ask_ticks=asks))
        assert gate.holds is holds
    assert gate.seen.startswith("99.50%")


def test_spreads_are_judged_by_median_and_by_their_tail_where_both_sides_stand() -> None:
    asks = np.full(1000, 129)
    assert gates.spread_gate(quotes(ask_ticks=asks)).seen == "median 30 ≤ 30, p99 30 ≤ 600"
    assert gates.spread_gate(quotes(ask_ticks=asks)).holds
    assert not gates.spread_gate(quotes(ask_ticks=asks + 1)).holds
    asks[:20] = 99 + 601
    assert not gates.spread_gate(quotes(ask_ticks=asks)).holds
    asks[:20] = 0  # an empty side has no spread
    assert gates.spread_gate(quotes(ask_ticks=asks)).holds
    assert not gates.spread_gate(quotes(ask_ticks=np.zeros(9, np.int64))).holds


def test_two_silent_bars_in_a_hundred_pass_and_three_do_not() -> None:
    for silent, holds in ((2, True), (3, False)):
        counts = np.ones(100, np.int64)
        counts[:silent] = 0
        assert gates.trading_gate(counts).holds is holds


def test_a_sound_book_balances() -> None:
    assert balance(events(SOUND)) == gates.Gate(
        "G5 books balance", "sums 0, no cross, first in first out, ids unique", True
    )


def test_who_came_later_and_traded_first_is_seen() -> None:
    rows = [*SOUND[:5], (Event.TRADE, 3, -1, 100, 2), (Event.TRADE, 3, -1, 100, 1)]
    assert gates.out_of_turn(events(rows)) == 1
    assert balance(events(rows)).seen == "1 trades out of turn"


def test_at_another_price_or_on_another_side_nobody_waits() -> None:
    rows = [*SOUND[:5], (Event.TRADE, 3, -1, 100, 2), (Event.TRADE, 3, -1, 99, 1), (Event.TRADE, 4, 1, 100, 1)]
    assert gates.out_of_turn(events(rows)) == 0


def test_a_refilled_iceberg_waits_behind_who_was_there() -> None:
    one_two_one = [*SOUND[:6], (Event.REFILLED, 1, 1, 100, 0), *SOUND[6:], (Event.TRADE, 3, -1, 100, 1)]
    assert gates.out_of_turn(events(one_two_one)) == 0
    one_one_two = [*SOUND[:6], (Event.REFILLED, 1, 1, 100, 0), (Event.TRADE, 3, -1, 100, 1), *SOUND[6:]]
    assert gates.out_of_turn(events(one_one_two)) == 1


def test_an_id_that_comes_twice_is_seen() -> None:
    assert balance(events([*SOUND, (Event.ACCEPTED, 2, 1, 90, 0)])).seen == "1 order ids used twice"


def test_a_crossed_or_locked_step_is_seen() -> None:
    table = quotes(bid_ticks=[99, 101, 102, 0], ask_ticks=[101, 101, 101, 50])
    assert gates.crossed(table) == 2


def test_a_position_that_the_tape_does_not_explain_is_seen() -> None:
    after = np.array([[4, -400], [-4, 400], [0, 0]])
    tape = trades(side=[1, -1], lots=[5, 1], taker=[0, 0], maker=[1, 1], step=[0, 1])
    sound = events(SOUND)
    assert gates.accounting_gate(NOBODY, after, quotes(step=range(3)), tape, sound).holds
    assert "tape ≠ positions" in gates.accounting_gate(NOBODY, after, quotes(step=range(3)), tape[:1], sound).seen
    lost = after + np.array([[0, 0], [0, -1], [0, 0]])
    assert "sum to [0, -1]" in gates.accounting_gate(NOBODY, lost, quotes(step=range(3)), tape, sound).seen


def test_seeds_must_repeat_and_differ() -> None:
    assert gates.seed_gate("a", "a", ["b", "c"]).holds
    assert not gates.seed_gate("a", "b", ["c"]).holds
    assert not gates.seed_gate("a", "a", ["c", "a"]).holds


def test_the_crowd_s_own_events_are_first_in_first_out_and_a_swap_among_them_is_found() -> None:
    table = CrowdMarket(rng=6, all_orders=True).run(10).events()
    assert gates.out_of_turn(table) == gates.repeated_ids(table) == 0
    known = table["order_id"][table["kind"] == Event.ACCEPTED]  # not resting since before the events began
    made = np.flatnonzero((table["kind"] == Event.TRADE) & np.isin(table["maker_id"], known))
    first, second = next(
        (i, j)
        for i, j in pairwise(made)
        if all(table[name][i] == table[name][j] for name in ("ticks", "order_id"))
        and table["maker_id"][i] != table["maker_id"][j]
    )
    swapped = table.copy()
    swapped["maker_id"][[first, second]] = table["maker_id"][[second, first]]
    assert gates.out_of_turn(swapped) > 0
