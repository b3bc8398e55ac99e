"""The exams' oracles in the exams' own markets: hand-written policies get the marks that they deserve."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.agents.policy import Decision
from wavetank.experiments.exams import canary, cartpole, order, reversion
from wavetank.experiments.exams import walk as random_walk
from wavetank.experiments.exams.exam import Mark
from wavetank.experiments.exams.market import (
    CHANNEL,
    COST,
    COSTS,
    FIRST,
    INSTRUMENT,
    POSITION,
    SPEC,
    Ground,
    length,
    next_returns,
    starts,
    walk,
)
from wavetank.market.contract import terms_of
from wavetank.market.limits import Limits
from wavetank.simulators.optima import best_schedule, even_schedule, foresight

Rows = NDArray[np.float32]


class Hand:
    """A policy written by hand: observations (n, width) to actions (n,)."""

    def __init__(self, decide: Callable[[Rows], NDArray[np.float64]]) -> None:
        self._decide = decide

    def act(self, observations: Rows, state: Rows | None = None, starts: NDArray[np.bool_] | None = None) -> Decision:
        actions = np.asarray(self._decide(observations), np.float32)
        return Decision(actions[:, None], np.ones_like(actions), np.zeros_like(actions))


def leak_of(ground: Ground, row: int) -> float:
    return float(ground.channel[row, 0]) * canary.LAW.return_sd


def test_the_leak_is_the_return_that_an_action_then_earns() -> None:
    ground = canary.ground_of(1, "test", shuffled=False)
    env = ground.env(1, "NEXT_STEP", 5)
    observations, _ = env.reset(options={"start": FIRST})
    assert observations[0, CHANNEL] == ground.channel[FIRST, 0]
    _, rewards, *_ = env.step(np.array([1.0]))
    assert rewards[0] == pytest.approx(math.log(1.0 + leak_of(ground, FIRST) - COST), abs=1e-6)


def test_what_a_trade_costs_on_the_ground_is_a_share_of_its_value() -> None:
    terms = terms_of(INSTRUMENT, COSTS, Limits())
    assert terms.taker_fee + terms.half_spread == pytest.approx(COST)
    assert terms.impact_y == terms.borrow == COSTS.funding_bps_per_8h == 0.0
    assert INSTRUMENT.lot * canary.LAW.price < 1e-6 * 100_000  # of the account


def test_the_plan_of_perfect_foresight_earns_its_growth_in_the_environment() -> None:
    ground = canary.ground_of(2, "test", shuffled=False)
    rows = starts(canary.EPISODES, canary.EPISODE)[:, None] + np.arange(canary.EPISODE)
    plan = iter(foresight(next_returns(ground.bars)[rows], COST).plan.T)
    earned = walk(Hand(lambda _: next(plan)), ground, canary.EPISODES, canary.EPISODE).growth.sum()
    assert earned == pytest.approx(canary.best_growth(ground), rel=0.01)


def test_who_takes_every_leaked_move_that_pays_passes_the_canary_and_who_ignores_it_does_not() -> None:
    ground = canary.ground_of(3, "test", shuffled=False)

    def greedy(rows: Rows) -> NDArray[np.float64]:
        leak = rows[:, CHANNEL] * canary.LAW.return_sd
        return np.where(np.abs(leak) > COST, np.sign(leak), np.round(rows[:, POSITION]))

    best = canary.best_growth(ground)
    taken = walk(Hand(greedy), ground, canary.EPISODES, canary.EPISODE).growth
    assert canary.SHARE + 0.1 < taken.sum() / best <= 1.0
    assert canary.low_end(taken) > 0.0  # so a leak by another way would show as well
    held = walk(Hand(lambda rows: np.ones(len(rows))), ground, canary.EPISODES, canary.EPISODE).growth.sum()
    assert held / best < 0.1


def test_the_shuffled_leak_holds_the_same_returns_in_another_order() -> None:
    leaked, shuffled = (canary.ground_of(4, "train", shuffled=which) for which in (False, True))
    assert np.array_equal(leaked.bars.close, shuffled.bars.close)
    assert np.array_equal(np.sort(leaked.channel[:, 0]), np.sort(shuffled.channel[:, 0]))
    link = np.corrcoef(shuffled.channel[:-1, 0], next_returns(shuffled.bars)[:-1])[0, 1]
    assert abs(link) < 4.0 / math.sqrt(canary.TRAINING_BARS)


def test_training_and_fresh_grounds_are_drawn_apart() -> None:
    first, fresh, other = (reversion.ground_of(*which) for which in ((1, "train"), (1, "test"), (2, "test")))
    count = len(fresh.bars)
    assert not np.array_equal(first.bars.close[:count], fresh.bars.close)
    assert not np.array_equal(fresh.bars.close, other.bars.close)


def test_the_best_rule_earns_its_rate_in_the_environment_and_the_sign_too_little_to_pass() -> None:
    best, ground = reversion.Best(), reversion.ground_of(1, "test")
    earned = walk(best, ground, reversion.EPISODES, reversion.EPISODE).growth / reversion.EPISODE
    assert abs(earned.mean() - best.rule.rate) < 3.0 * earned.std(ddof=1) / math.sqrt(reversion.EPISODES)
    sign = Hand(lambda rows: 1.0 - np.sign(rows[:, CHANNEL]))
    share = walk(sign, ground, reversion.EPISODES, reversion.EPISODE).growth.sum() / (earned * reversion.EPISODE).sum()
    assert 0.7 < share < reversion.WORST


@pytest.mark.parametrize(
    ("shares", "mean"),
    [([0.9], 0.9), ([0.2, 1.0], 0.6), ([0.0, 0.8, 0.9, 1.0], 0.85), ([0.1, *[0.9] * 7, 0.95, 9.0], 0.9)],
)
def test_the_middle_leaves_out_a_quarter_on_either_side(shares: list[float], mean: float) -> None:
    assert reversion.middle(shares[::-1]) == pytest.approx(mean)


def test_the_cost_of_a_day_and_the_mean_position_are_those_of_a_policy_that_is_long_every_other_hour() -> None:
    ground = random_walk.ground_of(1, "test")
    turn = Hand(lambda rows: np.where(rows[:, POSITION] == 0.0, 4.0, 2.0))
    walked = walk(turn, ground, 4, 24)
    assert walked.days == 1.0
    assert walked.mean_position == pytest.approx(0.5, abs=0.01)
    assert walked.cost_bps_a_day == pytest.approx(24 * COST * 1e4, rel=0.01)
    flat = walk(Hand(lambda rows: np.full(len(rows), 2.0)), ground, 4, 24)
    assert (flat.mean_position, flat.cost_bps_a_day) == (0.0, 0.0)


def test_a_balanced_pole_earns_500_and_a_pushed_one_ten() -> None:
    balance = Hand(lambda rows: (rows @ np.array([0.1, 0.5, 3.0, 1.0]) > 0).astype(np.float64))
    assert cartpole.mean_return(balance, seed=1) == 500.0
    assert cartpole.mean_return(Hand(lambda rows: np.ones(len(rows))), seed=1) < 12.0


@pytest.mark.parametrize("schedule", [best_schedule(order.ORDER), even_schedule(order.ORDER)], ids=["best", "even"])
def test_a_schedule_costs_in_the_exam_what_it_costs_on_paper(schedule: NDArray[np.float64]) -> None:
    slices = iter(2.0 * (1.0 - schedule[1:] / schedule[:-1]) - 1.0)
    cost = order.mean_cost(Hand(lambda rows: np.full(len(rows), next(slices))), seed=1)
    assert cost == pytest.approx(order.ORDER.objective(schedule), rel=1e-5)


def test_equal_slices_and_halves_are_far_from_the_best_schedule() -> None:
    best, even = (order.ORDER.objective(found(order.ORDER)) for found in (best_schedule, even_schedule))
    halves = order.ORDER.objective([*0.5 ** np.arange(order.ORDER.slices), 0.0])  # what an untrained policy does
    assert even > 1.15 * best
    assert halves > even


@pytest.mark.parametrize(
    ("figure", "sense", "passed"),
    [(0.8, "≥", True), (0.79, "≥", False), (0.8, "≤", True), (0.81, "≤", False), (math.nan, "≥", False)],
)
def test_a_mark_keeps_to_its_bound(figure: float, sense: str, passed: bool) -> None:
    assert Mark("exam", "item", "sb3", 1, figure, sense, 0.8).passed is passed


def test_an_episode_of_a_walk_begins_where_the_last_one_ended() -> None:
    assert starts(3, 10).tolist() == [FIRST, FIRST + 10, FIRST + 20]
    assert length(3, 10) == FIRST + 31
    assert SPEC.columns[CHANNEL] == SPEC.memory[0]
