from typing import Any

import numpy as np
import pytest

from wavetank.agents.exits import N_MEMORY, Exits, with_exits
from wavetank.market.bars import Bar

from ..market.handmade import drawn_bars
from .plain_rules import PlainExits

Seen = tuple[float, float, float]  # high, low, close


class Held:
    """An account that holds `lots` bought at 100, seen bar by bar."""

    def __init__(self, lots: int, **exits: Any) -> None:
        self.lots, self.params, self.state = lots, np.array([9.0, *Exits(**exits).row()]), np.zeros(2 + N_MEMORY)

    def target(self, high: float, low: float, close: float, signal: float | None = None) -> float:
        bar = Bar(0, close, high, low, close, 1.0)
        wanted = float(np.sign(self.lots)) if signal is None else signal
        entry = 100.0 if self.lots else 0.0
        return float(with_exits(self.params, 1, self.state, 2, bar, self.lots, entry, wanted))

    def targets(self, *bars: Seen) -> list[float]:
        return [self.target(*bar) for bar in bars]


def test_without_exits_the_signal_passes() -> None:
    held = Held(5)
    assert held.targets((101, 1, 1), (900, 900, 900)) == [1.0, 1.0]
    assert held.target(1, 1, 1, signal=0.35) == 0.35
    assert not held.state.any()


def test_a_stop_loss_counts_closes_and_not_lows() -> None:
    assert Held(5, stop_loss=0.05).targets((101, 90, 95.01), (96, 94, 95.0), (99, 95, 99)) == [1.0, 0.0, 0.0]
    assert Held(-5, stop_loss=0.05).targets((111, 99, 104.99), (106, 99, 105.01)) == [-1.0, 0.0]


def test_a_profit_is_taken_at_a_close_as_high() -> None:
    assert Held(5, take_profit=0.1).targets((115, 99, 109.9), (111, 105, 110.1)) == [1.0, 0.0]
    assert Held(-5, take_profit=0.1).targets((101, 89, 90.1), (95, 88, 89.9)) == [-1.0, 0.0]


def test_a_trailing_stop_follows_the_best_price_since_the_entry() -> None:
    # 120 × 0.9 = 108; the low of 100 on the way is no close
    assert Held(5, trailing=0.1).targets((120, 100, 119), (110, 107, 108.1), (109, 107, 107.9)) == [1.0, 1.0, 0.0]
    assert Held(-5, trailing=0.1).targets((100, 80, 81), (90, 82, 87.9), (89, 82, 88.1)) == [-1.0, -1.0, 0.0]
    assert Held(5, trailing=0.1).targets((100, 88, 89.9)) == [0.0]  # the entry itself is the first best price


def test_the_longer_it_is_held_the_less_profit_is_enough() -> None:
    table = {0: 0.10, 2: 0.03, 4: -0.02}
    assert Held(5, roi=table).targets(*[(105.0, 99.0, 102.0)] * 5) == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert Held(5, roi=table).targets((104, 99, 103.5), (104, 99, 103.5)) == [1.0, 0.0]
    assert Held(5, roi=table).targets((111, 99, 110.5)) == [0.0]
    assert Held(5, roi=table).targets(*[(100.0, 97.0, 97.5)] * 5) == [1.0] * 5
    assert Held(-5, roi={0: 0.1, 3: 0.0}).targets(*[(100.0, 99.0, 99.5)] * 3) == [-1.0, -1.0, 0.0]


def test_a_profit_no_larger_than_the_table_says_is_not_enough() -> None:
    assert Held(5, roi={0: 0.25}).targets((125, 125, 125)) == [1.0]


def test_after_an_exit_a_rule_stays_flat_until_its_signal_has_turned() -> None:
    held = Held(5, stop_loss=0.05)
    assert held.target(100, 94, 94, signal=1.0) == 0.0
    held.lots = 0  # sold at the open
    assert held.target(99, 94, 99, signal=1.0) == 0.0
    assert held.target(105, 94, 105, signal=0.2) == 0.0  # a smaller wish on the same side has not turned
    assert held.target(105, 94, 105, signal=0.0) == 0.0
    assert held.target(105, 94, 105, signal=1.0) == 1.0


def test_a_signal_that_turned_on_the_bar_of_the_exit_is_followed_at_once() -> None:
    assert Held(5, stop_loss=0.05).target(100, 94, 94, signal=-1.0) == -1.0


def test_what_could_not_be_sold_goes_on_being_sold() -> None:
    held = Held(5, stop_loss=0.05)
    assert held.targets((100, 94, 94)) == [0.0]
    held.lots = 3  # the bar took two
    assert held.targets((104, 94, 103), (104, 99, 102)) == [0.0, 0.0]


def test_a_new_position_starts_with_a_clean_slate() -> None:
    held = Held(5, trailing=0.1, roi={3: 0.0})
    assert held.targets((150, 100, 149), (149, 140, 141)) == [1.0, 1.0]
    held.lots = -5  # turned at the open: neither 150 nor two bars count any more
    assert held.targets((101, 95, 99), (100, 95, 99)) == [-1.0, -1.0]
    assert held.targets((100, 95, 99)) == [0.0]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "exits",
    [
        {"stop_loss": 0.03},
        {"take_profit": 0.02, "stop_loss": 0.05},
        {"trailing": 0.04},
        {"roi": {0: 0.08, 3: 0.02, 9: 0.0, 20: -0.05}},
        {"stop_loss": 0.06, "take_profit": 0.09, "trailing": 0.03, "roi": {5: 0.01}},
    ],
)
def test_exits_are_those_of_the_plain_twin(exits: dict[str, Any], seed: int) -> None:
    """An account that follows its targets at the next open, most of the time; signals that turn now and then."""
    rng = np.random.default_rng(seed)
    params, state, plain = np.array(Exits(**exits).row()), np.zeros(N_MEMORY), PlainExits(**exits)
    lots, entry, signal, left = 0, 0.0, 1.0, 0
    for bar in drawn_bars(rng, 300, sigma=0.01):
        if rng.random() < 0.08:
            signal = float(rng.choice([-1.0, 0.0, 0.5, 1.0]))
        target = with_exits(params, 0, state, 0, bar, lots, entry, signal)
        assert target == plain.at_close(bar, lots, entry, signal)
        left += target != signal
        wanted = int(np.sign(target)) * 4
        if wanted != lots and rng.random() < 0.8:
            lots, entry = wanted, bar.close * (1.0 + 0.001 * rng.standard_normal()) if wanted else 0.0
    assert left > 10


@pytest.mark.parametrize(
    "given, said",
    [
        ({"stop_loss": 1.0}, "stop_loss 1.0 must lie in"),
        ({"trailing": -0.1}, "trailing -0.1 must lie in"),
        ({"stop_loss": float("nan")}, "stop_loss nan must lie in"),
        ({"take_profit": float("inf")}, "take_profit inf must be 0 or more"),
        ({"roi": {1: 0.1, 2: 0.1, 3: 0.1, 4: 0.1, 5: 0.1}}, "roi has 5 steps, 4 are the most"),
        ({"roi": {-1: 0.1}}, "roi: -1 is not a number of bars"),
        ({"roi": {2.5: 0.1}}, "roi: 2.5 is not a number of bars"),
        ({"roi": {2: float("nan")}}, "the profit nan after 2 bars"),
    ],
)
def test_exits_that_make_no_sense_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Exits(**given)
