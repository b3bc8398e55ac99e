import math

import numpy as np
import pytest

from wavetank.experiments.ratios import LOSSLESS
from wavetank.experiments.round_trips import TRIP_FIGURES, RoundTrips, round_trips_of, trip_figures

from .hand_tracks import kept_track, track_of


def trips_with(profits: list[float], is_open: bool = False) -> RoundTrips:
    rows = np.arange(len(profits), dtype=np.int64) * 3
    profit = np.array(profits)
    side = np.ones(len(profits), np.int64)
    return RoundTrips(rows, rows + 2, side, profit, np.zeros(len(profits)), profit / 1000.0, is_open)


def test_a_long_trip_on_paper() -> None:
    # Decided at the close of row 1, bought 1 at 101 in bar 2 for a fee of 1, sold at 112 in bar 4 for a fee of 1.
    track = track_of(
        [1000.0, 1000.0, 1001.0, 1008.0, 1009.0, 1009.0],
        close=[100.0, 100.0, 103.0, 110.0, 115.0, 90.0],
        exposure=[0.0, 0.0, 103 / 1001, 110 / 1008, 0.0, 0.0],
        fees=[0.0, 0.0, 1.0, 1.0, 2.0, 2.0],
        turnover=[0.0, 0.0, 101.0, 101.0, 213.0, 213.0],
        trades=[0, 0, 1, 1, 2, 2],
    )
    trips = round_trips_of(track)

    assert (len(trips), trips.closed) == (1, 1)
    assert (trips.begun[0], trips.ended[0], trips.side[0]) == (1, 4, 1)
    assert trips.profit[0] == pytest.approx(9.0)  # 112 - 101 - 2
    assert trips.costs[0] == 2.0
    assert trips.result[0] == pytest.approx(0.009)


def test_one_fill_that_turns_the_holding_over_ends_one_trip_and_begins_the_next() -> None:
    # Long 1 from 100; in bar 2 sold 3 at 104 for a fee of 3: the long trip bears 1 of it, the short one 2.
    # Equity: 900 + 102 = 1002, then cash 900 + 312 - 3 = 1209 less 2 × 103 = 1003, then 1209 - 206.5 (bought at 103.25)
    track = track_of(
        [1000.0, 1002.0, 1003.0, 1002.5],
        close=[100.0, 102.0, 103.0, 99.0],
        exposure=[0.0, 102 / 1002, -206 / 1003, 0.0],
        fees=[0.0, 0.0, 3.0, 3.0],
        turnover=[0.0, 100.0, 412.0, 618.5],
        trades=[0, 1, 2, 3],
    )
    trips = round_trips_of(track)

    assert list(trips.side) == [1, -1]
    assert trips.profit == pytest.approx([3.0, -0.5])  # 104 - 100 - 1 and 2 × (104 - 103.25) - 2
    assert trips.costs == pytest.approx([1.0, 2.0])
    assert (list(trips.begun), list(trips.ended)) == ([0, 1], [2, 3])


def test_a_bar_that_turns_over_by_several_fills_falls_to_the_trip_that_ends() -> None:
    # Long 1 from 100; bar 2 sells 1 at 90 by its stop and 1 more at 110: no one price is known, and nothing is lost.
    track = track_of(
        [1000.0, 1002.0, 997.0, 1000.0],
        close=[100.0, 102.0, 103.0, 100.0],
        exposure=[0.0, 102 / 1002, -103 / 997, 0.0],
        fees=[0.0, 0.0, 2.0, 2.0],
        turnover=[0.0, 100.0, 300.0, 400.0],
        trades=[0, 1, 3, 4],
    )
    trips = round_trips_of(track)

    assert (list(trips.side), list(trips.profit), list(trips.costs)) == ([1, -1], [-3.0, 3.0], [2.0, 0.0])


@pytest.mark.parametrize("seed", range(8))
def test_the_trips_are_those_of_a_book_keeper_who_wrote_down_every_fill(seed: int) -> None:
    track, book = kept_track(seed, 400)
    trips = round_trips_of(track)
    flows = [sum(page) for page in book.pages]
    if book.held != 0.0:
        flows[-1] += book.held * float(track.close[-1])

    assert len(trips) == len(flows) > 40
    assert trips.profit == pytest.approx(flows, abs=1e-8)
    assert trips.costs == pytest.approx(book.costs, abs=1e-8)
    assert trips.is_open == (book.held != 0.0)
    assert float(np.sum(trips.profit)) == pytest.approx(float(track.equity[-1] - track.equity[0]), abs=1e-8)


