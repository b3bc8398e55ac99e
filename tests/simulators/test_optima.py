"""Right answers, against brute force, simulation and a quadratic solve that know nothing of how they were found."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.simulators.optima import (
    SIDES,
    ParentOrder,
    ReversionRule,
    best_schedule,
    even_schedule,
    foresight,
    reversion_rule,
)
from wavetank.simulators.processes import MeanReversion

Floats = NDArray[np.float64]

LAW = MeanReversion(stationary_sd=0.01, half_life_bars=6.0)
COST = 0.001


def grown(returns: Floats, plan: Floats, cost: float) -> float:
    """Log growth of one plan, bar by bar."""
    total, held = 0.0, 0.0
    for step, target in zip(returns, plan, strict=True):
        total += math.log(1.0 + target * step - cost * abs(target - held))
        held = target
    return total


@pytest.mark.parametrize("cost", [0.0, 0.002, 0.01])
def test_foresight_is_the_best_of_all_plans(cost: float) -> None:
    paths = np.random.default_rng(3).normal(0.0, 0.01, (6, 7))
    found = foresight(paths, cost)
    for path, growth, plan in zip(paths, found.growth, found.plan, strict=True):
        every = [grown(path, np.array(one), cost) for one in itertools.product(SIDES, repeat=len(path))]
        assert growth == pytest.approx(max(every), abs=1e-12)
        assert grown(path, plan, cost) == pytest.approx(growth, abs=1e-12)


def test_with_linear_costs_levels_between_the_sides_add_nothing() -> None:
    path = np.random.default_rng(4).normal(0.0, 0.01, 2000)
    fine = foresight(path, COST, np.linspace(-1.0, 1.0, 21)).growth
    assert fine == pytest.approx(foresight(path, COST).growth, rel=1e-5)


def test_foresight_without_costs_takes_every_move() -> None:
    path = np.random.default_rng(5).normal(0.0, 0.01, 300)
    assert foresight(path, 0.0).growth == pytest.approx(np.log1p(np.abs(path)).sum())


def test_foresight_stays_flat_where_every_move_costs_more_than_it_brings() -> None:
    found = foresight(np.array([0.01, -0.01, 0.01]), 0.02)
    assert found.growth == 0.0
    assert not found.plan.any()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: foresight([0.1], -0.1), "cost -0.1"),
        (lambda: foresight([0.1], 0.1, [-1.0, 1.0]), "hold no 0"),
        (lambda: reversion_rule(LAW, 0.6), "cost 0.6"),
        (lambda: ParentOrder(slices=1), "slices 1"),
        (lambda: ParentOrder(sigma=math.nan), "sigma nan"),
        (lambda: ParentOrder(impact=-1.0), "impact -1.0"),
        (lambda: ParentOrder(slices=2).objective([1.0, 0.5, 0.1]), "from 1 to 0"),
    ],
)
def test_what_has_no_answer_is_refused_with_its_value(call: Callable[[], object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        call()


def rates(rule: Callable[[float, float], float], bars: int = 150_000) -> Floats:
    """Log growth a bar in 30 stretches of a simulated market, the same for every rule."""
    rng = np.random.default_rng(6)
    spread = math.sqrt(1.0 - LAW.keep**2)
    deviation, held, growth = float(rng.normal()), 0.0, np.empty(bars)
    for t, shock in enumerate(rng.normal(0.0, spread, bars)):
        target = rule(deviation, held)
        after = LAW.keep * deviation + float(shock)
        move = math.expm1(LAW.stationary_sd * (after - deviation))
        growth[t] = math.log1p(target * move - COST * abs(target - held))
        deviation, held = after, target
    return np.asarray(growth.reshape(30, -1).mean(axis=1))


def following(rule: ReversionRule, shift: float = 0.0) -> Callable[[float, float], float]:
    table = {level: rule.levels[rule.choice[:, j]] for j, level in enumerate(rule.levels.tolist())}
    step = rule.cells[1] - rule.cells[0]

    def target(deviation: float, held: float) -> float:
        row = round((deviation + shift - rule.cells[0]) / step)
        return float(table[held][min(max(row, 0), len(rule.cells) - 1)])

    return target


@pytest.fixture(scope="module")
def best() -> tuple[ReversionRule, Floats]:
    rule = reversion_rule(LAW, COST)
    return rule, rates(following(rule))


def test_the_reversion_rule_earns_what_it_says(best: tuple[ReversionRule, Floats]) -> None:
    rule, earned = best
    assert abs(earned.mean() - rule.rate) < 3.0 * earned.std(ddof=1) / math.sqrt(len(earned))
    assert rule.rate > 10.0 * earned.std(ddof=1) / math.sqrt(len(earned))


@pytest.mark.parametrize("other", ["too eager", "too shy", "early", "late", "sign"])
def test_no_neighbour_of_the_reversion_rule_earns_more(best: tuple[ReversionRule, Floats], other: str) -> None:
    rule, earned = best
    neighbours = {
        "too eager": following(reversion_rule(LAW, COST / 3.0)),
        "too shy": following(reversion_rule(LAW, COST * 3.0)),
        "early": following(rule, 0.3),
        "late": following(rule, -0.3),
        "sign": lambda deviation, _: -math.copysign(1.0, deviation),
    }
    worse = earned - rates(neighbours[other])
    assert worse.mean() > 2.0 * worse.std(ddof=1) / math.sqrt(len(worse))


def test_without_costs_the_reversion_rule_is_the_sign_and_earns_the_laws_edge() -> None:
    rule = reversion_rule(LAW, 0.0, (-1.0, 1.0))
    away = np.abs(rule.cells) > 0.2
    assert np.array_equal(rule.levels[rule.choice[away, 0]], -np.sign(rule.cells[away]))
    # a short loses the square of a move in log growth, and half of the time it is a short
    assert rule.rate == pytest.approx(LAW.edge_per_bar - 0.5 * LAW.return_sd**2, rel=0.01)


def test_a_finer_grid_and_finer_levels_hardly_change_the_reversion_rule() -> None:
    rate = reversion_rule(LAW, COST).rate
    assert reversion_rule(LAW, COST, cells=321).rate == pytest.approx(rate, rel=1e-3)
    assert reversion_rule(LAW, COST, np.linspace(-1.0, 1.0, 11)).rate == pytest.approx(rate, rel=1e-4)


def test_targets_take_deviation_and_position_to_the_nearest_known_ones() -> None:
    cells, levels = np.array([-1.0, 0.0, 1.0]), np.array(SIDES)
    rule = ReversionRule(cells, levels, np.array([[2, 2, 2], [0, 1, 2], [0, 0, 0]]), 0.0)
    assert rule.targets([-9.0, -0.4, 0.4, 0.7], [0.0, -1.02, 0.97, 1.0]).tolist() == [1.0, -1.0, 1.0, -1.0]


ORDERS = [ParentOrder(), ParentOrder(10), ParentOrder(7, impact=0.3, sigma=2.0, risk_aversion=0.5)]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_the_closed_schedule_is_the_bottom_of_the_quadratic(order: ParentOrder) -> None:
    free = order.slices - 1

    def cost(left: Floats) -> float:
        return order.objective(np.concatenate([[1.0], left, [0.0]]))

    unit, zero = np.eye(free), np.zeros(free)
    base = cost(zero)  # differences of a quadratic are its derivatives, exactly
    curvature = np.array([[cost(a + b) - cost(a) - cost(b) + base for b in unit] for a in unit])
    slope = np.array([cost(a) - base for a in unit]) - 0.5 * np.diag(curvature)
    solved = np.linalg.solve(curvature, -slope)
    assert best_schedule(order)[1:-1] == pytest.approx(solved, abs=1e-9)
    assert order.objective(best_schedule(order)) == pytest.approx(cost(solved))


def test_the_objective_is_expected_cost_plus_risk_aversion_times_variance() -> None:
    order = ParentOrder(6, impact=0.8, sigma=1.5, risk_aversion=2.0)
    left = np.array([1.0, 0.8, 0.5, 0.4, 0.2, 0.1, 0.0])
    sold = -np.diff(left)
    moves = np.random.default_rng(8).normal(0.0, order.sigma / math.sqrt(6), (400_000, 6))
    before = np.cumsum(moves, axis=1) - moves  # the price, from 0, at which each slice begins
    received = ((before - order.impact * sold * 6) * sold).sum(axis=1)
    assert order.objective(left) == pytest.approx(-received.mean() + 2.0 * received.var(), rel=0.01)


def test_equal_slices_cost_what_the_textbook_says() -> None:
    order = ParentOrder(10, impact=1.0, sigma=1.0, risk_aversion=9.0)
    assert order.objective(even_schedule(order)) == pytest.approx(1.0 + 9.0 * (9 * 10 * 19 / 6) / 1000)