def test_a_trip_inside_one_bar_counts_and_has_no_side() -> None:
    track = track_of([100.0, 98.0, 98.0], fees=[0.0, 1.0, 1.0], turnover=[0.0, 90.0, 90.0], trades=[0, 2, 2])
    trips = round_trips_of(track)

    assert (list(trips.side), list(trips.profit), trips.is_open) == ([0], [-2.0], False)


def test_a_trip_under_way_at_the_first_row_begins_there_and_one_at_the_last_row_is_open() -> None:
    trips = round_trips_of(track_of([100.0, 90.0, 95.0, 96.0], exposure=[1.0, 0.0, -0.5, -0.5], trades=[0, 1, 2, 2]))

    assert (list(trips.begun), list(trips.ended)) == ([0, 1], [1, 3])
    assert (list(trips.profit), list(trips.side)) == ([-10.0, 6.0], [1, -1])
    assert (trips.closed, trips.is_open) == (1, True)
    assert trip_figures(trips)["open_profit"] == 6.0


def test_ruin_ends_the_trip_and_divides_by_nothing() -> None:
    trips = round_trips_of(track_of([100.0, 60.0, 0.0, 0.0], exposure=[0.0, 3.0, 0.0, 0.0], trades=[0, 1, 2, 2]))

    assert (list(trips.profit), list(trips.result), trips.is_open) == ([-100.0], [-1.0], False)


def test_a_track_without_trades_has_no_trips_and_figures_of_nothing() -> None:
    trips = round_trips_of(track_of([100.0, 100.0]))

    assert len(trips) == 0
    assert trip_figures(trips) == dict.fromkeys(TRIP_FIGURES, 0.0)


def test_figures_of_five_trips_are_those_on_paper() -> None:
    found = trip_figures(trips_with([30.0, -10.0, -20.0, 40.0, 10.0]))

    assert found["win_rate"] == pytest.approx(0.6)
    assert found["profit_factor"] == pytest.approx(80 / 30)
    assert found["expectancy"] == pytest.approx(10.0)
    assert found["expectancy_share"] == pytest.approx(0.01)
    assert (found["average_win"], found["average_loss"]) == pytest.approx((80 / 3, 15.0))
    assert found["payoff"] == pytest.approx(16 / 9)
    assert found["kelly"] == pytest.approx(0.6 - 0.4 / (16 / 9))
    # deviations 20, -20, -30, 30, 0: squares sum to 2600, over 4
    assert found["sqn"] == pytest.approx(math.sqrt(5) * 10 / math.sqrt(650))
    assert (found["longest_winning_run"], found["longest_losing_run"]) == (2, 2)
    assert (found["round_trips"], found["trip_bars_mean"], found["open_profit"]) == (5, 2, 0)


def test_the_kelly_share_is_the_bet_that_grows_fastest() -> None:
    found = trip_figures(trips_with([2.0] * 6 + [-1.0] * 4))
    bets = np.linspace(0.0, 0.99, 100_000)
    growth = 0.6 * np.log1p(2.0 * bets) + 0.4 * np.log1p(-bets)

    assert found["kelly"] == pytest.approx(float(bets[np.argmax(growth)]), abs=1e-5)


def test_nothing_but_wins_and_nothing_but_losses_stay_finite() -> None:
    wins, losses = trip_figures(trips_with([1.0, 2.0, 3.0])), trip_figures(trips_with([-1.0, -2.0, -3.0]))

    assert wins["profit_factor"] == wins["payoff"] == LOSSLESS
    assert wins["kelly"] == wins["win_rate"] == 1.0
    assert (wins["average_loss"], wins["longest_losing_run"], wins["longest_winning_run"]) == (0.0, 0.0, 3.0)
    assert losses["profit_factor"] == losses["payoff"] == losses["kelly"] == losses["win_rate"] == 0.0
    assert losses["average_loss"] == 2.0
    assert wins["sqn"] == pytest.approx(-losses["sqn"])


def test_one_trip_alone_has_no_quality_number_and_equal_ones_have_no_spread() -> None:
    assert trip_figures(trips_with([5.0]))["sqn"] == 0.0
    assert trip_figures(trips_with([0.1, 0.1, 0.1]))["sqn"] == 0.0


def test_a_trip_that_comes_out_even_is_neither_won_nor_lost() -> None:
    found = trip_figures(trips_with([1.0, 0.0, 1.0]))

    assert found["win_rate"] == pytest.approx(2 / 3)
    assert (found["longest_winning_run"], found["longest_losing_run"]) == (1, 0)


def test_an_open_trip_is_not_counted_as_won() -> None:
    found = trip_figures(trips_with([-1.0, 9.0], is_open=True))

    assert (found["round_trips"], found["win_rate"], found["open_profit"]) == (1.0, 0.0, 9.0)
